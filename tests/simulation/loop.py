"""The machine: an event loop in virtual time that repeats exactly, and processes on it that can be killed or stand
still.

A process is all tasks that were started by it, found by a context variable. Killed, it does nothing any more that
anybody could see: its tasks are cancelled, and whatever they still do in leaving is refused at the process's gates.
Standing still, as after SIGSTOP, none of its callbacks runs; what comes to it meanwhile waits, its timers are late.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import heapq
import itertools
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from knarr_api.errors import Unavailable
from knarr_client.virtual_time import VirtualClock, VirtualTimeLoop

R = TypeVar("R")
CURRENT: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class Process:
    """One life of a program. failed: called with what a vital task of it raised, while it lived."""

    def __init__(self, name: str, clock: VirtualClock, failed: Callable[[Process, str, BaseException], None]) -> None:
        self.name = name
        self.clock = clock
        self.alive = True
        self.stood_still = False
        """Ever."""
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self._failed = failed

    def spawn(self, work: Coroutine[Any, Any, R], name: str, *, vital: bool = False) -> asyncio.Task[R]:
        """Start a task of this process. vital: it must not end by itself."""
        context = contextvars.Context()
        context.run(CURRENT.set, self)
        task = asyncio.get_running_loop().create_task(work, name=f"{self.name}/{name}", context=context)
        if vital:
            task.add_done_callback(self._ended)
        return task

    def stand_still(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        self.stood_still = True
        loop.hold(self)

    def go_on(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        loop.let_go(self)

    def kill(self) -> None:
        self.alive = False
        self.go_on()
        for task in list(self.tasks):
            task.cancel()

    def check(self) -> None:
        """Whatever leaves the process passes here."""
        if not self.alive:
            raise Unavailable(f"{self.name} was killed")

    def forget(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task, None)
        if not self.alive and not task.cancelled():
            task.exception()  # nobody will ask for it

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not self.alive:
            return
        error = None if task.cancelled() else task.exception()
        self._failed(self, task.get_name(), error or RuntimeError("it has ended without an error"))


class _Task(asyncio.Task[Any]):
    """Its hash is a number and not an address, so that sets of tasks are always in the same order."""

    def __init__(self, number: int, work: Any, **options: Any) -> None:
        self._number = number
        super().__init__(work, **options)

    def __hash__(self) -> int:
        return self._number


@dataclass(frozen=True, slots=True)
class _Held:
    """Of a process that stands still."""

    ready: list[asyncio.Handle] = field(default_factory=list)
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


STEPS_MAX = 200_000
"""Of the loop, in one moment. A few thousand are usual."""


def _nothing() -> None:
    return


class SimulationLoop(VirtualTimeLoop):
    """Threads are not deterministic: what would run in one runs at once."""

    _ready: collections.deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _selector: selectors.BaseSelector

    def __init__(self) -> None:
        super().__init__()
        self.stuck: Callable[[str], None] | None = None
        """Called once when nothing goes on any more."""
        self._steps = 0
        """Since time went on."""
        self._numbers = itertools.count(1)
        self._held: dict[Process, _Held] = {}
        self.set_task_factory(self._make)
        self._look = self._selector.select
        self._selector.select = self._wait  # type: ignore[method-assign]

    def _wait(self, timeout: float | None = None) -> list[Any]:
        """There are no files to wait for: the kernel is asked only when nothing else is left."""
        if timeout is None and self.stuck is None:
            return self._look(None)
        if timeout is not None and timeout > 0:
            self.jump(timeout)
            self._steps = 0
        self._steps += 1
        if timeout is None or self._steps > STEPS_MAX:
            stuck, self.stuck, self._steps = self.stuck, None, 0
            if stuck is not None:
                stuck("every task waits for another" if timeout is None else f"{STEPS_MAX} steps in one moment")
        return []

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if self._held:
            held = self._held.get(context.get(CURRENT) if context is not None else CURRENT.get())  # type: ignore[arg-type]
            if held is not None:
                handle = asyncio.Handle(callback, args, self, context)
                held.ready.append(handle)
                return handle
        return super().call_soon(callback, *args, context=context)

    def hold(self, process: Process) -> None:
        """Run nothing of a process until it is let go."""
        if process in self._held:
            return
        held = self._held[process] = _Held()
        for place, handle in enumerate(self._ready):
            if handle._context.get(CURRENT) is process:
                held.ready.append(handle)
                self._ready[place] = asyncio.Handle(_nothing, (), self)  # the loop counts what is ready
        for timer in self._scheduled:
            if timer._context.get(CURRENT) is process:
                held.timers.append(timer)
        self._scheduled = [timer for timer in self._scheduled if timer._context.get(CURRENT) is not process]
        heapq.heapify(self._scheduled)

    def let_go(self, process: Process) -> None:
        held = self._held.pop(process, None)
        if held is None:
            return
        self._ready.extend(held.ready)
        for timer in held.timers:
            heapq.heappush(self._scheduled, timer)

    def run_in_executor(self, executor: Any, func: Callable[..., R], *args: Any) -> asyncio.Future[R]:
        future: asyncio.Future[R] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 it is raised where it is awaited
            future.set_exception(error)
        return future

    def _make(self, loop: Any, work: Any, **options: Any) -> asyncio.Task[Any]:
        task = _Task(next(self._numbers), work, loop=loop, **options)
        context: contextvars.Context | None = options.get("context")
        process = context.get(CURRENT) if context is not None else CURRENT.get()
        if process is not None:
            process.tasks[task] = None
            task.add_done_callback(process.forget)
            if not process.alive:
                task.cancel()
        return task
