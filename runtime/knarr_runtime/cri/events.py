"""What happens to pods and containers, told to everybody who follows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from knarr_runtime import launcher as launching
from knarr_runtime.cri.records import ContainerRecord, SandboxRecord
from knarr_runtime.errors import Unavailable

MAX_FOLLOWER_EVENTS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened to a container, or with an empty container_id to a sandbox; and the pod as it was then.

    kind: CRI's ContainerEventType.
    """

    kind: Any
    at_ns: int
    container_id: str
    sandbox: SandboxRecord
    ready: bool
    containers: tuple[tuple[ContainerRecord, launching.Container | None], ...]

    def container(self) -> tuple[ContainerRecord, launching.Container | None] | None:
        """The one it happened to, as it was then; None for a sandbox, and for one that is removed."""
        return next((each for each in self.containers if each[0].id == self.container_id), None)


class Followers:
    """Each has a queue of its own; one that does not keep up is let go."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[Event | None]] = set()

    def __bool__(self) -> bool:
        return bool(self._queues)

    @contextlib.contextmanager
    def following(self) -> Iterator[AsyncIterator[Event]]:
        """What happens from the moment this is entered on. Raises Unavailable for a follower that does not keep up."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(MAX_FOLLOWER_EVENTS)
        self._queues.add(queue)
        try:
            yield _events(queue)
        finally:
            self._queues.discard(queue)

    def tell(self, event: Event) -> None:
        for queue in list(self._queues):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._queues.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)


async def _events(queue: asyncio.Queue[Event | None]) -> AsyncIterator[Event]:
    while True:
        event = await queue.get()
        if event is None:
            raise Unavailable("the follower of events did not keep up")
        yield event
