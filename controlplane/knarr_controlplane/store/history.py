"""Recent changes in memory and those who follow them: the watch side of stores that live in one process."""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from knarr_api.errors import Expired, Unavailable
from knarr_controlplane.store import revision
from knarr_controlplane.store.protocol import Progress, StoreEvent

MAX_EVENTS, MAX_BYTES = 200_000, 128 * 1024 * 1024
MAX_BACKLOG = 50_000
MAX_DELIVERY = 1000


@dataclass(eq=False, slots=True)
class Follower:
    prefix: str
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    next_index: int = 0


class History:
    """Events in order, the oldest of which may be forgotten. ``start``: the first absolute index still held."""

    def __init__(self, revision_now: int) -> None:
        self.revision = revision_now
        """Packed; the newest change."""
        self.forgotten = revision_now
        """Packed; a watch from before this is refused."""
        self._events: list[StoreEvent] = []
        self._start = 0
        self._size_bytes = 0
        self._followers: dict[Follower, None] = {}
        """In the order in which they came, so that a run repeats exactly."""
        self._closed = False

    def append(self, events: list[StoreEvent], revision_now: int) -> None:
        """Add one revision's events and wake the followers."""
        self._events.extend(events)
        self._size_bytes += sum(map(_size_bytes, events))
        self.revision = revision_now
        if len(self._events) > MAX_EVENTS or (self._size_bytes > MAX_BYTES and len(self._events) > 1):
            self.forget(self._events[len(self._events) // 2].revision)
        for follower in self._followers:
            follower.wake.set()

    def forget(self, before: int) -> None:
        """Drop what is not after the packed revision ``before``."""
        count = bisect.bisect_right(self._events, before, key=lambda event: event.revision)
        self._size_bytes -= sum(map(_size_bytes, self._events[:count]))
        del self._events[:count]
        self._start += count
        self.forgotten = max(self.forgotten, before)

    def close(self) -> None:
        """Followers raise Unavailable."""
        self._closed = True
        for follower in self._followers:
            follower.wake.set()

    async def follow(self, prefix: str, after: int) -> AsyncIterator[tuple[StoreEvent | Progress, ...]]:
        """As ``Store.watch``."""
        if after < self.forgotten:
            raise _expired(after, self.forgotten)
        index = bisect.bisect_right(self._events, after, key=lambda event: event.revision)
        follower = Follower(prefix, next_index=self._start + index)
        self._followers[follower] = None
        try:
            while True:
                if self._closed:
                    raise Unavailable("the store is closed")
                if follower.next_index < self._start:
                    raise _expired(after, self.forgotten)
                held = self._events[follower.next_index - self._start :][:MAX_DELIVERY]
                follower.next_index += len(held)
                events = tuple(event for event in held if event.key.startswith(prefix))
                behind = self._start + len(self._events) - follower.next_index
                if behind > MAX_BACKLOG:
                    raise Expired(f"the watch of {prefix} is {behind} events behind")
                if events:
                    yield events
                elif held:
                    yield (Progress(held[-1].revision),)
                if not behind:
                    await follower.wake.wait()
                    follower.wake.clear()
        finally:
            self._followers.pop(follower, None)


def _size_bytes(event: StoreEvent) -> int:
    return len(event.value or b"")


def _expired(after: int, forgotten: int) -> Expired:
    return Expired(f"resource version {after} is too old ({revision.pack(revision.store_revision(forgotten))})")
