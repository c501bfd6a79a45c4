"""One trace from the call that makes a pod to its container's start, through every process of a real cluster."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

POD = """
apiVersion: v1
kind: Pod
metadata: {name: traced}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "knarr/busybox:1", command: ["sleep", "1000"]}]
"""
# Who says so, and below which span of the trace.
EXPECTED = {
    "CREATE pods": ("knarr-controlplane", ""),
    "store commit": ("knarr-controlplane", "CREATE pods"),
    "schedule": ("knarr-controlplane", "CREATE pods"),
    "bind": ("knarr-controlplane", "CREATE pods"),
    "reconcile pods": ("knarr-node-agent", "CREATE pods"),
    "RunPodSandbox": ("knarr-runtime", "reconcile pods"),
    "CreateContainer": ("knarr-runtime", "reconcile pods"),
    "StartContainer": ("knarr-runtime", "reconcile pods"),
}


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans it is sent, each with the service that sent it."""

    def __init__(self, address: str) -> None:
        self._lock = threading.Lock()
        self._spans: list[tuple[str, Any]] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(address)
        self._server.start()

    def Export(self, request: Any, context: Any) -> Any:
        with self._lock:
            for resource in request.resource_spans:
                service = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
                self._spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self) -> list[tuple[str, Any]]:
        with self._lock:
            return list(self._spans)

    def stop(self) -> None:
        self._server.stop(0)


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"unix://{tmp_path}/otlp"


@pytest.fixture
def collector(endpoint: str) -> Iterator[Collector]:
    own = Collector(endpoint)
    yield own
    own.stop()


def test_a_pod_is_one_trace_from_its_creation_to_its_start(
    cluster: Any, until_true: Any, collector: Collector, endpoint: str
) -> None:
    cluster.up("--tracing-endpoint", endpoint)
    cluster.import_busybox()
    cluster.ok("create", "-f", "-", stdin=POD)
    cluster.ok("wait", "--for=condition=Ready", "pod/traced", "--timeout", "60s")

    def trace() -> list[tuple[str, Any]]:
        all_spans = collector.spans()
        ids = {span.trace_id for _, span in all_spans if span.name == "CREATE pods"}
        return [(service, span) for service, span in all_spans if span.trace_id in ids]

    until_true(lambda: {span.name for _, span in trace()} >= EXPECTED.keys(), f"all of {sorted(EXPECTED)}")
    spans = {span.span_id: span for _, span in trace()}
    assert len({span.trace_id for span in spans.values()}) == 1
    below = {
        (span.name, service, spans[span.parent_span_id].name if span.parent_span_id else "")
        for service, span in trace()
    }
    assert below >= {(name, *rest) for name, rest in EXPECTED.items()}
    first = {name: min(s.start_time_unix_nano for s in spans.values() if s.name == name) for name in EXPECTED}
    order = ["CREATE pods", "schedule", "bind", "reconcile pods", "RunPodSandbox", "CreateContainer", "StartContainer"]
    assert sorted(order, key=first.__getitem__) == order
    named = {a.value.string_value for s in spans.values() for a in s.attributes if a.key == "object"}
    assert named == {"Pod/default/traced"}

    # Once it runs, looking at it is no part of its beginning.
    count = len(trace())
    seen = len([span for _, span in collector.spans()])
    cluster.ok("apply", "-f", "-", stdin=POD.replace("name: traced", "name: traced, labels: {changed: 'yes'}"))
    until_true(lambda: len(collector.spans()) > seen + 1, "spans of the change")
    assert len(trace()) == count
