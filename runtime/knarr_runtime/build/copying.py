"""Putting files into the root of an image: where they go, whose they are, what they replace.

The root is an overlay's descriptor; what is written lands in its upper directory. Destinations are resolved by the
kernel inside the root, so a symbolic link of the image leads where it would lead in a container, never outside.
Source: Dockerfile reference, "COPY"; what BuildKit does where that is silent.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import PurePosixPath

from knarr_build.ignore import Patterns
from knarr_runtime.build import tree
from knarr_runtime.build.modes import Mode
from knarr_runtime.errors import Invalid
from knarr_runtime.kernel import paths


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """None keeps the source's."""

    uid: int | None = None
    gid: int | None = None
    mode: Mode | None = None


def is_directory_name(target: str) -> bool:
    return target.endswith(("/", "/.", "/..")) or target in (".", "..")


def make_directories(root: int, path: str, ownership: Ownership | None = None, mode: int = 0o755) -> int:
    """O_PATH descriptor of directory ``path`` inside ``root``; missing ones are made. Raises Invalid."""
    parts = [part for part in PurePosixPath("/" + path).parts if part != "/"]
    for depth in range(1, len(parts) + 1):
        prefix = "/" + "/".join(parts[:depth])
        try:
            os.close(paths.open_inside(root, prefix))
        except FileNotFoundError:
            descriptor = _make(root, prefix)
            try:
                where = f"/proc/self/fd/{descriptor}"
                os.chmod(where, mode)
                if ownership is not None:
                    os.chown(where, ownership.uid or 0, ownership.gid or 0)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Invalid(f'destination "{prefix}": {error.strerror}') from None
    return _make(root, "/" + "/".join(parts))


def _make(root: int, path: str) -> int:
    try:
        return paths.make_target(root, path, directory=True)
    except OSError as error:
        raise Invalid(f'destination "{path}": {error.strerror}') from None


class Copier:
    """Copies of one instruction; it knows which files are hard links of each other."""

    def __init__(self, root: int, ownership: Ownership, exclude: Patterns) -> None:
        self._root = root
        self._ownership = ownership
        self._exclude = exclude
        self._links: dict[tuple[int, int], str] = {}
        self.files = 0

    def copy(self, source_root: int, source: str, target: str, *, into: bool) -> None:
        """into: ``target`` is a directory that gets the file; a directory's content goes into it in any case.

        Raises Invalid.
        """
        with tree.opened(source_root, source) as (descriptor, status):
            if stat.S_ISDIR(status.st_mode):
                self._directory(descriptor, status, target)
                return
            if self._exclude and self._exclude.excluded(os.path.basename(source)):
                return
            into = into or self.is_directory(target)
            path = f"{target.rstrip('/')}/{os.path.basename(source)}" if into else target
            self.file(_entry_of(descriptor, status, os.path.basename(source)), path)

    def file(self, entry: tree.Entry, path: str) -> None:
        """One file to exactly ``path``; a link that is there is followed."""
        path = self._followed(path)
        directory = make_directories(self._root, os.path.dirname(path), self._ownership)
        try:
            self._one(entry, directory, os.path.basename(path), path)
        finally:
            os.close(directory)

    def _directory(self, source: int, status: os.stat_result, target: str) -> None:
        existed = self.is_directory(target)
        top = make_directories(self._root, target, self._ownership)
        try:
            times = [] if existed else [("", status)]
            if not existed:
                self._finish_directory(top, status)
            for entry in tree.walk(source, self._exclude):
                if entry.kind == stat.S_IFDIR:
                    times.append((entry.path, entry.status))
                head, name = os.path.split(entry.path)
                below = paths.make_target(top, head or "/", directory=True) if head else os.dup(top)
                try:
                    self._one(entry, below, name, f"{target.rstrip('/')}/{entry.path}")
                finally:
                    os.close(below)
            for path, times_of in reversed(times):
                _touch(path or ".", top, times_of)
        except NotADirectoryError as error:
            raise Invalid(f'"{error.filename}" in "{target}": a directory cannot replace a file') from None
        finally:
            os.close(top)

    def _one(self, entry: tree.Entry, directory: int, name: str, path: str) -> None:
        """Into the directory ``directory``, replacing a file but no directory."""
        if entry.kind == stat.S_IFSOCK:
            return
        self.files += 1
        present = _kind(directory, name)
        if entry.kind == stat.S_IFDIR:
            if present is None:
                os.mkdir(name, 0o755, dir_fd=directory)
            elif present != stat.S_IFDIR:
                raise Invalid(f'"{path}": a directory cannot replace a file')
            made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            try:
                self._finish_directory(made, entry.status)
            finally:
                os.close(made)
            return
        if present == stat.S_IFDIR:
            raise Invalid(f'"{path}": a file cannot replace a directory')
        if present is not None:
            os.unlink(name, dir_fd=directory)
        if entry.kind == stat.S_IFLNK:
            os.symlink(entry.link(), name, dir_fd=directory)
            self._own(name, directory, entry.status)
        elif entry.kind == stat.S_IFREG:
            self._regular(entry, directory, name, path)
        else:
            os.mknod(name, entry.status.st_mode, entry.status.st_rdev, dir_fd=directory)
            self._own(name, directory, entry.status)
            os.chmod(name, self._mode(entry.status), dir_fd=directory)
        _touch(name, directory, entry.status)

    def _regular(self, entry: tree.Entry, directory: int, name: str, path: str) -> None:
        inode = (entry.status.st_dev, entry.status.st_ino)
        first = self._links.get(inode) if entry.status.st_nlink > 1 else None
        if first is not None and self._linked(first, directory, name):
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(entry.open(), "rb") as source:
            target = os.open(name, flags, 0o600, dir_fd=directory)
            try:
                copy_content(source.fileno(), target)
                os.fchown(target, *self._owner(entry.status))
                os.fchmod(target, self._mode(entry.status))
                for attribute, value in entry.xattrs():
                    with contextlib.suppress(OSError):
                        os.setxattr(target, attribute, value)
            finally:
                os.close(target)
        if entry.status.st_nlink > 1:
            self._links[inode] = path

    def _linked(self, first: str, directory: int, name: str) -> bool:
        try:
            parent = paths.open_inside(self._root, os.path.dirname(first), os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return False
        try:
            base = os.path.basename(first)
            os.link(base, name, src_dir_fd=parent, dst_dir_fd=directory, follow_symlinks=False)
        except OSError:
            return False
        finally:
            os.close(parent)
        return True

    def _finish_directory(self, descriptor: int, status: os.stat_result) -> None:
        where = f"/proc/self/fd/{descriptor}"
        os.chown(where, *self._owner(status))
        os.chmod(where, self._mode(status))

    def _own(self, name: str, directory: int, status: os.stat_result) -> None:
        os.chown(name, *self._owner(status), dir_fd=directory, follow_symlinks=False)

    def _owner(self, status: os.stat_result) -> tuple[int, int]:
        uid, gid = self._ownership.uid, self._ownership.gid
        return (status.st_uid if uid is None else uid, status.st_gid if gid is None else gid)

    def _mode(self, status: os.stat_result) -> int:
        mode = stat.S_IMODE(status.st_mode)
        wanted = self._ownership.mode
        return mode if wanted is None else wanted.of(mode, directory=stat.S_ISDIR(status.st_mode))

    def is_directory(self, path: str) -> bool:
        try:
            os.close(paths.open_inside(self._root, path, os.O_PATH | os.O_DIRECTORY))
        except OSError:
            return False
        return True

    def _followed(self, path: str, links: int = 32) -> str:
        """Where the link ``path`` leads, should it be one: a file is written there, as a program would."""
        try:
            parent = paths.open_inside(self._root, os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return path
        try:
            link = os.readlink(os.path.basename(path), dir_fd=parent)
        except OSError:
            return path
        finally:
            os.close(parent)
        if links == 0:
            raise Invalid(f'destination "{path}": too many levels of symbolic links')
        return self._followed(os.path.join(os.path.dirname(path), link), links - 1)


def copy_content(source: int, target: int) -> None:
    """All of a file; blocks of zeros become holes."""
    while block := os.read(source, tree.COPY_BYTES):
        if len(block) == tree.COPY_BYTES and not block.strip(b"\0"):
            os.lseek(target, len(block), os.SEEK_CUR)
        else:
            view = memoryview(block)
            while view:
                view = view[os.write(target, view) :]
    os.ftruncate(target, os.lseek(target, 0, os.SEEK_CUR))


def _entry_of(descriptor: int, status: os.stat_result, name: str) -> tree.Entry:
    """A file that was opened by its descriptor: read through /proc, which cannot be swapped meanwhile."""
    return _Opened(name, status, descriptor, name)


class _Opened(tree.Entry):
    def open(self) -> int:
        return os.open(f"/proc/self/fd/{self.parent}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def xattrs(self) -> list[tuple[str, bytes]]:
        where = f"/proc/self/fd/{self.parent}"
        try:
            found = sorted(name for name in os.listxattr(where) if name.startswith(("security.capability", "user.")))
            return [(name, os.getxattr(where, name)) for name in found]
        except OSError:
            return []


def _kind(directory: int, name: str) -> int | None:
    try:
        return stat.S_IFMT(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return None


def _touch(name: str, directory: int, status: os.stat_result) -> None:
    os.utime(name, ns=(status.st_mtime_ns, status.st_mtime_ns), dir_fd=directory, follow_symlinks=False)
