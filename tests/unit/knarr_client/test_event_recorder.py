"""Events are aggregated, bounded and written when the API is back."""

from __future__ import annotations

import asyncio

from knarr_api import kinds
from knarr_api.types.core_v1 import ConfigMap, Event
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import virtual_time
from knarr_client.event_recorder import EventRecorder, RecorderSettings
from knarr_client.memory import MemoryApi, MemoryClient


def play(scenario, **settings):
    async def run(clock):
        api = MemoryApi(clock=clock)
        client = MemoryClient(api)
        recorder = EventRecorder(client, component="test", clock=clock, settings=RecorderSettings(**settings))
        about = await client.create(ConfigMap(metadata=ObjectMeta(name="a", namespace="default")))
        running = asyncio.ensure_future(recorder.run())

        def events():
            return list(api.table(kinds.of(Event)).objects.values())

        await scenario(clock, client, recorder, about, events)
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()

    virtual_time.run(run)


def test_an_event_says_who_what_and_why():
    async def scenario(clock, client, recorder, about, events):
        recorder.warning(about, "Broken", "it broke")
        await clock.sleep(0.1)
        (event,) = events()
        assert (event.type, event.reason, event.message, event.count) == ("Warning", "Broken", "it broke", 1)
        assert event.involved_object.uid == about.metadata.uid
        assert event.involved_object.kind == "ConfigMap"
        assert event.metadata.name.startswith("a.")
        assert event.source.component == "test"

    play(scenario)


def test_the_same_again_bumps_the_count_now_and_then():
    async def scenario(clock, client, recorder, about, events):
        for _ in range(100):
            recorder.normal(about, "Again", "and again")
            await clock.sleep(0.1)
        await clock.sleep(10)
        (event,) = events()
        assert event.count == 100
        assert event.last_timestamp > event.first_timestamp
        assert client.writes["patch"] <= 4

    play(scenario)


def test_an_outage_loses_nothing():
    async def scenario(clock, client, recorder, about, events):
        client.connected = False
        recorder.normal(about, "One", "1")
        recorder.normal(about, "Two", "2")
        recorder.normal(about, "One", "1")
        await clock.sleep(120)
        client.connected = True
        await clock.sleep(30)
        assert {event.reason: event.count for event in events()} == {"One": 2, "Two": 1}

    play(scenario)


def test_too_many_are_dropped_not_kept():
    async def scenario(clock, client, recorder, about, events):
        client.connected = False
        for number in range(50):
            recorder.normal(about, f"R{number}", "x")
        assert recorder.dropped == 40

    play(scenario, pending_max=10)


def test_many_messages_of_one_reason_are_combined():
    async def scenario(clock, client, recorder, about, events):
        for number in range(40):
            recorder.normal(about, "Failed", f"attempt {number}")
        await clock.sleep(1)
        assert len(events()) == 11
        (combined,) = [event for event in events() if event.message.startswith("(combined")]
        assert combined.count == 30

    play(scenario)


def test_an_event_that_expired_is_written_anew():
    async def scenario(clock, client, recorder, about, events):
        recorder.normal(about, "One", "1")
        await clock.sleep(1)
        (event,) = events()
        await client.delete(Event, event.metadata.name, "default")
        recorder.normal(about, "One", "1")
        await clock.sleep(10)
        assert len(events()) == 1

    play(scenario)
