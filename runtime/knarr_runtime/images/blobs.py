"""Content by digest: manifests, configurations and layers as they came, compressed or not.

    ROOT/blobs/sha256/<hex>     complete and verified
    ROOT/ingest/<hex>           what has come so far of a blob; kept for a resume, swept by age

A blob gets its name only after its size and digest were checked and its bytes are on disk. Blocking; several threads
may work on different blobs, and on the same one after the other.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from knarr_runtime.errors import Invalid, NotFound
from knarr_runtime.images.documents import checked_digest, digest_of

PIECE_BYTES = 1 << 20
NEW = ".new-"
"""Begins the name of a file that is about to replace another; one that stays is of a process that was killed."""
KEEP_PARTIAL_S = 24 * 3600.0


class Ingest:
    """A blob on its way in. offset: how much of it is there."""

    def __init__(self, path: Path, final: Path, digest: str, size: int) -> None:
        self._final = final
        self._digest = digest
        self._size = size
        self._path = path
        self._hash = hashlib.sha256()
        self._file = open(path, "a+b")  # noqa: SIM115 closed by the context that gave this out
        self.offset = 0
        self._file.seek(0)
        while piece := self._file.read(PIECE_BYTES):
            self._hash.update(piece)
            self.offset += len(piece)
        if self.offset > size:
            self.restart()

    def write(self, data: bytes) -> None:
        """Raises Invalid for more than was announced, OSError (disk full)."""
        if self.offset + len(data) > self._size:
            raise Invalid(f"{self._digest} has more than the {self._size} bytes announced")
        self._file.write(data)
        self._hash.update(data)
        self.offset += len(data)

    def restart(self) -> None:
        """From the beginning."""
        self._file.truncate(0)
        self._file.seek(0)
        self._hash = hashlib.sha256()
        self.offset = 0

    def commit(self) -> None:
        """Raises Invalid when size or digest are not as announced; what has a wrong digest is not kept."""
        found = f"sha256:{self._hash.hexdigest()}"
        if self.offset < self._size:
            raise Invalid(f"{self._digest} has only {self.offset} of the {self._size} bytes announced")
        if found != self._digest:
            self.restart()
            raise Invalid(f"{self._digest} does not have that digest but {found}")
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._path, self._final)
        sync_directory(self._final.parent)

    def close(self) -> None:
        self._file.close()


class Blobs:
    """See the module's text."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs/sha256"
        self._ingest = root / "ingest"
        self._tmp = root / "tmp"
        for directory in (self._blobs, self._ingest, self._tmp):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def path(self, digest: str) -> Path:
        """Raises NotFound."""
        path = self._path(digest)
        if not path.exists():
            raise NotFound(f"blob {digest} is not here")
        return path

    def has(self, digest: str) -> bool:
        return self._path(digest).exists()

    def read(self, digest: str, limit: int) -> bytes:
        """Raises NotFound, Invalid for one with more than ``limit`` bytes or that is damaged."""
        with self.path(digest).open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise Invalid(f"{digest} has more than {limit} bytes")
        if digest_of(data) != digest:
            raise Invalid(f"{digest} is damaged on disk: remove the image and get it again")
        return data

    @contextlib.contextmanager
    def ingest(self, digest: str, size: int) -> Iterator[Ingest]:
        """One at a time for a blob; without a commit what has come is kept. Raises Invalid for what is no digest."""
        final = self._path(checked_digest(digest, "blob"))
        with self._locks[digest]:
            coming = Ingest(self._ingest / final.name, final, digest, size)
            try:
                yield coming
            except OSError as error:
                if error.errno == errno.ENOSPC:  # what is there would keep the disk full
                    coming.restart()
                raise
            finally:
                coming.close()

    def put(self, data: bytes) -> str:
        digest = digest_of(data)
        if not self.has(digest):
            write_file(self._path(digest), data)
        return digest

    def take(self, source: IO[bytes], limit: int) -> tuple[str, int]:
        """What a stream holds, as a blob: its digest and size. Raises Invalid when it is more than ``limit`` bytes."""
        hashing = hashlib.sha256()
        size = 0
        with tempfile.NamedTemporaryFile(dir=self._tmp, delete=False) as file:
            try:
                while piece := source.read(PIECE_BYTES):
                    size += len(piece)
                    if size > limit:
                        raise Invalid(f"a layer has more than {limit} bytes")
                    hashing.update(piece)
                    file.write(piece)
                file.flush()
                digest = f"sha256:{hashing.hexdigest()}"
                if not self.has(digest):
                    os.fsync(file.fileno())
                    os.replace(file.name, self._path(digest))
                    sync_directory(self._blobs)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(file.name)
        return digest, size

    def keep_only(self, digests: set[str]) -> int:
        """Remove all others, and partial ones that nobody has gone on with for a day. Bytes freed."""
        freed = 0
        for path in self._blobs.iterdir():
            if f"sha256:{path.name}" not in digests:
                freed += path.stat().st_size
                path.unlink()
        for path in self._ingest.iterdir():
            if time.time() - path.stat().st_mtime > KEEP_PARTIAL_S:
                freed += path.stat().st_size
                path.unlink()
        return freed

    def bytes(self) -> int:
        """On disk."""
        total = 0
        for entry in os.scandir(self._blobs):
            with contextlib.suppress(FileNotFoundError):  # taken away meanwhile
                total += entry.stat(follow_symlinks=False).st_blocks * 512
        return total

    def _path(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")


def write_file(path: Path, data: bytes) -> None:
    """Replaces the file at once, on disk."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=NEW, delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
