"""A registry over the store in memory, with a clock that stands still until told."""

from __future__ import annotations

import asyncio
import datetime
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store.memory import MemoryStore


@dataclass
class Standing:
    """Time as the test sets it."""

    now: datetime.datetime = field(default=datetime.datetime(2026, 1, 31, 8, 0, 0, tzinfo=datetime.UTC))

    def __call__(self) -> datetime.datetime:
        return self.now


@pytest.fixture
def time() -> Standing:
    return Standing()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def registry(tmp_path: Path, store: MemoryStore, time: Standing) -> AsyncIterator[Registry]:
    storage = Storage.open(tmp_path / "secrets.key")
    cache = WatchCache(store, storage.decode)
    await cache.load()
    following = asyncio.create_task(cache.run())
    made = Registry(store, cache, storage, admission=Admission(eviction_s=30), now=time, randomness=random.Random(1))
    await made.make_system_objects()
    yield made
    following.cancel()
    await asyncio.wait({following})
    await store.close()
