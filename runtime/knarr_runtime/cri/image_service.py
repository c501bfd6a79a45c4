"""CRI's ImageService."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.cri import api_pb2_grpc
from knarr_runtime.cri.calls import streaming, unary
from knarr_runtime.cri.disk import DiskUsages
from knarr_runtime.cri.pods import Pods
from knarr_runtime.cri.transfers import Transfers
from knarr_runtime.errors import Invalid, NotFound
from knarr_runtime.images.registry import credentials
from knarr_runtime.images.store import Image, ImageStore, repository_digests
from knarr_runtime.spec import MAX_ID

STREAM_BATCH = 100
"""Images in one message of a streamed list."""


class ImageService(api_pb2_grpc.ImageServiceServicer):
    """Images come from registries, by import or by a build."""

    def __init__(
        self, images: ImageStore, pods: Pods, builds_use: Callable[[], set[str]], transfers: Transfers
    ) -> None:
        self._images = images
        self._transfers = transfers
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
        if not request.image.image:
            raise Invalid("image.image: required")
        given = request.auth
        who = credentials.given(given.username, given.password, given.auth, given.identity_token, given.registry_token)
        pulled = await self._transfers.pulled(request.image.image, "", who)
        return cri.PullImageResponse(image_ref=pulled.image.id)

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


def _image(image: Image) -> Any:
    tags = [name for name in image.names if "@" not in name]
    answer = cri.Image(
        id=image.id,
        repo_tags=tags,
        repo_digests=repository_digests(image),
        size=image.size_bytes,
        spec=cri.ImageSpec(image=tags[0] if tags else image.id),
    )
    name = image.config.user.partition(":")[0]
    if name.isdecimal() and int(name) <= MAX_ID:
        answer.uid.value = int(name)
    elif name:
        answer.username = name
    return answer
