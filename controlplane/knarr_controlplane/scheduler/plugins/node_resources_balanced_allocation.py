"""Prefers nodes whose cpu and memory would be used to about the same share, so that neither is left over."""

from __future__ import annotations

from collections.abc import Iterator

from knarr_controlplane.scheduler.columns import Columns, Mask, Scores
from knarr_controlplane.scheduler.framework import MAX_SCORE, ClusterEvent, PodToPlace, Refusal
from knarr_controlplane.scheduler.plugins.node_resources_fit import used_share

ORDER = 31


class NodeResourcesBalancedAllocation:
    name = "NodeResourcesBalancedAllocation"
    weight = 1.0
    wakes_on = ClusterEvent(0)

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        return iter(())

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        scores: Scores = MAX_SCORE * (1.0 - used_share(pod, columns).std(axis=1))
        return scores


PLUGIN = NodeResourcesBalancedAllocation()
