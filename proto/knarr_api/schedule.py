"""Schedules of CronJobs: five cron fields, ``@daily`` and its like, or ``@every 1h30m``. Pure.

cronsim does the calendar. What Kubernetes' parser reads otherwise is put into words that cronsim reads the same way:
``?`` is ``*``, Sunday is 0 alone, and ``*/2`` as a day counts as a restriction (day of month OR day of week). Around
changes of the clock it is as in Debian: times that are skipped run at once after, times that come twice run once.

Source: Kubernetes documentation, "CronJob", "Schedule syntax".
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from dataclasses import dataclass

from cronsim import CronSim, CronSimError

from knarr_api.errors import Invalid

NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(\d+(?:\.\d*)?)(h|ms|m|s|us|µs|ns)")
_TERM = re.compile(r"([*?]|[0-9A-Za-z]+(-[0-9A-Za-z]+)?)(/[0-9]+)?")
_LETTERS = re.compile("[A-Za-z]")
_LAST = re.compile(r"\dL")
_SEVEN = re.compile(r"(^|[,-])0*7\b")
_DAYS, _WEEKDAYS = (1, 31), (0, 6)
_SECOND = datetime.timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """expression: for cronsim; empty where ``every`` says it."""

    expression: str
    every: datetime.timedelta | None = None

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Raises Invalid."""
        given = text.strip()
        if given.startswith("@every "):
            return cls("", _duration(given.removeprefix("@every ").strip()))
        if given.startswith("@"):
            if given.lower() not in NAMED:
                raise Invalid(f"unrecognized descriptor: {given}")
            return cls(NAMED[given.lower()])
        fields = given.split()
        if len(fields) != 5:
            raise Invalid(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
        minute, hour, day, month, weekday = (_terms(field) for field in fields)
        days = ",".join(_bounded(term, _DAYS) for term in day)
        weekdays = ",".join(_bounded(term, _WEEKDAYS) for term in weekday)
        if _LETTERS.search(days):
            raise Invalid(f"failed to parse day of month: {fields[2]}")
        if _LAST.search(weekdays):
            raise Invalid(f"failed to parse day of week: {fields[4]}")
        if _SEVEN.search(weekdays):
            raise Invalid(f"end of range (7) above maximum (6): {fields[4]}")
        expression = f"{','.join(minute)} {','.join(hour)} {days} {','.join(month)} {weekdays}"
        try:
            CronSim(expression, datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
        except CronSimError as error:
            raise Invalid(f"failed to parse: {given}: {error}") from None
        return cls(expression)

    def after(self, moment: datetime.datetime, place: datetime.tzinfo = datetime.UTC) -> datetime.datetime | None:
        """The first time after a moment, by the clock of a place; in UTC. None where there is none."""
        moment = moment.replace(microsecond=0)
        if self.every is not None:
            return moment.astimezone(datetime.UTC) + self.every
        return _utc(next(CronSim(self.expression, moment.astimezone(place)), None))

    def latest(
        self, since: datetime.datetime, until: datetime.datetime, place: datetime.tzinfo = datetime.UTC
    ) -> datetime.datetime | None:
        """The last time after ``since`` and not after ``until``, in UTC."""
        until = until.replace(microsecond=0)
        if self.every is not None:
            since = since.replace(microsecond=0).astimezone(datetime.UTC)
            times = (until - since) // self.every
            return since + times * self.every if times > 0 else None
        last = _utc(next(CronSim(self.expression, (until + _SECOND).astimezone(place), reverse=True), None))
        return last if last is not None and last > since else None


def _utc(moment: datetime.datetime | None) -> datetime.datetime | None:
    """Times of one place are compared by the face of its clock, which shows some hours twice: so they are not."""
    return moment.astimezone(datetime.UTC) if moment is not None else None


def zone(name: str) -> datetime.tzinfo:
    """A time zone by its name, UTC for none. Raises Invalid."""
    if not name:
        return datetime.UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(f"unknown time zone {name}") from None


def _terms(field: str) -> list[str]:
    terms = field.split(",")
    if not all(_TERM.fullmatch(term) for term in terms):
        raise Invalid(f"failed to parse field: {field}")
    return [term.replace("?", "*") for term in terms]


def _bounded(term: str, bounds: tuple[int, int]) -> str:
    """A step without an end gets one."""
    first, slash, step = term.partition("/")
    if not slash or "-" in first:
        return term
    if first == "*" and int(step) == 1:
        return first
    low, high = bounds
    return f"{low if first == '*' else first}-{high}/{step}"


def _duration(text: str) -> datetime.timedelta:
    """Go's way to write durations; at least a second, in whole ones."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise Invalid(f"failed to parse duration @every {text}")
    return datetime.timedelta(seconds=max(1, int(sum(float(number) * UNITS_S[unit] for number, unit in parts))))
