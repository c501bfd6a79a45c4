"""A layer's tar from the upper directory of an overlay: what one step changed.

Whiteouts (character devices 0/0) and opaque directories become OCI's ``.wh.`` files. The same directory gives the same
bytes: fixed order, whole seconds, no names of users, nothing of the archiver. Called when no process is left that could
change the directory. Source: OCI image specification "Image Layer Filesystem Changeset"; overlayfs.rst.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from knarr_runtime.build import tree
from knarr_runtime.build.imageconfig import Layer
from knarr_runtime.errors import KernelRefused

_OPAQUE = "trusted.overlay.opaque"
_REDIRECT = ("trusted.overlay.redirect", "trusted.overlay.metacopy")
_PREFIX = "SCHILY.xattr."
_NOT_KEPT = ("trusted.overlay.", "user.overlay.", "security.selinux", "system.")
_LEVEL = 6


def is_empty(upper: Path) -> bool:
    return next(os.scandir(upper), None) is None


def write_layer(upper: Path, target: Path, *, latest_s: int | None = None) -> Layer:
    """Writes the compressed layer to ``target``, synced. latest_s: no time is later. Raises OSError, KernelRefused."""
    with open(target, "wb") as file:
        packing = _Packing(file)
        _Walking(upper, latest_s, packing.write).run()
        layer = packing.finish()
        file.flush()
        os.fsync(file.fileno())
    return layer


class _Packing:
    """Compresses and hashes what goes through, on both sides."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)  # a gzip header without name and time
        self._inside, self._outside = hashlib.sha256(), hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        self._inside.update(data)
        self._put(self._compressor.compress(data))

    def finish(self) -> Layer:
        self.write(bytes(2 * tarfile.BLOCKSIZE))
        self._put(self._compressor.flush())
        return Layer(
            diff_id=f"sha256:{self._inside.hexdigest()}", digest=f"sha256:{self._outside.hexdigest()}", size=self._size
        )

    def _put(self, data: bytes) -> None:
        self._outside.update(data)
        self._size += len(data)
        self._file.write(data)


class _Walking:
    def __init__(self, upper: Path, latest_s: int | None, write: Callable[[bytes], None]) -> None:
        self._upper = upper
        self._latest_s = latest_s
        self._write = write
        self._links: dict[tuple[int, int], str] = {}

    def run(self) -> None:
        root = os.open(self._upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for entry in tree.walk(root):
                self._one(entry)
        finally:
            os.close(root)

    def _one(self, entry: tree.Entry) -> None:
        directory, _, name = entry.path.rpartition("/")
        kind, status = entry.kind, entry.status
        if kind == stat.S_IFSOCK:
            return
        if kind == stat.S_IFCHR and status.st_rdev == 0:
            self._header(tarfile.TarInfo(f"{directory}/.wh.{name}".lstrip("/")), 0)
            return
        info = tarfile.TarInfo(entry.path)
        info.mode, info.uid, info.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
        attributes = dict(_xattrs(entry))
        if any(name in attributes for name in _REDIRECT):
            raise KernelRefused(
                f'"{entry.path}" was changed by overlayfs with redirect_dir or metacopy, which layers cannot tell: '
                "switch both off in /sys/module/overlay/parameters"
            )
        opaque = attributes.pop(_OPAQUE, b"") == b"y"
        info.pax_headers = {
            _PREFIX + name: value.decode("utf-8", "surrogateescape")
            for name, value in attributes.items()
            if not name.startswith(_NOT_KEPT)
        }
        mtime_s = self._time(status)
        if kind == stat.S_IFDIR:
            info.type = tarfile.DIRTYPE
            self._header(info, mtime_s)
            if opaque:
                self._header(tarfile.TarInfo(f"{entry.path}/.wh..wh..opq"), 0)
        elif kind == stat.S_IFREG:
            self._regular(entry, info, mtime_s)
        elif kind == stat.S_IFLNK:
            info.type, info.linkname = tarfile.SYMTYPE, entry.link()
            self._header(info, mtime_s)
        else:
            types = {stat.S_IFCHR: tarfile.CHRTYPE, stat.S_IFBLK: tarfile.BLKTYPE, stat.S_IFIFO: tarfile.FIFOTYPE}
            info.type = types[kind]
            info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
            self._header(info, mtime_s)

    def _regular(self, entry: tree.Entry, info: tarfile.TarInfo, mtime_s: int) -> None:
        inode = (entry.status.st_dev, entry.status.st_ino)
        if entry.status.st_nlink > 1 and inode in self._links:
            info.type, info.linkname, info.pax_headers = tarfile.LNKTYPE, self._links[inode], {}
            self._header(info, mtime_s)
            return
        self._links[inode] = entry.path
        info.size = left = entry.status.st_size
        self._header(info, mtime_s)
        with os.fdopen(entry.open(), "rb", buffering=0) as file:
            while left:
                block = file.read(min(left, tree.COPY_BYTES))
                if not block:
                    raise KernelRefused(f'"{entry.path}" became shorter while it was read')
                left -= len(block)
                self._write(block)
        self._write(bytes(-info.size % tarfile.BLOCKSIZE))

    def _header(self, info: tarfile.TarInfo, mtime_s: int) -> None:
        info.mtime = mtime_s
        self._write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def _time(self, status: os.stat_result) -> int:
        modified_s = max(status.st_mtime_ns // 10**9, 0)
        return modified_s if self._latest_s is None else min(modified_s, self._latest_s)


def _xattrs(entry: tree.Entry) -> Iterator[tuple[str, bytes]]:
    """All of them, in order; with the host's ``trusted.`` ones, which overlayfs uses."""
    where = f"/proc/self/fd/{entry.parent}/{entry.name}"
    try:
        names = sorted(os.listxattr(where, follow_symlinks=False))
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):
            yield name, os.getxattr(where, name, follow_symlinks=False)
