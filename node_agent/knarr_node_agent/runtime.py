"""The container runtime over CRI, as the agent needs it: a pod's state as frozen values, and few verbs.

Labels and annotations are the kubelet's, so that any CRI tool shows pods as such.
Source: CRI runtime.v1; Kubernetes ``io.kubernetes.*`` labels.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from knarr_api import grpc_status
from knarr_api.errors import NotFound
from knarr_node_agent.podmachine.world import Container, ContainerState, Sandbox
from knarr_proto.cri import api_pb2 as cri
from knarr_proto.cri import api_pb2_grpc

POD_NAME, POD_NAMESPACE = "io.kubernetes.pod.name", "io.kubernetes.pod.namespace"
POD_UID, CONTAINER_NAME = "io.kubernetes.pod.uid", "io.kubernetes.container.name"
IMAGE_ANNOTATION = "knarr.io/image"
TIMEOUT_S = 30.0
STATES = {
    cri.CONTAINER_CREATED: ContainerState.CREATED,
    cri.CONTAINER_RUNNING: ContainerState.RUNNING,
    cri.CONTAINER_EXITED: ContainerState.EXITED,
    cri.CONTAINER_UNKNOWN: ContainerState.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class PodState:
    """What the runtime has of one pod."""

    uid: str
    namespace: str
    name: str
    sandboxes: tuple[Sandbox, ...]
    runs: Mapping[str, tuple[Container, ...]]


class Runtime:
    """One CRI endpoint, ``unix:///…``. Every method raises the classes of ``knarr_api.errors``."""

    def __init__(self, endpoint: str) -> None:
        options = [("grpc.max_receive_message_length", 32 << 20), ("grpc.max_reconnect_backoff_ms", 1000)]
        self._channel = grpc.aio.insecure_channel(endpoint, options=options)
        self._runtime: Any = api_pb2_grpc.RuntimeServiceStub(self._channel)
        self._images: Any = api_pb2_grpc.ImageServiceStub(self._channel)

    async def close(self) -> None:
        await self._channel.close(None)

    async def version(self) -> tuple[str, str]:
        """Name and version."""
        answer = await self._call(self._runtime.Version, cri.VersionRequest(version="0.1.0"))
        return answer.runtime_name, answer.runtime_version

    async def problems(self) -> list[str]:
        """What keeps it from running pods, one sentence each; raises Unavailable when it does not answer."""
        answer = await self._call(self._runtime.Status, cri.StatusRequest(), timeout_s=5.0)
        return [
            f"{condition.type} is false: {condition.message or condition.reason}"
            for condition in answer.status.conditions
            if not condition.status and condition.type in ("RuntimeReady", "NetworkReady")
        ]

    async def set_pod_cidr(self, cidr: str) -> None:
        config = cri.RuntimeConfig(network_config=cri.NetworkConfig(pod_cidr=cidr))
        await self._call(self._runtime.UpdateRuntimeConfig, cri.UpdateRuntimeConfigRequest(runtime_config=config))

    async def pods(self) -> dict[str, tuple[str, str]]:
        """(namespace, name) of every pod uid that has a sandbox or a container."""
        sandboxes = await self._call(self._runtime.ListPodSandbox, cri.ListPodSandboxRequest())
        containers = await self._call(self._runtime.ListContainers, cri.ListContainersRequest())
        found = {s.metadata.uid: (s.metadata.namespace, s.metadata.name) for s in sandboxes.items}
        for container in containers.containers:
            labels = container.labels
            found.setdefault(labels[POD_UID], (labels[POD_NAMESPACE], labels[POD_NAME]))
        return found

    async def pod(self, uid: str) -> PodState:
        """Everything of one pod; empty when there is nothing."""
        selector = {POD_UID: uid}
        listed = await self._call(
            self._runtime.ListPodSandbox,
            cri.ListPodSandboxRequest(filter=cri.PodSandboxFilter(label_selector=selector)),
        )
        sandboxes: list[Sandbox] = []
        namespace = name = ""
        for item in listed.items:
            namespace, name = item.metadata.namespace, item.metadata.name
            ready = item.state == cri.SANDBOX_READY
            ip = ""
            if ready:
                try:
                    answer = await self._call(
                        self._runtime.PodSandboxStatus, cri.PodSandboxStatusRequest(pod_sandbox_id=item.id)
                    )
                except NotFound:
                    continue
                ready = answer.status.state == cri.SANDBOX_READY
                ip = answer.status.network.ip
            sandboxes.append(Sandbox(id=item.id, attempt=item.metadata.attempt, ready=ready, ip=ip))
        containers = await self._call(
            self._runtime.ListContainers,
            cri.ListContainersRequest(filter=cri.ContainerFilter(label_selector=selector)),
        )
        runs: dict[str, list[Container]] = {}
        for item in containers.containers:
            namespace, name = item.labels[POD_NAMESPACE], item.labels[POD_NAME]
            try:
                answer = await self._call(
                    self._runtime.ContainerStatus, cri.ContainerStatusRequest(container_id=item.id)
                )
            except NotFound:
                continue
            run = _container(answer.status, item.pod_sandbox_id)
            runs.setdefault(run.name, []).append(run)
        ordered = {key: tuple(sorted(value, key=lambda run: run.attempt)) for key, value in runs.items()}
        return PodState(uid, namespace, name, tuple(sorted(sandboxes, key=lambda s: s.attempt)), ordered)

    async def events(self) -> AsyncIterator[str]:
        """Uid of a pod of which something has changed; raises Unavailable when the stream breaks off."""
        try:
            async for event in self._runtime.GetContainerEvents(cri.GetEventsRequest()):
                yield event.pod_sandbox_status.metadata.uid
        except grpc.aio.AioRpcError as error:
            raise grpc_status.from_rpc(error) from error

    async def make_sandbox(self, config: cri.PodSandboxConfig) -> str:
        answer = await self._call(self._runtime.RunPodSandbox, cri.RunPodSandboxRequest(config=config))
        return str(answer.pod_sandbox_id)

    async def stop_sandbox(self, identifier: str) -> None:
        await self._call(self._runtime.StopPodSandbox, cri.StopPodSandboxRequest(pod_sandbox_id=identifier))

    async def remove_sandbox(self, identifier: str) -> None:
        await self._call(self._runtime.RemovePodSandbox, cri.RemovePodSandboxRequest(pod_sandbox_id=identifier))

    async def create(self, sandbox_id: str, config: cri.ContainerConfig, sandbox: cri.PodSandboxConfig) -> str:
        request = cri.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox)
        return str((await self._call(self._runtime.CreateContainer, request)).container_id)

    async def start(self, identifier: str) -> None:
        await self._call(self._runtime.StartContainer, cri.StartContainerRequest(container_id=identifier))

    async def stop(self, identifier: str, timeout_s: int) -> None:
        request = cri.StopContainerRequest(container_id=identifier, timeout=timeout_s)
        await self._call(self._runtime.StopContainer, request, timeout_s=timeout_s + TIMEOUT_S)

    async def remove(self, identifier: str) -> None:
        await self._call(self._runtime.RemoveContainer, cri.RemoveContainerRequest(container_id=identifier))

    async def exec(self, identifier: str, command: Sequence[str], timeout_s: float) -> tuple[int, bytes]:
        """Exit code and what it printed. Raises DeadlineExceeded."""
        request = cri.ExecSyncRequest(container_id=identifier, cmd=command, timeout=max(int(timeout_s), 1))
        answer = await self._call(self._runtime.ExecSync, request, timeout_s=timeout_s + 5.0)
        return answer.exit_code, answer.stdout + answer.stderr

    async def image(self, name: str) -> str:
        """The image's id, empty when it is not there."""
        request = cri.ImageStatusRequest(image=cri.ImageSpec(image=name))
        return str((await self._call(self._images.ImageStatus, request)).image.id)

    async def pull(self, name: str) -> None:
        request = cri.PullImageRequest(image=cri.ImageSpec(image=name))
        await self._call(self._images.PullImage, request, timeout_s=600.0)

    async def _call(self, method: Any, request: Any, *, timeout_s: float = TIMEOUT_S) -> Any:
        try:
            return await method(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise grpc_status.from_rpc(error) from error


def _container(status: Any, sandbox_id: str) -> Container:
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
    )


def _time(nanoseconds: int) -> datetime.datetime | None:
    return datetime.datetime.fromtimestamp(nanoseconds / 1e9, datetime.UTC) if nanoseconds else None
