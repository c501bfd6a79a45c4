"""A store in one SQLite file: the embedded default.

WAL with synchronous=FULL, so that a commit that returned survives a crash of the machine. One thread writes, fed with
batches by the group committer; another reads. History is kept in the same table until compacted:

    entry(key, revision, position, created, value)     value NULL: deleted at that revision

The newest revision of a key is what ``get`` answers; ``list`` can look at any revision that is still there. Watches
are served from memory (:mod:`history`), older ones from the table. Source: https://www.sqlite.org/wal.html.
"""

from __future__ import annotations

import asyncio
import fcntl
import functools
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from knarr_api.errors import Expired, Internal, KnarrError, ResourceExhausted, Unavailable
from knarr_controlplane.store import revision
from knarr_controlplane.store.group_commit import GroupCommitter
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

SCHEMA = """
create table if not exists entry (
    key text not null, revision integer not null, position integer not null, created integer not null, value blob,
    primary key (key, revision)
) without rowid;
create index if not exists entry_revision on entry (revision, position);
create table if not exists state (name text primary key, number integer not null) without rowid;
"""
P = ParamSpec("P")
R = TypeVar("R")
Events = list[StoreEvent]

COMPACTION_SLICE = 500
CACHE_KIB = 16 * 1024


class SqliteStore:
    """Open with :meth:`open`."""

    def __init__(self, path: Path, lock: int) -> None:
        self._path = path
        self._lock = lock
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-write")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="sqlite-read")
        self._committer = GroupCommitter(self._apply, in_flight=1)
        self._write: sqlite3.Connection
        self._read: sqlite3.Connection
        self._store_revision = 1
        self._compacted = 0
        self._history: History
        self._closed = False

    @classmethod
    async def open(cls, path: Path) -> SqliteStore:
        """Create the file (0600) when missing. Raises Unavailable when another process has it open."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise Unavailable(f"the store {path} is in use by another process") from None
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        store = cls(path, lock)
        try:
            await store._in(store._writer, store._open)
        except KnarrError:
            os.close(lock)
            raise
        return store

    async def get(self, key: str) -> Entry | None:
        row = await self._in(self._reader, self._get, key)
        return row if row is not None and row.value else None

    async def list(self, prefix: str, *, limit: int = 0, after: str = "", at_revision: int = 0) -> Listing:
        return await self._in(self._reader, self._list, prefix, limit, after, revision.store_revision(at_revision))

    async def commit(self, operations: Sequence[Operation]) -> tuple[int, ...]:
        return await self._committer.commit(operations)

    async def commit_each(self, commits: Sequence[Sequence[Operation]]) -> Sequence[Outcome]:
        return await self._committer.commit_each(commits)

    async def watch(
        self, prefix: str, *, after: int, previous: bool = True
    ) -> AsyncIterator[tuple[StoreEvent | Progress, ...]]:
        while after < self._history.forgotten:
            events = await self._in(self._reader, self._changes, prefix, after)
            if not events:
                after = self._history.forgotten
                break
            after = events[-1].revision
            yield tuple(events)
        async for batch in self._history.follow(prefix, after):
            yield batch

    async def revision(self) -> int:
        return revision.pack(self._store_revision)

    async def compact(self, before: int) -> None:
        number = min(revision.store_revision(before), self._store_revision)
        if number <= self._compacted:
            return
        await self._in(self._writer, self._mark_compacted, number)
        self._compacted = number
        self._history.forget(revision.pack(number))
        while await self._in(self._writer, self._compact_slice, number):
            pass

    async def close(self) -> None:
        if self._closed:
            return
        await self._committer.close()
        self._closed = True
        self._history.close()
        self._reader.shutdown()
        self._writer.submit(self._close).result()
        self._writer.shutdown()
        os.close(self._lock)

    # On the threads

    async def _in(self, executor: ThreadPoolExecutor, function: Callable[P, R], *arguments: P.args, **_: P.kwargs) -> R:
        if self._closed:
            raise Unavailable("the store is closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, _translated, self._path, functools.partial(function, *arguments))

    def _open(self) -> None:
        self._write = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=wal", "synchronous=full", f"cache_size=-{CACHE_KIB}", "wal_autocheckpoint=4000"):
            self._write.execute(f"pragma {pragma}")
        self._write.executescript(SCHEMA)
        row = self._write.execute("select max(revision) from entry").fetchone()
        state = dict(self._write.execute("select name, number from state"))
        self._store_revision = max(row[0] or 1, state.get("revision", 1))
        self._compacted = state.get("compacted", 0)
        self._history = History(revision.pack(self._store_revision))
        self._read = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._read.execute("pragma query_only=on")
        self._read.execute(f"pragma cache_size=-{CACHE_KIB}")

    def _close(self) -> None:
        self._read.close()
        self._write.close()

    def _get(self, key: str) -> Entry | None:
        return _newest(self._read, key)

    def _list(self, prefix: str, limit: int, after: str, number: int) -> Listing:
        self._read.execute("begin")
        try:
            newest = self._store_revision_on_disk()
            at = number or newest
            if at < self._compacted:
                raise Expired(f"resource version {revision.pack(number)} has been compacted")
            if at > newest:
                raise Expired(f"resource version {revision.pack(number)} is newer than the store")
            rows = self._read.execute(
                "select key, value, revision, position, created from entry as e where key >= ? and key < ? and key > ? "
                "and revision = (select max(revision) from entry where key = e.key and revision <= ?) "
                "and value is not null order by key limit ?",
                (prefix, prefix + "\U0010ffff", after, at, limit + 1 if limit else -1),
            ).fetchall()
        finally:
            self._read.execute("commit")
        more = bool(limit) and len(rows) > limit
        entries = tuple(_entry(*row) for row in rows[: limit or None])
        return Listing(entries, revision.pack(at), more)

    def _store_revision_on_disk(self) -> int:
        row = self._read.execute("select number from state where name = 'revision'").fetchone()
        return int(row[0]) if row else 1

    def _changes(self, prefix: str, after: int) -> Events:
        """Changes in the table after a packed revision, in order, at most 1,000."""
        if revision.store_revision(after) < self._compacted:
            raise Expired(f"resource version {after} is too old ({revision.pack(self._compacted)})")
        rows = self._read.execute(
            "select key, value, revision, position, created from entry "
            "where (revision << 8 | position) > ? and key >= ? and key < ? order by revision, position limit 1000",
            (after, prefix, prefix + "\U0010ffff"),
        ).fetchall()
        events: Events = []
        for key, value, number, position, created in rows:
            previous = self._read.execute(
                "select value from entry where key = ? and revision < ? order by revision desc limit 1", (key, number)
            ).fetchone()
            packed = revision.pack(number, position)
            events.append(StoreEvent(key, value, packed, previous[0] if previous else None, created))
        return events

    async def _apply(self, batch: Sequence[tuple[Operation, ...]]) -> Sequence[Outcome]:
        outcomes, events, number = await self._in(self._writer, self._write_batch, batch)
        if events:
            self._store_revision = number
            self._history.append(events, revision.pack(number))
        return outcomes

    def _write_batch(self, batch: Sequence[tuple[Operation, ...]]) -> tuple[Sequence[Outcome], Events, int]:
        number = self._store_revision + 1
        outcomes: list[Outcome] = []
        events: Events = []
        self._write.execute("begin immediate")
        try:
            for operations in batch:
                outcomes.append(self._write_one(operations, number, events))
            if events:
                self._write.execute("insert or replace into state values ('revision', ?)", (number,))
            self._write.execute("commit")
        except BaseException:
            if self._write.in_transaction:
                self._write.execute("rollback")
            raise
        return outcomes, events, number

    def _write_one(self, operations: tuple[Operation, ...], number: int, events: Events) -> Outcome:
        present = {operation.key: _newest(self._write, operation.key) for operation in operations}
        for operation in operations:
            conflict = _conflict(operation, present[operation.key])
            if conflict is not None:
                return conflict
        revisions: list[int] = []
        for operation in operations:
            before = present[operation.key]
            exists = before is not None and before.value
            if isinstance(operation, Check) or (isinstance(operation, Delete) and not exists):
                revisions.append(0)
                continue
            packed = revision.pack(number, len(events) + 1)
            created = before.create_revision if before is not None and exists else packed
            value = operation.value if isinstance(operation, Put) else None
            self._write.execute(
                "insert into entry values (?, ?, ?, ?, ?)", (operation.key, number, len(events) + 1, created, value)
            )
            previous = before.value if before is not None and exists else None
            events.append(StoreEvent(operation.key, value, packed, previous, created))
            revisions.append(packed)
        return tuple(revisions)

    def _mark_compacted(self, number: int) -> None:
        self._write.execute("insert or replace into state values ('compacted', ?)", (number,))

    def _compact_slice(self, number: int) -> bool:
        """Remove a slice of what is older and not the newest of its key; says whether there may be more."""
        cursor = self._write.execute(
            "delete from entry where (key, revision) in (select e.key, e.revision from entry as e "
            "where e.revision <= ? and (e.value is null or exists "
            "(select 1 from entry as n where n.key = e.key and n.revision > e.revision and n.revision <= ?)) "
            "and not (e.value is null and exists "
            "(select 1 from entry as o where o.key = e.key and o.revision < e.revision)) "
            "limit ?)",
            (number, number, COMPACTION_SLICE),
        )
        return cursor.rowcount > 0


def _newest(connection: sqlite3.Connection, key: str) -> Entry | None:
    """The newest version, also a deletion: that has an empty value."""
    row = connection.execute(
        "select key, value, revision, position, created from entry where key = ? order by revision desc limit 1", (key,)
    ).fetchone()
    return _entry(*row) if row else None


def _entry(key: str, value: bytes | None, number: int, position: int, created: int) -> Entry:
    return Entry(key, value or b"", revision.pack(number, position), created)


def _conflict(operation: Operation, present: Entry | None) -> KeyConflict | None:
    if operation.expected is None:
        return None
    actual = present.revision if present is not None and present.value else 0
    if operation.expected == 0 and actual == 0:
        return None
    if actual and operation.expected and revision.same_write(actual, operation.expected):
        return None
    return KeyConflict(operation.key, actual)


def _translated(path: Path, function: Callable[[], R]) -> R:
    """Run on a thread, with SQLite's errors turned into ours."""
    try:
        return function()
    except sqlite3.OperationalError as error:
        code = error.sqlite_errorname or ""
        if code.startswith("SQLITE_FULL"):
            raise ResourceExhausted(f"the disk of {path} is full: free some space; nothing was written") from error
        if code.startswith("SQLITE_IOERR"):
            raise Unavailable(f"{path}: {error}; the write may not have happened") from error
        raise Internal(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Internal(f"{path} is damaged or no store: {error}; restore it from a backup") from error
