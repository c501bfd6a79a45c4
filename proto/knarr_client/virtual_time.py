"""An asyncio event loop whose time jumps to the next timer whenever nothing is ready to run.

Programs that take their time from the loop's timers and from :class:`VirtualClock` run unchanged, hours in
milliseconds, and always in the same order. Work in threads (``run_in_executor``) and sockets is real: while a
thread works, time stands still.

.. code-block:: python

    def test_something() -> None:
        async def scenario(clock: VirtualClock) -> None:
            await clock.sleep(3600)

        virtual_time.run(scenario)

A loop in which nothing is ready, no timer is set and no thread works can never go on by itself: it raises Stalled
instead of hanging.
"""

from __future__ import annotations

import asyncio
import datetime
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

R = TypeVar("R")

EPOCH = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
STALLED_AFTER_S = 5.0
"""How long, in real seconds, a socket or a signal may take to wake a loop that has nothing else to do."""


class Stalled(Exception):
    """Nothing is ready, no timer is set, no thread works."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``time()`` starts at 0 and is the virtual time in seconds."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._threads = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now_s

    def jump(self, duration_s: float) -> None:
        self._now_s += duration_s

    @property
    def threads(self) -> int:
        """How many calls run in threads now."""
        return self._threads

    def run_in_executor(self, executor: Any, func: Callable[..., R], *args: Any) -> asyncio.Future[R]:  # type: ignore[override]
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self._threads -= 1


class _JumpingSelector(selectors.SelectSelector):
    """Waits for files as ever, but for time by moving it."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._loop.threads:
            return super().select(None)
        if timeout is not None:
            self._loop.jump(timeout)
            return []
        ready = super().select(STALLED_AFTER_S)
        if not ready:
            raise Stalled("every task waits for another")
        return ready


class VirtualClock:
    """The Clock of a VirtualTimeLoop. ``skew`` moves its wall clock alone, as a wrong or stepped clock would."""

    def __init__(self, *, epoch: datetime.datetime = EPOCH) -> None:
        self._epoch = epoch
        self.skew = datetime.timedelta()

    def now(self) -> datetime.datetime:
        return self._epoch + self.skew + datetime.timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)

    async def until(self, at_s: float) -> None:
        """Wait for a moment of the loop's time; at once when it is past."""
        await asyncio.sleep(max(0.0, at_s - self.monotonic()))


async def eventually(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]], *, within_s: float, step_s: float = 0.05
) -> float:
    """Wait, in virtual time, until the condition holds; returns the time it then is. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + within_s
    while True:
        holds = condition()
        if not isinstance(holds, bool):
            holds = await holds
        if holds:
            return loop.time()
        if loop.time() >= deadline_s:
            raise TimeoutError(f"did not become true within {within_s} s")
        await asyncio.sleep(step_s)


def run(scenario: Callable[[VirtualClock], Coroutine[Any, Any, R]]) -> R:
    """Run a scenario from second 0 in a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(scenario(VirtualClock()))
