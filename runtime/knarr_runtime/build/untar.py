"""Unpacking a tar that is no image layer: a build's context, an archive of ADD. Not trusted: nothing leaves the root.

Unlike :mod:`knarr_runtime.images.unpack` it knows no whiteouts, makes no devices for a context, and may give all files
one owner.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import stat
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, cast

import zstandard

from knarr_runtime.errors import Invalid
from knarr_runtime.kernel import paths

COPY_BYTES = 1 << 20
MAX_NAME = 4096
_MAGIC = {
    "gzip": b"\x1f\x8b",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\0",
    "zstd": b"\x28\xb5\x2f\xfd",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    max_bytes: int = 16 << 30
    max_entries: int = 1_000_000


def is_empty(file: IO[bytes]) -> bool:
    """Whether it is a tar with nothing in it: two blocks of zeros, which ``decompressed`` does not take for a tar."""
    head = file.read(2 * tarfile.BLOCKSIZE)
    file.seek(0)
    return len(head) == 2 * tarfile.BLOCKSIZE and not any(head)


def decompressed(file: IO[bytes]) -> IO[bytes] | None:
    """A reader of the tar in ``file``, compressed or not; None when it holds no tar."""
    head = file.read(8)
    file.seek(0)
    kind = next((name for name, magic in _MAGIC.items() if head.startswith(magic)), "")
    reader = _reader(kind, file)
    try:
        block = reader.read(tarfile.BLOCKSIZE)
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, OSError, EOFError, zstandard.ZstdError, lzma.LZMAError):
        return None
    file.seek(0)
    return _reader(kind, file)


def _reader(kind: str, file: IO[bytes]) -> IO[bytes]:
    if kind == "gzip":
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    if kind == "bzip2":
        return cast(IO[bytes], bz2.BZ2File(file))
    if kind == "xz":
        return cast(IO[bytes], lzma.LZMAFile(file))
    if kind == "zstd":
        return cast(IO[bytes], zstandard.ZstdDecompressor().stream_reader(file, closefd=False))
    return file


def extract(
    archive: IO[bytes],
    root: int,
    *,
    limits: Limits,
    owner: tuple[int, int] | None,
    devices: bool = False,
    rename: Callable[[str, tarfile.TarInfo], str] | None = None,
) -> None:
    """Into the directory ``root``; owner None keeps the archive's. Raises Invalid.

    Others may change what is in ``root`` meanwhile: whatever they put there, nothing outside of it is touched.
    rename: the name to unpack an entry (or what a hard link names) as, "" to leave it out.
    """
    try:
        _Extraction(root, limits, owner, devices, rename).run(archive)
    except (tarfile.TarError, EOFError, zstandard.ZstdError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise Invalid(f"damaged archive: {error}") from error


class _Extraction:
    def __init__(
        self,
        root: int,
        limits: Limits,
        owner: tuple[int, int] | None,
        devices: bool,
        rename: Callable[[str, tarfile.TarInfo], str] | None,
    ) -> None:
        self._rename = rename or (lambda name, entry: name)
        self._root = root
        self._limits = limits
        self._owner = owner
        self._devices = devices
        self._bytes = 0
        self._times: list[tuple[str, float]] = []

    def run(self, archive: IO[bytes]) -> None:
        with tarfile.open(fileobj=archive, mode="r|", errorlevel=2) as tar:
            for count, entry in enumerate(tar):
                if count >= self._limits.max_entries:
                    raise Invalid(f"more than {self._limits.max_entries} files")
                self._one(tar, entry)
        for path, modified in reversed(self._times):
            with contextlib.suppress(OSError):
                descriptor = paths.open_inside(self._root, "/" + path, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.utime(descriptor, (modified, modified))
                finally:
                    os.close(descriptor)

    def _one(self, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        path = _clean(self._rename(_clean(entry.name), entry))
        if not path:
            return
        head, name = os.path.split(path)
        try:
            parent = paths.make_target(self._root, head or "/", directory=True)
        except OSError as error:
            raise Invalid(f'archive entry "{path[:200]}": {error.strerror}') from error
        try:
            self._make(tar, entry, parent, name)
        except OSError as error:
            raise Invalid(f'archive entry "{path[:200]}": {error.strerror}') from error
        finally:
            os.close(parent)
        if entry.isdir():
            self._times.append((path, entry.mtime))

    def _make(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        if entry.isdir():
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent)
            self._finish(entry, parent, name, os.O_RDONLY | os.O_DIRECTORY)
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=parent)
        if entry.isreg():
            self._file(tar, entry, parent, name)
        elif entry.issym():
            os.symlink(entry.linkname, name, dir_fd=parent)
            os.chown(name, *self._owner_of(entry), dir_fd=parent, follow_symlinks=False)
        elif entry.islnk():
            self._hard_link(entry, parent, name)
            return
        elif self._devices and (entry.isdev()):
            kind = {tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK}.get(entry.type, stat.S_IFIFO)
            device = 0 if kind == stat.S_IFIFO else os.makedev(entry.devmajor, entry.devminor)
            os.mknod(name, 0o600 | kind, device, dir_fd=parent)
            self._finish(entry, parent, name, os.O_PATH)
        else:
            raise Invalid(f'archive entry "{entry.name[:200]}" is of a type that is not taken: {entry.type!r}')
        os.utime(name, (entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _finish(self, entry: tarfile.TarInfo, parent: int, name: str, flags: int) -> None:
        """Owner and mode, of what is held open: a name could be a link to somewhere else by now."""
        try:
            held = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        except NotADirectoryError:
            raise Invalid(f'archive entry "{entry.name[:200]}": a directory cannot replace a file') from None
        try:
            os.chown(f"/proc/self/fd/{held}", *self._owner_of(entry))
            os.chmod(f"/proc/self/fd/{held}", entry.mode & 0o7777)
        finally:
            os.close(held)

    def _owner_of(self, entry: tarfile.TarInfo) -> tuple[int, int]:
        return self._owner or (entry.uid, entry.gid)

    def _file(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        self._bytes += entry.size
        if self._bytes > self._limits.max_bytes:
            raise Invalid(f"more than {self._limits.max_bytes} bytes")
        source: Any = tar.extractfile(entry)
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=parent)
        with os.fdopen(descriptor, "wb") as target:
            left = entry.size
            while left:
                block = source.read(min(left, COPY_BYTES))
                if not block:
                    raise Invalid(f'archive entry "{entry.name[:200]}" is truncated')
                target.write(block)
                left -= len(block)
            os.fchown(descriptor, *self._owner_of(entry))
            os.fchmod(descriptor, entry.mode & 0o7777)

    def _hard_link(self, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        head, base = os.path.split(_clean(self._rename(_clean(entry.linkname), entry)))
        directory = paths.open_inside(self._root, "/" + head, os.O_PATH | os.O_DIRECTORY)
        try:
            os.link(base, name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(directory)


def _clean(name: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name or len(name) > MAX_NAME:
        raise Invalid(f'archive entry "{name[:200]}" leaves the archive')
    return "/".join(parts)
