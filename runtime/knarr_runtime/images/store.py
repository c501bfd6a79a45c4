"""The image store of one runtime.

    ROOT/blobs, ingest           content by digest, as it came: see blobs.py
    ROOT/layers/<chain id>/fs    unpacked layers, shared by all images that have them: see layers.py
    ROOT/images.json             image id → names, manifest, layers; replaced atomically
    ROOT/tmp/                    swept on start

An image is there when it stands in ``images.json``. A crash at any point leaves at most rubbish, which the next removal
or ``prune`` takes away; while somebody holds a lease nothing is taken away. Blocking, safe in threads.
Source: OCI image specification (layout, manifest, configuration, chain ids).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from knarr_runtime.errors import Invalid, NotFound
from knarr_runtime.images import archives, documents, names
from knarr_runtime.images.blobs import NEW, Blobs, Ingest, write_file
from knarr_runtime.images.documents import Manifest
from knarr_runtime.images.layers import Layers
from knarr_runtime.images.progress import Progress, silent

SHORTEST_ID = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What of an image's configuration containers use."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    stop_signal: str = ""
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """id: digest of the configuration. names: with tag, or with digest of manifest or index. layers: chain ids, lowest
    first. size_bytes: unpacked. manifest_digest: empty for one of a store of before blobs were kept."""

    id: str
    names: tuple[str, ...]
    layers: tuple[str, ...]
    size_bytes: int
    config: ImageConfig
    imported_at_s: float = 0.0
    manifest_digest: str = ""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed: names (ids of those without), bytes on disk."""

    images: tuple[str, ...]
    freed_bytes: int


class ImageStore:
    """See the module's text."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.RLock()
        self._leases = 0
        (root / "tmp").mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in (root / "tmp").iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        for leftover in root.glob(f"{NEW}*"):
            leftover.unlink()
        self._blobs = Blobs(root)
        self._layers = Layers(root)
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
        if len(bare) >= SHORTEST_ID and all(character in "0123456789abcdef" for character in bare):
            found = [image for image in self.images() if image.id.removeprefix("sha256:").startswith(bare)]
            if len(found) == 1:
                return found[0]
        full = names.normalise(reference)
        for image in self.images():
            if full in image.names or full in repository_digests(image):
                return image
        raise NotFound(f"image \"{reference}\" not found: pull it, or import it with 'knarr image import'")

    def layer_paths(self, image: Image) -> tuple[str, ...]:
        """Directories for overlayfs, topmost first."""
        return tuple(str(self._layers.path(chain)) for chain in reversed(image.layers))

    def layer_bytes(self) -> int:
        """What the store takes on disk: each layer once, and the blobs."""
        chains = {chain for image in self.images() for chain in image.layers}
        return sum(self._layers.size(chain) for chain in chains) + self._blobs.bytes()

    # Blobs

    def blob(self, digest: str) -> Path:
        """Raises NotFound."""
        return self._blobs.path(digest)

    def has_blob(self, digest: str) -> bool:
        return self._blobs.has(digest)

    def ingest(self, digest: str, size: int) -> contextlib.AbstractContextManager[Ingest]:
        """A blob on its way in; see :class:`Ingest`. Hold a lease meanwhile."""
        return self._blobs.ingest(digest, size)

    def put(self, data: bytes) -> str:
        """A small blob; its digest."""
        return self._blobs.put(data)

    @contextlib.contextmanager
    def lease(self) -> Iterator[None]:
        """Until it ends nothing is taken away, so that what comes in is there when an image names it."""
        with self._lock:
            self._leases += 1
        try:
            yield
        finally:
            with self._lock:
                self._leases -= 1

    # Images

    def manifest(self, image: Image) -> Manifest:
        """Raises NotFound for an image whose manifest was not kept."""
        if not image.manifest_digest:
            raise NotFound(f"image {image.id} was stored without its manifest")
        return self._read_manifest(image.manifest_digest)

    def configuration(self, image: Image) -> bytes:
        """The JSON document that the image's id is the digest of."""
        return self._blobs.read(image.id, documents.MAX_CONFIG_BYTES)

    def add_image(self, manifest_digest: str, tags: tuple[str, ...], progress: Progress = silent) -> Image:
        """From blobs that are here: missing layers are unpacked, each verified. Hold a lease. Raises Invalid, NotFound.

        A name belongs to one image: it moves to this one.
        """
        image = self._unpacked(manifest_digest, tags, progress)
        with self._lock:
            image = self._name(image)
            self._save()
        return image

    def _unpacked(self, manifest_digest: str, tags: tuple[str, ...], progress: Progress) -> Image:
        manifest = self._read_manifest(manifest_digest)
        raw = self._blobs.read(manifest.config.digest, documents.MAX_CONFIG_BYTES)
        configuration = documents.read_json(raw, "the image's configuration")
        diff_ids = documents.diff_ids(configuration, len(manifest.layers))
        chain, size = "", 0
        chains: list[str] = []
        for diff_id, layer in zip(diff_ids, manifest.layers, strict=True):
            chain = documents.chain_id(chain, diff_id)
            progress(layer.digest, "Extracting", 0, layer.size)
            blob = self._blobs.path(layer.digest)
            size += self._layers.unpack(chain.removeprefix("sha256:"), diff_id, blob, tuple(reversed(chains)))
            progress(layer.digest, "Pull complete", layer.size, layer.size)
            chains.append(chain.removeprefix("sha256:"))
        return Image(
            id=manifest.config.digest,
            names=tuple(dict.fromkeys(tags)),
            layers=tuple(chains),
            size_bytes=size,
            imported_at_s=time.time(),
            manifest_digest=manifest_digest,
            config=image_config(configuration.get("config")),
        )

    def import_archive(self, archive: IO[bytes]) -> tuple[Image, ...]:
        """Every image of a docker-archive or OCI layout. Raises Invalid; then nothing of it is visible."""
        with self.lease():
            found = archives.read(archive, self._blobs, self._root / "tmp")
            images = [self._unpacked(one.manifest, one.names, silent) for one in found]
            with self._lock:
                added = [self._name(image).id for image in images]
                self._save()
                return tuple(self._images[identifier] for identifier in added)

    def tag(self, reference: str, name: str) -> Image:
        """One more name. Raises NotFound, Invalid for a name with a digest."""
        if "@" in name:
            raise Invalid(f'"{name}": a digest is no name to give')
        with self._lock:
            image = self.find(reference)
            image = self._name(replace(image, names=(*image.names, names.normalise(name))))
            self._save()
        return image

    def remove(self, reference: str, in_use: Iterable[str]) -> None:
        """Forget an image with all its names. Raises Invalid when it is in use, NotFound."""
        with self._lock:
            image = self.find(reference)
            if image.id in set(in_use):
                raise Invalid(f'image "{reference}" is in use by a container')
            del self._images[image.id]
            self._save()
            self._collect()

    def untag(self, reference: str, in_use: Iterable[str]) -> bool:
        """Forget one name; with the last one, or by id, the image: whether it went. Raises as ``remove``."""
        with self._lock:
            image = self.find(reference)
            kept = tuple(name for name in image.names if name != _full(reference))
            if len(kept) == len(image.names) or not any("@" not in name for name in kept):
                self.remove(image.id, in_use)
                return True
            self._images[image.id] = replace(image, names=kept)
            self._save()
            return False

    def prune(self, in_use: Iterable[str], *, everything: bool) -> Pruned:
        """Remove images without a tag, or every unused one; and what belongs to no image."""
        with self._lock:
            used = set(in_use)
            doomed = [
                image
                for image in self.images()
                if image.id not in used and (everything or not any("@" not in name for name in image.names))
            ]
            for image in doomed:
                del self._images[image.id]
            self._save()
            freed = self._collect()
        return Pruned(tuple(name for image in doomed for name in image.names or (image.id,)), freed)

    # Inside

    def _read_manifest(self, digest: str) -> Manifest:
        raw = self._blobs.read(digest, documents.MAX_MANIFEST_BYTES)
        return documents.manifest(documents.read_json(raw, digest))

    def _name(self, image: Image) -> Image:
        for other in self.images():
            kept = tuple(name for name in other.names if name not in image.names)
            if other.id == image.id:
                image = replace(image, names=tuple(dict.fromkeys((*kept, *image.names))))
            elif kept != other.names:
                self._images[other.id] = replace(other, names=kept)
        self._images[image.id] = image
        return image

    def _collect(self) -> int:
        """Bytes freed. What a lease may be about to name stays for the next time."""
        if self._leases:
            return 0
        images = self.images()
        blobs = {image.id for image in images}
        for image in images:
            if image.manifest_digest:
                blobs.add(image.manifest_digest)
                with contextlib.suppress(NotFound, Invalid):  # a manifest that was lost must not keep all rubbish
                    blobs |= {layer.digest for layer in self.manifest(image).layers}
        return self._layers.keep_only({chain for image in images for chain in image.layers}) + self._blobs.keep_only(
            blobs
        )

    def _save(self) -> None:
        document = [asdict(image) for image in self.images()]
        write_file(self._root / "images.json", json.dumps(document, indent=1).encode())

    def _load(self) -> None:
        """A damaged entry costs its image, which can be pulled again; a damaged file is kept for who wants to look."""
        path = self._root / "images.json"
        if not path.exists():
            return
        try:
            entries = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            entries = None
        if not isinstance(entries, list):
            os.replace(path, path.with_name("images.json.damaged"))
            return
        for entry in entries:
            with contextlib.suppress(TypeError, ValueError, LookupError, AttributeError):
                image = _recorded(entry)
                if all(self._layers.has(chain) for chain in image.layers):
                    self._images[image.id] = image


def _recorded(entry: dict[str, Any]) -> Image:
    """Raises TypeError, ValueError, LookupError or AttributeError for what ``_save`` did not write."""
    config: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in entry["config"].items()
    }
    lists: dict[str, Any] = {key: tuple(map(str, entry[key])) for key in ("names", "layers")}
    others = {key: value for key, value in entry.items() if key not in ("config", *lists)}
    return Image(**lists, **others, config=ImageConfig(**config))


def repository_digests(image: Image) -> tuple[str, ...]:
    """``repository@digest``: those by which it was pulled; for one that has only tags, of the manifest that is here."""
    pulled = tuple(name for name in image.names if "@" in name)
    if pulled or not image.manifest_digest:
        return pulled
    return tuple(dict.fromkeys(f"{name.rpartition(':')[0]}@{image.manifest_digest}" for name in image.names))


def image_config(document: object) -> ImageConfig:
    """The part ``config`` of a configuration. Raises Invalid."""
    if document is None:
        return ImageConfig()
    if not isinstance(document, dict):
        raise Invalid("the image's configuration has a config that is no object")

    def strings(name: str) -> tuple[str, ...]:
        value = document.get(name) or ()
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise Invalid(f"the image's configuration: {name} is no list of strings")
        return tuple(value)

    def string(name: str) -> str:
        value = document.get(name) or ""
        if not isinstance(value, str):
            raise Invalid(f"the image's configuration: {name} is no string")
        return value

    volumes = document.get("Volumes") or {}
    if not isinstance(volumes, dict):
        raise Invalid("the image's configuration: Volumes is no object")
    return ImageConfig(
        entrypoint=strings("Entrypoint"),
        cmd=strings("Cmd"),
        env=strings("Env"),
        working_dir=string("WorkingDir"),
        user=string("User"),
        stop_signal=string("StopSignal"),
        volumes=tuple(volumes),
    )


def _full(reference: str) -> str:
    try:
        return names.normalise(reference)
    except Invalid:
        return ""
