"""Values of k8s.io.api.autoscaling.v2.

Generated from knarr_proto/k8s/autoscaling_v2.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.numbers import Int32, Int64
from knarr_api.quantity import Quantity
from knarr_api.time import keep_seconds
from knarr_api.types import meta_v1


class ContainerResourceMetricSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v2.ContainerResourceMetricSource"""

    name: str = ""
    target: MetricTarget | None = None
    container: str = ""


class ContainerResourceMetricStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v2.ContainerResourceMetricStatus"""

    name: str = ""
    current: MetricValueStatus | None = None
    container: str = ""


class CrossVersionObjectReference(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.autoscaling.v2.CrossVersionObjectReference"""

    kind: str = ""
    name: str = ""
    api_version: str = ""


class ExternalMetricSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v2.ExternalMetricSource"""

    metric: MetricIdentifier | None = None
    target: MetricTarget | None = None


class ExternalMetricStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v2.ExternalMetricStatus"""

    metric: MetricIdentifier | None = None
    current: MetricValueStatus | None = None


class HPAScalingPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v2.HPAScalingPolicy"""

    type: str = ""
    value: Int32 | None = None
    period_seconds: Int32 | None = None


class HPAScalingRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v2.HPAScalingRules"""

    select_policy: str = ""
    policies: tuple[HPAScalingPolicy, ...] = ()
    stabilization_window_seconds: Int32 | None = None
    tolerance: Quantity | None = None


class HorizontalPodAutoscalerSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.autoscaling.v2.HorizontalPodAutoscalerSpec"""

    scale_target_ref: CrossVersionObjectReference | None = None
    min_replicas: Int32 | None = None
    max_replicas: Int32 | None = None
    metrics: tuple[MetricSpec, ...] = ()
    behavior: HorizontalPodAutoscalerBehavior | None = None


class HorizontalPodAutoscalerStatus(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.autoscaling.v2.HorizontalPodAutoscalerStatus"""

    observed_generation: Int64 | None = None
    last_scale_time: datetime.datetime | None = None
    current_replicas: Int32 | None = None
    desired_replicas: Int32 | None = None
    current_metrics: tuple[MetricStatus, ...] = ()
    conditions: tuple[HorizontalPodAutoscalerCondition, ...] = ()

    def __post_init__(self) -> None:
        if self.last_scale_time is not None:
            keep_seconds(self, "last_scale_time", self.last_scale_time)


class HorizontalPodAutoscaler(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v2.HorizontalPodAutoscaler"""

    api_version: str = msgspec.field(default_factory=lambda: "autoscaling/v2", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "HorizontalPodAutoscaler")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: HorizontalPodAutoscalerSpec = HorizontalPodAutoscalerSpec()
    status: HorizontalPodAutoscalerStatus = HorizontalPodAutoscalerStatus()


class HorizontalPodAutoscalerBehavior(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.autoscaling.v2.HorizontalPodAutoscalerBehavior"""

    scale_up: HPAScalingRules | None = None
    scale_down: HPAScalingRules | None = None


class HorizontalPodAutoscalerCondition(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.autoscaling.v2.HorizontalPodAutoscalerCondition"""

    type: str = ""
    status: str = ""
    last_transition_time: datetime.datetime | None = None
    reason: str = ""
    message: str = ""
    observed_generation: Int64 | None = None

    def __post_init__(self) -> None:
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class HorizontalPodAutoscalerList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v2.HorizontalPodAutoscalerList"""

    api_version: str = msgspec.field(default_factory=lambda: "autoscaling/v2", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "HorizontalPodAutoscalerList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[HorizontalPodAutoscaler, ...] = ()


class MetricIdentifier(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v2.MetricIdentifier"""

    name: str = ""
    selector: meta_v1.LabelSelector | None = None


class MetricSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v2.MetricSpec"""

    type: str = ""
    object: ObjectMetricSource | None = None
    pods: PodsMetricSource | None = None
    resource: ResourceMetricSource | None = None
    external: ExternalMetricSource | None = None
    container_resource: ContainerResourceMetricSource | None = None


class MetricStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v2.MetricStatus"""

    type: str = ""
    object: ObjectMetricStatus | None = None
    pods: PodsMetricStatus | None = None
    resource: ResourceMetricStatus | None = None
    external: ExternalMetricStatus | None = None
    container_resource: ContainerResourceMetricStatus | None = None


class MetricTarget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v2.MetricTarget"""

    type: str = ""
    value: Quantity | None = None
    average_value: Quantity | None = None
    average_utilization: Int32 | None = None


class MetricValueStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v2.MetricValueStatus"""

    value: Quantity | None = None
    average_value: Quantity | None = None
    average_utilization: Int32 | None = None


class ObjectMetricSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v2.ObjectMetricSource"""

    described_object: CrossVersionObjectReference | None = None
    target: MetricTarget | None = None
    metric: MetricIdentifier | None = None


class ObjectMetricStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v2.ObjectMetricStatus"""

    metric: MetricIdentifier | None = None
    current: MetricValueStatus | None = None
    described_object: CrossVersionObjectReference | None = None


class PodsMetricSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v2.PodsMetricSource"""

    metric: MetricIdentifier | None = None
    target: MetricTarget | None = None


class PodsMetricStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v2.PodsMetricStatus"""

    metric: MetricIdentifier | None = None
    current: MetricValueStatus | None = None


class ResourceMetricSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v2.ResourceMetricSource"""

    name: str = ""
    target: MetricTarget | None = None


class ResourceMetricStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v2.ResourceMetricStatus"""

    name: str = ""
    current: MetricValueStatus | None = None
