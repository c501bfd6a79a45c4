"""Files as a container sees them, found in its layers without mounting those.

What is in a layer may be hostile: names are opened one by one and the kernel follows no link; links are resolved here,
so that nothing outside the layers is ever reached. Source: Linux, Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

_OPAQUE = "trusted.overlay.opaque"
_LINKS = 32
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read(layers: Sequence[str], path: str, limit_bytes: int) -> bytes:
    """The beginning of a plain file. layers: topmost first. Raises OSError; FileNotFoundError if there is no such."""
    walk = _Walk()
    try:
        with os.fdopen(walk.open(layers, path), "rb") as file:
            return file.read(limit_bytes)
    finally:
        walk.close()


class _Walk:
    """From the root to a file. ``_trail`` holds, for each directory on the way, the layers' parts of it."""

    def __init__(self) -> None:
        self._opened: list[int] = []
        self._trail: list[list[int]] = []

    def open(self, layers: Sequence[str], path: str) -> int:
        self._trail = [[self._directory(layer) for layer in layers]]
        pending = path.split("/")[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name == "..":
                self._trail = self._trail[:-1] or self._trail
                continue
            if name in ("", "."):
                continue
            top, kind = self._topmost(name)
            if stat.S_ISDIR(kind):
                self._trail.append(self._parts(name))
            elif stat.S_ISLNK(kind):
                links += 1
                target = os.readlink(name, dir_fd=top)
                if links > _LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                if target.startswith("/"):
                    del self._trail[1:]
                pending += target.split("/")[::-1]
            elif stat.S_ISREG(kind) and not any(pending):
                return os.open(name, _FILE, dir_fd=top)
            else:  # a whiteout, or nothing that could be read
                break
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def close(self) -> None:
        for descriptor in self._opened:
            os.close(descriptor)

    def _topmost(self, name: str) -> tuple[int, int]:
        """In which part of the directory it is found first, and its mode; (-1, 0): in none."""
        for parent in self._trail[-1]:
            try:
                return parent, os.lstat(name, dir_fd=parent).st_mode
            except FileNotFoundError:
                continue
        return -1, 0

    def _parts(self, name: str) -> list[int]:
        """Of a directory: down to where something else or an opaque one hides what lies below."""
        parts: list[int] = []
        for parent in self._trail[-1]:
            try:
                parts.append(self._directory(name, parent))
            except FileNotFoundError:
                continue
            except NotADirectoryError:
                break
            if _is_opaque(parts[-1]):
                break
        return parts

    def _directory(self, name: str, parent: int | None = None) -> int:
        self._opened.append(os.open(name, _DIRECTORY, dir_fd=parent))
        return self._opened[-1]


def _is_opaque(directory: int) -> bool:
    try:
        return os.getxattr(f"/proc/self/fd/{directory}", _OPAQUE) == b"y"
    except OSError:
        return False
