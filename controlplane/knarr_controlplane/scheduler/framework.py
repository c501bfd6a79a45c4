"""What a scheduling plugin is, and the decision made of all of them.

A plugin is one file in ``plugins/`` with a module constant ``PLUGIN``. It may refuse nodes (``filter``), prefer some
(``score``), or both, always for all nodes at once. Deciding is pure: columns in, verdict out.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from knarr_api.types.core_v1 import Pod
from knarr_controlplane.scheduler import requests
from knarr_controlplane.scheduler.columns import Columns, Mask, Scores

MAX_SCORE = 100.0


class ClusterEvent(enum.Flag):
    """Changes that can make a refused pod fit."""

    NODE_ADDED = enum.auto()
    NODE_ALLOCATABLE = enum.auto()
    NODE_LABELS = enum.auto()
    NODE_TAINTS = enum.auto()
    POD_REMOVED = enum.auto()
    POD_ADDED = enum.auto()
    ANY = NODE_ADDED | NODE_ALLOCATABLE | NODE_LABELS | NODE_TAINTS | POD_REMOVED | POD_ADDED


@dataclass(frozen=True, slots=True)
class PodToPlace:
    """A pod with what every plugin needs of it worked out once."""

    pod: Pod
    requests: dict[str, int]
    nonzero: tuple[int, int]

    @classmethod
    def of(cls, pod: Pod) -> PodToPlace:
        return cls(pod=pod, requests=requests.of_pod(pod), nonzero=requests.nonzero_of_pod(pod))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nodes that can't take the pod, and why: "insufficient cpu". resolvable: perhaps they could if other pods went."""

    reason: str
    rows: Mask
    resolvable: bool = True


class Plugin(Protocol):
    """See the module's text. ``name`` is the one Kubernetes gives it."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float:
        """Of its scores; 0 for a plugin that only filters."""
        ...

    @property
    def wakes_on(self) -> ClusterEvent:
        """What can make a pod fit that this plugin refused."""
        ...

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        """Each reason with the rows it holds for. Rows of nodes that are not there may hold anything."""
        ...

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        """Per row 0 to MAX_SCORE, or None where the plugin has no preference for this pod."""
        ...


@dataclass(frozen=True, slots=True)
class Placed:
    node: str
    score: float
    feasible: int


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """No node fits. reasons: how many nodes were refused for each reason; plugins: who refused any."""

    nodes: int
    reasons: tuple[tuple[str, int], ...]
    plugins: frozenset[str]

    @property
    def message(self) -> str:
        """``0/3 nodes are available: 2 insufficient cpu, 1 had untolerated taint {…}.``"""
        if not self.nodes:
            return "no nodes available to schedule pods"
        listed = ", ".join(f"{count} {reason}" for reason, count in self.reasons)
        return f"0/{self.nodes} nodes are available: {listed}."


def verdicts(pod: PodToPlace, columns: Columns, plugins: Sequence[Plugin]) -> dict[str, tuple[str, ...]]:
    """For every node, by name, why it can't take the pod; nothing for one that can."""
    reasons: dict[int, list[str]] = {row: [] for row in columns.rows.values()}
    for plugin in plugins:
        for refusal in plugin.filter(pod, columns):
            for row in np.flatnonzero(refusal.rows & columns.present):
                reasons[int(row)].append(refusal.reason)
    return {columns.names[row]: tuple(dict.fromkeys(texts)) for row, texts in reasons.items()}


def decide(
    pod: PodToPlace, columns: Columns, plugins: Sequence[Plugin], *, tie_break: int, first: str = ""
) -> Placed | Unschedulable:
    """Where the pod should go. Of equally good nodes the ``tie_break``-th, counted around.

    A node counts with the reasons of the first plugin that refuses it (which may be several: cpu and memory). first: a
    node that is taken without comparing if it can take the pod.
    """
    feasible = columns.present.copy()
    nodes = int(feasible.sum())
    reasons: Counter[str] = Counter()
    refusing: set[str] = set()
    for plugin in plugins:
        refused: Mask | None = None
        for refusal in plugin.filter(pod, columns):
            newly = refusal.rows & feasible
            count = int(newly.sum())
            if count:
                reasons[refusal.reason] += count
                refusing.add(plugin.name)
                refused = newly if refused is None else refused | newly
        if refused is not None:
            feasible &= ~refused
            if not feasible.any():
                break
    rows = np.flatnonzero(feasible)
    if not len(rows):
        ordered = tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
        return Unschedulable(nodes=nodes, reasons=ordered, plugins=frozenset(refusing))
    preferred = columns.rows.get(first, -1)
    if preferred >= 0 and feasible[preferred]:
        return Placed(node=first, score=0.0, feasible=len(rows))
    if len(rows) == 1:
        return Placed(node=columns.names[int(rows[0])], score=0.0, feasible=1)
    total = np.zeros(columns.capacity)
    for plugin in plugins:
        if plugin.weight:
            scores = plugin.score(pod, columns, feasible)
            if scores is not None:
                total += plugin.weight * scores
    best = total[rows].max()
    candidates = rows[total[rows] >= best - 1e-9]
    row = int(candidates[tie_break % len(candidates)])
    return Placed(node=columns.names[row], score=float(best), feasible=len(rows))
