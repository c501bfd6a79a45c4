"""Images written as one tar: docker-archive (``docker save``) and oci-archive (an OCI layout). Blocking."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from knarr_runtime.build import imageconfig
from knarr_runtime.build.imageconfig import Draft, Layer

Blob = Callable[[Layer], Path]


@dataclass(frozen=True, slots=True)
class Packed:
    """An image: its configuration's bytes, its layers (those of ``draft``) and names."""

    document: bytes
    draft: Draft
    tags: tuple[str, ...]


def write_docker(file: IO[bytes], images: Sequence[Packed], blob: Blob) -> None:
    manifest = [
        {
            "Config": f"{_hex(image.document)}.json",
            "RepoTags": list(image.tags),
            "Layers": [_name(layer.digest) for layer in image.draft.layers],
        }
        for image in images
    ]
    with tarfile.open(fileobj=file, mode="w") as archive:
        _member(archive, "manifest.json", json.dumps(manifest).encode())
        for image in images:
            _member(archive, f"{_hex(image.document)}.json", image.document)
        _layers(archive, images, blob)


def write_oci(file: IO[bytes], images: Sequence[Packed], blob: Blob) -> None:
    descriptors = []
    with tarfile.open(fileobj=file, mode="w") as archive:
        _member(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        for image in images:
            manifest = imageconfig.manifest(image.draft, f"sha256:{_hex(image.document)}", len(image.document))
            for data in (image.document, manifest):
                _member(archive, f"blobs/sha256/{_hex(data)}", data)
            descriptor = {
                "mediaType": imageconfig.OCI_MANIFEST,
                "digest": f"sha256:{_hex(manifest)}",
                "size": len(manifest),
            }
            descriptors += [{**descriptor, "annotations": _annotations(tag)} for tag in image.tags] or [descriptor]
        _member(archive, "index.json", json.dumps({"schemaVersion": 2, "manifests": descriptors}).encode())
        _layers(archive, images, blob)


def _annotations(tag: str) -> dict[str, str]:
    """The full name for containerd; the tag alone is what the specification has a word for."""
    return {"io.containerd.image.name": tag, "org.opencontainers.image.ref.name": tag.rpartition(":")[2]}


def _layers(archive: tarfile.TarFile, images: Sequence[Packed], blob: Blob) -> None:
    for layer in dict.fromkeys(layer for image in images for layer in image.draft.layers):
        with open(blob(layer), "rb") as source:
            info = tarfile.TarInfo(_name(layer.digest))
            info.size = layer.size
            archive.addfile(info, source)


def _name(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _member(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))
