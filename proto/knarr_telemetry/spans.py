"""What ``tracing`` and what carries it out agree on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

HEADER = "traceparent"
"""Source: W3C Trace Context."""
Span = AbstractContextManager[object]


class Tracer(Protocol):
    def span(self, name: str, parent: str, attributes: Mapping[str, Any]) -> Span: ...

    def step(self, name: str, attributes: Mapping[str, Any]) -> Span: ...

    def traceparent(self) -> str: ...

    def stop(self) -> None: ...
