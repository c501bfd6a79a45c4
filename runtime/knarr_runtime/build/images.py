"""The builder's view of the image store: bases come from it, the finished image goes into it. Blocking."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol

from knarr_runtime.build import imageconfig
from knarr_runtime.build.cache import Cache, Step
from knarr_runtime.build.imageconfig import Draft, Layer
from knarr_runtime.images import names
from knarr_runtime.images.store import Image, ImageStore

Progress = Callable[[str, str, int, int], None]


class Images(Protocol):
    def find(self, reference: str) -> Image:
        """Raises NotFound."""

    def layer_paths(self, image: Image) -> tuple[str, ...]:
        """Topmost first."""

    def draft(self, image: Image) -> Draft:
        """Where FROM begins."""

    def add(self, draft: Draft, tags: tuple[str, ...], progress: Progress) -> Image:
        """All of it or nothing; tags are full names."""

    def lease(self) -> contextlib.AbstractContextManager[None]:
        """Nothing in use is collected until it ends."""


class PackedImages:
    """Over a store that keeps layers unpacked: a base image's layers are packed, once, when a build needs them."""

    def __init__(self, store: ImageStore, cache: Cache) -> None:
        self._store = store
        self._cache = cache

    def find(self, reference: str) -> Image:
        return self._store.find(reference)

    def layer_paths(self, image: Image) -> tuple[str, ...]:
        return self._store.layer_paths(image)

    @contextlib.contextmanager
    def lease(self) -> Iterator[None]:
        yield

    def draft(self, image: Image) -> Draft:
        document = (self._store.root / "blobs/sha256" / image.id.removeprefix("sha256:")).read_bytes()
        layers = tuple(
            self._packed(chain, Path(path))
            for chain, path in zip(image.layers, reversed(self._store.layer_paths(image)), strict=True)
        )
        described = json.dumps(
            {"layers": [{"digest": one.digest, "size": one.size, "mediaType": one.media_type} for one in layers]}
        )
        return replace(imageconfig.read(document, described.encode()), layers=layers)

    def _packed(self, chain: str, directory: Path) -> Layer:
        key = _key(chain)
        step = self._cache.find(key)
        if step is None or step.layer is None:
            step = Step(created="", layer=self._cache.pack(directory))
            self._cache.save(key, step)
        assert step.layer is not None
        return step.layer

    def add(self, draft: Draft, tags: tuple[str, ...], progress: Progress) -> Image:
        with tempfile.TemporaryFile(dir=self._store.root / "tmp") as file:
            self._write(file, [(draft.document(), draft.layers, tags)])
            file.seek(0)
            (image,) = self._store.import_archive(file)
        for chain, layer in zip(image.layers, draft.layers, strict=True):
            self._cache.save(_key(chain), Step(created="", layer=layer))
        return image

    def export(self, references: Sequence[str], file: IO[bytes]) -> None:
        """A docker-archive of the images, with the names by which they are asked for. Raises NotFound.

        An image that did not come of a build gets another id: its layers are packed anew.
        """
        found: list[tuple[bytes, tuple[Layer, ...], tuple[str, ...]]] = []
        for reference in references:
            image = self._store.find(reference)
            draft = self.draft(image)
            document = (self._store.root / "blobs/sha256" / image.id.removeprefix("sha256:")).read_bytes()
            if json.loads(document)["rootfs"]["diff_ids"] != [layer.diff_id for layer in draft.layers]:
                document = draft.document()
            named = not image.id.removeprefix("sha256:").startswith(reference.removeprefix("sha256:"))
            found.append((document, draft.layers, (names.normalise(reference),) if named else ()))
        self._write(file, found)

    def _write(self, file: IO[bytes], images: Sequence[tuple[bytes, tuple[Layer, ...], tuple[str, ...]]]) -> None:
        manifest = [
            {"Config": _config(document), "RepoTags": list(tags), "Layers": [_blob(layer) for layer in layers]}
            for document, layers, tags in images
        ]
        with tarfile.open(fileobj=file, mode="w") as archive:
            _member(archive, "manifest.json", json.dumps(manifest).encode())
            for document, _, _ in images:
                _member(archive, _config(document), document)
            for layer in dict.fromkeys(layer for _, layers, _ in images for layer in layers):
                with open(self._cache.blob(layer), "rb") as blob:
                    info = tarfile.TarInfo(_blob(layer))
                    info.size = layer.size
                    archive.addfile(info, blob)


def _config(document: bytes) -> str:
    return f"{hashlib.sha256(document).hexdigest()}.json"


def _blob(layer: Layer) -> str:
    return f"blobs/{layer.digest.removeprefix('sha256:')}"


def _key(chain: str) -> str:
    return f"base-{chain.removeprefix('sha256:')}"


def _member(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))
