"""The builder's view of the image store: bases come from it, the finished image goes into it. Blocking."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol

from knarr_runtime.build import archives, imageconfig
from knarr_runtime.build.archives import Packed
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

    def lease(self) -> contextlib.AbstractContextManager[Callable[[Image], None]]:
        """Gives a function; what it is called with is not removed until the lease ends."""


class PackedImages:
    """Over a store that keeps layers unpacked: a base image's layers are packed, once, when a build needs them."""

    def __init__(self, store: ImageStore, cache: Cache) -> None:
        self._store = store
        self._cache = cache
        self._held: Counter[str] = Counter()

    def images_in_use(self) -> set[str]:
        """Ids of those that builds stand on now."""
        return set(self._held)

    def find(self, reference: str) -> Image:
        return self._store.find(reference)

    def layer_paths(self, image: Image) -> tuple[str, ...]:
        return self._store.layer_paths(image)

    @contextlib.contextmanager
    def lease(self) -> Iterator[Callable[[Image], None]]:
        held: list[str] = []

        def hold(image: Image) -> None:
            held.append(image.id)
            self._held[image.id] += 1

        try:
            yield hold
        finally:
            self._held -= Counter(held)

    def draft(self, image: Image) -> Draft:
        document = self._store.configuration(image)
        if image.manifest_digest:
            return imageconfig.read(document, self._store.blob(image.manifest_digest).read_bytes())
        layers = tuple(
            self._packed(chain, Path(path))
            for chain, path in zip(image.layers, reversed(self._store.layer_paths(image)), strict=True)
        )
        described = json.dumps(
            {"layers": [{"digest": one.digest, "size": one.size, "mediaType": one.media_type} for one in layers]}
        )
        return replace(imageconfig.read(document, described.encode()), layers=layers)

    def _blob(self, layer: Layer) -> Path:
        """Of a base image it lies in the store, of a step in the cache."""
        cached = self._cache.blob(layer)
        return cached if cached.exists() else self._store.blob(layer.digest)

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
            archives.write_docker(file, (Packed(draft.document(), draft, tags),), self._blob)
            file.seek(0)
            (image,) = self._store.import_archive(file)
        for chain, layer in zip(image.layers, draft.layers, strict=True):
            self._cache.save(_key(chain), Step(created="", layer=layer))
        return image

    def export(self, references: Sequence[str], form: str, file: IO[bytes]) -> None:
        """A docker-archive or oci-archive of the images, with the names by which they are asked for. Raises NotFound.

        An image that did not come of a build gets another id: its layers are packed anew.
        """
        found: dict[str, Packed] = {}
        for reference in references:
            image = self._store.find(reference)
            by_id = image.id.removeprefix("sha256:").startswith(reference.removeprefix("sha256:"))
            tags = () if by_id else (names.normalise(reference),)
            if image.id in found:
                tags = tuple(dict.fromkeys((*found[image.id].tags, *tags)))
            draft = self.draft(image)
            document = self._store.configuration(image)
            if json.loads(document)["rootfs"]["diff_ids"] != [layer.diff_id for layer in draft.layers]:
                document = draft.document()
            found[image.id] = Packed(document, draft, tags)
        write = archives.write_oci if form == "oci-archive" else archives.write_docker
        write(file, tuple(found.values()), self._blob)


def _key(chain: str) -> str:
    return f"base-{chain.removeprefix('sha256:')}"
