"""Prefers nodes whose cpu and memory would be used to about the same share, so that neither is left over.

What counts is what pods ask for; one that asks for nothing changes nothing. Source: Kubernetes "Scheduling Plugins".
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from knarr_controlplane.scheduler.columns import Columns, Mask, Scores
from knarr_controlplane.scheduler.framework import MAX_SCORE, ClusterEvent, PodToPlace, Reach, Refusal
from knarr_controlplane.scheduler.requests import CPU, MEMORY

ORDER = 31


class NodeResourcesBalancedAllocation:
    """resources: those that are compared."""

    def __init__(self, resources: tuple[str, ...] = (CPU, MEMORY)) -> None:
        self._resources = resources

    name = "NodeResourcesBalancedAllocation"
    weight = 1.0
    by_node = True
    wakes_on = ClusterEvent(0)

    def reach(self, pod: PodToPlace, columns: Columns) -> Reach:
        return Reach.NODE

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        return iter(())

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        if self._resources != (CPU, MEMORY):
            return self._compared(pod, columns)
        asked = np.array([pod.requests.get(resource, 0) for resource in (CPU, MEMORY)])
        if not asked.any():
            return None
        allocatable = columns.allocatable[:, :2]
        used = (columns.requested[:, :2] + asked).astype(float)
        share = np.clip(np.divide(used, allocatable, out=np.zeros_like(used), where=allocatable > 0), 0.0, 1.0)
        both = (allocatable > 0).all(axis=1)
        # The standard deviation of two numbers is half of what they differ by.
        scores: Scores = MAX_SCORE * (1.0 - both * (0.5 * np.abs(share[:, 0] - share[:, 1])))
        return scores

    def _compared(self, pod: PodToPlace, columns: Columns) -> Scores | None:
        """By the standard deviation of the shares in use of what each node has."""
        names = [name for name in self._resources if "/" not in name or pod.requests.get(name)]
        asked = np.array([pod.requests.get(name, 0) for name in names])
        if not asked.any():
            return None
        columns_ = [columns.resource(name) for name in names]
        whole = columns.allocatable[:, columns_]
        used = (columns.requested[:, columns_] + asked).astype(float)
        there = whole > 0
        share = np.clip(np.divide(used, whole, out=np.zeros_like(used), where=there), 0.0, 1.0)
        number = np.maximum(there.sum(axis=1), 1)
        mean = share.sum(axis=1) / number
        deviation = np.sqrt((((share - mean[:, None]) ** 2) * there).sum(axis=1) / number)
        scores: Scores = MAX_SCORE * (1.0 - deviation)
        return scores


PLUGIN = NodeResourcesBalancedAllocation()
