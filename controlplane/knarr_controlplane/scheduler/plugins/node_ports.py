"""Ports of the node: two pods of one node can't have the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from knarr_controlplane.scheduler.columns import Columns, Mask, Scores
from knarr_controlplane.scheduler.framework import ClusterEvent, PodToPlace, Reach, Refusal
from knarr_controlplane.scheduler.records import WITH_PORTS, CountKey, PodRecord
from knarr_controlplane.scheduler.requests import HostPort, host_ports

ORDER = 25


class NodePorts:
    name = "NodePorts"
    weight = 0.0
    by_node = True
    wakes_on = ClusterEvent.NODE_ADDED | ClusterEvent.POD_REMOVED

    def reach(self, pod: PodToPlace, columns: Columns) -> Reach:
        return Reach.ALL if host_ports(pod.pod) else Reach.NOTHING

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        taken = np.zeros(columns.capacity, dtype=np.bool_)
        for port in host_ports(pod.pod):
            key = CountKey(WITH_PORTS, f"{port.protocol} {port.ip} {port.port}", terminating=True)
            taken |= columns.counts(key, _taking(port)) > 0
        if taken.any():
            yield Refusal("node(s) didn't have free ports for the requested pod ports", taken)

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        return None


def _taking(port: HostPort) -> Callable[[PodRecord], bool]:
    return lambda record: any(port.excludes(other) for other in record.host_ports)


PLUGIN = NodePorts()
