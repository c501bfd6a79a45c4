"""What an agent counts and measures, with the kubelet's names where it means the same. Times are in seconds.

Imported only when metrics are served. Source: Kubernetes Metrics Reference (kubelet_*, /metrics/resource).
"""

from __future__ import annotations

import re
import time
from collections import Counter as Count
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import grpc.aio
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from knarr_client.clock import Clock
from knarr_client.queue_meter import QueueMeter
from knarr_node_agent.podmachine.world import World
from knarr_node_agent.runtime import Runtime
from knarr_node_agent.usage import read_node

SHORT_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
START_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)

OPERATIONS = Counter("kubelet_runtime_operations_total", "Calls to the container runtime.", ("operation_type",))
OPERATION_ERRORS = Counter("kubelet_runtime_operations_errors_total", "Those that failed.", ("operation_type",))
OPERATION_DURATION = Histogram(
    "kubelet_runtime_operations_duration_seconds", "Time the runtime takes.", ("operation_type",), buckets=SHORT_S
)
EVENT_LATENCY = Histogram(
    "kubelet_evented_pleg_connection_latency_seconds", "From a runtime's event until it was read.", buckets=SHORT_S
)
RELIST_DURATION = Histogram("kubelet_pleg_relist_duration_seconds", "Time to list everything.", buckets=SHORT_S)
RELIST_INTERVAL = Histogram("kubelet_pleg_relist_interval_seconds", "Time between such lists.", buckets=START_S)
POD_START = Histogram(
    "kubelet_pod_start_total_duration_seconds",
    "From a pod's creation until its containers ran.",
    buckets=START_S,
)
POD_START_SLI = Histogram(
    "kubelet_pod_start_sli_duration_seconds", "The same less pulls and init containers.", buckets=START_S
)
POD_WORKER = Histogram(
    "kubelet_pod_worker_duration_seconds", "Time of one look at a pod.", ("operation_type",), buckets=SHORT_S
)
Family = CounterMetricFamily | GaugeMetricFamily
STREAMS = ("GetContainerEvents",)


class PrometheusMeter:
    """Implements Meter, in prometheus_client's registry."""

    def __init__(self) -> None:
        self.queue = QueueMeter("pods")

    def runtime(self, service: Any) -> Any:
        return _MeasuredService(service)

    def pod_started(self, total_s: float, sli_s: float) -> None:
        POD_START.observe(total_s)
        POD_START_SLI.observe(sli_s)

    def pod_worked_on(self, what: str, duration_s: float) -> None:
        POD_WORKER.labels(what).observe(duration_s)

    def looked_at_all(self, duration_s: float, since_last_s: float | None) -> None:
        RELIST_DURATION.observe(duration_s)
        if since_last_s is not None:
            RELIST_INTERVAL.observe(since_last_s)


class _MeasuredService:
    """A CRI service whose calls are counted and timed."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._service, name)
        measured = _read(method) if name in STREAMS else _timed(operation_type(name), method)
        setattr(self, name, measured)
        return measured


def operation_type(method: str) -> str:
    """As the kubelet calls it: ``RunPodSandbox`` is run_podsandbox."""
    words = re.sub(r"(?<!^)(?=[A-Z])", "_", method.replace("PodSandbox", "Podsandbox"))
    return words.lower()


def _timed(operation: str, method: Any) -> Callable[..., Any]:
    calls, failures = OPERATIONS.labels(operation), OPERATION_ERRORS.labels(operation)
    duration = OPERATION_DURATION.labels(operation)

    async def timed(request: Any, **options: Any) -> Any:
        calls.inc()
        started = time.perf_counter()
        try:
            return await method(request, **options)
        except grpc.aio.AioRpcError:
            failures.inc()
            raise
        finally:
            duration.observe(time.perf_counter() - started)

    return timed


def _read(method: Any) -> Callable[..., Any]:
    async def read(request: Any) -> AsyncIterator[Any]:
        async for event in method(request):
            if event.created_at:
                EVENT_LATENCY.observe(max(0.0, time.time() - event.created_at / 1e9))
            yield event

    return read


class Census(Collector):
    """How many pods and containers there are, counted when asked for. worlds: what was seen of each pod last."""

    def __init__(self, worlds: Callable[[], Iterable[World]]) -> None:
        self._worlds = worlds

    def collect(self) -> Iterator[Metric]:
        pods, states = 0, Count[str]()
        for world in self._worlds():
            pods += any(sandbox.ready for sandbox in world.sandboxes)
            states.update(run.state.name.lower() for runs in world.runs.values() for run in runs)
        yield GaugeMetricFamily("kubelet_running_pods", "Pods with a sandbox that is ready.", value=pods)
        family = GaugeMetricFamily("kubelet_running_containers", "Containers by state.", labels=("container_state",))
        for state, count in sorted(states.items()):
            family.add_metric((state,), count)
        yield family


async def resources(runtime: Runtime, clock: Clock) -> CollectorRegistry:
    """What node, pods and containers use now: ``/metrics/resource``. Raises Unavailable."""
    families = _families()
    node = read_node(clock)
    families["node_cpu_usage_seconds"].add_metric((), node.cpu_s)
    families["node_memory_working_set_bytes"].add_metric((), node.memory_bytes)
    for stats in await runtime.pod_stats():
        pod = (stats.attributes.metadata.namespace, stats.attributes.metadata.name)
        _add(families, "pod", pod, stats.linux)
        for container in stats.linux.containers:
            labels = (container.attributes.metadata.name, *pod)
            _add(families, "container", labels, container)
    registry = CollectorRegistry()
    registry.register(_Given(list(families.values())))
    return registry


def _families() -> dict[str, Family]:
    pod, container = ("namespace", "pod"), ("container", "namespace", "pod")
    found: dict[str, Family] = {}
    for what, labels in (("node", ()), ("pod", pod), ("container", container)):
        name = f"{what}_cpu_usage_seconds"
        found[name] = CounterMetricFamily(name, f"Processor time the {what} has used.", labels=labels)
        name = f"{what}_memory_working_set_bytes"
        found[name] = GaugeMetricFamily(name, f"Memory of the {what} that can't be taken back.", labels=labels)
    return found


def _add(families: dict[str, Family], what: str, labels: tuple[str, ...], stats: Any) -> None:
    """What the runtime does not know of it is left out."""
    if stats.cpu.HasField("usage_core_nano_seconds"):
        seconds = stats.cpu.usage_core_nano_seconds.value / 1e9
        families[f"{what}_cpu_usage_seconds"].add_metric(labels, seconds)
    if stats.memory.HasField("working_set_bytes"):
        families[f"{what}_memory_working_set_bytes"].add_metric(labels, stats.memory.working_set_bytes.value)


class _Given(Collector):
    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
