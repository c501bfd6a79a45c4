"""When a schedule is due."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api.errors import Invalid
from knarr_api.schedule import Schedule, zone

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def utc(*parts):
    return datetime.datetime(*parts, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("*/15 * * * *", utc(2030, 1, 1, 0, 1), utc(2030, 1, 1, 0, 15)),
        ("0 3 * * *", utc(2030, 1, 1, 3, 0), utc(2030, 1, 2, 3, 0)),
        ("0 3 ? * ?", utc(2030, 1, 1, 3, 0), utc(2030, 1, 2, 3, 0)),
        ("30 4 1,15 * 5", utc(2030, 1, 1, 5, 0), utc(2030, 1, 4, 4, 30)),
        ("0 0 13 * FRI", utc(2030, 1, 1), utc(2030, 1, 4)),
        ("0 0 */10 * MON", utc(2030, 1, 1), utc(2030, 1, 7)),
        ("0 0 29 FEB *", utc(2030, 1, 1), utc(2032, 2, 29)),
        ("0 0 * * 5/2", utc(2030, 1, 1), utc(2030, 1, 4)),
        ("@hourly", utc(2030, 1, 1, 0, 30), utc(2030, 1, 1, 1, 0)),
        ("@weekly", utc(2030, 1, 1), utc(2030, 1, 6)),
        ("@yearly", utc(2030, 1, 1), utc(2031, 1, 1)),
        ("@every 1h30m", utc(2030, 1, 1, 0, 0, 7), utc(2030, 1, 1, 1, 30, 7)),
    ],
)
def test_the_next_time(text, start, expected):
    assert Schedule.parse(text).after(start) == expected


BAD = (
    *("", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 7"),
    *("a * * * *", "*/0 * * * *", "5-1 * * * *", "* * L * *", "* * * * 5L", "* * * * 1#2", "0 0 30 2 *", "* * W * *"),
    *("@every", "@every x", "@every 5", "@sometimes", "1,,2 * * * *", "-1 * * * *"),
)


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_schedule(text):
    with pytest.raises(Invalid):
        Schedule.parse(text)


def test_time_zones_follow_the_clock_of_the_place():
    schedule = Schedule.parse("30 2 * * *")
    first = schedule.after(utc(2030, 3, 29, 12), BERLIN)
    assert first == utc(2030, 3, 30, 1, 30)
    # At 2:00 the clock is set to 3:00: what was due in between is due then.
    second = schedule.after(first, BERLIN)
    assert second == utc(2030, 3, 31, 1, 0)
    assert schedule.after(second, BERLIN) == utc(2030, 4, 1, 0, 30)


def test_an_hour_that_comes_twice_has_one_run():
    schedule = Schedule.parse("30 2 * * *")
    first = schedule.after(utc(2030, 10, 26, 12), BERLIN)
    assert first == utc(2030, 10, 27, 0, 30)
    assert schedule.after(first, BERLIN) == utc(2030, 10, 28, 1, 30)
    assert schedule.latest(utc(2030, 10, 26, 12), utc(2030, 10, 27, 20), BERLIN) == first


def test_zones():
    assert zone("") is datetime.UTC
    assert zone("Europe/Berlin").key == "Europe/Berlin"
    for bad in ("Nowhere", "/etc/passwd", "..", "Europe"):
        with pytest.raises(Invalid):
            zone(bad)


SCHEDULES = st.sampled_from(
    ["*/5 * * * *", "0 3 * * *", "30 2 * * 1-5", "0 0 1 */2 *", "15,45 8-18/2 * * MON", "@every 7m"]
)
MOMENTS = st.integers(1_700_000_000, 2_000_000_000).map(lambda s: datetime.datetime.fromtimestamp(s, datetime.UTC))


@settings(deadline=None)
@given(SCHEDULES, MOMENTS, st.integers(0, 10_000_000), st.sampled_from([datetime.UTC, BERLIN]))
def test_the_latest_time_is_one_of_those_after(text, since, seconds, place):
    schedule = Schedule.parse(text)
    until = since + datetime.timedelta(seconds=seconds)
    latest = schedule.latest(since, until, place)
    if latest is None:
        assert schedule.after(since, place) > until
    else:
        assert since < latest <= until
        assert schedule.after(latest, place) > until
