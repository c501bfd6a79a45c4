"""Offsets of clocks, as annotations write them."""

from __future__ import annotations

import pytest

from knarr_runtime.cri import clocks
from knarr_runtime.errors import Invalid


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("boottime=3600s", {"boottime": 3600 * 10**9}),
        ("monotonic=-0.000000001s, boottime=+2d", {"monotonic": -1, "boottime": 172_800 * 10**9}),
        ("boottime=1.5h", {"boottime": 5400 * 10**9}),
        ("monotonic=0.1s", {"monotonic": 10**8}),
    ],
)
def test_offsets_are_read_to_the_nanosecond(text: str, found: dict[str, int]) -> None:
    assert clocks.offsets({clocks.ANNOTATION: text}) == found


@pytest.mark.parametrize("text", ["boottime=1", "boottime=s", "boottime=1s,", "boottime=1e3s", "boottime=1 s", "=1s"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="write boottime=3600s,monotonic=1h"):
        clocks.parse(text)


def test_nothing_asked_for_is_nothing_set() -> None:
    assert clocks.offsets({}) == {}
