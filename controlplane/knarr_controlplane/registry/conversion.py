"""Objects of a version that is served but not stored: read as the one that is, and shown as the one that is asked for.

There is one such kind: HorizontalPodAutoscaler, stored as autoscaling/v2 and served as autoscaling/v1 too. What v1 has
no fields for stands in annotations, as in Kubernetes: metrics other than the processors' use, behaviour, conditions and
what was measured. Documents in, documents out; nothing is checked. Source: Kubernetes API, autoscaling/v1.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from knarr_api import json as documents
from knarr_api import kinds
from knarr_api.kinds import Kind

Document = dict[str, Any]
OLD = kinds.by_kind("autoscaling/v1", "HorizontalPodAutoscaler")
NEW = kinds.by_kind("autoscaling/v2", "HorizontalPodAutoscaler")
METRICS = "autoscaling.alpha.kubernetes.io/metrics"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
ANNOTATIONS = (METRICS, BEHAVIOR, CONDITIONS, CURRENT)
SPEC_PERCENT, STATUS_PERCENT = "targetCPUUtilizationPercentage", "currentCPUUtilizationPercentage"


def stored_kind(kind: Kind) -> Kind:
    """The kind as which its objects are kept."""
    return NEW if kind is OLD else kind


def stored_document(document: Document) -> Document:
    """As the version that is stored; also of a part of an object, as it is applied. Its types have been checked."""
    old = (document.get("apiVersion"), document.get("kind")) == (OLD.api_version, OLD.kind)
    return _newer(document) if old else document


def stored(obj: Any) -> Any:
    """A value of any version as that of the stored one."""
    if not isinstance(obj, OLD.type):
        return obj
    return documents.from_builtins(_newer(documents.to_builtins(obj)), NEW.type)


def shown(kind: Kind, obj: Any) -> Any:
    """A stored value as ``kind``."""
    if kind is not OLD or not isinstance(obj, NEW.type):
        return obj
    return documents.from_builtins(_older(documents.to_builtins(obj)), OLD.type)


def _newer(document: Document) -> Document:
    annotations = dict((document.get("metadata") or {}).get("annotations") or {})
    said = {name: _recorded(annotations.pop(name)) for name in ANNOTATIONS if name in annotations}
    said = {name: value for name, value in said.items() if isinstance(value, dict if name == BEHAVIOR else list)}
    result = _with_annotations({**document, "apiVersion": NEW.api_version}, annotations)
    spec, status = dict(document.get("spec") or {}), dict(document.get("status") or {})
    percent = spec.pop(SPEC_PERCENT, None)
    metrics = [_metric(each, "target", _target) for each in said.get(METRICS) or () if isinstance(each, dict)]
    if percent is not None:
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": _target({"tAU": percent})}})
    if metrics:
        spec["metrics"] = metrics
    if said.get(BEHAVIOR):
        spec["behavior"] = said[BEHAVIOR]
    percent = status.pop(STATUS_PERCENT, None)
    measured = [_metric(each, "current", _value) for each in said.get(CURRENT) or () if isinstance(each, dict)]
    if percent is not None and not any((m.get("resource") or {}).get("name") == "cpu" for m in measured):
        current = {"averageUtilization": percent}
        measured.append({"type": "Resource", "resource": {"name": "cpu", "current": current}})
    if measured:
        status["currentMetrics"] = measured
    if said.get(CONDITIONS):
        status["conditions"] = said[CONDITIONS]
    return _with_parts(result, document, spec=spec, status=status)


def _older(document: Document) -> Document:
    annotations = dict((document.get("metadata") or {}).get("annotations") or {})
    spec, status = dict(document.get("spec") or {}), dict(document.get("status") or {})
    others: list[Document] = []
    for metric in spec.pop("metrics", ()):
        percent = _processors(metric, "target")
        if percent is not None and SPEC_PERCENT not in spec:
            spec[SPEC_PERCENT] = percent
        else:
            others.append(_old_metric(metric, "target"))
    measured = status.pop("currentMetrics", ())
    for metric in measured:
        percent = _processors(metric, "current")
        if percent is not None and STATUS_PERCENT not in status:
            status[STATUS_PERCENT] = percent
    for name, value in (
        (METRICS, others),
        (BEHAVIOR, spec.pop("behavior", None)),
        (CURRENT, [_old_metric(metric, "current") for metric in measured]),
        (CONDITIONS, status.pop("conditions", None)),
    ):
        if value:
            annotations[name] = json.dumps(value, separators=(",", ":"))
    result = _with_annotations({**document, "apiVersion": OLD.api_version}, annotations)
    return _with_parts(result, document, spec=spec, status=status)


SELECTED = {"Pods": "selector", "Object": "selector", "External": "metricSelector"}
"""Where v1 has a metric's selector."""


def _metric(old: Document, field: str, part: Callable[[Document], Document]) -> Document:
    """v1's way to say a metric (names and values side by side) as v2's (a metric and its target or current value)."""
    type_ = str(old.get("type", ""))
    name = type_[:1].lower() + type_[1:]
    found = old.get(name)
    given: Document = found if isinstance(found, dict) else {}
    new: Document = {field: part({_short(key): value for key, value in given.items()})}
    if type_ in SELECTED:
        new["metric"] = {"name": given.get("metricName", "")}
        if given.get(SELECTED[type_]):
            new["metric"]["selector"] = given[SELECTED[type_]]
    if type_ == "Object":
        new["describedObject"] = given.get("target") or {}
    for kept in ("name", "container") if type_ not in SELECTED else ():
        if given.get(kept):
            new[kept] = given[kept]
    return {"type": type_, name: new}


def _old_metric(new: Document, field: str) -> Document:
    """The way back."""
    type_ = str(new.get("type", ""))
    name = type_[:1].lower() + type_[1:]
    given = dict(new.get(name) or {})
    amount = given.get(field) or {}
    old = {kept: given[kept] for kept in ("name", "container") if given.get(kept)}
    if type_ in SELECTED:
        metric = given.get("metric") or {}
        old["metricName"] = metric.get("name", "")
        if metric.get("selector"):
            old[SELECTED[type_]] = metric["selector"]
    if type_ == "Object":
        old["target"] = given.get("describedObject") or {}
    average = "averageValue" if type_ == "Object" else f"{field}AverageValue"
    for key, value in (
        (f"{field}AverageUtilization", amount.get("averageUtilization")),
        (average, amount.get("averageValue")),
        (f"{field}Value", amount.get("value")),
    ):
        if value is not None:
            old[key] = value
    return {"type": type_, name: old}


def _short(key: str) -> str:
    """``targetAverageValue`` and ``currentAverageValue`` are ``tAV``."""
    shorts = {"AverageUtilization": "tAU", "AverageValue": "tAV", "Value": "tV"}
    for prefix in ("target", "current"):
        if key.removeprefix(prefix) in shorts and key.startswith(prefix):
            return shorts[key.removeprefix(prefix)]
    return "tAV" if key == "averageValue" else key


def _value(given: Document) -> Document:
    pairs = (("averageUtilization", "tAU"), ("averageValue", "tAV"), ("value", "tV"))
    return {name: given[short] for name, short in pairs if given.get(short) is not None}


def _target(given: Document) -> Document:
    value = _value(given)
    type_ = "Utilization" if "averageUtilization" in value else "AverageValue" if "averageValue" in value else "Value"
    return {"type": type_, **value}


def _processors(metric: Document, field: str) -> int | None:
    """How busy the processors are or shall be, in percent, where the metric says that."""
    resource = metric.get("resource") or {}
    if metric.get("type") != "Resource" or resource.get("name") != "cpu":
        return None
    percent = (resource.get(field) or {}).get("averageUtilization")
    return percent if isinstance(percent, int) else None


def _recorded(text: Any) -> Any:
    """What an annotation holds; nothing where it is not readable, as in Kubernetes."""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return None


def _with_annotations(document: Document, annotations: Document) -> Document:
    metadata = {name: value for name, value in (document.get("metadata") or {}).items() if name != "annotations"}
    return {**document, "metadata": {**metadata, "annotations": annotations} if annotations else metadata}


def _with_parts(result: Document, given: Document, **parts: Document) -> Document:
    """spec and status, where there were such or there is something now."""
    for name, part in parts.items():
        if part or name in given:
            result[name] = part
    return result
