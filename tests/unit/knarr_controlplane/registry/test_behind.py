"""Writes through a control plane whose cache is behind: they are decided on what is stored, not on what it has seen."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from knarr_api import errors, kinds
from knarr_api.types.core_v1 import ConfigMap, Namespace
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry import bulk
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store.memory import MemoryStore
from tests.unit.knarr_controlplane.registry.conftest import Standing

CONFIG_MAP = kinds.of(ConfigMap)
DEADLINE_S = 10.0


class Behind:
    """Another control plane of the same store: it sees nothing until it has been asked for something."""

    def __init__(self, store: MemoryStore, cache: WatchCache, registry: Registry) -> None:
        self.store = store
        self.cache = cache
        self.registry = registry
        self.following: asyncio.Task[None] | None = None

    async def asked(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What comes of it, with the cache following from when it has begun."""
        async with asyncio.timeout(DEADLINE_S):
            asking = asyncio.create_task(work)
            await asyncio.sleep(0)
            self.following = asyncio.create_task(self.cache.run())
            return await asking


@pytest.fixture
async def other(registry: Registry, store: MemoryStore, tmp_path: Path, time: Standing) -> AsyncIterator[Behind]:
    await registry.create(config_map("old"))
    storage = Storage.open(tmp_path / "secrets.key")
    cache = WatchCache(store, storage.decode)
    await cache.load()
    made = Registry(store, cache, storage, admission=Admission(), now=time, randomness=random.Random(2))
    behind = Behind(store, cache, made)
    yield behind
    if behind.following is not None:
        behind.following.cancel()
        await asyncio.wait({behind.following})


def config_map(name: str, value: str = "1") -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data={"a": value})


async def set_to(registry: Registry, value: str, name: str = "old") -> None:
    await registry.patch(CONFIG_MAP, "default", name, {"data": {"a": value}})


async def data_of(registry: Registry, name: str) -> dict[str, str]:
    await registry.catch_up()
    return dict(registry.get(CONFIG_MAP, "default", name).value().data)


async def test_what_it_has_not_seen_can_be_deleted(registry: Registry, other: Behind) -> None:
    """Found by the simulation: a Deployment's deletion was answered with "not found", and it stayed."""
    await registry.create(config_map("new"))
    await other.asked(other.registry.delete(CONFIG_MAP, "default", "new"))
    await registry.catch_up()
    with pytest.raises(errors.NotFound):
        registry.get(CONFIG_MAP, "default", "new")


async def test_what_is_not_there_is_not_found(other: Behind) -> None:
    with pytest.raises(errors.NotFound):
        await other.asked(other.registry.delete(CONFIG_MAP, "default", "none"))


async def test_a_change_that_only_it_takes_for_none_is_made(registry: Registry, other: Behind) -> None:
    await set_to(registry, "2")
    await other.asked(set_to(other.registry, "1"))
    assert await data_of(registry, "old") == {"a": "1"}


async def test_many_changes_at_once_as_well(registry: Registry, other: Behind) -> None:
    await set_to(registry, "2")
    changes = [bulk.Wanted("default", "old", lambda old: ConfigMap(metadata=old.metadata, data={"a": "1"}))]
    await other.asked(bulk.change_all(other.registry, CONFIG_MAP, changes))
    assert await data_of(registry, "old") == {"a": "1"}


async def test_a_revision_that_it_has_not_seen_is_no_old_one(registry: Registry, other: Behind) -> None:
    await set_to(registry, "2")
    seen = registry.get(CONFIG_MAP, "default", "old").value()
    await other.asked(other.registry.update(ConfigMap(metadata=seen.metadata, data={"a": "3"})))
    assert await data_of(registry, "old") == {"a": "3"}


async def test_another_uid_than_it_knows_is_not_refused(registry: Registry, other: Behind) -> None:
    await registry.delete(CONFIG_MAP, "default", "old")
    uid = (await registry.create(config_map("old"))).uid
    await other.asked(other.registry.delete(CONFIG_MAP, "default", "old", uid=uid))
    await registry.catch_up()
    with pytest.raises(errors.NotFound):
        registry.get(CONFIG_MAP, "default", "old")


async def test_there_can_be_objects_in_a_namespace_that_it_has_not_seen(registry: Registry, other: Behind) -> None:
    await registry.create(Namespace(metadata=ObjectMeta(name="fresh")))
    made = ConfigMap(metadata=ObjectMeta(name="first", namespace="fresh"))
    assert (await other.asked(other.registry.create(made))).namespace == "fresh"
