"""Layers made of what an overlay's upper directory holds."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from knarr_runtime.build import diff, rootfs
from knarr_runtime.build.cache import Cache, Step


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    """After a step that changed, replaced, removed and made things."""
    lower, made = tmp_path / "lower", tmp_path / "upper"
    (lower / "replaced").mkdir(parents=True)
    (lower / "replaced/old").write_text("old")
    (lower / "removed").write_text("removed")
    (lower / "changed").write_text("before")
    with rootfs.opened([str(lower)], tmp_path, made) as root:
        where = Path(f"/proc/self/fd/{root}")
        (where / "removed").unlink()
        shutil.rmtree(where / "replaced")
        (where / "replaced").mkdir()
        (where / "replaced/new").write_text("new")
        (where / "changed").write_text("after")
        (where / "link").symlink_to("changed")
        os.mkfifo(where / "fifo")
        os.mknod(where / "device", 0o20600, os.makedev(1, 3))
        (where / "one").write_text("hard")
        os.link(where / "one", where / "two")
        os.setxattr(where / "one", "user.note", b"\xff\x00binary")
        with open(where / "sparse", "wb") as file:
            file.truncate(3 << 20)
    return made


def layer(upper: Path, target: Path, latest_s: int | None = None) -> tuple[diff.Layer, dict[str, tarfile.TarInfo]]:
    made = diff.write_layer(upper, target, latest_s=latest_s)
    data = target.read_bytes()
    raw = gzip.decompress(data)
    assert made.diff_id == f"sha256:{hashlib.sha256(raw).hexdigest()}"
    assert made.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert made.size == len(data)
    with tarfile.open(target) as archive:
        return made, {member.name: member for member in archive}


def test_everything_a_step_did(upper: Path, tmp_path: Path) -> None:
    _, members = layer(upper, tmp_path / "layer")
    assert list(members) == [
        "changed",
        "device",
        "fifo",
        "link",
        "one",
        ".wh.removed",
        "replaced",
        "replaced/.wh..wh..opq",
        "replaced/new",
        "sparse",
        "two",
    ]
    assert members["two"].islnk() and members["two"].linkname == "one"
    assert members["link"].linkname == "changed"
    assert (members["device"].devmajor, members["device"].devminor) == (1, 3)
    assert members["one"].pax_headers["SCHILY.xattr.user.note"].encode("utf-8", "surrogateescape") == b"\xff\x00binary"
    assert members["sparse"].size == 3 << 20


def test_the_same_directory_gives_the_same_bytes(upper: Path, tmp_path: Path) -> None:
    first, _ = layer(upper, tmp_path / "first")
    shutil.copytree(upper, tmp_path / "again", symlinks=True, ignore=lambda *_: ["device", "removed", "fifo"])
    second, _ = layer(upper, tmp_path / "second")
    assert first == second


def test_no_time_is_later_than_asked_for(upper: Path, tmp_path: Path) -> None:
    _, members = layer(upper, tmp_path / "layer", latest_s=1000)
    assert max(member.mtime for member in members.values()) == 1000


def test_what_the_cache_unpacks_again_is_what_was_packed(upper: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    before, members = layer(upper, tmp_path / "layer")
    made = cache.add(upper, None)
    assert made == before
    shutil.rmtree(cache.directory(made))
    again, same = layer(cache.directory(made), tmp_path / "again")
    assert list(same) == list(members)
    assert again.diff_id == made.diff_id


def test_the_cache_outlives_its_process_and_forgets_the_oldest(upper: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    made = cache.add(upper, None)
    cache.save("a" * 64, Step(created="t", layer=made))
    cache.save("b" * 64, Step(created="t", layer=None))
    again = Cache(tmp_path / "cache")
    assert again.find("a" * 64) == Step(created="t", layer=made)
    assert again.find("c" * 64) is None
    assert again.trim(0) == made.size
    assert again.find("a" * 64) is None
    assert list((tmp_path / "cache/blobs").iterdir()) == []


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    (tmp_path / "cache/records" / ("a" * 64)).write_text("{")
    assert cache.find("a" * 64) is None


def test_the_root_of_a_stage_on_older_kernels(tmp_path: Path) -> None:
    """Before Linux 6.5 overlays are mounted by path, and must not stay mounted."""
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower/below").write_text("below")
    descriptor = rootfs._classic([str(tmp_path / "lower")], str(tmp_path / "upper"), str(tmp_path / "work"), tmp_path)
    try:
        assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
        assert Path(f"/proc/self/fd/{descriptor}/below").read_text() == "below"
        Path(f"/proc/self/fd/{descriptor}/new").write_text("new")
    finally:
        os.close(descriptor)
    assert (tmp_path / "upper/new").read_text() == "new"
