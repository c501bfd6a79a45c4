"""Times as Kubernetes writes them: UTC, RFC 3339; whole seconds (``Time``) or always six digits (``MicroTime``).

Not a clock: reading the time is the business of :mod:`knarr_client.clock`. The generated value types call
``keep_seconds`` and ``keep_micros`` on construction, so a value's times always have the form that its JSON and its
wire message have, and comparing values before and after a round trip is safe.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

import msgspec

from knarr_api.errors import Invalid

UTC = datetime.UTC
NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(ns|us|µs|ms|s|m|h)")


class MicroTime(datetime.datetime):
    """A time that is written with its microseconds, also when they are zero: Go's clients insist on six digits."""

    __slots__ = ()


def seconds(value: datetime.datetime) -> datetime.datetime:
    """In UTC, cut to whole seconds. Raises ValueError without a time zone."""
    value = _in_utc(value)
    return datetime.datetime(
        value.year, value.month, value.day, value.hour, value.minute, value.second, tzinfo=UTC, fold=value.fold
    )


def micros(value: datetime.datetime) -> MicroTime:
    """In UTC, to be written with six digits. Raises ValueError without a time zone."""
    value = _in_utc(value)
    return MicroTime(
        value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, tzinfo=UTC
    )


def text(value: datetime.datetime) -> str:
    """``2026-01-31T08:00:00Z``; a MicroTime with six digits after the point."""
    timespec = "microseconds" if isinstance(value, MicroTime) else "seconds"
    return _in_utc(value).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def parse(value: str) -> datetime.datetime:
    """Any RFC 3339 time, in UTC, with the microseconds it has. Raises Invalid."""
    try:
        return _in_utc(msgspec.convert(value, datetime.datetime))
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise Invalid(f'"{value[:40]}" is not a time like 2026-01-31T08:00:00Z') from error


def duration_ns(value: str) -> int:
    """Nanoseconds of a duration as Go writes it: ``1h30m``, ``-1.5s``, ``300ms``. Raises Invalid."""
    sign, body = (-1, value[1:]) if value[:1] == "-" else (1, value.removeprefix("+"))
    if body == "0":
        return 0
    parts = DURATION_PART.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        raise Invalid(f'"{value[:40]}" is not a duration like 1h30m, 15s or 300ms')
    total = 0
    for number, unit in parts:
        whole, _, fraction = number.partition(".")
        total += int(whole or "0") * NANOSECONDS[unit] + int(fraction or "0") * NANOSECONDS[unit] // 10 ** len(fraction)
    if total >= 2**63:
        raise Invalid(f'duration "{value[:40]}" is longer than 292 years')
    return sign * total


def duration_text(ns: int) -> str:
    """As Go writes it: ``1h30m0s``, ``1.5s``, ``300ms``, ``0s``."""
    sign, ns = "-" if ns < 0 else "", abs(ns)
    if not ns:
        return "0s"
    for unit in ("ns", "µs", "ms"):
        if ns < NANOSECONDS[unit] * 1000:
            return sign + _decimal(ns, NANOSECONDS[unit]) + unit
    minutes, rest = divmod(ns, NANOSECONDS["m"])
    text = f"{_decimal(rest, NANOSECONDS['s'])}s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else sign + text


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0") if rest else str(whole)


def keep_seconds(struct: Any, attribute: str, value: datetime.datetime) -> None:
    """Give a struct that is being made its time in canonical form."""
    if value.microsecond or value.tzinfo is not UTC or type(value) is not datetime.datetime:
        msgspec.structs.force_setattr(struct, attribute, seconds(value))


def keep_micros(struct: Any, attribute: str, value: datetime.datetime) -> None:
    """As ``keep_seconds``, for what is written with six digits."""
    if type(value) is not MicroTime or value.tzinfo is not UTC:
        msgspec.structs.force_setattr(struct, attribute, micros(value))


def _in_utc(value: datetime.datetime) -> datetime.datetime:
    if value.tzinfo is None:
        raise ValueError(f"time {value.isoformat()} has no time zone")
    try:
        return value if value.tzinfo is UTC else value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"time {value.isoformat()} is out of range in UTC") from error
