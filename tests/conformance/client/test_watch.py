"""What every Client promises of watch."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest

from knarr_api import errors
from knarr_api.types.core_v1 import ConfigMap
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import EventType

replace = msgspec.structs.replace
DEADLINE_S = 30


def config(name="a", *, labels=None, **data):
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default", labels=labels or {}), data=data)


@contextlib.asynccontextmanager
async def watching(client, **kwargs):
    batches = client.watch(ConfigMap, "default", **kwargs)

    async def take(count):
        """The next ``count`` events other than bookmarks."""
        found = []
        async with asyncio.timeout(DEADLINE_S):
            while len(found) < count:
                found += [event for event in await anext(batches) if event.type is not EventType.BOOKMARK]
        return [(event.type.value, event.object.metadata.name) for event in found]

    try:
        yield take
    finally:
        await batches.aclose()


async def revision(client):
    return (await client.list(ConfigMap, "default")).resource_version


async def test_changes_come_in_order_and_none_is_missing(client):
    async with watching(client, resource_version=await revision(client)) as take:
        made = await client.create(config())
        changed = await client.update(replace(made, data={"k": "v"}))
        await client.delete(ConfigMap, "a", "default")
        assert changed.data
        assert await take(3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_resuming_after_any_event_misses_none_and_repeats_none(client):
    start = await revision(client)
    for number in range(4):
        await client.create(config(f"c{number}"))
    revisions = []
    batches = client.watch(ConfigMap, "default", resource_version=start)
    async with asyncio.timeout(DEADLINE_S):
        while len(revisions) < 4:
            revisions += [event.resource_version for event in await anext(batches) if event.object is not None]
    await batches.aclose()
    for index, after in enumerate(revisions[:-1]):
        async with watching(client, resource_version=after) as take:
            assert await take(3 - index) == [("ADDED", f"c{number}") for number in range(index + 1, 4)]


async def test_without_a_revision_the_present_comes_first_then_a_bookmark(client):
    await client.create(config("a"))
    await client.create(config("b"))
    events = []
    batches = client.watch(ConfigMap, "default")
    async with asyncio.timeout(DEADLINE_S):
        while not any(event.type is EventType.BOOKMARK for event in events):
            events += await anext(batches)
    await batches.aclose()
    assert [event.type for event in events] == [EventType.ADDED, EventType.ADDED, EventType.BOOKMARK]
    assert events[-1].object is None
    async with watching(client, resource_version=events[-1].resource_version) as take:
        await client.create(config("c"))
        assert await take(1) == [("ADDED", "c")]


async def test_leaving_a_selection_is_a_deletion_and_entering_it_an_addition(client):
    async with watching(client, resource_version=await revision(client), label_selector="app=x") as take:
        made = await client.create(config(labels={"app": "y"}))
        made = await client.update(replace(made, metadata=replace(made.metadata, labels={"app": "x"})))
        made = await client.update(replace(made, data={"k": "v"}))
        made = await client.update(replace(made, metadata=replace(made.metadata, labels={})))
        await client.delete(ConfigMap, "a", "default")
        await client.create(config("b", labels={"app": "x"}))
        assert await take(4) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b")]


async def test_field_selector_of_a_watch(client):
    async with watching(client, resource_version=await revision(client), field_selector="metadata.name=b") as take:
        await client.create(config("a"))
        await client.create(config("b"))
        assert await take(1) == [("ADDED", "b")]


async def test_compacted_revision_expires(opened):
    start = await revision(opened.client)
    await opened.client.create(config())
    await opened.client.create(config("b"))
    await opened.compact()
    with pytest.raises(errors.Expired):
        async with watching(opened.client, resource_version=start) as take:
            await take(1)


async def test_events_name_the_revision_of_their_object(client):
    batches = client.watch(ConfigMap, "default", resource_version=await revision(client))
    made = await client.create(config())
    async with asyncio.timeout(DEADLINE_S):
        event = (await anext(batches))[0]
    await batches.aclose()
    assert event.object == made
    assert event.resource_version == made.metadata.resource_version
