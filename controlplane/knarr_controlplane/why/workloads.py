"""Why what makes pods (a Deployment, a Job, …) is as it is: numbers, conditions, events, and its pods. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any

from knarr_api import kinds
from knarr_api.types.core_v1 import Event
from knarr_controlplane.why.findings import WORST, Finding, of_events, worst

BAD_WHEN = {
    "Available": "False",
    "Progressing": "False",
    "ReplicaFailure": "True",
    "Failed": "True",
    "FailureTarget": "True",
    "Suspended": "True",
    "AbleToScale": "False",
    "ScalingActive": "False",
}
NUMBERS = (
    "replicas",
    "updated_replicas",
    "ready_replicas",
    "available_replicas",
    "desired_number_scheduled",
    "current_number_scheduled",
    "number_ready",
    "number_unavailable",
    "active",
    "succeeded",
    "failed",
)
MAX_PODS = 10
QUOTA = "raise the ResourceQuota ('knarr describe quota'), or ask for less"
ALLOWED = "ask for what the namespace allows ('knarr describe limits')"


def summary(obj: Any, found: tuple[Finding, ...]) -> str:
    """One sentence."""
    what = f"{kinds.of(obj).kind.lower()} {obj.metadata.name}"
    if obj.metadata.deletion_timestamp is not None:
        what = f"{what} is being deleted"
    first = worst(found)
    if first is None:
        return f"{what}: nothing is wrong with it"
    return f"{what}: {first.subject}: {first.message or first.reason}"


def findings(
    obj: Any, events: Sequence[Event], pods: Sequence[tuple[str, Finding]], *, now: datetime.datetime
) -> tuple[Finding, ...]:
    """events: about it and about what it made. pods: by name, what is worst about each."""
    return (*_numbers(obj), *_conditions(obj), *_refused(events), *_pods(pods), *of_events(events, now))


def _numbers(obj: Any) -> Iterator[Finding]:
    status, spec = getattr(obj, "status", None), getattr(obj, "spec", None)
    if getattr(spec, "paused", None):
        yield Finding("warning", "rollout", "Paused", "its rollout is paused", "knarr rollout resume")
    if getattr(spec, "suspend", None):
        yield Finding("warning", "spec", "Suspended", "it is suspended: spec.suspend is true")
    wanted = getattr(spec, "replicas", None)
    said = [f"{wanted} wanted"] if wanted is not None else []
    for name in NUMBERS:
        number = getattr(status, name, None)
        if number:
            word = "there" if name == "replicas" else name.removesuffix("_replicas").replace("_", " ")
            said.append(f"{number} {word}")
    if said:
        yield Finding("info", "numbers", "Replicas" if wanted is not None else "Pods", ", ".join(said))


def _conditions(obj: Any) -> Iterator[Finding]:
    for condition in getattr(getattr(obj, "status", None), "conditions", ()):
        bad = BAD_WHEN.get(condition.type)
        severity = "info" if bad is None else "warning" if condition.status == bad else "ok"
        if severity == "warning" and condition.type in ("ReplicaFailure", "Failed"):
            severity = "error"
        remedy = _remedy(condition.message) if severity == "error" else ""
        text = f"{condition.type} is {condition.status}"
        text += f": {condition.message}" if condition.message else ""
        yield Finding(severity, "condition", condition.reason or condition.type, text, remedy)


def _refused(events: Sequence[Event]) -> Iterator[Finding]:
    """Pods that could not even be made: there is nothing else to see of them."""
    failed = [event for event in events if event.reason == "FailedCreate"]
    if failed:
        latest = max(failed, key=lambda event: (event.last_timestamp is not None, event.last_timestamp))
        yield Finding("error", "pods", "FailedCreate", latest.message, _remedy(latest.message))


def _pods(pods: Sequence[tuple[str, Finding]]) -> Iterator[Finding]:
    ranked = sorted(pods, key=lambda one: (WORST.index(one[1].severity) if one[1].severity in WORST else 9, one[0]))
    for name, finding in ranked[:MAX_PODS]:
        text = f"{finding.subject}: {finding.message}" if finding.subject else finding.message
        yield Finding(finding.severity, f"pod {name}", finding.reason, text, finding.remedy)
    if len(ranked) > MAX_PODS:
        yield Finding("info", "pods", "More", f"and {len(ranked) - MAX_PODS} more pods")


def _remedy(message: str) -> str:
    if "exceeded quota" in message:
        return QUOTA
    if "failed quota" in message:
        return "say what its containers request: the quota demands it"
    return ALLOWED if "usage per" in message or "limit to request ratio" in message else ""
