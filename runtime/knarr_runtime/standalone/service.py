"""Service Containers: what people at a terminal need of containers and CRI has no word for. See containers.proto."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import containers_pb2, containers_pb2_grpc
from knarr_runtime.cri import specs, standalone, status
from knarr_runtime.cri.calls import streaming, unary
from knarr_runtime.cri.disk import DiskUsages
from knarr_runtime.cri.pods import Pods
from knarr_runtime.cri.records import ContainerRecord
from knarr_runtime.cri.streams import Streams
from knarr_runtime.errors import AlreadyExists, NotFound, WrongState
from knarr_runtime.images.store import ImageStore
from knarr_runtime.launcher import Container, ContainerState, Launcher, signal_number
from knarr_runtime.standalone.commits import Commits
from knarr_runtime.standalone.copying import Copying
from knarr_runtime.standalone.endings import Endings
from knarr_runtime.standalone.removal import Removal
from knarr_runtime.standalone.renewal import Renewal


class ContainersService(containers_pb2_grpc.ContainersServicer):
    def __init__(
        self,
        pods: Pods,
        launcher: Launcher,
        streams: Streams,
        images: ImageStore,
        *,
        renewal: Renewal,
        removal: Removal,
        endings: Endings,
        copying: Copying,
        commits: Commits,
    ) -> None:
        self._pods = pods
        self._launcher = launcher
        self._streams = streams
        self._images = images
        self._renewal = renewal
        self._removal = removal
        self._endings = endings
        self._copying = copying
        self._commits = commits
        self._disk = DiskUsages()

    # Processes

    @unary
    async def Exec(self, request: Any, context: Any) -> Any:
        identifier = self._pods.container(request.container_id).id
        if self._launcher.frozen(identifier):
            raise WrongState(f"container {identifier[:12]} is paused: unpause it first")
        return containers_pb2.ExecResponse(url=self._streams.own_exec_url(request))

    @unary
    async def Signal(self, request: Any, context: Any) -> Any:
        number = signal_number(request.signal)
        record, launched = self._running(request.container_id)
        if request.stops or number in (signal_number("KILL"), signal_number(launched.spec.stop_signal)):
            self._pods.expect_end(record)
        await self._launcher.signal(record.id, number)
        if number == signal_number("KILL") and self._launcher.frozen(record.id):
            await self._launcher.freeze(record.id, frozen=False)  # else it dies only when it goes on
        return containers_pb2.SignalResponse()

    @unary
    async def Pause(self, request: Any, context: Any) -> Any:
        record, _ = self._running(request.container_id)
        if self._launcher.frozen(record.id) is not request.resume:
            raise WrongState(f"container {record.id[:12]} is {'not' if request.resume else 'already'} paused")
        await self._launcher.freeze(record.id, frozen=not request.resume)
        return containers_pb2.PauseResponse()

    @streaming
    async def Wait(self, request: Any, context: Any) -> AsyncIterator[Any]:
        record = self._pods.container(request.container_id)
        with self._pods.following() as events:
            await context.send_initial_metadata(())
            ended = _ended(self._pods.launched(record))
            while ended is None or request.removed:
                event = await anext(events)
                if event.container_id != record.id:
                    continue
                if event.kind == cri.CONTAINER_DELETED_EVENT:
                    if ended is None:
                        raise NotFound(f'container "{record.id}" has been removed')
                    break
                found = event.container()
                ended = (_ended(found[1]) if found is not None else None) or ended
        yield ended

    def _running(self, identifier: str) -> tuple[ContainerRecord, Container]:
        record = self._pods.container(identifier)
        launched = self._pods.launched(record)
        if launched is None or launched.state is not ContainerState.RUNNING:
            raise WrongState(f"container {record.id} is not running")
        return record, launched

    # Life

    @unary
    async def Start(self, request: Any, context: Any) -> Any:
        record = self._pods.container(request.container_id)
        if standalone.STOPPED in record.config.annotations:
            self._pods.change_container(record, lambda config: config.annotations.pop(standalone.STOPPED))
        await self._renewal.prepare(record.id)
        if not request.prepare:
            await self._pods.start_container(record.id)
        return containers_pb2.StartResponse()

    @unary
    async def Discard(self, request: Any, context: Any) -> Any:
        await self._removal.remove(request.container_id, force=request.force, volumes=request.volumes)
        return containers_pb2.DiscardResponse()

    @unary
    async def Change(self, request: Any, context: Any) -> Any:
        record = self._pods.container(request.container_id)
        if request.name:
            if any(each.config.metadata.name == request.name for each in self._pods.containers.values()):
                raise AlreadyExists(f'the container name "{request.name}" is in use')
            self._pods.change_container(record, lambda config: setattr(config.metadata, "name", request.name))
        if request.restart:
            policy = standalone.restart_policy(request.restart)
            self._pods.change_container(
                self._pods.container(record.id),
                lambda config: config.annotations.update({standalone.RESTART: str(policy)}),
            )
        if request.resources:
            await self._limit(record.id, cri.LinuxContainerResources.FromString(request.resources))
        return containers_pb2.ChangeResponse()

    async def _limit(self, identifier: str, given: Any) -> None:
        limits = specs.resources(given)
        self._pods.check_limits(limits)
        await self._launcher.update_resources(identifier, limits)
        record = self._pods.container(identifier)
        self._pods.change_container(record, lambda config: config.linux.resources.MergeFrom(given))

    # What they are

    @unary
    async def Describe(self, request: Any, context: Any) -> Any:
        wanted = [self._pods.container(one) for one in request.container_ids] or [*self._pods.containers.values()]
        return containers_pb2.DescribeResponse(
            containers=[await self._description(record, request) for record in wanted]
        )

    async def _description(self, record: ContainerRecord, request: Any) -> Any:
        sandbox = self._pods.sandboxes.get(record.sandbox_id)
        launched = self._pods.launched(record)
        running = launched is not None and launched.state is ContainerState.RUNNING
        told = containers_pb2.Description(
            container_id=record.id,
            paused=running and self._launcher.frozen(record.id),
            restarting=record.id in self._endings.waiting,
            restarts=standalone.restarts(record.config),
            address=sandbox.address if sandbox is not None else "",
        )
        if running and request.container_ids:
            told.pids.extend((await self._launcher.stats(record.id)).processes)
        if request.sizes:
            told.layer_bytes = (await self._disk.of(self._pods.layer(record))).used_bytes
            told.image_bytes = self._images.find(record.image_id).size_bytes
        return told

    # Files

    @streaming
    async def CopyOut(self, request: Any, context: Any) -> AsyncIterator[Any]:
        record = self._pods.container(request.container_id)
        async for data in self._copying.out(record, request.path, follow_link=request.follow_link):
            yield containers_pb2.CopyOutResponse(data=data)

    @unary
    async def CopyIn(self, request: AsyncIterator[Any], context: Any) -> Any:
        first = await anext(aiter(request), None)
        if first is None:
            raise NotFound("the first message must name the container")
        record = self._pods.container(first.container_id)
        await self._copying.take(record, first, request)
        return containers_pb2.CopyInResponse()

    @unary
    async def Changes(self, request: Any, context: Any) -> Any:
        record = self._pods.container(request.container_id)
        found = await self._copying.changes(record)
        return containers_pb2.ChangesResponse(
            changes=[containers_pb2.FileChange(kind=kind, path=path) for kind, path in found]
        )

    @unary
    async def Commit(self, request: Any, context: Any) -> Any:
        record = self._pods.container(request.container_id)
        launched = self._pods.launched(record)
        running = launched is not None and launched.state is ContainerState.RUNNING
        hold = request.pause and running and not self._launcher.frozen(record.id)
        if hold:
            await self._launcher.freeze(record.id, frozen=True)
        try:
            image = await asyncio.to_thread(
                self._commits.commit,
                record,
                tuple(request.tags),
                author=request.author,
                comment=request.comment,
                changes=tuple(request.changes),
            )
        finally:
            if hold:
                await self._launcher.freeze(record.id, frozen=False)
        return containers_pb2.CommitResponse(image_id=image.id)


def _ended(launched: Container | None) -> Any:
    """The answer for one that has ended."""
    if launched is None or launched.state is not ContainerState.EXITED or launched.exit is None:
        return None
    return containers_pb2.WaitResponse(
        exit_code=launched.exit.exit_code, reason=status.reason(launched.exit), message=launched.exit.reason
    )
