"""Unpacking one layer into a directory that overlayfs can use.

The archive is not trusted: names are resolved inside the directory by the kernel (openat2), never outside; counts and
sizes are limited; what is neither file, directory, link nor device is refused. Whiteouts become overlayfs' own: a
character device 0/0, and ``trusted.overlay.opaque`` for opaque directories. They hide what lies below, never what comes
with them in the same layer, whichever of both comes first.
Source: OCI image specification "Image Layer Filesystem Changeset"; Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import tarfile
from collections.abc import Iterator, Sequence
from typing import IO

from knarr_runtime.errors import Invalid
from knarr_runtime.images import tarlimits
from knarr_runtime.kernel import paths

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
MAX_ENTRIES = 1_000_000
MAX_LAYER_BYTES = 16 * 1024**3
MAX_NAME = 4096
COPY_BYTES = 1024 * 1024
XATTR_PREFIX = "SCHILY.xattr."
XATTRS_KEPT = ("security.capability", "user.")
OUR_TROUBLE = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
    errno.EROFS,
    errno.EINTR,
}
"""What is no fault of the layer."""
_SECONDS = re.compile(r"(-?[0-9]{1,12})(?:\.([0-9]{1,9})[0-9]{0,30})?")


def unpack(layer: IO[bytes], directory: str, below: Sequence[str] = ()) -> int:
    """Unpack an uncompressed layer into the empty ``directory``; returns its size in bytes. Raises Invalid, OSError.

    below: the layers under it, topmost first: a directory that the layer only implies is as it is there.
    """
    with contextlib.ExitStack() as opened:

        def open_root(path: str) -> int:
            descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, descriptor)
            return descriptor

        try:
            return _Unpacking(open_root(directory), tuple(open_root(path) for path in below)).run(layer)
        except (tarfile.TarError, EOFError) as error:
            raise Invalid(f"damaged layer: {error}") from error


class _Unpacking:
    def __init__(self, root: int, below: tuple[int, ...]) -> None:
        self._root = root
        self._below = below
        self._bytes = 0
        self._directory_times: list[tuple[str, int]] = []

    def run(self, layer: IO[bytes]) -> int:
        with tarlimits.open_stream(layer) as archive:
            for entry in tarlimits.entries(archive, MAX_ENTRIES, "the layer"):
                try:
                    self._one(archive, entry)
                except Invalid:
                    raise
                except OSError as error:
                    if error.errno in OUR_TROUBLE:
                        raise
                    raise Invalid(f'layer entry "{entry.name[:200]}": {error.strerror or error}') from error
                except (ValueError, OverflowError) as error:  # a zero byte in a link, an owner beyond 32 bits
                    raise Invalid(f'layer entry "{entry.name[:200]}": {error}') from error
        for path, modified_ns in reversed(self._directory_times):
            with contextlib.suppress(OSError), self._parent(path) as (parent, name):
                os.utime(name, ns=(modified_ns, modified_ns), dir_fd=parent, follow_symlinks=False)
        return self._bytes

    def _one(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        path = _clean(entry.name)
        if not path:
            return
        with self._parent(path) as (parent, name):
            if name == OPAQUE:
                os.setxattr(f"/proc/self/fd/{parent}", "trusted.overlay.opaque", b"y")
                return
            if name.startswith(WHITEOUT):
                self._white_out(parent, name[len(WHITEOUT) :])
                return
            self._make(archive, entry, parent, name)
            self._finish(entry, parent, name)
        if entry.isdir():
            self._directory_times.append((path, _time_ns(entry)))

    def _white_out(self, parent: int, hidden: str) -> None:
        if hidden in ("", ".", ".."):
            raise Invalid(f'layer entry "{WHITEOUT}{hidden}": not a whiteout')
        if hidden.startswith(WHITEOUT):  # what AUFS kept for itself
            return
        status = _status(parent, hidden)
        if status is None:
            os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=parent)
        elif stat.S_ISDIR(status.st_mode):
            _make_opaque(parent, hidden)

    def _make(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        mode = entry.mode & 0o7777
        if entry.isdir():
            try:
                os.mkdir(name, mode, dir_fd=parent)
            except FileExistsError:
                status = os.stat(name, dir_fd=parent, follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):
                    self._replace(parent, name)
                    os.mkdir(name, mode, dir_fd=parent)
                    if _is_whiteout(status):  # the directory is new: nothing of one below may show
                        _make_opaque(parent, name)
            return
        self._replace(parent, name)
        if entry.isreg():
            self._file(archive, entry, parent, name, mode)
        elif entry.issym():
            os.symlink(entry.linkname, name, dir_fd=parent)
        elif entry.islnk():
            self._hard_link(entry, parent, name)
        elif entry.ischr() or entry.isblk():
            kind = stat.S_IFCHR if entry.ischr() else stat.S_IFBLK
            os.mknod(name, mode | kind, os.makedev(entry.devmajor, entry.devminor), dir_fd=parent)
        elif entry.isfifo():
            os.mkfifo(name, mode, dir_fd=parent)
        else:
            raise Invalid(f'layer entry "{entry.name}" is of an unknown type {entry.type!r}')

    def _file(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, parent: int, name: str, mode: int) -> None:
        self._bytes += entry.size
        if self._bytes > MAX_LAYER_BYTES:
            raise Invalid(f"the layer unpacks to more than {MAX_LAYER_BYTES} bytes")
        source = archive.extractfile(entry)
        if source is None:
            raise Invalid(f'layer entry "{entry.name}" has no content')
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, mode, dir_fd=parent)
        with os.fdopen(descriptor, "wb") as target:
            left = entry.size
            while left:
                block = source.read(min(left, COPY_BYTES))
                if not block:
                    raise Invalid(f'layer entry "{entry.name}" is truncated')
                if not block.strip(b"\0") and len(block) == COPY_BYTES:
                    target.seek(len(block), os.SEEK_CUR)
                else:
                    target.write(block)
                left -= len(block)
            target.truncate(entry.size)

    def _hard_link(self, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        target = _clean(entry.linkname)
        try:
            source = paths.open_inside(self._root, target, os.O_PATH | os.O_NOFOLLOW)
        except OSError as error:
            raise Invalid(f'layer entry "{entry.name}": hard link to "{entry.linkname}": {error.strerror}') from error
        try:
            os.link(f"/proc/self/fd/{source}", name, dst_dir_fd=parent, follow_symlinks=True)
        except OSError:
            with self._parent(target) as (directory, file):
                os.link(file, name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def _finish(self, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        """Owner first, since that clears setuid bits; then mode, attributes and time."""
        if entry.islnk():
            return
        if min(entry.uid, entry.gid) < 0:
            raise Invalid(f'layer entry "{entry.name}": owner {entry.uid}:{entry.gid}')
        os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        modified_ns = _time_ns(entry)
        if entry.issym():
            os.utime(name, ns=(modified_ns, modified_ns), dir_fd=parent, follow_symlinks=False)
            return
        os.chmod(name, entry.mode & 0o7777, dir_fd=parent)
        for key, value in entry.pax_headers.items():
            attribute = key.removeprefix(XATTR_PREFIX)
            if key.startswith(XATTR_PREFIX) and attribute.startswith(XATTRS_KEPT):
                raw = value.encode("utf-8", "surrogateescape")
                with contextlib.suppress(OSError):
                    os.setxattr(f"/proc/self/fd/{parent}/{name}", attribute, raw, follow_symlinks=False)
        if not entry.isdir():
            os.utime(name, ns=(modified_ns, modified_ns), dir_fd=parent, follow_symlinks=False)

    def _replace(self, parent: int, name: str) -> None:
        """Take away what an earlier entry of the same layer put there."""
        status = _status(parent, name)
        if status is None:
            return
        if stat.S_ISDIR(status.st_mode):
            raise Invalid(f'layer entry "{name}" would replace a directory')
        os.unlink(name, dir_fd=parent)

    @contextlib.contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        """(descriptor of the parent directory, name); missing parents are made, as other tools do."""
        head, _, name = path.rpartition("/")
        try:
            try:
                parent = paths.open_inside(self._root, head or "/", os.O_PATH | os.O_DIRECTORY)
            except (FileNotFoundError, NotADirectoryError):
                self._imply(head)
                parent = paths.make_target(self._root, head, directory=True)
        except OSError as error:
            if error.errno in OUR_TROUBLE:
                raise
            raise Invalid(f'layer entry "{path}": {error.strerror}') from error
        try:
            yield parent, name
        finally:
            os.close(parent)

    def _imply(self, path: str) -> None:
        """Make the directories of a path that the layer has no entry for, as they are below."""
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            prefix, parent_path = "/".join(parts[:count]), "/".join(parts[: count - 1]) or "/"
            parent = paths.make_target(self._root, parent_path, directory=True)
            try:
                status = _status(parent, parts[count - 1])
                if status is not None and not _is_whiteout(status):
                    continue
                if status is not None:
                    os.unlink(parts[count - 1], dir_fd=parent)
                os.mkdir(parts[count - 1], 0o755, dir_fd=parent)
                if status is not None:
                    _make_opaque(parent, parts[count - 1])
                else:
                    self._as_below(prefix, parent, parts[count - 1])
            finally:
                os.close(parent)

    def _as_below(self, path: str, parent: int, name: str) -> None:
        for lower in self._below:
            try:
                found = paths.open_inside(lower, path, os.O_PATH | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue
            except OSError:  # a file or a whiteout is in the way: nothing deeper shows
                return
            try:
                status = os.fstat(found)
            finally:
                os.close(found)
            if stat.S_ISDIR(status.st_mode):
                os.chown(name, status.st_uid, status.st_gid, dir_fd=parent, follow_symlinks=False)
                os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=parent)
                self._directory_times.append((path, status.st_mtime_ns))
            return


def _status(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _make_opaque(parent: int, name: str) -> None:
    os.setxattr(f"/proc/self/fd/{parent}/{name}", "trusted.overlay.opaque", b"y", follow_symlinks=False)


def _time_ns(entry: tarfile.TarInfo) -> int:
    """To the nanosecond where the archive says it so. Raises ValueError, OverflowError."""
    exact = _SECONDS.fullmatch(entry.pax_headers.get("mtime", ""))
    if exact is None:
        return int(entry.mtime * 10**9)
    nanoseconds = int((exact[2] or "").ljust(9, "0"))
    return int(exact[1]) * 10**9 + (-nanoseconds if exact[1].startswith("-") else nanoseconds)


def _clean(name: str) -> str:
    """A relative path; absolute ones are taken relative to the root. Raises Invalid for ``..``."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name or len(name) > MAX_NAME:
        raise Invalid(f'layer entry "{name[:200]}" leaves the layer')
    return "/".join(parts)
