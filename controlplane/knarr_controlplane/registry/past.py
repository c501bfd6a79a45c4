"""What was, read from the store's old revisions, which it keeps for its retention.

The store knows no times. The leader renews its Lease every half second for as long as there is a leader, so the Lease
as it was at a revision tells the time of that revision; the revision at a time is found by halving.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator

from knarr_api import errors, kinds
from knarr_api.kinds import Kind
from knarr_api.types.coordination_v1 import Lease
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store import revision
from knarr_controlplane.store.protocol import Store, StoreEvent

QUIET_S = 1.0
"""A store that says nothing for so long about a key's past has said everything."""


class Past:
    def __init__(self, store: Store, storage: Storage, clock_key: str) -> None:
        """clock_key: of the Lease whose renewals tell the time."""
        self._store = store
        self._storage = storage
        self._clock_key = clock_key

    async def at(self, time: datetime.datetime) -> int:
        """The newest packed revision not written after ``time``. Raises Expired if that is not kept."""
        newest = revision.store_revision(await self._store.revision())
        low, high = 0, newest  # low: too old or before the time; high + 1: after the time, or the future
        kept: datetime.datetime | None = None
        while low < high:
            middle = (low + high + 1) // 2
            try:
                written = await self._time_of(middle)
            except errors.Expired:
                low = middle
                continue
            if written is not None and written > time:
                kept = written if kept is None else min(kept, written)
                high = middle - 1
            else:
                low = middle
        try:
            if low and await self._time_of(low) is not None:
                return revision.pack(low)
        except errors.Expired:
            pass
        oldest = f"; the oldest that is kept is of about {kept.isoformat()}" if kept is not None else ""
        raise errors.Expired(f"what was there at {time.isoformat()} is not kept any more{oldest}: see --retention")

    async def versions(self, kind: Kind, key: str, limit: int, *, before: int = 0) -> tuple[list[CacheEntry], bool]:
        """As ``walk``, so many, and whether the last is its first."""
        found: list[CacheEntry] = []
        async for entry, is_first in self.walk(kind, key, before=before):
            found.append(entry)
            if is_first or len(found) == limit:
                return found, is_first
        return found, False

    async def walk(self, kind: Kind, key: str, *, before: int = 0) -> AsyncIterator[tuple[CacheEntry, bool]]:
        """An object's versions, the newest first, as far as they are kept, each with whether it is its first.

        before: only those older than this packed revision.
        """
        at = revision.pack(revision.store_revision(before) - 1) if before else await self._store.revision()
        while True:
            try:
                listing = await self._store.list(key, limit=1, at_revision=at)
            except errors.Expired:
                return
            entry = next((each for each in listing.entries if each.key == key), None)
            if entry is None:
                return
            written = revision.store_revision(entry.revision)
            is_first = written <= revision.store_revision(entry.create_revision)
            yield self._storage.decode(kind, key, entry.value, entry.revision), is_first
            if is_first:
                return
            at = revision.pack(written - 1)

    async def removal(self, key: str) -> int:
        """The newest packed revision in which an object went; 0 where none is kept."""
        until, found = await self._store.revision(), 0
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(QUIET_S) as quiet:
                async for batch in self._store.watch(key, after=await self._oldest(until), previous=False):
                    for event in batch:
                        if isinstance(event, StoreEvent) and event.key == key and event.value is None:
                            found = event.revision
                    if revision.store_revision(batch[-1].revision) >= revision.store_revision(until):
                        return found
                    quiet.reschedule(loop.time() + QUIET_S)
        except TimeoutError:
            pass
        return found

    async def time_of(self, at: int) -> datetime.datetime | None:
        """When a packed revision was written, to about the leader's renewal; None where that is not known."""
        try:
            return await self._time_of(revision.store_revision(at))
        except errors.Expired:
            return None

    async def _oldest(self, newest: int) -> int:
        """The oldest packed revision that is kept."""
        low, high = 0, revision.store_revision(newest)  # low: not kept; high: kept
        while high - low > 1:
            middle = (low + high) // 2
            try:
                await self._store.list(self._clock_key, limit=1, at_revision=revision.pack(middle))
                high = middle
            except errors.Expired:
                low = middle
        return revision.pack(high)

    async def _time_of(self, number: int) -> datetime.datetime | None:
        """None before there was a leader."""
        listing = await self._store.list(self._clock_key, limit=1, at_revision=revision.pack(number))
        found = next((entry for entry in listing.entries if entry.key == self._clock_key), None)
        if found is None:
            return None
        lease: Lease = self._storage.decode(kinds.of(Lease), found.key, found.value, found.revision).value()
        return lease.spec.renew_time
