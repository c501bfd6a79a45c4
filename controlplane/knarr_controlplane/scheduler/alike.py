"""Decisions for pods that are alike, as a ReplicaSet's: what the last one has not changed is not looked at again.

The verdicts are those of ``framework.decide``, one pod after the other. A plugin says how far a placed pod reaches:
most look at each node by itself, so that one node is judged anew instead of all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from knarr_api.types.core_v1 import Pod
from knarr_controlplane.scheduler.columns import Columns, Mask, Rows, Scores
from knarr_controlplane.scheduler.framework import Placed, Plugin, PodToPlace, Prepares, Reach, Scorer, best_of

MAX_NODES = 10_000
"""Kinds of nodes, by what they have left, whose worth is remembered."""


class Alike:
    """For pods like this one, until something else than their placement changes the columns."""

    def __init__(self, pod: Pod, columns: Columns, plugins: Sequence[Plugin]) -> None:
        self._first = pod
        self._pod = PodToPlace.of(pod)
        self._record = columns.records.of(pod, "")
        self._columns = columns
        self._plugins = plugins
        self._of: dict[Reach, list[Plugin]] = {}
        self._rows: Rows = np.flatnonzero(columns.present)
        """Those that can take another."""
        self._feasible: Mask = columns.present
        self._steady: Scores = np.zeros(0)
        """Of these rows the sum of the scores that pods like this one do not change."""
        self._total: Scores = np.zeros(0)
        """With those of each node by itself."""
        self._placed: int | None = None
        """Where among the rows the last one was placed."""
        self._scorers: list[tuple[float, Scorer]] = []
        """Of those who look at all nodes for each pod."""
        self._nodes: dict[bytes, float | None] = {}
        """What nodes with these resources and requests are worth by themselves; None where they are refused."""
        self._seen = -1
        """What of ``columns.changes`` this has taken in."""

    def includes(self, pod: Pod) -> bool:
        """Whether plugins can't tell it from the first but by name. Who was nominated for a node is not compared."""
        first = self._first
        return (
            (pod.spec is first.spec or pod.spec == first.spec)
            and pod.metadata.labels == first.metadata.labels
            and pod.metadata.namespace == first.metadata.namespace
            and pod.metadata.owner_references == first.metadata.owner_references
            and not pod.status.nominated_node_name
            and self._pod.pinned is None
        )

    def place(self, pod: Pod, *, tie_break: int) -> Placed | None:
        """Decide, and count the pod where it goes; None where none or no choice is left: ``decide`` says why."""
        columns = self._columns
        if self._seen != columns.changes:
            self._look()
        if len(self._rows) < 2:
            return None
        total = self._total
        for weight, scorer in self._scorers:
            scores = scorer(self._placed)
            if scores is not None:
                total = total + weight * scores
        placed = best_of(total, self._rows, columns, tie_break=tie_break)
        metadata, before = pod.metadata, columns.changes
        made = metadata.creation_timestamp
        columns.put_back(
            replace(
                self._record,
                name=metadata.name,
                uid=metadata.uid,
                node=placed.node,
                row=columns.rows[placed.node],
                started_s=made.timestamp() if made is not None else 0.0,
            )
        )
        if columns.changes == before + 1:
            self._look_at(columns.rows[placed.node])
        return placed

    def _look(self) -> None:
        """At everything."""
        columns = self._columns
        self._of = {reach: [] for reach in Reach}
        for plugin in self._plugins:
            self._of[plugin.reach(self._pod, columns)].append(plugin)
        self._feasible = columns.present & ~self._refused(columns, *Reach)
        self._rows = np.flatnonzero(self._feasible)
        self._seen = columns.changes
        if not len(self._rows):
            return
        self._steady = self._sum(Reach.NOTHING, columns, self._feasible)[self._rows]
        self._total = self._steady + self._sum(Reach.NODE, columns, self._feasible)[self._rows]
        self._placed = None
        self._scorers = [(plugin.weight, self._scorer(plugin)) for plugin in self._of[Reach.ALL] if plugin.weight]

    def _look_at(self, row: int) -> None:
        """At the node that a pod was placed on, and whether any node can't take another now: then scores that compare
        nodes may be others as well, and all is looked at again."""
        worth = self._worth(row)
        if worth is None or self._others_refuse():
            return
        self._placed = int(self._rows.searchsorted(row))
        self._total[self._placed] = self._steady[self._placed] + worth
        self._seen = self._columns.changes

    def _worth(self, row: int) -> float | None:
        """Of a node by itself: the same for all that have the same and of which the same is asked."""
        columns = self._columns
        key = b"".join(part[row].tobytes() for part in (columns.allocatable, columns.requested, columns.nonzero))
        if key not in self._nodes:
            node = columns.only(row)
            refused = self._refused(node, Reach.NODE).any()
            if len(self._nodes) >= MAX_NODES:
                self._nodes.clear()
            self._nodes[key] = None if refused else float(self._sum(Reach.NODE, node, node.present)[0])
        return self._nodes[key]

    def _others_refuse(self) -> bool:
        return any(
            (refusal.rows & self._feasible).any()
            for plugin in self._of[Reach.ALL]
            for refusal in plugin.filter(self._pod, self._columns)
        )

    def _refused(self, columns: Columns, *reaches: Reach) -> Mask:
        refused = np.zeros(columns.capacity, dtype=np.bool_)
        for reach in reaches:
            for plugin in self._of[reach]:
                for refusal in plugin.filter(self._pod, columns):
                    refused |= refusal.rows
        return refused

    def _sum(self, reach: Reach, columns: Columns, feasible: Mask) -> Scores:
        total = np.zeros(columns.capacity)
        for plugin in self._of[reach]:
            scores = plugin.score(self._pod, columns, feasible) if plugin.weight else None
            if scores is not None:
                total += plugin.weight * scores
        return total

    def _scorer(self, plugin: Plugin) -> Scorer:
        pod, columns, feasible, rows = self._pod, self._columns, self._feasible, self._rows
        found = plugin.prepare(pod, columns, rows) if isinstance(plugin, Prepares) else None
        if found is not None:
            return found

        def score(placed: int | None) -> Scores | None:
            scores = plugin.score(pod, columns, feasible)
            return scores[rows] if scores is not None else None

        return score
