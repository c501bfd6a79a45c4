"""What a control plane counts and measures, with Kubernetes' names where it means the same. Times are in seconds.

Source: Kubernetes Metrics Reference; Prometheus naming practice. All of a process, in prometheus_client's registry.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from knarr_client.queue_meter import SHORT_S
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.store.protocol import Entry, Listing, Operation, Outcome, Progress, Store, StoreEvent
from knarr_telemetry import tracing

disable_created_metrics()  # type: ignore[no-untyped-call]
LONG_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 30.0, 60.0, 300.0)

RESOURCE = ("group", "version", "resource", "subresource", "scope", "component")
REQUESTS = Counter(
    "apiserver_request_total", "Calls answered, with HTTP's verbs and codes.", ("verb", "dry_run", *RESOURCE, "code")
)
REQUEST_DURATION = Histogram(
    "apiserver_request_duration_seconds", "Time to answer a call.", ("verb", "dry_run", *RESOURCE), buckets=SHORT_S
)
INFLIGHT = Gauge("apiserver_current_inflight_requests", "Calls under way that answer once.", ("request_kind",))
LONG_RUNNING = Gauge("apiserver_longrunning_requests", "Streams that are open.", ("verb", *RESOURCE))
STORE_DURATION = Histogram("etcd_request_duration_seconds", "Time the store takes.", ("operation",), buckets=SHORT_S)
STORE_ERRORS = Counter("etcd_request_errors_total", "Calls to the store that failed.", ("operation", "error"))

OUTCOME = ("result", "profile")
ATTEMPTS = Counter("scheduler_schedule_attempts_total", "Attempts to schedule, by what came of them.", OUTCOME)
ATTEMPT_DURATION = Histogram(
    "scheduler_scheduling_attempt_duration_seconds", "Of an attempt, binding included.", OUTCOME, buckets=SHORT_S
)
DECISION_DURATION = Histogram(
    "scheduler_scheduling_algorithm_duration_seconds", "Time to decide for a pod.", buckets=SHORT_S
)
POD_DURATION = Histogram(
    "scheduler_pod_scheduling_sli_duration_seconds",
    "From when a pod was made until it was bound.",
    ("attempts",),
    buckets=LONG_S,
)
POD_ATTEMPTS = Histogram(
    "scheduler_pod_scheduling_attempts", "How many attempts pods took to be scheduled.", buckets=(1, 2, 4, 8, 16)
)
PENDING = Gauge("scheduler_pending_pods", "Pods without a node.", ("queue",))
PREEMPTIONS = Counter("scheduler_preemption_attempts_total", "Searches for pods that could make room.")
VICTIMS = Histogram("scheduler_preemption_victims", "Pods asked to go, each time.", buckets=(1, 2, 4, 8, 16, 32, 64))

LEADING = Gauge("leader_election_master_status", "1 while this process leads.", ("name",))


class MeteredStore:
    """A store whose calls are timed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, key: str) -> Entry | None:
        with _timed("get"):
            return await self._store.get(key)

    async def list(self, prefix: str, *, limit: int = 0, after: str = "", at_revision: int = 0) -> Listing:
        with _timed("list"):
            return await self._store.list(prefix, limit=limit, after=after, at_revision=at_revision)

    async def commit(self, operations: Sequence[Operation]) -> tuple[int, ...]:
        with tracing.step("store commit", operations=len(operations)), _timed("commit"):
            return await self._store.commit(operations)

    async def commit_each(self, commits: Sequence[Sequence[Operation]]) -> Sequence[Outcome]:
        with tracing.step("store commit", operations=sum(map(len, commits))), _timed("commit"):
            return await self._store.commit_each(commits)

    def watch(
        self, prefix: str, *, after: int, previous: bool = True
    ) -> AsyncIterator[tuple[StoreEvent | Progress, ...]]:
        return self._store.watch(prefix, after=after, previous=previous)

    async def revision(self) -> int:
        return await self._store.revision()

    async def compact(self, before: int) -> None:
        with _timed("compact"):
            await self._store.compact(before)

    async def close(self) -> None:
        await self._store.close()


@contextmanager
def _timed(operation: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    except Exception as error:
        STORE_ERRORS.labels(operation, type(error).__name__).inc()
        raise
    finally:
        _duration(operation).observe(time.perf_counter() - started)


@functools.cache
def _duration(operation: str) -> Histogram:
    return STORE_DURATION.labels(operation)


class StoredObjects(Collector):
    """How many objects of each kind there are, counted when asked for."""

    def __init__(self, cache: WatchCache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Under the name of before Kubernetes 1.34 and the one since."""
        before = GaugeMetricFamily("apiserver_storage_objects", "Objects in the store.", labels=("resource",))
        since = GaugeMetricFamily("apiserver_resource_objects", "Objects in the store.", labels=("group", "resource"))
        for kind, count in self._cache.sizes():
            before.add_metric((kind.qualified,), count)
            since.add_metric((kind.group, kind.resource), count)
        yield before
        yield since
