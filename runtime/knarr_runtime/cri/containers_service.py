"""Knarr's own Containers service: what people at a terminal need of containers and CRI has no word for."""

from __future__ import annotations

from typing import Any

import structlog

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import containers_pb2, containers_pb2_grpc
from knarr_runtime.cri import status
from knarr_runtime.cri.calls import unary
from knarr_runtime.cri.pods import Pods
from knarr_runtime.cri.streams import Streams
from knarr_runtime.errors import NotFound, WrongState
from knarr_runtime.launcher import ContainerState, Launcher, signal_number

AUTO_REMOVE = "knarr.io/auto-remove"


class ContainersService(containers_pb2_grpc.ContainersServicer):
    """See containers.proto."""

    def __init__(self, pods: Pods, launcher: Launcher, streams: Streams) -> None:
        self._pods = pods
        self._launcher = launcher
        self._streams = streams

    @unary
    async def Exec(self, request: Any, context: Any) -> Any:
        return containers_pb2.ExecResponse(url=self._streams.own_exec_url(request))

    @unary
    async def Signal(self, request: Any, context: Any) -> Any:
        number = signal_number(request.signal)
        record = self._pods.container(request.container_id)
        launched = self._pods.launched(record)
        if launched is None or launched.state is not ContainerState.RUNNING:
            raise WrongState(f"container {record.id} is not running")
        await self._launcher.signal(record.id, number)
        return containers_pb2.SignalResponse()

    @unary
    async def Wait(self, request: Any, context: Any) -> Any:
        record = self._pods.container(request.container_id)
        with self._pods.following() as events:
            ended = self._ended(record.id)
            while ended is None:
                await anext(events)
                ended = self._ended(record.id)
        return ended

    def _ended(self, identifier: str) -> Any:
        """The answer once it has ended; raises NotFound when it is removed."""
        launched = self._launcher.containers().get(identifier)
        if launched is None:
            raise NotFound(f'container "{identifier}" has been removed')
        if launched.state is not ContainerState.EXITED or launched.exit is None:
            return None
        return containers_pb2.WaitResponse(
            exit_code=launched.exit.exit_code, reason=status.reason(launched.exit), message=launched.exit.reason
        )


class AutoRemoval:
    """Removes the pods of containers that were started to be removed when they end (``run -d --rm``)."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods

    async def follow(self) -> None:
        """Until cancelled; also those that ended while no daemon ran."""
        with self._pods.following() as events:
            for record in list(self._pods.containers.values()):
                await self._remove(record.id)
            async for event in events:
                if event.kind == cri.CONTAINER_STOPPED_EVENT and event.container_id:
                    await self._remove(event.container_id)

    async def _remove(self, identifier: str) -> None:
        record = self._pods.containers.get(identifier)
        if record is None or record.config.annotations.get(AUTO_REMOVE) != "true":
            return
        launched = self._pods.launched(record)
        if launched is None or launched.state is not ContainerState.EXITED:
            return
        others = self._pods.containers_of(record.sandbox_id)
        try:
            if len(others) > 1:
                await self._pods.remove_container(record.id)
            else:
                await self._pods.remove_sandbox(record.sandbox_id)
        except (NotFound, WrongState) as error:
            structlog.get_logger("knarr.cri").warning("not removed", container=identifier, why=str(error))
