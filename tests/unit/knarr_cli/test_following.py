"""A log that is followed over broken connections is shown whole and once."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api.errors import Invalid
from knarr_cli.commands.logs import since_seconds
from knarr_cli.following import Shown

TEXTS = st.lists(st.tuples(st.sampled_from([0, 0, 1, 2]), st.sampled_from(["", "a", "tick", "tick", "two words"])))


def stamp(nanosecond: int) -> str:
    """Some with and some without trailing zeros, as Go writes them."""
    fraction = f".{nanosecond:09}".rstrip("0").rstrip(".")
    return f"2030-01-01T00:00:09{fraction}Z "


def lines_of(texts: list[tuple[int, str]]) -> list[bytes]:
    moment, lines = 0, []
    for later, text in texts:
        moment += later * 50_000_000
        lines.append(f"{stamp(moment)}{text}\n".encode())
    return lines


@given(texts=TEXTS, timestamps=st.booleans(), data=st.data())
def test_what_comes_again_is_passed_over(texts: list[tuple[int, str]], timestamps: bool, data: st.DataObject) -> None:
    lines = lines_of(texts)
    whole = b"".join(lines if timestamps else [line.split(b" ", 1)[1] for line in lines])
    shown, out, seen = Shown(timestamps=timestamps), b"", 0
    for _ in range(data.draw(st.integers(0, 3), label="breaks")):
        upto = data.draw(st.integers(seen, len(lines)), label="upto")
        out += b"".join(map(shown.take, lines[_start(data, lines, seen) : upto]))
        if upto < len(lines) and data.draw(st.booleans(), label="within a line"):
            text = lines[upto].split(b" ", 1)[1]
            cut = data.draw(st.integers(0, len(text) - 1), label="cut")
            out += shown.take(lines[upto][: len(lines[upto]) - len(text) + cut] if cut else b"")
        seen = upto
        shown.reconnect()
    out += b"".join(map(shown.take, lines[_start(data, lines, seen) :]))
    assert out == whole


def _start(data: st.DataObject, lines: list[bytes], seen: int) -> int:
    """Where the log may begin again: not between lines of one time, and not after what was seen."""
    start = data.draw(st.integers(0, seen), label="start")
    while 0 < start < len(lines) and lines[start].split()[0] == lines[start - 1].split()[0]:
        start -= 1
    return start


def test_several_lines_at_once_and_what_has_no_time() -> None:
    shown = Shown(timestamps=False)
    assert shown.take(f"{stamp(1)}one\n{stamp(1)}one\nodd\n{stamp(5)}be".encode()) == b"one\none\nodd\nbe"
    assert shown.take(b"gun\n") == b"gun\n"
    shown.reconnect()
    assert shown.take(f"{stamp(1)}one\n{stamp(1)}one\n{stamp(5)}begun\n{stamp(6)}new\n".encode()) == b"new\n"


def test_time_that_went_back_is_shown() -> None:
    shown = Shown(timestamps=False)
    assert shown.take(f"{stamp(9)}late\n{stamp(1)}early\n".encode()) == b"late\nearly\n"


def test_what_is_older_is_said_by_a_duration_or_a_time() -> None:
    now = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC)
    assert since_seconds("5m", "", now) == 300
    assert since_seconds("", "2030-01-01T11:59:30Z", now) == 30
    assert since_seconds("", "2030-01-01T13:00:00+01:00", now) == 1
    for since, time, said in (("1s", "2030-01-01", "at most one of"), ("", "noon", "expected a time")):
        with pytest.raises(Invalid, match=said):
            since_seconds(since, time, now)
