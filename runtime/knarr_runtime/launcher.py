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

import enum
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knarr_runtime.spec import ContainerSpec, NetworkConfig, Resources, SandboxSpec, User


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
    """From the container's (or pod's) cgroup, at ``at_ns``; None where the kernel has no such figure."""

    at_ns: int
    cpu_usage_ns: int | None
    memory_usage_bytes: int | None
    memory_working_set_bytes: int | None
    memory_rss_bytes: int | None
    memory_page_faults: int | None
    memory_major_page_faults: int | None
    pids: int | None
    pids_limit: int | None
    memory_limit_bytes: int | None = None


class ExecSession:
    """A running exec with its streams. The caller owns and closes the file descriptors (non-blocking).

    With ``tty`` all three are the terminal's master: ``stdin`` and ``stdout`` the same descriptor, ``stderr`` -1.
    """

    stdin: int
    stdout: int
    stderr: int

    async def wait(self) -> int:
        """The exit code, as in :class:`Exit`."""
        raise NotImplementedError

    async def kill(self, signum: int = 9) -> None:
        """Signals the whole process group."""
        raise NotImplementedError

    def resize(self, columns: int, rows: int) -> None:
        raise NotImplementedError


class Launcher:
    def __init__(self, settings: LauncherSettings) -> None:
        self.settings = settings

    async def start(self) -> None:
        """Connects to the zygote of ``state_dir``, starting it if there is none; also the log reader."""
        raise NotImplementedError

    async def recover(self) -> Recovered:
        """What exists, from the disk and the kernel: to be called once after ``start``.

        Exits that happened while nobody listened are in the result and not repeated by ``events``. Sandboxes and
        containers half made when the last daemon died are removed. A container whose record cannot be told (the
        machine was restarted) comes as EXITED with exit code 255.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Lets go of zygote and shims; everything goes on without the daemon."""
        raise NotImplementedError

    async def destroy(self) -> None:
        """Kills and removes all sandboxes, the log reader and the zygote, and the cgroup root."""
        raise NotImplementedError

    def events(self) -> AsyncIterator[Event]:
        """Exits in the order they happened, each once; ends with ``close``. One consumer.

        A container's event comes when its log is complete (or after 50 ms, should the disk be slow).
        """
        raise NotImplementedError

    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox:
        """Makes the pod's cgroup and its shim with new namespaces. Raises AlreadyExists, Invalid."""
        raise NotImplementedError

    async def configure_network(self, sandbox_id: str, config: NetworkConfig) -> None:
        """Brings up lo and, with an address, the link ``config.ifname`` which must already be in the sandbox."""
        raise NotImplementedError

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kills everything in it and ends its shim (and so its network namespace). Idempotent."""
        raise NotImplementedError

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Stops it, removes its containers, cgroups and state. Idempotent: an unknown sandbox is no error."""
        raise NotImplementedError

    async def create_container(self, spec: ContainerSpec) -> Container:
        """Checks the spec, makes its cgroup with limits and its state on disk. Raises AlreadyExists, NotFound."""
        raise NotImplementedError

    async def start_container(self, container_id: str) -> Started:
        """Starts the program; returns when it has been executed. Raises StartFailed, WrongState, NotFound."""
        raise NotImplementedError

    async def signal(self, container_id: str, signum: int) -> None:
        """Signals the container's first process. Nothing happens if it has exited."""
        raise NotImplementedError

    async def stop_container(self, container_id: str, timeout_s: float) -> Exit:
        """Its stop signal, after ``timeout_s`` SIGKILL to everything in it; returns when it has exited.

        Idempotent. timeout_s 0 kills at once. A container never started becomes EXITED with code 137.
        """
        raise NotImplementedError

    async def remove_container(self, container_id: str) -> None:
        """Kills it if it runs, waits for its log, removes cgroup and state. Idempotent. Leaves upper and work alone."""
        raise NotImplementedError

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
        """Runs ``args`` in a running container and collects its output, at most ``limit_bytes`` per stream.

        env is added to the container's; cwd, user "" and None are the container's. Raises StartFailed (127, 126),
        WrongState if the container is not running.
        """
        raise NotImplementedError

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
        """Like exec, with the streams in the caller's hands (interactive exec)."""
        raise NotImplementedError

    async def stats(self, container_id: str) -> Stats:
        raise NotImplementedError

    async def sandbox_stats(self, sandbox_id: str) -> Stats:
        raise NotImplementedError

    async def update_resources(self, container_id: str, resources: Resources) -> None:
        """Writes the limits that are set in ``resources``; the others stay."""
        raise NotImplementedError

    async def reopen_log(self, container_id: str) -> None:
        """Makes the log reader open ``log_path`` anew (after it was renamed); returns when it has."""
        raise NotImplementedError

    def sandboxes(self) -> Mapping[str, Sandbox]:
        """All known sandboxes, from memory."""
        raise NotImplementedError

    def containers(self) -> Mapping[str, Container]:
        """All known containers, from memory."""
        raise NotImplementedError

    def conditions(self) -> tuple[str, ...]:
        """What this kernel or these privileges do not allow, one sentence each (no CAP_SYS_RESOURCE …)."""
        raise NotImplementedError
