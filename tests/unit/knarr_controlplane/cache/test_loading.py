"""A cache is filled by pages that are all of one revision."""

from __future__ import annotations

import asyncio

import pytest

from knarr_api import kinds
from knarr_api.errors import Internal, Unavailable
from knarr_api.types.core_v1 import ConfigMap
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.cache.watch_cache import FIRST_PAGE, WatchCache
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store.memory import MemoryStore
from knarr_controlplane.store.protocol import Delete, Listing, Put

KIND = kinds.of(ConfigMap)
STORAGE = Storage(bytes(32))
NAMES = [f"settings-{number:05}" for number in range(4 * FIRST_PAGE)]
BIG = 40_000


def put(name: str, size_bytes: int = 0) -> Put:
    settings = ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data={"x": "x" * size_bytes})
    return Put(KIND.key("default", name), STORAGE.encode(KIND, KIND.key("default", name), settings))


class Paged(MemoryStore):
    """Is written to after its first page, and says how long its pages were."""

    def __init__(self, fails_after: int = 1000) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self._fails_after = fails_after

    async def list(self, prefix: str, *, limit: int = 0, after: str = "", at_revision: int = 0) -> Listing:
        if len(self.sizes) == self._fails_after:
            raise Unavailable("gone")
        page = await super().list(prefix, limit=limit, after=after, at_revision=at_revision)
        self.sizes.append(len(page.entries))
        if len(self.sizes) == 1:
            await self.commit([put("later"), Delete(KIND.key("default", NAMES[-1]))])
        return page


async def filled(store: Paged, size_bytes: int = 0) -> WatchCache:
    for name in NAMES:
        await store.commit([put(name, size_bytes)])
    cache = WatchCache(store, STORAGE.decode)
    await cache.load()
    return cache


async def test_it_holds_what_there_was_when_it_began() -> None:
    store = Paged()
    cache = await filled(store)
    assert [entry.name for entry in cache.of(KIND).entries.values()] == NAMES
    assert store.sizes == [FIRST_PAGE, 2 * FIRST_PAGE, FIRST_PAGE]


async def test_pages_of_large_objects_are_short() -> None:
    store = Paged()
    await filled(store, BIG)
    assert sum(store.sizes) == len(NAMES)
    assert max(store.sizes) == FIRST_PAGE


async def test_a_page_that_can_not_be_read_ends_it() -> None:
    with pytest.raises(Unavailable):
        await filled(Paged(fails_after=1))


async def test_the_next_page_is_not_read_on_when_one_can_not_be_used() -> None:
    class Slow(Paged):
        reading = False

        async def list(self, prefix: str, *, limit: int = 0, after: str = "", at_revision: int = 0) -> Listing:
            if after:
                self.reading = True
                try:
                    await asyncio.Event().wait()
                finally:
                    self.reading = False
            return await super().list(prefix, limit=limit, after=after, at_revision=at_revision)

    def refuse(*_: object) -> CacheEntry:
        assert store.reading
        raise Internal("not what was written")

    store = Slow()
    for name in NAMES:
        await store.commit([put(name)])
    with pytest.raises(Internal):
        await WatchCache(store, refuse).load()
    assert not store.reading
