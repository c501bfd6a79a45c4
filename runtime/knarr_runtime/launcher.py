"""The daemon's hand on the processes: sandboxes, containers, exec, exits. The one interface above zygote and shims.

    launcher = Launcher(LauncherSettings(state_dir=Path("/run/knarr"), cgroup_root="knarr"))
    await launcher.start()
    recovered = await launcher.recover()            # before anything else
    async with asyncio.TaskGroup() as group:
        group.create_task(consume(launcher.events()))
        await launcher.create_sandbox(sandbox)
        await launcher.configure_network("pod1", NetworkConfig(address="10.244.1.5/24", gateway="10.244.1.1"))
        await launcher.create_container(container)  # state and cgroups made; no process yet
        await launcher.start_container("c1")        # it runs now, or StartFailed (127, 126)
    await launcher.close()                          # containers go on

States: a sandbox is READY until it is stopped or its shim dies, then NOT_READY until removed. A container is
CREATED → RUNNING → EXITED → removed; a start that fails goes CREATED → EXITED with exit code 127, 126 or 128.

All errors are those of :mod:`knarr_runtime.errors`. Every method may be called concurrently; calls for one container
take effect in the order in which they were made.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import functools
import json
import logging
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from knarr_runtime import attach_session, channel, layout, pod_socket, remains, start_request, sysctls
from knarr_runtime.attach_session import AttachSession
from knarr_runtime.channel import Message
from knarr_runtime.errors import (
    AlreadyExists,
    Invalid,
    KernelRefused,
    NotFound,
    RuntimeFailure,
    StartFailed,
    Unavailable,
    WrongState,
)
from knarr_runtime.exec_session import ExecSession, Output, feed
from knarr_runtime.kernel import bpf_devices, capabilities, process
from knarr_runtime.kernel.cgroup import DeviceRule, Usage
from knarr_runtime.node import Node
from knarr_runtime.peer import Peer
from knarr_runtime.spec import (
    SECCOMP_DEFAULT,
    SECCOMP_UNCONFINED,
    ContainerSpec,
    NetworkConfig,
    Resources,
    SandboxSpec,
    User,
)
from knarr_runtime.start_request import StartRequest

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_LOG_WAIT_S = 0.05
_RECORD_WAIT_S = 0.3
_POLL_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class LauncherSettings:
    """state_dir: owned by this launcher alone. cgroup_root: relative, below the cgroup the daemon was started in."""

    state_dir: Path
    cgroup_root: str = "knarr"
    python: str = sys.executable
    request_timeout_s: float = 30.0


class SandboxState(enum.Enum):
    READY = "ready"
    NOT_READY = "not_ready"


class ContainerState(enum.Enum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """pid and start_time (clock ticks since boot) of the shim; netns_path is "" with the host's network."""

    spec: SandboxSpec
    state: SandboxState
    pid: int = 0
    start_time: int = 0
    netns_path: str = ""
    created_at_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a container ended. exit_code is 128 + signal when a signal killed it; reason is "" unless starting failed."""

    exit_code: int
    signal: int
    oom_killed: bool
    finished_at_ns: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    spec: ContainerSpec
    state: ContainerState
    pid: int = 0
    start_time: int = 0
    created_at_ns: int = 0
    started_at_ns: int = 0
    exit: Exit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    pid: int
    started_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerExited:
    id: str
    sandbox_id: str
    exit_code: int
    signal: int
    oom_killed: bool
    finished_at_ns: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxExited:
    """The shim is gone, asked for or not; ContainerExited of its containers came before."""

    id: str


Event = ContainerExited | SandboxExited


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    sandboxes: tuple[Sandbox, ...]
    containers: tuple[Container, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecResult:
    """timed_out: the process group was killed, exit_code is 137. truncated: output beyond the limit was dropped."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What a container's (or pod's) cgroup had used at ``at_ns``. processes: pids in it and below."""

    at_ns: int
    usage: Usage
    processes: tuple[int, ...] = ()


class _Sandbox:
    def __init__(self, spec: SandboxSpec, directory: str) -> None:
        self.value = Sandbox(spec=spec, state=SandboxState.NOT_READY)
        self.directory = directory
        self.shim: Peer | None = None
        self.ending = False
        self.lost = asyncio.Event()
        self.lock = asyncio.Lock()


class _Container:
    def __init__(self, value: Container, directory: str) -> None:
        self.value = value
        self.directory = directory
        self.exited = asyncio.Event()
        self.started = asyncio.Event()
        """The program was executed at some time."""
        if value.state is not ContainerState.CREATED:
            self.started.set()
        self.lock = asyncio.Lock()
        self.told = asyncio.Event()
        """Not set while its exit is on the way to the events."""
        self.told.set()
        self.log_finished = False
        self.request: StartRequest | None = None
        """Made by create, until start takes it; a daemon restarted between makes it anew."""
        if value.exit is not None:
            self.exited.set()

    def close_request(self) -> None:
        if self.request is not None:
            self.request.close()
        self.request = None


class Launcher:
    def __init__(self, settings: LauncherSettings) -> None:
        self.settings = settings
        self._sandboxes: dict[str, _Sandbox] = {}
        self._containers: dict[str, _Container] = {}
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._execs: dict[str, asyncio.Future[int]] = {}
        self._last_exec = 0
        self._filters = start_request.Filters()
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="launcher")
        self._background: asyncio.TaskGroup | None = None
        self._background_task: asyncio.Task[None] | None = None
        self._node: Node

    async def start(self) -> None:
        """Connects to the zygote of ``state_dir``, starting it if there is none; also the log reader."""
        self._node = Node(
            self.settings.state_dir, self.settings.cgroup_root, self.settings.python, self._on_zygote_event
        )
        await self._node.open()
        ready = asyncio.Event()
        self._background_task = asyncio.create_task(self._run_background(ready), name="launcher")
        await ready.wait()

    async def _run_background(self, ready: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            self._background = group
            group.create_task(self._node.supervise())
            ready.set()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        if self._background is None:
            coroutine.close()
            return
        self._background.create_task(_guarded(coroutine))

    async def _in_thread(self, function: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def close(self) -> None:
        """Lets go of zygote and shims; everything goes on without the daemon."""
        self._background = None
        if self._background_task is not None:
            self._background_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._background_task
            self._background_task = None
        for sandbox in self._sandboxes.values():
            if sandbox.shim is not None:
                sandbox.shim.close()
        for container in self._containers.values():
            container.close_request()
        self._node.close()
        self._events.put_nowait(None)
        self._threads.shutdown(wait=False)

    async def destroy(self) -> None:
        """Kills and removes all sandboxes, the log reader and the zygote, and the cgroup root."""
        for sandbox_id in tuple(self._sandboxes):
            await self.remove_sandbox(sandbox_id)
        if self._background_task is not None:
            self._background = None
            self._background_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._background_task
            self._background_task = None
        await self._node.destroy(self.settings.request_timeout_s)
        await self.close()

    async def events(self) -> AsyncIterator[Event]:
        """Exits in the order they happened, each once; ends with ``close``. One consumer.

        A container's event comes when its log is complete (or after 50 ms, should the disk be slow).
        """
        while (event := await self._events.get()) is not None:
            yield event

    def sandboxes(self) -> Mapping[str, Sandbox]:
        """All known sandboxes, from memory."""
        return {identifier: sandbox.value for identifier, sandbox in self._sandboxes.items()}

    def containers(self) -> Mapping[str, Container]:
        """All known containers, from memory."""
        return {identifier: container.value for identifier, container in self._containers.items()}

    @property
    def cgroup_version(self) -> int:
        return self._node.cgroups.version

    def conditions(self) -> tuple[str, ...]:
        """What this kernel or these privileges do not allow, one sentence each (no CAP_SYS_RESOURCE …)."""
        missing = []
        effective = capabilities.effective_here()
        if not effective >> capabilities.NUMBER["CAP_SYS_RESOURCE"] & 1:
            missing.append("without CAP_SYS_RESOURCE oom_score_adj is not lowered and hard rlimits are not raised")
        if self._node.cgroups.version == 2 and not bpf_devices.permitted():
            missing.append("without CAP_BPF access to devices is restricted only by what is in /dev")
        return tuple(missing)

    # --- recovery ---

    async def recover(self) -> Recovered:
        """What exists, from the disk and the kernel: to be called once after ``start``.

        Exits that happened while nobody listened are in the result and not repeated by ``events``. Sandboxes and
        containers half made when the last daemon died are removed. A container whose record cannot be told (the
        machine was restarted, the record is damaged) comes as EXITED with exit code 255; what has lost its spec is
        removed.
        """
        for name in layout.names(f"{self._node.state_dir}/{layout.SANDBOXES}"):
            await self._recover_sandbox(name)
        return Recovered(sandboxes=tuple(self.sandboxes().values()), containers=tuple(self.containers().values()))

    async def _recover_sandbox(self, name: str) -> None:
        directory = layout.sandbox_directory(self._node.state_dir, name)
        spec, spec_damaged = remains.read(directory, layout.SANDBOX_SPEC, _sandbox_spec)
        shim, shim_damaged = remains.read(directory, layout.SHIM_RECORD, _shim_record)
        if spec_damaged or shim_damaged:
            await self._remove_damaged(name, directory, spec)
            return
        if spec is None or shim is None:
            if spec is not None:
                await self._abandon(name)
                await self._remove_cgroup(spec.cgroup_parent)
            await self._in_thread(_remove_tree, directory)
            return
        sandbox = _Sandbox(spec, directory)
        sandbox.value = replace(sandbox.value, created_at_ns=shim["created_at_ns"])
        self._sandboxes[name] = sandbox
        running: dict[str, Message] = {}
        if not self._node.rebooted and process.is_same(shim["pid"], shim["start_time"]):
            try:
                await self._connect_shim(sandbox, shim["pid"], shim["start_time"])
                running = await self._ask_running(sandbox)
            except (RuntimeFailure, OSError):
                self._disconnect(sandbox)
        for container_id in layout.names(f"{directory}/{layout.CONTAINERS}"):
            await self._recover_container(sandbox, container_id, running.get(container_id))
        if sandbox.shim is None:
            await self._kill_unsupervised(sandbox)
            sandbox.lost.set()

    async def _remove_damaged(self, name: str, directory: str, spec: SandboxSpec | None) -> None:
        """Of a sandbox whose own records cannot be read: its shim, if it lives, is asked to end everything in it."""
        _log.warning("sandbox %s is removed: its records are damaged", name)
        try:
            sock, _ = channel.connect(directory, layout.SHIM_SOCKET)
        except OSError:
            await self._abandon(name)
        else:
            ended = asyncio.Event()
            shim = Peer(sock, f"sandbox {name}", on_close=ended.set)
            with contextlib.suppress(Unavailable, TimeoutError):
                await shim.request("stop", timeout_s=self.settings.request_timeout_s)
                await asyncio.wait_for(ended.wait(), self.settings.request_timeout_s)
            shim.close()
        parents = {spec.cgroup_parent} if spec is not None else set()
        for container_id in layout.names(f"{directory}/{layout.CONTAINERS}"):
            container = f"{directory}/{layout.CONTAINERS}/{container_id}"
            held, _ = remains.read(container, layout.CONTAINER_SPEC, _container_spec)
            if held is not None:
                parents.add(os.path.dirname(held[0].cgroup))
        for parent in parents:
            await self._remove_cgroup(parent)
        await self._in_thread(_remove_tree, directory)

    async def _ask_running(self, sandbox: _Sandbox) -> dict[str, Message]:
        assert sandbox.shim is not None
        reply = await sandbox.shim.request("list", timeout_s=self.settings.request_timeout_s)
        return {str(one["container"]): one for one in reply["containers"] if one["ended"] is None}

    async def _recover_container(self, sandbox: _Sandbox, container_id: str, running: Message | None) -> None:
        directory = f"{sandbox.directory}/{layout.CONTAINERS}/{container_id}"
        record, damaged = remains.read(directory, layout.CONTAINER_SPEC, _container_spec)
        if record is None:
            if damaged:
                await self._kill_unknown(sandbox, container_id)
            await self._in_thread(_remove_tree, directory)
            return
        value = Container(spec=record[0], state=ContainerState.CREATED, created_at_ns=record[1])
        began, began_damaged = remains.read(directory, layout.PROCESS_RECORD, _process_record)
        ended, end_damaged = remains.read(directory, layout.EXIT_RECORD, _exit)
        if began is None and running is not None:
            began = {**_identity(running), "started_at_ns": time.time_ns()}
        if began is not None:
            value = replace(
                value,
                state=ContainerState.RUNNING,
                pid=began["pid"],
                start_time=began["start_time"],
                started_at_ns=began["started_at_ns"],
            )
        elif began_damaged or end_damaged:
            value = replace(value, state=ContainerState.RUNNING)  # it ran; that it does no more is found below
        if end_damaged:
            os.unlink(f"{directory}/{layout.EXIT_RECORD}")
        if ended is not None:
            value = replace(value, state=ContainerState.EXITED, exit=ended)
        container = _Container(value, directory)
        self._containers[container_id] = container
        if value.state is ContainerState.EXITED:
            self._spawn(self._finish_log(container))
        elif value.state is ContainerState.RUNNING and running is None:
            await self._lost_container(sandbox, container, announce=False)

    async def _kill_unknown(self, sandbox: _Sandbox, container_id: str) -> None:
        """A container that only its shim knows, if it has one. Its cgroup goes with its sandbox's."""
        _log.warning("container %s is removed: its record is damaged", container_id)
        if sandbox.shim is None:
            return
        deadline_s = time.monotonic() + self.settings.request_timeout_s
        with contextlib.suppress(NotFound, Unavailable, WrongState):
            await sandbox.shim.request("kill", container=container_id, timeout_s=self.settings.request_timeout_s)
            while time.monotonic() < deadline_s and container_id in await self._ask_running(sandbox):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)  # it is in no table, so its event goes nowhere
            await sandbox.shim.request("release", container=container_id, timeout_s=self.settings.request_timeout_s)

    async def _connect_shim(self, sandbox: _Sandbox, pid: int, start_time: int) -> None:
        """Raises Unavailable if nobody, or somebody else, listens on its socket."""
        try:
            sock, peer = channel.connect(sandbox.directory, layout.SHIM_SOCKET)
        except OSError as error:
            raise Unavailable(f"sandbox {sandbox.value.spec.id}: {error.strerror}") from error
        if peer != pid:
            sock.close()
            raise Unavailable(f"sandbox {sandbox.value.spec.id}: its socket belongs to process {peer}, not {pid}")
        sandbox.shim = Peer(
            sock,
            f"sandbox {sandbox.value.spec.id}",
            on_event=self._on_shim_event,
            on_close=lambda: self._spawn(self._shim_closed(sandbox)),
        )
        host = sandbox.value.spec.namespaces.net == "host"
        sandbox.value = replace(
            sandbox.value,
            state=SandboxState.READY,
            pid=pid,
            start_time=start_time,
            netns_path="" if host else f"/proc/{pid}/ns/net",
        )

    def _disconnect(self, sandbox: _Sandbox) -> None:
        if sandbox.shim is not None:
            sandbox.shim.close()
        sandbox.shim = None
        sandbox.value = replace(sandbox.value, state=SandboxState.NOT_READY)

    # --- what zygote and shims tell ---

    def _on_zygote_event(self, message: Message) -> None:
        if message["event"] == "exit":
            self._on_exit(message)

    def _on_shim_event(self, message: Message) -> None:
        if message["event"] == "exit":
            self._on_exit(message)
        elif message["event"] == "exec_exit":
            waiting = self._execs.pop(str(message["exec"]), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(int(message["exit_code"]))

    def _on_exit(self, message: Message) -> None:
        container = self._containers.get(str(message["container"]))
        if container is None or container.value.state is ContainerState.EXITED:
            return
        container.told.clear()
        self._set_exited(container, _exit(message))
        self._spawn(self._announce(container))

    def _set_exited(self, container: _Container, ended: Exit) -> None:
        container.value = replace(container.value, state=ContainerState.EXITED, exit=ended)
        container.exited.set()

    async def _announce(self, container: _Container) -> None:
        try:
            with contextlib.suppress(TimeoutError):  # it goes on; only the event does not wait for it
                async with asyncio.timeout(_LOG_WAIT_S):
                    await self._finish_log(container)
        finally:
            self._tell(container)

    def _tell(self, container: _Container) -> None:
        value = container.value
        assert value.exit is not None
        self._events.put_nowait(
            ContainerExited(
                id=value.spec.id,
                sandbox_id=value.spec.sandbox_id,
                exit_code=value.exit.exit_code,
                signal=value.exit.signal,
                oom_killed=value.exit.oom_killed,
                finished_at_ns=value.exit.finished_at_ns,
                reason=value.exit.reason,
            )
        )
        container.told.set()

    async def _finish_log(self, container: _Container) -> None:
        """Returns when the log is complete, or when there is no reader to complete it now (its successor will)."""
        spec = container.value.spec
        if not spec.log_path or self._node.logs is None or container.log_finished:
            return
        with contextlib.suppress(RuntimeFailure):
            await self._node.logs.request(
                "finish", sandbox=spec.sandbox_id, container=spec.id, timeout_s=self.settings.request_timeout_s
            )
            container.log_finished = container.value.exit is not None

    async def _shim_closed(self, sandbox: _Sandbox) -> None:
        """Its connection ended: because it ended, or because we did not read fast enough."""
        value = sandbox.value
        sandbox.shim = None
        if value.state is SandboxState.READY and process.is_same(value.pid, value.start_time):
            try:
                await self._connect_shim(sandbox, value.pid, value.start_time)
                running = await self._ask_running(sandbox)
            except RuntimeFailure:
                self._disconnect(sandbox)
            else:
                for container in self._containers_of(value.spec.id):
                    if container.value.state is ContainerState.RUNNING and container.value.spec.id not in running:
                        await self._lost_container(sandbox, container, announce=True)
                return
        if sandbox.ending:
            return
        sandbox.ending = True
        sandbox.value = replace(sandbox.value, state=SandboxState.NOT_READY)
        try:
            await self._kill_unsupervised(sandbox)
            for container in self._containers_of(value.spec.id):
                if container.value.state is ContainerState.RUNNING:
                    await self._lost_container(sandbox, container, announce=True)
                await container.told.wait()
        finally:
            sandbox.lost.set()
            self._events.put_nowait(SandboxExited(id=value.spec.id))

    async def _kill_unsupervised(self, sandbox: _Sandbox) -> None:
        parent = sandbox.value.spec.cgroup_parent
        if parent and self._node.cgroups.exists(parent):
            await self._in_thread(self._node.cgroups.kill, parent)

    async def _lost_container(self, sandbox: _Sandbox, container: _Container, *, announce: bool) -> None:
        """It runs no more, or without a shim: kills it, and waits for a record of its exit before making one up."""
        value = container.value
        if sandbox.shim is None and process.is_same(value.pid, value.start_time):
            process.kill(value.pid, signal.SIGKILL)
            if value.spec.cgroup:
                await self._in_thread(self._node.cgroups.kill, value.spec.cgroup)
        deadline_s = time.monotonic() + _RECORD_WAIT_S
        record = layout.read(container.directory, layout.EXIT_RECORD)
        while record is None and time.monotonic() < deadline_s:
            await asyncio.sleep(_POLL_S)
            record = layout.read(container.directory, layout.EXIT_RECORD)
        if record is None:
            record = {
                "exit_code": 255,
                "signal": 0,
                "oom_killed": False,
                "finished_at_ns": time.time_ns(),
                "reason": "the machine was restarted" if self._node.rebooted else "the sandbox's shim was killed",
            }
            layout.write(container.directory, layout.EXIT_RECORD, record)
        if container.value.state is not ContainerState.EXITED:
            self._set_exited(container, _exit(record))
            if announce:
                await self._announce(container)

    def _containers_of(self, sandbox_id: str) -> list[_Container]:
        return [one for one in self._containers.values() if one.value.spec.sandbox_id == sandbox_id]

    # --- sandboxes ---

    def _sandbox(self, sandbox_id: str) -> _Sandbox:
        found = self._sandboxes.get(sandbox_id)
        if found is None:
            raise NotFound(f"sandbox {sandbox_id!r} not found")
        return found

    def _shim(self, sandbox_id: str) -> Peer:
        sandbox = self._sandbox(sandbox_id)
        if sandbox.shim is None or sandbox.value.state is not SandboxState.READY:
            raise WrongState(f"sandbox {sandbox_id!r} is not ready")
        return sandbox.shim

    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox:
        """Makes the pod's cgroup and its shim with new namespaces. Raises AlreadyExists, Invalid."""
        if spec.id in self._sandboxes:
            raise AlreadyExists(f"sandbox {spec.id!r} exists already")
        sysctls.check(spec)
        directory = layout.sandbox_directory(self._node.state_dir, spec.id)
        sandbox = _Sandbox(spec, directory)
        self._sandboxes[spec.id] = sandbox
        try:
            await self._in_thread(self._prepare_sandbox, spec, directory)
            if self._node.zygote is None:
                raise Unavailable("the zygote is being restarted")
            reply, _ = await _all(
                self._node.zygote.request(
                    "create_sandbox", spec=spec.to_json(), timeout_s=self.settings.request_timeout_s
                ),
                self._in_thread(self._create_cgroup, spec.cgroup_parent, spec.resources, None),
            )
            await self._connect_shim(sandbox, int(reply["pid"]), int(reply["start_time"]))
        except BaseException:
            del self._sandboxes[spec.id]
            self._spawn(self._undo_sandbox(sandbox))
            raise
        sandbox.value = replace(sandbox.value, created_at_ns=time.time_ns())
        return sandbox.value

    def _prepare_sandbox(self, spec: SandboxSpec, directory: str) -> None:
        try:
            os.makedirs(f"{directory}/{layout.CONTAINERS}", 0o700)
        except FileExistsError as error:
            raise AlreadyExists(f"sandbox {spec.id!r} exists already") from error
        layout.write(directory, layout.SANDBOX_SPEC, {"spec": spec.to_json()})

    def _create_cgroup(self, path: str, resources: Resources, devices: Sequence[DeviceRule] | None) -> None:
        if not path:
            return
        try:
            self._node.cgroups.create(path, resources, devices)
        except OSError as error:
            raise KernelRefused(f"cgroup {error.filename}: {error.strerror}") from error

    async def _undo_sandbox(self, sandbox: _Sandbox) -> None:
        """After a failed create: also of a shim that may have started meanwhile."""
        self._disconnect(sandbox)
        await self._abandon(sandbox.value.spec.id)
        with contextlib.suppress(RuntimeFailure):
            await self._remove_cgroup(sandbox.value.spec.cgroup_parent)
        await self._in_thread(_remove_tree, sandbox.directory)

    async def _abandon(self, sandbox_id: str) -> None:
        """Of a sandbox that is not to be: a shim that exists or is just coming into being."""
        if self._node.zygote is not None:
            with contextlib.suppress(RuntimeFailure):  # a shim that cannot tell its zygote that it is ready ends itself
                await self._node.zygote.request(
                    "abandon", sandbox=sandbox_id, timeout_s=self.settings.request_timeout_s
                )

    async def configure_network(self, sandbox_id: str, config: NetworkConfig) -> None:
        """Brings up lo and, with an address, the link ``config.ifname`` which must already be in the sandbox."""
        shim = self._shim(sandbox_id)
        await shim.request("network", config=asdict(config), timeout_s=self.settings.request_timeout_s)

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kills everything in it and ends its shim (and so its network namespace). Idempotent."""
        sandbox = self._sandbox(sandbox_id)
        async with sandbox.lock:
            if sandbox.shim is not None:
                with contextlib.suppress(Unavailable):
                    await sandbox.shim.request("stop", timeout_s=self.settings.request_timeout_s)
            elif sandbox.value.state is SandboxState.NOT_READY:
                return
            try:
                async with asyncio.timeout(self.settings.request_timeout_s):
                    await sandbox.lost.wait()
            except TimeoutError as error:
                raise Unavailable(f"sandbox {sandbox_id!r} does not end") from error

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Stops it, removes its containers, cgroups and state. Idempotent: an unknown sandbox is no error."""
        if sandbox_id not in self._sandboxes:
            return
        sandbox = self._sandboxes[sandbox_id]
        await self.stop_sandbox(sandbox_id)
        for container in self._containers_of(sandbox_id):
            await self.remove_container(container.value.spec.id)
        await self._remove_cgroup(sandbox.value.spec.cgroup_parent)
        await self._in_thread(_remove_tree, sandbox.directory)
        self._sandboxes.pop(sandbox_id, None)

    async def _remove_cgroup(self, path: str) -> None:
        """Waits for dying processes to leave it. Raises Unavailable if some never do."""
        if not path:
            return
        deadline_s = time.monotonic() + self.settings.request_timeout_s
        while not await self._in_thread(self._node.cgroups.remove, path):
            if time.monotonic() > deadline_s:
                raise Unavailable(f"processes remain in cgroup {path}")
            await self._in_thread(self._node.cgroups.kill, path)
            await asyncio.sleep(_POLL_S)

    # --- containers ---

    def _container(self, container_id: str) -> _Container:
        found = self._containers.get(container_id)
        if found is None:
            raise NotFound(f"container {container_id!r} not found")
        return found

    async def create_container(self, spec: ContainerSpec) -> Container:
        """Checks the spec, makes its cgroup with limits and its state on disk. Raises AlreadyExists, NotFound."""
        sandbox = self._sandbox(spec.sandbox_id)
        self._shim(spec.sandbox_id)
        if spec.id in self._containers:
            raise AlreadyExists(f"container {spec.id!r} exists already")
        start_request.check(spec)
        value = Container(spec=spec, state=ContainerState.CREATED, created_at_ns=time.time_ns())
        directory = f"{sandbox.directory}/{layout.CONTAINERS}/{spec.id}"
        container = self._containers[spec.id] = _Container(value, directory)
        loop = asyncio.get_running_loop()
        soon = functools.partial(loop.call_soon_threadsafe, self._expect, spec)
        making = asyncio.ensure_future(self._in_thread(self._make_container, value, directory, soon))
        try:
            container.request = await asyncio.shield(making)
        except BaseException:
            del self._containers[spec.id]
            self._spawn(self._undo_container(spec, directory, making))
            raise
        if spec.log_path and self._node.logs is not None:
            with contextlib.suppress(Unavailable):  # its successor finds the container on the disk
                self._node.logs.notify("follow", sandbox=spec.sandbox_id, container=spec.id)
        return value

    def _make_container(self, value: Container, directory: str, placed: Callable[[], object]) -> StartRequest | None:
        """All of create that can block, in one go: threads that take turns cost more than they save.

        placed: called when a process of the container could be made.
        """
        spec = value.spec
        devices = start_request.device_rules(spec)
        self._create_cgroup(spec.cgroup, spec.resources, devices)
        placed()
        text = json.dumps(spec.to_json(), separators=(",", ":"))
        os.mkdir(directory, 0o700)
        self._prepare_container(value, directory, text)
        root = start_request.open_root(spec)
        with contextlib.suppress(Invalid, KernelRefused):  # what is missing now may be there when it starts
            return start_request.make(spec, self._filters, root, text)
        return None

    def _expect(self, spec: ContainerSpec) -> None:
        """Tells the shim that it will be started soon. Nothing depends on it but the time that takes."""
        if spec.id in self._containers:
            with contextlib.suppress(RuntimeFailure):
                self._shim(spec.sandbox_id).notify("expect", spec=start_request.header(spec))

    def _prepare_container(self, value: Container, directory: str, text: str) -> None:
        spec = value.spec
        names = [layout.STDIN] if spec.stdin else []
        if spec.log_path:
            names += [layout.STDOUT, layout.STDERR, layout.STAGED]
            os.makedirs(os.path.dirname(spec.log_path), 0o755, exist_ok=True)
        for name in names:
            os.mkfifo(f"{directory}/{name}", 0o600)
        layout.write_text(directory, layout.CONTAINER_SPEC, f'{{"spec":{text},"created_at_ns":{value.created_at_ns}}}')

    async def _undo_container(
        self, spec: ContainerSpec, directory: str, making: asyncio.Future[StartRequest | None]
    ) -> None:
        with contextlib.suppress(RuntimeFailure, OSError):
            request = await making
            if request is not None:
                request.close()
        with contextlib.suppress(RuntimeFailure):
            timeout_s = self.settings.request_timeout_s
            await self._shim(spec.sandbox_id).request("release", container=spec.id, timeout_s=timeout_s)
        with contextlib.suppress(RuntimeFailure):
            await self._remove_cgroup(spec.cgroup)
        await self._in_thread(_remove_tree, directory)

    async def start_container(self, container_id: str) -> Started:
        """Starts the program; returns when it has been executed. Raises StartFailed, WrongState, NotFound."""
        container = self._container(container_id)
        async with container.lock:
            spec = container.value.spec
            if container.value.state is not ContainerState.CREATED:
                raise WrongState(f"container {container_id!r} is {container.value.state.value}, not created")
            shim = self._shim(spec.sandbox_id)
            try:
                request, container.request = container.request, None
                if request is None:
                    text = json.dumps(spec.to_json())
                    request = await self._in_thread(start_request.make, spec, self._filters, None, text)
                try:
                    reply = await shim.request(
                        "start",
                        spec=request.header,
                        descriptors=request.descriptors,
                        body=request.body,
                        timeout_s=self.settings.request_timeout_s,
                    )
                finally:
                    request.close()
            except (StartFailed, KernelRefused, Invalid, RuntimeFailure) as error:
                raise await self._start_failed(container, error) from error
            started = Started(pid=int(reply["pid"]), started_at_ns=int(reply["started_at_ns"]))
            ended = container.exited.is_set()  # its exit may have come right behind the reply
            container.value = replace(
                container.value,
                state=ContainerState.EXITED if ended else ContainerState.RUNNING,
                pid=started.pid,
                start_time=int(reply["start_time"]),
                started_at_ns=started.started_at_ns,
            )
            container.started.set()
            return started

    async def _start_failed(self, container: _Container, error: RuntimeFailure) -> RuntimeFailure:
        """Its end, as the shim wrote it down or, when it never came to the shim, as we do."""
        if isinstance(error, (Unavailable, WrongState)):
            return error
        container.close_request()
        failure = error if isinstance(error, StartFailed) else StartFailed(str(error))
        record = layout.read(container.directory, layout.EXIT_RECORD)
        if record is None:
            record = {
                "exit_code": failure.exit_code,
                "signal": 0,
                "oom_killed": False,
                "finished_at_ns": time.time_ns(),
                "reason": str(failure),
            }
            layout.write(container.directory, layout.EXIT_RECORD, record)
        self._set_exited(container, _exit(record))
        await self._finish_log(container)
        return failure

    async def signal(self, container_id: str, signum: int) -> None:
        """Signals the container's first process. Nothing happens if it has exited."""
        container = self._container(container_id)
        if container.value.state is not ContainerState.RUNNING:
            return
        shim = self._shim(container.value.spec.sandbox_id)
        await shim.request("signal", container=container_id, signum=signum, timeout_s=self.settings.request_timeout_s)

    async def stop_container(self, container_id: str, timeout_s: float) -> Exit:
        """Its stop signal, after ``timeout_s`` SIGKILL to everything in it; returns when it has exited.

        Idempotent. timeout_s 0 kills at once. A container never started becomes EXITED with code 137.
        """
        container = self._container(container_id)
        if container.value.state is ContainerState.CREATED:
            async with container.lock:  # a start under way finishes first
                if container.value.state is ContainerState.CREATED:
                    await self._start_failed(container, StartFailed("stopped before it was started", 137))
        if container.value.state is ContainerState.RUNNING and timeout_s > 0:
            await self.signal(container_id, signal_number(container.value.spec.stop_signal))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await container.exited.wait()
        if container.value.state is ContainerState.RUNNING:
            await self._kill(container)
        assert container.value.exit is not None
        return container.value.exit

    async def wait(self, container_id: str) -> Exit:
        """Its end, once it has come and its log is complete. Raises NotFound."""
        container = self._container(container_id)
        await container.exited.wait()
        await container.told.wait()
        assert container.value.exit is not None
        return container.value.exit

    async def _kill(self, container: _Container) -> None:
        spec = container.value.spec
        shim = self._sandbox(spec.sandbox_id).shim
        if shim is not None:
            with contextlib.suppress(Unavailable):  # its shim has ended, and with it the container
                await shim.request("kill", container=spec.id, timeout_s=self.settings.request_timeout_s)
        try:
            async with asyncio.timeout(self.settings.request_timeout_s):
                await container.exited.wait()
        except TimeoutError as error:
            raise Unavailable(f"container {spec.id!r} does not end, even killed") from error

    async def remove_container(self, container_id: str) -> None:
        """Kills it if it runs, waits for its log, removes cgroup and state. Idempotent. Leaves upper and work alone."""
        container = self._containers.get(container_id)
        if container is None:
            return
        if container.value.state is ContainerState.RUNNING:
            await self._kill(container)
        async with container.lock:
            if container_id not in self._containers:
                return
            container.close_request()
            await self._finish_log(container)
            await container.told.wait()
            spec = container.value.spec
            shim = self._sandbox(spec.sandbox_id).shim
            if shim is not None:
                with contextlib.suppress(Unavailable):
                    await shim.request("release", container=container_id, timeout_s=self.settings.request_timeout_s)
            if not await self._in_thread(self._remove_what_it_left, spec.cgroup, container.directory):
                await self._remove_cgroup(spec.cgroup)
                await self._in_thread(_remove_tree, container.directory)
            self._containers.pop(container_id, None)

    def _remove_what_it_left(self, cgroup: str, directory: str) -> bool:
        """In one go; False if processes are dying in its cgroup still."""
        if cgroup and not self._node.cgroups.remove(cgroup):
            return False
        _remove_tree(directory)
        return True

    # --- exec ---

    async def open_exec(
        self,
        container_id: str,
        args: Sequence[str],
        *,
        env: Sequence[str] = (),
        cwd: str = "",
        user: User | None = None,
        tty: bool = False,
        stdin: bool = False,
    ) -> ExecSession:
        """Runs ``args`` in a running container with the streams in the caller's hands (interactive exec).

        env is added to the container's; cwd "" and user None are the container's. Raises StartFailed (127, 126),
        WrongState if the container is not running.
        """
        container = self._container(container_id)
        spec = container.value.spec
        if container.value.state is not ContainerState.RUNNING:
            raise WrongState(f"container {container_id!r} is not running")
        if not args or not args[0]:
            raise Invalid("exec: no command given")
        shim = self._shim(spec.sandbox_id)
        self._last_exec += 1
        exec_id = f"{os.getpid()}.{self._last_exec}"
        exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._execs[exec_id] = exited
        streams = _Streams(tty=tty, stdin=stdin)
        request = {
            "args": list(args),
            "env": list(env),
            "cwd": cwd,
            "user": None if user is None else asdict(user),
            "tty": tty,
            "seccomp": self._filters.get(spec),
        }
        try:
            _, received = await shim.request_descriptors(
                "exec",
                descriptors=streams.theirs,
                timeout_s=self.settings.request_timeout_s,
                body=json.dumps(request).encode(),
                container=container_id,
                exec=exec_id,
                tty=tty,
                may_spawn=spec.seccomp in (SECCOMP_DEFAULT, SECCOMP_UNCONFINED),
            )
        except BaseException:
            self._execs.pop(exec_id, None)
            streams.close_ours()
            raise
        finally:
            streams.close_theirs()
        if tty:
            streams.take_terminal(received)

        async def send_signal(signum: int) -> None:
            await shim.request("exec_signal", exec=exec_id, signum=signum, timeout_s=self.settings.request_timeout_s)

        return ExecSession(streams.ours, exited, send_signal)

    async def exec(
        self,
        container_id: str,
        args: Sequence[str],
        *,
        env: Sequence[str] = (),
        cwd: str = "",
        user: User | None = None,
        tty: bool = False,
        stdin: bytes = b"",
        timeout_s: float | None = None,
        limit_bytes: int = 16 << 20,
    ) -> ExecResult:
        """Like open_exec, and collects the output, at most ``limit_bytes`` per stream.

        timeout_s: after it the whole process group is killed, and the result says so.
        """
        session = await self.open_exec(container_id, args, env=env, cwd=cwd, user=user, tty=tty, stdin=bool(stdin))
        outputs = (Output(session.stdout, limit_bytes), Output(session.stderr, limit_bytes))
        timed_out = False
        try:
            async with asyncio.TaskGroup() as group:
                feeding = None
                if session.stdin >= 0 and not tty:
                    feeding = group.create_task(feed(session.stdin, stdin))
                    session.stdin = -1
                try:
                    async with asyncio.timeout(timeout_s):
                        code = await session.wait()
                except TimeoutError:
                    timed_out = True
                    await session.kill(signal.SIGKILL)
                    code = await session.wait()
                if feeding is not None:
                    feeding.cancel()
            for output in outputs:
                await output.linger()
        except BaseException:
            with contextlib.suppress(RuntimeFailure):
                await session.kill(signal.SIGKILL)
            raise
        finally:
            for output in outputs:
                output.stop()
            session.close()
        return ExecResult(
            exit_code=code,
            stdout=outputs[0].data(),
            stderr=outputs[1].data(),
            timed_out=timed_out,
            truncated=any(output.truncated for output in outputs),
        )

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool) -> AttachSession:
        """The streams of a running or created container; its output from now on. Raises WrongState, Unavailable.

        A client that does not read its output is dropped: it reads the end. With stdin_once the container's stdin ends
        with that of the first client.
        """
        container = self._container(container_id)
        spec = container.value.spec
        if container.value.state is ContainerState.EXITED:
            raise WrongState(f"container {container_id!r} is not running")
        return await attach_session.open_session(
            attach_session.Container(
                spec=spec,
                directory=container.directory,
                started=container.started,
                ended=container.exited,
                exit_code=lambda: container.value.exit.exit_code if container.value.exit is not None else 0,
            ),
            attach_session.Wanted(stdin=stdin, stdout=stdout, stderr=stderr),
            shim=self._shim(spec.sandbox_id),
            logs=self._node.logs,
            timeout_s=self.settings.request_timeout_s,
        )

    async def connect_port(self, sandbox_id: str, port: int) -> socket.socket:
        """A TCP connection, non-blocking, to a port on the pod's loopback. Raises Unavailable if nobody listens."""
        return await pod_socket.connect(self._shim(sandbox_id), port, timeout_s=self.settings.request_timeout_s)

    # --- resources and logs ---

    async def stats(self, container_id: str) -> Stats:
        return await self._stats(self._container(container_id).value.spec.cgroup)

    async def sandbox_stats(self, sandbox_id: str) -> Stats:
        """Of the whole pod."""
        return await self._stats(self._sandbox(sandbox_id).value.spec.cgroup_parent)

    async def _stats(self, path: str) -> Stats:
        if not path:
            return Stats(at_ns=time.time_ns(), usage=Usage())
        usage = await self._in_thread(self._node.cgroups.usage, path)
        processes = await self._in_thread(self._node.cgroups.processes, path)
        return Stats(at_ns=time.time_ns(), usage=usage, processes=tuple(processes))

    async def update_resources(
        self, container_id: str, resources: Resources, *, oom_score_adj: int | None = None
    ) -> None:
        """Writes the limits that are set in ``resources``; the others stay. oom_score_adj: for what runs now."""
        container = self._container(container_id)
        async with container.lock:
            spec = container.value.spec
            if not spec.cgroup:
                raise Invalid(f"container {container_id!r} has no cgroup of its own")
            try:
                await self._in_thread(self._node.cgroups.update, spec.cgroup, resources)
            except OSError as error:
                raise Invalid(f"cgroup {error.filename}: {error.strerror}") from error
            if oom_score_adj is not None:
                for pid in await self._in_thread(self._node.cgroups.processes, spec.cgroup):
                    process.adjust_oom_score(pid, oom_score_adj)
                spec = replace(spec, oom_score_adj=oom_score_adj)
            changed = {name: value for name, value in asdict(resources).items() if value}
            spec = replace(spec, resources=replace(spec.resources, **changed))
            container.value = replace(container.value, spec=spec)
            record = {"spec": spec.to_json(), "created_at_ns": container.value.created_at_ns}
            layout.write(container.directory, layout.CONTAINER_SPEC, record)

    async def update_sandbox_resources(self, sandbox_id: str, resources: Resources) -> None:
        """The same for the pod's own cgroup."""
        sandbox = self._sandbox(sandbox_id)
        async with sandbox.lock:
            spec = sandbox.value.spec
            try:
                await self._in_thread(self._node.cgroups.update, spec.cgroup_parent, resources)
            except OSError as error:
                raise Invalid(f"cgroup {error.filename}: {error.strerror}") from error
            changed = {name: value for name, value in asdict(resources).items() if value}
            spec = replace(spec, resources=replace(spec.resources, **changed))
            sandbox.value = replace(sandbox.value, spec=spec)
            layout.write(sandbox.directory, layout.SANDBOX_SPEC, {"spec": spec.to_json()})

    async def reopen_log(self, container_id: str) -> None:
        """Makes the log reader open ``log_path`` anew (after it was renamed); returns when it has."""
        spec = self._container(container_id).value.spec
        if self._node.logs is None:
            raise Unavailable("the log reader is being restarted")
        await self._node.logs.request(
            "reopen", sandbox=spec.sandbox_id, container=spec.id, timeout_s=self.settings.request_timeout_s
        )


class _Streams:
    """The pipes of an exec: the ends that go to the shim, and ours. With a terminal the shim sends its master."""

    def __init__(self, *, tty: bool, stdin: bool) -> None:
        self.theirs: list[int] = []
        self.ours = (-1, -1, -1)
        if tty:
            return
        if stdin:
            in_theirs, in_ours = os.pipe2(os.O_CLOEXEC)
        else:
            in_theirs, in_ours = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), -1
        out_ours, out_theirs = os.pipe2(os.O_CLOEXEC)
        error_ours, error_theirs = os.pipe2(os.O_CLOEXEC)
        self.theirs = [in_theirs, out_theirs, error_theirs]
        self.ours = (in_ours, out_ours, error_ours)
        self._unblock()

    def _unblock(self) -> None:
        for fd in set(self.ours) - {-1}:
            os.set_blocking(fd, False)

    def take_terminal(self, received: Sequence[int]) -> None:
        if len(received) != 1:
            raise Unavailable("exec: the shim sent no terminal")
        self.ours = (received[0], received[0], -1)
        self._unblock()

    def close_theirs(self) -> None:
        for fd in self.theirs:
            os.close(fd)
        self.theirs = []

    def close_ours(self) -> None:
        for fd in set(self.ours) - {-1}:
            os.close(fd)
        self.ours = (-1, -1, -1)


async def _guarded(coroutine: Coroutine[Any, Any, None]) -> None:
    """One thing that fails in the background must not end the others; it is said and left to the next recovery."""
    try:
        await coroutine
    except (OSError, RuntimeFailure) as error:
        _log.warning("in the background: %s", error)


async def _all(*operations: Awaitable[Any]) -> list[Any]:
    """All results; if some fail, the first error, but only when all have come to an end."""
    results = await asyncio.gather(*operations, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def signal_number(name: str) -> int:
    """Of ``SIGTERM``, ``TERM``, ``15`` or ``SIGRTMIN+3``. Raises Invalid."""
    text = name.upper().removeprefix("SIG")
    if text.isdigit() and 0 < int(text) <= signal.SIGRTMAX:
        return int(text)
    base, plus, offset = text.partition("+")
    found = getattr(signal, f"SIG{base}", None)
    if not isinstance(found, int) or (plus and not offset.isdigit()):
        raise Invalid(f"signal {name!r} is unknown")
    return int(found) + (int(offset) if plus else 0)


def _sandbox_spec(record: Message) -> SandboxSpec:
    return SandboxSpec.from_json(record["spec"])


def _container_spec(record: Message) -> tuple[ContainerSpec, int]:
    """And when it was created."""
    return ContainerSpec.from_json(record["spec"]), int(record["created_at_ns"])


def _identity(record: Message) -> dict[str, int]:
    return {"pid": int(record["pid"]), "start_time": int(record["start_time"])}


def _process_record(record: Message) -> dict[str, int]:
    return {**_identity(record), "started_at_ns": int(record["started_at_ns"])}


def _shim_record(record: Message) -> dict[str, int]:
    return {**_identity(record), "created_at_ns": int(record["created_at_ns"])}


def _exit(record: Mapping[str, Any]) -> Exit:
    return Exit(
        exit_code=int(record["exit_code"]),
        signal=int(record["signal"]),
        oom_killed=bool(record["oom_killed"]),
        finished_at_ns=int(record["finished_at_ns"]),
        reason=str(record["reason"]),
    )


def _remove_tree(directory: str) -> None:
    """Quickest if it holds files only."""
    try:
        for name in os.listdir(directory):
            os.unlink(f"{directory}/{name}")
        os.rmdir(directory)
    except OSError:
        shutil.rmtree(directory, ignore_errors=True)
