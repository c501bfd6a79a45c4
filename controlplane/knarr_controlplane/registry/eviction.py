"""Whether a pod may be evicted now, by the PodDisruptionBudgets that select it. Pure.

A budget's status says how many more of its pods may go (the disruption controller counts); an eviction takes one of
these and notes the pod in ``status.disruptedPods``, so that nobody takes it twice before the controller has seen it go.
Source: Kubernetes "Disruptions" and "API-initiated Eviction".
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from knarr_api import errors
from knarr_api.errors import FieldError
from knarr_api.labels import Selector
from knarr_api.types.core_v1 import Pod, PodCondition
from knarr_api.types.policy_v1 import PodDisruptionBudget

replace = msgspec.structs.replace

MAX_DISRUPTED_PODS = 2000
DISRUPTION_TARGET = "DisruptionTarget"
BUSY_RETRY_S = 10.0
VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."
ALWAYS_ALLOW = "AlwaysAllow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The pod may go. budget: as it has to be stored first; None where none is concerned. as_seen: only as it was
    looked at, for it may come to count for a budget by the time it is deleted."""

    budget: PodDisruptionBudget | None = None
    as_seen: bool = False


def permit(pod: Pod, budgets: Iterable[PodDisruptionBudget], now: datetime.datetime) -> Permit:
    """Raises ResourceExhausted where a budget does not allow it, Internal where several select the pod."""
    if pod.metadata.deletion_timestamp is not None or pod.status.phase in ("Succeeded", "Failed"):
        return Permit()
    if pod.status.phase == "Pending":
        return Permit(as_seen=True)
    concerned = [budget for budget in budgets if selects(budget, pod)]
    if not concerned:
        return Permit()
    if len(concerned) > 1:
        raise errors.Internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    (budget,) = concerned
    status = budget.status
    if not is_ready(pod):
        if budget.spec.unhealthy_pod_eviction_policy == ALWAYS_ALLOW:
            return Permit(as_seen=True)
        wanted = status.desired_healthy or 0
        if wanted > 0 and (status.current_healthy or 0) >= wanted:
            return Permit(as_seen=True)
    return Permit(budget=_taken(budget, pod.metadata.name, now))


def _taken(budget: PodDisruptionBudget, pod: str, now: datetime.datetime) -> PodDisruptionBudget:
    status, name = budget.status, budget.metadata.name
    if (status.observed_generation or 0) < (budget.metadata.generation or 0):
        raise _refused(f"The disruption budget {name} is still being processed by the server.", BUSY_RETRY_S)
    allowed = status.disruptions_allowed or 0
    if allowed < 0:
        raise errors.Forbidden(
            f'poddisruptionbudgets.policy "{name}" is forbidden: pdb disruptions allowed is negative'
        )
    if len(status.disrupted_pods) > MAX_DISRUPTED_PODS:
        raise errors.Forbidden(
            f'poddisruptionbudgets.policy "{name}" is forbidden: DisruptedPods map too big - too many evictions not '
            "confirmed by PDB controller"
        )
    if allowed == 0:
        raise _refused(
            f"The disruption budget {name} needs {status.desired_healthy or 0} healthy pods and has "
            f"{status.current_healthy or 0} currently"
        )
    disrupted = {**status.disrupted_pods, pod: now.replace(microsecond=0)}
    return replace(budget, status=replace(status, disruptions_allowed=allowed - 1, disrupted_pods=disrupted))


def selects(budget: PodDisruptionBudget, pod: Pod) -> bool:
    """An empty selector selects every pod of the namespace, an absent one none."""
    same = budget.metadata.namespace == pod.metadata.namespace
    return same and Selector.from_label_selector(budget.spec.selector).matches(pod.metadata.labels)


def is_ready(pod: Pod) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions)


def marked(pod: Pod, now: datetime.datetime) -> Pod:
    """The pod saying why it goes."""
    condition = PodCondition(
        type=DISRUPTION_TARGET,
        status="True",
        reason="EvictionByEvictionAPI",
        message="Eviction API: evicting",
        last_transition_time=now.replace(microsecond=0),
    )
    others = tuple(each for each in pod.status.conditions if each.type != DISRUPTION_TARGET)
    return replace(pod, status=replace(pod.status, conditions=(*others, condition)))


def _refused(cause: str, retry_after_s: float | None = None) -> errors.ResourceExhausted:
    return errors.ResourceExhausted(
        VIOLATES, details=[FieldError("", cause, "DisruptionBudget")], retry_after_s=retry_after_s
    )
