"""Defaults of HorizontalPodAutoscalers."""

from __future__ import annotations

from knarr_api.defaults.fill import change, fill
from knarr_api.types.autoscaling_v2 import (
    HorizontalPodAutoscaler,
    HPAScalingPolicy,
    HPAScalingRules,
    MetricSpec,
    MetricTarget,
    ResourceMetricSource,
)

CPU_PERCENT = 80
PERIOD_S = 15
DOUBLE = HPAScalingPolicy(type="Percent", value=100, period_seconds=PERIOD_S)
FOUR = HPAScalingPolicy(type="Pods", value=4, period_seconds=PERIOD_S)
CPU = MetricSpec(
    type="Resource",
    resource=ResourceMetricSource(name="cpu", target=MetricTarget(type="Utilization", average_utilization=CPU_PERCENT)),
)


def autoscaler(given: HorizontalPodAutoscaler) -> HorizontalPodAutoscaler:
    """Where a behaviour is given, both of its directions are complete."""
    spec = fill(given.spec, min_replicas=1, metrics=(CPU,))
    if spec.behavior is not None:
        up = fill(
            spec.behavior.scale_up or HPAScalingRules(),
            select_policy="Max",
            policies=(FOUR, DOUBLE),
            stabilization_window_seconds=0,
        )
        down = fill(spec.behavior.scale_down or HPAScalingRules(), select_policy="Max", policies=(DOUBLE,))
        behavior = spec.behavior
        same = up == behavior.scale_up and down == behavior.scale_down
        spec = spec if same else change(spec, behavior=change(behavior, scale_up=up, scale_down=down))
    return change(given, spec=spec)
