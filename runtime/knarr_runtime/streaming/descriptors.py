"""Reading and writing non-blocking descriptors (pipes, terminals) on the loop, without a thread or transport each."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable

READ_BYTES = 256 << 10
_PIPE_BYTES = 256 << 10


class Descriptor:
    """Borrowed, not owned: ``stop`` before closing it. One reader and one writer at a time."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()

    def widen(self) -> None:
        """More room in a pipe, fewer wake-ups; what the kernel does not allow stays as it is."""
        try:
            fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:
            return

    def read_now(self) -> bytes | None:
        """None: nothing there yet. b"": the end."""
        try:
            return os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:  # EIO: nobody has the terminal open any more
            return b""

    async def readable(self) -> None:
        """Something can be read, or ``wake`` was called."""
        await self._ready(self._wake, self._loop.add_reader, self._loop.remove_reader)

    def wake(self) -> None:
        """Ends a wait for ``readable``."""
        self._wake.set()

    async def write(self, data: bytes) -> None:
        """All of it. Raises OSError, BrokenPipeError when nobody reads any more."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.fd, view) :]
            except BlockingIOError:
                await self._ready(asyncio.Event(), self._loop.add_writer, self._loop.remove_writer)

    async def _ready(
        self,
        ready: asyncio.Event,
        add: Callable[[int, Callable[[], None]], None],
        remove: Callable[[int], bool],
    ) -> None:
        ready.clear()
        add(self.fd, ready.set)
        try:
            await ready.wait()
        finally:
            remove(self.fd)
