"""What the node and its containers use, told to the control plane every ``INTERVAL_S``.

The kernel counts processor time; a rate is the difference of two samples. So a container is told of from its second
sample on, and a pod when all of its containers that run are.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from knarr_api.errors import KnarrError
from knarr_client.clock import Clock
from knarr_proto.v1 import agent_pb2

INTERVAL_S = 15.0
FIRST_S = 2.0
"""Until there is a first sample to compare with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSample:
    """cpu_ns: processor time since its start."""

    id: str
    name: str
    namespace: str
    pod: str
    uid: str
    at_ns: int
    cpu_ns: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSample:
    at_s: float
    cpu_s: float
    memory_bytes: int


def usage(
    before: Mapping[str, ContainerSample], after: Mapping[str, ContainerSample], node: tuple[NodeSample, NodeSample]
) -> Any:
    """The message for two rounds of samples (containers by id). Pure."""
    earlier, later = node
    window_s = max(later.at_s - earlier.at_s, 1e-3)
    pods: dict[str, Any] = {}
    incomplete: set[str] = set()
    for sample in sorted(after.values(), key=lambda each: (each.namespace, each.pod, each.name, each.at_ns)):
        first = before.get(sample.id)
        if first is None or sample.at_ns <= first.at_ns:
            incomplete.add(sample.uid)
            continue
        rate = max(sample.cpu_ns - first.cpu_ns, 0) * 10**9 // (sample.at_ns - first.at_ns)
        pod = pods.setdefault(
            sample.uid, agent_pb2.PodUsage(namespace=sample.namespace, name=sample.pod, uid=sample.uid)
        )
        amounts = agent_pb2.Amounts(cpu_nano_cores=rate, memory_bytes=sample.memory_bytes)
        pod.containers.append(agent_pb2.ContainerUsage(name=sample.name, amounts=amounts))
    busy = int(max(later.cpu_s - earlier.cpu_s, 0.0) / window_s * 1e9)
    return agent_pb2.Usage(
        window_ms=int(window_s * 1000),
        node=agent_pb2.Amounts(cpu_nano_cores=busy, memory_bytes=later.memory_bytes),
        pods=[pod for uid, pod in pods.items() if uid not in incomplete],
    )


def read_node(clock: Clock, proc: Path = Path("/proc")) -> NodeSample:
    """Of the whole machine. Source: proc(5), /proc/stat and /proc/meminfo."""
    fields = (proc / "stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq = (int(field) for field in fields[:7])
    memory = dict(line.split(":", 1) for line in (proc / "meminfo").read_text().splitlines())
    used_kib = int(memory["MemTotal"].split()[0]) - int(memory["MemAvailable"].split()[0])
    return NodeSample(
        at_s=clock.monotonic(),
        cpu_s=(user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK"),
        memory_bytes=used_kib * 1024,
    )


class UsageReporter:
    """samples: of all containers that run, by id; raises KnarrError. tell: takes the message."""

    def __init__(
        self, samples: Callable[[], Awaitable[Mapping[str, ContainerSample]]], clock: Clock, tell: Callable[[Any], None]
    ) -> None:
        self._samples = samples
        self._clock = clock
        self._tell = tell

    async def run(self) -> None:
        log = structlog.get_logger("knarr.usage")
        containers: Mapping[str, ContainerSample] = {}
        node = read_node(self._clock)
        wait_s = FIRST_S
        while True:
            await self._clock.sleep(wait_s)
            try:
                sampled = await self._samples()
            except KnarrError as error:
                log.warning("what containers use is not known", error=str(error))
                continue
            before, node = node, read_node(self._clock)
            self._tell(usage(containers, sampled, (before, node)))
            wait_s = INTERVAL_S if containers or not sampled else FIRST_S
            containers = sampled
