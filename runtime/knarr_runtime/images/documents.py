"""The JSON documents of images: descriptors, manifests, indexes, configurations. Pure; none of it is trusted.

Source: OCI image specification (descriptor, manifest, image-index, config); Docker's manifest v2 schema 2.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from knarr_runtime.errors import Invalid, NotFound

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_CONFIG_BYTES = 8 * 1024 * 1024
MAX_LAYERS = 127
MAX_LAYER_BYTES = 64 * 1024**3
MAX_INDEX_DEPTH = 3

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS, INDEXES = (OCI_MANIFEST, DOCKER_MANIFEST), (OCI_INDEX, DOCKER_INDEX)
FOREIGN = ("nondistributable", "foreign")
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386"}
VARIANTS = {"armv7l": "v7", "armv6l": "v6", "aarch64": "v8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A blob by what it is, its digest and its size in bytes."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One image: its configuration, its layers from the lowest up."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """As in ``linux/arm64/v8``."""

    os: str = "linux"
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def chain_id(parent: str, diff_id: str) -> str:
    """Of a layer on others. Both are digests; parent is empty for the lowest."""
    return digest_of(f"{parent} {diff_id}".encode()) if parent else diff_id


def read_json(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object. Raises Invalid for anything else, however deep."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{what} is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise Invalid(f"{what} is no JSON object")
    return document


def checked_digest(value: object, what: str) -> str:
    """Raises Invalid."""
    if not isinstance(value, str) or not DIGEST.fullmatch(value):
        raise Invalid(f'{what}: digest "{str(value)[:90]}" is not sha256: and 64 hexadecimal digits')
    return value


def descriptor(value: object, what: str, limit: int) -> Descriptor:
    """Raises Invalid."""
    if not isinstance(value, Mapping):
        raise Invalid(f"{what}: no descriptor")
    size = value.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= limit:
        raise Invalid(f"{what}: size {str(size)[:30]} is not a number from 0 to {limit}")
    media_type = value.get("mediaType", "")
    return Descriptor(media_type=str(media_type)[:200], digest=checked_digest(value.get("digest"), what), size=size)


def manifest(document: Mapping[str, Any]) -> Manifest:
    """Raises Invalid, also for layers that registries may not hand out."""
    if document.get("schemaVersion") == 1 or "fsLayers" in document:
        raise Invalid("the image is in Docker's schema 1, which is obsolete: push it again with a current tool")
    layers = document.get("layers")
    if not isinstance(layers, list):
        raise Invalid("the manifest has no layers")
    if len(layers) > MAX_LAYERS:
        raise Invalid(f"the manifest has {len(layers)} layers; at most {MAX_LAYERS} are possible")
    found = tuple(descriptor(one, f"layer {number}", MAX_LAYER_BYTES) for number, one in enumerate(layers))
    for one in found:
        if any(word in one.media_type for word in FOREIGN):
            raise Invalid(f"layer {one.digest} is foreign ({one.media_type}): its content is not in the registry")
    return Manifest(config=descriptor(document.get("config"), "config", MAX_CONFIG_BYTES), layers=found)


def is_index(document: Mapping[str, Any]) -> bool:
    return isinstance(document.get("manifests"), list)


def own_platform() -> Platform:
    machine = os.uname().machine
    return Platform(architecture=MACHINES.get(machine, machine), variant=VARIANTS.get(machine, ""))


def platform(text: str) -> Platform:
    """``os/architecture[/variant]`` or an architecture alone; empty: this machine's. Raises Invalid."""
    if not text:
        return own_platform()
    parts = text.split("/")
    if len(parts) > 3 or not all(parts):
        raise Invalid(f"platform {text!r}: write os/architecture, as in linux/amd64")
    if len(parts) == 1:
        return Platform(architecture=parts[0])
    return Platform(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) == 3 else "")


def choose(index: Mapping[str, Any], wanted: Platform) -> Descriptor:
    """The manifest, or inner index, for a platform; of several variants the best this one can run.

    Raises NotFound when there is none, Invalid.
    """
    best: tuple[int, Descriptor] | None = None
    offered = []
    for number, entry in enumerate(index["manifests"]):
        found = descriptor(entry, f"manifests[{number}]", MAX_MANIFEST_BYTES)
        described = entry.get("platform")
        if not isinstance(described, Mapping):
            described = {"os": wanted.os, "architecture": wanted.architecture} if len(index["manifests"]) == 1 else {}
        offer = Platform(
            os=str(described.get("os", "")),
            architecture=str(described.get("architecture", "")),
            variant=str(described.get("variant", "")),
        )
        offered.append(str(offer))
        rank = _rank(offer, wanted)
        if rank and (best is None or rank > best[0]):
            best = (rank, found)
    if best is None:
        raise NotFound(f"no match for platform {wanted} in manifest: it has {', '.join(offered[:20]) or 'nothing'}")
    return best[1]


def _rank(offer: Platform, wanted: Platform) -> int:
    """0: it can't run here."""
    if (offer.os, offer.architecture) != (wanted.os, wanted.architecture):
        return 0
    if offer.variant == wanted.variant:
        return 100
    if wanted.architecture == "arm" and offer.variant and wanted.variant:
        return 50 + int(offer.variant[1:] or 0) if offer.variant < wanted.variant else 0
    return 10 if not offer.variant or not wanted.variant else 0


def diff_ids(configuration: Mapping[str, Any], layers: int) -> tuple[str, ...]:
    """Digests of the layers uncompressed. Raises Invalid when they are not as many as ``layers``."""
    rootfs = configuration.get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, Mapping) else None
    if not isinstance(found, list) or len(found) != layers:
        count = len(found) if isinstance(found, list) else 0
        raise Invalid(f"the image has {layers} layers and {count} layer digests")
    return tuple(checked_digest(one, f"rootfs.diff_ids[{number}]") for number, one in enumerate(found))


def new_manifest(config: Descriptor, layers: tuple[Descriptor, ...]) -> bytes:
    """An OCI manifest; the same image gives the same bytes."""

    def described(one: Descriptor) -> dict[str, object]:
        return {"mediaType": one.media_type, "digest": one.digest, "size": one.size}

    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described(config),
        "layers": [described(one) for one in layers],
    }
    return json.dumps(document, separators=(",", ":")).encode()
