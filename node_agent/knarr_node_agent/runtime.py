"""The container runtime over CRI, as the agent needs it: a pod's state as frozen values, and few verbs.

Labels and annotations are the kubelet's, so that any CRI tool shows pods as such. What of a container or a sandbox
cannot change any more (an exit code, a start time, an address) is asked for once.
Source: CRI runtime.v1; Kubernetes ``io.kubernetes.*`` labels.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from knarr_api import grpc_status
from knarr_api.errors import NotFound
from knarr_node_agent.meter import Meter, NoMeter
from knarr_node_agent.podmachine.world import Container, ContainerState, Sandbox
from knarr_node_agent.usage import ContainerSample
from knarr_proto.cri import api_pb2 as cri
from knarr_proto.cri import api_pb2_grpc
from knarr_telemetry import tracing

POD_NAME, POD_NAMESPACE = "io.kubernetes.pod.name", "io.kubernetes.pod.namespace"
POD_UID, CONTAINER_NAME = "io.kubernetes.pod.uid", "io.kubernetes.container.name"
IMAGE_ANNOTATION = "knarr.io/image"
TIMEOUT_S = 30.0
STATUS_TIMEOUT_S = 5.0
SANDBOX_TIMEOUT_S = 60.0
PULL_TIMEOUT_S = 900.0
MESSAGE_BYTES_MAX = 32 << 20
STATES = {
    cri.CONTAINER_CREATED: ContainerState.CREATED,
    cri.CONTAINER_RUNNING: ContainerState.RUNNING,
    cri.CONTAINER_EXITED: ContainerState.EXITED,
    cri.CONTAINER_UNKNOWN: ContainerState.UNKNOWN,
}
LASTING = (cri.CONTAINER_RUNNING, cri.CONTAINER_EXITED)


@dataclass(frozen=True, slots=True)
class PodState:
    """What the runtime has of one pod. namespace and name are empty when it has nothing."""

    uid: str
    namespace: str
    name: str
    sandboxes: tuple[Sandbox, ...]
    runs: Mapping[str, tuple[Container, ...]]

    @property
    def empty(self) -> bool:
        return not self.sandboxes and not self.runs


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is present. user_id and user_name: what it runs as, where it says so."""

    id: str
    user_id: int | None = None
    user_name: str = ""


class Runtime:
    """One CRI endpoint. Every method raises the classes of ``knarr_api.errors``."""

    def __init__(self, runtime: Any, images: Any, close: Callable[[], Awaitable[None]] | None = None) -> None:
        """runtime, images: what has the methods of RuntimeServiceStub and ImageServiceStub."""
        self._runtime = runtime
        self._images = images
        self._close = close
        self._containers: dict[tuple[str, int], Container] = {}
        """By id and CRI state, for states in which nothing changes."""
        self._addresses: dict[str, str] = {}
        """Of sandboxes that are ready."""

    @classmethod
    def dial(cls, endpoint: str, meter: Meter | None = None) -> Runtime:
        """endpoint: ``unix:///…``. Does not connect yet."""
        around = (meter or NoMeter()).runtime
        options = [("grpc.max_receive_message_length", MESSAGE_BYTES_MAX), ("grpc.max_reconnect_backoff_ms", 500)]
        options += [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 50)]
        channel = grpc.aio.insecure_channel(endpoint, options=options)
        runtime, images = api_pb2_grpc.RuntimeServiceStub(channel), api_pb2_grpc.ImageServiceStub(channel)
        return cls(around(runtime), around(images), lambda: channel.close(None))

    async def close(self) -> None:
        if self._close is not None:
            await self._close()

    # The node

    async def version(self) -> tuple[str, str]:
        """Name and version."""
        answer = await self._call(self._runtime.Version, cri.VersionRequest(version="0.1.0"), STATUS_TIMEOUT_S)
        return answer.runtime_name, answer.runtime_version

    async def problems(self) -> list[str]:
        """What keeps it from running pods, one sentence each; raises Unavailable when it does not answer."""
        answer = await self._call(self._runtime.Status, cri.StatusRequest(), STATUS_TIMEOUT_S)
        return [
            f"{condition.type} is false: {condition.message or condition.reason}"
            for condition in answer.status.conditions
            if not condition.status and condition.type in ("RuntimeReady", "NetworkReady")
        ]

    async def has_user_namespaces(self) -> bool:
        answer = await self._call(self._runtime.Status, cri.StatusRequest(), STATUS_TIMEOUT_S)
        return any(handler.features.user_namespaces for handler in answer.runtime_handlers if not handler.name)

    async def set_pod_cidr(self, cidr: str) -> None:
        config = cri.RuntimeConfig(network_config=cri.NetworkConfig(pod_cidr=cidr))
        await self._call(self._runtime.UpdateRuntimeConfig, cri.UpdateRuntimeConfigRequest(runtime_config=config))

    # What is there

    async def pods(self) -> frozenset[str]:
        """The uid of every pod that has a sandbox or a container."""
        sandboxes, containers = await asyncio.gather(
            self._call(self._runtime.ListPodSandbox, cri.ListPodSandboxRequest()),
            self._call(self._runtime.ListContainers, cri.ListContainersRequest()),
        )
        self._forget_all_but({s.id for s in sandboxes.items}, {c.id for c in containers.containers})
        found = {sandbox.metadata.uid for sandbox in sandboxes.items}
        found.update(container.labels.get(POD_UID, "") for container in containers.containers)
        return frozenset(found - {""})

    async def pod(self, uid: str) -> PodState:
        """Everything of one pod; empty when there is nothing."""
        selector = {POD_UID: uid}
        listed, contained = await asyncio.gather(
            self._call(
                self._runtime.ListPodSandbox,
                cri.ListPodSandboxRequest(filter=cri.PodSandboxFilter(label_selector=selector)),
            ),
            self._call(
                self._runtime.ListContainers,
                cri.ListContainersRequest(filter=cri.ContainerFilter(label_selector=selector)),
            ),
        )
        namespace = name = ""
        sandboxes: list[Sandbox] = []
        for item in listed.items:
            namespace, name = item.metadata.namespace, item.metadata.name
            sandbox = await self._sandbox(item)
            if sandbox is not None:
                sandboxes.append(sandbox)
        runs: dict[str, list[Container]] = {}
        for item in contained.containers:
            namespace, name = item.labels.get(POD_NAMESPACE, ""), item.labels.get(POD_NAME, "")
            run = await self._container(item)
            if run is not None:
                runs.setdefault(run.name, []).append(run)
        ordered = {key: tuple(sorted(value, key=lambda run: run.attempt)) for key, value in runs.items()}
        return PodState(uid, namespace, name, tuple(sorted(sandboxes, key=lambda s: s.attempt)), ordered)

    async def samples(self) -> dict[str, ContainerSample]:
        """What each container that runs has used, by id."""
        answer = await self._call(self._runtime.ListContainerStats, cri.ListContainerStatsRequest())
        return {stats.attributes.id: _sample(stats) for stats in answer.stats if stats.cpu.timestamp}

    async def events(self) -> AsyncIterator[str]:
        """Uid of a pod of which something has changed; raises Unavailable when the stream breaks off."""
        try:
            async for event in self._runtime.GetContainerEvents(cri.GetEventsRequest()):
                yield event.pod_sandbox_status.metadata.uid
        except grpc.aio.AioRpcError as error:
            raise grpc_status.from_rpc(error) from error

    async def pod_stats(self) -> Sequence[Any]:
        """What each pod and its containers use now, as CRI's PodSandboxStats."""
        answer = await self._call(self._runtime.ListPodSandboxStats, cri.ListPodSandboxStatsRequest())
        return tuple(answer.stats)

    # Sandboxes and containers

    async def make_sandbox(self, config: cri.PodSandboxConfig) -> str:
        request = cri.RunPodSandboxRequest(config=config)
        return str((await self._call(self._runtime.RunPodSandbox, request, SANDBOX_TIMEOUT_S)).pod_sandbox_id)

    async def stop_sandbox(self, identifier: str) -> None:
        request = cri.StopPodSandboxRequest(pod_sandbox_id=identifier)
        await self._call(self._runtime.StopPodSandbox, request, SANDBOX_TIMEOUT_S)

    async def remove_sandbox(self, identifier: str) -> None:
        request = cri.RemovePodSandboxRequest(pod_sandbox_id=identifier)
        await self._call(self._runtime.RemovePodSandbox, request, SANDBOX_TIMEOUT_S)

    async def create(self, sandbox_id: str, config: cri.ContainerConfig, sandbox: cri.PodSandboxConfig) -> str:
        request = cri.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox)
        return str((await self._call(self._runtime.CreateContainer, request)).container_id)

    async def start(self, identifier: str) -> None:
        await self._call(self._runtime.StartContainer, cri.StartContainerRequest(container_id=identifier))

    async def stop(self, identifier: str, timeout_s: int) -> None:
        """The stop signal, and SIGKILL after ``timeout_s``. Returns when it has ended; of what is gone too."""
        request = cri.StopContainerRequest(container_id=identifier, timeout=timeout_s)
        await self._call(self._runtime.StopContainer, request, timeout_s + TIMEOUT_S)

    async def remove(self, identifier: str) -> None:
        await self._call(self._runtime.RemoveContainer, cri.RemoveContainerRequest(container_id=identifier))

    async def exec(self, identifier: str, command: Sequence[str], timeout_s: float) -> tuple[int, bytes]:
        """Exit code and what it printed. Raises DeadlineExceeded."""
        request = cri.ExecSyncRequest(container_id=identifier, cmd=command, timeout=max(int(timeout_s), 1))
        answer = await self._call(self._runtime.ExecSync, request, timeout_s + STATUS_TIMEOUT_S)
        return answer.exit_code, answer.stdout + answer.stderr

    async def reopen_log(self, identifier: str) -> None:
        await self._call(self._runtime.ReopenContainerLog, cri.ReopenContainerLogRequest(container_id=identifier))

    # Images

    async def image(self, name: str) -> Image | None:
        """None when it is not there. Raises Invalid for a name that is none."""
        answer = await self._call(self._images.ImageStatus, cri.ImageStatusRequest(image=cri.ImageSpec(image=name)))
        image = answer.image
        if not image.id:
            return None
        return Image(image.id, image.uid.value if image.HasField("uid") else None, image.username)

    async def pull(self, name: str, auth: cri.AuthConfig | None = None) -> None:
        request = cri.PullImageRequest(image=cri.ImageSpec(image=name), auth=auth)
        await self._call(self._images.PullImage, request, PULL_TIMEOUT_S)

    # Within

    async def _call(self, method: Any, request: Any, timeout_s: float = TIMEOUT_S) -> Any:
        try:
            return await method(request, timeout=timeout_s, **tracing.options())
        except grpc.aio.AioRpcError as error:
            raise grpc_status.from_rpc(error) from error

    async def _sandbox(self, item: Any) -> Sandbox | None:
        """None: it has gone since it was listed."""
        ready, ip = item.state == cri.SANDBOX_READY, self._addresses.get(item.id, "")
        if ready and item.id not in self._addresses:
            request = cri.PodSandboxStatusRequest(pod_sandbox_id=item.id)
            try:
                status = (await self._call(self._runtime.PodSandboxStatus, request)).status
            except NotFound:
                return None
            ready, ip = status.state == cri.SANDBOX_READY, status.network.ip
            if ready:
                self._addresses[item.id] = ip
        return Sandbox(id=item.id, attempt=item.metadata.attempt, ready=ready, ip=ip)

    async def _container(self, item: Any) -> Container | None:
        """None: it has gone since it was listed."""
        known = self._containers.get((item.id, item.state))
        if known is not None:
            return known
        request = cri.ContainerStatusRequest(container_id=item.id)
        try:
            status = (await self._call(self._runtime.ContainerStatus, request)).status
        except NotFound:
            return None
        found = _value(status, item.pod_sandbox_id)
        if status.state in LASTING:
            self._containers[item.id, status.state] = found
        return found

    def _forget_all_but(self, sandboxes: set[str], containers: set[str]) -> None:
        self._addresses = {key: ip for key, ip in self._addresses.items() if key in sandboxes}
        self._containers = {key: run for key, run in self._containers.items() if key[0] in containers}


def _value(status: Any, sandbox_id: str) -> Container:
    return Container(
        id=status.id,
        name=status.metadata.name,
        attempt=status.metadata.attempt,
        sandbox_id=sandbox_id,
        state=STATES[status.state],
        image=status.annotations.get(IMAGE_ANNOTATION, "") or status.image.image,
        image_id=status.image_ref,
        created_at=_time(status.created_at),
        started_at=_time(status.started_at),
        finished_at=_time(status.finished_at),
        exit_code=status.exit_code,
        reason=status.reason,
        message=status.message[:4096],
        log_path=status.log_path,
    )


def _sample(stats: Any) -> ContainerSample:
    labels = stats.attributes.labels
    return ContainerSample(
        id=stats.attributes.id,
        name=stats.attributes.metadata.name,
        namespace=labels.get(POD_NAMESPACE, ""),
        pod=labels.get(POD_NAME, ""),
        uid=labels.get(POD_UID, ""),
        at_ns=stats.cpu.timestamp,
        cpu_ns=stats.cpu.usage_core_nano_seconds.value,
        memory_bytes=stats.memory.working_set_bytes.value,
    )


def _time(nanoseconds: int) -> datetime.datetime | None:
    return datetime.datetime.fromtimestamp(nanoseconds / 1e9, datetime.UTC) if nanoseconds else None
