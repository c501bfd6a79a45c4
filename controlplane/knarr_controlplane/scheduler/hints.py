"""Which of the pods that found no place a change of nodes could help: those that fit one of these nodes now.

Most plugins judge each node by itself (``Plugin.by_node``). A pod that only such plugins have refused is tried again
when a node has changed that none of them refuses any more: not for a label where cpu is short, nor for less room than
it needs. Where there are lesser pods that may have to go for it, their room counts as free. Changes are collected
between two looks, and pods that are alike are looked at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from knarr_controlplane.scheduler import requests
from knarr_controlplane.scheduler.columns import Columns, Mask
from knarr_controlplane.scheduler.framework import ClusterEvent, Plugin, PodToPlace, named


@dataclass(frozen=True, slots=True)
class Asked:
    """A refused pod. plugins: those that judge each node by itself. alike: of pods that these can't tell apart."""

    pod: PodToPlace
    plugins: tuple[Plugin, ...]
    alike: bytes

    @classmethod
    def of(cls, pod: PodToPlace, plugins: Sequence[Plugin]) -> Asked:
        spec = pod.pod.spec
        ports = requests.host_ports(pod.pod)
        rank = (spec.priority, spec.preemption_policy, spec.scheduler_name)
        wanted = (spec.node_selector, spec.affinity, spec.tolerations, pod.requests, pod.pinned)
        return cls(pod, tuple(each for each in plugins if each.by_node), msgspec.json.encode((rank, wanted, ports)))


class Hints:
    """What has changed since the last look."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._nodes: dict[str, ClusterEvent] = {}
        self.events = ClusterEvent(0)

    def note(self, event: ClusterEvent, node: str = "") -> None:
        """node: where; empty where nodes are as they were, though other pods' neighbours may not be."""
        self.events = self.events if event in self.events else self.events | event
        if node:
            before = self._nodes.get(node)
            self._nodes[node] = event if before is None else before | event

    def take(self) -> Look:
        """What has happened until now."""
        look = Look(self._columns, self._nodes, self.events)
        self._nodes, self.events = {}, ClusterEvent(0)
        return look


class Look:
    """events: of all kinds that have happened."""

    def __init__(self, columns: Columns, nodes: dict[str, ClusterEvent], events: ClusterEvent) -> None:
        self.events = events
        self._columns = columns
        self._nodes = nodes
        self._rows: dict[ClusterEvent, Mask] = {}
        self._known: dict[tuple[ClusterEvent, bytes], bool] = {}

    def helps(self, asked: Asked, waits_for: ClusterEvent) -> bool:
        """Whether one of these events was on a node that can take the pod now."""
        key = (waits_for & self.events, asked.alike)
        if key not in self._known:
            self._known[key] = self._fits(asked, key[0])
        return self._known[key]

    def _fits(self, asked: Asked, events: ClusterEvent) -> bool:
        fitting = self._touched(events) & named(asked.pod, self._columns)
        spec = asked.pod.pod.spec
        lesser: Mask = np.zeros_like(fitting)
        if fitting.any() and spec.preemption_policy != "Never":
            lesser = self._columns.below(spec.priority or 0)[1]
        for plugin in asked.plugins:
            if not fitting.any():
                return False
            for refusal in plugin.filter(asked.pod, self._columns):
                fitting &= ~(refusal.rows & ~lesser if refusal.resolvable else refusal.rows)
        return bool(fitting.any())

    def _touched(self, events: ClusterEvent) -> Mask:
        """The rows of nodes on which one of these happened."""
        if events not in self._rows:
            mask = np.zeros(self._columns.capacity, dtype=np.bool_)
            rows = self._columns.rows
            mask[[rows[name] for name, event in self._nodes.items() if event & events and name in rows]] = True
            self._rows[events] = mask
        return self._rows[events]
