"""The cache follows the API through outages, compaction and servers that lag."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest

from knarr_api import errors
from knarr_api.types.core_v1 import ConfigMap
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import virtual_time
from knarr_client.client import Key, Page
from knarr_client.informer import Informer
from knarr_client.memory import MemoryApi, MemoryClient

replace = msgspec.structs.replace


def config(name, *, labels=None, **data):
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default", labels=labels or {}), data=data)


class World:
    def __init__(self, clock):
        self.clock = clock
        self.api = MemoryApi(clock=clock)
        self.writer = MemoryClient(self.api)
        self.reader = MemoryClient(self.api)
        self.changes = []
        self.informer = self.make(self.reader)

    def make(self, client, **kwargs):
        informer = Informer(client, ConfigMap, "default", clock=self.clock, uniform=lambda: 0.5, **kwargs)
        informer.add_handler(self.note)
        return informer

    def note(self, change):
        kind = "added" if change.old is None else "deleted" if change.new is None else "changed"
        self.changes.append((kind, change.key.name))

    @property
    def names(self):
        return {key.name for key in self.informer.keys()}  # noqa: SIM118 not a dict


def play(scenario):
    async def run(clock):
        world = World(clock)
        running = asyncio.ensure_future(world.informer.run())
        try:
            await scenario(world)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    virtual_time.run(run)


def test_present_objects_are_there_once_synced_and_changes_follow():
    async def scenario(world):
        made = await world.writer.create(config("a"))
        await world.informer.synced.wait()
        assert world.informer.get("a", "default") == made
        await world.writer.update(replace(made, data={"k": "v"}))
        await world.writer.create(config("b"))
        await world.clock.sleep(0.1)
        assert world.informer.by_key(Key("default", "a")).data == {"k": "v"}
        await world.writer.delete(ConfigMap, "a", "default")
        await world.clock.sleep(0.1)
        assert world.names == {"b"}
        assert world.changes == [("added", "a"), ("changed", "a"), ("added", "b"), ("deleted", "a")]

    play(scenario)


def test_an_outage_empties_nothing_and_is_caught_up_with():
    async def scenario(world):
        made = await world.writer.create(config("a"))
        await world.informer.synced.wait()
        world.reader.connected = False
        await world.writer.create(config("b"))
        await world.clock.sleep(600)
        assert world.names == {"a"}
        await world.writer.delete(ConfigMap, "a", "default")
        world.reader.connected = True
        await world.clock.sleep(6)
        assert world.names == {"b"}
        assert world.changes == [("added", "a"), ("added", "b"), ("deleted", "a")]
        assert made

    play(scenario)


def test_outage_before_the_first_list_leaves_it_unsynced():
    async def scenario(world):
        world.reader.connected = False
        await world.clock.sleep(600)
        assert not world.informer.synced.is_set()
        world.reader.connected = True
        await world.clock.sleep(6)
        assert world.informer.synced.is_set()

    play(scenario)


def test_compaction_during_an_outage_leads_to_a_list_and_the_difference_is_told():
    async def scenario(world):
        await world.writer.create(config("gone"))
        kept = await world.writer.create(config("kept"))
        changed = await world.writer.create(config("changed"))
        await world.informer.synced.wait()
        world.changes.clear()
        world.reader.connected = False
        await world.clock.sleep(1)
        await world.writer.delete(ConfigMap, "gone", "default")
        await world.writer.create(config("new"))
        await world.writer.update(replace(changed, data={"k": "v"}))
        world.api.compact()
        world.reader.connected = True
        await world.clock.sleep(10)
        assert world.names == {"kept", "changed", "new"}
        assert sorted(world.changes) == [("added", "new"), ("changed", "changed"), ("deleted", "gone")]
        assert world.informer.get("kept", "default") == kept

    play(scenario)


def test_object_made_anew_under_its_name_is_a_change_between_two_uids():
    async def scenario(world):
        first = await world.writer.create(config("a"))
        await world.informer.synced.wait()
        uids = []
        world.informer.add_handler(lambda change: uids.append(change.old and change.old.metadata.uid))
        world.reader.connected = False
        await world.clock.sleep(1)
        await world.writer.delete(ConfigMap, "a", "default")
        second = await world.writer.create(config("a"))
        world.api.compact()
        world.reader.connected = True
        await world.clock.sleep(10)
        assert uids[-1] == first.metadata.uid
        assert world.informer.get("a", "default").metadata.uid == second.metadata.uid

    play(scenario)


def test_indexes_follow_changes():
    async def scenario(world):
        world.informer.add_index("app", lambda obj: (obj.metadata.labels.get("app", ""),))
        made = await world.writer.create(config("a", labels={"app": "x"}))
        await world.writer.create(config("b", labels={"app": "x"}))
        await world.informer.synced.wait()
        assert {each.metadata.name for each in world.informer.by_index("app", "x")} == {"a", "b"}
        await world.writer.update(replace(made, metadata=replace(made.metadata, labels={"app": "y"})))
        await world.clock.sleep(0.1)
        assert [each.metadata.name for each in world.informer.by_index("app", "x")] == ["b"]
        assert [each.metadata.name for each in world.informer.by_index("app", "y")] == ["a"]
        await world.writer.delete(ConfigMap, "a", "default")
        await world.clock.sleep(0.1)
        assert world.informer.by_index("app", "y") == ()

    play(scenario)


def test_late_handlers_are_told_of_what_is_present():
    async def scenario(world):
        await world.writer.create(config("a"))
        await world.informer.synced.wait()
        seen = []
        world.informer.add_handler(lambda change: seen.append(change.key.name))
        assert seen == ["a"]

    play(scenario)


class Lagging(MemoryClient):
    """Answers lists from an old snapshot while ``stale`` is set."""

    def __init__(self, api):
        super().__init__(api)
        self.stale = None

    async def list(self, type_, namespace="", **kwargs):
        return self.stale if self.stale is not None else await super().list(type_, namespace, **kwargs)


def test_list_of_a_server_that_lags_is_not_believed():
    async def run(clock):
        world = World(clock)
        reader = Lagging(world.api)
        informer = world.make(reader)
        old = await world.writer.list(ConfigMap, "default")
        running = asyncio.ensure_future(informer.run())
        await informer.synced.wait()
        await world.writer.create(config("a"))
        await clock.sleep(0.1)
        reader.stale = Page(items=old.items, resource_version=old.resource_version)
        reader.connected = False
        await clock.sleep(1)
        await world.writer.create(config("b"))
        world.api.compact()
        reader.connected = True
        await clock.sleep(2)
        assert [key.name for key in informer.keys()] == ["a"]  # noqa: SIM118 not a dict
        reader.stale = None
        await clock.sleep(10)
        assert [key.name for key in informer.keys()] == ["a", "b"]  # noqa: SIM118 not a dict
        running.cancel()
        await asyncio.wait({running})

    virtual_time.run(run)


def test_a_request_that_can_never_succeed_is_an_error():
    async def run(clock):
        client = MemoryClient(MemoryApi(clock=clock))
        informer = Informer(client, ConfigMap, label_selector="((", clock=clock)
        with pytest.raises(errors.Invalid):
            async with asyncio.timeout(60):
                await informer.run()

    virtual_time.run(run)


def test_keep_drops_content_before_it_is_remembered():
    async def run(clock):
        world = World(clock)
        informer = world.make(world.reader, keep=lambda obj: replace(obj, data={}))
        running = asyncio.ensure_future(informer.run())
        await world.writer.create(config("a", k="v"))
        await informer.synced.wait()
        await world.writer.create(config("b", k="v"))
        await clock.sleep(0.1)
        assert [each.data for each in informer.items()] == [{}, {}]
        running.cancel()
        await asyncio.wait({running})

    virtual_time.run(run)
