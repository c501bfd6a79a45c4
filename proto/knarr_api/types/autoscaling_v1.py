"""Values of k8s.io.api.autoscaling.v1.

Generated from knarr_proto/k8s/autoscaling_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.numbers import Int32, Int64
from knarr_api.quantity import Quantity
from knarr_api.time import keep_seconds
from knarr_api.types import meta_v1


class ContainerResourceMetricSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.autoscaling.v1.ContainerResourceMetricSource"""

    name: str = ""
    target_average_utilization: Int32 | None = None
    target_average_value: Quantity | None = None
    container: str = ""


class ContainerResourceMetricStatus(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.autoscaling.v1.ContainerResourceMetricStatus"""

    name: str = ""
    current_average_utilization: Int32 | None = None
    current_average_value: Quantity | None = None
    container: str = ""


class CrossVersionObjectReference(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.autoscaling.v1.CrossVersionObjectReference"""

    kind: str = ""
    name: str = ""
    api_version: str = ""


class ExternalMetricSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v1.ExternalMetricSource"""

    metric_name: str = ""
    metric_selector: meta_v1.LabelSelector | None = None
    target_value: Quantity | None = None
    target_average_value: Quantity | None = None


class ExternalMetricStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v1.ExternalMetricStatus"""

    metric_name: str = ""
    metric_selector: meta_v1.LabelSelector | None = None
    current_value: Quantity | None = None
    current_average_value: Quantity | None = None


class HorizontalPodAutoscalerSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.autoscaling.v1.HorizontalPodAutoscalerSpec"""

    scale_target_ref: CrossVersionObjectReference | None = None
    min_replicas: Int32 | None = None
    max_replicas: Int32 | None = None
    target_cpu_utilization_percentage: Int32 | None = msgspec.field(default=None, name="targetCPUUtilizationPercentage")


class HorizontalPodAutoscalerStatus(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.autoscaling.v1.HorizontalPodAutoscalerStatus"""

    observed_generation: Int64 | None = None
    last_scale_time: datetime.datetime | None = None
    current_replicas: Int32 | None = None
    desired_replicas: Int32 | None = None
    current_cpu_utilization_percentage: Int32 | None = msgspec.field(
        default=None, name="currentCPUUtilizationPercentage"
    )

    def __post_init__(self) -> None:
        if self.last_scale_time is not None:
            keep_seconds(self, "last_scale_time", self.last_scale_time)


class HorizontalPodAutoscaler(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v1.HorizontalPodAutoscaler"""

    api_version: str = msgspec.field(default_factory=lambda: "autoscaling/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "HorizontalPodAutoscaler")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: HorizontalPodAutoscalerSpec = HorizontalPodAutoscalerSpec()
    status: HorizontalPodAutoscalerStatus = HorizontalPodAutoscalerStatus()


class HorizontalPodAutoscalerCondition(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.autoscaling.v1.HorizontalPodAutoscalerCondition"""

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
    """k8s.io.api.autoscaling.v1.HorizontalPodAutoscalerList"""

    api_version: str = msgspec.field(default_factory=lambda: "autoscaling/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "HorizontalPodAutoscalerList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[HorizontalPodAutoscaler, ...] = ()


class MetricSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v1.MetricSpec"""

    type: str = ""
    object: ObjectMetricSource | None = None
    pods: PodsMetricSource | None = None
    resource: ResourceMetricSource | None = None
    external: ExternalMetricSource | None = None
    container_resource: ContainerResourceMetricSource | None = None


class MetricStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v1.MetricStatus"""

    type: str = ""
    object: ObjectMetricStatus | None = None
    pods: PodsMetricStatus | None = None
    resource: ResourceMetricStatus | None = None
    external: ExternalMetricStatus | None = None
    container_resource: ContainerResourceMetricStatus | None = None


class ObjectMetricSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v1.ObjectMetricSource"""

    target: CrossVersionObjectReference | None = None
    metric_name: str = ""
    target_value: Quantity | None = None
    selector: meta_v1.LabelSelector | None = None
    average_value: Quantity | None = None


class ObjectMetricStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v1.ObjectMetricStatus"""

    target: CrossVersionObjectReference | None = None
    metric_name: str = ""
    current_value: Quantity | None = None
    selector: meta_v1.LabelSelector | None = None
    average_value: Quantity | None = None


class PodsMetricSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v1.PodsMetricSource"""

    metric_name: str = ""
    target_average_value: Quantity | None = None
    selector: meta_v1.LabelSelector | None = None


class PodsMetricStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v1.PodsMetricStatus"""

    metric_name: str = ""
    current_average_value: Quantity | None = None
    selector: meta_v1.LabelSelector | None = None


class ResourceMetricSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v1.ResourceMetricSource"""

    name: str = ""
    target_average_utilization: Int32 | None = None
    target_average_value: Quantity | None = None


class ResourceMetricStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.autoscaling.v1.ResourceMetricStatus"""

    name: str = ""
    current_average_utilization: Int32 | None = None
    current_average_value: Quantity | None = None


class ScaleSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v1.ScaleSpec"""

    replicas: Int32 | None = None


class ScaleStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v1.ScaleStatus"""

    replicas: Int32 | None = None
    selector: str = ""


class Scale(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.autoscaling.v1.Scale"""

    api_version: str = msgspec.field(default_factory=lambda: "autoscaling/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Scale")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ScaleSpec = ScaleSpec()
    status: ScaleStatus = ScaleStatus()
