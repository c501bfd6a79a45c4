"""A controller decides again only when its cache shows what it did last."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from knarr_api import errors
from knarr_api.types.core_v1 import ConfigMap
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import virtual_time
from knarr_client.informer import Informer
from knarr_client.memory import MemoryApi, MemoryClient
from knarr_controlplane.controllers.own_writes import OwnWrites

replace = msgspec.structs.replace


def config(name="a", **data):
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


def play(scenario):
    """Scenarios get an informer that does not run by itself: ``look`` lets it catch up."""

    async def run(clock):
        api = MemoryApi(clock=clock)
        client = MemoryClient(api)
        informer = Informer(client, ConfigMap, clock=clock)
        own = OwnWrites(informer, clock, patience_s=10)

        async def look():
            running = asyncio.ensure_future(informer.run())
            await clock.sleep(0.1)
            running.cancel()
            await asyncio.wait({running})

        await look()
        await scenario(clock, client, own, look)

    virtual_time.run(run)


def test_a_write_is_seen_when_the_cache_shows_it():
    async def scenario(clock, client, own, look):
        assert own.seen("key")
        own.wrote("key", await client.create(config()))
        assert not own.seen("key")
        assert own.seen("another key")
        await look()
        assert own.seen("key")

    play(scenario)


def test_a_deletion_is_seen_when_the_cache_shows_it():
    async def scenario(clock, client, own, look):
        made = await client.create(config())
        await look()
        own.deleting("key", made)
        await client.delete(ConfigMap, "a", "default")
        assert not own.seen("key")
        await look()
        assert own.seen("key")

    play(scenario)


def test_an_object_made_anew_does_not_hide_the_deletion():
    async def scenario(clock, client, own, look):
        made = await client.create(config())
        await look()
        own.deleting("key", made)
        await client.delete(ConfigMap, "a", "default")
        await client.create(config())
        await look()
        assert own.seen("key")

    play(scenario)


def test_what_never_shows_is_given_up():
    async def scenario(clock, client, own, look):
        own.wrote("key", await client.create(config()))
        await clock.sleep(9.9)
        assert not own.seen("key")
        await clock.sleep(0.2)
        assert own.seen("key")

    play(scenario)


def test_a_create_whose_answer_was_lost_is_found_out():
    async def scenario(clock, client, own, look):
        own.attempt("key", config())
        await client.create(config())
        await own.settle("key", client)
        assert not own.seen("key")
        await look()
        assert own.seen("key")

    play(scenario)


def test_a_create_that_never_happened_is_found_out():
    async def scenario(clock, client, own, look):
        own.attempt("key", config())
        await own.settle("key", client)
        assert own.seen("key")

    play(scenario)


def test_a_deletion_whose_answer_was_lost_is_found_out_either_way():
    async def scenario(clock, client, own, look):
        done, undone = await client.create(config("done")), await client.create(config("undone"))
        await look()
        for each in (done, undone):
            own.deleting("key", each)
            own.doubt_deletion("key", each)
        await client.delete(ConfigMap, "done", "default")
        await own.settle("key", client)
        assert not own.seen("key")
        await look()
        assert own.seen("key")

    play(scenario)


def test_nothing_is_decided_while_it_cannot_be_found_out():
    async def scenario(clock, client, own, look):
        own.attempt("key", config())
        client.connected = False
        with pytest.raises(errors.Unavailable):
            await own.settle("key", client)

    play(scenario)
