"""Pulls and pushes for asyncio: each on a thread, telling how it goes; a caller that gives up ends it."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from knarr_runtime.images.registry.client import Pulled, Registry
from knarr_runtime.images.registry.credentials import NOBODY, Credentials
from knarr_runtime.images.registry.transport import Cancellation

T = TypeVar("T")
MAX_TRANSFERS = 16
TELL_EVERY_S = 0.1


class Step(tuple[str, str, int, int]):
    """(digest or "", status, bytes so far, bytes in all)."""

    __slots__ = ()


class Transfers:
    """At most ``MAX_TRANSFERS`` at once; others wait."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._threads = ThreadPoolExecutor(MAX_TRANSFERS, thread_name_prefix="transfers")

    async def pull(self, name: str, platform: str, credentials: Credentials = NOBODY) -> AsyncIterator[Step | Pulled]:
        """Steps, and last what was pulled. Raises as Registry.pull."""
        job = functools.partial(self._registry.pull, name, platform=platform, credentials=credentials)
        async for one in self._run(job):
            yield one

    async def pulled(self, name: str, platform: str, credentials: Credentials = NOBODY) -> Pulled:
        """Without the steps."""
        found: Pulled | None = None
        async for one in self.pull(name, platform, credentials):
            if isinstance(one, Pulled):
                found = one
        assert found is not None
        return found

    async def push(self, name: str, credentials: Credentials = NOBODY) -> AsyncIterator[Step | str]:
        """Steps, and last the manifest's digest. Raises as Registry.push."""
        async for one in self._run(functools.partial(self._registry.push, name, credentials=credentials)):
            yield one

    async def _run(self, job: Callable[..., T]) -> AsyncIterator[Step | T]:
        loop = asyncio.get_running_loop()
        steps: asyncio.Queue[Step | None] = asyncio.Queue()
        cancellation = Cancellation()
        told: dict[str, tuple[str, float]] = {}

        def progress(identifier: str, status: str, current: int, total: int) -> None:
            before, at_s = told.get(identifier, ("", 0.0))
            now_s = time.monotonic()
            if status != before or now_s - at_s >= TELL_EVERY_S:
                told[identifier] = (status, now_s)
                loop.call_soon_threadsafe(steps.put_nowait, Step((identifier, status, current, total)))

        running = loop.run_in_executor(
            self._threads, functools.partial(job, progress=progress, cancellation=cancellation)
        )
        running.add_done_callback(lambda _: steps.put_nowait(None))
        try:
            while (step := await steps.get()) is not None:
                yield step
            yield running.result()
        finally:
            if not running.done():
                cancellation.cancel()
                await asyncio.wait({running})
                running.exception()
