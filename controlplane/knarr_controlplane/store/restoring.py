"""Filling an empty store with what a backup holds.

No resource version may come back that was handed out before, also after the backup was made: a watch that went on from
one would miss changes in silence. So everything gets a new revision, far above the backup's, and all below counts as
compacted: whoever has an older one is told to list again. SQLite starts to count there; etcd can't, so a number is kept
in it that :class:`EtcdStore` adds to etcd's own revisions.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from knarr_api.errors import Invalid
from knarr_controlplane.store import revision
from knarr_controlplane.store.etcd import EtcdStore
from knarr_controlplane.store.sqlite import SCHEMA

LEAP = 10**10
"""Revisions skipped: more than a cluster writes between a backup and its restore."""
BATCH, BATCH_BYTES = 100, 512 * 1024

Entries = Iterable[tuple[str, bytes]]


def first_revision(packed: int) -> int:
    """The store revision at which a store restored from this packed one starts."""
    return revision.store_revision(packed) + LEAP


def fill_sqlite(path: Path, entries: Entries, packed: int) -> int:
    """Make the file, under its own name only when it is complete. Returns the number of entries."""
    building = path.with_name(f"{path.name}.restoring")
    for leftover in (building, building.with_name(f"{building.name}-journal")):
        leftover.unlink(missing_ok=True)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(building, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    number = first_revision(packed)
    connection = sqlite3.connect(building, isolation_level=None)
    try:
        connection.execute("pragma synchronous=full")
        connection.executescript(SCHEMA)
        connection.execute("begin")
        created = revision.pack(number, 0)
        rows = ((key, number, 0, created, value) for key, value in entries)
        count = connection.executemany("insert into entry values (?, ?, ?, ?, ?)", rows).rowcount
        connection.executemany("insert into state values (?, ?)", [("revision", number), ("compacted", number)])
        connection.execute("commit")
    finally:
        connection.close()
    building.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return max(count, 0)


async def fill_etcd(store: EtcdStore, entries: Entries, packed: int) -> int:
    """Write everything. A restore that was broken off may be repeated: it begins anew.

    Returns the number of entries. Raises Invalid for an etcd that holds something else.
    """
    await store.begin_restore(first_revision(packed))
    count = 0
    for batch in _batches(entries):
        await store.put_restored(batch)
        count += len(batch)
    await store.end_restore()
    return count


def _batches(entries: Entries) -> Iterator[list[tuple[str, bytes]]]:
    batch: list[tuple[str, bytes]] = []
    size = 0
    for key, value in entries:
        if batch and (len(batch) >= BATCH or size + len(value) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((key, value))
        size += len(value)
    if batch:
        yield batch


def check_empty(path: Path) -> None:
    """Raises Invalid when there is a SQLite store with anything in it."""
    if not path.exists():
        return
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        filled = connection.execute("select 1 from entry limit 1").fetchone()
    except sqlite3.OperationalError:
        filled = None
    except sqlite3.DatabaseError:
        filled = (1,)
    finally:
        connection.close()
    if filled:
        raise Invalid(f"the store {path} is not empty: move it away first if it is to be replaced")
