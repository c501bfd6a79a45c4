"""LimitRanges and ResourceQuotas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from knarr_api.errors import FieldError
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import LimitRange, LimitRangeItem, ResourceQuota
from knarr_api.validation import names
from knarr_api.validation.names import forbidden, invalid, required

LIMIT_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
COMPUTE = frozenset({"cpu", "memory", "ephemeral-storage"})
OBJECTS = frozenset(
    {
        *("pods", "services", "services.nodeports", "services.loadbalancers", "replicationcontrollers"),
        *("resourcequotas", "secrets", "configmaps", "persistentvolumeclaims"),
    }
)
STANDARD = OBJECTS | COMPUTE | {f"{what}.{name}" for what in ("requests", "limits") for name in COMPUTE}
STANDARD |= {"requests.storage"}
OF_PODS = STANDARD - (OBJECTS - {"pods"}) - {"requests.storage"}
SCOPE_RESOURCES = {
    "Terminating": OF_PODS,
    "NotTerminating": OF_PODS,
    "NotBestEffort": OF_PODS,
    "PriorityClass": OF_PODS,
    "CrossNamespacePodAffinity": OF_PODS,
    "BestEffort": frozenset({"pods"}),
    "VolumeAttributesClass": frozenset({"persistentvolumeclaims", "requests.storage"}),
}
CONFLICTING = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
WITH_VALUES = frozenset({"PriorityClass", "VolumeAttributesClass"})


def limit_range(obj: LimitRange) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, item in enumerate(obj.spec.limits):
        at = f"spec.limits[{index}]"
        if item.type not in LIMIT_TYPES and "/" not in item.type:
            yield invalid(f"{at}.type", item.type, "must be a standard limit type or fully qualified")
        if item.type in seen:
            yield names.duplicate(f"{at}.type", item.type)
        seen.add(item.type)
        if item.type == "Pod":
            for field, given in (("default", item.default), ("defaultRequest", item.default_request)):
                if given:
                    yield forbidden(f"{at}.{field}", "may not be specified when `type` is 'Pod'")
        if item.type == "PersistentVolumeClaim" and "storage" not in item.min and "storage" not in item.max:
            yield required(
                f"{at}.limits", "either minimum or maximum storage value is required, but neither was provided"
            )
        yield from _bounds(at, item)


def _bounds(at: str, item: LimitRangeItem) -> Iterator[FieldError]:
    """Minimum, default request, default limit and maximum must be in this order."""
    parts = (
        ("min", "min value", item.min),
        ("defaultRequest", "default request value", item.default_request),
        ("default", "default value", item.default),
        ("max", "max value", item.max),
    )
    for place, (field, what, given) in enumerate(parts):
        for name, quantity in given.items():
            for _, other_what, other in parts[place + 1 :]:
                if name in other and quantity > other[name]:
                    text = f"{what} {quantity} is greater than {other_what} {other[name]}"
                    yield invalid(f"{at}.{field}[{name}]", str(quantity), text)
    for name, ratio in item.max_limit_request_ratio.items():
        field = f"{at}.maxLimitRequestRatio[{name}]"
        if ratio < Quantity(1):
            yield invalid(field, str(ratio), f"ratio {ratio} is less than 1")
        least, most = item.min.get(name), item.max.get(name)
        if least and most and ratio.nanos() * least.nanos() > most.nanos() * 10**9:
            share = most.nanos() / least.nanos()
            yield invalid(field, str(ratio), f"ratio {ratio} is greater than max/min = {share:f}")


def resource_quota(obj: ResourceQuota) -> Iterator[FieldError]:
    for field, amounts in (
        ("spec.hard", obj.spec.hard),
        ("status.hard", obj.status.hard),
        ("status.used", obj.status.used),
    ):
        yield from _amounts(field, amounts)
    yield from _scopes(obj)


def _amounts(field: str, amounts: Mapping[str, Quantity]) -> Iterator[FieldError]:
    for name, quantity in amounts.items():
        at = f"{field}[{name}]"
        if "/" not in name and name not in STANDARD and "hugepages-" not in name:
            yield invalid(at, name, "must be a standard resource for quota")
        elif "/" in name:
            yield from names.qualified_name(at, name)
        if quantity < Quantity(0):
            yield invalid(at, str(quantity), "must be greater than or equal to 0")
        if (name in OBJECTS or name.startswith("count/")) and quantity.nanos() % 10**9:
            yield invalid(at, str(quantity), "must be an integer")


def _scopes(obj: ResourceQuota) -> Iterator[FieldError]:
    spec = obj.spec
    for scope in spec.scopes:
        yield from _scope("spec.scopes", scope, spec.hard)
    selector = spec.scope_selector
    expressions = selector.match_expressions if selector is not None else ()
    for index, expression in enumerate(expressions):
        at = f"spec.scopeSelector.matchExpressions[{index}]"
        yield from _scope(f"{at}.scopeName", expression.scope_name, spec.hard)
        if expression.operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            yield invalid(f"{at}.operator", expression.operator, "not a valid selector operator")
        elif expression.scope_name not in WITH_VALUES and expression.operator != "Exists":
            text = (
                "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
            )
            yield invalid(
                f"{at}.operator",
                expression.operator,
                f"{text}ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
                "ResourceQuotaScopeCrossNamespacePodAffinity",
            )
        elif expression.operator in ("In", "NotIn") and not expression.values:
            yield required(
                f"{at}.values", "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            )
        elif expression.operator in ("Exists", "DoesNotExist") and expression.values:
            yield invalid(
                f"{at}.values",
                ",".join(expression.values),
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
            )
    for pair in CONFLICTING:
        if set(pair) <= set(spec.scopes):
            yield invalid("spec.scopes", ",".join(spec.scopes), "conflicting scopes")


def _scope(at: str, scope: str, hard: Mapping[str, Quantity]) -> Iterator[FieldError]:
    if scope not in SCOPE_RESOURCES:
        yield invalid(at, scope, "unsupported scope")
        return
    for name in sorted(hard):
        if name in STANDARD and name not in SCOPE_RESOURCES[scope]:
            yield invalid(at, scope, "unsupported scope applied to resource")
            return


def update_resource_quota(old: ResourceQuota, new: ResourceQuota) -> Iterator[FieldError]:
    yield from names.immutable("spec.scopes", sorted(old.spec.scopes), sorted(new.spec.scopes))
    if old.spec.scope_selector != new.spec.scope_selector:
        yield invalid("spec.scopeSelector", "", "field is immutable")
