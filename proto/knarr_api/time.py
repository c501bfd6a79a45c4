"""Times as Kubernetes writes them: UTC, RFC 3339; whole seconds (``Time``) or always six digits (``MicroTime``).

Not a clock: reading the time is the business of :mod:`knarr_client.clock`. The generated value types call
``keep_seconds`` and ``keep_micros`` on construction, so a value's times always have the form that its JSON and its
wire message have, and comparing values before and after a round trip is safe.
"""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from knarr_api.errors import Invalid

UTC = datetime.UTC


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
