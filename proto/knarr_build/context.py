"""A directory as the tar that a build gets: without what ``.dockerignore`` leaves out, in a fixed order.

Owners are left out (files of a context belong to root), links stay links, sockets and devices do not travel.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from knarr_build.ignore import Patterns, read

CHUNK_BYTES = 1 << 20
_BLOCK = tarfile.BLOCKSIZE


class ContextError(Exception):
    """The context cannot be read; the message says which file and why."""


def ignored(directory: Path, dockerfile: Path | None) -> Patterns:
    """Of ``<Dockerfile>.dockerignore`` if there is one, else of ``.dockerignore``. Raises ContextError."""
    candidates = [directory / ".dockerignore"]
    if dockerfile is not None:
        candidates.insert(0, dockerfile.with_name(f"{dockerfile.name}.dockerignore"))
    for candidate in candidates:
        try:
            return read(candidate.read_text(errors="surrogateescape"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise ContextError(f"{candidate}: {error}") from error
    return Patterns(())


def packed(directory: Path, patterns: Patterns) -> Iterator[bytes]:
    """The tar in pieces of at most 1 MiB. Raises ContextError."""
    waiting = bytearray()
    for piece in _members(directory, patterns):
        waiting += piece
        while len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting[:CHUNK_BYTES])
            del waiting[:CHUNK_BYTES]
    waiting += bytes(2 * _BLOCK)
    for start in range(0, len(waiting), CHUNK_BYTES):
        yield bytes(waiting[start : start + CHUNK_BYTES])


def _members(directory: Path, patterns: Patterns) -> Iterator[bytes]:
    sent: set[str] = set()
    for path, entry in _walk(directory, "", patterns):
        parents = path.split("/")[:-1]
        for depth in range(1, len(parents) + 1):  # of an exception inside of what is left out
            parent = "/".join(parents[:depth])
            if parent not in sent:
                sent.add(parent)
                yield from _member(directory / parent, parent)
        sent.add(path)
        yield from _member(Path(entry.path), path)


def _walk(directory: Path, prefix: str, patterns: Patterns) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        raise ContextError(f"{error.filename}: {error.strerror}") from error
    for entry in entries:
        path = f"{prefix}{entry.name}"
        left_out = bool(patterns) and patterns.excluded(path)
        if not left_out:
            yield path, entry
        if entry.is_dir(follow_symlinks=False) and (not left_out or patterns.has_exceptions):
            yield from _walk(Path(entry.path), f"{path}/", patterns)


def _member(source: Path, path: str) -> Iterator[bytes]:
    try:
        status = source.lstat()
        info = tarfile.TarInfo(path)
        info.mode, info.mtime = stat.S_IMODE(status.st_mode), status.st_mtime_ns // 10**9
        if stat.S_ISDIR(status.st_mode):
            info.type = tarfile.DIRTYPE
        elif stat.S_ISLNK(status.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(source)
        elif stat.S_ISREG(status.st_mode):
            yield from _file(source, info)
            return
        else:
            return
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    except OSError as error:
        raise ContextError(f"{error.filename or source}: {error.strerror}") from error


def _file(source: Path, info: tarfile.TarInfo) -> Iterator[bytes]:
    with open(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        info.size = left = os.fstat(file.fileno()).st_size
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        while left:
            block = file.read(min(left, CHUNK_BYTES))
            if not block:
                raise ContextError(f"{source}: became shorter while it was read")
            left -= len(block)
            yield block
        if info.size % _BLOCK:
            yield bytes(_BLOCK - info.size % _BLOCK)
