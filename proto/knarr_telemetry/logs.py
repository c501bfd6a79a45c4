"""Log lines, the same for every program: one event each, in words that do not change, and fields that say the rest.

``object`` is what it is about (``Pod/default/web``, ``Node/n1``), ``node`` where, ``error`` why not, ``duration_s`` how
long it took, ``component`` who says it, ``trace_id`` in which trace, where there is one. Other fields are for what is
said seldom. What libraries log comes out the same way.

Nothing secret belongs in a log line. Should a token or a private key get into one all the same, it is taken out here.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from knarr_telemetry import tracing

FORMATS = ("console", "json")
LEVELS = ("debug", "info", "warning", "error")
FIRST = ("timestamp", "level", "component", "event", "object", "node", "error", "duration_s")

SECRET_FIELDS = frozenset({"token", "secret", "password", "authorization", "auth", "key_pem", "private_key"})
SECRET_TEXT = re.compile(
    r"(kn1\.[^.\s]+\.)[^.\s]+\.[0-9a-f]{64}"  # a join token; its id may be shown
    r"|(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|(eyJ[\w-]{8,}\.)eyJ[\w-]+\.[\w-]+",  # a signed web token
    re.DOTALL,
)
REDACTED = "[redacted]"

Fields = MutableMapping[str, Any]


def configure(level: str, form: str, *, first: Sequence[Processor] = (), file: TextIO | None = None) -> None:
    """Lines go to standard error. first: processors that see events as they were logged."""
    if form == "json":
        renderer: Processor = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.processors.LogfmtRenderer(key_order=FIRST, drop_missing=True)
    out = file or sys.stderr
    structlog.configure(
        processors=[
            *first,
            _context,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            without_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *names: _Named(out, *names),
    )
    logging.basicConfig(handlers=[_Forwarding()], level=logging.WARNING, force=True)


def without_secrets(logger: Any, method: str, event: Fields) -> Fields:
    """A processor: no value that is known to be secret, nor looks like it."""
    for key, value in event.items():
        if key in SECRET_FIELDS:
            event[key] = REDACTED
        elif isinstance(value, str):
            event[key] = SECRET_TEXT.sub(_shown, value)
        elif not isinstance(value, int | float | None):
            text = str(value)
            if SECRET_TEXT.search(text):
                event[key] = SECRET_TEXT.sub(_shown, text)
    return event


def _shown(match: re.Match[str]) -> str:
    return next(filter(None, match.groups()), "") + REDACTED


def _context(logger: Any, method: str, event: Fields) -> Fields:
    if logger.name:
        event.setdefault("component", logger.name)
    if context := tracing.traceparent():
        event["trace_id"] = context.split("-")[1]
    return event


class _Named(structlog.WriteLogger):
    """Writes lines and knows its name."""

    def __init__(self, file: TextIO, name: str = "") -> None:
        super().__init__(file)
        self.name = name.removeprefix("knarr.")


class _Forwarding(logging.Handler):
    """Hands what libraries log on."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        structlog.get_logger(record.name).log(record.levelno, text, exc_info=record.exc_info)
