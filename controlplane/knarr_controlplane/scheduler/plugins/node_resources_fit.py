"""A node must have all that the pod asks for left; and, of those that have, the emptier ones are preferred."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from knarr_controlplane.scheduler.columns import Columns, Mask, Scores
from knarr_controlplane.scheduler.framework import MAX_SCORE, ClusterEvent, PodToPlace, Reach, Refusal
from knarr_controlplane.scheduler.requests import CPU, MEMORY, PODS, insufficient

ORDER = 30
COMMON = (CPU, MEMORY)


@dataclass(frozen=True, slots=True)
class Strategy:
    """How nodes are preferred. least: the emptier ones, else the fuller ones. resources: what counts, with weights.

    shape: instead of both, the score (0 to 1) over the share in use (0 to 1), linear between its points.
    """

    least: bool = True
    shape: tuple[tuple[float, float], ...] = ()
    resources: tuple[tuple[str, float], ...] = ((CPU, 1.0), (MEMORY, 1.0))


class NodeResourcesFit:
    """ignored, ignored_groups: extended resources that nodes need not have, by name and by what is before the slash."""

    def __init__(
        self,
        strategy: Strategy = Strategy(),
        *,
        ignored: frozenset[str] = frozenset(),
        ignored_groups: frozenset[str] = frozenset(),
    ) -> None:
        self._strategy = strategy
        self._usual = strategy.resources == Strategy().resources and not strategy.shape
        self._ignored, self._ignored_groups = ignored, ignored_groups

    name = "NodeResourcesFit"
    weight = 1.0
    by_node = True
    wakes_on = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_ALLOCATABLE | ClusterEvent.POD_REMOVED

    def reach(self, pod: PodToPlace, columns: Columns) -> Reach:
        return Reach.NODE

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        for resource, number in pod.requests.items():
            if resource in self._ignored or resource.partition("/")[0] in self._ignored_groups:
                continue
            column = columns.resource(resource)
            whole = columns.allocatable[:, column]
            short = columns.requested[:, column] + number > whole
            if not short.any():
                continue
            reason = insufficient(resource)
            never = number > whole
            if resource != PODS and never.any():
                yield Refusal(reason, never, resolvable=False)
                short &= ~never
            yield Refusal(reason, short)

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        if not self._usual:
            return self._weighed(pod, columns)
        used = used_share(pod, columns)
        mean = 0.5 * (used[:, 0] + used[:, 1])
        scores: Scores = MAX_SCORE * (1.0 - mean if self._strategy.least else mean)
        return scores

    def _weighed(self, pod: PodToPlace, columns: Columns) -> Scores | None:
        """The mean of the resources' scores by their weights; what a node does not have does not count there."""
        total, weights = np.zeros(columns.capacity), np.zeros(columns.capacity)
        for name, weight in self._strategy.resources:
            share = share_of(name, pod, columns)
            if share is None:
                continue
            counted = weight * (columns.allocatable[:, columns.resource(name)] > 0)
            if self._strategy.shape:
                shares, worth = (np.array(each) for each in zip(*self._strategy.shape, strict=True))
                value = np.interp(share, shares, worth)
                counted = counted * (value > 0)
            else:
                value = 1.0 - share if self._strategy.least else share
            total += counted * value
            weights += counted
        scores: Scores = MAX_SCORE * np.divide(total, weights, out=np.zeros_like(total), where=weights > 0)
        return scores


def share_of(name: str, pod: PodToPlace, columns: Columns) -> Scores | None:
    """Share of a resource (0 to 1) in use on each node with the pod; None for a special one it asks nothing of."""
    if name in COMMON:
        return used_share(pod, columns)[:, COMMON.index(name)]
    asked = pod.requests.get(name, 0)
    if not asked and "/" in name:
        return None
    column = columns.resource(name)
    used = (columns.requested[:, column] + asked).astype(float)
    whole = columns.allocatable[:, column].astype(float)
    share: Scores = np.clip(np.divide(used, whole, out=np.ones_like(used), where=whole > 0), 0.0, 1.0)
    return share


def used_share(pod: PodToPlace, columns: Columns) -> Scores:
    """Share of cpu and memory (two columns, 0 to 1) in use on each node once the pod is there."""
    allocatable = columns.allocatable[:, :2].astype(float)
    used = (columns.nonzero + np.array(pod.nonzero)).astype(float)
    share = np.divide(used, allocatable, out=np.ones_like(used), where=allocatable > 0)
    clipped: Scores = np.clip(share, 0.0, 1.0)
    return clipped


PLUGIN = NodeResourcesFit()
