"""The work queue's promises, in virtual time."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_client import virtual_time
from knarr_client.workqueue import Backoff, QueueClosed, WorkQueue


def run(scenario):
    async def play(_clock):
        await scenario()

    virtual_time.run(play)


def queue():
    return WorkQueue(uniform=lambda: 0.0)


def test_additions_of_a_waiting_key_coalesce():
    async def scenario():
        keys = queue()
        for _ in range(3):
            keys.add("a")
        keys.add("b")
        assert [await keys.get(), await keys.get()] == ["a", "b"]
        assert len(keys) == 0

    run(scenario)


def test_change_during_processing_is_not_lost_and_not_concurrent():
    async def scenario():
        keys = queue()
        keys.add("a")
        assert await keys.get() == "a"
        keys.add("a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await keys.get()
        keys.done("a")
        assert await keys.get() == "a"

    run(scenario)


def test_busy_key_does_not_starve_others():
    async def scenario():
        keys = queue()
        keys.add("busy")
        served = []
        for _ in range(4):
            key = await keys.get()
            served.append(key)
            keys.add("busy")
            if len(served) == 1:
                keys.add("patient")
            keys.done(key)
        assert served[1:3] in (["patient", "busy"], ["busy", "patient"])
        assert served.count("patient") == 1

    run(scenario)


def test_retries_back_off_from_5_ms_to_a_minute_and_start_anew_after_success():
    async def scenario():
        keys = queue()
        delays = [keys.retry("a") for _ in range(20)]
        assert delays[:4] == [0.005, 0.01, 0.02, 0.04]
        assert delays[-1] == 60.0
        keys.forget("a")
        assert keys.retry("a") == 0.005

    run(scenario)


def test_jitter_is_the_argument_and_repeats_with_its_seed():
    first = WorkQueue(uniform=random.Random(7).random)
    second = WorkQueue(uniform=random.Random(7).random)

    async def scenario():
        delays = [first.retry(number) for number in range(5)]
        assert delays == [second.retry(number) for number in range(5)]
        assert len(set(delays)) == 5
        assert all(0.004 <= delay <= 0.005 for delay in delays)

    run(scenario)


def test_of_several_times_the_earliest_counts():
    async def scenario():
        loop = asyncio.get_running_loop()
        keys = queue()
        keys.add_after("a", 10)
        keys.add_after("a", 3)
        keys.add_after("a", 5)
        assert await keys.get() == "a"
        assert loop.time() == pytest.approx(3)
        keys.done("a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await keys.get()

    run(scenario)


def test_closing_wakes_everybody():
    async def scenario():
        keys = queue()
        waiting = [asyncio.ensure_future(keys.get()) for _ in range(3)]
        await asyncio.sleep(1)
        keys.add_after("a", 5)
        keys.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, QueueClosed) for result in results)
        keys.add("a")
        assert len(keys) == 0

    run(scenario)


def test_cancelled_getter_does_not_swallow_a_key():
    async def scenario():
        keys = queue()
        first = asyncio.ensure_future(keys.get())
        second = asyncio.ensure_future(keys.get())
        await asyncio.sleep(0.1)
        keys.add("a")
        first.cancel()
        async with asyncio.timeout(30):
            assert await second == "a"

    run(scenario)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "after", "retry"])), max_size=40))
def test_no_key_is_worked_on_twice_at_once_and_none_is_left(steps):
    async def scenario():
        keys = queue()
        at_work = set()
        worked = []

        async def worker():
            while True:
                key = await keys.get()
                assert key not in at_work
                at_work.add(key)
                await asyncio.sleep(0.01)
                worked.append(key)
                at_work.remove(key)
                keys.done(key)

        workers = [asyncio.ensure_future(worker()) for _ in range(3)]
        for key, how in steps:
            if how == "add":
                keys.add(key)
            elif how == "after":
                keys.add_after(key, 0.5)
            else:
                keys.retry(key)
            await asyncio.sleep(0.004)
        await asyncio.sleep(1000)
        assert set(worked) == {key for key, _ in steps}
        assert keys.idle
        for each in workers:
            each.cancel()
        await asyncio.wait(workers)
        assert all(each.cancelled() for each in workers)

    run(scenario)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_stays_in_its_limits(failures, uniform):
    delay_s = Backoff().delay_s(failures, uniform)
    assert 0.004 <= delay_s <= 60.0
