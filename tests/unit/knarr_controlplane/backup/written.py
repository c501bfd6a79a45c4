"""Backups of stores in memory, for tests."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping
from pathlib import Path

from knarr_controlplane.backup import archive
from knarr_controlplane.backup.snapshot import Origin, snapshot
from knarr_controlplane.store.memory import MemoryStore
from knarr_controlplane.store.protocol import Put

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
ORIGIN = "abc"


def write(directory: Path, objects: Mapping[str, bytes]) -> tuple[Path, int]:
    """A backup of a store with these values, and the store's revision."""
    (directory / "pki").mkdir(exist_ok=True)
    for name in archive.PKI:
        (directory / "pki" / name).write_bytes(name.encode())

    async def work() -> tuple[bytes, int]:
        store = MemoryStore()
        for key, value in objects.items():
            await store.commit([Put(key, value)])
        origin = Origin(pki=directory / "pki", cluster_id=ORIGIN, store="memory")
        return b"".join([piece.data async for piece in snapshot(store, origin, NOW)]), await store.revision()

    data, revision = asyncio.run(work())
    path = directory / "backup"
    path.write_bytes(data)
    return path, revision
