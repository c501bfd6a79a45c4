"""Commits to the store, each over when the cache has it: what was written can be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from knarr_api import errors, kinds
from knarr_api.kinds import Kind
from knarr_api.types.core_v1 import Namespace
from knarr_controlplane.cache import entries
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.cache.watch_cache import Expected, WatchCache
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store import revision
from knarr_controlplane.store.fenced import FencedStore
from knarr_controlplane.store.protocol import Check, Delete, KeyConflict, Put, Store

NAMESPACE = kinds.of(Namespace)


class Writes:
    def __init__(self, store: Store, cache: WatchCache, storage: Storage) -> None:
        self.store = store
        self._cache = cache
        self._storage = storage

    def fenced(self, key: str, expected: int, lost: Callable[[], None]) -> Writes:
        """The same, made only while that key has that revision. lost: called when it has another."""
        return Writes(FencedStore(self.store, Check(key, expected), lost), self._cache, self._storage)

    async def put(
        self, kind: Kind, key: str, obj: Any, expected: int, others: Sequence[Put | Check] = ()
    ) -> CacheEntry:
        """others: what is stored, or must be so, with it, or nothing of all."""
        value, coming = self._encoded(kind, key, obj, expected)
        with self._cache.expect(coming):
            revisions = await self.store.commit([Put(key, value, expected), *others])
            await self._cache.wait_for(max(revisions))
        return self._stored(kind, key, obj, revisions[0])

    async def put_all(
        self, kind: Kind, puts: Sequence[tuple[str, Any, int]], *, reported: bool = False
    ) -> Sequence[CacheEntry | errors.KnarrError]:
        """Keys, objects, and the revisions they must have now: each by itself, with one wait for all.

        reported: see ``watch_cache.Expected``.
        """
        coming: dict[str, Expected] = {}
        commits: list[tuple[Put | Check, ...]] = []
        for key, obj, expected in puts:
            value, own = self._encoded(kind, key, obj, expected, reported=reported)
            coming.update(own)
            place = () if expected else self.place(kind, obj.metadata.namespace)
            commits.append((Put(key, value, expected), *place))
        with self._cache.expect(coming):
            outcomes = await self.store.commit_each(commits)
            await self._cache.wait_for(max((each[0] for each in outcomes if isinstance(each, tuple)), default=0))
        return [
            self._stored(kind, key, obj, outcome[0]) if isinstance(outcome, tuple) else outcome
            for (key, obj, _), outcome in zip(puts, outcomes, strict=True)
        ]

    def first(self, kind: Kind, obj: Any) -> Put:
        """Of a new object that is stored with another."""
        key = kind.key(obj.metadata.namespace, obj.metadata.name)
        return Put(key, self._storage.encode(kind, key, obj), 0)

    async def remove(self, kind: Kind, key: str, obj: Any, expected: int) -> CacheEntry:
        """The entry as of the revision at which it went."""
        (at,) = await self.store.commit([Delete(key, expected)])
        await self._cache.wait_for(at)
        return entries.make(kind, key, obj, at)

    def place(self, kind: Kind, namespace: str) -> tuple[Check, ...]:
        """What a new object is stored upon: its namespace is there and is not being deleted, as it was found."""
        if not kind.namespaced:
            return ()
        key = NAMESPACE.key("", namespace)
        entry = self._cache.get(NAMESPACE, key)
        return (Check(key, entry.revision if entry is not None else 0),)

    async def is_newest(self, entry: CacheEntry) -> bool:
        """Whether a write may be refused, or found to change nothing, for what the cache had: no store says so then."""
        await self._cache.catch_up()
        return not entry.replaced

    async def seen(self, error: KeyConflict) -> None:
        """Until the cache has what this write was too late for."""
        if error.actual:
            await self._cache.wait_for(error.actual)
        else:
            await self._cache.catch_up()

    def _encoded(
        self, kind: Kind, key: str, obj: Any, expected: int, *, reported: bool = False
    ) -> tuple[bytes, dict[str, Expected]]:
        """The value to store, and what the cache may expect: not where a newer version's fields are kept with it."""
        replaced = self._cache.get(kind, key) if expected else None
        unknown = replaced.unknown if replaced is not None else None
        value = self._storage.encode(kind, key, obj, unknown)
        if unknown is not None:
            return value, {}
        return value, {key: Expected(value, obj, not self._storage.seals(kind), reported)}

    def _stored(self, kind: Kind, key: str, obj: Any, at: int) -> CacheEntry:
        """The cache's entry of a write of our own, unless it has gone on since."""
        entry = self._cache.get(kind, key)
        if entry is not None and revision.same_write(entry.revision, at):
            return entry
        return entries.make(kind, key, obj, at)
