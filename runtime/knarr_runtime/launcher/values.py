"""What the launcher tells: sandboxes, containers, how they ended, what they used."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass
from pathlib import Path

from knarr_runtime.kernel.cgroup import Usage
from knarr_runtime.spec import ContainerSpec, SandboxSpec


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
    """How a container ended. exit_code is 128 + signal when a signal killed it; reason is "" unless starting failed.

    oom_killed: it ended because the kernel killed it, or what its shell ran last, for want of memory. Another of its
    processes may have been killed so before: oom_kills counts all of them.
    """

    exit_code: int
    signal: int
    oom_killed: bool
    oom_kills: int = 0
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
