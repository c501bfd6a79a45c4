"""Layers: what GNU tar packed comes out as it was, whiteouts hide what lies below, hostile ones are refused cheaply."""

from __future__ import annotations

import gzip
import io
import os
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import textwrap
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from knarr_runtime.errors import Invalid
from knarr_runtime.images.store import ImageStore
from knarr_runtime.images.unpack import unpack

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
"""cap_net_bind_service, permitted and effective."""
DIR, LINK, SYMLINK = tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE


@pytest.fixture
def target(tmp_path: Path) -> Path:
    made = tmp_path / "fs"
    made.mkdir()
    return made


def below(root: Path) -> list[Path]:
    """Everything; Path.rglob of Python 3.11.2 follows links to see whether they are directories."""
    return [Path(at, name) for at, directories, files in os.walk(root) for name in (*directories, *files)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Everything a layer can hold."""
    root = tmp_path / "source"
    (root / "d/inner").mkdir(parents=True)
    (root / "file").write_bytes(os.urandom(3_000_000))
    (root / "empty").touch()
    (root / ("long" * 60)).write_text("a name longer than a header's field")
    (root / "d/inner" / ("n" * 200)).write_text("a path longer than it")
    os.link(root / "file", root / "d/hard")
    os.symlink("/etc/passwd", root / "absolute")
    os.symlink("x" * 300, root / "dangling")
    os.chown(root / "dangling", 3, 4, follow_symlinks=False)
    os.mkfifo(root / "fifo")
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "disk", stat.S_IFBLK | 0o600, os.makedev(7, 200))
    with (root / "sparse").open("wb") as file:
        for offset in (0, 5_000_000, 90_000_000):
            file.seek(offset)
            file.write(b"island" * 1000)
        file.truncate(100_000_000)
    (root / "setuid").write_text("#!")
    os.chown(root / "setuid", 1000, 70_000)
    os.chmod(root / "setuid", 0o6755)
    os.chmod(root / "d", 0o1777)
    os.setxattr(root / "setuid", "user.note", b"\0\xff binary")
    os.setxattr(root / "file", "security.capability", CAPABILITY)
    for number, path in enumerate(sorted(below(root), reverse=True)):
        os.utime(path, ns=(0, 1_500_000_000_123_456_789 + number), follow_symlinks=False)
    return root


@pytest.mark.parametrize("form", ["posix", "gnu"])
def test_what_gnu_tar_packed_comes_out_as_it_was(
    source: Path, target: Path, look: Callable[[Path], dict[str, tuple[Any, ...]]], form: str
) -> None:
    options = ["--xattrs", "--xattrs-include=*"] if form == "posix" else []
    done = subprocess.run(
        ["tar", f"--format={form}", *options, "--sparse", "--numeric-owner", "-C", source, "-cf", "-", "."],
        capture_output=True,
        check=True,
    )
    unpack(io.BytesIO(done.stdout), str(target))
    wanted, found = look(source), look(target)
    if form == "gnu":  # which knows seconds and no attributes
        wanted = {name: (*one[:2], one[2] // 10**9, one[3], {}, one[5]) for name, one in wanted.items()}
        found = {name: (*one[:2], one[2] // 10**9, one[3], {}, one[5]) for name, one in found.items()}
    assert found == wanted
    assert (target / "sparse").stat().st_blocks * 512 < 10_000_000


def opaque(path: Path) -> bool:
    return "trusted.overlay.opaque" in os.listxattr(path)


@pytest.mark.parametrize("first", [0, 1])
def test_a_directory_made_anew_hides_the_one_below(make: Any, pack: Any, target: Path, first: int) -> None:
    parts = [[make(".wh.d")], [make("d", kind=DIR), make("d/new", b"1")]]
    unpack(io.BytesIO(pack(*parts[first], *parts[1 - first])), str(target))
    assert opaque(target / "d") and os.listdir(target / "d") == ["new"] and os.listdir(target) == ["d"]


def test_a_directory_made_anew_without_an_entry_of_its_own(make: Any, pack: Any, target: Path) -> None:
    unpack(io.BytesIO(pack(make(".wh.d"), make("d/e/new", b"1"))), str(target))
    assert opaque(target / "d") and (target / "d/e/new").read_bytes() == b"1"


@pytest.mark.parametrize("first", [0, 1])
def test_a_file_made_anew_stays(make: Any, pack: Any, target: Path, first: int) -> None:
    parts = [make(".wh.f"), make("f", b"new")]
    unpack(io.BytesIO(pack(parts[first], parts[1 - first])), str(target))
    assert (target / "f").read_bytes() == b"new"


def test_what_aufs_kept_for_itself_is_left_out(make: Any, pack: Any, target: Path) -> None:
    unpack(io.BytesIO(pack(make(".wh..wh.plnk", b""), make(".wh..wh.aufs", b""), make("f", b""))), str(target))
    assert os.listdir(target) == ["f"]


def test_implied_directories_are_as_below(make: Any, pack: Any, docker: Any, store: ImageStore) -> None:
    lower = pack(
        make("tmp", kind=DIR, mode=0o1777, mtime=1000),
        make("home", kind=DIR),
        make("home/u", kind=DIR, mode=0o700, uid=5),
    )
    upper = pack(make("tmp/x", b"1"), make("home/u/.rc", b"1"), make("new/y", b"1"))
    (image,) = store.import_archive(io.BytesIO(docker(lower, upper)))
    top = Path(store.layer_paths(image)[0])
    tmp, user, new = (top / "tmp").stat(), (top / "home/u").stat(), (top / "new").stat()
    assert (stat.S_IMODE(tmp.st_mode), tmp.st_mtime) == (0o1777, 1000)
    assert (stat.S_IMODE(user.st_mode), user.st_uid) == (0o700, 5)
    assert (stat.S_IMODE(new.st_mode), new.st_uid) == (0o755, 0)


def header(name: str, size: int, kind: bytes = b"0") -> bytes:
    """With a size that the library would not write."""
    info = tarfile.TarInfo(name)
    raw = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    raw[124:136] = (size % (1 << 96)).to_bytes(12, "big") if size < 0 else b"%011o\0" % size
    raw[156:157], raw[148:156] = kind, b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def pax(**fields: str) -> bytes:
    records = b"".join(_record(key.replace("__", "."), value) for key, value in fields.items())
    return header("x", len(records), b"x") + records.ljust(-(-len(records) // 512) * 512, b"\0")


def _record(key: str, value: str) -> bytes:
    bare = f" {key}={value}\n".encode()
    length = len(bare) + 1
    while len(str(length)) + len(bare) != length:
        length = len(str(length)) + len(bare)
    return str(length).encode() + bare


SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s"}
HOSTILE: dict[str, Callable[[], Iterator[bytes]]] = {
    "negative size": lambda: iter([header("a", 512), b"\0" * 512, header("b", -1024), b"\0" * 4096]),
    "negative size by an extended header": lambda: iter([pax(size="-1024"), header("b", 0), b"\0" * 4096]),
    "headers on headers": lambda: iter([pax(comment="x") * 5000, header("b", 0)]),
    "a long name of gigabytes": lambda: iter([header("a", 4 << 30, b"L"), *[b"n" * (1 << 20)] * 4096]),
    "global headers without end": lambda: (
        header("g", 1 << 19, b"g") + _record(f"k{number}", "v" * 500_000).ljust(1 << 19, b"\0") + header("f", 0)
        for number in range(4000)
    ),
    "a sparse map without end": lambda: iter(
        [
            pax(**SPARSE, **{"GNU.sparse.realsize": "1"}),
            header("s", 4 << 30),
            b"99999999\n",
            *[b"0\n" * (1 << 19)] * 4096,
        ]
    ),
    "a sparse map that leaves out": lambda: iter(
        [pax(**{"GNU.sparse.map": "5,-3,9,1", "GNU.sparse.size": "10"}), header("s", 512), b"\0" * 2048]
    ),
    "a huge sparse file": lambda: iter(
        [
            pax(**SPARSE, **{"GNU.sparse.realsize": str(1 << 60)}),
            header("s", 512),
            b"0\n".ljust(512, b"\0"),
            b"\0" * 1024,
        ]
    ),
    "a time that is none": lambda: iter([pax(mtime="1e300"), header("a", 0), b"\0" * 1024]),
    "an owner beyond 32 bits": lambda: iter([pax(uid=str(1 << 40)), header("a", 0), b"\0" * 1024]),
    "an owner below nothing": lambda: iter([pax(uid="-1"), header("a", 0), b"\0" * 1024]),
    "a zero byte in a link": lambda: iter([pax(linkpath="a\0b"), header("a", 0, b"2"), b"\0" * 1024]),
    "a part of a path too long": lambda: iter([pax(path="n" * 300), header("a", 0), b"\0" * 1024]),
    "a hard link to a directory": lambda: iter(
        [header("d", 0, b"5"), pax(linkpath="d"), header("l", 0, b"1"), b"\0" * 1024]
    ),
}


class Source(io.RawIOBase):
    """Pieces as they are asked for: what is hostile here would not fit into memory."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size and (piece := next(self._pieces, b"")):
            self._rest += piece
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_layers_are_refused_cheaply(target: Path, name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Invalid):
            unpack(Source(HOSTILE[name]()), str(target))  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50 << 20
    assert sum(path.lstat().st_blocks * 512 for path in below(target)) < 1_000_000


@pytest.mark.timeout(60)
def test_an_archive_that_leads_back_into_itself_ends(store: ImageStore) -> None:
    loop = header("a", 4096) + b"\0" * 4096 + header("b", -1024) + b"\0" * 1024
    with pytest.raises(Invalid):
        store.import_archive(io.BytesIO(loop))
    assert list((store.root / "tmp").iterdir()) == []


def test_a_bomb_ends_at_the_limit_and_takes_no_disk(store: ImageStore, make: Any, pack: Any, docker: Any) -> None:
    bomb = gzip.compress(header("z", (16 << 30) + 1), 9)
    with pytest.raises(Invalid, match="more than"):
        store.import_archive(io.BytesIO(docker(bomb)))
    assert store.images() == ()


def test_memory_does_not_grow_with_the_entries(target: Path) -> None:
    """Also of those that only replace each other: nothing is kept of an entry that is done."""
    program = textwrap.dedent("""
        import re, sys
        from pathlib import Path
        from knarr_runtime.images import tarlimits
        archive = tarlimits.open_stream(sys.stdin.buffer)
        count = sum(1 for _ in tarlimits.entries(archive, 1 << 30, "it"))
        print(count, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    """)
    found = []
    for count in (2_000, 60_000):
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=header("a", 0) * count + b"\0" * 1024,
            capture_output=True,
            check=True,
        )
        entries, kilobytes = map(int, done.stdout.split())
        assert entries == count
        found.append(kilobytes)
    assert found[1] - found[0] < 5_000


def test_sockets_are_no_part_of_a_layer(tmp_path: Path, target: Path) -> None:
    """GNU tar leaves them out; so nothing is refused for one."""
    (tmp_path / "s").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s/sock"))
        packed = subprocess.run(["tar", "-C", tmp_path / "s", "-cf", "-", "."], capture_output=True, check=False).stdout
    unpack(io.BytesIO(packed), str(target))
    assert os.listdir(target) == []
