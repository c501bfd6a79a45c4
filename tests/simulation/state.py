"""What can be read from an object alone: who it belongs to, how it is, what it asks for."""

from __future__ import annotations

from typing import Any

from knarr_api.quantity import Quantity
from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.batch_v1 import Job
from knarr_api.types.core_v1 import Pod
from knarr_api.types.policy_v1 import PodDisruptionBudget

ENDED = ("Succeeded", "Failed")


def controller(obj: Any) -> Any:
    return next((owner for owner in obj.metadata.owner_references if owner.controller), None)


def owners(obj: Any) -> set[str]:
    """Uids of what it belongs to."""
    return {owner.uid for owner in obj.metadata.owner_references}


def is_ready(pod: Pod) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)


def is_available(pod: Pod) -> bool:
    return is_ready(pod) and not is_going(pod) and pod.status.phase == "Running"


def asked(owner: Any) -> int:
    """How many pods it asks for."""
    return 1 if owner.spec.replicas is None else int(owner.spec.replicas)


def least(deployment: Deployment) -> int:
    """How many pods of it must be available."""
    rolling = deployment.spec.strategy.rolling_update if deployment.spec.strategy is not None else None
    return asked(deployment) - int((rolling.max_unavailable if rolling is not None else 0) or 0)


def healthy(budget: PodDisruptionBudget, owner: Any) -> int:
    """How many must stay. A share of what an owner asked for is nothing that can be said when it is gone."""
    if budget.spec.min_available is not None:
        return int(budget.spec.min_available)
    if owner is None:
        return 0
    return max(0, asked(owner) - int(budget.spec.max_unavailable or 0))


def ordinal(name: str) -> int:
    return int(name.rpartition("-")[2])


def pinned(pod: Pod) -> str:
    """The node that a DaemonSet's pod is for."""
    affinity = pod.spec.affinity
    required = affinity.node_affinity.required_during_scheduling_ignored_during_execution  # type: ignore[union-attr]
    return str(required.node_selector_terms[0].match_fields[0].values[0])  # type: ignore[union-attr]


def is_going(obj: Any) -> bool:
    return obj.metadata.deletion_timestamp is not None


def has_to_go(pod: Pod) -> bool:
    """For a more important pod, or for a taint: who looks after it has no part in that."""
    reasons = ("PreemptionByScheduler", "DeletionByTaintManager")
    return any(condition.reason in reasons for condition in pod.status.conditions)


def is_evicted(pod: Pod) -> bool:
    return any(condition.reason == "EvictionByEvictionAPI" for condition in pod.status.conditions)


def is_finished(job: Job) -> bool:
    return any(c.type in ("Complete", "Failed") and c.status == "True" for c in job.status.conditions)


def disruption(pod: Pod) -> str:
    """Why it was said that the pod has to go."""
    return next((each.reason for each in pod.status.conditions if each.type == "DisruptionTarget"), "")


def is_active(pod: Pod) -> bool:
    return not is_going(pod) and pod.status.phase not in ENDED


def most(deployment: Deployment) -> int:
    """How many pods it may ask for."""
    rolling = deployment.spec.strategy.rolling_update if deployment.spec.strategy is not None else None
    surge = rolling.max_surge if rolling is not None and rolling.max_surge is not None else 0
    return asked(deployment) + int(surge)


def cpu_m(pod: Pod) -> int:
    """What its containers ask for."""
    total = 0
    for container in pod.spec.containers:
        amount = container.resources.requests.get("cpu") if container.resources is not None else None
        total += amount.milli() if isinstance(amount, Quantity) else 0
    return total
