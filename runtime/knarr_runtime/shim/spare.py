"""A container's first process, forked before anybody asks: most of a start is the same for every container.

It mounts /proc, /dev and /sys with the default masks in its own mount namespace, runs through the code of a start once
(a fresh fork pays for every page it touches), and waits on its status socket, first for the container it is to be,
whose cgroup it joins, then for the request to become it. A shim with nothing to do makes one for the sandbox's first
container; for others it makes one when they are created. On cgroup v2 only a process born in a cgroup is there
without waiting for the kernel, so there every spare is made for its container. A container without a suitable spare
is forked when it is started. A spare ends when its shim does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from knarr_runtime import channel, compact_json
from knarr_runtime.channel import Message
from knarr_runtime.defaults import DEFAULT_CAPABILITIES, DEFAULT_MASKED_PATHS
from knarr_runtime.kernel import capabilities, process
from knarr_runtime.shim import confine, container
from knarr_runtime.shim.filesystems import Filesystems
from knarr_runtime.shim.preparation import Preparation
from knarr_runtime.spec import ContainerSpec, Mount, Rlimit, Rootfs

_READY_S = 1.0


class Spare:
    """The shim's view of it."""

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.pid = pid
        self.container = ""
        self.socket = sock
        sock.settimeout(_READY_S)
        self.pidfd = os.pidfd_open(pid)
        self.start_time = process.start_time(pid) or 0

    def expect(self, spec: Mapping[str, Any]) -> None:
        """Tells it whose first process it will be."""
        self.container = str(spec["id"])
        with contextlib.suppress(OSError):  # it is dead: whoever wants to take it will see
            channel.send(self.socket, {"expect": spec})

    def take(self, message: Message, descriptors: Sequence[int]) -> bool:
        """Hands it the request; False if it is not ready, or dead."""
        try:
            readiness = channel.receive(self.socket)
            if readiness is None or not readiness[0].get("ready"):
                return False
            channel.send(self.socket, {}, descriptors, message["body"])
        except (OSError, ValueError):
            return False
        return True

    def discard(self) -> None:
        """Kills it and waits for its end."""
        process.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        self.close()

    def close(self) -> None:
        os.close(self.pidfd)
        self.socket.close()


def suits(spec: Mapping[str, Any]) -> bool:
    """Whether what was made ahead is of use to this container."""
    usual = set(spec["bounding"]) <= set(DEFAULT_CAPABILITIES)
    usual = usual and not spec["privileged"] and not spec["pids"] and not spec.get("mount_label")
    return usual and spec["cgroup_access"] != "rw"


def wait(preparation: Preparation, containers: str, *, attached: bool, idle: bool) -> None:
    """The spare's life up to execve. Raises RuntimeFailure, OSError; returns if it is not needed any more.

    containers: the directory in which the container will have its own. attached: born in the container's cgroup.
    idle: there is time, nobody has asked for a container yet.
    """
    status = preparation.status
    process.close_all_but({status.fileno(), *preparation.cgroups.descriptors()})
    os.setsid()
    filesystems = Filesystems(preparation)
    filesystems.make_ahead(_LIKELY)
    if idle:
        rehearse()
    channel.send(status, {"ready": True})
    while (received := channel.receive(status)) is not None:
        message, preparation.descriptors = received
        if "expect" in message:
            filesystems.expect(message["expect"], attached)
            continue
        preparation.request = compact_json.decode(message["body"])
        preparation.directory = f"{containers}/{preparation.request['spec']['id']}"
        container.run(preparation, attached=attached, ahead=filesystems)


_LIKELY = ContainerSpec(
    id="spare",
    sandbox_id="spare",
    args=("/bin/true",),
    env=("HOME=/",),
    rootfs=Rootfs(lower=("/",), upper="/", work="/"),
    mounts=(Mount(target="/etc/hosts", source="/"),),
    rlimits=(Rlimit(name="RLIMIT_NOFILE", soft=1, hard=1),),
    masked_paths=tuple(path for path in DEFAULT_MASKED_PATHS if path != "/proc/interrupts"),
)
"""masked_paths: those that everybody masks, the kubelet too."""


_REQUEST = compact_json.encode({"spec": _LIKELY.to_json(), "seccomp": "AAAA" * 400}).encode()


def rehearse() -> None:
    """Goes through the code of a start that changes nothing."""
    request = rehearse_messages()
    spec = ContainerSpec.from_checked(request["spec"])
    confine.environment(spec.env, 0)
    confine.decode_filter(request["seccomp"])
    confine.label(confine.open_labels(spec))
    capabilities.mask(spec.capabilities.bounding)
    capabilities.effective_here()
    process.reset_signals()


def rehearse_messages() -> Mapping[str, Any]:
    """That of messages alone: a shim starts nothing itself, and keeps every page it has touched."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    with ours, theirs:
        channel.send(ours, {}, (theirs.fileno(),), _REQUEST)
        received = channel.receive(theirs)
    assert received is not None
    message, descriptors = received
    os.close(descriptors[0])
    request: Mapping[str, Any] = compact_json.decode(message["body"])
    return request
