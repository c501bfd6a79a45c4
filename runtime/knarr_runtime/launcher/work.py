"""Where the launcher's work goes that nobody awaits, and that which blocks: a task group, and a few threads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from knarr_runtime.errors import RuntimeFailure

_T = TypeVar("_T")
_log = structlog.get_logger("knarr.launcher")
_THREADS = 4


class Work:
    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="launcher")
        self._group: asyncio.TaskGroup | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, supervision: Coroutine[Any, Any, None]) -> None:
        """supervision: runs until :meth:`stop`."""
        ready = asyncio.Event()
        self._task = asyncio.create_task(self._run(supervision, ready), name="launcher")
        await ready.wait()

    async def _run(self, supervision: Coroutine[Any, Any, None], ready: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(supervision)
            ready.set()

    async def stop(self) -> None:
        """Cancels what runs in the background; nothing new begins. Idempotent."""
        self._group = None
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def close(self) -> None:
        self._threads.shutdown(wait=False)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """In the background; after :meth:`stop` nothing happens."""
        if self._group is None:
            coroutine.close()
            return
        self._group.create_task(_guarded(coroutine))

    async def in_thread(self, function: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


async def _guarded(coroutine: Coroutine[Any, Any, None]) -> None:
    """One thing that fails in the background must not end the others; it is said and left to the next recovery."""
    try:
        await coroutine
    except (OSError, RuntimeFailure) as error:
        _log.warning("failed in the background", error=str(error))


async def all_of(*operations: Awaitable[Any]) -> list[Any]:
    """All results; if some fail, the first error, but only when all have come to an end."""
    results = await asyncio.gather(*operations, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
