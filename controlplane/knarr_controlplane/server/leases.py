"""The nodes' Leases, renewed for all agents together.

Heartbeats only say that a node was heard; a few times a second the Leases of all nodes heard since are written at once,
so that they share transactions. A node whose earlier renewal is still under way waits for the next round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from knarr_api import errors, kinds
from knarr_api.types.coordination_v1 import Lease, LeaseSpec
from knarr_api.types.meta_v1 import ObjectMeta, OwnerReference
from knarr_controlplane.authz import LEASE_NAMESPACE
from knarr_controlplane.registry.registry import Registry

LEASE = kinds.of(Lease)
ROUND_S = 0.5
"""Between two rounds of writing: what a renewal may wait."""


class Leases:
    """duration_s: what the Leases say of how long they are good."""

    def __init__(self, registry: Registry, *, now: Callable[[], datetime], duration_s: float) -> None:
        self._registry = registry
        self._now = now
        self._duration_s = max(int(duration_s), 1)
        self._heard: dict[str, str] = {}
        """Names of nodes with their uids."""
        self._under_way: set[str] = set()
        self._wake = asyncio.Event()

    def heard(self, node: str, uid: str) -> None:
        self._heard[node] = uid
        self._wake.set()

    async def run(self) -> None:
        """Renew what was heard, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for node in [node for node in self._heard if node not in self._under_way]:
                    self._under_way.add(node)
                    group.create_task(self._renew_one(node, self._heard.pop(node)))
                await asyncio.sleep(ROUND_S)

    async def renew(self, node: str, uid: str) -> None:
        """Now. Makes the Lease where there is none."""

        def decide(lease: Lease) -> Lease:
            spec = LeaseSpec(holder_identity=node, lease_duration_seconds=self._duration_s, renew_time=self._now())
            metadata = lease.metadata
            if [owner.uid for owner in metadata.owner_references] != [uid]:
                metadata = _owned(metadata, node, uid)
            return msgspec.structs.replace(lease, metadata=metadata, spec=spec)

        try:
            await self._registry.change(LEASE, LEASE_NAMESPACE, node, decide)
        except errors.NotFound:
            spec = LeaseSpec(holder_identity=node, lease_duration_seconds=self._duration_s, renew_time=self._now())
            try:
                await self._registry.create(_lease(node, uid, spec))
            except errors.AlreadyExists:
                return

    async def _renew_one(self, node: str, uid: str) -> None:
        try:
            await self.renew(node, uid)
        except errors.KnarrError as error:
            log = structlog.get_logger("knarr.agents").bind(node=node)
            log.warning(
                "a node's lease could not be renewed", object=f"Lease/{LEASE_NAMESPACE}/{node}", error=str(error)
            )
        finally:
            self._under_way.discard(node)
            if node in self._heard:
                self._wake.set()


def _lease(node: str, uid: str, spec: LeaseSpec) -> Lease:
    return Lease(metadata=_owned(ObjectMeta(name=node, namespace=LEASE_NAMESPACE), node, uid), spec=spec)


def _owned(metadata: ObjectMeta, node: str, uid: str) -> ObjectMeta:
    owner = OwnerReference(api_version="v1", kind="Node", name=node, uid=uid)
    return msgspec.structs.replace(metadata, owner_references=(owner,))
