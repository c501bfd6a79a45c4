"""Nodes that were cordoned take no new pods, unless the pod tolerates it."""

from __future__ import annotations

from collections.abc import Iterator

from knarr_api.types.core_v1 import Taint
from knarr_controlplane.scheduler.columns import Columns, Mask, Scores
from knarr_controlplane.scheduler.framework import ClusterEvent, PodToPlace, Reach, Refusal
from knarr_controlplane.scheduler.tolerations import tolerated

ORDER = 0
CORDON = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")


class NodeUnschedulable:
    name = "NodeUnschedulable"
    weight = 0.0
    by_node = True
    wakes_on = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_TAINTS

    def reach(self, pod: PodToPlace, columns: Columns) -> Reach:
        return Reach.NOTHING

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        if columns.unschedulable.any() and not tolerated(CORDON, pod.pod.spec.tolerations):
            yield Refusal("node(s) were unschedulable", columns.unschedulable, resolvable=False)

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        return None


PLUGIN = NodeUnschedulable()
