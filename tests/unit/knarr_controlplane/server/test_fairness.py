"""Turns of calls: who floods waits, the others don't."""

from __future__ import annotations

import asyncio

import pytest

from knarr_api.errors import NOT_BEGUN, ResourceExhausted, Unavailable
from knarr_client import virtual_time
from knarr_client.virtual_time import VirtualClock
from knarr_controlplane.server.fairness import (
    CALM_S,
    CROWD_CALM_S,
    FLOOD,
    MAX_CALLS,
    MAX_CALLS_OF_ONE,
    QUIET_S,
    TAKEN_OVER_FIRST,
    Fairness,
)


async def call(fairness: Fairness, peer: str, order: list[str]) -> None:
    one = fairness.begin(peer)
    try:
        await fairness.turn(one)
        order.append(peer)
    finally:
        fairness.end(one)


async def test_a_quiet_connection_starts_at_once() -> None:
    fairness, order = Fairness(), list[str]()
    for _ in range(FLOOD):
        await asyncio.wait_for(call(fairness, "one", order), 30)
    assert len(order) == FLOOD and fairness.under_way == 0


async def test_others_go_before_whoever_is_held_back() -> None:
    fairness, order = Fairness(), list[str]()
    for _ in range(FLOOD):
        fairness.end(fairness.begin("flood"))
    held = [asyncio.create_task(call(fairness, "flood", order)) for _ in range(50)]
    await asyncio.sleep(0)
    await call(fairness, "quiet", order)
    assert order.index("quiet") <= 1
    await asyncio.gather(*held)
    assert order.count("flood") == 50


async def test_turns_go_round_those_that_are_held_back() -> None:
    fairness, order = Fairness(), list[str]()
    for peer in ("a", "b"):
        for _ in range(FLOOD):
            fairness.end(fairness.begin(peer))
    await asyncio.gather(*(call(fairness, peer, order) for peer in "ab" * 20))
    assert order == ["a", "b"] * 20


async def test_too_many_are_refused_with_a_hint_and_counted_off() -> None:
    fairness = Fairness()
    held = [fairness.begin("one") for _ in range(MAX_CALLS_OF_ONE)]
    with pytest.raises(ResourceExhausted, match="this connection has 256") as refused:
        fairness.begin("one")
    assert refused.value.retry_after_s
    others = [fairness.begin(f"peer {number % 100}") for number in range(MAX_CALLS - MAX_CALLS_OF_ONE)]
    with pytest.raises(ResourceExhausted, match="the server has 2000"):
        fairness.begin("another")
    for one in (*held, *others):
        fairness.end(one)
    assert fairness.under_way == 0
    fairness.end(fairness.begin("one"))


async def test_a_call_that_is_given_up_costs_nobody_a_turn() -> None:
    fairness, order = Fairness(), list[str]()
    for _ in range(FLOOD):
        fairness.end(fairness.begin("flood"))
    tasks = [asyncio.create_task(call(fairness, "flood", order)) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks[:9]:
        task.cancel()
    await asyncio.wait_for(tasks[9], 30)
    assert order == ["flood"] and fairness.under_way == 0


def flooded(fairness: Fairness) -> None:
    """From now on the connection ``flood`` is held back, within this second."""
    for _ in range(FLOOD):
        fairness.end(fairness.begin("flood"))


def test_one_that_is_held_back_starts_when_nothing_more_comes() -> None:
    async def scenario(clock: VirtualClock) -> None:
        fairness, order = Fairness(), list[str]()
        flooded(fairness)
        began_s = clock.monotonic()
        await call(fairness, "flood", order)
        assert CALM_S <= clock.monotonic() - began_s < 2 * CALM_S

    virtual_time.run(scenario)


def test_many_that_are_held_back_wait_while_calls_are_taken_over() -> None:
    async def scenario(clock: VirtualClock) -> None:
        fairness, order = Fairness(), list[str]()
        flooded(fairness)
        held = []
        for _ in range(5 * TAKEN_OVER_FIRST):
            held.append(asyncio.create_task(call(fairness, "flood", order)))
            await clock.sleep(CALM_S / 4)
        assert len(order) <= 5, "one for each so many that came"
        await call(fairness, "quiet", order)
        assert len(order) <= 6
        began_s = clock.monotonic()
        await asyncio.gather(*held)
        assert clock.monotonic() - began_s < 2 * CROWD_CALM_S
        assert order.count("flood") == len(held)

    virtual_time.run(scenario)


def test_closing_waits_for_what_is_under_way_and_until_nobody_calls() -> None:
    async def scenario(clock: VirtualClock) -> None:
        fairness = Fairness()
        long = fairness.begin("long")
        closing = asyncio.create_task(fairness.close())
        await clock.sleep(10)
        with pytest.raises(Unavailable, match=NOT_BEGUN):
            fairness.begin("late")
        fairness.end(long)
        await clock.sleep(QUIET_S * 0.8)
        with pytest.raises(Unavailable, match=NOT_BEGUN):
            fairness.begin("later")
        called_s = clock.monotonic()
        await closing
        assert clock.monotonic() - called_s == pytest.approx(QUIET_S)
        fairness.open()
        fairness.end(fairness.begin("next"))

    virtual_time.run(scenario)
