"""Who follows a kind and compares what control planes say with the truth."""

from __future__ import annotations

import asyncio
import bisect
from typing import Any

from knarr_api import errors, kinds
from knarr_api.errors import KnarrError
from knarr_client.client import EventType, meta_of
from tests.simulation.cluster import Cluster
from tests.simulation.invariants import Invariants, Written
from tests.simulation.loop import Process
from tests.simulation.users import User


class Watcher:
    """Follows a kind through whichever control plane answers: every change once, in order, as the truth has it."""

    def __init__(self, cluster: Cluster, process: Process, invariants: Invariants, type_: Any, name: str) -> None:
        self.user = User(cluster, process, name)
        self._kind = kinds.of(type_)
        self._type = type_
        self._invariants = invariants
        self.revision = 0

    async def run(self) -> None:
        while True:
            try:
                if not self.revision:
                    await self._list()
                await self._follow()
            except errors.Expired:
                self.user.network.fired["watcher lists anew"] += 1
                self.revision = 0
            except KnarrError:
                pass
            await asyncio.sleep(0.1)

    async def _list(self) -> None:
        page = await self.user.client.list(self._type)
        revision = int(page.resource_version)
        shown = {self._key(obj): meta_of(obj).resource_version for obj in page.items}
        there: dict[str, str] = {}
        for written in self._history():
            if written.revision > revision:
                break
            there.pop(written.key, None)
            if written.obj is not None:
                there[written.key] = str(written.revision)
        if shown != there:
            self._invariants.fail("list", f"{self._kind.resource} at {revision}: shown {shown}, stored {there}")
        self.revision = revision

    async def _follow(self) -> None:
        client = self.user.client
        async for batch in client.watch(self._type, resource_version=str(self.revision)):
            for event in batch:
                self._take(event)

    def _take(self, event: Any) -> None:
        at, what = int(event.resource_version), self._kind.resource
        if at < self.revision:
            self._invariants.fail("watch", f"{what} went back from {self.revision} to {at}")
        history = self._history()
        place = bisect.bisect_right(history, self.revision, key=lambda written: written.revision)
        if event.type is EventType.BOOKMARK or event.object is None:
            if place < len(history) and history[place].revision <= at:
                self._invariants.fail("watch", f"{what}: {history[place].key} at {history[place].revision} was skipped")
        elif place == len(history) or history[place].revision != at:
            expected = history[place].revision if place < len(history) else "nothing"
            self._invariants.fail("watch", f"{what} of {self._key(event.object)} at {at}, expected {expected}")
        else:
            self._compare(event, history[place])
        self.revision = at

    def _compare(self, event: Any, written: Written) -> None:
        same = written.key == self._key(event.object) and (written.obj is None) == (event.type is EventType.DELETED)
        if not same or (written.obj is not None and written.obj != event.object):
            self._invariants.fail(
                "watch", f"{event.type.value} of {written.key} at {written.revision} is not as stored"
            )

    def _key(self, obj: Any) -> str:
        return self._kind.key(obj.metadata.namespace, obj.metadata.name)

    def _history(self) -> list[Written]:
        return self._invariants.history.get(self._kind.key_prefix, [])
