"""Clocks of a container that are not the machine's: from the annotation that asks for them to a spec's offsets. Pure.

knarr.io/time-offset: boottime=1h,monotonic=-2.5s
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from knarr_runtime.errors import Invalid

ANNOTATION = "knarr.io/time-offset"
CLOCKS = ("monotonic", "boottime")
_AMOUNT = re.compile(r"([+-]?\d{1,12}(?:\.\d{1,9})?)(s|m|h|d)\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def offsets(annotations: Mapping[str, str]) -> dict[str, int]:
    """Nanoseconds by clock; empty where nothing is asked for. Raises Invalid."""
    text = annotations.get(ANNOTATION, "")
    return parse(text) if text else {}


def parse(text: str) -> dict[str, int]:
    """Raises Invalid."""
    found: dict[str, int] = {}
    for part in text.split(","):
        clock, _, amount = part.strip().partition("=")
        matched = _AMOUNT.match(amount)
        if clock not in CLOCKS or clock in found or matched is None:
            raise Invalid(f"time offset {part!r}: write boottime=3600s,monotonic=1h (s, m, h or d), each once")
        found[clock] = int(Fraction(matched[1]) * _SECONDS[matched[2]] * 10**9)
    return found
