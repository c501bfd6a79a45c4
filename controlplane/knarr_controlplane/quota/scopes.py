"""Which objects a quota is about. Source: Kubernetes "Resource Quotas", quota scopes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from knarr_api.types.core_v1 import (
    PersistentVolumeClaim,
    Pod,
    PodAffinityTerm,
    ResourceQuota,
    ScopedResourceSelectorRequirement,
)

BEST_EFFORT = "BestEffort"


def requirements(quota: ResourceQuota) -> tuple[ScopedResourceSelectorRequirement, ...]:
    """All that must hold: plain scopes are selectors that ask for existence."""
    selector = quota.spec.scope_selector
    plain = tuple(ScopedResourceSelectorRequirement(scope_name=scope, operator="Exists") for scope in quota.spec.scopes)
    return (*plain, *(selector.match_expressions if selector is not None else ()))


def concerns(quota: ResourceQuota, obj: Any) -> bool:
    """Whether the object counts for the quota. Scopes are of pods, one of claims; other objects are in none."""
    return all(_matches(requirement, obj) for requirement in requirements(quota))


def _matches(requirement: ScopedResourceSelectorRequirement, obj: Any) -> bool:
    scope = requirement.scope_name
    if isinstance(obj, PersistentVolumeClaim):
        return scope == "VolumeAttributesClass" and _chosen(requirement, obj.spec.volume_attributes_class_name or "")
    if not isinstance(obj, Pod):
        return False
    match scope:
        case "Terminating":
            return obj.spec.active_deadline_seconds is not None
        case "NotTerminating":
            return obj.spec.active_deadline_seconds is None
        case "BestEffort":
            return obj.status.qos_class == BEST_EFFORT
        case "NotBestEffort":
            return obj.status.qos_class != BEST_EFFORT
        case "PriorityClass":
            return _chosen(requirement, obj.spec.priority_class_name)
        case "CrossNamespacePodAffinity":
            return any(term.namespaces or term.namespace_selector is not None for term in _terms(obj))
    return False


def _chosen(requirement: ScopedResourceSelectorRequirement, value: str) -> bool:
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return bool(value)
        case "DoesNotExist":
            return not value
    return False


def _terms(pod: Pod) -> Iterator[PodAffinityTerm]:
    affinity = pod.spec.affinity
    for part in (affinity.pod_affinity, affinity.pod_anti_affinity) if affinity is not None else ():
        if part is not None:
            yield from part.required_during_scheduling_ignored_during_execution
            for preferred in part.preferred_during_scheduling_ignored_during_execution:
                if preferred.pod_affinity_term is not None:
                    yield preferred.pod_affinity_term
