"""What the store compacts before the cache has seen it: nobody is told half of it."""

from __future__ import annotations

import asyncio

import pytest

from knarr_api import errors, kinds
from knarr_api.types.core_v1 import ConfigMap
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.cache.changes import Filter
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store.memory import MemoryStore
from knarr_controlplane.store.protocol import Put

KIND = kinds.of(ConfigMap)
KEY = KIND.key("default", "settings")


def put(storage: Storage, **data: str) -> Put:
    return Put(KEY, storage.encode(KIND, KEY, ConfigMap(metadata=ObjectMeta(name="settings"), data=data)))


async def test_watchers_list_again_after_changes_that_were_compacted_unseen() -> None:
    store, storage = MemoryStore(), Storage(bytes(32))
    await store.commit([put(storage, version="1")])
    cache = WatchCache(store, storage.decode)
    await cache.load()
    changes = cache.follow(KIND, Filter(), cache.revision)
    watching = asyncio.ensure_future(anext(changes))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await store.commit([put(storage, version="2")])
    await store.commit([put(storage, version="3")])
    await store.compact(await store.revision())
    following = asyncio.create_task(cache.run())
    try:
        async with asyncio.timeout(30):
            with pytest.raises(errors.Expired):
                await watching
    finally:
        following.cancel()
        await asyncio.wait({following})
    entry = cache.get(KIND, KEY)
    assert entry is not None
    assert entry.value().data == {"version": "3"}


async def test_a_watch_from_the_future_is_not_begun_after_what_was_compacted_meanwhile() -> None:
    """Its revision comes from another control plane; this one is behind, and has to load anew before it gets there."""
    store, storage = MemoryStore(), Storage(bytes(32))
    await store.commit([put(storage, version="1")])
    cache = WatchCache(store, storage.decode)
    await cache.load()
    await store.commit([put(storage, version="2")])
    seen_elsewhere = await store.revision()
    watching = asyncio.ensure_future(anext(cache.follow(KIND, Filter(), seen_elsewhere)))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await store.commit([put(storage, version="3")])
    await store.compact(await store.revision())
    following = asyncio.create_task(cache.run())
    try:
        async with asyncio.timeout(30):
            with pytest.raises(errors.Expired):
                await watching
    finally:
        following.cancel()
        await asyncio.wait({following})
