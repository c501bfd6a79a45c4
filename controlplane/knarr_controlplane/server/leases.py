"""The nodes' Leases, renewed for all agents together.

Heartbeats only say that a node was heard; a few times a second the Leases of all nodes heard since are written, many at
a time, so that they share transactions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
import structlog

from knarr_api import errors, kinds
from knarr_api.errors import KnarrError
from knarr_api.types.coordination_v1 import Lease, LeaseSpec
from knarr_api.types.meta_v1 import ObjectMeta, OwnerReference
from knarr_client.client import outcomes
from knarr_controlplane.authz import LEASE_NAMESPACE
from knarr_controlplane.registry import bulk
from knarr_controlplane.registry.bulk import Wanted
from knarr_controlplane.registry.registry import Registry

LEASE = kinds.of(Lease)
ROUND_S = 0.5
"""Between two rounds of writing: what a renewal may wait."""
AT_A_TIME = 100
"""Leases that share transactions: some milliseconds in which nothing else is done."""


class Leases:
    """duration_s: what the Leases say of how long they are good."""

    def __init__(self, registry: Registry, *, now: Callable[[], datetime], duration_s: float) -> None:
        self._registry = registry
        self._now = now
        self._duration_s = max(int(duration_s), 1)
        self._heard: dict[str, str] = {}
        """Names of nodes with their uids."""
        self._wake = asyncio.Event()

    def heard(self, node: str, uid: str) -> None:
        self._heard[node] = uid
        self._wake.set()

    async def run(self) -> None:
        """Renew what was heard, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            heard, self._heard = tuple(self._heard.items()), {}
            async with asyncio.TaskGroup() as group:
                for first in range(0, len(heard), AT_A_TIME):
                    group.create_task(self._renew_all(dict(heard[first : first + AT_A_TIME])))
                    await asyncio.sleep(0)  # others get their turn, but no part waits for the store's word on another
            await asyncio.sleep(ROUND_S)

    async def renew(self, node: str, uid: str) -> None:
        """Now. Makes the Lease where there is none."""
        try:
            await self._registry.change(LEASE, LEASE_NAMESPACE, node, self._renewed(node, uid))
        except errors.NotFound:
            try:
                await self._registry.create(_lease(node, uid, self._spec(node)))
            except errors.AlreadyExists:
                return

    async def _renew_all(self, heard: Mapping[str, str]) -> None:
        changes = [Wanted(LEASE_NAMESPACE, node, self._renewed(node, uid)) for node, uid in heard.items()]
        missing: list[tuple[str, str]] = []
        try:
            renewed = await bulk.change_all(self._registry, LEASE, changes)
        except KnarrError as error:
            for node in heard:
                _log_failure(node, error)
            return
        for node, outcome in zip(heard, renewed, strict=True):
            if isinstance(outcome, errors.NotFound):
                missing.append((node, heard[node]))
            elif isinstance(outcome, KnarrError):
                _log_failure(node, outcome)
        made = await outcomes(self.renew(node, uid) for node, uid in missing)
        for (node, _), failure in zip(missing, made, strict=True):
            if failure is not None:
                _log_failure(node, failure)

    def _renewed(self, node: str, uid: str) -> Callable[[Lease], Lease]:
        """What a renewal makes of the Lease."""

        def decide(lease: Lease) -> Lease:
            metadata = lease.metadata
            if [owner.uid for owner in metadata.owner_references] != [uid]:
                metadata = _owned(metadata, node, uid)
            return msgspec.structs.replace(lease, metadata=metadata, spec=self._spec(node))

        return decide

    def _spec(self, node: str) -> LeaseSpec:
        return LeaseSpec(holder_identity=node, lease_duration_seconds=self._duration_s, renew_time=self._now())


def _log_failure(node: str, error: KnarrError) -> None:
    log = structlog.get_logger("knarr.agents").bind(node=node)
    log.warning("a node's lease could not be renewed", object=f"Lease/{LEASE_NAMESPACE}/{node}", error=str(error))


def _lease(node: str, uid: str, spec: LeaseSpec) -> Lease:
    return Lease(metadata=_owned(ObjectMeta(name=node, namespace=LEASE_NAMESPACE), node, uid), spec=spec)


def _owned(metadata: ObjectMeta, node: str, uid: str) -> ObjectMeta:
    owner = OwnerReference(api_version="v1", kind="Node", name=node, uid=uid)
    return msgspec.structs.replace(metadata, owner_references=(owner,))
