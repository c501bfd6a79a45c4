"""What the agent remembers of a pod between two looks at it."""

from __future__ import annotations

from dataclasses import dataclass, field

from knarr_api.types.core_v1 import Pod, PodStatus
from knarr_node_agent.meter import StartClock
from knarr_node_agent.podmachine.backoff import Streak
from knarr_node_agent.podmachine.world import Problem, World


@dataclass(slots=True)
class Entry:
    """What is known of a pod beside what the runtime tells.

    withdrawn: it is not of this node any more; it is ended without a report. seen: what was seen of it last.
    """

    pod: Pod
    status: PodStatus
    withdrawn: bool = False
    problems: dict[str, Problem] = field(default_factory=dict)
    sandbox_problem: Problem | None = None
    streaks: dict[str, Streak] = field(default_factory=dict)
    last_words: dict[str, str] = field(default_factory=dict)
    """By container id: what it left when it ended."""
    ending_since_s: float | None = None
    refreshed_at_s: float = 0.0
    volumes_ready: bool = False
    told: tuple[PodStatus, bool] | None = None
    told_before: tuple[PodStatus, bool] | None = None
    """As ``told`` was a round ago."""
    seen: World | None = None
    starting: StartClock | None = None
