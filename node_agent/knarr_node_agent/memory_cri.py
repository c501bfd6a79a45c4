"""A container runtime in memory that speaks CRI messages: for tests and simulations.

``MemoryCri.runtime`` and ``MemoryCri.images`` have the methods of the generated stubs that the agent uses, and keep the
promises of CRI: what is stopped or removed twice is fine, a sandbox that stops takes its containers with it, events
come for every change. What containers do is said by ``programs``; nothing is executed. Takes no time, but for what the
programs take on the clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from knarr_api import errors
from knarr_client.clock import Clock
from knarr_proto.cri import api_pb2 as cri

POD_UID = "io.kubernetes.pod.uid"
KILLED = 128 + 9
TERMINATED = 128 + 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a container does.

    runs_s: None for ever. stops_after_s: after its stop signal, None never. exec: exit code for a command.
    """

    runs_s: float | None = None
    exit_code: int = 0
    stops_after_s: float | None = 0.0
    stop_code: int = TERMINATED
    start_error: str = ""
    reason: str = ""
    exec: Callable[[Sequence[str]], int] = lambda command: 0


@dataclass(slots=True)
class _Sandbox:
    id: str
    config: Any
    created_at: int
    ip: str
    ready: bool = True


@dataclass(slots=True)
class _Container:
    id: str
    sandbox_id: str
    config: Any
    created_at: int
    program: Program
    state: cri.ContainerState = cri.CONTAINER_CREATED
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None


class MemoryCri:
    """programs: by container name; others run for ever. present, pullable: names of images."""

    def __init__(self, clock: Clock) -> None:
        self.programs: dict[str, Program] = {}
        self.present: set[str] = {"busybox"}
        self.pullable: set[str] = set()
        self.users: dict[str, tuple[int | None, str]] = {}
        self.is_down = False
        self.network_ready = True
        self.sandbox_error = ""
        self.pull_s = 0.0
        self.pulls: list[str] = []
        self.executed: list[tuple[str, ...]] = []
        self.sandboxes: dict[str, _Sandbox] = {}
        self.containers: dict[str, _Container] = {}
        self.runtime = _RuntimeService(self)
        self.images = _ImageService(self)
        self.clock = clock
        self._made = 0
        self._listeners: list[asyncio.Queue[Any]] = []

    # For tests

    def running(self) -> list[str]:
        """``pod/container`` of all that run."""
        return sorted(self.label(c) for c in self.containers.values() if c.state == cri.CONTAINER_RUNNING)

    def label(self, container: _Container) -> str:
        return f"{container.config.labels['io.kubernetes.pod.name']}/{container.config.metadata.name}"

    def find(self, label: str) -> _Container:
        """The newest run of ``pod/container``. Raises LookupError."""
        found = [container for container in self.containers.values() if self.label(container) == label]
        if not found:
            raise LookupError(label)
        return max(found, key=lambda container: (container.config.metadata.attempt, container.created_at))

    def end(self, label: str, exit_code: int, reason: str = "") -> None:
        """The container's process ends."""
        self.finish(self.find(label), exit_code, reason)

    def break_events(self) -> None:
        """Every stream of events ends."""
        for listener in self._listeners:
            listener.put_nowait(None)

    # Within

    def now_ns(self) -> int:
        return int(self.clock.now().timestamp() * 1e9)

    def identifier(self) -> str:
        self._made += 1
        return f"{self._made:064x}"

    def check(self) -> None:
        if self.is_down:
            raise errors.Unavailable("connection refused")

    def tell(self, container_id: str, sandbox: _Sandbox | None, kind: cri.ContainerEventType) -> None:
        if sandbox is None:
            return
        status = cri.PodSandboxStatus(id=sandbox.id, metadata=sandbox.config.metadata, labels=sandbox.config.labels)
        event = cri.ContainerEventResponse(
            container_id=container_id, container_event_type=kind, created_at=self.now_ns(), pod_sandbox_status=status
        )
        for listener in self._listeners:
            listener.put_nowait(event)

    async def listen(self) -> AsyncIterator[Any]:
        self.check()
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._listeners.append(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._listeners.remove(queue)
        raise errors.Unavailable("the stream was closed")

    def finish(self, container: _Container, exit_code: int, reason: str = "") -> None:
        if container.state != cri.CONTAINER_RUNNING:
            return
        container.state, container.exit_code = cri.CONTAINER_EXITED, exit_code
        container.reason = reason or ("Completed" if exit_code == 0 else "Error")
        container.finished_at = self.now_ns()
        container.ended.set()
        if container.timer is not None:
            container.timer.cancel()
        self.tell(container.id, self.sandboxes.get(container.sandbox_id), cri.CONTAINER_STOPPED_EVENT)


class _RuntimeService:
    def __init__(self, memory: MemoryCri) -> None:
        self._memory = memory

    async def Version(self, request: Any, timeout: float | None = None) -> Any:
        self._memory.check()
        return cri.VersionResponse(runtime_name="memory", runtime_version="1", runtime_api_version="v1")

    async def Status(self, request: Any, timeout: float | None = None) -> Any:
        self._memory.check()
        conditions = [
            cri.RuntimeCondition(type="RuntimeReady", status=True),
            cri.RuntimeCondition(type="NetworkReady", status=self._memory.network_ready, message="no pod CIDR"),
        ]
        return cri.StatusResponse(status=cri.RuntimeStatus(conditions=conditions))

    async def UpdateRuntimeConfig(self, request: Any, timeout: float | None = None) -> Any:
        self._memory.check()
        self._memory.network_ready = True
        return cri.UpdateRuntimeConfigResponse()

    def GetContainerEvents(self, request: Any) -> AsyncIterator[Any]:
        return self._memory.listen()

    async def RunPodSandbox(self, request: Any, timeout: float | None = None) -> Any:
        memory = self._memory
        memory.check()
        if memory.sandbox_error:
            raise errors.Internal(memory.sandbox_error)
        identifier = memory.identifier()
        number = len(memory.sandboxes) + 2
        sandbox = _Sandbox(identifier, request.config, memory.now_ns(), f"10.244.0.{number % 250 + 2}")
        memory.sandboxes[identifier] = sandbox
        memory.tell(identifier, sandbox, cri.CONTAINER_STARTED_EVENT)
        return cri.RunPodSandboxResponse(pod_sandbox_id=identifier)

    async def StopPodSandbox(self, request: Any, timeout: float | None = None) -> Any:
        memory = self._memory
        memory.check()
        sandbox = memory.sandboxes.get(request.pod_sandbox_id)
        if sandbox is not None and sandbox.ready:
            for container in list(memory.containers.values()):
                if container.sandbox_id == sandbox.id:
                    memory.finish(container, KILLED)
            sandbox.ready = False
            memory.tell(sandbox.id, sandbox, cri.CONTAINER_STOPPED_EVENT)
        return cri.StopPodSandboxResponse()

    async def RemovePodSandbox(self, request: Any, timeout: float | None = None) -> Any:
        memory = self._memory
        await self.StopPodSandbox(cri.StopPodSandboxRequest(pod_sandbox_id=request.pod_sandbox_id))
        sandbox = memory.sandboxes.pop(request.pod_sandbox_id, None)
        for container in list(memory.containers.values()):
            if container.sandbox_id == request.pod_sandbox_id:
                del memory.containers[container.id]
        memory.tell(request.pod_sandbox_id, sandbox, cri.CONTAINER_DELETED_EVENT)
        return cri.RemovePodSandboxResponse()

    async def PodSandboxStatus(self, request: Any, timeout: float | None = None) -> Any:
        self._memory.check()
        sandbox = self._memory.sandboxes.get(request.pod_sandbox_id)
        if sandbox is None:
            raise errors.NotFound(f"no sandbox {request.pod_sandbox_id}")
        return cri.PodSandboxStatusResponse(
            status=cri.PodSandboxStatus(
                id=sandbox.id,
                metadata=sandbox.config.metadata,
                state=_sandbox_state(sandbox),
                created_at=sandbox.created_at,
                network=cri.PodSandboxNetworkStatus(ip=sandbox.ip),
                labels=sandbox.config.labels,
            )
        )

    async def ListPodSandbox(self, request: Any, timeout: float | None = None) -> Any:
        self._memory.check()
        items = [
            cri.PodSandbox(
                id=sandbox.id,
                metadata=sandbox.config.metadata,
                state=_sandbox_state(sandbox),
                created_at=sandbox.created_at,
                labels=sandbox.config.labels,
            )
            for sandbox in self._memory.sandboxes.values()
            if _matches(sandbox.config.labels, request.filter.label_selector)
        ]
        return cri.ListPodSandboxResponse(items=items)

    async def CreateContainer(self, request: Any, timeout: float | None = None) -> Any:
        memory = self._memory
        memory.check()
        sandbox = memory.sandboxes.get(request.pod_sandbox_id)
        if sandbox is None or not sandbox.ready:
            raise errors.NotFound(f"no ready sandbox {request.pod_sandbox_id}")
        if request.config.image.image not in memory.present:
            raise errors.NotFound(f"no image {request.config.image.image}")
        name = request.config.metadata.name
        taken = (name, request.config.metadata.attempt)
        for container in memory.containers.values():
            metadata = container.config.metadata
            if container.sandbox_id == sandbox.id and (metadata.name, metadata.attempt) == taken:
                raise errors.AlreadyExists(f"container {name} of attempt {metadata.attempt} exists")
        made = _Container(
            memory.identifier(),
            sandbox.id,
            request.config,
            memory.now_ns(),
            memory.programs.get(name, Program()),
        )
        memory.containers[made.id] = made
        memory.tell(made.id, sandbox, cri.CONTAINER_CREATED_EVENT)
        return cri.CreateContainerResponse(container_id=made.id)

    async def StartContainer(self, request: Any, timeout: float | None = None) -> Any:
        memory = self._memory
        container = self._get(request.container_id)
        if container.state != cri.CONTAINER_CREATED:
            raise errors.Terminal(f"container {container.id} is not created")
        if container.program.start_error:
            container.state, container.exit_code, container.reason = cri.CONTAINER_EXITED, 128, "StartError"
            container.finished_at = memory.now_ns()
            raise errors.Internal(container.program.start_error)
        container.state, container.started_at = cri.CONTAINER_RUNNING, memory.now_ns()
        memory.tell(container.id, memory.sandboxes.get(container.sandbox_id), cri.CONTAINER_STARTED_EVENT)
        program = container.program
        if program.runs_s is not None:
            loop = asyncio.get_running_loop()
            container.timer = loop.call_later(
                program.runs_s, memory.finish, container, program.exit_code, program.reason
            )
        return cri.StartContainerResponse()

    async def StopContainer(self, request: Any, timeout: float | None = None) -> Any:
        memory = self._memory
        memory.check()
        container = memory.containers.get(request.container_id)
        if container is None or container.state != cri.CONTAINER_RUNNING:
            return cri.StopContainerResponse()
        after_s = container.program.stops_after_s
        if request.timeout <= 0 or after_s is None or after_s > request.timeout:
            await memory.clock.sleep(max(request.timeout, 0))
            memory.finish(container, KILLED)
        else:
            await memory.clock.sleep(after_s)
            memory.finish(container, container.program.stop_code)
        return cri.StopContainerResponse()

    async def RemoveContainer(self, request: Any, timeout: float | None = None) -> Any:
        memory = self._memory
        memory.check()
        container = memory.containers.get(request.container_id)
        if container is not None:
            memory.finish(container, KILLED)
            del memory.containers[container.id]
            memory.tell(container.id, memory.sandboxes.get(container.sandbox_id), cri.CONTAINER_DELETED_EVENT)
        return cri.RemoveContainerResponse()

    async def ListContainers(self, request: Any, timeout: float | None = None) -> Any:
        self._memory.check()
        containers = [
            cri.Container(
                id=container.id,
                pod_sandbox_id=container.sandbox_id,
                metadata=container.config.metadata,
                image=container.config.image,
                state=container.state,
                created_at=container.created_at,
                labels=container.config.labels,
                annotations=container.config.annotations,
            )
            for container in self._memory.containers.values()
            if _matches(container.config.labels, request.filter.label_selector)
        ]
        return cri.ListContainersResponse(containers=containers)

    async def ContainerStatus(self, request: Any, timeout: float | None = None) -> Any:
        container = self._get(request.container_id)
        return cri.ContainerStatusResponse(
            status=cri.ContainerStatus(
                id=container.id,
                metadata=container.config.metadata,
                state=container.state,
                created_at=container.created_at,
                started_at=container.started_at,
                finished_at=container.finished_at,
                exit_code=container.exit_code,
                image=container.config.image,
                image_ref="sha256:0",
                reason=container.reason,
                labels=container.config.labels,
                annotations=container.config.annotations,
            )
        )

    async def ExecSync(self, request: Any, timeout: float | None = None) -> Any:
        container = self._get(request.container_id)
        if container.state != cri.CONTAINER_RUNNING:
            raise errors.Terminal(f"container {container.id} does not run")
        self._memory.executed.append(tuple(request.cmd))
        return cri.ExecSyncResponse(exit_code=container.program.exec(tuple(request.cmd)))

    async def ReopenContainerLog(self, request: Any, timeout: float | None = None) -> Any:
        self._get(request.container_id)
        return cri.ReopenContainerLogResponse()

    def _get(self, identifier: str) -> _Container:
        self._memory.check()
        container = self._memory.containers.get(identifier)
        if container is None:
            raise errors.NotFound(f"no container {identifier}")
        return container


class _ImageService:
    def __init__(self, memory: MemoryCri) -> None:
        self._memory = memory

    async def ImageStatus(self, request: Any, timeout: float | None = None) -> Any:
        memory, name = self._memory, request.image.image
        memory.check()
        if name != name.lower() or " " in name:
            raise errors.Invalid(f'couldn\'t parse image name "{name}"')
        if name not in memory.present:
            return cri.ImageStatusResponse()
        number, user = memory.users.get(name, (0, ""))
        uid = cri.Int64Value(value=number) if number is not None else None
        return cri.ImageStatusResponse(image=cri.Image(id=f"sha256:{name}", uid=uid, username=user))

    async def PullImage(self, request: Any, timeout: float | None = None) -> Any:
        memory, name = self._memory, request.image.image
        memory.check()
        memory.pulls.append(name)
        await memory.clock.sleep(memory.pull_s)
        if name not in memory.pullable:
            raise errors.NotFound(f"{name}: not found")
        memory.present.add(name)
        return cri.PullImageResponse(image_ref=f"sha256:{name}")


def _sandbox_state(sandbox: _Sandbox) -> Any:
    return cri.SANDBOX_READY if sandbox.ready else cri.SANDBOX_NOTREADY


def _matches(labels: Any, selector: Any) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())
