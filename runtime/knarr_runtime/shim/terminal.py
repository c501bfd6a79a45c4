"""A container's terminal: the shim reads its master, and what it reads goes the way of every other output."""

from __future__ import annotations

import fcntl
import os
import select

from knarr_runtime import layout
from knarr_runtime.loop import Loop

_CHUNK = 16 << 10
_LAST_BYTES = 256 << 10


class Terminal:
    """Owns ``master``. directory: the container's, with the FIFO that its log is read from."""

    def __init__(self, loop: Loop, master: int, directory: str) -> None:
        self._loop = loop
        self.master = master
        self._pending = b""
        self._throttled = False
        os.set_blocking(master, False)
        try:
            self._sink = os.open(f"{directory}/{layout.STDOUT}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            self._sink = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        loop.add(master, lambda _: self._copy())

    def _copy(self) -> bool:
        """One piece from terminal to log; waits for the log reader where it is behind. False if there was nothing."""
        try:
            self._pending += os.read(self.master, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody has the other end open
            self._loop.remove(self.master)
            return False
        self._flush()
        return True

    def _flush(self) -> None:
        try:
            self._pending = self._pending[os.write(self._sink, self._pending) :]
        except BlockingIOError:
            pass
        if self._pending and not self._throttled:
            self._loop.remove(self.master)
            self._loop.add(self._sink, lambda _: self._flush(), select.EPOLLOUT)
        elif not self._pending and self._throttled:
            self._loop.remove(self._sink)
            self._loop.add(self.master, lambda _: self._copy())
        self._throttled = bool(self._pending)

    def end(self) -> None:
        """Takes the last words of a process that has ended, for which room is made in the pipe, and closes."""
        fcntl.fcntl(self._sink, fcntl.F_SETPIPE_SZ, _LAST_BYTES)
        self._flush()
        while not self._pending and self._copy():
            continue
        for fd in (self.master, self._sink):
            self._loop.remove(fd)
            os.close(fd)
