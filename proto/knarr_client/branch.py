"""A second look at what an informer knows, with handlers of its own that come and go.

The informer (the trunk) belongs to the process and follows its kind all the time; a branch lives as long as whoever
uses it. It shares the trunk's objects and indexes, so it costs no memory to speak of, and no reading: its handlers are
told of everything there is, a part at a time, and then of every change.

    TELLING ── all that was there when it began is told ──► FOLLOWING
    a change of what was not told yet is left out: it is told as it is when its turn comes
"""

from __future__ import annotations

import asyncio

from knarr_client.client import Key, T
from knarr_client.informer import AT_A_TIME, Change, Handler, Informer


class Branch(Informer[T]):
    """See the module's text. ``synced`` says that the handlers were told of everything."""

    def __init__(self, trunk: Informer[T]) -> None:
        super().__init__(trunk._client, trunk.type, clock=trunk._clock)
        self._trunk = trunk
        self._objects, self._namespaces = trunk._objects, trunk._namespaces
        self._index_functions, self._indexes = trunk._index_functions, trunk._indexes
        self._untold: dict[Key, None] = {}

    @property
    def revision(self) -> str:
        return self._trunk.revision

    @property
    def last_failure_s(self) -> float | None:
        return self._trunk.last_failure_s

    def add_handler(self, handler: Handler[T]) -> None:
        """Before ``run``, which tells it of everything."""
        self._handlers.append(handler)

    async def run(self) -> None:
        """Until cancelled."""
        self._untold = dict.fromkeys(self._objects)
        self._trunk.follow(self._changed)
        try:
            await self._trunk.synced.wait()
            await self._tell()
            self._trunk.unfollow(self._changed)
            for handler in self._handlers:
                self._trunk.follow(handler)
            self.synced.set()
            await asyncio.Event().wait()
        finally:
            for handler in (self._changed, *self._handlers):
                self._trunk.unfollow(handler)
            self._handlers.clear()  # what belongs to the term goes with it at once

    async def _tell(self) -> None:
        for number, key in enumerate(tuple(self._untold), 1):
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
            if key in self._untold:
                del self._untold[key]
                self._hand_out(Change(key=key, old=None, new=self._objects[key]))

    def _changed(self, change: Change[T]) -> None:
        if change.key not in self._untold:
            self._hand_out(change)
        elif change.new is None:
            del self._untold[change.key]

    def _hand_out(self, change: Change[T]) -> None:
        for handler in self._handlers:
            handler(change)
