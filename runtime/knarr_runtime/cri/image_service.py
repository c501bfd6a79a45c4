"""CRI's ImageService, and Knarr's own Images service for archives."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import IO, Any, Protocol

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.cri import api_pb2_grpc
from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc
from knarr_runtime.cri.calls import streaming, unary
from knarr_runtime.cri.disk import DiskUsages
from knarr_runtime.cri.pods import Pods
from knarr_runtime.errors import Invalid, NotFound
from knarr_runtime.images.store import Image, ImageStore

MAX_ARCHIVE_BYTES = 16 * 1024**3
FORMATS = ("docker-archive", "oci-archive")
CHUNK_BYTES = 1024 * 1024
IN_MEMORY_BYTES = 8 * 1024 * 1024
STREAM_BATCH = 100
"""Images in one message of a streamed list."""


class ImageService(api_pb2_grpc.ImageServiceServicer):
    """Images come by import or build; pulling from registries is not there yet and says so."""

    def __init__(self, images: ImageStore, pods: Pods, builds_use: Callable[[], set[str]]) -> None:
        self._images = images
        self._pods = pods
        self._builds_use = builds_use
        self._disks = DiskUsages()

    @unary
    async def ListImages(self, request: Any, context: Any) -> Any:
        return cri.ListImagesResponse(images=[_image(image) for image in self._chosen(request.filter)])

    @streaming
    async def StreamImages(self, request: Any, context: Any) -> AsyncIterator[Any]:
        found = self._chosen(request.filter)
        for start in range(0, len(found), STREAM_BATCH):
            batch = found[start : start + STREAM_BATCH]
            yield cri.StreamImagesResponse(images=[_image(image) for image in batch])

    def _chosen(self, chosen: Any) -> tuple[Image, ...]:
        if not chosen.image.image:
            return self._images.images()
        try:
            return (self._images.find(chosen.image.image),)
        except NotFound:
            return ()

    @unary
    async def ImageStatus(self, request: Any, context: Any) -> Any:
        try:
            image = self._images.find(request.image.image)
        except NotFound:
            return cri.ImageStatusResponse()
        answer = cri.ImageStatusResponse(image=_image(image))
        if request.verbose:
            answer.info["info"] = await asyncio.to_thread(self._inspected, image)
        return answer

    def _inspected(self, image: Image) -> str:
        """As ``crictl inspecti`` shows it."""
        document = json.loads(self._images.blob(image.id).read_text())
        chain = f"sha256:{image.layers[-1]}" if image.layers else ""
        return json.dumps({"chainID": chain, "imageSpec": document})

    @unary
    async def PullImage(self, request: Any, context: Any) -> Any:
        return cri.PullImageResponse(image_ref=self._images.find(request.image.image).id)

    @unary
    async def RemoveImage(self, request: Any, context: Any) -> Any:
        try:
            in_use = self._pods.images_in_use() | self._builds_use()
            await asyncio.to_thread(self._images.remove, request.image.image, in_use)
        except NotFound:
            pass
        return cri.RemoveImageResponse()

    @unary
    async def ImageFsInfo(self, request: Any, context: Any) -> Any:
        usage = cri.FilesystemUsage(
            timestamp=time.time_ns(),
            fs_id=cri.FilesystemIdentifier(mountpoint=str(self._images.root)),
            used_bytes=cri.UInt64Value(value=self._images.layer_bytes()),
        )
        layers = [await self._disks.of(self._pods.layer(record)) for record in list(self._pods.containers.values())]
        of_containers = cri.FilesystemUsage(
            timestamp=time.time_ns(),
            fs_id=cri.FilesystemIdentifier(mountpoint=str(self._pods.containers_directory)),
            used_bytes=cri.UInt64Value(value=sum(layer.used_bytes for layer in layers)),
            inodes_used=cri.UInt64Value(value=sum(layer.inodes for layer in layers)),
        )
        return cri.ImageFsInfoResponse(image_filesystems=[usage], container_filesystems=[of_containers])


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
    ) -> None:
        self._images = images
        self._exporter = exporter
        self._in_use = in_use
        self._empty_cache = empty_cache

    @unary
    async def Prune(self, request: Any, context: Any) -> Any:
        answer = images_pb2.PruneResponse()
        for image in self._images.images():
            used = self._in_use()
            if image.id in used or (image.names and not request.all):
                continue
            await asyncio.to_thread(self._images.remove, image.id, used)
            answer.images.extend(image.names or (image.id,))
            answer.freed_bytes += image.size_bytes
        if request.all:
            answer.freed_bytes += await self._empty_cache()
        return answer

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


def _image(image: Image) -> Any:
    tags = [name for name in image.names if "@" not in name]
    answer = cri.Image(
        id=image.id,
        repo_tags=tags,
        repo_digests=[name for name in image.names if "@" in name],
        size=image.size_bytes,
        spec=cri.ImageSpec(image=tags[0] if tags else image.id),
    )
    name = image.config.user.partition(":")[0]
    if name.isdecimal():
        answer.uid.value = int(name)
    elif name:
        answer.username = name
    return answer
