"""What controllers promise about their pods, Jobs and dependents, checked at every write.

A controller acts upon what it has seen, which may be as old as messages are late. So it is wrong only if what it did
was wrong in every state within ``STALE_S``, with what leaders have deleted since taken away from it: they know that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from knarr_api.types.apps_v1 import DaemonSet, Deployment, ReplicaSet, StatefulSet
from knarr_api.types.batch_v1 import CronJob, Job
from knarr_api.types.core_v1 import ConfigMap, Node, Pod, ResourceQuota
from knarr_api.types.policy_v1 import PodDisruptionBudget
from tests.simulation.law import Law
from tests.simulation.moment import STALE_S
from tests.simulation.pressure import OUT
from tests.simulation.state import (
    ENDED,
    asked,
    controller,
    has_to_go,
    healthy,
    is_available,
    is_evicted,
    is_finished,
    is_going,
    least,
    ordinal,
    owners,
    pinned,
)
from tests.simulation.workloads import LIMITED

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


@dataclass(frozen=True, slots=True)
class Count:
    """When a budget's pods were counted. deleted: whom a leader had taken away by then, by who stands above them."""

    at_s: float
    deleted: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class State:
    """Of a Deployment, StatefulSet or DaemonSet at a time. available, present: uids; without those being deleted in
    available."""

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


class Promises(Law):
    """Pods by who stands above them, Jobs of CronJobs, dependents."""

    def __init__(self, *told: Any) -> None:
        super().__init__(*told)
        self._pasts: dict[str, Past] = {}
        self._pods: dict[str, dict[str, Pod]] = {}
        """Present pods by the uid of their Deployment, StatefulSet or DaemonSet, and their own."""
        self._owners: dict[str, Any] = {}
        """Deployments, StatefulSets and DaemonSets by uid."""
        self._deployment_of: dict[str, str] = {}
        """By the uid of the ReplicaSet."""
        self.controllers: dict[str, tuple[str, str, str]] = {}
        """Of every pod that ever was: its controller's kind and uid, and its own name."""
        self._driven_out = False
        """A node was closed for all at some time: DaemonSets have to leave it as well."""
        self._open: list[tuple[float, int]] = []
        """How many nodes take new pods, since then: of others a DaemonSet expects none."""
        self._scheduled: set[tuple[str, str]] = set()
        self._made_s: dict[str, float] = {}
        self._orphaned: dict[str, str] = {}
        self._counts: dict[str, Count] = {}
        """Each budget's last one, by a leader."""
        self._granted: dict[tuple[str, str], Count] = {}
        """Of each eviction that a budget holds, by the budget's uid and the pod's name: what it was granted on. The pod
        goes a moment later, when a leader may have counted again and taken others away."""

    def written(self, at_s: float, old: Any, new: Any, *, leading: bool) -> None:
        obj = new if new is not None else old
        if old is None:
            self._made_s[new.metadata.uid] = at_s
        match obj:
            case Pod():
                self._pod(at_s, old, new, leading=leading)
            case ReplicaSet():
                if (owner := controller(obj)) is not None:
                    self._deployment_of[obj.metadata.uid] = owner.uid
            case Deployment() | StatefulSet() | DaemonSet():
                self._owner(at_s, old, new)
            case Job() if old is None:
                self._job(new)
            case Node() if new is not None:
                self._driven_out |= any(taint.key == OUT for taint in new.spec.taints)
                self._open.append((at_s, sum(not node.spec.taints for node in self._of(Node))))
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
        if owner.kind not in ("ReplicaSet", "StatefulSet", "DaemonSet") or not above:
            return
        if old is None and owner.kind == "StatefulSet" and leading:
            self._ordinal_made(at_s, pod, above)
        goes = old is not None and not is_going(old) and (new is None or is_going(new))
        if goes and old is not None and is_available(old):
            if leading and has_to_go(old):
                pass  # for others' sake
            elif leading:
                self._pasts.setdefault(above, Past()).deleted.add(uid)
                self._taken(at_s, old, above)
            elif new is not None and is_evicted(new):
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
        if owner is None or is_going(owner):
            return
        past = self._pasts[above]
        recent = [state for state in past.since(at_s - STALE_S) if state.owner is not None]
        name = pod.metadata.name
        if isinstance(owner, DaemonSet) and self._driven_out:
            return
        if not isinstance(owner, StatefulSet):
            useless = any(pod.metadata.uid not in state.available for state in recent)
            if not useless and not any(len(state.available - past.deleted) >= self._least(state) for state in recent):
                left = len(recent[-1].available - past.deleted) if recent else 0
                self._fail("max unavailable", f"{name} goes, {left} of at least {self._least(recent[-1])} are left")
            return
        number = ordinal(name)
        if not any(self._may_go(state, past, number, above) for state in recent):
            self._fail("order", f"{name} goes, though those after it are not as they should be")

    def _least(self, state: State) -> int:
        """How many must be available: of a DaemonSet, on all nodes but some."""
        owner = state.owner
        if isinstance(owner, DaemonSet):
            rolling = owner.spec.update_strategy.rolling_update
            return self._fewest_nodes(state.at_s) - int(rolling.max_unavailable)
        return least(owner)

    def _fewest_nodes(self, at_s: float) -> int:
        """That were open since then, or a while before: a view may be old."""
        before = [count for since_s, count in self._open if since_s < at_s - STALE_S]
        return min((*before[-1:], *(count for since_s, count in self._open if since_s >= at_s - STALE_S)), default=0)

    def _may_go(self, state: State, past: Past, number: int, above: str) -> bool:
        """Superfluous ones go from the last to the first; old ones when all after them are available again."""
        replicas = asked(state.owner)
        present = {ordinal(self.controllers[uid][2]) for uid in state.present - past.deleted}
        available = {ordinal(self.controllers[uid][2]) for uid in state.available - past.deleted}
        if number < replicas:
            return all(other in available for other in range(number + 1, replicas))
        parallel = state.owner.spec.pod_management_policy == "Parallel"
        return parallel or not any(other > number for other in present)

    def _ordinal_made(self, at_s: float, pod: Pod, above: str) -> None:
        owner, past = self._owners.get(above), self._pasts.get(above)
        if owner is None or past is None or owner.spec.pod_management_policy == "Parallel":
            return
        before = set(range(ordinal(pod.metadata.name)))
        states = past.since(at_s - STALE_S)
        if not any(before <= {ordinal(self.controllers[uid][2]) for uid in state.available} for state in states):
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
                if not any(len(state.available - gone) >= healthy(budget, state.owner) for state in states):
                    self._fail("disruption budget", f"{pod.metadata.name} is evicted, against {budget.spec}")

    def _daemon_pod(self, pod: Pod, owner: Any) -> None:
        node = pinned(pod)
        for other in self._of(Pod):
            mine = (it := controller(other)) is not None and it.uid == owner.uid and other.status.phase not in ENDED
            if mine and other.metadata.uid != pod.metadata.uid and pinned(other) == node:
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
            if not mine or other.metadata.uid == job.metadata.uid or is_finished(other):
                continue
            if policy == "Forbid" or (policy == "Replace" and not is_going(other)):
                self._fail("concurrency", f"{job.metadata.name} is made while {other.metadata.name} runs: {policy}")

    # Dependents

    def _dependents(self, at_s: float, old: Any, new: Any) -> None:
        if isinstance(old, ConfigMap) and old.metadata.owner_references and (new is None or is_going(new)):
            self._left_by(old)
        if new is None and old.metadata.uid in self._orphaned:
            if isinstance(old, ReplicaSet):
                self._fail("orphans", f"{old.metadata.name} goes with {self._orphaned[old.metadata.uid]}")
            return
        if old is None:
            return
        finalizers = set(old.metadata.finalizers) - set(new.metadata.finalizers if new is not None else ())
        if not finalizers & {FOREGROUND, ORPHAN}:
            return
        if new is not None and ORPHAN in new.metadata.finalizers:
            return  # who deletes may change their mind
        for dependent in list(self._objects.values()):
            reference = next((r for r in dependent.metadata.owner_references if r.uid == old.metadata.uid), None)
            if reference is None or self._made_s[dependent.metadata.uid] > at_s - STALE_S:
                continue
            if FOREGROUND in finalizers and reference.block_owner_deletion:
                self._fail("foreground", f"{old.metadata.name} goes before {dependent.metadata.name}")
            if ORPHAN in finalizers:
                self._fail("orphans", f"{old.metadata.name} goes, {dependent.metadata.name} still names it")

    def _left_by(self, dependent: ConfigMap) -> None:
        """Nobody deletes it but for its owners' sake."""
        uids = owners(dependent)
        there = [each for each in self._objects.values() if each.metadata.uid in uids and not is_going(each)]
        if there:
            self._fail("owners", f"{dependent.metadata.name} goes, {there[0].metadata.name} that owns it is there")

    def orphan(self, owner: Any) -> None:
        """Its ReplicaSets must stay: its user wants it so."""
        for each in self._of(ReplicaSet):
            if (it := controller(each)) is not None and it.uid == owner.metadata.uid:
                self._orphaned[each.metadata.uid] = owner.metadata.name
