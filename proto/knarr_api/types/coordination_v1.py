"""Values of k8s.io.api.coordination.v1, generated from knarr_proto/k8s/coordination_v1.proto: run ``./dev proto``, do not edit."""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.types import meta_v1


class LeaseSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.api.coordination.v1.LeaseSpec"""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: datetime.datetime | None = None
    renew_time: datetime.datetime | None = None
    lease_transitions: int | None = None
    strategy: str = ""
    preferred_holder: str | None = None


class LeaseList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.api.coordination.v1.LeaseList"""

    api_version: str = msgspec.field(default_factory=lambda: "coordination.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "LeaseList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Lease, ...] = ()


class Lease(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.api.coordination.v1.Lease"""

    api_version: str = msgspec.field(default_factory=lambda: "coordination.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Lease")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: LeaseSpec = LeaseSpec()
