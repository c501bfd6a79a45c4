"""An exec between clone and execve: joins a running container's cgroup and mounts, then is confined as it is.

The pid namespace was chosen by the shim before the clone. The process is not dumpable until execve, so nobody in the
container can trace it or reach descriptors through it before it has dropped its privileges (CVE-2016-9962).
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knarr_runtime import channel, compact_json, layout
from knarr_runtime.errors import KernelRefused, RuntimeFailure, WrongState
from knarr_runtime.kernel import capabilities, process, syscalls
from knarr_runtime.kernel.cgroup import Cgroups
from knarr_runtime.shim import confine
from knarr_runtime.shim.spare import rehearse
from knarr_runtime.shim.users import become_root
from knarr_runtime.spec import ContainerSpec, User


@dataclass(frozen=True, slots=True)
class Joining:
    """One exec: what was asked for, its streams, the container's directory and a pidfd of its first process."""

    request: Mapping[str, Any]
    descriptors: Sequence[int]
    directory: str
    process: int
    status: socket.socket
    own_users: bool = False
    """The pod has a user namespace."""


def run(joining: Joining, cgroups: Cgroups, attached: bool, last_capability: int) -> None:
    """Becomes the program. Raises RuntimeFailure."""
    os.setsid()
    spec = _spec(joining.directory)
    namespaces = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWCGROUP
    if joining.own_users:
        namespaces |= syscalls.CLONE_NEWUSER
    env = _join(joining, spec, cgroups, attached, last_capability, namespaces)
    channel.send(joining.status, {"exec": True})
    confine.execute(tuple(joining.request["args"]), env)


def help_out(status: socket.socket, directory: str, cgroups: Cgroups, last_capability: int, *, host_pids: bool) -> None:
    """The life of a helper (see :mod:`knarr_runtime.shim.execs`); returns if nobody needs it. Raises RuntimeFailure."""
    process.close_all_but({status.fileno(), *cgroups.descriptors()})
    os.setsid()
    rehearse()
    spec = _spec(directory)
    bounded = capabilities.EVERY
    if not spec.privileged:
        bounded = capabilities.mask(spec.capabilities.bounding)
        capabilities.bound(bounded, last_capability)
    channel.send(status, {"ready": True})
    received = channel.receive(status)
    if received is None:
        return
    request = compact_json.decode(received[0]["body"])
    pidfd, *streams = received[1]
    joining = Joining(request, streams, directory, pidfd, status)
    namespaces = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWCGROUP | (0 if host_pids else syscalls.CLONE_NEWPID)
    env = _join(joining, spec, cgroups, False, last_capability, namespaces, bounded)
    program = confine.spawn(tuple(request["args"]), env)
    channel.send(status, {"exec": True, "program": program})
    os._exit(0)


def _spec(directory: str) -> ContainerSpec:
    record = layout.read(directory, layout.CONTAINER_SPEC)
    if record is None:
        raise RuntimeFailure(f"{directory}: no container")
    return ContainerSpec.from_checked(record["spec"])


def _join(
    joining: Joining,
    spec: ContainerSpec,
    cgroups: Cgroups,
    attached: bool,
    last_capability: int,
    namespaces: int,
    bounded: int = capabilities.EVERY,
) -> dict[str, str]:
    """Enters the container and sheds all privileges; the program's environment."""
    request, descriptors = joining.request, joining.descriptors
    stage = "cgroup"
    try:
        if spec.cgroup and not attached:
            cgroups.attach_self(spec.cgroup)
        stage = "oom_score_adj"
        if spec.oom_score_adj is not None:
            confine.adjust_oom_score(spec.oom_score_adj)
        stage = "security labels"
        labels = confine.open_labels(spec)
        stage = "namespaces"
        try:
            syscalls.setns(joining.process, namespaces | (syscalls.CLONE_NEWTIME if spec.time_offsets_ns else 0))
        except ProcessLookupError as error:
            raise WrongState(f"container {spec.id} is not running") from error
        if joining.own_users:
            become_root()
        stage = "standard streams"
        if request.get("tty"):
            _take_terminal(joining.status, int(request.get("columns", 80)), int(request.get("rows", 24)))
        else:
            for number, fd in enumerate(descriptors):
                os.dup2(fd, number)
        stage = "rlimits"
        confine.limit_resources(spec.rlimits)
        stage = "cwd"
        confine.enter_directory(str(request.get("cwd") or spec.cwd))
        stage = "privileges"
        user = spec.user
        if request.get("user") is not None:
            asked = request["user"]
            user = User(uid=int(asked["uid"]), gid=int(asked["gid"]), groups=tuple(asked["groups"]))
        env = confine.environment((*spec.env, *request.get("env", ())), user.uid)
        program = confine.decode_filter(str(request.get("seccomp", "")))
        confine.label(labels)
        confine.confine(spec, user, program, last_capability, bounded)
    except OSError as error:
        raise KernelRefused(f"{stage}: {error.filename or ''}: {error.strerror}".replace(": : ", ": ")) from error
    return env


def _take_terminal(status: socket.socket, columns: int, rows: int) -> None:
    """A terminal of the container's own devpts; its master goes to the caller."""
    master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
    slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [master]))]
    status.sendmsg([b'={"terminal":true}'], rights)
    os.close(master)
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(slave, number)


_TIOCGPTPEER, _TIOCSPTLCK = 0x5441, 0x40045431
