"""What nodes and pods use, as their agents said last: NodeMetrics and PodMetrics of metrics.k8s.io.

Nothing of it is stored. Known is what agents report that are connected to this process, and what other control planes
have been told; what is older than ``FRESH_S`` is left out.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from knarr_api import kinds
from knarr_api.kinds import Kind
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import Node, Pod
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_api.types.metrics_v1beta1 import ContainerMetrics, NodeMetrics, PodMetrics
from knarr_controlplane.cache import entries
from knarr_controlplane.cache.changes import Filter
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.cache.watch_cache import WatchCache

NODE, POD = kinds.of(Node), kinds.of(Pod)
NODE_METRICS, POD_METRICS = kinds.of(NodeMetrics), kinds.of(PodMetrics)
FRESH_S = 90.0


@dataclass(frozen=True, slots=True)
class _Report:
    """usage: a ``knarr.v1.Usage``."""

    at: datetime.datetime
    usage: Any


class Usages:
    """cache: where labels and the pods that still exist are looked up."""

    def __init__(self, cache: WatchCache, now: Callable[[], datetime.datetime]) -> None:
        self._cache = cache
        self._now = now
        self._reports: dict[str, _Report] = {}
        """By node."""

    def report(self, node: str, usage: Any, *, age_s: float = 0.0) -> None:
        """What an agent says (``knarr.v1.Usage``), or said so long ago; it replaces what it said before.

        What seems to come from the future was reported before the clock was set back: it is older than anything.
        """
        now = self._now()
        at = now - datetime.timedelta(seconds=age_s)
        present = self._reports.get(node)
        if present is None or present.at < at or present.at > now or not age_s:
            self._reports[node] = _Report(at, usage)

    def reported(self) -> tuple[tuple[str, float, Any], ...]:
        """Each node's name, the age of its report in seconds, and the report."""
        now = self._now()
        return tuple(
            (node, max(0.0, (now - each.at).total_seconds()), each.usage) for node, each in self._reports.items()
        )

    def forget(self, node: str) -> None:
        self._reports.pop(node, None)

    def get(self, kind: Kind, key: str) -> CacheEntry | None:
        return next((entry for entry in self._all(kind) if entry.key == key), None)

    def select(self, kind: Kind, filter_: Filter) -> tuple[CacheEntry, ...]:
        """In key order."""
        found = (entry for entry in self._all(kind, filter_.namespace) if filter_.admits(entry))
        return tuple(sorted(found, key=lambda entry: entry.key))

    def _all(self, kind: Kind, namespace: str = "") -> Iterator[CacheEntry]:
        oldest = self._now() - datetime.timedelta(seconds=FRESH_S)
        for name, report in self._reports.items():
            if report.at < oldest:
                continue
            if kind is NODE_METRICS:
                yield from self._node(name, report)
            else:
                yield from self._pods(name, report, namespace)

    def _node(self, name: str, report: _Report) -> Iterator[CacheEntry]:
        node = self._cache.get(NODE, NODE.key("", name))
        if node is not None:
            metrics = NodeMetrics(
                metadata=self._metadata(node),
                timestamp=report.at,
                window=_window(report.usage),
                usage=_amounts(report.usage.node),
            )
            yield entries.make(NODE_METRICS, NODE_METRICS.key("", name), metrics, 0)

    def _pods(self, node: str, report: _Report, namespace: str) -> Iterator[CacheEntry]:
        for usage in report.usage.pods:
            if namespace and usage.namespace != namespace:
                continue
            pod = self._cache.get(POD, POD.key(usage.namespace, usage.name))
            if pod is None or pod.uid != usage.uid or pod.read("spec.nodeName") != node:
                continue
            metrics = PodMetrics(
                metadata=self._metadata(pod),
                timestamp=report.at,
                window=_window(report.usage),
                containers=tuple(
                    ContainerMetrics(name=each.name, usage=_amounts(each.amounts)) for each in usage.containers
                ),
            )
            yield entries.make(POD_METRICS, POD_METRICS.key(usage.namespace, usage.name), metrics, 0)

    def _metadata(self, entry: CacheEntry) -> ObjectMeta:
        return ObjectMeta(
            name=entry.name,
            namespace=entry.namespace,
            labels=dict(entry.labels),
            creation_timestamp=self._now().replace(microsecond=0),
        )


def _window(usage: Any) -> str:
    return f"{usage.window_ms / 1000:.3f}s"


def _amounts(amounts: Any) -> dict[str, Quantity]:
    return {
        "cpu": Quantity(f"{amounts.cpu_nano_cores}n"),
        "memory": Quantity(f"{amounts.memory_bytes // 1024}Ki"),
    }
