"""From a backup to a data directory from which a control plane can start.

    verified ─► marked as unfinished ─► keys ─► store ─► mark replaced by ``restored.json``

Broken off anywhere it may be repeated; until it is complete no control plane starts there. One that is refused leaves a
directory with the cluster's keys, and the control plane's store in it, as they were.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path

from knarr_api.errors import Invalid
from knarr_controlplane.backup import archive
from knarr_controlplane.backup.archive import Manifest
from knarr_controlplane.data_directory import RESTORED_FILE, UNFINISHED_FILE, locked
from knarr_controlplane.pki.authority import Authority, write_private
from knarr_controlplane.store import format as store_format
from knarr_controlplane.store.etcd_process import EtcdTls
from knarr_controlplane.store.opening import open_etcd
from knarr_controlplane.store.restoring import check_empty, fill_etcd, fill_sqlite

STEP = 1000
Progress = Callable[[int], None]
"""Told how many objects are written."""


async def restore(
    path: Path, data_dir: Path, store: str, now: datetime, progress: Progress = lambda _: None
) -> Manifest:
    """Returns what the backup says of itself.

    Raises Invalid for a damaged one, a store that is not empty and keys of another cluster; Unavailable, OSError.
    """
    manifest = await asyncio.to_thread(archive.verify, path)
    keys = await asyncio.to_thread(archive.keys, path)
    await asyncio.to_thread(_check_format, path)
    with locked(data_dir):
        pki, unfinished = data_dir / "pki", data_dir / UNFINISHED_FILE
        _check_keys(pki, keys)
        if store == "sqlite":
            check_empty(data_dir / "store.sqlite")

        def begin() -> None:
            write_private(unfinished, f"{path}\n".encode())

        if not all((pki / name).exists() for name in keys):
            begin()
            pki.mkdir(mode=0o700, exist_ok=True)
            for name, content in keys.items():
                write_private(pki / name, content, mode=0o644 if name == "ca.crt" else 0o600)
        entries = _counted(archive.entries(path), progress)
        if store == "sqlite":
            begin()
            await asyncio.to_thread(fill_sqlite, data_dir / "store.sqlite", entries, manifest.revision)
        else:
            await _into_etcd(store, data_dir, begin, entries, manifest.revision, etcd_certificates(pki, now))
        restored = {"store": store, "backup_of": manifest.created, "revision": manifest.revision}
        write_private(data_dir / RESTORED_FILE, json.dumps(restored).encode() + b"\n")
        unfinished.unlink()
    return manifest


async def _into_etcd(
    store: str,
    data_dir: Path,
    begin: Callable[[], None],
    entries: Iterator[tuple[str, bytes]],
    revision: int,
    tls: Callable[[], Awaitable[EtcdTls]],
) -> None:
    """begin: called before anything is written. Raises Invalid for an etcd that is not empty."""
    remote = EtcdTls.of_directory(data_dir / "pki" / "etcd")
    opened = await open_etcd(store, data_dir, tls=tls, remote_tls=remote, restoring=True)
    try:
        await opened.store.check_empty()
        begin()
        await fill_etcd(opened.store, entries, revision)
    finally:
        await opened.close()


def etcd_certificates(pki: Path, now: datetime) -> Callable[[], Awaitable[EtcdTls]]:
    """For ``open_etcd``: from the CA in that directory."""

    async def make() -> EtcdTls:
        ca, certificate, key = Authority.open(pki, now).etcd(now, pki)
        return EtcdTls(ca=ca, certificate=certificate, key=key)

    return make


def _check_keys(pki: Path, keys: dict[str, bytes]) -> None:
    """The directory may be the one that was backed up; it must not be another cluster's."""
    for name, content in keys.items():
        present = pki / name
        if present.exists() and present.read_bytes() != content:
            raise Invalid(f"{present} is not the backup's: {pki.parent} is another cluster's, name another directory")


def _check_format(path: Path) -> None:
    for key, value in archive.entries(path):
        if key == store_format.KEY:
            store_format.check(store_format.parse(value))


def _counted(entries: Iterator[tuple[str, bytes]], progress: Progress) -> Iterator[tuple[str, bytes]]:
    for count, entry in enumerate(entries, 1):
        if count % STEP == 0:
            progress(count)
        yield entry
