"""Disruption budgets."""

from __future__ import annotations

from collections.abc import Iterator

from knarr_api.errors import FieldError
from knarr_api.types.policy_v1 import PodDisruptionBudget
from knarr_api.validation import placement
from knarr_api.validation.names import invalid, one_of
from knarr_api.validation.workloads import share


def budget(obj: PodDisruptionBudget) -> Iterator[FieldError]:
    spec = obj.spec
    if spec.min_available is not None and spec.max_unavailable is not None:
        yield invalid("spec", "", "minAvailable and maxUnavailable cannot be both set")
    yield from share("spec.minAvailable", spec.min_available, limit_percent=True)
    yield from share("spec.maxUnavailable", spec.max_unavailable, limit_percent=True)
    yield from placement.label_selector(spec.selector, "spec.selector")
    policies = ("AlwaysAllow", "IfHealthyBudget")
    yield from one_of(
        "spec.unhealthyPodEvictionPolicy", spec.unhealthy_pod_eviction_policy, policies, may_be_empty=True
    )
