"""Traces, off until ``start`` is called: only then OpenTelemetry is loaded, and until then a span costs a comparison.

A trace follows a pod from the call that makes it to its containers' start. It travels as W3C trace context: between
processes in gRPC metadata; from the call to scheduler and agent, which learn of the pod by watching, in an annotation.
Source: W3C Trace Context; OpenTelemetry's specification.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from knarr_telemetry.spans import HEADER as HEADER
from knarr_telemetry.spans import Span as Span
from knarr_telemetry.spans import Tracer

ANNOTATION = "knarr.io/traceparent"
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
HELP = "send traces to this OTLP collector: http://HOST:4317 or unix:///PATH (default: $OTEL_EXPORTER_OTLP_ENDPOINT)"
NEW = ""
"""As a parent: none, the span begins a trace."""

_NOTHING: Span = contextlib.nullcontext()


class NotInstalled(Exception):
    """What traces need is not there; the message says how to get it."""


class _State:
    """Of this process."""

    tracer: Tracer | None = None


def default_endpoint() -> str:
    """As OpenTelemetry's environment says."""
    return os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or ""


def start(service: str, endpoint: str, **attributes: str) -> None:
    """Send spans there from now on, unless the endpoint is empty. Raises NotInstalled.

    service: which program this is. endpoint: of an OTLP collector (gRPC), ``http://HOST:4317`` or ``unix:///PATH``.
    """
    if not endpoint:
        return
    try:
        from knarr_telemetry.otlp import OpenTelemetryTracer
    except ImportError as error:
        raise NotInstalled(f"traces need more packages: pip install 'knarr[tracing]' ({error})") from error
    _State.tracer = OpenTelemetryTracer(service, endpoint, attributes)


def stop() -> None:
    """Send what was not sent yet, for a moment; then off."""
    if _State.tracer is not None:
        _State.tracer.stop()
        _State.tracer = None


def is_on() -> bool:
    return _State.tracer is not None


def span(name: str, parent: str | None, **attributes: str | int) -> Span:
    """Something that takes time, as a part of its parent's trace. parent: a traceparent, NEW, or None for no span."""
    if _State.tracer is None or parent is None:
        return _NOTHING
    return _State.tracer.span(name, parent, attributes)


def step(name: str, **attributes: str | int) -> Span:
    """A part of the span under way; nothing where none is."""
    return _NOTHING if _State.tracer is None else _State.tracer.step(name, attributes)


def traceparent() -> str:
    """Of the span under way; empty where none is."""
    return "" if _State.tracer is None else _State.tracer.traceparent()


def options() -> dict[str, Any]:
    """What a gRPC call is given so that the other side goes on with the trace."""
    found = traceparent()
    return {"metadata": ((HEADER, found),)} if found else {}


def of_call(metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
    """The trace context a call came with."""
    return _checked(next((value for key, value in metadata or () if key == HEADER), None))


def of_annotations(annotations: Mapping[str, str]) -> str | None:
    """The trace context of what made an object."""
    return None if _State.tracer is None else _checked(annotations.get(ANNOTATION))


def _checked(text: str | bytes | None) -> str | None:
    return text if isinstance(text, str) and TRACEPARENT.fullmatch(text) else None
