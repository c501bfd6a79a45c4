"""The image store of one runtime.

    ROOT/blobs/sha256/<hex>      manifests and configurations, by digest
    ROOT/layers/<chain id>/fs    unpacked layers, shared by all images that have them
    ROOT/images.json             name → image id, image id → layers; replaced atomically
    ROOT/tmp/                    swept on start

A layer is complete when its directory has its final name; an image when it stands in ``images.json``. A crash at any
point leaves at most rubbish that the next start or ``collect`` removes. Blocking; called on threads.
Source: OCI image specification (layout, manifest, configuration, chain ids).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from knarr_runtime.errors import Invalid, NotFound
from knarr_runtime.images import names
from knarr_runtime.images.unpack import unpack

MAX_JSON_BYTES = 8 * 1024 * 1024
MAX_LAYERS = 127
MAX_ARCHIVE_ENTRIES = 10_000
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What of an image's configuration containers use."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    stop_signal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """id: digest of the configuration. layers: chain ids, lowest first."""

    id: str
    names: tuple[str, ...]
    layers: tuple[str, ...]
    size_bytes: int
    config: ImageConfig
    imported_at_s: float = 0.0


class ImageStore:
    """See the module's text."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        for name in ("blobs/sha256", "layers", "tmp"):
            (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in (root / "tmp").iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        self._images: dict[str, Image] = {}
        self._load()

    @property
    def root(self) -> Path:
        return self._root

    def images(self) -> tuple[Image, ...]:
        return tuple(self._images.values())

    def find(self, reference: str) -> Image:
        """By name, id or unique beginning of an id. Raises NotFound, Invalid for what is no name."""
        bare = reference.removeprefix("sha256:")
        if len(bare) >= 12 and all(character in "0123456789abcdef" for character in bare):
            found = [image for image in self._images.values() if image.id.removeprefix("sha256:").startswith(bare)]
            if len(found) == 1:
                return found[0]
        full = names.normalise(reference)
        for image in self._images.values():
            if full in image.names:
                return image
        raise NotFound(f"image \"{reference}\" not found: import it with 'knarr image import'")

    def blob(self, digest: str) -> Path:
        """The file of a manifest or configuration. Raises NotFound."""
        path = self._root / "blobs/sha256" / digest.removeprefix("sha256:")
        if not path.is_file():
            raise NotFound(f"blob {digest} not found")
        return path

    def layer_paths(self, image: Image) -> tuple[str, ...]:
        """Directories for overlayfs, topmost first."""
        return tuple(str(self._root / "layers" / chain / "fs") for chain in reversed(image.layers))

    def layer_bytes(self) -> int:
        """What the store takes on disk, roughly: the sizes of its images."""
        return sum(image.size_bytes for image in self._images.values())

    def import_archive(self, archive: IO[bytes]) -> tuple[Image, ...]:
        """Every image of a docker-archive or OCI layout. Raises Invalid; then nothing of it is visible."""
        try:
            with tarfile.open(fileobj=archive, mode="r:*") as tar:
                members: dict[str, tarfile.TarInfo] = {}
                for member in tar:
                    if len(members) > MAX_ARCHIVE_ENTRIES:
                        raise Invalid(f"the archive has more than {MAX_ARCHIVE_ENTRIES} entries")
                    members[os.path.normpath(member.name)] = member
                reader = _Archive(tar, members)
                if "manifest.json" in members:
                    found = [self._docker(reader, entry) for entry in reader.json("manifest.json")]
                elif "index.json" in members:
                    found = list(self._oci(reader))
                else:
                    raise Invalid("neither a docker-archive (manifest.json) nor an OCI layout (index.json)")
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, Invalid):
                raise
            raise Invalid(f"not an image archive: {error}") from error
        if not found:
            raise Invalid("the archive holds no image for this machine")
        with self._lock:
            for image in found:
                self._add(image)
            self._save()
        return tuple(self._images[image.id] for image in found)

    def remove(self, reference: str, in_use: Iterable[str]) -> None:
        """Forget an image, and its layers where no other image has them. Raises Invalid when it is in use."""
        with self._lock:
            image = self.find(reference)
            if image.id in set(in_use):
                raise Invalid(f'image "{reference}" is in use by a container')
            del self._images[image.id]
            self._save()
            self._collect()

    def _docker(self, reader: _Archive, entry: dict[str, Any]) -> Image:
        raw = reader.read(entry["Config"], MAX_JSON_BYTES)
        layers = [reader.open(name) for name in entry["Layers"]]
        tags = tuple(names.normalise(tag) for tag in entry.get("RepoTags") or ())
        return self._image(raw, layers, tags)

    def _oci(self, reader: _Archive) -> Iterable[Image]:
        index = reader.json("index.json")
        for descriptor in index["manifests"]:
            annotations = descriptor.get("annotations") or {}
            name = annotations.get("io.containerd.image.name") or annotations.get(
                "org.opencontainers.image.ref.name", ""
            )
            tags = (names.normalise(name),) if name else ()
            manifest = self._manifest(reader, descriptor)
            if manifest is None:
                continue
            raw = reader.blob(manifest["config"], MAX_JSON_BYTES)
            layers = [reader.open_blob(layer) for layer in manifest["layers"]]
            yield self._image(raw, layers, tags)

    def _manifest(self, reader: _Archive, descriptor: dict[str, Any]) -> dict[str, Any] | None:
        """The manifest for this machine; an index is followed by platform."""
        wanted = MACHINES.get(os.uname().machine, os.uname().machine)
        document = json.loads(reader.blob(descriptor, MAX_JSON_BYTES))
        if "manifests" not in document:
            return dict(document)
        for inner in document["manifests"]:
            platform = inner.get("platform") or {}
            if platform.get("architecture") == wanted and platform.get("os") == "linux":
                return self._manifest(reader, inner)
        return None

    def _image(self, raw: bytes, layers: list[IO[bytes]], tags: tuple[str, ...]) -> Image:
        document = json.loads(raw)
        diff_ids = document["rootfs"]["diff_ids"]
        if len(diff_ids) != len(layers) or len(layers) > MAX_LAYERS:
            raise Invalid(f"the image has {len(layers)} layers and {len(diff_ids)} layer digests")
        identifier = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        chains: list[str] = []
        total = 0
        for diff_id, layer in zip(diff_ids, layers, strict=True):
            chain = (
                diff_id if not chains else f"sha256:{hashlib.sha256(f'{chains[-1]} {diff_id}'.encode()).hexdigest()}"
            )
            total += self._layer(chain, diff_id, layer)
            chains.append(chain)
        self._blob(raw)
        config = document.get("config") or {}
        return Image(
            id=identifier,
            names=tags,
            layers=tuple(chain.removeprefix("sha256:") for chain in chains),
            size_bytes=total,
            imported_at_s=time.time(),
            config=ImageConfig(
                entrypoint=tuple(config.get("Entrypoint") or ()),
                cmd=tuple(config.get("Cmd") or ()),
                env=tuple(config.get("Env") or ()),
                working_dir=config.get("WorkingDir") or "",
                user=config.get("User") or "",
                stop_signal=config.get("StopSignal") or "",
            ),
        )

    def _layer(self, chain: str, diff_id: str, layer: IO[bytes]) -> int:
        """Unpack a layer unless it is there; verified against its digest before it is used. Its size."""
        if not names.DIGEST.fullmatch(diff_id) or not names.DIGEST.fullmatch(chain):
            raise Invalid(f'layer digest "{diff_id}" is not sha256: and 64 hexadecimal digits')
        final = self._root / "layers" / chain.removeprefix("sha256:")
        if final.is_dir():
            return int((final / "size").read_text())
        temporary = Path(tempfile.mkdtemp(dir=self._root / "tmp"))
        try:
            (temporary / "fs").mkdir(mode=0o755)
            hashing = _Hashing(_decompressed(layer))
            size = unpack(hashing, str(temporary / "fs"))  # type: ignore[arg-type]
            hashing.drain()
            if f"sha256:{hashing.hexdigest()}" != diff_id:
                raise Invalid(f"layer {diff_id} does not have that digest but sha256:{hashing.hexdigest()}")
            (temporary / "size").write_text(str(size))
            os.rename(temporary, final)
            _sync_directory(final.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return size

    def _blob(self, data: bytes) -> None:
        path = self._root / "blobs/sha256" / hashlib.sha256(data).hexdigest()
        if not path.exists():
            _write(path, data)

    def _add(self, image: Image) -> None:
        """A name belongs to one image: it moves to the newest."""
        for other in list(self._images.values()):
            kept = tuple(name for name in other.names if name not in image.names)
            if other.id == image.id:
                image = _with_names(image, (*kept, *image.names))
            elif kept != other.names:
                self._images[other.id] = _with_names(other, kept)
        self._images[image.id] = image

    def _collect(self) -> None:
        used = {chain for image in self._images.values() for chain in image.layers}
        for directory in (self._root / "layers").iterdir():
            if directory.name not in used:
                doomed = self._root / "tmp" / directory.name
                os.rename(directory, doomed)
                shutil.rmtree(doomed, ignore_errors=True)
        blobs = {image.id.removeprefix("sha256:") for image in self._images.values()}
        for blob in (self._root / "blobs/sha256").iterdir():
            if blob.name not in blobs:
                blob.unlink()

    def _save(self) -> None:
        document = [asdict(image) for image in self._images.values()]
        _write(self._root / "images.json", json.dumps(document, indent=1).encode())

    def _load(self) -> None:
        path = self._root / "images.json"
        if not path.exists():
            return
        for entry in json.loads(path.read_text()):
            fields: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in entry.pop("config").items()
            }
            config = ImageConfig(**fields)
            entry["names"], entry["layers"] = tuple(entry["names"]), tuple(entry["layers"])
            image = Image(**entry, config=config)
            if all((self._root / "layers" / chain / "fs").is_dir() for chain in image.layers):
                self._images[image.id] = image


class _Archive:
    """The members of a tar; links between them are followed once, inside the archive."""

    def __init__(self, tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> None:
        self._tar = tar
        self._members = members

    def open(self, name: str) -> IO[bytes]:
        member = self._members.get(os.path.normpath(name))
        if member is not None and (member.issym() or member.islnk()):
            base = os.path.dirname(member.name) if member.issym() else ""
            member = self._members.get(os.path.normpath(os.path.join(base, member.linkname)))
        file = self._tar.extractfile(member) if member is not None and member.isreg() else None
        if file is None:
            raise Invalid(f'the archive has no file "{name}"')
        return file

    def read(self, name: str, limit: int) -> bytes:
        data = self.open(name).read(limit + 1)
        if len(data) > limit:
            raise Invalid(f'"{name}" has more than {limit} bytes')
        return data

    def json(self, name: str) -> Any:
        return json.loads(self.read(name, MAX_JSON_BYTES))

    def open_blob(self, descriptor: dict[str, Any]) -> IO[bytes]:
        digest = descriptor["digest"]
        if not names.DIGEST.fullmatch(digest):
            raise Invalid(f'digest "{digest}" is not sha256: and 64 hexadecimal digits')
        return self.open(f"blobs/sha256/{digest.removeprefix('sha256:')}")

    def blob(self, descriptor: dict[str, Any], limit: int) -> bytes:
        data = self.open_blob(descriptor).read(limit + 1)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if digest != descriptor["digest"]:
            raise Invalid(f"{descriptor['digest']} does not have that digest but {digest}")
        return data


class _Hashing(io.RawIOBase):
    """Reads on and keeps the digest of what went through."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        return data

    def drain(self) -> None:
        while self.read(1024 * 1024):
            pass

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _decompressed(layer: IO[bytes]) -> IO[bytes]:
    head = layer.read(4)
    layer.seek(0)
    if head[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=layer)  # type: ignore[return-value]
    if head == b"\x28\xb5\x2f\xfd":
        raise Invalid("layers compressed with zstd are not supported yet: save the image uncompressed or with gzip")
    return layer


def _with_names(image: Image, wanted: tuple[str, ...]) -> Image:
    unique = tuple(dict.fromkeys(wanted))
    return Image(
        id=image.id,
        names=unique,
        layers=image.layers,
        size_bytes=image.size_bytes,
        config=image.config,
        imported_at_s=image.imported_at_s,
    )


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
