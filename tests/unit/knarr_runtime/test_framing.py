"""Log lines: whatever the pieces, the text comes back, and no line is longer than allowed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_runtime.logs import framing

STAMP = framing.timestamp(1_795_229_460_524_285_155)
_LINE = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (stdout|stderr) (F|P) ([^\n]*)\n")


def unframe(lines: bytes) -> bytes:
    """The text of log lines, as a log viewer shows it."""
    text, end = b"", 0
    for match in _LINE.finditer(lines):
        assert match.start() == end
        end = match.end()
        assert len(match[4]) <= framing.LINE_BYTES
        text += match[4] + (b"\n" if match[3] == b"F" else b"")
    assert end == len(lines)
    return text


def test_timestamp_has_nanoseconds_and_fixed_length() -> None:
    assert STAMP == b"2026-11-21T02:51:00.524285155Z"
    for now_ns in (0, 1, 10**18, 1_795_229_460_000_000_000):
        assert len(framing.timestamp(now_ns)) == framing.TIMESTAMP_BYTES


def test_lines() -> None:
    assert framing.frame(b"a\n\nb\n", STAMP, b"stderr") == b"%s stderr F a\n%s stderr F \n%s stderr F b\n" % (
        (STAMP,) * 3
    )


_data = st.lists(
    st.one_of(st.binary(max_size=50), st.integers(16_000, 40_000).map(lambda size: b"x" * size), st.just(b"\n")),
    max_size=12,
).map(b"".join)


@given(_data)
def test_text_comes_back(data: bytes) -> None:
    assert unframe(framing.frame(data, STAMP, b"stdout")) == data
    ended = data if data.endswith(b"\n") or not data else data + b"\n"
    assert unframe(framing.frame(data, STAMP, b"stdout", last=True)) == ended


@given(_data, st.booleans(), st.booleans())
def test_what_is_taken(data: bytes, full: bool, last: bool) -> None:
    take = framing.takeable(data, full=full, last=last)
    assert 0 <= take <= len(data)
    if last or (data and full):
        assert take > 0 or not data
    if 0 < take < len(data):
        assert data[take - 1 : take] == b"\n"
    assert b"\n" not in data[take:]
    assert len(data) - take < framing.LINE_BYTES or take > 0


@pytest.mark.parametrize("now_ns", [1, 1_795_229_460_524_285_155])
def test_framing_again_gives_the_same_length(now_ns: int) -> None:
    data = b"one\ntwo" + b"x" * 50_000
    assert len(framing.frame(data, framing.timestamp(now_ns), b"stdout")) == len(framing.frame(data, STAMP, b"stdout"))
