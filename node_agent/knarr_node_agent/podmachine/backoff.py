"""How long to wait before a container is started again. Source: Kubernetes "Pod Lifecycle", restart policy.

The first restart is at once; then 10 s doubling to 300 s, forgotten after a run of 10 minutes.
"""

from __future__ import annotations

import datetime

FIRST_S, LONGEST_S = 10.0, 300.0
STEADY_S = 600.0
IMAGE_FIRST_S, IMAGE_LONGEST_S = 5.0, 300.0


def restart_delay_s(streak: int) -> float:
    """streak: quick ends in a row before this one."""
    return 0.0 if streak <= 0 else float(min(FIRST_S * 2.0 ** min(streak - 1, 30), LONGEST_S))


def problem_delay_s(count: int) -> float:
    """After a container could not be started ``count`` times in a row."""
    return float(min(IMAGE_FIRST_S * 2.0 ** min(count - 1, 30), IMAGE_LONGEST_S))


def remaining_s(since: datetime.datetime | None, delay_s: float, now: datetime.datetime) -> float:
    """Seconds until ``delay_s`` after ``since``; 0 when it is over."""
    if since is None:
        return 0.0
    return max(delay_s - (now - since).total_seconds(), 0.0)


def was_steady(started_at: datetime.datetime | None, finished_at: datetime.datetime | None) -> bool:
    """Whether a run was long enough for its end not to count as quick."""
    return started_at is not None and finished_at is not None and (finished_at - started_at).total_seconds() > STEADY_S
