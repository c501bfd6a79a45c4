"""Unpacked layers, shared by all images that have them: ``ROOT/layers/<chain id>/fs``.

A layer is complete when its directory has its final name, which it gets after its content was verified against its
digest and is on disk. Blocking; a layer is unpacked by one thread at a time.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tempfile
import threading
import zlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

import zstandard

from knarr_runtime.errors import Invalid
from knarr_runtime.images.blobs import sync_directory
from knarr_runtime.images.unpack import MAX_LAYER_BYTES, unpack
from knarr_runtime.kernel import disk

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
MAX_ZSTD_WINDOW_BYTES = 128 << 20
SLACK_BYTES = 1 << 30
"""Headers and padding of an archive beside its files' bytes."""


class Layers:
    """See the module's text."""

    def __init__(self, root: Path) -> None:
        self._layers = root / "layers"
        self._tmp = root / "tmp"
        self._layers.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def path(self, chain: str) -> Path:
        """chain: 64 hexadecimal digits."""
        return self._layers / chain / "fs"

    def has(self, chain: str) -> bool:
        return self.path(chain).is_dir()

    def size(self, chain: str) -> int:
        """Bytes of its files; 0 for one that is gone or that something else damaged."""
        try:
            return int((self._layers / chain / "size").read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return 0

    def unpack(self, chain: str, diff_id: str, blob: Path, below: Sequence[str] = ()) -> int:
        """Make the layer of a blob, unless it is there; its size. Raises Invalid, OSError.

        below: chain ids of the layers under it, topmost first.
        """
        with self._locks[chain]:
            if self.has(chain):
                return self.size(chain)
            temporary = Path(tempfile.mkdtemp(dir=self._tmp))
            try:
                (temporary / "fs").mkdir(mode=0o755)
                with blob.open("rb") as file:
                    size = _unpack(file, diff_id, temporary / "fs", [str(self.path(one)) for one in below])
                (temporary / "size").write_text(str(size))
                with (temporary / "size").open("rb") as synced:
                    disk.syncfs(synced.fileno())
                os.rename(temporary, self._layers / chain)
                sync_directory(self._layers)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            return size

    def keep_only(self, chains: set[str]) -> int:
        """Remove all others. Bytes freed."""
        freed = 0
        for directory in self._layers.iterdir():
            if directory.name not in chains:
                freed += self.size(directory.name)
                doomed = self._tmp / f"gone-{directory.name}"
                os.rename(directory, doomed)
                shutil.rmtree(doomed, ignore_errors=True)
        return freed


def _unpack(file: IO[bytes], diff_id: str, target: Path, below: Sequence[str]) -> int:
    try:
        hashing = _Hashing(decompressed(file))
        size = unpack(cast(IO[bytes], hashing), str(target), below)
        hashing.drain()
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise Invalid(f"layer {diff_id} is damaged: {error}") from error
    if hashing.digest() != diff_id:
        raise Invalid(f"layer {diff_id} does not have that digest but {hashing.digest()}")
    return size


def decompressed(layer: IO[bytes]) -> IO[bytes]:
    """What a layer's bytes hold, whatever its media type says."""
    head = layer.read(4)
    layer.seek(0)
    if head[:2] == GZIP:
        return gzip.GzipFile(fileobj=layer)  # type: ignore[return-value]
    if head == ZSTD:
        reader = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW_BYTES)
        return cast(IO[bytes], reader.stream_reader(layer, read_across_frames=True))
    return layer


def suffix_of(layer: IO[bytes]) -> str:
    """What its media type ends with."""
    head = layer.read(4)
    layer.seek(0)
    return "+gzip" if head[:2] == GZIP else "+zstd" if head == ZSTD else ""


class _Hashing(io.RawIOBase):
    """Reads on, keeps the digest of what went through, and stops at a limit. Raises Invalid there."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self._left = MAX_LAYER_BYTES + SLACK_BYTES

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise Invalid(f"the layer unpacks to more than {MAX_LAYER_BYTES} bytes")
        self._hash.update(data)
        return data

    def drain(self) -> None:
        while self.read(1 << 20):
            pass

    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"
