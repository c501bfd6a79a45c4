"""HorizontalPodAutoscalers."""

from __future__ import annotations

from collections.abc import Iterator

from knarr_api.errors import FieldError
from knarr_api.quantity import Quantity
from knarr_api.types.autoscaling_v2 import (
    CrossVersionObjectReference,
    HorizontalPodAutoscaler,
    HPAScalingRules,
    MetricSpec,
    MetricTarget,
)
from knarr_api.validation import names
from knarr_api.validation.names import forbidden, invalid, one_of, required

SOURCES = {
    "ContainerResource": "container_resource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
TARGETS = ("Utilization", "Value", "AverageValue")
POLICIES = ("Pods", "Percent")
SELECTIONS = ("Disabled", "Max", "Min")
PERIOD_MAX_S, WINDOW_MAX_S = 1800, 3600


def autoscaler(obj: HorizontalPodAutoscaler) -> Iterator[FieldError]:
    spec = obj.spec
    least, most = spec.min_replicas, spec.max_replicas or 0
    if least is not None and least < 1:
        yield invalid("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        yield invalid("spec.maxReplicas", most, "must be greater than 0")
    elif least is not None and most < least:
        yield invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    yield from _reference(spec.scale_target_ref or CrossVersionObjectReference())
    for index, metric in enumerate(spec.metrics):
        yield from _metric(f"spec.metrics[{index}]", metric)
    if spec.behavior is not None:
        for field, rules in (("scaleUp", spec.behavior.scale_up), ("scaleDown", spec.behavior.scale_down)):
            if rules is not None:
                yield from _rules(f"spec.behavior.{field}", rules)


def _reference(reference: CrossVersionObjectReference) -> Iterator[FieldError]:
    for field, value in (("kind", reference.kind), ("name", reference.name)):
        if not value:
            yield required(f"spec.scaleTargetRef.{field}")
        else:
            yield from names.path_segment(f"spec.scaleTargetRef.{field}", value)


def _metric(at: str, metric: MetricSpec) -> Iterator[FieldError]:
    yield from one_of(f"{at}.type", metric.type, tuple(SOURCES))
    given = [type_ for type_, attribute in SOURCES.items() if getattr(metric, attribute) is not None]
    for type_ in given:
        if type_ != metric.type:
            yield forbidden(f"{at}.{names.camel(SOURCES[type_])}", f"must not be set for metrics of type {metric.type}")
    attribute = SOURCES.get(metric.type)
    if attribute is None:
        return
    source = getattr(metric, attribute)
    field = f"{at}.{names.camel(attribute)}"
    if source is None:
        yield required(field, f"must populate information for the given metric source: {metric.type}")
    elif metric.type in ("Resource", "ContainerResource"):
        if not source.name:
            yield required(f"{field}.name", "must specify a resource name")
        if metric.type == "ContainerResource" and not source.container:
            yield required(f"{field}.container", "must specify a container")
        yield from _target(f"{field}.target", source.target or MetricTarget())


def _target(at: str, target: MetricTarget) -> Iterator[FieldError]:
    yield from one_of(f"{at}.type", target.type, TARGETS)
    share, average = target.average_utilization, target.average_value
    if share is not None and share < 1:
        yield invalid(f"{at}.averageUtilization", share, "must be greater than 0")
    if average is not None and average <= Quantity(0):
        yield invalid(f"{at}.averageValue", str(average), "must be positive")
    if share is None and average is None:
        yield required(f"{at}.averageUtilization", "must set either a target raw value or a target utilization")
    if share is not None and average is not None:
        yield forbidden(f"{at}.averageValue", "may not set both a target raw value and a target utilization")


def _rules(at: str, rules: HPAScalingRules) -> Iterator[FieldError]:
    window = rules.stabilization_window_seconds
    if window is not None and window < 0:
        yield invalid(f"{at}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    if window is not None and window > WINDOW_MAX_S:
        yield invalid(f"{at}.stabilizationWindowSeconds", window, f"must be less than or equal to {WINDOW_MAX_S}")
    yield from one_of(f"{at}.selectPolicy", rules.select_policy, SELECTIONS, may_be_empty=True)
    if rules.tolerance is not None and rules.tolerance < Quantity(0):
        yield invalid(f"{at}.tolerance", str(rules.tolerance), "must be greater than or equal to 0")
    if not rules.policies:
        yield required(f"{at}.policies", "must specify at least one Policy")
    for index, policy in enumerate(rules.policies):
        field = f"{at}.policies[{index}]"
        yield from one_of(f"{field}.type", policy.type, POLICIES)
        if (policy.value or 0) <= 0:
            yield invalid(f"{field}.value", policy.value or 0, "must be greater than zero")
        period = policy.period_seconds or 0
        if period <= 0:
            yield invalid(f"{field}.periodSeconds", period, "must be greater than zero")
        if period > PERIOD_MAX_S:
            yield invalid(f"{field}.periodSeconds", period, f"must be less than or equal to {PERIOD_MAX_S}")
