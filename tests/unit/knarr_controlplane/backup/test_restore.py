"""What is restored can be read by the version that restores it, or nothing is touched."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from knarr_api.errors import Internal, Invalid, Unavailable
from knarr_controlplane.backup.restore import restore
from knarr_controlplane.data_directory import RESTORED_FILE, check_restored
from knarr_controlplane.store import format as store_format
from knarr_controlplane.store.format import Mark
from knarr_controlplane.store.sqlite import SqliteStore
from tests.unit.knarr_controlplane.backup.written import NOW, write

EXPECTED = "expected etcd://HOST:PORT"
WEB = {"/registry/core/pods/default/web": b"{}"}


def marked(directory: Path, mark: bytes) -> Path:
    """A backup of a store with this mark of its format."""
    path, _ = write(directory, {store_format.KEY: mark, **WEB})
    return path


def of_format(number: int) -> bytes:
    return msgspec.json.encode(Mark(number, "9.9.9"))


def test_a_store_of_a_later_format_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    backup = marked(tmp_path, of_format(store_format.FORMAT + 1))
    with pytest.raises(Invalid, match=rf"the store has format {store_format.FORMAT + 1}, set by Knarr 9\.9\.9"):
        asyncio.run(restore(backup, tmp_path / "new", "sqlite", NOW))
    assert not (tmp_path / "new").exists()


def test_a_damaged_mark_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    backup = marked(tmp_path, b'{"format": "x"}')
    with pytest.raises(Internal, match="is damaged"):
        asyncio.run(restore(backup, tmp_path / "new", "sqlite", NOW))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("number", range(1, store_format.FORMAT + 1))
def test_every_format_that_is_known_comes_back_as_it_was(tmp_path: Path, number: int) -> None:
    """The control plane that starts on it brings it to its own."""
    asyncio.run(restore(marked(tmp_path, of_format(number)), tmp_path / "new", "sqlite", NOW))

    async def stored(key: str) -> bytes:
        store = await SqliteStore.open(tmp_path / "new/store.sqlite")
        try:
            entry = await store.get(key)
            return entry.value if entry is not None else b""
        finally:
            await store.close()

    assert store_format.parse(asyncio.run(stored(store_format.KEY))) == Mark(number, "9.9.9")
    assert asyncio.run(stored(*WEB)) == b"{}"


def test_a_refused_restore_leaves_the_cluster_that_is_there_as_it_was(tmp_path: Path) -> None:
    """The directory that was backed up, and a store that does not exist or can't be reached."""
    backup, _ = write(tmp_path, WEB)
    for store, said in (("etcdd", "must be sqlite"), ("etcd://127.0.0.1", EXPECTED), ("etcd://:2379", EXPECTED)):
        with pytest.raises(Invalid, match=said):
            asyncio.run(restore(backup, tmp_path, store, NOW))
        check_restored(tmp_path, "sqlite")


def test_a_control_plane_goes_on_when_members_of_the_etcd_it_was_restored_into_are_replaced(tmp_path: Path) -> None:
    (tmp_path / RESTORED_FILE).write_text('{"store": "etcd://a:1,b:1"}')
    for store in ("etcd://a:1,b:1", "etcd://b:1,a:1/", "etcd://b:1,c:1,d:1"):
        check_restored(tmp_path, store)
    for store in ("etcd://c:1", "etcd", "sqlite"):
        with pytest.raises(Unavailable, match=rf"name that one, or remove \S+{RESTORED_FILE} if the store has moved"):
            check_restored(tmp_path, store)


@pytest.mark.parametrize("content", ["", "{}", "[]"])
def test_a_damaged_note_of_a_restore_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / RESTORED_FILE).write_text(content)
    with pytest.raises(Unavailable, match=rf"{RESTORED_FILE} is damaged: remove it if sqlite is the store"):
        check_restored(tmp_path, "sqlite")
