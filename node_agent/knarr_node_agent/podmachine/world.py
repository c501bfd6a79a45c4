"""What is seen of a pod at one moment, as frozen values."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from knarr_api.types.core_v1 import Container as ContainerSpec
from knarr_api.types.core_v1 import ContainerStatus, Pod, PodStatus

TERMINAL_PHASES = frozenset({"Succeeded", "Failed"})
LOST_EXIT_CODE = 137
LOST_REASON = "ContainerStatusUnknown"
LOST_MESSAGE = "The container could not be located when the pod was looked at: its runtime no longer knows it"


class ContainerState(enum.Enum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One run of a container as the runtime has it. attempt counts from 0.

    recalled: the runtime does not have it any more; only what was reported of it is known.
    """

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
    log_path: str = ""
    recalled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A pod's sandbox. attempt counts from 0. ip: empty while unknown and for pods on the node's own network."""

    id: str
    attempt: int
    ready: bool
    ip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why something could not be done: a waiting reason like ErrImagePull. count: how often in a row."""

    reason: str
    message: str
    at: datetime.datetime
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the probes say of a running container.

    failed: why it must be killed, or empty. grace_s: the failed probe's own grace, else the pod's counts.
    """

    started: bool = True
    ready: bool = True
    failed: str = ""
    grace_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """pod: as it should be. phase: as it was reported last; Succeeded and Failed are final.

    ending: it must end, with ``grace_s`` of grace of which ``ending_for_s`` are over.
    runs: per container name its runs, oldest first. streaks: how many quick ends in a row came before the newest run.
    stopping: the grace in seconds of each run that is being stopped, by id. pulling: names of containers whose image is
    being pulled. problems: by container name. sandbox_problem: why no sandbox or no volume could be made.
    """

    pod: Pod
    phase: str = ""
    ending: bool = False
    grace_s: int = 30
    ending_for_s: float = 0.0
    sandboxes: tuple[Sandbox, ...] = ()
    runs: Mapping[str, tuple[Container, ...]] = field(default_factory=dict)
    health: Mapping[str, Health] = field(default_factory=dict)
    problems: Mapping[str, Problem] = field(default_factory=dict)
    streaks: Mapping[str, int] = field(default_factory=dict)
    stopping: Mapping[str, int] = field(default_factory=dict)
    pulling: frozenset[str] = frozenset()
    sandbox_problem: Problem | None = None
    deadline_passed: bool = False

    def newest(self, name: str) -> Container | None:
        runs = self.runs.get(name, ())
        return runs[-1] if runs else None

    def health_of(self, run: Container) -> Health:
        return self.health.get(run.id, HEALTHY)

    @property
    def sandbox(self) -> Sandbox | None:
        """The newest one that is ready."""
        return max((s for s in self.sandboxes if s.ready), key=lambda s: s.attempt, default=None)

    @property
    def running(self) -> tuple[Container, ...]:
        return tuple(run for runs in self.runs.values() for run in runs if run.state is ContainerState.RUNNING)

    def is_sidecar(self, name: str) -> bool:
        return any(c.name == name and is_sidecar(c) for c in self.pod.spec.init_containers)


HEALTHY = Health()


def is_sidecar(init_container: ContainerSpec) -> bool:
    """An init container that goes on running beside the others."""
    return init_container.restart_policy == "Always"


def recalled(
    pod: Pod, reported: PodStatus, runs: Mapping[str, tuple[Container, ...]]
) -> Mapping[str, tuple[Container, ...]]:
    """The runs, with one made from the last report for each container that ran and that the runtime has forgotten.

    So restart counts go on and a pod that must not be restarted is not, after the node lost its runtime's state.
    """
    found = dict(runs)
    images = {c.name: c.image for c in (*pod.spec.init_containers, *pod.spec.containers)}
    for told in (*reported.init_container_statuses, *reported.container_statuses):
        if told.container_id and told.name in images and not found.get(told.name):
            found[told.name] = (_recall(told, images[told.name]),)
    return found


def _recall(told: ContainerStatus, image: str) -> Container:
    ended = None
    for state in (told.state, told.last_state):
        if ended is None and state is not None:
            ended = state.terminated
    still_ran = told.state is not None and told.state.running is not None
    if ended is None or still_ran:
        return Container(
            id=told.container_id.partition("://")[2],
            name=told.name,
            attempt=told.restart_count or 0,
            sandbox_id="",
            state=ContainerState.EXITED,
            image=image,
            image_id=told.image_id,
            exit_code=LOST_EXIT_CODE,
            reason=LOST_REASON,
            message=LOST_MESSAGE,
            recalled=True,
        )
    return Container(
        id=told.container_id.partition("://")[2],
        name=told.name,
        attempt=told.restart_count or 0,
        sandbox_id="",
        state=ContainerState.EXITED,
        image=image,
        image_id=told.image_id,
        started_at=ended.started_at,
        finished_at=ended.finished_at,
        exit_code=ended.exit_code or 0,
        reason=ended.reason,
        message=ended.message,
        recalled=True,
    )
