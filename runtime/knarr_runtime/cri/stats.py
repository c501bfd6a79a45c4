"""CRI's statistics of containers and pods: from their cgroups, their writable layers and their links."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.cri import status
from knarr_runtime.cri.disk import DiskUsage, DiskUsages
from knarr_runtime.cri.pods import Pods
from knarr_runtime.cri.records import ContainerRecord, SandboxRecord
from knarr_runtime.kernel.bridge import Traffic
from knarr_runtime.kernel.cgroup.values import Pressure, Stall, Usage
from knarr_runtime.launcher import Launcher, Stats

RATE_OVER_NS = 100_000_000
"""Two samples closer than this say nothing about a rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    at_ns: int
    cpu_ns: int
    rate: int | None = None


class Statistics:
    """Asks the kernel at every call; keeps the last sample of each cgroup, to tell how busy its CPUs are."""

    def __init__(self, pods: Pods, launcher: Launcher) -> None:
        self._pods = pods
        self._launcher = launcher
        self._disks = DiskUsages()
        self._samples: dict[str, _Sample] = {}

    async def container(self, record: ContainerRecord) -> Any:
        """ContainerStats. What has ended uses nothing but its layer."""
        answer = cri.ContainerStats(
            attributes=cri.ContainerAttributes(
                id=record.id,
                metadata=record.config.metadata,
                labels=record.config.labels,
                annotations=record.config.annotations,
            ),
        )
        launched = self._pods.launched(record)
        if launched is not None and status.container_state(launched) == cri.CONTAINER_RUNNING:
            stats = await self._launcher.stats(record.id)
            self._fill_cpu(answer.cpu, record.id, stats)
            _fill_memory(answer.memory, stats)
            _fill_swap(answer.swap, stats)
            if "io" in stats.usage.pressure:
                answer.io.timestamp = stats.at_ns
                _fill_pressure(answer.io.psi, stats.usage.pressure["io"])
        answer.writable_layer.CopyFrom(_layer(await self.layer(record), self._pods.layer(record)))
        return answer

    async def sandbox(self, record: SandboxRecord) -> Any:
        """PodSandboxStats. Of a pod that is over only the attributes."""
        answer = cri.PodSandboxStats(
            attributes=cri.PodSandboxAttributes(
                id=record.id,
                metadata=record.config.metadata,
                labels=record.config.labels,
                annotations=record.config.annotations,
            ),
        )
        if not self._pods.sandbox_ready(record):
            return answer
        linux = answer.linux
        stats = await self._launcher.sandbox_stats(record.id)
        self._fill_cpu(linux.cpu, record.id, stats)
        _fill_memory(linux.memory, stats)
        if "io" in stats.usage.pressure:
            linux.io.timestamp = stats.at_ns
            _fill_pressure(linux.io.psi, stats.usage.pressure["io"])
        linux.process.timestamp = stats.at_ns
        linux.process.process_count.value = len(stats.processes)
        traffic = await self._pods.network.traffic(record.id)
        if traffic is not None:
            linux.network.timestamp = time.time_ns()
            linux.network.default_interface.CopyFrom(_interface("eth0", traffic))
        for container in self._pods.containers_of(record.id):
            if status.container_state(self._pods.launched(container)) == cri.CONTAINER_RUNNING:
                linux.containers.append(await self.container(container))
        return answer

    async def layer(self, record: ContainerRecord) -> DiskUsage:
        return await self._disks.of(self._pods.layer(record))

    def keep_only(self, identifiers: Iterable[str]) -> None:
        """Forgets samples of what is gone."""
        kept = set(identifiers)
        self._samples = {name: sample for name, sample in self._samples.items() if name in kept}
        self._disks.keep_only({self._pods.layer(self._pods.containers[i]) for i in kept & self._pods.containers.keys()})

    def _fill_cpu(self, target: Any, identifier: str, stats: Stats) -> None:
        target.timestamp = stats.at_ns
        used = stats.usage.cpu_usage_ns
        if used is None:
            return
        target.usage_core_nano_seconds.value = used
        last = self._samples.get(identifier)
        if last is None:
            self._samples[identifier] = _Sample(at_ns=stats.at_ns, cpu_ns=used)
        elif (passed_ns := stats.at_ns - last.at_ns) >= RATE_OVER_NS:
            rate = max(used - last.cpu_ns, 0) * 1_000_000_000 // passed_ns
            target.usage_nano_cores.value = rate
            self._samples[identifier] = _Sample(at_ns=stats.at_ns, cpu_ns=used, rate=rate)
        elif last.rate is not None:
            target.usage_nano_cores.value = last.rate
        if "cpu" in stats.usage.pressure:
            _fill_pressure(target.psi, stats.usage.pressure["cpu"])


def _fill_memory(target: Any, stats: Stats) -> None:
    usage = stats.usage
    target.timestamp = stats.at_ns
    for field, value in (
        (target.usage_bytes, usage.memory_usage_bytes),
        (target.working_set_bytes, usage.memory_working_set_bytes),
        (target.available_bytes, _available(usage)),
        (target.rss_bytes, usage.memory_rss_bytes),
        (target.page_faults, usage.memory_page_faults),
        (target.major_page_faults, usage.memory_major_page_faults),
    ):
        if value is not None:
            field.value = value
    if "memory" in usage.pressure:
        _fill_pressure(target.psi, usage.pressure["memory"])


def _available(usage: Usage) -> int | None:
    """What is left below the limit; None without one."""
    if usage.memory_limit_bytes is None or usage.memory_working_set_bytes is None:
        return None
    return max(usage.memory_limit_bytes - usage.memory_working_set_bytes, 0)


def _fill_swap(target: Any, stats: Stats) -> None:
    usage = stats.usage
    if usage.swap_usage_bytes is None:
        return
    target.timestamp = stats.at_ns
    target.swap_usage_bytes.value = usage.swap_usage_bytes
    if usage.swap_limit_bytes is not None:
        target.swap_available_bytes.value = max(usage.swap_limit_bytes - usage.swap_usage_bytes, 0)


def _fill_pressure(target: Any, pressure: Pressure) -> None:
    _fill_stall(target.Some, pressure.some)
    _fill_stall(target.Full, pressure.full)


def _fill_stall(target: Any, stall: Stall) -> None:
    target.Total, target.Avg10, target.Avg60, target.Avg300 = stall.total_us, stall.avg10, stall.avg60, stall.avg300


def _layer(usage: DiskUsage, directory: Path) -> Any:
    return cri.FilesystemUsage(
        timestamp=usage.at_ns,
        fs_id=cri.FilesystemIdentifier(mountpoint=str(directory.parent.parent)),
        used_bytes=cri.UInt64Value(value=usage.used_bytes),
        inodes_used=cri.UInt64Value(value=usage.inodes),
    )


def _interface(name: str, traffic: Traffic) -> Any:
    return cri.NetworkInterfaceUsage(
        name=name,
        rx_bytes=cri.UInt64Value(value=traffic.rx_bytes),
        rx_errors=cri.UInt64Value(value=traffic.rx_errors),
        tx_bytes=cri.UInt64Value(value=traffic.tx_bytes),
        tx_errors=cri.UInt64Value(value=traffic.tx_errors),
    )
