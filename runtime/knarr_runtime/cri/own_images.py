"""Knarr's own Images service: archives, transfers with their progress, names, and what CRI has no word for."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import IO, Any, Protocol

from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc
from knarr_runtime.cri.calls import streaming, unary
from knarr_runtime.cri.transfers import Step, Transfers
from knarr_runtime.errors import Invalid
from knarr_runtime.images import documents, names
from knarr_runtime.images.registry import credentials
from knarr_runtime.images.registry.client import Pulled
from knarr_runtime.images.store import Image, ImageStore, repository_digests

MAX_ARCHIVE_BYTES = 16 * 1024**3
FORMATS = ("docker-archive", "oci-archive")
CHUNK_BYTES = 1024 * 1024
IN_MEMORY_BYTES = 8 * 1024 * 1024


class Exporter(Protocol):
    def export(self, references: Sequence[str], form: str, file: IO[bytes]) -> None:
        """One archive with all of them. Raises NotFound."""


class Images(images_pb2_grpc.ImagesServicer):
    """in_use: ids of images that must stay. empty_cache: of builds; returns the bytes freed."""

    def __init__(
        self,
        images: ImageStore,
        exporter: Exporter,
        in_use: Callable[[], set[str]],
        empty_cache: Callable[[], Awaitable[int]],
        transfers: Transfers,
    ) -> None:
        self._transfers = transfers
        self._images = images
        self._exporter = exporter
        self._in_use = in_use
        self._empty_cache = empty_cache

    @streaming
    async def Pull(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for one in self._transfers.pull(request.image, request.platform, credentials.of_message(request.auth)):
            if isinstance(one, Pulled):
                result = images_pb2.TransferResult(name=one.name, image_id=one.image.id, digest=one.digest)
                yield images_pb2.TransferProgress(status="Pull complete", result=result)
            else:
                yield _step(one)

    @streaming
    async def Push(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for one in self._transfers.push(request.image, credentials.of_message(request.auth)):
            if isinstance(one, Step):
                yield _step(one)
            else:
                image = self._images.find(request.image)
                name = names.normalise(request.image)
                result = images_pb2.TransferResult(name=name, image_id=image.id, digest=one)
                yield images_pb2.TransferProgress(status="Pushed", result=result)

    @unary
    async def Tag(self, request: Any, context: Any) -> Any:
        await asyncio.to_thread(self._images.tag, request.image, request.name)
        return images_pb2.TagResponse()

    @unary
    async def Remove(self, request: Any, context: Any) -> Any:
        image = self._images.find(request.image)
        gone = await asyncio.to_thread(self._images.untag, request.image, self._in_use())
        if not gone:
            return images_pb2.RemoveResponse(untagged=[names.normalise(request.image)])
        return images_pb2.RemoveResponse(untagged=image.names, deleted=image.id)

    @unary
    async def Inspect(self, request: Any, context: Any) -> Any:
        image = self._images.find(request.image)
        raw = await asyncio.to_thread(self._images.configuration, image)
        return images_pb2.InspectResponse(json=json.dumps(inspected(image, raw)))

    @unary
    async def Prune(self, request: Any, context: Any) -> Any:
        pruned = await asyncio.to_thread(self._images.prune, self._in_use(), everything=request.all)
        freed = pruned.freed_bytes + (await self._empty_cache() if request.all else 0)
        return images_pb2.PruneResponse(images=pruned.images, freed_bytes=freed)

    @streaming
    async def Export(self, request: Any, context: Any) -> AsyncIterator[Any]:
        form = request.format or FORMATS[0]
        if form not in FORMATS:
            raise Invalid(f'format "{form}": must be {" or ".join(FORMATS)}')
        if not request.images:
            raise Invalid("images: at least one is needed")
        with tempfile.TemporaryFile(dir=self._images.root / "tmp") as archive:
            await asyncio.to_thread(self._exporter.export, tuple(request.images), form, archive)
            archive.seek(0)
            while part := await asyncio.to_thread(archive.read, CHUNK_BYTES):
                yield images_pb2.ExportResponse(data=part)

    @unary
    async def Import(self, request: AsyncIterator[Any], context: Any) -> Any:
        with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(self._images.root / "tmp")) as archive:
            size = 0
            async for part in request:
                size += len(part.data)
                if size > MAX_ARCHIVE_BYTES:
                    raise Invalid(f"the archive has more than {MAX_ARCHIVE_BYTES} bytes")
                await asyncio.to_thread(archive.write, part.data)
            archive.seek(0)
            found = await asyncio.to_thread(self._images.import_archive, archive)
        names = [name for image in found for name in image.names]
        return images_pb2.ImportResponse(names=names, ids=[image.id for image in found])


def inspected(image: Image, configuration: bytes) -> dict[str, Any]:
    """As ``docker image inspect`` shows one."""
    document = documents.read_json(configuration, "the image's configuration")
    return {
        "Id": image.id,
        "RepoTags": [name for name in image.names if "@" not in name],
        "RepoDigests": list(repository_digests(image)),
        "Digest": image.manifest_digest,
        "Created": document.get("created", ""),
        "Author": document.get("author", ""),
        "Architecture": document.get("architecture", ""),
        "Variant": document.get("variant", ""),
        "Os": document.get("os", ""),
        "Size": image.size_bytes,
        "Config": document.get("config") or {},
        "RootFS": {"Type": "layers", "Layers": (document.get("rootfs") or {}).get("diff_ids", [])},
        "History": document.get("history") or [],
    }


def _step(step: Step) -> Any:
    identifier, status, current, total = step
    return images_pb2.TransferProgress(id=identifier, status=status, current_bytes=current, total_bytes=total)
