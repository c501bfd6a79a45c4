"""Who does not take what it is sent is cut off; who is not heard because the server stood still is not."""

from __future__ import annotations

import asyncio
import time

import pytest

from knarr_controlplane.server.calls import OWN_DELAY_S, Patience

DEADLINE_S = 30
WITHIN_S = 0.05


async def test_what_is_not_taken_in_time_ends_the_stream() -> None:
    taken = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit:
            with Patience(limit, WITHIN_S):
                async with asyncio.timeout(DEADLINE_S):
                    await taken.wait()
    assert limit.expired()


async def test_a_server_that_stood_still_cuts_nobody_off() -> None:
    """As a machine that was suspended, or whose processors others had: what was taken meanwhile is heard after."""
    loop, taken = asyncio.get_running_loop(), asyncio.Event()
    async with asyncio.timeout(None) as limit:
        with Patience(limit, WITHIN_S):
            time.sleep(WITHIN_S + OWN_DELAY_S + 0.1)  # noqa: ASYNC251 the whole process stands still
            loop.call_later(0.1, taken.set)
            await taken.wait()
    assert not limit.expired()


async def test_one_alarm_serves_many_messages() -> None:
    async with asyncio.timeout(None) as limit:
        patience = Patience(limit, WITHIN_S)
        for _ in range(10):
            with patience:
                await asyncio.sleep(WITHIN_S / 5)
        patience.close()
    assert not limit.expired()
