"""Time as an argument.

Timers of the event loop (``asyncio.timeout``, ``loop.call_later``) and the clock run at one pace: in the real world
because both are the machine's, in tests because :mod:`knarr_client.virtual_time` provides both.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, and waiting for it."""

    def now(self) -> datetime.datetime:
        """The wall clock, in UTC. May jump."""
        ...

    def monotonic(self) -> float:
        """Seconds from an unknown start. Never goes back."""
        ...

    async def sleep(self, duration_s: float) -> None:
        """At least ``duration_s`` seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)
