"""What a container has changed of its image, from the upper directory of its overlay. Blocking.

Source: Linux Documentation/filesystems/overlayfs.rst: a character device 0/0 is a whiteout, an attribute marks a
directory that hides the one below.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from knarr_runtime.kernel import mounts, paths, syscalls

_OPAQUE = "trusted.overlay.opaque"
_PLAIN = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS


def changes(upper: Path, layers: Sequence[str], ignore: Collection[str]) -> Iterator[tuple[str, str]]:
    """(A, C or D, path), parents first. ignore: paths that are there for mounts only."""
    try:
        top = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:  # never started
        return
    try:
        lower = mounts.image(layers)
        try:
            for kind, path in _below(top, lower, ""):
                if path not in ignore:
                    yield kind, path
        finally:
            os.close(lower)
    finally:
        os.close(top)


def _below(directory: int, lower: int, prefix: str) -> Iterator[tuple[str, str]]:
    for name in sorted(os.listdir(directory)):
        path = f"{prefix}/{name}"
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:  # removed meanwhile
            continue
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            yield "D", path
            continue
        yield ("C" if _exists(lower, path) else "A"), path
        if not stat.S_ISDIR(status.st_mode):
            continue
        try:
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        except OSError:
            continue
        try:
            if _opaque(below):
                yield from (("D", f"{path}/{gone}") for gone in _hidden(lower, path, set(os.listdir(below))))
            yield from _below(below, lower, path)
        finally:
            os.close(below)


def _exists(lower: int, path: str) -> bool:
    try:
        os.close(paths.open_inside(lower, path.lstrip("/"), os.O_PATH | os.O_NOFOLLOW, syscalls.RESOLVE_BENEATH))
    except OSError:
        return False
    return True


def _opaque(directory: int) -> bool:
    try:
        return os.getxattr(directory, _OPAQUE) == b"y"
    except OSError:
        return False


def _hidden(lower: int, path: str, kept: set[str]) -> list[str]:
    try:
        held = paths.open_inside(lower, path.lstrip("/"), os.O_RDONLY | os.O_DIRECTORY, _PLAIN)
    except OSError:
        return []
    try:
        return sorted(set(os.listdir(held)) - kept)
    finally:
        os.close(held)
