"""Spans by OpenTelemetry, sent to a collector over OTLP. Imported only when traces are on.

The sampler is what ``OTEL_TRACES_SAMPLER`` says (default: every trace).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from knarr_telemetry.spans import HEADER, Span

SEND_EVERY_MS = 1000
TIMEOUT_S = 3


class OpenTelemetryTracer:
    """Implements ``Tracer``."""

    def __init__(self, service: str, endpoint: str, attributes: Mapping[str, str]) -> None:
        exporter = OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https:"), timeout=TIMEOUT_S)
        self._provider = TracerProvider(resource=Resource.create({"service.name": service, **attributes}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=SEND_EVERY_MS))
        self._tracer = self._provider.get_tracer("knarr")
        self._propagator = TraceContextTextMapPropagator()

    def span(self, name: str, parent: str, attributes: Mapping[str, Any]) -> Span:
        carrier = {HEADER: parent} if parent else {}
        return self._begin(name, self._propagator.extract(carrier, contexts.Context()), attributes)

    def step(self, name: str, attributes: Mapping[str, Any]) -> Span:
        """What was left running by a span that has ended is no part of it."""
        if not trace.get_current_span().is_recording():
            return contextlib.nullcontext()
        return self._begin(name, contexts.get_current(), attributes)

    def traceparent(self) -> str:
        if not trace.get_current_span().is_recording():
            return ""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get(HEADER, "")

    def stop(self) -> None:
        self._provider.shutdown()

    @contextlib.contextmanager
    def _begin(self, name: str, context: contexts.Context, attributes: Mapping[str, Any]) -> Iterator[None]:
        with self._tracer.start_as_current_span(name, context=context, attributes=dict(attributes)):
            yield
