"""Execs as the daemon sees them: streams with the caller, the exit from the shim, output collected within limits."""

from __future__ import annotations

import asyncio
import fcntl
import os
import termios
from collections.abc import Awaitable, Callable

from knarr_runtime.loop import pack_window

_CHUNK = 64 << 10
_LINGER_S = 0.1


class ExecSession:
    """A running exec with its streams. The caller owns and closes the file descriptors (non-blocking).

    With ``tty`` all are the terminal's master: ``stdin`` and ``stdout`` the same descriptor, ``stderr`` -1. Without
    stdin asked for, ``stdin`` is -1.
    """

    def __init__(
        self,
        streams: tuple[int, int, int],
        exited: asyncio.Future[int],
        signal: Callable[[int], Awaitable[None]],
    ) -> None:
        self.stdin, self.stdout, self.stderr = streams
        self._exited = exited
        self._signal = signal

    async def wait(self) -> int:
        """The exit code: 128 + signal when a signal killed it. Raises Unavailable if the sandbox died with it."""
        return await asyncio.shield(self._exited)

    async def kill(self, signum: int = 9) -> None:
        """Signals the whole process group."""
        await self._signal(signum)

    def resize(self, columns: int, rows: int) -> None:
        """Of a terminal."""
        fcntl.ioctl(self.stdout, termios.TIOCSWINSZ, pack_window(rows, columns))

    async def input(self) -> int:
        """Where to write what the process is to read; -1: it reads nothing."""
        return self.stdin

    async def close_stdin(self) -> None:
        """The caller has no more input. A terminal has no such end."""
        if self.stdin >= 0 and self.stdin != self.stdout:
            os.close(self.stdin)
            self.stdin = -1

    def close(self) -> None:
        """Closes the streams, for callers that have no other plans for them."""
        for fd in {self.stdin, self.stdout, self.stderr} - {-1}:
            os.close(fd)
        self.stdin = self.stdout = self.stderr = -1


class Output:
    """Reads one stream to its end, keeping at most ``limit_bytes``."""

    def __init__(self, fd: int, limit_bytes: int) -> None:
        self._fd = fd
        self._left = limit_bytes
        self._parts: list[bytes] = []
        self.truncated = False
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        if fd >= 0:
            self._loop.add_reader(fd, self._read)
        else:
            self._ended.set_result(None)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: the terminal's other end is closed
            data = b""
        if not data:
            self.stop()
            return
        if len(data) > self._left:
            self.truncated = True
            data = data[: self._left]
        self._left -= len(data)
        self._parts.append(data)

    def stop(self) -> None:
        """No more reading, whether it ended or not."""
        if not self._ended.done():
            self._loop.remove_reader(self._fd)
            self._ended.set_result(None)

    async def linger(self) -> None:
        """The process has ended: reads what is there, and a moment longer if a child of it still holds the stream."""
        try:
            async with asyncio.timeout(_LINGER_S):
                await asyncio.shield(self._ended)
        except TimeoutError:
            self.stop()

    def data(self) -> bytes:
        return b"".join(self._parts)


async def feed(fd: int, data: bytes) -> None:
    """Writes ``data`` to a stream's end and closes it; a reader that goes away is no error."""
    loop = asyncio.get_running_loop()
    view = memoryview(data)
    try:
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                writable = asyncio.Event()
                loop.add_writer(fd, writable.set)
                try:
                    await writable.wait()
                finally:
                    loop.remove_writer(fd)
            except BrokenPipeError:
                return
    finally:
        os.close(fd)
