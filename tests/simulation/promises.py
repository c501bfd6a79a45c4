"""What controllers promise about their pods, Jobs and dependents, checked at every write.

A controller acts upon what it has seen, which may be as old as messages are late. So it is wrong only if what it did
was wrong in every state within ``STALE_S``, with what leaders have deleted since taken away from it: they know that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from knarr_api.types.apps_v1 import Deployment, ReplicaSet, StatefulSet
from knarr_api.types.batch_v1 import CronJob, Job
from knarr_api.types.core_v1 import Pod, ResourceQuota
from knarr_api.types.policy_v1 import PodDisruptionBudget
from tests.simulation.workloads import LIMITED

STALE_S = 15.0
"""How old what a control plane acts upon may be, at most, with the delays that plans ask for."""
ENDED = ("Succeeded", "Failed")
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


@dataclass(frozen=True, slots=True)
class Count:
    """When a budget's pods were counted. deleted: whom a leader had taken away by then, by who stands above them."""

    at_s: float
    deleted: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class State:
    """Of a Deployment or StatefulSet at a time. available, present: uids; without those being deleted in available."""

    at_s: float
    owner: Any
    available: frozenset[str]
    present: frozenset[str]


@dataclass(slots=True)
class Past:
    """States, oldest first."""

    states: list[State] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    """Uids of pods that a leader has deleted."""
    evicted: set[str] = field(default_factory=set)
    """And of those that users have evicted, as budgets note."""

    def add(self, state: State) -> None:
        if self.states and self.states[-1].at_s == state.at_s:
            self.states.pop()
        self.states.append(state)

    def since(self, at_s: float) -> list[State]:
        """Those that held at that time or later."""
        first = next((place for place, state in enumerate(self.states) if state.at_s >= at_s), len(self.states))
        return self.states[max(0, first - 1) :]


class Promises:
    """objects: all, by key, as they are stored; of: those of one type. fail: called with a broken promise's name."""

    def __init__(
        self, objects: dict[str, Any], of: Callable[[type[Any]], list[Any]], fail: Callable[[str, str], None]
    ) -> None:
        self._objects = objects
        self._of = of
        self._fail = fail
        self._pasts: dict[str, Past] = {}
        self._pods: dict[str, dict[str, Pod]] = {}
        """Present pods by the uid of their Deployment or StatefulSet, and their own."""
        self._owners: dict[str, Any] = {}
        """Deployments and StatefulSets by uid."""
        self._deployment_of: dict[str, str] = {}
        """By the uid of the ReplicaSet."""
        self.controllers: dict[str, tuple[str, str, str]] = {}
        """Of every pod that ever was: its controller's kind and uid, and its own name."""
        self._scheduled: set[tuple[str, str]] = set()
        self._made_s: dict[str, float] = {}
        self._orphaned: dict[str, str] = {}
        self._counts: dict[str, Count] = {}
        """Each budget's last one, by a leader."""
        self._granted: dict[tuple[str, str], Count] = {}
        """Of each eviction that a budget holds, by the budget's uid and the pod's name: what it was granted on. The pod
        goes a moment later, when a leader may have counted again and taken others away."""

    def written(self, at_s: float, old: Any, new: Any, *, leading: bool) -> None:
        """One change; it is already part of ``objects``."""
        obj = new if new is not None else old
        if old is None:
            self._made_s[new.metadata.uid] = at_s
        match obj:
            case Pod():
                self._pod(at_s, old, new, leading=leading)
            case ReplicaSet():
                if (owner := controller(obj)) is not None:
                    self._deployment_of[obj.metadata.uid] = owner.uid
            case Deployment() | StatefulSet():
                self._owner(at_s, old, new)
            case Job() if old is None:
                self._job(new)
            case PodDisruptionBudget() if new is not None:
                self._budget(at_s, new, leading=leading)
        self._dependents(at_s, old, new)

    # Pods

    def _owner(self, at_s: float, old: Any, new: Any) -> None:
        uid = (new or old).metadata.uid
        if new is None:
            self._owners.pop(uid, None)
            return
        self._owners[uid] = new
        if old is None or old.spec != new.spec:
            self._note(at_s, uid)

    def _note(self, at_s: float, uid: str) -> None:
        pods = self._pods.get(uid, {})
        available = frozenset(name for name, pod in pods.items() if is_available(pod))
        self._pasts.setdefault(uid, Past()).add(State(at_s, self._owners.get(uid), available, frozenset(pods)))

    def _pod(self, at_s: float, old: Pod | None, new: Pod | None, *, leading: bool) -> None:
        pod = new or old
        assert pod is not None
        uid, owner = pod.metadata.uid, controller(pod)
        if owner is None:
            if old is None and pod.metadata.namespace == LIMITED:
                self._quota(at_s)
            return
        self.controllers[uid] = (owner.kind, owner.uid, pod.metadata.name)
        if owner.kind == "DaemonSet" and old is None:
            self._daemon_pod(pod, owner)
        above = self._deployment_of.get(owner.uid, "") if owner.kind == "ReplicaSet" else owner.uid
        if owner.kind not in ("ReplicaSet", "StatefulSet") or not above:
            return
        if old is None and owner.kind == "StatefulSet" and leading:
            self._ordinal_made(at_s, pod, above)
        goes = old is not None and not _is_going(old) and (new is None or _is_going(new))
        if goes and old is not None and is_available(old):
            if leading and _has_to_go(old):
                pass  # for others' sake
            elif leading:
                self._pasts.setdefault(above, Past()).deleted.add(uid)
                self._taken(at_s, old, above)
            elif new is not None and _is_evicted(new):
                self._evicted(at_s, old, above)
        mine = self._pods.setdefault(above, {})
        if new is None:
            mine.pop(uid, None)
        else:
            mine[uid] = new
        if old is None or new is None or is_available(old) != is_available(new):
            self._note(at_s, above)

    def _taken(self, at_s: float, pod: Pod, above: str) -> None:
        """A leader has taken an available pod away."""
        owner = self._owners.get(above)
        if owner is None or _is_going(owner):
            return
        past = self._pasts[above]
        recent = [state for state in past.since(at_s - STALE_S) if state.owner is not None]
        name = pod.metadata.name
        if isinstance(owner, Deployment):
            useless = any(pod.metadata.uid not in state.available for state in recent)
            if not useless and not any(len(state.available - past.deleted) >= least(state.owner) for state in recent):
                left = len(recent[-1].available - past.deleted) if recent else 0
                self._fail("max unavailable", f"{name} goes, {left} of at least {least(owner)} are left")
            return
        number = _ordinal(name)
        if not any(self._may_go(state, past, number, above) for state in recent):
            self._fail("order", f"{name} goes, though those after it are not as they should be")

    def _may_go(self, state: State, past: Past, number: int, above: str) -> bool:
        """Superfluous ones go from the last to the first; old ones when all after them are available again."""
        replicas = state.owner.spec.replicas if state.owner.spec.replicas is not None else 1
        present = {_ordinal(self.controllers[uid][2]) for uid in state.present - past.deleted}
        available = {_ordinal(self.controllers[uid][2]) for uid in state.available - past.deleted}
        if number < replicas:
            return all(other in available for other in range(number + 1, replicas))
        parallel = state.owner.spec.pod_management_policy == "Parallel"
        return parallel or not any(other > number for other in present)

    def _ordinal_made(self, at_s: float, pod: Pod, above: str) -> None:
        owner, past = self._owners.get(above), self._pasts.get(above)
        if owner is None or past is None or owner.spec.pod_management_policy == "Parallel":
            return
        before = set(range(_ordinal(pod.metadata.name)))
        states = past.since(at_s - STALE_S)
        if not any(before <= {_ordinal(self.controllers[uid][2]) for uid in state.available} for state in states):
            self._fail("order", f"{pod.metadata.name} is made, though not all before it are available")

    def _budget(self, at_s: float, budget: PodDisruptionBudget, *, leading: bool) -> None:
        uid, now = budget.metadata.uid, self._count(at_s)
        granted = {
            (uid, name): self._granted.get((uid, name)) or self._counts.get(uid, now)
            for name in budget.status.disrupted_pods
        }
        self._granted = {key: count for key, count in self._granted.items() if key[0] != uid} | granted
        if leading:
            self._counts[uid] = now

    def _count(self, at_s: float) -> Count:
        return Count(at_s, {above: frozenset(past.deleted) for above, past in self._pasts.items()})

    def _evicted(self, at_s: float, pod: Pod, above: str) -> None:
        """The budget's count may be old as long as it was not written since. The pods count also when their owner was
        deleted and has left them."""
        past = self._pasts.get(above)
        for budget in self._of(PodDisruptionBudget):
            if budget.spec.selector.match_labels.items() <= pod.metadata.labels.items() and past is not None:
                uid, now = budget.metadata.uid, self._count(at_s)
                count = self._granted.get((uid, pod.metadata.name)) or self._counts.get(uid, now)
                states = past.since(count.at_s - STALE_S)
                past.evicted.add(pod.metadata.uid)
                gone = count.deleted.get(above, frozenset()) | past.evicted
                if not any(len(state.available - gone) >= _healthy(budget, state.owner) for state in states):
                    self._fail("disruption budget", f"{pod.metadata.name} is evicted, against {budget.spec}")

    def _daemon_pod(self, pod: Pod, owner: Any) -> None:
        node = _pinned(pod)
        for other in self._of(Pod):
            mine = (it := controller(other)) is not None and it.uid == owner.uid and other.status.phase not in ENDED
            if mine and other.metadata.uid != pod.metadata.uid and _pinned(other) == node:
                self._fail("one per node", f"{pod.metadata.name} is made for {node} beside {other.metadata.name}")

    def _quota(self, at_s: float) -> None:
        quotas = [each for each in self._of(ResourceQuota) if each.metadata.namespace == LIMITED]
        pods = [pod for pod in self._of(Pod) if pod.metadata.namespace == LIMITED and pod.status.phase not in ENDED]
        for quota in quotas:
            if self._made_s[quota.metadata.uid] < at_s - STALE_S and len(pods) > int(str(quota.spec.hard["pods"])):
                self._fail("quota", f"{len(pods)} pods in {LIMITED}, allowed are {quota.spec.hard['pods']}")

    def started(self, uid: str, running: Iterable[tuple[str, str]]) -> None:
        """A container of a pod was started. running: node and pod uid of all others that run."""
        mine = self.controllers.get(uid)
        if mine is None or mine[0] != "StatefulSet":
            return
        for node, other in running:
            if other != uid and self.controllers.get(other) == mine:
                self._fail("one of each name", f"{mine[2]} ({uid}) starts while {other} of that name runs on {node}")

    def started_beside(self, uid: str, others: Iterable[str], node: str) -> None:
        """The same of others on this node."""
        mine = self.controllers.get(uid)
        if mine is None or mine[0] != "DaemonSet":
            return
        for other in others:
            if other != uid and self.controllers.get(other, ("", "", ""))[:2] == mine[:2]:
                self._fail("one per node", f"{mine[2]} starts on {node} beside {self.controllers[other][2]}")

    # Jobs of CronJobs

    def _job(self, job: Job) -> None:
        owner, at = controller(job), job.metadata.annotations.get(SCHEDULED, "")
        if owner is None or owner.kind != "CronJob":
            return
        if (owner.uid, at) in self._scheduled:
            self._fail("once per time", f"{job.metadata.name} is made for {at} again")
        self._scheduled.add((owner.uid, at))
        cron_job = next((each for each in self._of(CronJob) if each.metadata.uid == owner.uid), None)
        policy = cron_job.spec.concurrency_policy if cron_job is not None else ""
        for other in self._of(Job):
            mine = (it := controller(other)) is not None and it.uid == owner.uid
            if not mine or other.metadata.uid == job.metadata.uid or _is_finished(other):
                continue
            if policy == "Forbid" or (policy == "Replace" and not _is_going(other)):
                self._fail("concurrency", f"{job.metadata.name} is made while {other.metadata.name} runs: {policy}")

    # Dependents

    def _dependents(self, at_s: float, old: Any, new: Any) -> None:
        if new is None and old.metadata.uid in self._orphaned:
            if isinstance(old, ReplicaSet):
                self._fail("orphans", f"{old.metadata.name} goes with {self._orphaned[old.metadata.uid]}")
            return
        if old is None:
            return
        finalizers = set(old.metadata.finalizers) - set(new.metadata.finalizers if new is not None else ())
        if not finalizers & {FOREGROUND, ORPHAN}:
            return
        for dependent in list(self._objects.values()):
            reference = next((r for r in dependent.metadata.owner_references if r.uid == old.metadata.uid), None)
            if reference is None or self._made_s[dependent.metadata.uid] > at_s - STALE_S:
                continue
            if FOREGROUND in finalizers and reference.block_owner_deletion:
                self._fail("foreground", f"{old.metadata.name} goes before {dependent.metadata.name}")
            if ORPHAN in finalizers:
                self._fail("orphans", f"{old.metadata.name} goes, {dependent.metadata.name} still names it")

    def orphan(self, owner: Any) -> None:
        """Its ReplicaSets must stay: its user wants it so."""
        for each in self._of(ReplicaSet):
            if (it := controller(each)) is not None and it.uid == owner.metadata.uid:
                self._orphaned[each.metadata.uid] = owner.metadata.name


def controller(obj: Any) -> Any:
    return next((owner for owner in obj.metadata.owner_references if owner.controller), None)


def is_available(pod: Pod) -> bool:
    ready = any(condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions)
    return ready and not _is_going(pod) and pod.status.phase == "Running"


def least(deployment: Deployment) -> int:
    """How many pods of it must be available."""
    replicas = deployment.spec.replicas if deployment.spec.replicas is not None else 1
    rolling = deployment.spec.strategy.rolling_update if deployment.spec.strategy is not None else None
    return replicas - int((rolling.max_unavailable if rolling is not None else 0) or 0)


def _healthy(budget: PodDisruptionBudget, owner: Any) -> int:
    """How many must stay. A share of what an owner asked for is nothing that can be said when it is gone."""
    if budget.spec.min_available is not None:
        return int(budget.spec.min_available)
    if owner is None:
        return 0
    replicas = owner.spec.replicas if owner.spec.replicas is not None else 1
    return max(0, replicas - int(budget.spec.max_unavailable or 0))


def _ordinal(name: str) -> int:
    return int(name.rpartition("-")[2])


def _pinned(pod: Pod) -> str:
    """The node that a DaemonSet's pod is for."""
    affinity = pod.spec.affinity
    required = affinity.node_affinity.required_during_scheduling_ignored_during_execution  # type: ignore[union-attr]
    return str(required.node_selector_terms[0].match_fields[0].values[0])  # type: ignore[union-attr]


def _is_going(obj: Any) -> bool:
    return obj.metadata.deletion_timestamp is not None


def _has_to_go(pod: Pod) -> bool:
    """For a more important pod, or for a taint: who looks after it has no part in that."""
    reasons = ("PreemptionByScheduler", "DeletionByTaintManager")
    return any(condition.reason in reasons for condition in pod.status.conditions)


def _is_evicted(pod: Pod) -> bool:
    return any(condition.reason == "EvictionByEvictionAPI" for condition in pod.status.conditions)


def _is_finished(job: Job) -> bool:
    return any(c.type in ("Complete", "Failed") and c.status == "True" for c in job.status.conditions)
