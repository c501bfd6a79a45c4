"""What can be planted: each leaves one precaution out of the code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CONTROL = "controlplane/knarr_controlplane"


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is left out; ``old`` becomes ``new`` in a file. aim: the invariant that it breaks. having: what the events
    look like that it takes."""

    name: str
    aim: str
    file: str
    old: str
    new: str
    having: tuple[str, ...]
    also: tuple[tuple[str, str, str], ...] = ()
    """Other precautions against the same, which have to be left out as well: file, old, new."""

    def __str__(self) -> str:
        return f"{self.name} [{self.aim}]"

    @property
    def changes(self) -> tuple[tuple[str, str, str], ...]:
        return ((self.file, self.old, self.new), *self.also)

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(file for file, _, _ in self.changes))

    def plant(self, root: Path) -> bool:
        """Whether it could be planted into the code there."""
        texts = {file: (root / file).read_text() for file in self.files}
        for file, old, new in self.changes:
            if old not in texts[file]:
                return False
            texts[file] = texts[file].replace(old, new)
        for file, text in texts.items():
            (root / file).write_text(text)
        return True


MISTAKES = (
    Mistake(
        "a leader's writes are not fenced by its term",
        "one leader",
        f"{CONTROL}/registry/registry.py",
        "other.writes = self.writes.fenced(key, expected, lost)",
        "other.writes = self.writes",
        ("LeaderStandsStill",),
    ),
    Mistake(
        "an update does not compare the revision it was decided on",
        "lost update",
        f"{CONTROL}/registry/writes.py",
        "await self.store.commit([Put(key, value, expected), *others])",
        "await self.store.commit([Put(key, value, None if expected else 0), *others])",
        ("CreateDeployment",),
    ),
    Mistake(
        "an object goes although finalizers are left",
        "finalizers",
        "proto/knarr_api/deletion.py",
        "if metadata.deletion_timestamp is None or metadata.finalizers:",
        "if metadata.deletion_timestamp is None:",
        ("Hold",),
    ),
    Mistake(
        "the scheduler does not count pods that it has not bound itself",
        "capacity",
        f"{CONTROL}/scheduler/scheduler.py",
        "if not assumed or not self.columns.shows(pod):",
        "if False:",
        ("KillControlPlane",),
    ),
    Mistake(
        "a rollout does not count what waits to be made",
        "max surge",
        f"{CONTROL}/controllers/deployment/scaling.py",
        "- sum(occupied(each) for each in everything)",
        "- sum(each.status.replicas or 0 for each in everything)",
        ("SetImage",),
    ),
    Mistake(
        "a rollout takes pods away one too many",
        "max unavailable",
        f"{CONTROL}/controllers/deployment/limits.py",
        "    return min(_fenceposts(deployment)[1], replicas)",
        "    return min(_fenceposts(deployment)[1] + 1, replicas)",
        ("SetImage",),
    ),
    Mistake(
        "an ordered StatefulSet makes pods without waiting for those before",
        "order",
        f"{CONTROL}/controllers/statefulset/decide.py",
        "        if waits and ordered:\n            return step",
        "        if waits and ordered and False:\n            return step",
        ("CreateStatefulSet",),
    ),
    Mistake(
        "pods of lost nodes are removed at once",
        "one of each name",
        "proto/knarr_api/deletion.py",
        "    return not isinstance(obj, Pod) or not metadata.deletion_grace_period_seconds",
        "    return True",
        ("CreateStatefulSet",),
    ),
    Mistake(
        "an eviction does not use up what the budget allows",
        "disruption budget",
        f"{CONTROL}/registry/eviction.py",
        "disruptions_allowed=allowed - 1, disrupted_pods",
        "disruptions_allowed=allowed, disrupted_pods",
        ("EvictAll",),
    ),
    Mistake(
        "a DaemonSet does not see pods that are going",
        "one per node",
        f"{CONTROL}/controllers/daemonset/decide.py",
        "if not (state.is_ended(pod) and pod.metadata.deletion_timestamp is not None):",
        "if pod.metadata.deletion_timestamp is None:",
        ("CreateDaemonSet",),
    ),
    Mistake(
        "a CronJob that forbids it starts a Job beside another",
        "concurrency",
        f"{CONTROL}/controllers/cronjob/decide.py",
        'if active and cron_job.spec.concurrency_policy == "Forbid":',
        'if active and cron_job.spec.concurrency_policy == "Never":',
        ("CreateCronJob",),
    ),
    Mistake(
        "orphaning does not free the dependents",
        "orphans",
        f"{CONTROL}/controllers/garbage/collector.py",
        "                await self._disown(dependent, (uid,))\n            await",
        "                pass\n            await",
        ("DeleteOwner",),
    ),
    Mistake(
        "deletion in the foreground does not wait",
        "foreground",
        f"{CONTROL}/controllers/garbage/collector.py",
        "            if not waiting:\n",
        "            if True:\n",
        ("DeleteOwner",),
    ),
    Mistake(
        "what a quota has counted is not compared",
        "quota",
        f"{CONTROL}/registry/policies.py",
        "        return Put(entry.key, value, entry.revision)",
        "        return Put(entry.key, value)",
        ("CreateLimited",),
    ),
    Mistake(
        "an agent tells its pods once, whatever becomes of its node",
        "convergence",
        "node_agent/knarr_node_agent/pods.py",
        "            if not entry.withdrawn:\n                entry.told = None\n",
        "            if False:\n                entry.told = None\n",
        ("Partition",),
        also=(
            (
                "node_agent/knarr_node_agent/pods.py",
                "        elif not _shows(entry.pod.status, entry.told[0]):",
                "        elif False:",
            ),
        ),
    ),
    Mistake(
        "what is made does not ask for its namespace",
        "namespaces",
        f"{CONTROL}/registry/writes.py",
        "        return (Check(key, entry.revision if entry is not None else 0),)",
        "        return ()",
        ("Crowd",),
    ),
    Mistake(
        "a server-side apply takes what others own",
        "owners of fields",
        f"{CONTROL}/registry/server_side_apply.py",
        "    if conflicts and not force:",
        "    if conflicts and not force and False:",
        ("Quarrel",),
    ),
    Mistake(
        "tolerationSeconds are not waited for",
        "tolerations",
        f"{CONTROL}/controllers/nodes/eviction.py",
        "    return begin + datetime.timedelta(seconds=max(0, toleration.toleration_seconds))",
        "    return begin",
        ("TaintNode",),
    ),
    Mistake(
        "an autoscaler takes the most it may ask for for one more",
        "autoscaler",
        f"{CONTROL}/controllers/autoscaling/decide.py",
        "    bounds = Bounds(current=current, least=least, most=most,",
        "    bounds = Bounds(current=current, least=least, most=most + 1,",
        ("CreateAutoscaler",),
    ),
    Mistake(
        "a Job makes one pod more than may be at a time",
        "parallelism",
        f"{CONTROL}/controllers/job/decide.py",
        "    return max(0, min(parallelism, job.spec.completions - seen.succeeded))",
        "    return max(0, min(parallelism + 1, job.spec.completions - seen.succeeded))",
        ("CreateJob",),
    ),
    Mistake(
        "a Job counts its pods twice",
        "counted once",
        f"{CONTROL}/controllers/job/tracking.py",
        "        succeeded=(status.succeeded or 0) + len(listed.succeeded) - len(succeeded),",
        "        succeeded=(status.succeeded or 0) + len(listed.succeeded),",
        ("CreateJob", "BadStore"),
    ),
    Mistake(
        "preemption takes pods that matter as much",
        "preemption",
        f"{CONTROL}/scheduler/preemption.py",
        "pod.pod.spec.priority or 0",
        "(pod.pod.spec.priority or 0) + 1",
        ("CreatePriorityClass",),
    ),
    Mistake(
        "a Job that has failed goes on",
        "finished Jobs",
        f"{CONTROL}/controllers/job/decide.py",
        "    if end is not None:\n        return _after(world, end, claim.owned)\n",
        "    if end is not None:\n        return _running(world, observe(job, claim.owned))\n",
        ("hopeless=True",),
    ),
    Mistake(
        "a pod that is bound may be bound again",
        "bound once",
        "proto/knarr_api/binding.py",
        "    if pod.spec.node_name:",
        "    if False:",
        ("Rival",),
    ),
    Mistake(
        "a node that has forgotten it may say that an ended pod ended otherwise",
        "ended pods",
        f"{CONTROL}/server/agents.py",
        "        if pod.status.phase in ENDED and status.phase != pod.status.phase:",
        "        if False:",
        ("CreateStages", "forgets=True"),
    ),
    Mistake(
        "what has run once and must not run again is given another sandbox",
        "restart policy",
        "node_agent/knarr_node_agent/podmachine/decide.py",
        "        if world.sandbox is None and not world.running and any(world.runs.values()):",
        "        if False:",
        ("CreateStages", "forgets=False"),
    ),
    Mistake(
        "a ReplicaSet counts only pods that are ready",
        "replicas",
        f"{CONTROL}/controllers/replicaset/decide.py",
        "missing = desired(replicaset) - len(active)",
        "missing = desired(replicaset) - sum(state.is_ready(pod) for pod in active)",
        ("CreateDeployment",),
    ),
    Mistake(
        "a CronJob forgets which times it has served",
        "once per time",
        f"{CONTROL}/controllers/cronjob/decide.py",
        "{int(due.timestamp()) // 60}",
        "{cron_job.metadata.resource_version}",
        ("CreateCronJob",),
        also=(
            (f"{CONTROL}/controllers/cronjob/decide.py", "cron_job.status.last_schedule_time or cron_job", "cron_job"),
        ),
    ),
    Mistake(
        "what went while the store's watch was compacted is kept",
        "list",
        f"{CONTROL}/cache/watch_cache.py",
        "            for key in [key for key in cache.entries if key not in seen]:",
        "            for key in ():",
        ("Compact",),
    ),
    Mistake(
        "whoever watches does not list again after that",
        "watch",
        f"{CONTROL}/cache/kind_cache.py",
        "            for follower in followers:\n                follower.lose()",
        "            for follower in followers:\n                pass",
        ("Compact",),
    ),
    Mistake(
        "a control plane gives up when the store's watch breaks off",
        "a part has ended",
        f"{CONTROL}/cache/watch_cache.py",
        "            except KnarrError as error:\n                log.warning(\"the store's watch",
        "            except TimeoutError as error:\n                log.warning(\"the store's watch",
        ("BreakStoreWatch",),
    ),
    Mistake(
        "a StatefulSet's revision is taken for known",
        "a mistake was logged",
        f"{CONTROL}/controllers/statefulset/decide.py",
        "known.get(stateful.status.current_revision, past.current)",
        "known[stateful.status.current_revision]",
        ("CreateStatefulSet",),
    ),
    Mistake(
        "an autoscaler's conditions are new each time it looks",
        "quiet",
        f"{CONTROL}/controllers/autoscaling/decide.py",
        "    same = stored is not None and stored.status == status",
        "    same = False",
        ("CreateAutoscaler",),
    ),
    Mistake(
        "a pod is made beside a claim that goes with the one before it",
        "claims",
        f"{CONTROL}/controllers/statefulset/decide.py",
        "        if claims.are_going(seen.stateful, name, seen.world.claims):",
        "        if False:",
        ("when_scaled='Delete'",),
        also=(
            (
                f"{CONTROL}/controllers/statefulset/decide.py",
                "        both = [(pod, False) for pod in self.replicas.values()] + [",
                "        both = [",
            ),
        ),
    ),
    Mistake(
        "a claim does not go with the pod that is scaled away",
        "claims",
        f"{CONTROL}/controllers/statefulset/claims.py",
        'policy.when_scaled == "Delete" and condemned',
        'policy.when_scaled == "Never" and condemned',
        ("when_scaled='Delete'",),
    ),
    Mistake(
        "a claim goes with its StatefulSet although it is to be kept",
        "claims",
        f"{CONTROL}/controllers/statefulset/claims.py",
        'policy is not None and policy.when_deleted == "Delete"',
        "policy is not None",
        ("when_deleted='Retain'",),
    ),
    Mistake(
        "many writes at once do not compare the revisions they were decided on",
        "bound once",
        "proto/knarr_api/binding.py",
        "    if pod.spec.node_name:",
        "    if False:",
        ("Rival",),
        also=(
            (
                f"{CONTROL}/registry/writes.py",
                "commits.append((Put(key, value, expected), *place))",
                "commits.append((Put(key, value, None if expected else 0), *place))",
            ),
        ),
    ),
    Mistake(
        "a field selector chooses everything",
        "one node per pod",
        f"{CONTROL}/registry/addressing.py",
        "        fields=FieldSelector.parse(field_selector, entries.supported_fields(kind)) if field_selector",
        "        fields=FieldSelector.parse(field_selector, entries.supported_fields(kind)) if False",
        ("CreateDeployment",),
    ),
    Mistake(
        "a new object is stored without a look whether its name is taken",
        "names",
        f"{CONTROL}/registry/writes.py",
        "await self.store.commit([Put(key, value, expected), *others])",
        "await self.store.commit([Put(key, value, expected or None), *others])",
        ("BadNetwork",),
    ),
    Mistake(
        "a pod that fits nowhere is taken for due",
        "liveness",
        f"{CONTROL}/scheduler/queue.py",
        "parked = [waiting.parked_at_s + PARK_LIMIT_S for",
        "parked = [0.0 for",
        ("CreatePriorityClass",),
    ),
    Mistake(
        "reads do not wait for what others have written",
        "reads",
        f"{CONTROL}/cache/watch_cache.py",
        "        if revision.store_revision(self.revision) < newest:",
        "        if False:",
        ("CreateDeployment",),
    ),
    Mistake(
        "what has lost its owner is left",
        "convergence",
        f"{CONTROL}/controllers/garbage/collector.py",
        "                await self._delete(item, live, propagation)",
        "                pass",
        ("DeleteOwner", "Background"),
    ),
    Mistake(
        "a DaemonSet's rollout takes pods away one too many",
        "max unavailable",
        f"{CONTROL}/controllers/daemonset/rolling.py",
        "candidates[: max(0, limit - unavailable)]",
        "candidates[: max(0, limit + 1 - unavailable)]",
        ("CreateDaemonSet", "SetImage(at_s", "name='each-0', image='web"),
    ),
    Mistake(
        "what has lost one of its owners goes, though it has others",
        "owners",
        f"{CONTROL}/controllers/garbage/decide.py",
        "    if Owner.PRESENT in states:",
        "    if all(state is Owner.PRESENT for state in states):",
        ("CreateShared",),
    ),
)
