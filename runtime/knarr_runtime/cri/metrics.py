"""The metrics of cAdvisor by CRI: their names, meanings and labels, and their values for each pod and container.

Values are whole numbers, as CRI has them; seconds are cut. A figure that the kernel does not keep here (block devices
on cgroup v1, stalls without PSI) has a descriptor and no value. Source: kubelet's /metrics/cadvisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.cri import status
from knarr_runtime.cri.pods import Pods
from knarr_runtime.cri.records import ContainerRecord, SandboxRecord
from knarr_runtime.cri.stats import Statistics
from knarr_runtime.errors import NotFound
from knarr_runtime.kernel.cgroup.values import Usage
from knarr_runtime.launcher import Container, Launcher

LABELS = ("id", "name", "image", "container", "pod", "namespace")
C, G = cri.COUNTER, cri.GAUGE
SECOND_NS, SECOND_US = 1_000_000_000, 1_000_000

# name → (kind, meaning, labels beside LABELS)
METRICS: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    "container_blkio_device_usage_total": (C, "Bytes read and written, by block device", ("device", "operation")),
    "container_cpu_cfs_periods_total": (C, "Periods in which a CPU limit was enforced", ()),
    "container_cpu_cfs_throttled_periods_total": (C, "Periods in which the CPU limit was reached", ()),
    "container_cpu_cfs_throttled_seconds_total": (C, "Time spent waiting because of the CPU limit", ()),
    "container_cpu_system_seconds_total": (C, "CPU time spent in the kernel", ()),
    "container_cpu_usage_seconds_total": (C, "CPU time used", ("cpu",)),
    "container_cpu_user_seconds_total": (C, "CPU time spent in programs", ()),
    "container_file_descriptors": (G, "Open file descriptors", ()),
    "container_fs_inodes_free": (G, "Free inodes of the filesystem below the container", ("device",)),
    "container_fs_inodes_total": (G, "Inodes of the filesystem below the container", ("device",)),
    "container_fs_limit_bytes": (G, "Size of the filesystem below the container", ("device",)),
    "container_fs_reads_bytes_total": (C, "Bytes read from block devices", ("device",)),
    "container_fs_reads_total": (C, "Reads from block devices", ("device",)),
    "container_fs_usage_bytes": (G, "Bytes of the container's writable layer", ("device",)),
    "container_fs_writes_bytes_total": (C, "Bytes written to block devices", ("device",)),
    "container_fs_writes_total": (C, "Writes to block devices", ("device",)),
    "container_hugetlb_max_usage_bytes": (G, "Highest use of huge pages", ("pagesize",)),
    "container_hugetlb_usage_bytes": (G, "Use of huge pages", ("pagesize",)),
    "container_last_seen": (G, "When the container was last seen, as Unix time", ()),
    "container_memory_cache": (G, "Bytes of page cache", ()),
    "container_memory_failcnt": (C, "How often the memory limit was hit", ()),
    "container_memory_failures_total": (C, "Page faults", ("failure_type", "scope")),
    "container_memory_kernel_usage": (G, "Bytes of kernel memory", ()),
    "container_memory_mapped_file": (G, "Bytes of mapped files", ()),
    "container_memory_max_usage_bytes": (G, "Highest use of memory", ()),
    "container_memory_rss": (G, "Bytes of anonymous memory", ()),
    "container_memory_swap": (G, "Bytes in swap", ()),
    "container_memory_usage_bytes": (G, "Bytes of memory, whenever they were last used", ()),
    "container_memory_working_set_bytes": (G, "Bytes of memory that can't be given up easily", ()),
    "container_network_receive_bytes_total": (C, "Bytes received", ("interface",)),
    "container_network_receive_errors_total": (C, "Errors while receiving", ("interface",)),
    "container_network_receive_packets_dropped_total": (C, "Packets dropped while receiving", ("interface",)),
    "container_network_receive_packets_total": (C, "Packets received", ("interface",)),
    "container_network_transmit_bytes_total": (C, "Bytes sent", ("interface",)),
    "container_network_transmit_errors_total": (C, "Errors while sending", ("interface",)),
    "container_network_transmit_packets_dropped_total": (C, "Packets dropped while sending", ("interface",)),
    "container_network_transmit_packets_total": (C, "Packets sent", ("interface",)),
    "container_oom_events_total": (C, "Processes killed for want of memory", ()),
    "container_pressure_cpu_stalled_seconds_total": (C, "Time in which all tasks waited for the CPU", ()),
    "container_pressure_cpu_waiting_seconds_total": (C, "Time in which some task waited for the CPU", ()),
    "container_pressure_io_stalled_seconds_total": (C, "Time in which all tasks waited for disks", ()),
    "container_pressure_io_waiting_seconds_total": (C, "Time in which some task waited for disks", ()),
    "container_pressure_memory_stalled_seconds_total": (C, "Time in which all tasks waited for memory", ()),
    "container_pressure_memory_waiting_seconds_total": (C, "Time in which some task waited for memory", ()),
    "container_processes": (G, "Processes", ()),
    "container_sockets": (G, "Open sockets", ()),
    "container_spec_cpu_period": (G, "Period of the CPU limit, in microseconds", ()),
    "container_spec_cpu_quota": (G, "CPU time allowed in a period, in microseconds", ()),
    "container_spec_cpu_shares": (G, "Share of the CPU", ()),
    "container_spec_memory_limit_bytes": (G, "Memory limit, 0 for none", ()),
    "container_spec_memory_reservation_limit_bytes": (G, "Memory reserved, 0 for none", ()),
    "container_spec_memory_swap_limit_bytes": (G, "Limit of memory and swap, 0 for none", ()),
    "container_start_time_seconds": (G, "When the container was started, as Unix time", ()),
    "container_threads": (G, "Threads", ()),
    "container_threads_max": (G, "Most threads allowed, 0 for no limit", ()),
    "container_ulimits_soft": (G, "Soft limits of the container's first process", ("ulimit",)),
}

Value = tuple[str, int, tuple[str, ...]]
"""Name, figure, values of the labels beside LABELS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """What /proc tells of a container's processes together."""

    threads: int
    descriptors: int
    sockets: int


def descriptors() -> list[Any]:
    return [
        cri.MetricDescriptor(name=name, help=meaning, label_keys=[*LABELS, *more])
        for name, (_, meaning, more) in METRICS.items()
    ]


async def sandbox(record: SandboxRecord, pods: Pods, launcher: Launcher, statistics: Statistics) -> Any:
    """PodSandboxMetrics: the pod's link and cgroup, and each running container. Raises NotFound when it is gone."""
    stats = await launcher.sandbox_stats(record.id)
    metadata = record.config.metadata
    labels = (record.id, metadata.name, "", "", metadata.name, metadata.namespace)
    values = [*_memory(stats.usage), *_cpu(stats.usage), *await _network(record, pods)]
    answer = cri.PodSandboxMetrics(pod_sandbox_id=record.id, metrics=_metrics(values, labels, stats.at_ns))
    for container in pods.containers_of(record.id):
        launched = pods.launched(container)
        if launched is not None and status.container_state(launched) == cri.CONTAINER_RUNNING:
            with contextlib.suppress(NotFound):
                metrics = await _container(record, container, launched, pods, launcher, statistics)
                answer.container_metrics.append(cri.ContainerMetrics(container_id=container.id, metrics=metrics))
    return answer


async def _container(
    pod: SandboxRecord,
    record: ContainerRecord,
    launched: Container,
    pods: Pods,
    launcher: Launcher,
    statistics: Statistics,
) -> list[Any]:
    stats = await launcher.stats(record.id)
    processes = await asyncio.to_thread(look_at, stats.processes)
    filesystem = await asyncio.to_thread(_filesystem, pods.layer(record))
    layer = await statistics.layer(record)
    name = record.config.metadata.name
    metadata = pod.config.metadata
    labels = (record.id, name, record.config.image.image, name, metadata.name, metadata.namespace)
    values: list[Value] = [
        *_cpu(stats.usage),
        *_memory(stats.usage),
        *_pressure(stats.usage),
        *_disks(stats.usage),
        *_limits(launched),
        *filesystem,
        ("container_fs_usage_bytes", layer.used_bytes, filesystem[0][2]),
        ("container_last_seen", stats.at_ns // SECOND_NS, ()),
        ("container_start_time_seconds", launched.started_at_ns // SECOND_NS, ()),
        ("container_processes", len(stats.processes), ()),
        ("container_threads", processes.threads, ()),
        ("container_threads_max", stats.usage.pids_limit or 0, ()),
        ("container_file_descriptors", processes.descriptors, ()),
        ("container_sockets", processes.sockets, ()),
        *_ulimits(launched.pid),
    ]
    return _metrics(values, labels, stats.at_ns)


def _metrics(values: Iterable[Value], labels: Sequence[str], at_ns: int) -> list[Any]:
    return [
        cri.Metric(
            name=name,
            timestamp=at_ns,
            metric_type=METRICS[name][0],
            label_values=[*labels, *more],
            value=cri.UInt64Value(value=value),
        )
        for name, value, more in values
    ]


def _known(name: str, value: int | None, *more: str, divided_by: int = 1) -> Iterator[Value]:
    if value is not None:
        yield name, value // divided_by, more


def _cpu(usage: Usage) -> Iterator[Value]:
    yield from _known("container_cpu_usage_seconds_total", usage.cpu_usage_ns, "total", divided_by=SECOND_NS)
    yield from _known("container_cpu_user_seconds_total", usage.cpu_user_ns, divided_by=SECOND_NS)
    yield from _known("container_cpu_system_seconds_total", usage.cpu_system_ns, divided_by=SECOND_NS)
    yield from _known("container_cpu_cfs_periods_total", usage.cpu_periods)
    yield from _known("container_cpu_cfs_throttled_periods_total", usage.cpu_throttled_periods)
    yield from _known("container_cpu_cfs_throttled_seconds_total", usage.cpu_throttled_ns, divided_by=SECOND_NS)


def _memory(usage: Usage) -> Iterator[Value]:
    yield from _known("container_memory_usage_bytes", usage.memory_usage_bytes)
    yield from _known("container_memory_working_set_bytes", usage.memory_working_set_bytes)
    yield from _known("container_memory_rss", usage.memory_rss_bytes)
    yield from _known("container_memory_cache", usage.memory_cache_bytes)
    yield from _known("container_memory_mapped_file", usage.memory_mapped_bytes)
    yield from _known("container_memory_kernel_usage", usage.memory_kernel_bytes)
    yield from _known("container_memory_max_usage_bytes", usage.memory_peak_bytes)
    yield from _known("container_memory_failcnt", usage.memory_limit_hits)
    yield from _known("container_memory_swap", usage.swap_usage_bytes)
    yield from _known("container_oom_events_total", usage.oom_kills)
    for scope in ("container", "hierarchy"):
        yield from _known("container_memory_failures_total", usage.memory_page_faults, "pgfault", scope)
        yield from _known("container_memory_failures_total", usage.memory_major_page_faults, "pgmajfault", scope)


def _pressure(usage: Usage) -> Iterator[Value]:
    for resource, pressure in usage.pressure.items():
        prefix = f"container_pressure_{resource}"
        yield f"{prefix}_waiting_seconds_total", pressure.some.total_us // SECOND_US, ()
        yield f"{prefix}_stalled_seconds_total", pressure.full.total_us // SECOND_US, ()


def _disks(usage: Usage) -> Iterator[Value]:
    for device, disk in usage.disks.items():
        yield "container_fs_reads_bytes_total", disk.read_bytes, (device,)
        yield "container_fs_reads_total", disk.reads, (device,)
        yield "container_fs_writes_bytes_total", disk.write_bytes, (device,)
        yield "container_fs_writes_total", disk.writes, (device,)
        yield "container_blkio_device_usage_total", disk.read_bytes, (device, "Read")
        yield "container_blkio_device_usage_total", disk.write_bytes, (device, "Write")


def _limits(launched: Container) -> Iterator[Value]:
    limits = launched.spec.resources
    yield "container_spec_cpu_period", limits.cpu_period_us, ()
    if limits.cpu_quota_us > 0:
        yield "container_spec_cpu_quota", limits.cpu_quota_us, ()
    yield "container_spec_cpu_shares", limits.cpu_shares, ()
    yield "container_spec_memory_limit_bytes", max(limits.memory_limit_bytes, 0), ()
    yield "container_spec_memory_reservation_limit_bytes", int(limits.unified.get("memory.low", 0)), ()
    yield "container_spec_memory_swap_limit_bytes", max(limits.memory_swap_limit_bytes, 0), ()


async def _network(record: SandboxRecord, pods: Pods) -> list[Value]:
    traffic = await pods.network.traffic(record.id)
    if traffic is None:
        return []
    receive, transmit = "container_network_receive", "container_network_transmit"
    found = {
        f"{receive}_bytes_total": traffic.rx_bytes,
        f"{receive}_packets_total": traffic.rx_packets,
        f"{receive}_errors_total": traffic.rx_errors,
        f"{receive}_packets_dropped_total": traffic.rx_dropped,
        f"{transmit}_bytes_total": traffic.tx_bytes,
        f"{transmit}_packets_total": traffic.tx_packets,
        f"{transmit}_errors_total": traffic.tx_errors,
        f"{transmit}_packets_dropped_total": traffic.tx_dropped,
    }
    return [(name, value, ("eth0",)) for name, value in found.items()]


def _filesystem(layer: Path) -> list[Value]:
    """Of the filesystem that the writable layer lies on."""
    directory = layer if layer.exists() else layer.parent
    found = os.statvfs(directory)
    number = os.stat(directory).st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    return [
        ("container_fs_limit_bytes", found.f_blocks * found.f_frsize, (device,)),
        ("container_fs_inodes_total", found.f_files, (device,)),
        ("container_fs_inodes_free", found.f_ffree, (device,)),
    ]


def _ulimits(pid: int) -> Iterator[Value]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
            if line.startswith("Max open files"):
                soft = line.split()[3]
                if soft.isdigit():
                    yield "container_ulimits_soft", int(soft), ("max_open_files",)


def look_at(pids: Iterable[int]) -> Processes:
    """Blocking; those that end meanwhile are left out."""
    threads = descriptors = sockets = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            threads += len(os.listdir(f"/proc/{pid}/task"))
            for name in os.listdir(f"/proc/{pid}/fd"):
                descriptors += 1
                with contextlib.suppress(FileNotFoundError):
                    sockets += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
    return Processes(threads=threads, descriptors=descriptors, sockets=sockets)
