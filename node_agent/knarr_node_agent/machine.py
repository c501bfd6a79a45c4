"""The node as its agent sees it: capacity, conditions, addresses."""

from __future__ import annotations

import datetime
import os
import platform
import socket
from pathlib import Path

from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import (
    Node,
    NodeAddress,
    NodeCondition,
    NodeDaemonEndpoints,
    NodeStatus,
    NodeSystemInfo,
)
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_node_agent.settings import Settings

VERSION = "0.1.0"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MEMORY_LOW_BYTES = 100 * 1024 * 1024
DISK_LOW_SHARE = 0.05
PIDS_LOW_SHARE = 0.05


def capacity(settings: Settings) -> dict[str, Quantity]:
    """What the machine has."""
    disk = os.statvfs(settings.data_dir)
    return {
        "cpu": Quantity(str(os.cpu_count() or 1)),
        "memory": Quantity(f"{_meminfo('MemTotal') // 1024}Ki"),
        "pods": Quantity(str(settings.max_pods)),
        "ephemeral-storage": Quantity(f"{disk.f_blocks * disk.f_frsize // 1024}Ki"),
    }


def node(settings: Settings, status: NodeStatus) -> Node:
    """The whole Node, as the agent registers it."""
    arch = ARCHITECTURES.get(platform.machine(), platform.machine())
    labels = {
        "kubernetes.io/hostname": settings.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": arch,
        **settings.labels,
    }
    return Node(metadata=ObjectMeta(name=settings.node_name, labels=labels), status=status)


def status(
    settings: Settings,
    ip: str,
    runtime: str,
    problems: list[str],
    before: NodeStatus | None,
    now: datetime.datetime,
) -> NodeStatus:
    """The node's status now; conditions that have not changed keep their transition time."""
    amounts = capacity(settings)
    system = os.uname()
    disk = os.statvfs(settings.data_dir)
    memory_low = _meminfo("MemAvailable") < MEMORY_LOW_BYTES
    disk_low = disk.f_bavail < disk.f_blocks * DISK_LOW_SHARE
    pids_low = _pids_low()
    wanted = (
        ("MemoryPressure", memory_low, "KubeletHasInsufficientMemory" if memory_low else "KubeletHasSufficientMemory",
         "agent has insufficient memory available" if memory_low else "agent has sufficient memory available"),
        ("DiskPressure", disk_low, "KubeletHasDiskPressure" if disk_low else "KubeletHasNoDiskPressure",
         "agent has disk pressure" if disk_low else "agent has no disk pressure"),
        ("PIDPressure", pids_low, "KubeletHasInsufficientPID" if pids_low else "KubeletHasSufficientPID",
         "agent has insufficient PID available" if pids_low else "agent has sufficient PID available"),
        ("Ready", not problems, "KubeletReady" if not problems else "KubeletNotReady",
         "; ".join(problems) or "agent is posting ready status"),
    )  # fmt: skip
    present = {c.type: c for c in before.conditions} if before is not None else {}
    conditions = []
    for name, holds, reason, message in wanted:
        value = "True" if holds else "False"
        old = present.get(name)
        same = old is not None and old.status == value
        since = old.last_transition_time if old is not None and same else now.replace(microsecond=0)
        beat = old.last_heartbeat_time if old is not None and same and old.message == message else None
        conditions.append(
            NodeCondition(
                type=name,
                status=value,
                reason=reason,
                message=message,
                last_transition_time=since,
                last_heartbeat_time=beat or now.replace(microsecond=0),
            )
        )
    return NodeStatus(
        capacity=amounts,
        allocatable=amounts,
        conditions=tuple(conditions),
        addresses=(
            NodeAddress(type="InternalIP", address=ip),
            NodeAddress(type="Hostname", address=settings.node_name),
        ),
        daemon_endpoints=NodeDaemonEndpoints(),
        node_info=NodeSystemInfo(
            machine_id=_text("/etc/machine-id"),
            system_uuid=_text("/sys/class/dmi/id/product_uuid"),
            boot_id=_text("/proc/sys/kernel/random/boot_id"),
            kernel_version=system.release,
            os_image=_os_image(),
            container_runtime_version=runtime,
            kubelet_version=f"v1.37.0+knarr-{VERSION}",
            operating_system="linux",
            architecture=ARCHITECTURES.get(system.machine, system.machine),
        ),
    )


def address_towards(server: str) -> str:
    """This machine's address on the route to the server; nothing is sent."""
    host, _, port = server.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((host.strip("[]"), int(port)))
        return str(probe.getsockname()[0])


def memory_bytes() -> int:
    return _meminfo("MemTotal")


def _meminfo(name: str) -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return 0


def _pids_low() -> bool:
    limit = int(_text("/proc/sys/kernel/pid_max") or "32768")
    used = int(_text("/proc/loadavg").split()[3].split("/")[1])
    return used > limit * (1 - PIDS_LOW_SHARE)


def _os_image() -> str:
    for line in _text("/etc/os-release").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip('"')
    return "Linux"


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def is_taken_for_lost(node: Node) -> bool:
    """The control plane has not heard of this node for a while and has put Unknown for what it reported, and not ready
    for its pods: once it hears again, it must be told anew."""
    return any(condition.type == "Ready" and condition.status == "Unknown" for condition in node.status.conditions)


def must_tell_pods_again(old: Node | None, new: Node | None) -> bool:
    """While the node is taken for lost, and once it is found again: until then its pods may have been set to not ready
    after they were told of."""
    return any(node is not None and is_taken_for_lost(node) for node in (old, new))
