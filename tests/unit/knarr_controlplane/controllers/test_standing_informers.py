"""Who comes to lead knows everything that was written before, without having read it all again."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from knarr_api import errors
from knarr_api.types.core_v1 import ConfigMap, Event, Namespace
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.clock import SystemClock
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.controllers.garbage.collector import followed_kinds
from knarr_controlplane.controllers.informers import StandingInformers, TermInformers
from knarr_controlplane.registry.local_client import LocalClient
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store.memory import MemoryStore


@asynccontextmanager
async def process(store: MemoryStore) -> AsyncIterator[tuple[LocalClient, StandingInformers]]:
    """A control plane that does not lead."""
    storage = Storage(bytes(32))
    cache = WatchCache(store, storage.decode)
    await cache.load()
    registry = Registry(store, cache, storage, admission=Admission(), now=lambda: datetime.datetime.now(datetime.UTC))
    client = LocalClient(registry)
    standing = StandingInformers(client, SystemClock(), followed_kinds())
    running = [asyncio.create_task(cache.run()), asyncio.create_task(standing.run())]
    try:
        await registry.make_system_objects()
        async with asyncio.timeout(30):
            yield client, standing
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


def settings(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


async def test_caught_up_means_that_nothing_written_before_is_missing() -> None:
    store = MemoryStore()
    async with process(store) as (here, standing), process(store) as (elsewhere, _):
        await standing.caught_up()  # also those of kinds of which nothing is written
        for number in range(20):
            made = await elsewhere.create(settings(f"s{number}"))
            own = await here.create(Namespace(metadata=ObjectMeta(name=f"n{number}")))
            await standing.caught_up()
            known = standing.of(ConfigMap).get(f"s{number}", "default")
            assert known is not None
            assert known.metadata.uid == made.metadata.uid
            assert standing.of(Namespace).get(f"n{number}") == own


async def test_a_term_sees_all_that_is_there_and_the_next_one_does_as_well() -> None:
    async with process(MemoryStore()) as (client, standing):
        made = await client.create(Namespace(metadata=ObjectMeta(name="first")))
        for term in range(2):
            await standing.caught_up()
            informers = TermInformers(standing, SystemClock())
            told: list[str] = []
            informers.of(Namespace).add_handler(lambda change: told.append(change.key.name))  # noqa: B023
            running = asyncio.create_task(informers.run())
            await informers.synced()
            assert "first" in told
            assert len(told) == len(set(told))
            labels = {"term": str(term)}
            labelled = msgspec.structs.replace(made, metadata=msgspec.structs.replace(made.metadata, labels=labels))
            made = await client.update(labelled)
            await standing.caught_up()
            assert told[-1] == "first"
            running.cancel()
            await asyncio.wait({running})


async def test_what_nobody_looks_into_is_kept_without_content_and_refused_to_who_would() -> None:
    async with process(MemoryStore()) as (client, standing):
        await client.create(settings("s", key="value"))
        await standing.caught_up()
        informers = TermInformers(standing, SystemClock())
        slim = informers.metadata_of(ConfigMap).get("s", "default")
        assert slim is not None
        assert not slim.data
        with pytest.raises(errors.Internal, match="ConfigMap"):
            TermInformers(standing, SystemClock()).of(ConfigMap)
        with pytest.raises(errors.Internal, match="Event"):
            TermInformers(standing, SystemClock()).of(Event)
