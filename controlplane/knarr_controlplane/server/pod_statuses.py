"""What agents say of their pods, on its way to the store: what came while the last was being stored goes together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from knarr_api import kinds
from knarr_api.errors import KnarrError
from knarr_api.types.core_v1 import Pod
from knarr_controlplane.registry import bulk
from knarr_controlplane.registry.bulk import Outcome, Wanted
from knarr_controlplane.registry.managed_fields import Writer
from knarr_controlplane.registry.registry import Registry

POD = kinds.of(Pod)
AGENT = Writer(manager="knarr-agent", subresource="status", quiet=True)
AT_ONCE = 512
"""Statuses that are decided without a pause."""
WORKERS = 2
"""While one waits for the store another decides: no more, so that under load many go together."""


class PodStatuses:
    """For all agents of this control plane. ``run`` stores."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._waiting: list[tuple[Sequence[Wanted], asyncio.Future[Sequence[Outcome]]]] = []
        self._wake = asyncio.Event()

    async def store(self, changes: Sequence[Wanted]) -> Sequence[Outcome]:
        """Each for itself: the stored entry or why not."""
        future: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
        self._waiting.append((changes, future))
        self._wake.set()
        return await future

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            taken, count = 0, 0
            while taken < len(self._waiting) and (not taken or count < AT_ONCE):
                count += len(self._waiting[taken][0])
                taken += 1
            asked, self._waiting = self._waiting[:taken], self._waiting[taken:]
            if not self._waiting:
                self._wake.clear()
            await self._store(asked)

    async def _store(self, asked: Sequence[tuple[Sequence[Wanted], asyncio.Future[Sequence[Outcome]]]]) -> None:
        changes = [change for each, _ in asked for change in each]
        done: Sequence[Outcome]
        try:
            done = await bulk.change_all(self._registry, POD, changes, writer=AGENT, reported=True)
        except KnarrError as error:
            done = [error] * len(changes)
        except BaseException:
            for _, future in asked:
                future.cancel()
            raise
        start = 0
        for each, future in asked:
            if not future.done():
                future.set_result(done[start : start + len(each)])
            start += len(each)
