"""A store that a leader writes through: every commit happens only while the leader's term is the newest.

The compare is part of the commit, so that a process that stood still cannot write anything once another has taken
over, however late it goes on and whatever it has sent before: see ``leader``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from knarr_api.errors import KnarrError, Unavailable
from knarr_controlplane.store.protocol import (
    Check,
    Entry,
    KeyConflict,
    Listing,
    Operation,
    Outcome,
    Progress,
    Store,
    StoreEvent,
)


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
        (outcome,) = await self.commit_each([operations])
        if isinstance(outcome, KnarrError):
            raise outcome
        return outcome

    async def commit_each(self, commits: Sequence[Sequence[Operation]]) -> Sequence[Outcome]:
        """As ``Store.commit_each``; the outcome is Unavailable where the fence has fallen."""
        return [
            outcome[:-1] if isinstance(outcome, tuple) else self._judged(outcome)
            for outcome in await self._store.commit_each([(*each, self._fence) for each in commits])
        ]

    def _judged(self, error: KnarrError) -> KnarrError:
        if not isinstance(error, KeyConflict) or error.key != self._fence.key:
            return error
        self._lost()
        return Unavailable("this process does not lead any more: nothing was written")

    def watch(
        self, prefix: str, *, after: int, previous: bool = True
    ) -> AsyncIterator[tuple[StoreEvent | Progress, ...]]:
        return self._store.watch(prefix, after=after, previous=previous)

    async def revision(self) -> int:
        return await self._store.revision()

    async def compact(self, before: int) -> None:
        await self._store.compact(before)

    async def close(self) -> None:
        await self._store.close()
