"""Values of k8s.io.metrics.pkg.apis.metrics.v1beta1.

Generated from knarr_proto/k8s/metrics_v1beta1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.quantity import Quantity
from knarr_api.time import keep_seconds
from knarr_api.types import meta_v1


class ContainerMetrics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.metrics.pkg.apis.metrics.v1beta1.ContainerMetrics"""

    name: str = ""
    usage: dict[str, Quantity] = msgspec.field(default_factory=dict)


class NodeMetrics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.metrics.pkg.apis.metrics.v1beta1.NodeMetrics"""

    api_version: str = msgspec.field(default_factory=lambda: "metrics.k8s.io/v1beta1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "NodeMetrics")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    timestamp: datetime.datetime | None = None
    window: str | None = None
    usage: dict[str, Quantity] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.timestamp is not None:
            keep_seconds(self, "timestamp", self.timestamp)


class NodeMetricsList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.metrics.pkg.apis.metrics.v1beta1.NodeMetricsList"""

    api_version: str = msgspec.field(default_factory=lambda: "metrics.k8s.io/v1beta1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "NodeMetricsList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[NodeMetrics, ...] = ()


class PodMetrics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.metrics.pkg.apis.metrics.v1beta1.PodMetrics"""

    api_version: str = msgspec.field(default_factory=lambda: "metrics.k8s.io/v1beta1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PodMetrics")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    timestamp: datetime.datetime | None = None
    window: str | None = None
    containers: tuple[ContainerMetrics, ...] = ()

    def __post_init__(self) -> None:
        if self.timestamp is not None:
            keep_seconds(self, "timestamp", self.timestamp)


class PodMetricsList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.metrics.pkg.apis.metrics.v1beta1.PodMetricsList"""

    api_version: str = msgspec.field(default_factory=lambda: "metrics.k8s.io/v1beta1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PodMetricsList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[PodMetrics, ...] = ()
