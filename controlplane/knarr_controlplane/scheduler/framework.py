"""What a scheduling plugin is, and the decision made of all of them.

A plugin is one file in ``plugins/`` with a module constant ``PLUGIN``. It may refuse nodes (``filter``), prefer some
(``score``), or both, always for all nodes at once. Deciding is pure: columns in, verdict out.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np

from knarr_api.types.core_v1 import Pod
from knarr_controlplane.scheduler import pinning, requests
from knarr_controlplane.scheduler.columns import Columns, Mask, Rows, Scores

MAX_SCORE = 100.0
PINNED_ELSEWHERE = f"node(s) didn't satisfy plugin(s) [{pinning.PLUGIN}]"


class ClusterEvent(enum.Flag):
    """Changes that can make a refused pod fit."""

    NODE_ADDED = enum.auto()
    NODE_ALLOCATABLE = enum.auto()
    NODE_LABELS = enum.auto()
    NODE_TAINTS = enum.auto()
    POD_REMOVED = enum.auto()
    POD_ADDED = enum.auto()
    NODE_REMOVED = enum.auto()
    ANY = NODE_ADDED | NODE_ALLOCATABLE | NODE_LABELS | NODE_TAINTS | POD_REMOVED | POD_ADDED | NODE_REMOVED


@dataclass(frozen=True, slots=True)
class PodToPlace:
    """A pod with what every plugin needs of it worked out once."""

    pod: Pod
    requests: dict[str, int]
    nonzero: tuple[int, int]
    pinned: frozenset[str] | None = None
    """The only nodes it may go to, by name, where it says so; what DaemonSets' pods do."""

    @classmethod
    def of(cls, pod: Pod) -> PodToPlace:
        return cls(
            pod=pod,
            requests=requests.of_pod(pod),
            nonzero=requests.nonzero_of_pod(pod),
            pinned=pinning.names(pod.spec),
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nodes that can't take the pod, and why: "Insufficient cpu". resolvable: perhaps they could if other pods went."""

    reason: str
    rows: Mask
    resolvable: bool = True


class Reach(enum.Enum):
    """What a pod that is placed can change in a plugin's judgement of another like it."""

    NOTHING = enum.auto()
    NODE = enum.auto()
    """That of the pod's node; each is looked at by itself, and at nothing of it that pods change but its columns
    ``requested`` and ``nonzero``."""
    ALL = enum.auto()


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

    @property
    def by_node(self) -> bool:
        """Whether it judges each node by itself: see ``hints``."""
        ...

    def reach(self, pod: PodToPlace, columns: Columns) -> Reach:
        """See ``alike``. Asked again when anything else than pods like this one has changed."""
        ...

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        """Each reason with the rows it holds for. Rows of nodes that are not there may hold anything.

        Only a reason that adds to another (cpu, and memory) is given for the same row twice.
        """
        ...

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        """Per row 0 to MAX_SCORE, or None where the plugin has no preference for this pod."""
        ...


Scorer = Callable[[int | None], Scores | None]
"""Of the feasible rows alone, in their order. Given the place among them of the pod that was placed since it was asked
last; None at first."""


@runtime_checkable
class Prepares(Protocol):
    """A plugin that can work out once what stays the same while pods like one are placed."""

    def prepare(self, pod: PodToPlace, columns: Columns, rows: Rows) -> Scorer | None:
        """Gives what ``score`` would for the feasible rows, until anything but pods like this one has changed; None
        where it can't."""
        ...


@dataclass(frozen=True, slots=True)
class Judged:
    """A plugin that refuses what it once refused, and prefers nothing."""

    name: str
    wakes_on: ClusterEvent
    by_node: bool
    refusals: tuple[Refusal, ...]
    weight: float = 0.0

    @classmethod
    def of(cls, plugin: Plugin, pod: PodToPlace, columns: Columns) -> Judged:
        return cls(plugin.name, plugin.wakes_on, plugin.by_node, tuple(plugin.filter(pod, columns)))

    def reach(self, pod: PodToPlace, columns: Columns) -> Reach:
        return Reach.NOTHING

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        return iter(self.refusals)

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        return None


class Placed(msgspec.Struct, frozen=True):
    node: str
    score: float
    feasible: int


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """No node fits. reasons: how many nodes were refused for each reason; plugins: who refused any.

    perhaps: rows that could take the pod if others went. whole: what is wrong whatever the node.
    """

    nodes: int
    reasons: tuple[tuple[str, int], ...]
    plugins: frozenset[str]
    perhaps: Mask = field(default_factory=lambda: np.zeros(0, dtype=np.bool_), compare=False)
    whole: str = ""

    @property
    def message(self) -> str:
        """``0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.``"""
        if not self.nodes:
            return "no nodes available to schedule pods"
        return told(self.nodes, dict(self.reasons), self.whole)


def told(nodes: int, reasons: Mapping[str, int], whole: str = "") -> str:
    """Why none of the nodes will do, as Kubernetes puts it."""
    listed = whole or ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    return f"0/{nodes} nodes are available: {listed}." if listed else f"0/{nodes} nodes are available:"


def verdicts(pod: PodToPlace, columns: Columns, plugins: Sequence[Plugin]) -> dict[str, tuple[str, ...]]:
    """For every node, by name, why it can't take the pod; nothing for one that can."""
    reasons: dict[int, list[str]] = {row: [] for row in columns.rows.values()}
    for row in np.flatnonzero(columns.present & ~named(pod, columns)):
        reasons[int(row)].append(PINNED_ELSEWHERE)
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
    feasible, nodes = columns.present.copy(), len(columns.rows)
    perhaps = np.zeros_like(feasible)
    reasons: Counter[str] = Counter()
    refusing: set[str] = set()
    if pod.pinned is not None:
        if not pod.pinned:
            return Unschedulable(nodes, (), frozenset((pinning.PLUGIN,)), perhaps, pinning.CONFLICT)
        here = named(pod, columns)
        if elsewhere := int((feasible & ~here).sum()):
            reasons[PINNED_ELSEWHERE] = elsewhere
            refusing.add(pinning.PLUGIN)
        feasible &= here
    for plugin in plugins:
        if not feasible.any():
            break
        refused: Mask | None = None
        hopeless: Mask | None = None
        for refusal in plugin.filter(pod, columns):
            newly = refusal.rows & feasible
            count = int(newly.sum())
            if count:
                reasons[refusal.reason] += count
                refusing.add(plugin.name)
                refused = newly if refused is None else refused | newly
                if not refusal.resolvable:
                    hopeless = newly if hopeless is None else hopeless | newly
        if refused is not None:
            feasible &= ~refused
            perhaps |= refused if hopeless is None else refused & ~hopeless
    rows = np.flatnonzero(feasible)
    if not len(rows):
        return Unschedulable(nodes, tuple(sorted(reasons.items())), frozenset(refusing), perhaps)
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
    return best_of(total[rows], rows, columns, tie_break=tie_break)


def best_of(scores: Scores, rows: Rows, columns: Columns, *, tie_break: int) -> Placed:
    """Of these rows, with a score each, the node with the highest."""
    best = scores.max()
    candidates = (scores >= best - 1e-9).nonzero()[0]
    row = rows[candidates[tie_break % len(candidates)]]
    return Placed(node=columns.names[row], score=float(best), feasible=len(rows))


def named(pod: PodToPlace, columns: Columns) -> Mask:
    """The rows of the nodes it is pinned to; all rows where it is not."""
    if pod.pinned is None:
        return np.ones(columns.capacity, dtype=np.bool_)
    here = np.zeros(columns.capacity, dtype=np.bool_)
    here[[columns.rows[name] for name in pod.pinned if name in columns.rows]] = True
    return here
