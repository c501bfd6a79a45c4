"""Images out of one tar: docker-archive (``docker save``) and OCI layouts. Blocking.

Blobs are taken as they are; of a docker-archive, which has no manifests, an OCI manifest is made.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from knarr_runtime.errors import Invalid, NotFound
from knarr_runtime.images import documents, names, tarlimits
from knarr_runtime.images.blobs import Blobs
from knarr_runtime.images.documents import Descriptor
from knarr_runtime.images.layers import GZIP, MAX_ZSTD_WINDOW_BYTES, ZSTD, suffix_of

MAX_ENTRIES = 10_000
MAX_ARCHIVE_BYTES = 64 * 1024**3
DAMAGED = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstandard.ZstdError)


@dataclass(frozen=True, slots=True)
class Found:
    """An image of an archive: digest of its manifest, names."""

    manifest: str
    names: tuple[str, ...]


def read(archive: IO[bytes], blobs: Blobs, tmp: Path) -> tuple[Found, ...]:
    """Every image for this machine, its blobs taken. Raises Invalid."""
    try:
        with _seekable(archive, tmp) as plain, tarlimits.open_archive(plain) as tar:
            members = _Members(tar)
            if "index.json" in members.names:  # recent docker-archives are both; this one keeps digests
                found = tuple(_layout(members, blobs))
            elif "manifest.json" in members.names:
                found = tuple(_docker(members, blobs))
            else:
                raise Invalid("neither a docker-archive (manifest.json) nor an OCI layout (index.json)")
    except DAMAGED as error:
        raise Invalid(f"not an image archive: {error}") from error
    if not found:
        raise Invalid("the archive holds no image for this machine")
    return found


@contextlib.contextmanager
def _seekable(archive: IO[bytes], tmp: Path) -> Iterator[IO[bytes]]:
    """Uncompressed: going back and forth in a compressed one would unpack it again and again."""
    head = archive.read(6)
    archive.seek(0)
    opener = next((opener for magic, opener in COMPRESSIONS.items() if head.startswith(magic)), None)
    if opener is None:
        yield archive
        return
    with tempfile.TemporaryFile(dir=tmp) as plain:
        reader = opener(archive)
        left = MAX_ARCHIVE_BYTES
        while piece := reader.read(1 << 20):
            left -= len(piece)
            if left < 0:
                raise Invalid(f"the archive unpacks to more than {MAX_ARCHIVE_BYTES} bytes")
            plain.write(piece)
        plain.seek(0)
        yield plain


def _zstd(archive: IO[bytes]) -> IO[bytes]:
    reader = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW_BYTES)
    return cast(IO[bytes], reader.stream_reader(archive, read_across_frames=True))


COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], IO[bytes]]] = {
    GZIP: lambda archive: cast(IO[bytes], gzip.GzipFile(fileobj=archive)),
    b"BZh": lambda archive: cast(IO[bytes], bz2.BZ2File(archive)),
    b"\xfd7zXZ\0": lambda archive: cast(IO[bytes], lzma.LZMAFile(archive)),  # noqa: SIM115 read by who asked
    ZSTD: _zstd,
}


class _Members:
    """The files of a tar; links between them are followed, inside of the archive."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.names: dict[str, tarfile.TarInfo] = {}
        for member in tarlimits.entries(tar, MAX_ENTRIES, "the archive"):
            self.names[os.path.normpath(member.name)] = member

    def open(self, name: object) -> IO[bytes]:
        member = self.names.get(os.path.normpath(name)) if isinstance(name, str) else None
        for _ in range(4):
            if member is None or not (member.issym() or member.islnk()):
                break
            base = os.path.dirname(member.name) if member.issym() else ""
            member = self.names.get(os.path.normpath(os.path.join(base, member.linkname)))
        file = self._tar.extractfile(member) if member is not None and member.isreg() else None
        if file is None:
            raise Invalid(f'the archive has no file "{str(name)[:200]}"')
        return file

    def read(self, name: object, limit: int) -> bytes:
        data = self.open(name).read(limit + 1)
        if len(data) > limit:
            raise Invalid(f'"{name}" has more than {limit} bytes')
        return data

    def open_blob(self, digest: str) -> IO[bytes]:
        return self.open(f"blobs/sha256/{documents.checked_digest(digest, 'blob')[7:]}")

    def document(self, one: Descriptor, limit: int) -> bytes:
        data = self.read(f"blobs/sha256/{one.digest[7:]}", limit)
        if documents.digest_of(data) != one.digest:
            raise Invalid(f"{one.digest} does not have that digest but {documents.digest_of(data)}")
        return data


def _docker(members: _Members, blobs: Blobs) -> Iterator[Found]:
    raw = members.read("manifest.json", documents.MAX_MANIFEST_BYTES)
    listed = documents.read_json(b'{"images":' + raw + b"}", "manifest.json")["images"]
    if not isinstance(listed, list):
        raise Invalid("manifest.json is no list")
    for entry in listed:
        if not isinstance(entry, dict) or not isinstance(entry.get("Layers"), list):
            raise Invalid("manifest.json has an entry without layers")
        config = members.read(entry.get("Config"), documents.MAX_CONFIG_BYTES)
        tags = entry.get("RepoTags") or ()
        layers = tuple(_take(members.open(name), blobs) for name in entry["Layers"][: documents.MAX_LAYERS + 1])
        described = Descriptor(media_type=documents.OCI_CONFIG, digest=blobs.put(config), size=len(config))
        manifest = blobs.put(documents.new_manifest(described, layers))
        yield Found(manifest, tuple(names.normalise(str(tag)) for tag in tags))


def _take(layer: IO[bytes], blobs: Blobs) -> Descriptor:
    media_type = documents.OCI_LAYER + suffix_of(layer)
    digest, size = blobs.take(layer, documents.MAX_LAYER_BYTES)
    return Descriptor(media_type=media_type, digest=digest, size=size)


def _layout(members: _Members, blobs: Blobs) -> Iterator[Found]:
    index = documents.read_json(members.read("index.json", documents.MAX_MANIFEST_BYTES), "index.json")
    if not documents.is_index(index):
        raise Invalid("index.json has no manifests")
    for number, entry in enumerate(index["manifests"]):
        one = documents.descriptor(entry, f"index.json: manifests[{number}]", documents.MAX_MANIFEST_BYTES)
        manifest = _manifest(members, blobs, one, documents.MAX_INDEX_DEPTH)
        if manifest is not None:
            yield Found(manifest, _tags(entry))


def _tags(entry: dict[str, Any]) -> tuple[str, ...]:
    """The full name as containerd and podman write it; the specification's name alone when it is one."""
    annotations = entry.get("annotations")
    if not isinstance(annotations, dict):
        return ()
    full = annotations.get("io.containerd.image.name")
    name = full or annotations.get("org.opencontainers.image.ref.name", "")
    return (names.normalise(str(name)),) if name else ()


def _manifest(members: _Members, blobs: Blobs, one: Descriptor, depth: int) -> str | None:
    """The digest of the manifest for this machine, all it needs taken; None when there is none for it."""
    raw = members.document(one, documents.MAX_MANIFEST_BYTES)
    document = documents.read_json(raw, one.digest)
    if documents.is_index(document):
        if depth == 0:
            raise Invalid("indexes in indexes in indexes")
        try:
            chosen = documents.choose(document, documents.own_platform())
        except NotFound:
            return None
        return _manifest(members, blobs, chosen, depth - 1)
    manifest = documents.manifest(document)
    blobs.put(members.document(manifest.config, documents.MAX_CONFIG_BYTES))
    for layer in manifest.layers:
        if not blobs.has(layer.digest):
            digest, _ = blobs.take(members.open_blob(layer.digest), documents.MAX_LAYER_BYTES)
            if digest != layer.digest:
                raise Invalid(f"layer {layer.digest} does not have that digest but {digest}")
    return blobs.put(raw)
