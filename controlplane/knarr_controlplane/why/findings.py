"""What a finding is, and findings from events. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from knarr_api.types.core_v1 import Event

MAX_EVENTS = 10
WORST = ("error", "warning")


@dataclass(frozen=True, slots=True)
class Finding:
    """severity: ok, info, warning, error."""

    severity: str
    subject: str
    reason: str
    message: str
    remedy: str = ""


def worst(found: Iterable[Finding]) -> Finding | None:
    """The first of the worst that is more than information."""
    kept = tuple(found)
    return next((one for severity in WORST for one in kept if one.severity == severity), None)


def of_events(events: Iterable[Event], now: datetime.datetime, *, subject: str = "event") -> Iterator[Finding]:
    """The newest, the oldest of them first."""
    for event in sorted(events, key=when)[-MAX_EVENTS:]:
        times = f"x{event.count}, " if (event.count or 1) > 1 else ""
        text = f"{event.message} ({times}{age(when(event), now)} ago)"
        yield Finding("warning" if event.type == "Warning" else "info", subject, event.reason, text)


def when(event: Event) -> datetime.datetime:
    """It was last seen."""
    moment = event.last_timestamp or event.event_time or event.first_timestamp or event.metadata.creation_timestamp
    return moment or datetime.datetime.min.replace(tzinfo=datetime.UTC)


def age(since: datetime.datetime, now: datetime.datetime) -> str:
    """``5s``, ``3m``, ``2h``, ``4d``."""
    passed_s = max(int((now - since).total_seconds()), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if passed_s >= 2 * size:
            return f"{passed_s // size}{unit}"
    return f"{passed_s}s"
