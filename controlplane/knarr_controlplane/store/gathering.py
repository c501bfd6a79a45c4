"""How long to wait for more to write before it is written: the longer, the more was written just now.

A batch costs a round trip, and a wake-up of everybody who follows the store, scheduler and agents among them, whatever
is in it. Where little is written nobody is to wait for that; where much is, most of the time would go there.
"""

from __future__ import annotations

import math

LEAST_S, MOST_S = 0.004, 0.020
FEW_PER_S, MANY_PER_S = 750.0, 1500.0
"""Up to so many commits a second ``LEAST_S`` is waited, from so many on ``MOST_S``."""
MEMORY_S = 0.25
"""What was written longer ago hardly counts."""


class Rate:
    """How many a second there were in the last moments."""

    def __init__(self) -> None:
        self._per_s, self._at_s = 0.0, 0.0

    def per_s(self, now_s: float) -> float:
        return self._per_s * math.exp(min(self._at_s - now_s, 0.0) / MEMORY_S)

    def note(self, count: float, now_s: float) -> None:
        """So many more."""
        self._per_s = self.per_s(now_s) + count / MEMORY_S
        self._at_s = now_s


def gather_s(per_s: float) -> float:
    """How long after the last batch another one may go, where so many commits a second are written."""
    share = (per_s - FEW_PER_S) / (MANY_PER_S - FEW_PER_S)
    return LEAST_S + (MOST_S - LEAST_S) * min(max(share, 0.0), 1.0)
