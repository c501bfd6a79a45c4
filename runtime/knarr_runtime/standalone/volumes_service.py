"""Service Volumes. See containers.proto."""

from __future__ import annotations

import asyncio
from typing import Any

from knarr_proto.runtime.v1 import containers_pb2, containers_pb2_grpc
from knarr_runtime.cri import disk, standalone
from knarr_runtime.cri.calls import unary
from knarr_runtime.cri.pods import Pods
from knarr_runtime.standalone.volumes import Volume, Volumes


class VolumesService(containers_pb2_grpc.VolumesServicer):
    def __init__(self, volumes: Volumes, pods: Pods) -> None:
        self._volumes = volumes
        self._pods = pods

    @unary
    async def Create(self, request: Any, context: Any) -> Any:
        volume = await asyncio.to_thread(
            self._volumes.create,
            request.name,
            labels=dict(request.labels),
            anonymous=request.anonymous,
            image=request.image,
            path=request.path,
        )
        return containers_pb2.VolumeCreateResponse(volume=self._message(volume))

    @unary
    async def List(self, request: Any, context: Any) -> Any:
        found = [self._message(volume) for volume in await asyncio.to_thread(self._volumes.list)]
        if request.sizes:
            for message in found:
                message.bytes = (await asyncio.to_thread(disk.count, self._volumes.find(message.name).path)).used_bytes
        return containers_pb2.VolumeListResponse(volumes=found)

    @unary
    async def Delete(self, request: Any, context: Any) -> Any:
        await asyncio.to_thread(self._volumes.remove, request.name, tuple(self._users()))
        return containers_pb2.VolumeDeleteResponse()

    def _users(self) -> dict[str, list[str]]:
        """Ids of containers by the name of the volume they have."""
        users: dict[str, list[str]] = {}
        for record in self._pods.containers.values():
            for name in standalone.volumes(record.config):
                users.setdefault(name, []).append(record.id)
        return users

    def _message(self, volume: Volume) -> Any:
        return containers_pb2.Volume(
            name=volume.name,
            path=str(volume.path),
            labels=volume.labels,
            anonymous=volume.anonymous,
            created_at_ns=volume.created_at_ns,
            container_ids=self._users().get(volume.name, ()),
        )
