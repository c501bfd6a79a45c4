"""Fractions that lie evenly between 0 and 1, the same in each run: timers that many set at once then ring apart."""

from __future__ import annotations

from collections.abc import Iterator

GOLDEN = 0.6180339887498949


def fractions() -> Iterator[float]:
    """However many are taken, they are spread. Source: the golden ratio's low-discrepancy sequence."""
    at = 0.5
    while True:
        yield at
        at = (at + GOLDEN) % 1.0
