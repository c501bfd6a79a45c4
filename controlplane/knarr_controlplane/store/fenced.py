"""A store that a leader writes through: every commit happens only while the leader's term is the newest.

The compare is part of the commit, so that a process that stood still cannot write anything once another has taken
over, however late it goes on and whatever it has sent before: see ``leader``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from knarr_api.errors import Unavailable
from knarr_controlplane.store.protocol import Check, Entry, KeyConflict, Listing, Operation, Progress, Store, StoreEvent


class FencedStore:
    """fence: what must be so for anything to be written. lost: called when it is not."""

    def __init__(self, store: Store, fence: Check, lost: Callable[[], None]) -> None:
        self._store = store
        self._fence = fence
        self._lost = lost

    async def get(self, key: str) -> Entry | None:
        return await self._store.get(key)

    async def list(self, prefix: str, *, limit: int = 0, after: str = "", at_revision: int = 0) -> Listing:
        return await self._store.list(prefix, limit=limit, after=after, at_revision=at_revision)

    async def commit(self, operations: Sequence[Operation]) -> tuple[int, ...]:
        """As ``Store.commit``. Raises Unavailable when the fence has fallen: nothing was written."""
        try:
            return (await self._store.commit((*operations, self._fence)))[:-1]
        except KeyConflict as error:
            if error.key != self._fence.key:
                raise
            self._lost()
            raise Unavailable("this process does not lead any more: nothing was written") from error

    def watch(self, prefix: str, *, after: int) -> AsyncIterator[tuple[StoreEvent | Progress, ...]]:
        return self._store.watch(prefix, after=after)

    async def revision(self) -> int:
        return await self._store.revision()

    async def compact(self, before: int) -> None:
        await self._store.compact(before)

    async def close(self) -> None:
        await self._store.close()
