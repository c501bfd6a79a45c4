"""Events are aggregated, bounded and written when the API is back."""

from __future__ import annotations

import asyncio

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api import kinds
from knarr_api.types.core_v1 import ConfigMap, Event
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import virtual_time
from knarr_client.event_limits import Similar, TokenBuckets
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


def test_a_burst_is_written_in_full_but_at_a_pace():
    async def scenario(clock, client, recorder, about, events):
        for number in range(100):
            pod = msgspec.structs.replace(about, metadata=msgspec.structs.replace(about.metadata, name=f"p{number}"))
            recorder.normal(pod, "Scheduled", "x")
        await clock.sleep(1)
        assert 20 <= len(events()) < 40, "twenty at once, ten a second"
        await clock.sleep(10)
        assert len(events()) == 100 and recorder.dropped == 0

    play(scenario, at_once=20, per_s=10.0)


def test_many_messages_of_one_reason_are_combined():
    async def scenario(clock, client, recorder, about, events):
        for number in range(40):
            recorder.normal(about, "Failed", f"attempt {number}")
        await clock.sleep(1)
        assert len(events()) == 10
        (combined,) = [event for event in events() if event.message.startswith("(combined")]
        assert combined.count == 31
        assert combined.message == "(combined from similar events): attempt 39"
        recorder.normal(about, "Failed", "attempt 40")
        await clock.sleep(10)
        (combined,) = [event for event in events() if event.message.startswith("(combined")]
        assert (combined.count, combined.message) == (32, "(combined from similar events): attempt 40")

        await clock.sleep(601)
        recorder.normal(about, "Failed", "attempt 41")
        await clock.sleep(1)
        assert [event.count for event in events() if event.message == "attempt 41"] == [1]

    play(scenario)


def test_who_says_too_much_about_one_object_is_not_heard_for_a_while():
    async def scenario(clock, client, recorder, about, events):
        other = await client.create(ConfigMap(metadata=ObjectMeta(name="b", namespace="default")))
        for number in range(40):
            recorder.normal(about, f"R{number}", "x")
        recorder.normal(other, "R", "x")
        recorder.named("somebody-else").normal(about, "R", "x")
        await clock.sleep(1)
        assert len(events()) == 27
        assert recorder.dropped == 15

        await clock.sleep(300)
        recorder.normal(about, "Later", "x")
        recorder.normal(about, "Later still", "x")
        await clock.sleep(1)
        assert {"Later"} == {event.reason for event in events() if event.reason.startswith("Later")}

    play(scenario)


def test_counts_go_on_while_a_source_is_not_heard():
    async def scenario(clock, client, recorder, about, events):
        for number in range(25):
            recorder.normal(about, f"R{number}", "x")
        await clock.sleep(1)
        for _ in range(100):
            recorder.normal(about, "R0", "x")
            await clock.sleep(1)
        assert "patch" not in client.writes
        await clock.sleep(600)
        (event,) = [event for event in events() if event.reason == "R0"]
        assert (event.count, client.writes["patch"]) == (101, 1)

    play(scenario)


@given(
    said=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.floats(0.0, 200.0)), max_size=150),
)
@settings(max_examples=60, deadline=None)
def test_nothing_said_is_lost_but_what_is_dropped_and_writes_are_bounded(said):
    async def scenario(clock, client, recorder, about, events):
        abouts = {"a": about, "b": await client.create(ConfigMap(metadata=ObjectMeta(name="b", namespace="default")))}
        before, began_s = sum(client.writes.values()), clock.monotonic()
        for name, number, pause_s in said:
            recorder.normal(abouts[name], f"R{number % 3}", f"message {number}")
            await clock.sleep(pause_s)
        writes, took_s = sum(client.writes.values()) - before, clock.monotonic() - began_s
        assert writes <= 2 * (25 + took_s / 300 + 1)
        await clock.sleep(300.0 * 40)
        assert sum(event.count for event in events()) + recorder.dropped == len(said)
        assert all(event.involved_object.name in abouts for event in events())

    play(scenario)


@given(st.lists(st.floats(0.0, 400.0), max_size=100), st.integers(1, 5), st.floats(1.0, 300.0))
def test_tokens_are_never_more_than_the_bucket_and_the_time_give(pauses, burst, interval_s):
    buckets, now_s, taken = TokenBuckets(burst, interval_s, 10), 0.0, 0
    for pause_s in pauses:
        now_s += pause_s
        wait_s = buckets.wait_s("k", now_s)
        assert buckets.take("k", now_s) == (wait_s == 0.0)
        taken += wait_s == 0.0
        assert taken <= burst + now_s / interval_s + 1e-6


@given(st.lists(st.text(max_size=2), max_size=60), st.integers(2, 12))
def test_fewer_messages_than_the_limit_stand_for_themselves(messages, limit):
    similar, seen = Similar(limit, 600.0, 10), set()
    for number, message in enumerate(messages):
        seen.add(message)
        combined = similar.is_one_too_many("subject", message, float(number))
        assert not combined or len(seen) >= limit
        if message not in messages[:number] and len(seen) >= limit:
            assert combined


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
