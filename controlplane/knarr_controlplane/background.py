"""Tasks that live as long as the process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any

import structlog


class Background:
    """One that ends before ends the process. They are stopped last first."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self.failed = False

    def start(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.append(task)
        task.add_done_callback(self._ended)

    async def __aenter__(self) -> Background:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in reversed(self._tasks):
            task.remove_done_callback(self._ended)
            task.cancel()
            await asyncio.wait({task})

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        log = structlog.get_logger("knarr")
        log.error("a part of the control plane has ended", part=task.get_name(), exc_info=task.exception())
        self.failed = True
        os.kill(os.getpid(), signal.SIGTERM)
