"""Values of k8s.io.api.coordination.v1.

Generated from knarr_proto/k8s/coordination_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.numbers import Int32
from knarr_api.time import keep_micros
from knarr_api.types import meta_v1


class LeaseSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.coordination.v1.LeaseSpec"""

    holder_identity: str | None = None
    """Empty when released."""
    lease_duration_seconds: Int32 | None = None
    """After renewTime plus this, others may take it."""
    acquire_time: datetime.datetime | None = None
    renew_time: datetime.datetime | None = None
    lease_transitions: Int32 | None = None
    """How often the holder has changed."""
    strategy: str = ""
    preferred_holder: str | None = None

    def __post_init__(self) -> None:
        if self.acquire_time is not None:
            keep_micros(self, "acquire_time", self.acquire_time)
        if self.renew_time is not None:
            keep_micros(self, "renew_time", self.renew_time)


class Lease(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A claim with an end: who leads, or that a node lives."""

    api_version: str = msgspec.field(default_factory=lambda: "coordination.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Lease")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: LeaseSpec = LeaseSpec()


class LeaseList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.coordination.v1.LeaseList"""

    api_version: str = msgspec.field(default_factory=lambda: "coordination.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "LeaseList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Lease, ...] = ()
