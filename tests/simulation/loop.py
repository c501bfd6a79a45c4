"""The machine: an event loop in virtual time that repeats exactly, and processes on it that can be killed.

A process is all tasks that were started by it, found by a context variable. Killed, it does nothing any more that
anybody could see: its tasks are cancelled, and whatever they still do in leaving is refused at the process's gates.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import Callable, Coroutine
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

    def kill(self) -> None:
        self.alive = False
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


class SimulationLoop(VirtualTimeLoop):
    """Threads are not deterministic: what would run in one runs at once."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)
        self.set_task_factory(self._make)

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
