"""A store in a dictionary, for tests and simulations: the semantics of the real ones without their disk."""

from __future__ import annotations

import bisect
from collections.abc import AsyncIterator, Sequence

from knarr_api.errors import Expired, KnarrError, Unavailable
from knarr_controlplane.store import group_commit, revision
from knarr_controlplane.store.history import History
from knarr_controlplane.store.protocol import (
    Check,
    Delete,
    Entry,
    KeyConflict,
    Listing,
    Operation,
    Outcome,
    Progress,
    Put,
    StoreEvent,
)


class MemoryStore:
    """Keeps every version of every key until compacted."""

    def __init__(self) -> None:
        self._versions: dict[str, list[tuple[int, Entry | None]]] = {}
        self._store_revision = 1
        self._compacted = 0
        self._history = History(revision.pack(1))
        self._closed = False

    async def get(self, key: str) -> Entry | None:
        self._check_open()
        return self._newest(key)

    async def list(self, prefix: str, *, limit: int = 0, after: str = "", at_revision: int = 0) -> Listing:
        self._check_open()
        now = revision.store_revision(at_revision) if at_revision else self._store_revision
        if now < self._compacted:
            raise Expired(f"resource version {at_revision} has been compacted")
        if now > self._store_revision:
            raise Expired(f"resource version {at_revision} is newer than the store")
        keys = sorted(key for key in self._versions if key.startswith(prefix) and key > after)
        entries: list[Entry] = []
        for key in keys:
            entry = self._at(key, now)
            if entry is not None:
                if limit and len(entries) == limit:
                    return Listing(tuple(entries), revision.pack(now), more=True)
                entries.append(entry)
        return Listing(tuple(entries), revision.pack(now))

    async def commit(self, operations: Sequence[Operation]) -> tuple[int, ...]:
        self._check_open()
        group_commit.check(operations)
        for operation in operations:
            _compare(operation, self._newest(operation.key))
        events: list[StoreEvent] = []
        revisions: list[int] = []
        next_revision = self._store_revision + 1
        for operation in operations:
            before = self._newest(operation.key)
            if isinstance(operation, Check) or (isinstance(operation, Delete) and before is None):
                revisions.append(0)
                continue
            packed = revision.pack(next_revision, len(events) + 1)
            value = operation.value if isinstance(operation, Put) else None
            created = before.create_revision if before is not None else packed
            entry = Entry(operation.key, value, packed, created) if value is not None else None
            self._versions.setdefault(operation.key, []).append((next_revision, entry))
            previous = before.value if before is not None else None
            events.append(StoreEvent(operation.key, value, packed, previous, created))
            revisions.append(packed)
        if events:
            self._store_revision = next_revision
            self._history.append(events, revision.pack(next_revision))
        return tuple(revisions)

    async def commit_each(self, commits: Sequence[Sequence[Operation]]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        for operations in commits:
            try:
                outcomes.append(await self.commit(operations))
            except KnarrError as error:
                outcomes.append(error)
        return outcomes

    def watch(
        self, prefix: str, *, after: int, previous: bool = True
    ) -> AsyncIterator[tuple[StoreEvent | Progress, ...]]:
        return self._history.follow(prefix, after)

    async def revision(self) -> int:
        self._check_open()
        return self.newest()

    def newest(self) -> int:
        """The newest packed revision."""
        return revision.pack(self._store_revision)

    async def compact(self, before: int) -> None:
        self.forget(before)

    def forget(self, before: int) -> None:
        """As ``compact``, at once."""
        number = revision.store_revision(before)
        self._compacted = max(self._compacted, number)
        for key, versions in list(self._versions.items()):
            index = bisect.bisect_right(versions, number, key=lambda version: version[0])
            kept = versions[max(index - 1, 0) :]
            if len(kept) == 1 and kept[0][1] is None:
                del self._versions[key]
            else:
                self._versions[key] = kept
        self._history.forget(before)

    async def close(self) -> None:
        self._closed = True
        self._history.close()

    def _newest(self, key: str) -> Entry | None:
        versions = self._versions.get(key)
        return versions[-1][1] if versions else None

    def _at(self, key: str, number: int) -> Entry | None:
        versions = self._versions[key]
        index = bisect.bisect_right(versions, number, key=lambda version: version[0])
        return versions[index - 1][1] if index else None

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")


def _compare(operation: Operation, present: Entry | None) -> None:
    if operation.expected is None:
        return
    actual = present.revision if present is not None else 0
    if operation.expected == 0 and actual == 0:
        return
    if not actual or not operation.expected or not revision.same_write(actual, operation.expected):
        raise KeyConflict(operation.key, actual)
