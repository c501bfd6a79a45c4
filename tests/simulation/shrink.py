"""Makes a failing plan small: events are left out, as many at once as it stands, while the same invariant fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.simulation.plan import Event, Plan


def smallest(plan: Plan, fails: Callable[[Plan], bool], *, tries: int = 200) -> Plan:
    """Delta debugging. ``fails``: whether a plan still shows what this one does; asked at most ``tries`` times."""
    events, parts = plan.events, 2
    while len(events) >= 1 and tries > 0:
        size = max(1, -(-len(events) // parts))
        shorter = None
        for begin in range(0, len(events), size):
            tries -= 1
            left: tuple[Event, ...] = (*events[:begin], *events[begin + size :])
            if fails(replace(plan, events=left)):
                shorter = left
                break
            if tries <= 0:
                break
        if shorter is not None:
            events, parts = shorter, max(parts - 1, 2)
        elif size == 1:
            break
        else:
            parts = min(parts * 2, len(events))
    return replace(plan, events=events)
