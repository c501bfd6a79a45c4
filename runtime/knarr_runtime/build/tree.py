"""What COPY and ADD take: files below a root that somebody else filled, found without ever leaving it.

A :class:`Tree` is a directory's descriptor; names are resolved by the kernel inside of it. :func:`select` finds what a
source names, :func:`fingerprint` says what is in it: paths, kinds, modes, owners, contents; never times.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from knarr_build.ignore import Patterns, translate
from knarr_runtime.errors import Invalid
from knarr_runtime.kernel import paths

MAX_ENTRIES = 1_000_000
MAX_DEPTH = 200
COPY_BYTES = 1 << 20
_WILDCARDS = re.compile(r"[*?\[\\]")
_XATTRS = ("security.capability", "user.")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing below a source: ``path`` relative to it ("" for itself), opened by ``parent`` and ``name``."""

    path: str
    status: os.stat_result
    parent: int
    name: str

    @property
    def kind(self) -> int:
        return stat.S_IFMT(self.status.st_mode)

    def link(self) -> str:
        return os.readlink(self.name, dir_fd=self.parent)

    def open(self) -> int:
        """For reading, if it still is a file."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(self.name, flags, dir_fd=self.parent)

    def xattrs(self) -> list[tuple[str, bytes]]:
        if self.kind == stat.S_IFLNK:
            return []
        where = f"/proc/self/fd/{self.parent}/{self.name}"
        try:
            names = sorted(name for name in os.listxattr(where, follow_symlinks=False) if name.startswith(_XATTRS))
            return [(name, os.getxattr(where, name, follow_symlinks=False)) for name in names]
        except OSError:
            return []


def clean(path: str) -> str:
    """A source's path relative to the root: ``/a``, ``./a`` and ``../a`` are ``a``."""
    return os.path.normpath("/" + path).lstrip("/")


def select(root: int, source: str) -> list[str]:
    """The paths that ``source`` names, in order; several only for wildcards. Raises Invalid when there are none."""
    parts = [part for part in source.split("/") if part not in ("", ".")]
    if not any(_WILDCARDS.search(part) for part in parts):
        path = clean(source)
        try:
            os.close(paths.open_inside(root, "/" + path))
        except OSError as error:
            raise Invalid(f'"/{path}": not found: {error.strerror} (or left out by .dockerignore)') from None
        return [path]
    found = [""]
    for part in parts:
        if part == "..":
            found = [os.path.dirname(path) for path in found]
        elif not _WILDCARDS.search(part):
            found = [f"{path}/{part}".lstrip("/") for path in found]
        else:
            found = [one for path in found for one in _matching(root, path, part)]
    return sorted({path for path in found if _exists(root, path)})


def _matching(root: int, directory: str, pattern: str) -> Iterator[str]:
    try:
        expression = re.compile(translate(pattern) + r"\Z", re.DOTALL)
    except (ValueError, re.error) as error:
        raise Invalid(f'wildcard "{pattern}": {error}') from None
    try:
        descriptor = paths.open_inside(root, "/" + directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        names = os.listdir(descriptor)
    finally:
        os.close(descriptor)
    for name in names:
        if expression.match(name):
            yield f"{directory}/{name}".lstrip("/")


def _exists(root: int, path: str) -> bool:
    try:
        os.close(paths.open_inside(root, "/" + path))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def opened(root: int, path: str) -> Iterator[tuple[int, os.stat_result]]:
    """An O_PATH descriptor of what ``path`` names, links followed inside of ``root``. Raises Invalid."""
    try:
        descriptor = paths.open_inside(root, "/" + path)
    except OSError as error:
        raise Invalid(f'"/{path}": {error.strerror}') from None
    try:
        yield descriptor, os.fstat(descriptor)
    finally:
        os.close(descriptor)


def walk(directory: int, exclude: Patterns | None = None) -> Iterator[Entry]:
    """All below ``directory`` (O_PATH is enough), parents before what is in them, in the order of names.

    An entry's descriptor is good until the next one is asked for. Raises Invalid for too much.
    """
    for count, entry in enumerate(_walk(directory, "", 0, exclude)):
        if count >= MAX_ENTRIES:
            raise Invalid(f"more than {MAX_ENTRIES} files")
        yield entry


def _walk(directory: int, prefix: str, depth: int, exclude: Patterns | None) -> Iterator[Entry]:
    if depth > MAX_DEPTH:
        raise Invalid(f'"{prefix[:200]}": directories are nested more than {MAX_DEPTH} deep')
    opened_directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        for name in sorted(os.listdir(opened_directory), key=os.fsencode):
            path = f"{prefix}{name}"
            left_out = bool(exclude) and exclude is not None and exclude.excluded(path)
            status = os.stat(name, dir_fd=opened_directory, follow_symlinks=False)
            if not left_out:
                yield Entry(path, status, opened_directory, name)
            if stat.S_ISDIR(status.st_mode) and (not left_out or (exclude is not None and exclude.has_exceptions)):
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                below = os.open(name, flags, dir_fd=opened_directory)
                try:
                    yield from _walk(below, f"{path}/", depth + 1, exclude)
                finally:
                    os.close(below)
    finally:
        os.close(opened_directory)


def fingerprint(root: int, path: str, exclude: Patterns | None = None) -> str:
    """SHA-256 over everything ``path`` names. Raises Invalid."""
    total = hashlib.sha256()
    with opened(root, path) as (descriptor, status):
        if stat.S_ISDIR(status.st_mode):
            _add(total, "", status, "")
            for entry in walk(descriptor, exclude):
                content = entry.link() if entry.kind == stat.S_IFLNK else ""
                if entry.kind == stat.S_IFREG:
                    content = _digest(entry.open())
                _add(total, entry.path, entry.status, content, entry.xattrs())
        else:
            reading = paths.open_inside(root, "/" + path, os.O_RDONLY | os.O_NONBLOCK)
            _add(total, os.path.basename(path), status, _digest(reading) if stat.S_ISREG(status.st_mode) else "")
            if not stat.S_ISREG(status.st_mode):
                os.close(reading)
    return total.hexdigest()


def _add(
    total: hashlib._Hash, path: str, status: os.stat_result, content: str, xattrs: list[tuple[str, bytes]] | None = None
) -> None:
    text = (
        f"{path}\0{status.st_mode:o}\0{status.st_uid}\0{status.st_gid}\0{status.st_rdev}\0{content}\0{xattrs or ''}\0"
    )
    total.update(text.encode("utf-8", "surrogateescape"))


def _digest(descriptor: int) -> str:
    with os.fdopen(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
