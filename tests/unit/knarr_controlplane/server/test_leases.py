"""Heartbeats become renewals of Leases: each node's soon, and no more of them than can be written."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator

import pytest

from knarr_api import kinds
from knarr_api.types.coordination_v1 import Lease
from knarr_client.clock import SystemClock
from knarr_controlplane.authz import LEASE_NAMESPACE
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry.addressing import filter_of
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.server.leases import Leases
from knarr_controlplane.store.memory import MemoryStore

LEASE = kinds.of(Lease)
DEADLINE_S = 30


@pytest.fixture
async def registry(tmp_path) -> AsyncIterator[Registry]:
    cache = WatchCache(store := MemoryStore(), Storage.open(tmp_path / "key").decode)
    await cache.load()
    following = asyncio.create_task(cache.run())
    storage = Storage.open(tmp_path / "key")
    made = Registry(store, cache, storage, admission=Admission(), now=SystemClock().now)
    await made.make_system_objects()
    yield made
    following.cancel()
    await asyncio.wait({following})
    await store.close()


@pytest.fixture
async def leases(registry) -> AsyncIterator[Leases]:
    made = Leases(registry, now=SystemClock().now, duration_s=10)
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def renewed(registry: Registry, count: int) -> list[Lease]:
    """The next so many renewals."""
    found: list[Lease] = []
    everything = filter_of(LEASE, LEASE_NAMESPACE, "", "")
    async with asyncio.timeout(DEADLINE_S):
        async for batch in registry.watch(LEASE, everything, str(registry.cache.revision)):
            found += [change.entry.value() for change in batch if change.entry is not None]
            if len(found) >= count:
                break
    return found


async def test_every_node_that_was_heard_is_renewed(registry, leases):
    names = {f"n{number}" for number in range(200)}
    watching = asyncio.create_task(renewed(registry, len(names)))
    await asyncio.sleep(0)
    for name in names:
        leases.heard(name, f"uid-{name}")
    found = await watching
    assert {lease.metadata.name for lease in found} == names
    assert all(lease.metadata.owner_references[0].uid == f"uid-{lease.metadata.name}" for lease in found)


async def test_heartbeats_of_one_round_are_one_renewal(registry, leases):
    await leases.renew("n1", "u1")
    before = registry.cache.of(LEASE).entries[LEASE.key(LEASE_NAMESPACE, "n1")].value()
    watching = asyncio.create_task(renewed(registry, 2))
    await asyncio.sleep(0)
    for _ in range(50):
        leases.heard("n1", "u1")
    leases.heard("n2", "u2")
    found = await watching
    assert sorted(lease.metadata.name for lease in found) == ["n1", "n2"]
    (after,) = (lease for lease in found if lease.metadata.name == "n1")
    assert after.spec.renew_time - before.spec.renew_time > datetime.timedelta()


async def test_a_node_that_came_back_with_another_uid_owns_its_lease(registry, leases):
    await leases.renew("n1", "u1")
    await leases.renew("n1", "u2")
    lease = registry.get(LEASE, LEASE_NAMESPACE, "n1").value()
    assert [owner.uid for owner in lease.metadata.owner_references] == ["u2"]
