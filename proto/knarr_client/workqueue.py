"""Keys waiting to be reconciled.

A key is in one of these states, whoever adds it how often:

.. code-block:: text

            add                 get                    done
    absent ─────► waiting ────────────► processing ─────────► absent
                  ▲   add: no change     │ add
                  │                      ▼
                  └──────────────── processing, dirty
                        done

So additions coalesce, a key is never handed out twice at the same time, a change that arrives while its key is being
processed is not lost, and keys are served in the order in which they began to wait: a busy key cannot starve others.

``add_after`` and ``retry`` put a key in waiting later; of several such times the earliest counts.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)


class QueueClosed(Exception):
    """The queue was closed; there will be no more keys."""


class QueueMetrics(Protocol):
    """Told what goes on, from inside the queue's calls; must be quick and must not raise."""

    def added(self, depth: int) -> None: ...

    def taken(self, waited_s: float) -> None: ...

    def finished(self, worked_s: float) -> None: ...

    def retried(self, failures: int) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays that double from first_s to max_s, each shortened by up to ``jitter`` of itself."""

    first_s: float = 0.005
    max_s: float = 60.0
    jitter: float = 0.2

    def delay_s(self, failures: int, uniform: float) -> float:
        """After the given number of failures, from 1; ``uniform``: a random number in [0, 1)."""
        doublings = min(failures - 1, 40)
        return float(min(self.first_s * 2.0**doublings, self.max_s)) * (1.0 - self.jitter * uniform)


class WorkQueue(Generic[K]):
    """A fair, coalescing queue for one event loop. See the module's text for its states."""

    def __init__(
        self,
        *,
        uniform: Callable[[], float] | None = None,
        backoff: Backoff | None = None,
        metrics: QueueMetrics | None = None,
    ) -> None:
        """uniform: random numbers in [0, 1) for jitter; seeded where a run must repeat."""
        self._uniform = uniform or random.random
        self._backoff = backoff or Backoff()
        self._metrics = metrics
        self._waiting: deque[K] = deque()
        self._since: dict[K, float] = {}
        """When each waiting key began to wait; holds exactly the keys of ``_waiting``."""
        self._processing: dict[K, float] = {}
        self._dirty: dict[K, None] = {}
        """Keys added while they were being processed, in order."""
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._getters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        """How many keys wait now (without those that wait for a time)."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is being processed; keys may still wait for a time."""
        return not self._waiting and not self._processing

    def add(self, key: K) -> None:
        if self._closed or key in self._since:
            return
        if key in self._processing:
            self._dirty[key] = None
            return
        self._since[key] = asyncio.get_running_loop().time()
        self._waiting.append(key)
        if self._metrics is not None:
            self._metrics.added(len(self._waiting))
        self._wake_one()

    def add_after(self, key: K, delay_s: float) -> None:
        if self._closed:
            return
        if delay_s <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay_s
        present = self._timers.get(key)
        if present is not None:
            if present.when() <= due:
                return
            present.cancel()
        self._timers[key] = loop.call_at(due, self._timer_fired, key)

    def retry(self, key: K, *, max_s: float | None = None) -> float:
        """Add after this key's back-off, which grows with every call until ``forget``; returns the delay in seconds."""
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        delay_s = self._backoff.delay_s(failures, self._uniform())
        if max_s is not None:
            delay_s = min(delay_s, max_s)
        if self._metrics is not None:
            self._metrics.retried(failures)
        self.add_after(key, delay_s)
        return delay_s

    def forget(self, key: K) -> None:
        """The key succeeded: its back-off starts anew."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """The next key, now being processed: call ``done`` with it. Raises QueueClosed."""
        while not self._waiting:
            if self._closed:
                raise QueueClosed
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                self._forget_getter(getter)
                raise
        return self._take()

    def done(self, key: K) -> None:
        started = self._processing.pop(key)
        if self._metrics is not None:
            self._metrics.finished(asyncio.get_running_loop().time() - started)
        if key in self._dirty:
            del self._dirty[key]
            self.add(key)

    def close(self) -> None:
        """No more keys: getters raise QueueClosed, timers are dropped, additions ignored."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()
        self._since.clear()
        self._dirty.clear()
        while self._getters:
            self._wake_one()

    def _take(self) -> K:
        key = self._waiting.popleft()
        now = asyncio.get_running_loop().time()
        since = self._since.pop(key)
        self._processing[key] = now
        if self._metrics is not None:
            self._metrics.taken(now - since)
        return key

    def _timer_fired(self, key: K) -> None:
        del self._timers[key]
        self.add(key)

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _forget_getter(self, getter: asyncio.Future[None]) -> None:
        """A cancelled getter hands on the wake-up that it may already have got."""
        if getter.done() and not getter.cancelled():
            if self._waiting:
                self._wake_one()
        elif getter in self._getters:
            self._getters.remove(getter)
