"""Values of k8s.io.metrics.pkg.apis.custom_metrics.v1beta1.

Generated from knarr_proto/k8s/custom_metrics_v1beta1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.numbers import Int64
from knarr_api.quantity import Quantity
from knarr_api.time import keep_seconds
from knarr_api.types import core_v1, meta_v1


class MetricListOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.metrics.pkg.apis.custom_metrics.v1beta1.MetricListOptions"""

    label_selector: str = ""
    metric_label_selector: str = ""


class MetricValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.metrics.pkg.apis.custom_metrics.v1beta1.MetricValue"""

    described_object: core_v1.ObjectReference | None = None
    metric_name: str = ""
    timestamp: datetime.datetime | None = None
    window: Int64 | None = None
    value: Quantity | None = None
    selector: meta_v1.LabelSelector | None = None

    def __post_init__(self) -> None:
        if self.timestamp is not None:
            keep_seconds(self, "timestamp", self.timestamp)


class MetricValueList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.metrics.pkg.apis.custom_metrics.v1beta1.MetricValueList"""

    api_version: str = msgspec.field(default_factory=lambda: "custom.metrics.k8s.io/v1beta1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "MetricValueList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[MetricValue, ...] = ()
