"""Values of k8s.io.metrics.pkg.apis.external_metrics.v1beta1.

Generated from knarr_proto/k8s/external_metrics_v1beta1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.numbers import Int64
from knarr_api.quantity import Quantity
from knarr_api.time import keep_seconds
from knarr_api.types import meta_v1


class ExternalMetricValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.metrics.pkg.apis.external_metrics.v1beta1.ExternalMetricValue"""

    metric_name: str = ""
    metric_labels: dict[str, str] = msgspec.field(default_factory=dict)
    timestamp: datetime.datetime | None = None
    window: Int64 | None = None
    value: Quantity | None = None

    def __post_init__(self) -> None:
        if self.timestamp is not None:
            keep_seconds(self, "timestamp", self.timestamp)


class ExternalMetricValueList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.metrics.pkg.apis.external_metrics.v1beta1.ExternalMetricValueList"""

    api_version: str = msgspec.field(default_factory=lambda: "external.metrics.k8s.io/v1beta1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ExternalMetricValueList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ExternalMetricValue, ...] = ()
