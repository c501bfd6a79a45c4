"""All that is known of one kind: its objects, what became of them, and who waits for more."""

from __future__ import annotations

import asyncio
import bisect
from dataclasses import dataclass, field

import msgspec

from knarr_client.client import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of a kind's history."""

    revision: int
    old: msgspec.Struct | None
    new: msgspec.Struct | None


@dataclass(slots=True)
class Table:
    """Every change is recorded, until the history is forgotten."""

    objects: dict[Key, msgspec.Struct] = field(default_factory=dict)
    history: list[Record] = field(default_factory=list)
    waiters: list[asyncio.Future[None]] = field(default_factory=list)

    def since(self, revision: int) -> list[Record]:
        """What came after it, the oldest first."""
        return self.history[bisect.bisect_right(self.history, revision, key=lambda record: record.revision) :]

    def wake(self) -> None:
        """Who waits for a change looks again."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def changed(self) -> None:
        """Returns when it may have."""
        waiter = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        await waiter
