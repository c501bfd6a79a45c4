"""What follows from each way a reconcile can end."""

from __future__ import annotations

import asyncio
import itertools

from knarr_api import errors
from knarr_client import virtual_time
from knarr_client.reconcile import Again, run_reconciler
from knarr_client.workqueue import WorkQueue


class Scripted:
    """Does what its script says, then nothing; notes when it was called."""

    def __init__(self, *script):
        self.script = list(script)
        self.calls = []

    async def reconcile(self, key):
        self.calls.append(round(asyncio.get_running_loop().time(), 3))
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        if step == "hang":
            await asyncio.sleep(1e9)
        return step


def times(*script, for_s=300.0, deadline_s=60.0):
    reconciler = Scripted(*script)

    async def scenario(clock):
        queue = WorkQueue(uniform=lambda: 0.0)
        queue.add("a")
        running = asyncio.ensure_future(run_reconciler("test", reconciler, queue, deadline_s=deadline_s))
        await clock.sleep(for_s)
        running.cancel()
        await asyncio.wait({running})

    virtual_time.run(scenario)
    return reconciler.calls


def test_success_is_called_once():
    assert times(None) == [0]


def test_again_is_called_after_its_time():
    assert times(Again(30), Again(60), None) == [0, 30, 90]


def test_failures_back_off():
    failure = errors.Unavailable("no")
    assert times(failure, failure, failure, None) == [0, 0.005, 0.015, 0.035]


def test_unexpected_errors_are_retried_too():
    assert times(ValueError("mistake"), None) == [0, 0.005]


def test_terminal_is_not_retried():
    assert times(errors.Terminal("no use"), None) == [0]


def test_conflicts_are_retried_within_a_second_however_many():
    calls = times(*[errors.Conflict("changed")] * 20, for_s=30)
    assert max(after - before for before, after in itertools.pairwise(calls)) <= 1.001
    assert len(calls) == 21


def test_a_call_that_hangs_is_cancelled_and_retried():
    assert times("hang", None, deadline_s=60) == [0, 60.005]


def test_one_key_that_hangs_does_not_hold_up_others():
    done = []

    class Reconciler:
        async def reconcile(self, key):
            if key == 0:
                await asyncio.sleep(50)
            done.append(key)

    async def scenario(clock):
        queue = WorkQueue(uniform=lambda: 0.0)
        for key in range(5):
            queue.add(key)
        running = asyncio.ensure_future(run_reconciler("test", Reconciler(), queue, workers=2))
        await clock.sleep(1)
        assert done == [1, 2, 3, 4]
        running.cancel()
        await asyncio.wait({running})

    virtual_time.run(scenario)
