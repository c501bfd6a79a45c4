"""``python -m knarr_controlplane.backup``: backups without a running control plane, for ``knarr backup|restore``.

``save`` writes the file to standard output. ``verify`` and ``restore`` write the manifest as JSON there, ``restore``
before that a line ``{"objects": …}`` now and then. What went wrong is one line on standard error, exit status 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from knarr_api.errors import Invalid, KnarrError
from knarr_client.clock import SystemClock
from knarr_controlplane.backup import archive
from knarr_controlplane.backup.archive import Manifest
from knarr_controlplane.backup.restore import etcd_certificates, restore
from knarr_controlplane.backup.snapshot import Origin, snapshot
from knarr_controlplane.data_directory import check_restored, locked
from knarr_controlplane.pki.authority import Authority
from knarr_controlplane.store.etcd_process import EtcdTls
from knarr_controlplane.store.opening import open_store


async def save(data_dir: Path, store: str) -> None:
    """Raises Invalid for a directory that holds no cluster, Unavailable for one in use."""
    pki, now = data_dir / "pki", SystemClock().now()
    if not (pki / "ca.crt").exists():
        raise Invalid(f"{data_dir} holds no control plane: there is no {pki / 'ca.crt'}")
    store = store or _kept_in(data_dir)
    with locked(data_dir):
        check_restored(data_dir, store)
        origin = Origin(pki=pki, cluster_id=Authority.open(pki, now).fingerprint[:12], store=store)
        remote = EtcdTls.of_directory(pki / "etcd")
        opened = await open_store(store, data_dir, tls=etcd_certificates(pki, now), remote_tls=remote)
        try:
            async for piece in snapshot(opened.store, origin, now):
                sys.stdout.buffer.write(piece.data)
        finally:
            await opened.close()
        sys.stdout.buffer.flush()


def _kept_in(data_dir: Path) -> str:
    if (data_dir / "store.sqlite").exists():
        return "sqlite"
    if (data_dir / "etcd" / "data").exists():
        return "etcd"
    raise Invalid(f"{data_dir} holds no store: name an etcd elsewhere with --store etcd://HOST:PORT,…")


async def _restore(given: Any) -> Manifest:
    def progress(objects: int) -> None:
        sys.stdout.write(json.dumps({"objects": objects}) + "\n")
        sys.stdout.flush()

    return await restore(given.file, given.data_dir, given.store, SystemClock().now(), progress)


def main() -> None:
    parser = argparse.ArgumentParser(prog="knarr-backup", description="Backups without a running control plane.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    saving = verbs.add_parser("save", help="write a backup of a data directory to standard output")
    saving.add_argument("--data-dir", type=Path, required=True)
    saving.add_argument("--store", default="", help="default: what the directory holds")
    verifying = verbs.add_parser("verify", help="read a backup and say what is in it")
    verifying.add_argument("file", type=Path)
    restoring = verbs.add_parser("restore", help="fill an empty store")
    restoring.add_argument("file", type=Path)
    restoring.add_argument("--data-dir", type=Path, required=True)
    restoring.add_argument("--store", default="sqlite")
    given = parser.parse_args()
    try:
        if given.verb == "save":
            asyncio.run(save(given.data_dir, given.store))
            return
        manifest = archive.verify(given.file) if given.verb == "verify" else asyncio.run(_restore(given))
        sys.stdout.buffer.write(msgspec.json.encode(manifest) + b"\n")
    except (KnarrError, OSError) as error:
        sys.stderr.write(f"knarr-backup: {error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
