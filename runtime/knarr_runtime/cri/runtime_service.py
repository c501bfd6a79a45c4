"""CRI's RuntimeService."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.cri import api_pb2_grpc
from knarr_runtime.cri import specs
from knarr_runtime.cri.calls import streaming, unary
from knarr_runtime.cri.pods import Pods
from knarr_runtime.cri.records import ContainerRecord, SandboxRecord
from knarr_runtime.cri.streams import Streams
from knarr_runtime.errors import Invalid, WrongState
from knarr_runtime.launcher import ContainerState, Launcher, Stats

NAME, VERSION = "knarr", "0.1.0"
STATES = {
    ContainerState.CREATED: cri.CONTAINER_CREATED,
    ContainerState.RUNNING: cri.CONTAINER_RUNNING,
    ContainerState.EXITED: cri.CONTAINER_EXITED,
}
DEFAULT_EXEC_TIMEOUT_S = 60.0


class RuntimeService(api_pb2_grpc.RuntimeServiceServicer):
    """What is not here answers UNIMPLEMENTED, as the generated base class does."""

    def __init__(self, pods: Pods, launcher: Launcher, streams: Streams) -> None:
        self._pods = pods
        self._streams = streams
        self._launcher = launcher

    @unary
    async def Version(self, request: Any, context: Any) -> Any:
        return cri.VersionResponse(
            version="0.1.0", runtime_name=NAME, runtime_version=VERSION, runtime_api_version="v1"
        )

    @unary
    async def Status(self, request: Any, context: Any) -> Any:
        ready = self._pods.network.ready
        conditions = [
            cri.RuntimeCondition(type="RuntimeReady", status=True),
            cri.RuntimeCondition(
                type="NetworkReady",
                status=ready,
                reason="" if ready else "NetworkPluginNotReady",
                message="" if ready else "the node has no pod CIDR yet",
            ),
        ]
        answer = cri.StatusResponse(status=cri.RuntimeStatus(conditions=conditions))
        if request.verbose:
            answer.info["limits"] = json.dumps(list(self._launcher.conditions()))
        return answer

    @unary
    async def RuntimeConfig(self, request: Any, context: Any) -> Any:
        return cri.RuntimeConfigResponse(linux=cri.LinuxRuntimeConfiguration(cgroup_driver=cri.CGROUPFS))

    @unary
    async def UpdateRuntimeConfig(self, request: Any, context: Any) -> Any:
        cidr = request.runtime_config.network_config.pod_cidr
        if cidr:
            await self._pods.network.configure(cidr.split(",")[0])
        return cri.UpdateRuntimeConfigResponse()

    # Sandboxes

    @unary
    async def RunPodSandbox(self, request: Any, context: Any) -> Any:
        return cri.RunPodSandboxResponse(pod_sandbox_id=await self._pods.run_sandbox(request.config))

    @unary
    async def StopPodSandbox(self, request: Any, context: Any) -> Any:
        await self._pods.stop_sandbox(request.pod_sandbox_id)
        return cri.StopPodSandboxResponse()

    @unary
    async def RemovePodSandbox(self, request: Any, context: Any) -> Any:
        await self._pods.remove_sandbox(request.pod_sandbox_id)
        return cri.RemovePodSandboxResponse()

    @unary
    async def PodSandboxStatus(self, request: Any, context: Any) -> Any:
        record = self._pods.sandbox(request.pod_sandbox_id)
        statuses = [
            self._container_status(container)
            for container in self._pods.containers.values()
            if container.sandbox_id == record.id
        ]
        return cri.PodSandboxStatusResponse(status=self._sandbox_status(record), containers_statuses=statuses)

    @unary
    async def ListPodSandbox(self, request: Any, context: Any) -> Any:
        wanted = request.filter
        items = []
        for record in self._pods.sandboxes.values():
            ready = self._pods.sandbox_ready(record)
            state = cri.SANDBOX_READY if ready else cri.SANDBOX_NOTREADY
            if wanted.id and not record.id.startswith(wanted.id):
                continue
            if wanted.HasField("state") and wanted.state.state != state:
                continue
            if not _has_labels(record.config.labels, wanted.label_selector):
                continue
            items.append(
                cri.PodSandbox(
                    id=record.id,
                    metadata=record.config.metadata,
                    state=state,
                    created_at=record.created_at_ns,
                    labels=record.config.labels,
                    annotations=record.config.annotations,
                )
            )
        return cri.ListPodSandboxResponse(items=items)

    # Containers

    @unary
    async def CreateContainer(self, request: Any, context: Any) -> Any:
        identifier = await self._pods.create_container(request.pod_sandbox_id, request.config, request.sandbox_config)
        return cri.CreateContainerResponse(container_id=identifier)

    @unary
    async def StartContainer(self, request: Any, context: Any) -> Any:
        await self._pods.start_container(request.container_id)
        return cri.StartContainerResponse()

    @unary
    async def StopContainer(self, request: Any, context: Any) -> Any:
        await self._pods.stop_container(request.container_id, float(max(request.timeout, 0)))
        return cri.StopContainerResponse()

    @unary
    async def RemoveContainer(self, request: Any, context: Any) -> Any:
        await self._pods.remove_container(request.container_id)
        return cri.RemoveContainerResponse()

    @unary
    async def ListContainers(self, request: Any, context: Any) -> Any:
        wanted = request.filter
        containers = []
        for record in self._pods.containers.values():
            state = self._state(record)
            if wanted.id and not record.id.startswith(wanted.id):
                continue
            if wanted.pod_sandbox_id and not record.sandbox_id.startswith(wanted.pod_sandbox_id):
                continue
            if wanted.HasField("state") and wanted.state.state != state:
                continue
            if not _has_labels(record.config.labels, wanted.label_selector):
                continue
            containers.append(
                cri.Container(
                    id=record.id,
                    pod_sandbox_id=record.sandbox_id,
                    metadata=record.config.metadata,
                    image=record.config.image,
                    image_ref=record.image_id,
                    image_id=record.image_id,
                    state=state,
                    created_at=record.created_at_ns,
                    labels=record.config.labels,
                    annotations=record.config.annotations,
                )
            )
        return cri.ListContainersResponse(containers=containers)

    @unary
    async def ContainerStatus(self, request: Any, context: Any) -> Any:
        record = self._pods.container(request.container_id)
        answer = cri.ContainerStatusResponse(status=self._container_status(record))
        launched = self._pods.launched(record)
        if request.verbose and launched is not None:
            answer.info["info"] = json.dumps({"pid": launched.pid, "sandboxID": record.sandbox_id})
        return answer

    @unary
    async def UpdateContainerResources(self, request: Any, context: Any) -> Any:
        record = self._pods.container(request.container_id)
        await self._launcher.update_resources(record.id, specs.resources(request.linux))
        return cri.UpdateContainerResourcesResponse()

    @unary
    async def ReopenContainerLog(self, request: Any, context: Any) -> Any:
        record = self._pods.container(request.container_id)
        if self._state(record) != cri.CONTAINER_RUNNING:
            raise WrongState(f"container {record.id} is not running")
        await self._launcher.reopen_log(record.id)
        return cri.ReopenContainerLogResponse()

    @unary
    async def ExecSync(self, request: Any, context: Any) -> Any:
        record = self._pods.container(request.container_id)
        if not request.cmd:
            raise Invalid("cmd: required")
        timeout_s = float(request.timeout) if request.timeout > 0 else None
        result = await self._launcher.exec(record.id, tuple(request.cmd), timeout_s=timeout_s)
        if result.timed_out:
            await context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED, f"command timed out: {timeout_s or DEFAULT_EXEC_TIMEOUT_S:g}s"
            )
        return cri.ExecSyncResponse(stdout=result.stdout, stderr=result.stderr, exit_code=result.exit_code)

    @unary
    async def Exec(self, request: Any, context: Any) -> Any:
        return cri.ExecResponse(url=self._streams.exec_url(request))

    @unary
    async def Attach(self, request: Any, context: Any) -> Any:
        return cri.AttachResponse(url=self._streams.attach_url(request))

    @unary
    async def PortForward(self, request: Any, context: Any) -> Any:
        return cri.PortForwardResponse(url=self._streams.port_forward_url(request))

    # Stats

    @unary
    async def ContainerStats(self, request: Any, context: Any) -> Any:
        record = self._pods.container(request.container_id)
        return cri.ContainerStatsResponse(stats=_stats(record, await self._launcher.stats(record.id)))

    @unary
    async def ListContainerStats(self, request: Any, context: Any) -> Any:
        wanted = request.filter
        found = []
        for record in list(self._pods.containers.values()):
            if wanted.id and not record.id.startswith(wanted.id):
                continue
            if wanted.pod_sandbox_id and not record.sandbox_id.startswith(wanted.pod_sandbox_id):
                continue
            if not _has_labels(record.config.labels, wanted.label_selector):
                continue
            if self._state(record) == cri.CONTAINER_RUNNING:
                found.append(_stats(record, await self._launcher.stats(record.id)))
        return cri.ListContainerStatsResponse(stats=found)

    @streaming
    async def GetContainerEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:
        kind: Any
        with self._pods.following() as events:
            async for _, container_id, kind, record in events:
                if record is None:
                    continue
                statuses = [
                    self._container_status(container)
                    for container in self._pods.containers.values()
                    if container.sandbox_id == record.id
                ]
                yield cri.ContainerEventResponse(
                    container_id=container_id or record.id,
                    container_event_type=kind,
                    created_at=record.created_at_ns,
                    pod_sandbox_status=self._sandbox_status(record),
                    containers_statuses=statuses,
                )

    # Inside

    def _state(self, record: ContainerRecord) -> Any:
        launched = self._pods.launched(record)
        return STATES[launched.state] if launched is not None else cri.CONTAINER_UNKNOWN

    def _sandbox_status(self, record: SandboxRecord) -> Any:
        ready = self._pods.sandbox_ready(record)
        return cri.PodSandboxStatus(
            id=record.id,
            metadata=record.config.metadata,
            state=cri.SANDBOX_READY if ready else cri.SANDBOX_NOTREADY,
            created_at=record.created_at_ns,
            network=cri.PodSandboxNetworkStatus(ip=record.address),
            linux=cri.LinuxPodSandboxStatus(
                namespaces=cri.Namespace(options=record.config.linux.security_context.namespace_options)
            ),
            labels=record.config.labels,
            annotations=record.config.annotations,
        )

    def _container_status(self, record: ContainerRecord) -> Any:
        launched = self._pods.launched(record)
        status = cri.ContainerStatus(
            id=record.id,
            metadata=record.config.metadata,
            state=self._state(record),
            created_at=record.created_at_ns,
            image=record.config.image,
            image_ref=record.image_id,
            image_id=record.image_id,
            labels=record.config.labels,
            annotations=record.config.annotations,
            mounts=record.config.mounts,
            log_path=launched.spec.log_path if launched is not None else "",
        )
        if launched is not None:
            status.started_at = launched.started_at_ns
            if launched.exit is not None:
                ended = launched.exit
                status.finished_at = ended.finished_at_ns
                status.exit_code = ended.exit_code
                status.message = ended.reason
                if ended.oom_killed:
                    status.reason = "OOMKilled"
                elif ended.reason:
                    status.reason = "StartError"
                else:
                    status.reason = "Completed" if ended.exit_code == 0 else "Error"
        return status


def _has_labels(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in wanted.items())


def _stats(record: ContainerRecord, stats: Stats) -> Any:
    answer = cri.ContainerStats(
        attributes=cri.ContainerAttributes(
            id=record.id,
            metadata=record.config.metadata,
            labels=record.config.labels,
            annotations=record.config.annotations,
        )
    )
    answer.cpu.timestamp = answer.memory.timestamp = stats.at_ns
    for target, value in (
        (answer.cpu.usage_core_nano_seconds, stats.cpu_usage_ns),
        (answer.memory.usage_bytes, stats.memory_usage_bytes),
        (answer.memory.working_set_bytes, stats.memory_working_set_bytes),
        (answer.memory.rss_bytes, stats.memory_rss_bytes),
        (answer.memory.page_faults, stats.memory_page_faults),
        (answer.memory.major_page_faults, stats.memory_major_page_faults),
    ):
        if value is not None:
            target.value = value
    return answer
