"""The LimitRanges and ResourceQuotas of namespaces, and the writes that keep quotas' use true.

What a quota has used is stored in the same commit as the object that uses it, each expected at the revision it was read
at: however many writers there are, in however many processes, together they can't exceed it. Writers of one namespace
in this process take turns, for they would only fail each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from knarr_api import kinds
from knarr_api.kinds import Kind
from knarr_api.types.core_v1 import LimitRange, PersistentVolumeClaim, Pod, ResourceQuota, Service
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.quota import admission, limit_ranges, usage
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store.protocol import Put

RANGE, QUOTA = kinds.of(LimitRange), kinds.of(ResourceQuota)
CHARGED_ON_UPDATE = frozenset({kinds.of(Service).kind, kinds.of(PersistentVolumeClaim).kind})
"""Other objects use the same as long as they live; that pods end, the quota controller counts."""


class Policies:
    def __init__(self, cache: WatchCache, storage: Storage, now: Callable[[], datetime.datetime]) -> None:
        self._cache = cache
        self._storage = storage
        self._now = now
        self._decoded: dict[str, tuple[int, Any]] = {}
        """By the entry's key: its revision and value."""
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    def limited(self, obj: Any) -> Any:
        """A new object with its namespace's defaults. Raises Forbidden where it is out of range."""
        if not isinstance(obj, Pod | PersistentVolumeClaim):
            return obj
        ranges = [value for _, value in self._of(RANGE, obj.metadata.namespace)]
        if isinstance(obj, Pod):
            obj = limit_ranges.limited(obj, ranges)
        limit_ranges.check(obj, ranges)
        return obj

    def ranges(self, namespace: str) -> tuple[tuple[str, int], ...]:
        """Which LimitRanges ``limited`` looks at there."""
        entries = self._cache.of(RANGE).entries
        return tuple((key, entry.revision) for key, entry in entries.items() if entry.namespace == namespace)

    @contextlib.asynccontextmanager
    async def turn(self, kind: Kind, namespace: str, *, creation: bool) -> AsyncIterator[None]:
        """While a write is decided and stored that quotas may concern."""
        if not self.may_charge(kind, namespace, creation=creation):
            yield
            return
        lock = self._turns.get(namespace)
        if lock is None:
            lock = self._turns[namespace] = asyncio.Lock()
        async with lock:
            yield

    def charges(self, kind: Kind, old: Any | None, new: Any) -> tuple[Put, ...]:
        """What must be stored together with the object. Raises Forbidden where a quota does not admit it."""
        namespace = new.metadata.namespace
        if not self.may_charge(kind, namespace, creation=old is None):
            return ()
        quotas = {value.metadata.name: (entry, value) for entry, value in self._of(QUOTA, namespace)}
        changed = admission.charged(old, new, [value for _, value in quotas.values()], self._now())
        return tuple(self._put(quotas[quota.metadata.name][0], quota) for quota in changed)

    def may_charge(self, kind: Kind, namespace: str, *, creation: bool) -> bool:
        """Whether a quota may concern such a write: then it takes its turn."""
        if not kind.namespaced or kind.kind in usage.UNCOUNTED or not self._cache.of(QUOTA).entries:
            return False
        return creation or kind.kind in CHARGED_ON_UPDATE

    def _put(self, entry: CacheEntry, quota: ResourceQuota) -> Put:
        metadata = msgspec.structs.replace(quota.metadata, resource_version="")
        value = self._storage.encode(QUOTA, entry.key, msgspec.structs.replace(quota, metadata=metadata), entry.unknown)
        return Put(entry.key, value, entry.revision)

    def _of(self, kind: Kind, namespace: str) -> list[tuple[CacheEntry, Any]]:
        """Those of a namespace, by name; decoded once per revision."""
        found = []
        present = [self._cache.of(each).entries for each in (RANGE, QUOTA)]
        if len(self._decoded) > sum(map(len, present)):
            self._decoded = {key: known for key, known in self._decoded.items() if any(key in of for of in present)}
        for key, entry in self._cache.of(kind).entries.items():
            if entry.namespace != namespace:
                continue
            known = self._decoded.get(key)
            if known is None or known[0] != entry.revision:
                known = self._decoded[key] = (entry.revision, entry.value())
            found.append((entry, known[1]))
        return sorted(found, key=lambda each: each[0].name)
