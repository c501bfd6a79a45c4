"""Concurrent readers and writers of each store, some of whom do not wait for their answer: one after the other it must
make sense."""

from __future__ import annotations

import asyncio
import math
import random
import time

import pytest

from knarr_controlplane.store.protocol import KeyConflict, Put, Store
from tests.simulation.linearizability import Call, Verb, is_linearizable

KEYS = ("/registry/core/configmaps/default/a", "/registry/core/configmaps/default/b")
CLIENTS, CALLS = 5, 40
PATIENCE_S = 0.002
"""How long those wait that do not wait long."""


def a(verb: Verb, value: str | None, begin: float, end: float = math.inf, **more: object) -> Call:
    return Call(verb=verb, value=value, begin=begin, end=end, **more)  # type: ignore[arg-type]


def test_the_checker_finds_a_read_that_is_too_old() -> None:
    assert is_linearizable([a(Verb.WRITE, "1", 0, 2), a(Verb.READ, None, 1, 3)])
    assert not is_linearizable([a(Verb.WRITE, "1", 0, 1), a(Verb.READ, None, 2, 3)])


def test_the_checker_finds_a_write_that_got_lost() -> None:
    history = [a(Verb.WRITE, "1", 0, 1), a(Verb.SWAP, "2", 2, 3, expected="1"), a(Verb.READ, "1", 4, 5)]
    assert not is_linearizable(history)
    assert is_linearizable([*history[:1], a(Verb.SWAP, "2", 2, expected="1"), *history[2:]])


def test_the_checker_lets_a_write_without_an_answer_happen_late_but_not_twice() -> None:
    lost = a(Verb.WRITE, "1", 0)
    assert is_linearizable([lost, a(Verb.READ, None, 1, 2), a(Verb.READ, "1", 3, 4)])
    assert not is_linearizable([lost, a(Verb.READ, "1", 1, 2), a(Verb.WRITE, "2", 3, 4), a(Verb.READ, "1", 5, 6)])


class Client:
    def __init__(self, store: Store, number: int, histories: dict[str, list[Call]]) -> None:
        self._store = store
        self._number = number
        self._histories = histories
        self._chance = random.Random(number)

    async def run(self) -> None:
        for turn in range(CALLS):
            key = self._chance.choice(KEYS)
            call = await self._one(key, f"{self._number}.{turn}")
            if call is not None:
                self._histories[key].append(call)

    async def _one(self, key: str, value: str) -> Call | None:
        """None for a read that nobody waited for."""
        verb = self._chance.choice(list(Verb))
        revision, expected = 0, None
        if verb is Verb.SWAP:
            entry = await self._store.get(key)
            revision, expected = (entry.revision, entry.value.decode()) if entry is not None else (0, None)
        begin = time.monotonic()
        patience_s = PATIENCE_S * self._chance.random() if self._chance.random() < 0.2 else None
        found: str | None = value
        done = True
        try:
            async with asyncio.timeout(patience_s):
                if verb is Verb.READ:
                    entry = await self._store.get(key)
                    found = entry.value.decode() if entry is not None else None
                else:
                    await self._store.commit([Put(key, value.encode(), revision if verb is Verb.SWAP else None)])
        except KeyConflict:
            done = False
        except TimeoutError:
            return None if verb is Verb.READ else Call(verb=verb, value=value, begin=begin, expected=expected)
        return Call(verb=verb, value=found, begin=begin, end=time.monotonic(), expected=expected, done=done)


@pytest.mark.timeout(180)
async def test_histories_are_linearizable(store: Store) -> None:
    histories: dict[str, list[Call]] = {key: [] for key in KEYS}
    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(Client(store, number, histories).run())
    for key in KEYS:
        history, entry, now = histories[key], await store.get(key), time.monotonic()
        last = Call(verb=Verb.READ, value=entry.value.decode() if entry is not None else None, begin=now, end=now)
        assert is_linearizable([*history, last]), history
        assert sum(not math.isinf(call.end) for call in history) > CALLS
