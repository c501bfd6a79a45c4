"""The control plane's data directory: held by one process, and not used while a restore into it is not complete."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from knarr_api.errors import Unavailable

UNFINISHED_FILE = "restore.unfinished"
RESTORED_FILE = "restored.json"


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the data directory. Raises Unavailable naming the process that has it."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(data_dir / "controlplane.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode().strip() or "unknown"
            raise Unavailable(
                f"data directory {data_dir} is in use by process {holder}: stop it first or name another directory"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def check_restored(data_dir: Path, store: str) -> None:
    """Raises Unavailable when a restore was broken off, or went into another store than this one."""
    if (data_dir / UNFINISHED_FILE).exists():
        raise Unavailable(f"a restore into {data_dir} was broken off: repeat 'knarr restore'")
    path = data_dir / RESTORED_FILE
    with contextlib.suppress(FileNotFoundError):
        try:
            restored = json.loads(path.read_text())["store"]
        except (ValueError, KeyError, TypeError):
            raise Unavailable(f"{path} is damaged: remove it if {store} is the store that was restored into") from None
        if restored != store and not _members(restored) & _members(store):
            raise Unavailable(
                f"{data_dir} was restored with --store {restored}, not {store}: name that one, or remove "
                f"{path} if the store has moved since"
            )


def _members(store: str) -> set[str]:
    """Of an etcd elsewhere: it keeps its data when members are added, replaced or named in another order."""
    address = store.removeprefix("etcd://")
    return set(address.rstrip("/").split(",")) - {""} if address != store else set()
