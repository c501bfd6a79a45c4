"""Placing everything, losing nodes, placing what they held again. Pure.

The decisions are the scheduler's own (:mod:`knarr_controlplane.scheduler.framework`), preemption among them, taken one
pod after the other, the more important first. What a node's loss frees is placed when all of it is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from knarr_api.types.core_v1 import Node, Pod
from knarr_controlplane.controllers.daemonset import placing
from knarr_controlplane.scheduler import preemption
from knarr_controlplane.scheduler.columns import Columns
from knarr_controlplane.scheduler.framework import Placed, Plugin, PodToPlace, decide
from knarr_controlplane.scheduler.preemption import Budget
from knarr_controlplane.simulate.expand import Workload

Key = tuple[str, str]
replace = msgspec.structs.replace
GATED = "Scheduling is blocked due to non-empty scheduling gates"
MAX_PREEMPTIONS = 10_000


@dataclass(frozen=True, slots=True)
class Refused:
    """A pod that found no node, and why."""

    workload: str
    pod: str
    message: str


@dataclass(frozen=True, slots=True)
class NodeUse:
    """What is asked of a node and what it has, by resource, in the scheduler's units."""

    name: str
    pods: int
    requested: Mapping[str, int]
    allocatable: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Stage:
    """How things stand. placed: by workload, how many of its pods are on which node. moved: pods that had to be
    placed again; lost: pods that nobody makes anew; down: workloads all of whose pods went with the node; running: pods
    that were there before."""

    title: str
    nodes: tuple[NodeUse, ...]
    placed: Mapping[str, Mapping[str, int]]
    refused: tuple[Refused, ...]
    preempted: tuple[str, ...]
    moved: int = 0
    lost: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    running: int = 0


@dataclass(slots=True)
class Simulation:
    """plugins: the scheduler's. budgets: disruption budgets, as they are now."""

    plugins: Sequence[Plugin]
    budgets: Sequence[Budget] = ()
    columns: Columns = field(default_factory=Columns)
    _asked: list[str] = field(default_factory=list)
    _workload_of: dict[Key, Workload] = field(default_factory=dict)
    _pods: dict[Key, Pod] = field(default_factory=dict)
    _nowhere: dict[Key, str] = field(default_factory=dict)
    _preempted: list[str] = field(default_factory=list)
    _lost: list[str] = field(default_factory=list)
    _decisions: int = 0

    def add_nodes(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self.columns.set_node(node)

    def place(self, workloads: Sequence[Workload]) -> Stage:
        """All pods of the workloads; those that run stay where they are."""
        self._asked = [each.name for each in workloads if each.asked]
        for each in workloads:
            for number, pod in enumerate(each.pods):
                self._workload_of[_key(pod)], self._pods[_key(pod)] = each, pod
                if number < each.running:
                    self.columns.add_pod(pod, pod.spec.node_name)
        self._place_all([pod for each in workloads for pod in each.pods[each.running :]])
        return self._stage("placed", running=sum(each.running for each in workloads if each.asked))

    def lose(self, node: str) -> Stage:
        """The node is gone: its pods are made anew elsewhere, as far as anybody does that."""
        row = self.columns.rows[node]
        held = [record.key for record in self.columns.on_row(row)]
        self.columns.remove_node(node)
        before = self._placed_pods()
        again: list[Pod] = []
        for key in held:
            self.columns.remove_pod(*key)
            if self._workload_of[key].follows_nodes:
                del self._pods[key]
            else:
                again += self._made_anew(key)
        for key in tuple(self._nowhere):
            if self._workload_of[key].follows_nodes and placing.node_of(self._pods[key]) == node:
                del self._nowhere[key], self._pods[key]
        after = self._placed_pods()
        down = tuple(sorted(before - after))
        self._place_all([*again, *(self._pods[key] for key in tuple(self._nowhere))])
        return self._stage(f"without {node}", moved=len(again), down=down)

    def _made_anew(self, key: Key) -> Iterator[Pod]:
        """What follows a pod that had to go, if anything does."""
        pod = self._pods[key]
        if self._workload_of[key].replaced:
            yield replace(pod, spec=replace(pod.spec, node_name=""))
        else:
            self._lost.append("/".join(key))
            del self._pods[key]

    def _placed_pods(self) -> set[str]:
        """Workloads that are to run always, and have pods anywhere."""
        found = (self._workload_of[key] for key in self.columns.pods if key in self._workload_of)
        return {each.name for each in found if each.replaced and not each.follows_nodes and not each.ends}

    def _place_all(self, pods: Iterable[Pod]) -> None:
        waiting = deque(sorted(pods, key=lambda pod: -(pod.spec.priority or 0)))
        while waiting:
            pod = waiting.popleft()
            key = _key(pod)
            self._nowhere.pop(key, None)
            if not self._is_for_the_scheduler(pod):
                continue
            to_place = PodToPlace.of(pod)
            self._decisions += 1
            verdict = decide(to_place, self.columns, self.plugins, tie_break=self._decisions)
            if isinstance(verdict, Placed):
                self.columns.add_pod(pod, verdict.node)
                continue
            room: preemption.Preemption | preemption.NoRoom = preemption.NEVER
            if pod.spec.preemption_policy != "Never" and len(self._preempted) < MAX_PREEMPTIONS:
                room = preemption.find(
                    to_place, self.columns, self.plugins, self.budgets, refused=verdict, tie_break=self._decisions
                )
            if isinstance(room, preemption.NoRoom):
                self._nowhere[key] = verdict.message
                continue
            for victim in room.victims:
                self.columns.remove_pod(victim.namespace, victim.name)
                self._preempted.append(f"{victim.namespace}/{victim.name}")
                waiting.extend(self._made_anew(victim.key))
            self.columns.add_pod(pod, room.node)

    def _is_for_the_scheduler(self, pod: Pod) -> bool:
        """Else what becomes of it is known."""
        if pod.spec.scheduling_gates:
            self._nowhere[_key(pod)] = GATED
        elif not pod.spec.node_name:
            return True
        elif pod.spec.node_name in self.columns.rows:
            self.columns.add_pod(pod, pod.spec.node_name)
        else:
            self._nowhere[_key(pod)] = f'node "{pod.spec.node_name}" not found: spec.nodeName names it'
        return False

    def _stage(
        self,
        title: str,
        *,
        moved: int = 0,
        down: tuple[str, ...] = (),
        running: int = 0,
    ) -> Stage:
        placed: dict[str, dict[str, int]] = {name: {} for name in self._asked}
        for key in self._pods:
            record = self.columns.pods.get(key)
            if record is not None and self._workload_of[key].asked:
                nodes = placed[self._workload_of[key].name]
                nodes[record.node] = nodes.get(record.node, 0) + 1
        refused = tuple(
            Refused(self._workload_of[key].name, "/".join(key), message) for key, message in self._nowhere.items()
        )
        preempted, self._preempted = tuple(self._preempted), []
        lost, self._lost = tuple(self._lost), []
        return Stage(title, self._use(), placed, refused, preempted, moved, lost, down, running)

    def _use(self) -> tuple[NodeUse, ...]:
        columns = self.columns
        return tuple(
            NodeUse(
                name,
                len(columns.on_row(row)),
                {resource: int(columns.requested[row, number]) for resource, number in columns.resources.items()},
                {resource: int(columns.allocatable[row, number]) for resource, number in columns.resources.items()},
            )
            for name, row in sorted(columns.rows.items())
        )


def _key(pod: Pod) -> Key:
    return (pod.metadata.namespace, pod.metadata.name)
