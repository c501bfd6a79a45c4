"""The format of a backup: a tar archive compressed with zstd, readable with ``tar --zstd`` and ``jq``.

Its members, in this order:

    format            ``knarr-backup 1``
    pki/ca.crt, pki/ca.key, pki/secrets.key
    store/00000.jsonl, store/00001.jsonl, …
                      a stored object a line: ``{"key": …, "value": …}``, in key order. A value that is no JSON of one
                      line stands as ``"base64"``. Secrets are encrypted, as they are in the store.
    manifest.json     versions, revision, number of objects per kind, size and SHA-256 of every member

The manifest comes last, so that a backup can be written while it is read from the store; one that has it is complete.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec
import zstandard

from knarr_api.errors import Invalid, NotFound

FORMAT = 1
FORMAT_LINE = b"knarr-backup %d\n" % FORMAT
FIRST, LAST = "format", "manifest.json"
PKI = ("ca.crt", "ca.key", "secrets.key")
READ_BYTES = 64 * 1024
MAX_MEMBER_BYTES = 256 * 1024 * 1024
END_OF_TAR = bytes(2 * tarfile.BLOCKSIZE)


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """Of one member; sha256 in hex."""

    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says about itself. revision: packed, of the store when it was read."""

    format: int
    knarr_version: str
    kubernetes_version: str
    created: str
    cluster_id: str
    store: str
    revision: int
    objects: int
    kinds: dict[str, int]
    members: dict[str, Digest]


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stored object: its value as it is, or as base64."""

    key: str
    value: msgspec.Raw = msgspec.Raw()
    base64: str = ""


@dataclass(slots=True)
class Writer:
    """Makes the file's bytes; what ``add`` and ``finish`` return is to be written in that order."""

    members: dict[str, Digest] = field(default_factory=dict)
    _compressor: zstandard.ZstdCompressionObj = field(
        default_factory=lambda: zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj()
    )

    def add(self, name: str, content: bytes) -> bytes:
        self.members[name] = Digest(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        return self._compressor.compress(_member(name, content))

    def finish(self, manifest: Manifest) -> bytes:
        content = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        return self._compressor.compress(_member(LAST, content) + END_OF_TAR) + self._compressor.flush()


def _member(name: str, content: bytes) -> bytes:
    header = tarfile.TarInfo(name)
    header.size, header.mode = len(content), 0o600
    return header.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def lines(entries: Sequence[tuple[str, bytes]]) -> bytes:
    """A member of ``store/``."""
    encoder = msgspec.json.Encoder()
    return b"".join(encoder.encode(_line(key, value)) + b"\n" for key, value in entries)


def _line(key: str, value: bytes) -> Line:
    if b"\n" not in value and value == value.strip():
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            msgspec.json.decode(value)
            return Line(key, msgspec.Raw(value))
    return Line(key, base64=base64.b64encode(value).decode())


def verify(path: Path) -> Manifest:
    """Read all of it. Raises Invalid for one that is damaged, incomplete or of a newer version, NotFound, OSError."""
    manifest: Manifest | None = None
    seen: dict[str, Digest] = {}
    objects, last_key = 0, ""
    with _explained(path):
        for name, content in _members(path):
            if manifest is not None:
                raise Invalid(f"{name} comes after the manifest")
            if name == LAST:
                manifest = msgspec.json.decode(content, type=Manifest)
                continue
            seen[name] = Digest(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            if name.startswith("store/"):
                for key, _ in _entries(content):
                    if key <= last_key:
                        raise Invalid(f"{name}: {key} is out of order")
                    objects, last_key = objects + 1, key
        if manifest is None:
            raise Invalid("it is incomplete: its manifest is missing")
        wrong = sorted(name for name in {*seen, *manifest.members} if seen.get(name) != manifest.members.get(name))
        if wrong:
            raise Invalid(f"{wrong[0]} is not what the manifest says")
        missing = [name for name in PKI if f"pki/{name}" not in seen]
        if missing:
            raise Invalid(f"pki/{missing[0]} is missing")
        if objects != manifest.objects:
            raise Invalid(f"it has {objects} objects, its manifest says {manifest.objects}")
    return manifest


def keys(path: Path) -> dict[str, bytes]:
    """The files of ``pki/`` by name."""
    with _explained(path):
        found = {}
        for name, content in _members(path):
            if name.startswith("store/"):
                break
            if name.startswith("pki/"):
                found[name.removeprefix("pki/")] = content
        return found


def entries(path: Path) -> Iterator[tuple[str, bytes]]:
    """Keys and values, in key order. Raises as ``verify``."""
    with _explained(path):
        for name, content in _members(path):
            if name.startswith("store/"):
                yield from _entries(content)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    with open(path, "rb") as file:
        stream = _Stream(file)
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
            expected = FIRST
            for member in archive:
                if not member.isreg() or member.size > MAX_MEMBER_BYTES:
                    raise Invalid(f"{member.name} is no member of a backup")
                stored = archive.extractfile(member)
                content = stored.read() if stored is not None else b""
                if len(content) != member.size:
                    raise Invalid("it is incomplete: it ends too early")
                if expected and (member.name != expected or not content.startswith(b"knarr-backup ")):
                    raise Invalid("it is no backup made by 'knarr backup'")
                if expected and content != FORMAT_LINE:
                    raise Invalid(f"it has the format {content[13:].decode().strip()}: use the Knarr that made it")
                if not expected:
                    yield member.name, content
                else:
                    expected = ""
                    yield member.name, content
        stream.check_end()


class _Stream:
    """What is compressed in a file, with nothing after it; ``read`` gives as much as was asked for until it ends."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decompressor = zstandard.ZstdDecompressor().decompressobj()
        self._ready = bytearray()

    def read(self, size: int) -> bytes:
        while len(self._ready) < size and not self._decompressor.eof:
            data = self._file.read(READ_BYTES)
            if not data:
                raise Invalid("it is incomplete: it ends too early")
            self._ready += self._decompressor.decompress(data)
        taken = bytes(self._ready[:size])
        del self._ready[:size]
        return taken

    def check_end(self) -> None:
        """Raises Invalid unless only what fills up an archive follows, and a checksum that fits."""
        while rest := self.read(READ_BYTES):
            if rest.strip(b"\0"):
                raise Invalid("something follows its end")
        if self._decompressor.unused_data or self._file.read(1):
            raise Invalid("something follows its end")


def _entries(content: bytes) -> Iterator[tuple[str, bytes]]:
    decoder = msgspec.json.Decoder(Line)
    for line in io.BytesIO(content):
        found = decoder.decode(line)
        yield found.key, base64.b64decode(found.base64) if found.base64 else bytes(found.value)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"{path} not found") from None
    except IsADirectoryError:
        raise Invalid(f"{path} is a directory, not a backup") from None
    except Invalid as error:
        raise Invalid(f"{path}: {error.message}") from error
    except (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError, msgspec.MsgspecError) as error:
        raise Invalid(f"{path} is damaged or no backup: {str(error) or type(error).__name__}") from error
