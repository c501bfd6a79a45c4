"""A client's connection as bytes in both directions: the TCP or unix connection, or messages of a WebSocket tunnel."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from typing import Protocol

READ_BYTES = 256 << 10


class Pipe(Protocol):
    """Errors of the connection are its end: ``read`` gives b"", writing raises ConnectionError."""

    async def read(self) -> bytes:
        """Some bytes, or b"" when the peer sends no more."""

    async def write(self, parts: Iterable[bytes]) -> None:
        """Returns when the peer takes them fast enough. Raises ConnectionError."""

    async def end(self) -> None:
        """Nothing more is written; what was, arrives."""

    def abort(self) -> None:
        """At once, both ways."""


class Activity:
    """When something last passed."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def touch(self) -> None:
        self._last = time.monotonic()

    async def quiet(self, idle_s: float) -> None:
        """Returns when nothing passed for so long."""
        while (left := self._last + idle_s - time.monotonic()) > 0:  # noqa: ASYNC110 time passing is the event
            await asyncio.sleep(left)


class ConnectionPipe:
    """A stream connection of asyncio. first: what came after the HTTP request."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, activity: Activity, first: bytes = b""
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._activity = activity
        self._first = first

    async def read(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        try:
            data = await self._reader.read(READ_BYTES)
        except OSError:
            return b""
        self._activity.touch()
        return data

    async def write(self, parts: Iterable[bytes]) -> None:
        if self._writer.transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._writer.writelines(parts)
        try:
            await self._writer.drain()
        except OSError as error:
            raise ConnectionResetError(str(error)) from error
        self._activity.touch()

    async def end(self) -> None:
        with contextlib.suppress(OSError):
            if not self._writer.transport.is_closing():
                await self._writer.drain()
                self._writer.write_eof()

    def abort(self) -> None:
        self._writer.transport.abort()
