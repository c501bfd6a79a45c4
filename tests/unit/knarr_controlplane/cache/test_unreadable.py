"""A stored value that this version can't read is not taken for a deletion."""

from __future__ import annotations

import asyncio

import pytest

from knarr_api import kinds
from knarr_api.types.core_v1 import ConfigMap, Secret
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.cache.changes import ChangeType, Filter
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store.memory import MemoryStore
from knarr_controlplane.store.protocol import Delete, Put

KIND, SECRET = kinds.of(ConfigMap), kinds.of(Secret)
KEY, OTHER = KIND.key("default", "settings"), KIND.key("default", "other")
UNREADABLE = b'{"apiVersion": "v1", "kind": "ConfigMap", "immutable": "perhaps"}'


def put(storage: Storage, key: str) -> Put:
    return Put(key, storage.encode(KIND, key, ConfigMap(metadata=ObjectMeta(name=key.rpartition("/")[2]))))


async def test_it_stays_as_it_was_until_it_is_deleted() -> None:
    store, storage = MemoryStore(), Storage(bytes(32))
    await store.commit([put(storage, KEY)])
    cache = WatchCache(store, storage.decode)
    await cache.load()
    known = cache.get(KIND, KEY)
    changes = cache.follow(KIND, Filter(), cache.revision)
    following = asyncio.create_task(cache.run())
    try:
        async with asyncio.timeout(30):
            await store.commit([Put(KEY, UNREADABLE)])
            await store.commit([put(storage, OTHER)])
            (change,) = await anext(changes)
            assert change.entry is not None and (change.type, change.entry.key) == (ChangeType.ADDED, OTHER)
            assert cache.get(KIND, KEY) is known
            await cache._load(strict=False)
            assert cache.get(KIND, KEY) is known
            await store.commit([Delete(KEY)])
            await cache.catch_up()
            assert cache.get(KIND, KEY) is None
    finally:
        following.cancel()
        await asyncio.wait({following})


@pytest.mark.parametrize(
    "value",
    [b'{"kind": "Secret"}', b'{"encrypted": "?"}', b'{"encrypted": "aaa"}', b'{"encrypted": 3}', b"[]", b"not JSON"],
)
async def test_nor_is_a_secret_that_was_not_sealed(value: bytes) -> None:
    store, storage = MemoryStore(), Storage(bytes(32))
    cache = WatchCache(store, storage.decode)
    await cache.load()
    following = asyncio.create_task(cache.run())
    try:
        async with asyncio.timeout(30):
            await store.commit([Put(SECRET.key("default", "token"), value)])
            await store.commit([put(storage, OTHER)])
            await cache.catch_up(timeout_s=5.0)
            assert cache.get(KIND, OTHER) is not None
    finally:
        following.cancel()
        await asyncio.wait({following})
