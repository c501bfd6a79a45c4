"""Files into and out of containers, as tars. The container may be hostile, and run meanwhile.

Every name is resolved by the kernel below a descriptor of the container's root (openat2), so no link leads out of it,
absolute ones either; what is found is held open and looked at again before it is used, so it does not matter when a
name is exchanged for a link. Nothing of the container is ever executed or loaded, and no process enters it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
from collections.abc import Iterator
from typing import IO, Any

from knarr_runtime.build import tree, untar
from knarr_runtime.errors import Invalid, NotFound
from knarr_runtime.kernel import paths

LIMITS = untar.Limits(max_bytes=1 << 40, max_entries=10_000_000)
BLOCK = tarfile.BLOCKSIZE
_TYPES = {
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


def absolute(path: str) -> str:
    """``a/../b/.`` is /b; two slashes at the beginning, which POSIX keeps, are one."""
    return os.path.normpath("/" + path.lstrip("/"))


def packed(root: int, path: str, *, follow_link: bool = False) -> Iterator[bytes]:
    """A tar of ``path`` inside of ``root``; its entries begin with the path's last name. Raises NotFound."""
    parent_path, name = os.path.split(absolute(path))
    try:
        if not name or follow_link:
            held = paths.open_inside(root, f"/{path}")
        else:
            held = paths.open_inside(root, parent_path, os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from None
    try:
        yield from _packed(held, "" if not name or follow_link else name, name or "root", path)
    finally:
        os.close(held)
    yield bytes(2 * BLOCK)


def _packed(held: int, inside: str, name: str, path: str) -> Iterator[bytes]:
    """inside: what in the directory ``held`` is meant, "" for itself."""
    links: dict[tuple[int, int], str] = {}
    try:
        what = os.open(inside, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held) if inside else os.dup(held)
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from None
    try:
        status = os.fstat(what)
        link = os.readlink("", dir_fd=what) if stat.S_ISLNK(status.st_mode) else ""
        yield from _entry(name, status, link, f"/proc/self/fd/{what}", links)
        if stat.S_ISDIR(status.st_mode):
            for entry in tree.walk(what):
                link = entry.link() if entry.kind == stat.S_IFLNK else ""
                with contextlib.suppress(FileNotFoundError):  # it is removed just now
                    yield from _entry(f"{name}/{entry.path}", entry.status, link, entry, links)
    finally:
        os.close(what)


def _entry(
    name: str, status: os.stat_result, link: str, source: str | tree.Entry, links: dict[tuple[int, int], str]
) -> Iterator[bytes]:
    kind = stat.S_IFMT(status.st_mode)
    if kind not in _TYPES:  # a socket
        return
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = _TYPES[kind], stat.S_IMODE(status.st_mode), int(status.st_mtime)
    info.uid, info.gid, info.linkname = status.st_uid, status.st_gid, link
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    if kind != stat.S_IFREG:
        yield _header(info)
        return
    inode = (status.st_dev, status.st_ino)
    if status.st_nlink > 1 and inode in links:
        info.type, info.linkname = tarfile.LNKTYPE, links[inode]
        yield _header(info)
        return
    links[inode] = name
    descriptor = _regular(source)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        info.size = left = os.fstat(descriptor).st_size
        yield _header(info)
        while left:
            block = file.read(min(left, tree.COPY_BYTES)) or bytes(min(left, tree.COPY_BYTES))  # it became shorter
            left -= len(block)
            yield block
    yield bytes(-info.size % BLOCK)


def _regular(source: str | tree.Entry) -> int:
    """For reading. A device or pipe that has taken the file's place is not even opened for it."""
    if isinstance(source, str):
        return os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    held = os.open(source.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source.parent)
    try:
        if not stat.S_ISREG(os.fstat(held).st_mode):
            raise FileNotFoundError(source.path)
        return os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(held)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def place(
    root: int, target: str, archive: IO[bytes], *, owner: tuple[int, int] | None, contents: bool, devices: bool = False
) -> None:
    """Puts what :func:`packed` gave at ``target`` inside of ``root``, as ``cp -r`` would. Raises NotFound, Invalid.

    An existing directory gets it below its own name, or with ``contents`` what is in it; else it becomes ``target``.
    """
    placing = _Placing(root, target, contents)
    try:
        untar.extract(archive, placing.base, limits=LIMITS, owner=owner, devices=devices, rename=placing.name)
    finally:
        os.close(placing.base)


def unpack(root: int, directory: str, archive: IO[bytes], *, owner: tuple[int, int] | None) -> None:
    """A tar of somebody else into an existing directory. Raises NotFound, Invalid."""
    base = _directory(root, directory)
    try:
        untar.extract(archive, base, limits=LIMITS, owner=owner)
    finally:
        os.close(base)


def copy_directory(source: int, path: str, target: int) -> None:
    """Everything in the directory ``path`` of the root ``source`` into ``target``, which becomes like it; nothing if
    there is none."""
    try:
        held = paths.open_inside(source, path, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return
    try:
        status = os.fstat(held)
    finally:
        os.close(held)
    archive: Any = Pieces(packed(source, path, follow_link=True))
    place(target, "/", archive, owner=None, contents=True, devices=True)
    os.chown(f"/proc/self/fd/{target}", status.st_uid, status.st_gid)
    os.chmod(f"/proc/self/fd/{target}", stat.S_IMODE(status.st_mode))


def _directory(root: int, path: str) -> int:
    try:
        return paths.open_inside(root, f"/{path}", os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from None


class _Placing:
    """Where the archive's entries go."""

    def __init__(self, root: int, target: str, contents: bool) -> None:
        self._target = target
        self._first = ""
        self._exists = _kind(root, target)
        self._contents = contents
        clean = absolute(target)
        if self._exists == stat.S_IFDIR:
            self.base = _directory(root, clean)
            self._name = None
        else:
            self.base = _directory(root, os.path.dirname(clean))
            self._name = os.path.basename(clean)

    def name(self, name: str, entry: tarfile.TarInfo) -> str:
        if not self._first:
            self._first = name.partition("/")[0]
            self._check(entry)
        _, slash, rest = name.partition("/")
        if self._name is not None:
            return f"{self._name}{slash}{rest}"
        return rest if self._contents else name

    def _check(self, entry: tarfile.TarInfo) -> None:
        if self._name is None:
            return
        if entry.isdir() and self._exists is not None:
            raise Invalid(f"{self._target}: a directory cannot replace a file")
        if not entry.isdir() and self._target.endswith("/"):
            raise Invalid(f"{self._target}: no such directory")


def _kind(root: int, path: str) -> int | None:
    try:
        held = paths.open_inside(root, f"/{path}")
    except OSError:
        return None
    try:
        return stat.S_IFMT(os.fstat(held).st_mode)
    finally:
        os.close(held)


class Pieces:
    """Bytes that come in pieces, as a file to read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def read(self, size: int = -1) -> bytes:
        parts, count = [self._held], len(self._held)
        while size < 0 or count < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            parts.append(piece)
            count += len(piece)
        data = b"".join(parts)
        if size < 0:
            size = len(data)
        self._held = data[size:]
        return data[:size]
