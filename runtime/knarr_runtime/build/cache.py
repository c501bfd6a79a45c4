"""What steps made, kept by what they were made from.

    ROOT/records/<key>       one step: when it ran, the layer it made (or none); key: hash of everything it depends on
    ROOT/blobs/<digest>      layers, compressed
    ROOT/layers/<digest>/    the same unpacked, for overlays of later steps
    ROOT/mounts/<id>/        directories of RUN --mount=type=cache
    ROOT/boot_id             of the boot in which layers/ was written
    ROOT/tmp/                swept on start

Blobs are synced before a record names them; unpacked layers are not, so those of an earlier boot are not believed and
are unpacked again. A crash leaves at most rubbish. Blocking, safe in threads: files appear by rename.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, cast

from knarr_runtime.build import diff
from knarr_runtime.build.imageconfig import Layer
from knarr_runtime.images.unpack import unpack

MAX_BYTES = 10 << 30
"""Of compressed layers; unpacked they take two to four times as much beside."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """created: RFC 3339."""

    created: str
    layer: Layer | None


class Cache:
    """See the module's text."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._unpacking = threading.Lock()
        shutil.rmtree(root / "tmp", ignore_errors=True)
        for name in ("records", "blobs", "layers", "mounts", "tmp"):
            (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        boot_id = _BOOT_ID.read_text()
        marker = root / "boot_id"
        if not marker.exists() or marker.read_text() != boot_id:
            shutil.rmtree(root / "layers")
            (root / "layers").mkdir(mode=0o700)
            marker.write_text(boot_id)

    def new_workspace(self) -> Path:
        """A directory for one build, whose it is to remove."""
        return Path(tempfile.mkdtemp(prefix="build-", dir=self._root / "tmp"))

    def find(self, key: str) -> Step | None:
        path = self._root / "records" / key
        try:
            document = json.loads(path.read_text())
            layer = Layer(**document["layer"]) if document["layer"] else None
            step = Step(created=str(document["created"]), layer=layer)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if step.layer is not None and not self.blob(step.layer).exists():
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return step

    def save(self, key: str, step: Step) -> None:
        document = {"created": step.created, "layer": asdict(step.layer) if step.layer else None}
        with tempfile.NamedTemporaryFile("w", dir=self._root / "tmp", delete=False) as file:
            json.dump(document, file)
        os.rename(file.name, self._root / "records" / key)

    def add(self, upper: Path, latest_s: int | None) -> Layer:
        """The layer that ``upper``, which is taken over, makes."""
        layer = self.pack(upper, latest_s)
        self._put(upper, layer)
        return layer

    def pack(self, directory: Path, latest_s: int | None = None) -> Layer:
        """The layer that ``directory``, which stays, makes."""
        descriptor, name = tempfile.mkstemp(dir=self._root / "tmp")
        os.close(descriptor)
        try:
            layer = diff.write_layer(directory, Path(name), latest_s=latest_s)
            os.rename(name, self.blob(layer))
        except BaseException:
            os.unlink(name)
            raise
        return layer

    def blob(self, layer: Layer) -> Path:
        return self._root / "blobs" / layer.digest.removeprefix("sha256:")

    def directory(self, layer: Layer) -> Path:
        """The layer unpacked. Raises Invalid, OSError."""
        path = self._directory(layer)
        with self._unpacking:
            if path.is_dir():
                return path
            temporary = Path(tempfile.mkdtemp(dir=self._root / "tmp"))
            try:
                temporary.chmod(0o755)
                with open(self.blob(layer), "rb") as file:
                    unpack(cast(IO[bytes], gzip.GzipFile(fileobj=file)), str(temporary))
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            self._put(temporary, layer)
        return path

    def mount(self, identifier: str) -> Path:
        """The directory of a cache mount; ``identifier`` names a file."""
        return self._root / "mounts" / identifier

    def trim(self, max_bytes: int = MAX_BYTES) -> int:
        """Forgets what was not used for longest until the rest fits; returns the bytes freed. With no build running."""
        records = sorted((self._root / "records").iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        kept: set[str] = set()
        total = 0
        for record in records:
            step = self.find_quietly(record)
            if step is None:
                record.unlink(missing_ok=True)
            elif step.layer is not None:
                name = step.layer.digest.removeprefix("sha256:")
                if name not in kept and total + step.layer.size > max_bytes:
                    record.unlink(missing_ok=True)
                    continue
                total += 0 if name in kept else step.layer.size
                kept.add(name)
        freed = 0
        for kind in ("blobs", "layers"):
            for path in (self._root / kind).iterdir():
                if path.name not in kept:
                    freed += path.stat().st_size if kind == "blobs" else 0
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        if max_bytes == 0:
            shutil.rmtree(self._root / "mounts", ignore_errors=True)
            (self._root / "mounts").mkdir(mode=0o700)
            for record in (self._root / "records").iterdir():
                record.unlink(missing_ok=True)
        return freed

    def find_quietly(self, record: Path) -> Step | None:
        """As :meth:`find`, without making it look used."""
        before = record.stat()
        step = self.find(record.name)
        with contextlib.suppress(OSError):
            os.utime(record, ns=(before.st_atime_ns, before.st_mtime_ns))
        return step

    def _directory(self, layer: Layer) -> Path:
        return self._root / "layers" / layer.digest.removeprefix("sha256:")

    def _put(self, directory: Path, layer: Layer) -> None:
        try:
            os.rename(directory, self._directory(layer))
        except OSError:  # another build made the same
            shutil.rmtree(directory, ignore_errors=True)
