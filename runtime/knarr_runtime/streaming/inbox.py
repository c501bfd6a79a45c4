"""Bytes from a client that wait to be read here: bounded, as the one who receives waits for ``room``."""

from __future__ import annotations

import asyncio
from collections import deque

FULL_BYTES = 512 << 10


class StreamGone(ConnectionError):
    """The stream was reset, or its session has ended."""


class Inbox:
    """One writer, one reader."""

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._waiting = 0
        self._ended = False
        self._lost = False
        self._unwanted = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def read(self) -> bytes:
        """Some bytes, or b"" after the last. Raises StreamGone."""
        while not self._parts:
            if self._ended:
                return b""
            if self._lost:
                raise StreamGone("the client's stream has gone")
            self._changed.clear()
            await self._changed.wait()
        data = self._parts.popleft()
        self._waiting -= len(data)
        if self._waiting < FULL_BYTES:
            self._room.set()
        return data

    def put(self, data: bytes) -> None:
        if not data or self._ended or self._lost or self._unwanted:
            return
        self._parts.append(data)
        self._waiting += len(data)
        if self._waiting >= FULL_BYTES:
            self._room.clear()
        self._changed.set()

    def end(self) -> None:
        """The last was put."""
        self._ended = True
        self._changed.set()

    def lose(self) -> None:
        """There will be no proper end; what came before can still be read."""
        self._lost = True
        self._changed.set()
        self._room.set()

    def discard(self) -> None:
        """Nobody reads any more: what comes is dropped."""
        self._unwanted = True
        self._parts.clear()
        self._waiting = 0
        self._room.set()

    async def room(self) -> None:
        """Until more may be put."""
        await self._room.wait()
