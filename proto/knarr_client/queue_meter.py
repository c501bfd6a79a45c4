"""Work queues' metrics, with Kubernetes' names. Times are in seconds. Imported only by who serves metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SHORT_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

ADDS = Counter("workqueue_adds_total", "Keys added.", ("name",))
DEPTH = Gauge("workqueue_depth", "Keys that wait.", ("name",))
WAIT = Histogram("workqueue_queue_duration_seconds", "How long keys waited.", ("name",), buckets=SHORT_S)
WORK = Histogram("workqueue_work_duration_seconds", "How long keys were worked on.", ("name",), buckets=SHORT_S)
RETRIES = Counter("workqueue_retries_total", "Keys added again after a failure.", ("name",))


class QueueMeter:
    """A work queue's metrics: see ``knarr_client.workqueue.QueueMetrics``."""

    def __init__(self, name: str) -> None:
        self._adds, self._depth = ADDS.labels(name), DEPTH.labels(name)
        self._wait, self._work = WAIT.labels(name), WORK.labels(name)
        self._retries = RETRIES.labels(name)

    def added(self, depth: int) -> None:
        self._adds.inc()
        self._depth.set(depth)

    def taken(self, waited_s: float) -> None:
        self._depth.dec()
        self._wait.observe(waited_s)

    def finished(self, worked_s: float) -> None:
        self._work.observe(worked_s)

    def retried(self, failures: int) -> None:
        self._retries.inc()
