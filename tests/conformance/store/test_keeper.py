"""A leader whose Lease a thread renews, on a real etcd."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from knarr_api import json, kinds
from knarr_api.types.coordination_v1 import Lease
from knarr_client.clock import SystemClock
from knarr_controlplane import leader
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry.local_client import LocalClient
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store.etcd import EtcdStore
from knarr_controlplane.store.etcd_keeper import EtcdKeeper
from knarr_controlplane.store.keeping import Keeping
from knarr_controlplane.store.opening import open_etcd
from knarr_controlplane.store.protocol import Put

KEY = kinds.of(Lease).key(leader.NAMESPACE, "work")
replace = msgspec.structs.replace


@dataclass
class Leading:
    """One candidate beside its store. began, ended: its work."""

    store: EtcdStore
    keeper: EtcdKeeper
    began: asyncio.Event
    ended: asyncio.Event

    async def lease(self) -> Lease:
        entry = await self.store.get(KEY)
        assert entry is not None
        return json.decode(entry.value, Lease)


@pytest.fixture
async def leading(tmp_path: Path) -> AsyncIterator[Leading]:
    opened = await open_etcd("etcd", tmp_path)
    store, storage, clock = opened.store, Storage(bytes(32)), SystemClock()
    cache = WatchCache(store, storage.decode)
    following = asyncio.create_task(cache.run())
    await cache.ready.wait()
    registry = Registry(store, cache, storage, admission=Admission(), now=clock.now)
    await registry.make_system_objects()
    found = Leading(store, store.keeper(), asyncio.Event(), asyncio.Event())

    async def work(term: leader.Term) -> None:
        found.ended.clear()
        found.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            found.began.clear()
            found.ended.set()

    running = asyncio.create_task(
        leader.lead(LocalClient(registry), clock, "work", "me", work, keeper=found.keeper), name="lead"
    )
    async with asyncio.timeout(10):
        await found.began.wait()
    yield found
    for task in (running, following):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await opened.close()


async def eventually(condition: Callable[[], bool], within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - threads send no event
            await asyncio.sleep(0.01)


async def test_a_loop_that_is_busy_for_longer_than_the_lease_lasts_goes_on_leading(leading: Leading) -> None:
    before = await leading.lease()
    time.sleep(4)  # noqa: ASYNC251 the loop does something else: that is the fault
    after = await leading.lease()
    assert before.spec.renew_time is not None
    assert after.spec.renew_time is not None
    assert (after.spec.renew_time - before.spec.renew_time).total_seconds() > 3
    assert after.spec.lease_duration_seconds == leader.LeaderSettings().duration_s
    with pytest.raises(TimeoutError):  # it looks twice meanwhile, and goes on
        await asyncio.wait_for(leading.ended.wait(), leader.LeaderSettings().renew_s * 2)


async def test_who_loses_the_lease_to_another_stops(leading: Leading) -> None:
    lease = await leading.lease()
    taken = json.encode(replace(lease, spec=replace(lease.spec, holder_identity="other", lease_duration_seconds=3600)))
    await leading.store.commit([Put(KEY, taken)])
    async with asyncio.timeout(3):
        await leading.ended.wait()
    assert (await leading.lease()).spec.holder_identity == "other"


async def test_who_stops_hands_over_at_once(leading: Leading) -> None:
    lead = next(task for task in asyncio.all_tasks() if task.get_name() == "lead")
    lead.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await lead
    assert (await leading.lease()).spec.holder_identity == ""


async def test_a_process_that_stands_still_lets_go(leading: Leading) -> None:
    (at,) = await leading.store.commit([Put("/knarr/kept", b"0")])
    keeper = leading.store.keeper(unwatched_s=0.5)
    keeping = Keeping("/knarr/kept", lambda: b"1", lambda value: value == b"1", every_s=0.1, within_s=0.5, stays_s=1.0)
    keeper.start(keeping, at, time.monotonic() + 1.0)
    async with asyncio.timeout(5):
        await asyncio.to_thread(keeper.join)
    assert keeper.stop().lost == "the process stands still"
    entry = await leading.store.get("/knarr/kept")
    assert entry is not None
    assert entry.value == b"1"


async def test_a_store_that_does_not_answer_loses_it_in_time(tmp_path: Path) -> None:
    opened = await open_etcd("etcd", tmp_path)
    (at,) = await opened.store.commit([Put("/knarr/kept", b"0")])
    keeper = opened.store.keeper()
    keeping = Keeping("/knarr/kept", lambda: b"1", lambda value: value == b"1", every_s=0.1, within_s=0.2, stays_s=0.5)
    keeper.start(keeping, at, time.monotonic() + 0.5)
    await eventually(lambda: keeper.look().revision > at, within_s=5)
    await opened.close()
    await eventually(lambda: bool(keeper.look().lost), within_s=5)
    kept = keeper.stop()
    assert "could not be written in time" in kept.lost
    assert time.monotonic() > kept.until_s
