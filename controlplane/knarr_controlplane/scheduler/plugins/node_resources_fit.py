"""A node must have all that the pod asks for left; and, of those that have, the emptier ones are preferred."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from knarr_controlplane.scheduler.columns import Columns, Mask, Scores
from knarr_controlplane.scheduler.framework import MAX_SCORE, ClusterEvent, PodToPlace, Reach, Refusal
from knarr_controlplane.scheduler.requests import PODS, insufficient

ORDER = 30


class NodeResourcesFit:
    """Scores by least allocated: the mean share of cpu and memory that would be left; with ``most`` by what is used, so
    that nodes are filled one after the other."""

    def __init__(self, *, most: bool = False) -> None:
        self._most = most

    name = "NodeResourcesFit"
    weight = 1.0
    by_node = True
    wakes_on = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_ALLOCATABLE | ClusterEvent.POD_REMOVED

    def reach(self, pod: PodToPlace, columns: Columns) -> Reach:
        return Reach.NODE

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        for resource, number in pod.requests.items():
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
        used = used_share(pod, columns)
        mean = 0.5 * (used[:, 0] + used[:, 1])
        scores: Scores = MAX_SCORE * (mean if self._most else 1.0 - mean)
        return scores


def used_share(pod: PodToPlace, columns: Columns) -> Scores:
    """Share of cpu and memory (two columns, 0 to 1) in use on each node once the pod is there."""
    allocatable = columns.allocatable[:, :2].astype(float)
    used = (columns.nonzero + np.array(pod.nonzero)).astype(float)
    share = np.divide(used, allocatable, out=np.ones_like(used), where=allocatable > 0)
    clipped: Scores = np.clip(share, 0.0, 1.0)
    return clipped


PLUGIN = NodeResourcesFit()
