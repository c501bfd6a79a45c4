"""Attached clients of a container: each gets, on pipes of its own, all output from its attach on.

They are told what is in the container's FIFO as soon as it is there, whole line or not; the log takes it when it is a
line. One that does not read keeps the container waiting, as the FIFO then fills, but not longer than ``PATIENCE_S``:
then it is dropped.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable, Sequence

from knarr_runtime.loop import Loop

PATIENCE_S = 2.0


class Listener:
    """Owns its descriptors: where stdout and stderr go, -1 for nowhere. progressed: called when it has room again."""

    def __init__(self, loop: Loop, descriptors: Sequence[int], progressed: Callable[[], None]) -> None:
        self._loop = loop
        self._descriptors = list(descriptors)
        self._pending = [b"", b""]
        self._progressed = progressed
        self.moved_at = 0.0
        self._ending = False
        for index, fd in enumerate(self._descriptors):
            if fd >= 0:
                os.set_blocking(fd, False)
                self._watch(index, 0)

    @property
    def gone(self) -> bool:
        return all(fd < 0 for fd in self._descriptors)

    def behind(self, now: float) -> bool:
        """It has not taken all yet. Drops one that takes nothing for too long."""
        if not any(self._pending):
            return False
        if now - self.moved_at > PATIENCE_S:
            self.drop()
            return False
        return True

    def tell(self, index: int, data: bytes) -> None:
        if self._descriptors[index] < 0:
            return
        if not self._pending[index]:
            self.moved_at = time.monotonic()
        self._pending[index] += data
        self._flush(index)

    def end(self) -> None:
        """No more will be told; what was, arrives."""
        self._ending = True
        for index in range(len(self._descriptors)):
            self._flush(index)

    def drop(self) -> None:
        for index in range(len(self._descriptors)):
            self._close(index)

    def _flush(self, index: int) -> None:
        fd = self._descriptors[index]
        if fd < 0:
            return
        had = bool(self._pending[index])
        try:
            while self._pending[index]:
                self._pending[index] = self._pending[index][os.write(fd, self._pending[index]) :]
                self.moved_at = time.monotonic()
        except BlockingIOError:
            self._watch(index, select.EPOLLOUT)
            return
        except OSError:
            self._close(index)
            return
        if self._ending:
            self._close(index)
        elif had:
            self._watch(index, 0)

    def _watch(self, index: int, events: int) -> None:
        """A pipe that nobody reads any more is reported whatever the events."""
        fd = self._descriptors[index]
        self._loop.remove(fd)
        self._loop.add(fd, lambda found: self._event(index, found), events)

    def _event(self, index: int, events: int) -> None:
        if events & select.EPOLLERR:
            self._close(index)
        else:
            self._flush(index)
        self._progressed()

    def _close(self, index: int) -> None:
        fd = self._descriptors[index]
        if fd >= 0:
            self._loop.remove(fd)
            os.close(fd)
            self._descriptors[index] = -1
            self._pending[index] = b""


class Listeners:
    """Of one container. ``told`` is how much of what each FIFO holds has been told already."""

    def __init__(self) -> None:
        self._all: list[Listener] = []
        self._told = [0, 0]

    def add(self, listener: Listener, there: Sequence[int]) -> None:
        """there: bytes in each FIFO now, which the new one is not told; those before it were."""
        if not self._all:
            self._told = list(there)
        self._all.append(listener)

    def tell(self, index: int, data: bytes) -> None:
        """``data`` is all that the FIFO holds, or its beginning."""
        if not self._all:
            return
        new = data[self._told[index] :]
        if new:
            self._told[index] += len(new)
            for listener in self._all:
                listener.tell(index, new)

    def taken(self, index: int, count: int) -> None:
        """The log has taken so much out of the FIFO."""
        self._told[index] = max(0, self._told[index] - count)

    def behind(self) -> bool:
        if not self._all:
            return False
        now = time.monotonic()
        behind = [listener.behind(now) for listener in self._all]
        self._all = [listener for listener in self._all if not listener.gone]
        return any(behind)

    def end(self) -> None:
        for listener in self._all:
            listener.end()
        self._all.clear()


def close_all(descriptors: Sequence[int]) -> None:
    for fd in descriptors:
        with contextlib.suppress(OSError):
            os.close(fd)
