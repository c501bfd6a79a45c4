"""Placing everything, losing nodes, placing what they held again. Pure.

The decisions are the scheduler's own (:mod:`knarr_controlplane.scheduler.framework`), preemption among them, taken one
pod after the other, the more important first. What a node's loss frees is placed when all of it is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from knarr_api.types.core_v1 import Node, Pod
from knarr_controlplane.scheduler import preemption
from knarr_controlplane.scheduler.columns import Columns
from knarr_controlplane.scheduler.framework import Placed, Plugin, PodToPlace, decide
from knarr_controlplane.scheduler.preemption import Budget
from knarr_controlplane.simulate.expand import Workload

Key = tuple[str, str]
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
    placed again; lost: pods that nobody makes anew."""

    title: str
    nodes: tuple[NodeUse, ...]
    placed: Mapping[str, Mapping[str, int]]
    refused: tuple[Refused, ...]
    preempted: tuple[str, ...]
    moved: int = 0
    lost: tuple[str, ...] = ()


@dataclass(slots=True)
class Simulation:
    """plugins: the scheduler's. budgets: disruption budgets, as they are now."""

    plugins: Sequence[Plugin]
    budgets: Sequence[Budget] = ()
    columns: Columns = field(default_factory=Columns)
    _workload_of: dict[Key, Workload] = field(default_factory=dict)
    _pods: dict[Key, Pod] = field(default_factory=dict)
    _nowhere: dict[Key, str] = field(default_factory=dict)
    _preempted: list[str] = field(default_factory=list)
    _decisions: int = 0

    def add_nodes(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self.columns.set_node(node)

    def add_running(self, pods: Iterable[Pod]) -> None:
        """Pods that have a node already."""
        for pod in pods:
            self.columns.add_pod(pod, pod.spec.node_name)

    def place(self, workloads: Sequence[Workload]) -> Stage:
        """All pods of the workloads."""
        for each in workloads:
            for pod in each.pods:
                self._workload_of[_key(pod)], self._pods[_key(pod)] = each, pod
        self._place_all([pod for each in workloads for pod in each.pods])
        return self._stage("placed")

    def lose(self, node: str) -> Stage:
        """The node is gone: its pods are made anew elsewhere, as far as anybody does that."""
        row = self.columns.rows[node]
        held = [record.key for record in self.columns.on_row(row)]
        self.columns.remove_node(node)
        lost: list[str] = []
        again: list[Pod] = []
        for key in held:
            self.columns.remove_pod(*key)
            workload = self._workload_of.get(key)
            if workload is not None and workload.follows_nodes:
                del self._pods[key]
            elif workload is None or not workload.replaced:
                lost.append("/".join(key))
                self._pods.pop(key, None)
            else:
                again.append(self._pods[key])
        self._place_all([*again, *(self._pods[key] for key in tuple(self._nowhere))])
        return self._stage(f"without {node}", moved=len(again), lost=tuple(lost))

    def _place_all(self, pods: Iterable[Pod]) -> None:
        waiting = deque(sorted(pods, key=lambda pod: -(pod.spec.priority or 0)))
        while waiting:
            pod = waiting.popleft()
            key = _key(pod)
            self._nowhere.pop(key, None)
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
                if victim.key in self._pods:
                    waiting.append(self._pods[victim.key])
            self.columns.add_pod(pod, room.node)

    def _stage(self, title: str, *, moved: int = 0, lost: tuple[str, ...] = ()) -> Stage:
        placed: dict[str, dict[str, int]] = {workload.name: {} for workload in self._workload_of.values()}
        for key in self._pods:
            record = self.columns.pods.get(key)
            if record is not None:
                nodes = placed[self._workload_of[key].name]
                nodes[record.node] = nodes.get(record.node, 0) + 1
        refused = tuple(
            Refused(self._workload_of[key].name, "/".join(key), message) for key, message in self._nowhere.items()
        )
        preempted, self._preempted = tuple(self._preempted), []
        return Stage(title, self._use(), placed, refused, preempted, moved, lost)

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
