"""What is seen of a pod at one moment, as frozen values."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from knarr_api.types.core_v1 import Pod


class ContainerState(enum.Enum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One run of a container as the runtime has it. attempt counts from 0."""

    id: str
    name: str
    attempt: int
    sandbox_id: str
    state: ContainerState
    image: str = ""
    image_id: str = ""
    created_at: datetime.datetime | None = None
    started_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    spec_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    id: str
    attempt: int
    ready: bool
    ip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a container could not be started: a waiting reason like ErrImagePull. count: how often in a row."""

    reason: str
    message: str
    at: datetime.datetime
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the probes say of a running container. failed: why it must be killed, or empty."""

    started: bool = True
    ready: bool = True
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """pod: as it should be. ending: it must end, with this many seconds of grace.

    runs: per container name its runs, oldest first. streaks: how many quick ends in a row came before the newest run.
    stopping: ids of containers that are being stopped. sandbox_problem: why no sandbox could be made.
    """

    pod: Pod
    ending: bool = False
    grace_s: int = 30
    sandboxes: tuple[Sandbox, ...] = ()
    runs: Mapping[str, tuple[Container, ...]] = field(default_factory=dict)
    health: Mapping[str, Health] = field(default_factory=dict)
    problems: Mapping[str, Problem] = field(default_factory=dict)
    streaks: Mapping[str, int] = field(default_factory=dict)
    stopping: frozenset[str] = frozenset()
    sandbox_problem: Problem | None = None
    deadline_passed: bool = False

    def newest(self, name: str) -> Container | None:
        runs = self.runs.get(name, ())
        return runs[-1] if runs else None

    @property
    def sandbox(self) -> Sandbox | None:
        """The newest one that is ready."""
        return max((s for s in self.sandboxes if s.ready), key=lambda s: s.attempt, default=None)

    @property
    def running(self) -> tuple[Container, ...]:
        return tuple(run for runs in self.runs.values() for run in runs if run.state is ContainerState.RUNNING)
