"""Unpacking one layer into a directory that overlayfs can use.

The archive is not trusted: names are resolved inside the directory by the kernel (openat2), never outside; counts and
sizes are limited; what is neither file, directory, link nor device is refused. Whiteouts become overlayfs' own: a
character device 0/0, and ``trusted.overlay.opaque`` for opaque directories.
Source: OCI image specification "Image Layer Filesystem Changeset"; Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
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


def unpack(layer: IO[bytes], directory: str) -> int:
    """Unpack an uncompressed layer into the empty ``directory``; returns its size in bytes. Raises Invalid, OSError."""
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _Unpacking(root).run(layer)
    except (tarfile.TarError, EOFError) as error:
        raise Invalid(f"damaged layer: {error}") from error
    finally:
        os.close(root)


class _Unpacking:
    def __init__(self, root: int) -> None:
        self._root = root
        self._entries = 0
        self._bytes = 0
        self._directory_times: list[tuple[str, float]] = []

    def run(self, layer: IO[bytes]) -> int:
        with tarlimits.open_stream(layer) as archive:
            for entry in archive:
                self._entries += 1
                if self._entries > MAX_ENTRIES:
                    raise Invalid(f"the layer has more than {MAX_ENTRIES} entries")
                self._one(archive, entry)
        for path, modified in reversed(self._directory_times):
            with contextlib.suppress(OSError), self._parent(path) as (parent, name):
                os.utime(name, (modified, modified), dir_fd=parent, follow_symlinks=False)
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
                hidden = name[len(WHITEOUT) :]
                if hidden in ("", ".", ".."):
                    raise Invalid(f'layer entry "{entry.name}": not a whiteout')
                self._replace(parent, hidden)
                os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=parent)
                return
            self._make(archive, entry, parent, name)
            self._finish(entry, parent, name)
        if entry.isdir():
            self._directory_times.append((path, entry.mtime))

    def _make(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        mode = entry.mode & 0o7777
        if entry.isdir():
            try:
                os.mkdir(name, mode, dir_fd=parent)
            except FileExistsError:
                if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                    self._replace(parent, name)
                    os.mkdir(name, mode, dir_fd=parent)
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
        os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        if entry.issym():
            os.utime(name, (entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)
            return
        os.chmod(name, entry.mode & 0o7777, dir_fd=parent)
        for key, value in entry.pax_headers.items():
            attribute = key.removeprefix(XATTR_PREFIX)
            if key.startswith(XATTR_PREFIX) and attribute.startswith(XATTRS_KEPT):
                raw = value.encode("utf-8", "surrogateescape")
                with contextlib.suppress(OSError):
                    os.setxattr(f"/proc/self/fd/{parent}/{name}", attribute, raw, follow_symlinks=False)
        if not entry.isdir():
            os.utime(name, (entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _replace(self, parent: int, name: str) -> None:
        """Take away what an earlier entry of the same layer put there."""
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(status.st_mode):
            raise Invalid(f'layer entry "{name}" would replace a directory')
        os.unlink(name, dir_fd=parent)

    @contextlib.contextmanager
    def _parent(self, path: str):  # type: ignore[no-untyped-def]
        """(descriptor of the parent directory, name); missing parents are made, as other tools do."""
        head, _, name = path.rpartition("/")
        try:
            parent = paths.make_target(self._root, head or "/", directory=True)
        except OSError as error:
            raise Invalid(f'layer entry "{path}": {error.strerror}') from error
        try:
            yield parent, name
        finally:
            os.close(parent)


def _clean(name: str) -> str:
    """A relative path; absolute ones are taken relative to the root. Raises Invalid for ``..``."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name or len(name) > MAX_NAME:
        raise Invalid(f'layer entry "{name[:200]}" leaves the layer')
    return "/".join(parts)
