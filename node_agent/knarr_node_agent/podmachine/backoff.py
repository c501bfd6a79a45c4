"""How long to wait before a container is started again. Source: Kubernetes "Pod Lifecycle", restart policy.

The first restart is at once; then 10 s doubling to 300 s, forgotten after a run of 10 minutes.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from knarr_node_agent.podmachine.world import Container, ContainerState

FIRST_S, LONGEST_S = 10.0, 300.0
STEADY_S = 600.0
PROBLEM_FIRST_S, PROBLEM_LONGEST_S = 5.0, 300.0
SANDBOX_FIRST_S, SANDBOX_LONGEST_S = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class Streak:
    """attempt: of the run counted last. count: how many quick ends in a row came before it."""

    attempt: int
    count: int


def counted(before: Streak | None, newest: Container) -> Streak:
    """The streak with the newest run taken into account.

    Of a container seen for the first time the runs before are taken for quick: it is the careful guess.
    """
    streak = before or Streak(newest.attempt, newest.attempt)
    if newest.attempt > streak.attempt:
        streak = Streak(newest.attempt, streak.count + 1)
    if newest.state is ContainerState.EXITED and _was_steady(newest):
        streak = Streak(newest.attempt, 0)
    return streak


def restart_delay_s(count: int) -> float:
    """count: quick ends in a row before the run that has just ended."""
    return _doubled(FIRST_S, LONGEST_S, count - 1) if count > 0 else 0.0


def problem_delay_s(count: int) -> float:
    """After a container could not be started ``count`` times in a row."""
    return _doubled(PROBLEM_FIRST_S, PROBLEM_LONGEST_S, count - 1)


def sandbox_delay_s(count: int) -> float:
    """After sandbox or volumes could not be made ``count`` times in a row."""
    return _doubled(SANDBOX_FIRST_S, SANDBOX_LONGEST_S, count - 1)


def remaining_s(since: datetime.datetime | None, delay_s: float, now: datetime.datetime) -> float:
    """Seconds until ``delay_s`` after ``since``; 0 when it is over, and when the clock was set back behind ``since``:
    how long ago that was nobody knows then, and to wait until it comes again could take hours."""
    if since is None or now < since:
        return 0.0
    return max(delay_s - (now - since).total_seconds(), 0.0)


def _doubled(first_s: float, longest_s: float, times: int) -> float:
    return float(min(first_s * 2.0 ** min(times, 30), longest_s))


def _was_steady(run: Container) -> bool:
    if run.started_at is None or run.finished_at is None:
        return False
    return (run.finished_at - run.started_at).total_seconds() > STEADY_S
