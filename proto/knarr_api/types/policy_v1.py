"""Values of k8s.io.api.policy.v1.

Generated from knarr_proto/k8s/policy_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.numbers import Int32, Int64
from knarr_api.types import meta_v1


class Eviction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.policy.v1.Eviction"""

    api_version: str = msgspec.field(default_factory=lambda: "policy/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Eviction")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    delete_options: meta_v1.DeleteOptions | None = None


class PodDisruptionBudgetSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.policy.v1.PodDisruptionBudgetSpec"""

    min_available: Int32 | str | None = None
    selector: meta_v1.LabelSelector | None = None
    max_unavailable: Int32 | str | None = None
    unhealthy_pod_eviction_policy: str = ""


class PodDisruptionBudgetStatus(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.policy.v1.PodDisruptionBudgetStatus"""

    observed_generation: Int64 | None = None
    disrupted_pods: dict[str, datetime.datetime] = msgspec.field(default_factory=dict)
    disruptions_allowed: Int32 | None = None
    current_healthy: Int32 | None = None
    desired_healthy: Int32 | None = None
    expected_pods: Int32 | None = None
    conditions: tuple[meta_v1.Condition, ...] = ()


class PodDisruptionBudget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How many pods must stay up when pods are evicted on purpose."""

    api_version: str = msgspec.field(default_factory=lambda: "policy/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PodDisruptionBudget")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()


class PodDisruptionBudgetList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.policy.v1.PodDisruptionBudgetList"""

    api_version: str = msgspec.field(default_factory=lambda: "policy/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PodDisruptionBudgetList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[PodDisruptionBudget, ...] = ()
