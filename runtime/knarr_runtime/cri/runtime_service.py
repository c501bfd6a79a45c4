"""CRI's RuntimeService: messages in and out. What is done stands in ``pods``, what is told in ``status`` and beside."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeVar

import grpc

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.cri import api_pb2_grpc
from knarr_runtime import apparmor
from knarr_runtime.cri import fields, filters, inspect, metrics, specs, status
from knarr_runtime.cri.calls import streaming, unary
from knarr_runtime.cri.pods import HANDLERS, Pods
from knarr_runtime.cri.stats import Statistics
from knarr_runtime.cri.streams import Streams
from knarr_runtime.errors import Invalid, NotFound, WrongState
from knarr_runtime.kernel import lsm, mounts
from knarr_runtime.launcher import Launcher

T = TypeVar("T")
NAME, VERSION = "knarr", "0.1.0"
API_VERSION = "v1"
KUBELET_VERSION = "0.1.0"
MAX_OUTPUT_BYTES = 16_000_000
"""Of one stream of ExecSync. Source: CRI, ExecSyncResponse; more than 16 MiB in all is no answer for a kubelet."""
MAX_ANSWER_BYTES = 16_700_000
STREAM_BATCH = 100
"""Items in one message of a streamed list."""


class RuntimeService(api_pb2_grpc.RuntimeServiceServicer):
    """What is not here answers UNIMPLEMENTED, as the generated base class does."""

    def __init__(self, pods: Pods, launcher: Launcher, streams: Streams) -> None:
        self._pods = pods
        self._streams = streams
        self._launcher = launcher
        self._statistics = Statistics(pods, launcher)

    # The runtime itself

    @unary
    async def Version(self, request: Any, context: Any) -> Any:
        return cri.VersionResponse(
            version=KUBELET_VERSION, runtime_name=NAME, runtime_version=VERSION, runtime_api_version=API_VERSION
        )

    @unary
    async def Status(self, request: Any, context: Any) -> Any:
        ready = self._pods.network.ready
        features = cri.RuntimeHandlerFeatures(recursive_read_only_mounts=True, user_namespaces=mounts.owners_map())
        answer = cri.StatusResponse(
            status=cri.RuntimeStatus(
                conditions=[
                    cri.RuntimeCondition(type="RuntimeReady", status=True),
                    cri.RuntimeCondition(
                        type="NetworkReady",
                        status=ready,
                        reason="" if ready else "NetworkPluginNotReady",
                        message="" if ready else "the node has no pod CIDR yet",
                    ),
                ]
            ),
            runtime_handlers=[cri.RuntimeHandler(name=name, features=features) for name in HANDLERS],
            features=cri.RuntimeFeatures(supplemental_groups_policy=True, cgroup_mount_mode=True),
        )
        if request.verbose:
            answer.info["config"] = json.dumps(
                {
                    "runtimeVersion": VERSION,
                    "stateDir": str(self._launcher.settings.state_dir),
                    "cgroupRoot": self._launcher.settings.cgroup_root,
                    "cgroupVersion": self._launcher.cgroup_version,
                    "apparmor": lsm.apparmor_enabled(),
                    "apparmorProfile": apparmor.default(),
                    "selinux": lsm.selinux_enabled(),
                    "sandboxes": len(self._pods.sandboxes),
                    "containers": len(self._pods.containers),
                    "limits": [*self._launcher.conditions(), *filter(None, [apparmor.condition()])],
                }
            )
        return answer

    @unary
    async def RuntimeConfig(self, request: Any, context: Any) -> Any:
        return cri.RuntimeConfigResponse(linux=cri.LinuxRuntimeConfiguration(cgroup_driver=cri.CGROUPFS))

    @unary
    async def UpdateRuntimeConfig(self, request: Any, context: Any) -> Any:
        cidrs = request.runtime_config.network_config.pod_cidr
        if cidrs:
            of_ipv4 = [cidr for cidr in cidrs.split(",") if ":" not in cidr]
            if not of_ipv4:
                raise Invalid(f"runtime_config.network_config.pod_cidr: {cidrs}: pods have IPv4 addresses only")
            await self._pods.network.configure(of_ipv4[0])
        return cri.UpdateRuntimeConfigResponse()

    # Sandboxes

    @unary
    async def RunPodSandbox(self, request: Any, context: Any) -> Any:
        fields.check(request)
        identifier = await self._pods.run_sandbox(request.config, request.runtime_handler)
        return cri.RunPodSandboxResponse(pod_sandbox_id=identifier)

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
        ready = self._pods.sandbox_ready(record)
        answer = cri.PodSandboxStatusResponse(
            status=status.sandbox_status(record, ready),
            containers_statuses=[
                status.container_status(container, self._pods.launched(container))
                for container in self._pods.containers_of(record.id)
            ],
            timestamp=time.time_ns(),
        )
        if request.verbose:
            answer.info["info"] = inspect.sandbox(record, self._pods.launched_sandbox(record.id), ready)
        return answer

    @unary
    async def ListPodSandbox(self, request: Any, context: Any) -> Any:
        return cri.ListPodSandboxResponse(items=self._sandboxes(request.filter))

    @streaming
    async def StreamPodSandboxes(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for batch in _batches(self._sandboxes(request.filter)):
            yield cri.StreamPodSandboxesResponse(pod_sandboxes=batch)

    @unary
    async def UpdatePodSandboxResources(self, request: Any, context: Any) -> Any:
        record = self._pods.sandbox(request.pod_sandbox_id)
        fields.check(request)
        limits = specs.sandbox_resources(request.resources, request.overhead)
        self._pods.check_limits(limits)
        await self._launcher.update_sandbox_resources(record.id, limits)
        return cri.UpdatePodSandboxResourcesResponse()

    # Containers

    @unary
    async def CreateContainer(self, request: Any, context: Any) -> Any:
        fields.check(request.config, "config")
        identifier = await self._pods.create_container(request.pod_sandbox_id, request.config)
        return cri.CreateContainerResponse(container_id=identifier)

    @unary
    async def StartContainer(self, request: Any, context: Any) -> Any:
        await self._pods.start_container(request.container_id)
        return cri.StartContainerResponse()

    @unary
    async def StopContainer(self, request: Any, context: Any) -> Any:
        await self._pods.stop_container(request.container_id, float(max(request.timeout, 0)))
        await self._pods.until_told(request.container_id)
        return cri.StopContainerResponse()

    @unary
    async def RemoveContainer(self, request: Any, context: Any) -> Any:
        await self._pods.remove_container(request.container_id)
        return cri.RemoveContainerResponse()

    @unary
    async def ListContainers(self, request: Any, context: Any) -> Any:
        return cri.ListContainersResponse(containers=self._containers(request.filter))

    @streaming
    async def StreamContainers(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for batch in _batches(self._containers(request.filter)):
            yield cri.StreamContainersResponse(containers=batch)

    @unary
    async def ContainerStatus(self, request: Any, context: Any) -> Any:
        """An end is told here once its log is complete: whoever asks for it reads that next."""
        await self._pods.until_told(request.container_id)
        record = self._pods.container(request.container_id)
        launched = self._pods.launched(record)
        answer = cri.ContainerStatusResponse(status=status.container_status(record, launched))
        if request.verbose and launched is not None:
            sandbox = self._pods.launched_sandbox(record.sandbox_id)
            answer.info["info"] = inspect.container(record, launched, sandbox)
        return answer

    @unary
    async def UpdateContainerResources(self, request: Any, context: Any) -> Any:
        record = self._pods.container(request.container_id)
        fields.check(request)
        limits = specs.resources(request.linux)
        self._pods.check_limits(limits)
        await self._launcher.update_resources(record.id, limits, oom_score_adj=request.linux.oom_score_adj or None)
        return cri.UpdateContainerResourcesResponse()

    @unary
    async def ReopenContainerLog(self, request: Any, context: Any) -> Any:
        record = self._pods.container(request.container_id)
        if status.container_state(self._pods.launched(record)) != cri.CONTAINER_RUNNING:
            raise WrongState(f"container {record.id} is not running")
        await self._launcher.reopen_log(record.id)
        return cri.ReopenContainerLogResponse()

    @unary
    async def ExecSync(self, request: Any, context: Any) -> Any:
        record = self._pods.container(request.container_id)
        if not request.cmd:
            raise Invalid("cmd: required")
        timeout_s = float(request.timeout) if request.timeout > 0 else None
        result = await self._launcher.exec(
            record.id, tuple(request.cmd), timeout_s=timeout_s, limit_bytes=MAX_OUTPUT_BYTES
        )
        if result.timed_out:
            await context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED, f"command {list(request.cmd)} timed out after {timeout_s:g} s"
            )
        room = MAX_ANSWER_BYTES - len(result.stdout)
        return cri.ExecSyncResponse(stdout=result.stdout, stderr=result.stderr[:room], exit_code=result.exit_code)

    @unary
    async def Exec(self, request: Any, context: Any) -> Any:
        return cri.ExecResponse(url=self._streams.exec_url(request))

    @unary
    async def Attach(self, request: Any, context: Any) -> Any:
        return cri.AttachResponse(url=self._streams.attach_url(request))

    @unary
    async def PortForward(self, request: Any, context: Any) -> Any:
        return cri.PortForwardResponse(url=self._streams.port_forward_url(request))

    # Statistics

    @unary
    async def ContainerStats(self, request: Any, context: Any) -> Any:
        record = self._pods.container(request.container_id)
        return cri.ContainerStatsResponse(stats=await self._statistics.container(record))

    @unary
    async def ListContainerStats(self, request: Any, context: Any) -> Any:
        return cri.ListContainerStatsResponse(stats=await self._container_stats(request.filter))

    @streaming
    async def StreamContainerStats(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for batch in _batches(await self._container_stats(request.filter)):
            yield cri.StreamContainerStatsResponse(container_stats=batch)

    @unary
    async def PodSandboxStats(self, request: Any, context: Any) -> Any:
        record = self._pods.sandbox(request.pod_sandbox_id)
        return cri.PodSandboxStatsResponse(stats=await self._statistics.sandbox(record))

    @unary
    async def ListPodSandboxStats(self, request: Any, context: Any) -> Any:
        return cri.ListPodSandboxStatsResponse(stats=await self._sandbox_stats(request.filter))

    @streaming
    async def StreamPodSandboxStats(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for batch in _batches(await self._sandbox_stats(request.filter)):
            yield cri.StreamPodSandboxStatsResponse(pod_sandbox_stats=batch)

    @unary
    async def ListMetricDescriptors(self, request: Any, context: Any) -> Any:
        return cri.ListMetricDescriptorsResponse(descriptors=metrics.descriptors())

    @unary
    async def ListPodSandboxMetrics(self, request: Any, context: Any) -> Any:
        return cri.ListPodSandboxMetricsResponse(pod_metrics=await self._metrics())

    @streaming
    async def StreamPodSandboxMetrics(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for batch in _batches(await self._metrics()):
            yield cri.StreamPodSandboxMetricsResponse(pod_sandbox_metrics=batch)

    @streaming
    async def GetContainerEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:
        with self._pods.following() as events:
            await context.send_initial_metadata(())  # the client may know that nothing is missed from now on
            async for event in events:
                yield cri.ContainerEventResponse(
                    container_id=event.container_id or event.sandbox.id,
                    container_event_type=event.kind,
                    created_at=event.at_ns,
                    pod_sandbox_status=status.sandbox_status(event.sandbox, event.ready),
                    containers_statuses=[status.container_status(*container) for container in event.containers],
                )

    # Inside

    def _sandboxes(self, chosen: Any) -> list[Any]:
        items = []
        for record in self._pods.sandboxes.values():
            ready = self._pods.sandbox_ready(record)
            if filters.sandbox_fits(chosen, record, status.sandbox_state(ready)):
                items.append(status.sandbox_item(record, ready))
        return items

    def _containers(self, chosen: Any) -> list[Any]:
        items = []
        for record in self._pods.containers.values():
            launched = self._pods.launched(record)
            if filters.container_fits(chosen, record, status.container_state(launched)):
                items.append(status.container_item(record, launched))
        return items

    async def _container_stats(self, chosen: Any) -> list[Any]:
        """Of those that run; one that is removed meanwhile is left out."""
        self._statistics.keep_only((*self._pods.containers, *self._pods.sandboxes))
        running = [
            record
            for record in self._pods.containers.values()
            if filters.container_fits(chosen, record, cri.CONTAINER_RUNNING)
            and status.container_state(self._pods.launched(record)) == cri.CONTAINER_RUNNING
        ]
        return await _existing(self._statistics.container(record) for record in running)

    async def _sandbox_stats(self, chosen: Any) -> list[Any]:
        self._statistics.keep_only((*self._pods.containers, *self._pods.sandboxes))
        ready = [
            record
            for record in self._pods.sandboxes.values()
            if self._pods.sandbox_ready(record) and filters.sandbox_fits(chosen, record, cri.SANDBOX_READY)
        ]
        return await _existing(self._statistics.sandbox(record) for record in ready)

    async def _metrics(self) -> list[Any]:
        ready = [record for record in self._pods.sandboxes.values() if self._pods.sandbox_ready(record)]
        return await _existing(
            metrics.sandbox(record, self._pods, self._launcher, self._statistics) for record in ready
        )


def _batches(items: list[T]) -> Iterable[list[T]]:
    return (items[start : start + STREAM_BATCH] for start in range(0, len(items), STREAM_BATCH))


async def _existing(asked: Iterable[Any]) -> list[Any]:
    """The answers about what is still there."""
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, NotFound):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]
