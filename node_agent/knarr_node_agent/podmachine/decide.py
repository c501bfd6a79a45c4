"""The plan for a pod. Deciding twice about the same world gives the same plan; a world as wanted gives an empty one."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from knarr_api.types.core_v1 import Container as ContainerSpec
from knarr_node_agent.podmachine import backoff
from knarr_node_agent.podmachine.table import TABLE, Seen, Stage, Verb
from knarr_node_agent.podmachine.world import TERMINAL_PHASES, Container, ContainerState, World, is_sidecar

KEPT_DEAD = 1
"""Ended runs of a container that are kept beside the newest, for ``logs --previous``."""
SHORTEST_GRACE_S = 2
"""Left for a sidecar when the others have used the grace up."""


@dataclass(frozen=True, slots=True)
class MakeSandbox:
    attempt: int


@dataclass(frozen=True, slots=True)
class StopSandbox:
    id: str


@dataclass(frozen=True, slots=True)
class RemoveSandbox:
    id: str


@dataclass(frozen=True, slots=True)
class Start:
    """Create and start a run of a container. replaces: a run to remove before, or empty."""

    container: ContainerSpec
    sandbox_id: str
    attempt: int
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a run: its preStop hook, its signal, SIGKILL after the grace. message: why, for the event."""

    container: Container
    grace_s: int
    message: str


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    container: Container


Action = MakeSandbox | StopSandbox | RemoveSandbox | Start | Stop | RemoveContainer


@dataclass(frozen=True, slots=True)
class Plan:
    """actions: independent of each other. again_after_s: when to look again even if nothing happens.

    gone: nothing of the pod is left on the node.
    """

    actions: tuple[Action, ...] = ()
    again_after_s: float | None = None
    gone: bool = False


def decide(world: World, now: datetime.datetime) -> Plan:
    """See the package's text."""
    match stage_of(world):
        case Stage.END:
            return _end(world)
        case Stage.SETTLE:
            return _settle(world)
        case Stage.SANDBOX:
            return _sandbox(world, now)
        case Stage.INIT | Stage.MAIN:
            return _run(world, now)


def stage_of(world: World) -> Stage:
    if world.ending:
        return Stage.END
    if world.phase in TERMINAL_PHASES or world.deadline_passed or finished(world):
        return Stage.SETTLE
    if world.sandbox is None:
        return Stage.SANDBOX
    return Stage.MAIN if initialized(world) else Stage.INIT


def finished(world: World) -> bool:
    """Whether every container has ended for good, or the restart policy forbids to go on."""
    policy = world.pod.spec.restart_policy
    if policy == "Never":
        for container in world.pod.spec.init_containers:
            run = world.newest(container.name)
            if not is_sidecar(container) and run is not None and _ended(run) and run.exit_code != 0:
                return True
        if world.sandbox is None and not world.running and any(world.runs.values()):
            return True  # what has run must not run again, and without its sandbox it can't go on
    return bool(world.pod.spec.containers) and all(
        run is not None and _ended(run) and not wanted_again(world, container, run)
        for container in world.pod.spec.containers
        for run in (world.newest(container.name),)
    )


def wanted_again(world: World, container: ContainerSpec, run: Container) -> bool:
    """What the restart policy says of a run that has ended."""
    policy = world.pod.spec.restart_policy
    if is_init(world, container):
        if is_sidecar(container):
            return True
        policy = "Never" if policy == "Never" else "OnFailure"
        sandbox = world.sandbox
        if sandbox is not None and run.sandbox_id != sandbox.id and not main_started(world, sandbox.id):
            return True  # a new sandbox is initialised anew
    elif run.image and run.image != container.image and not run.recalled:
        return True  # it was stopped for the sake of another image
    return policy == "Always" or (policy == "OnFailure" and run.exit_code != 0)


def is_init(world: World, container: ContainerSpec) -> bool:
    return any(each.name == container.name for each in world.pod.spec.init_containers)


def main_started(world: World, sandbox_id: str) -> bool:
    """Whether a container that is no init container has been created in this sandbox."""
    for container in world.pod.spec.containers:
        run = world.newest(container.name)
        if run is not None and run.sandbox_id == sandbox_id:
            return True
    return False


def initialized(world: World) -> bool:
    """Whether the containers may run: all init containers have succeeded in this sandbox, all sidecars have started."""
    sandbox = world.sandbox
    if sandbox is None:
        return False
    if main_started(world, sandbox.id):
        return True
    return all(_is_through(world, container, sandbox.id) for container in world.pod.spec.init_containers)


def seen(world: World, container: ContainerSpec) -> Seen:
    """What the newest run of a container looks like."""
    run = world.newest(container.name)
    if run is None:
        return Seen.MISSING
    match run.state:
        case ContainerState.CREATED:
            return Seen.PREPARED
        case ContainerState.UNKNOWN:
            return Seen.LOST
        case ContainerState.EXITED:
            return Seen.AGAIN if wanted_again(world, container, run) else Seen.DONE
        case ContainerState.RUNNING:
            return _seen_running(world, container, run)


def _seen_running(world: World, container: ContainerSpec, run: Container) -> Seen:
    if run.id in world.stopping:
        return Seen.STOPPING
    if world.health_of(run).failed:
        return Seen.SICK
    return Seen.CHANGED if run.image and run.image != container.image else Seen.UP


def _ended(run: Container) -> bool:
    return run.state is ContainerState.EXITED


def _is_through(world: World, container: ContainerSpec, sandbox_id: str) -> bool:
    run = world.newest(container.name)
    if run is None or run.sandbox_id != sandbox_id:
        return False
    if is_sidecar(container):
        return run.state is ContainerState.RUNNING and world.health_of(run).started
    return _ended(run) and run.exit_code == 0


# Ending


def _end(world: World) -> Plan:
    if world.running:
        return Plan(_stops(world, Stage.END))
    if world.sandboxes:
        ready = tuple(StopSandbox(sandbox.id) for sandbox in world.sandboxes if sandbox.ready)
        return Plan(ready or tuple(RemoveSandbox(sandbox.id) for sandbox in world.sandboxes))
    loose = tuple(RemoveContainer(run) for runs in world.runs.values() for run in runs if not run.recalled)
    return Plan(loose, gone=not loose)


def _settle(world: World) -> Plan:
    """The pod has ended by itself, or its deadline has: nothing runs any more, its logs stay."""
    if world.running:
        return Plan(_stops(world, Stage.SETTLE))
    return Plan(tuple(StopSandbox(sandbox.id) for sandbox in world.sandboxes if sandbox.ready))


def _stops(world: World, stage: Stage) -> tuple[Stop, ...]:
    """First all but the sidecars; then these, the last started first, each when the ones after it have ended."""
    order = [container.name for container in world.pod.spec.init_containers if is_sidecar(container)]
    sidecars = sorted((run for run in world.running if run.name in order), key=lambda run: -order.index(run.name))
    others = [run for run in world.running if run.name not in order]
    turn = others or [run for run in sidecars if run.name == sidecars[0].name]
    grace_s = world.grace_s
    if not others and stage is Stage.END and grace_s > 0:
        grace_s = max(grace_s - int(world.ending_for_s), min(SHORTEST_GRACE_S, grace_s))
    return tuple(
        Stop(run, grace_s, f"Stopping container {run.name}")
        for run in turn
        if TABLE[stage][_seen_ending(world, run)] is Verb.STOP
    )


def _seen_ending(world: World, run: Container) -> Seen:
    """A run that is being stopped with more grace than is left to it now counts as running."""
    return Seen.STOPPING if world.stopping.get(run.id, world.grace_s + 1) <= world.grace_s else Seen.UP


# Living


def _sandbox(world: World, now: datetime.datetime) -> Plan:
    if world.running:
        return Plan(
            tuple(
                Stop(run, 0, f"Stopping container {run.name}: its sandbox is gone")
                for run in world.running
                if TABLE[Stage.SANDBOX][Seen.STOPPING if run.id in world.stopping else Seen.UP] is Verb.KILL
            )
        )
    problem = world.sandbox_problem
    if problem is not None:
        wait_s = backoff.remaining_s(problem.at, backoff.sandbox_delay_s(problem.count), now)
        if wait_s:
            return Plan(again_after_s=wait_s)
    attempt = max((sandbox.attempt for sandbox in world.sandboxes), default=-1) + 1
    return Plan((MakeSandbox(attempt),))


def _run(world: World, now: datetime.datetime) -> Plan:
    sandbox = world.sandbox
    assert sandbox is not None
    actions: list[Action] = [*_old_sandboxes(world, sandbox.id), *_old_runs(world)]
    waits: list[float] = []
    for container, stage in _turn(world, sandbox.id):
        step = _step(world, container, stage, sandbox.id, now)
        if isinstance(step, float):
            waits.append(step)
        elif step is not None:
            actions.append(step)
    return Plan(tuple(actions), min(waits, default=None))


def _turn(world: World, sandbox_id: str) -> list[tuple[ContainerSpec, Stage]]:
    """The containers that something may be done with now."""
    turn: list[tuple[ContainerSpec, Stage]] = []
    spec = world.pod.spec
    begun = main_started(world, sandbox_id)
    for container in spec.init_containers:
        if is_sidecar(container):
            turn.append((container, Stage.INIT))
        if not begun and not _is_through(world, container, sandbox_id):
            if not is_sidecar(container):
                turn.append((container, Stage.INIT))
            return turn
    return [*turn, *((container, Stage.MAIN) for container in spec.containers)]


def _step(
    world: World, container: ContainerSpec, stage: Stage, sandbox_id: str, now: datetime.datetime
) -> Action | float | None:
    """What the table says for one container: an action, or seconds to wait."""
    run = world.newest(container.name)
    verb = TABLE[stage][seen(world, container)]
    match verb:
        case Verb.KEEP:
            return None
        case Verb.STOP | Verb.KILL:
            assert run is not None
            health = world.health_of(run)
            why = health.failed or "definition changed"
            grace_s = world.grace_s if health.grace_s is None else health.grace_s
            message = f"Container {run.name} {why}, will be restarted"
            return Stop(run, 0 if verb is Verb.KILL else grace_s, message)
        case Verb.START | Verb.REPLACE:
            if container.name in world.pulling:
                return None
            wait_s = _wait_s(world, container, run, now)
            if wait_s > 0:
                return wait_s
            attempt = run.attempt + 1 if run is not None else 0
            replaces = run.id if run is not None and verb is Verb.REPLACE else ""
            return Start(container, sandbox_id, attempt, replaces)


def _wait_s(world: World, container: ContainerSpec, run: Container | None, now: datetime.datetime) -> float:
    wait_s = 0.0
    problem = world.problems.get(container.name)
    if problem is not None:
        wait_s = backoff.remaining_s(problem.at, backoff.problem_delay_s(problem.count), now)
    sandbox = world.sandbox
    if run is not None and _ended(run) and sandbox is not None and run.sandbox_id == sandbox.id:
        delay_s = backoff.restart_delay_s(world.streaks.get(run.name, 0))
        wait_s = max(wait_s, backoff.remaining_s(run.finished_at, delay_s, now))
    return wait_s


def _old_sandboxes(world: World, current: str) -> list[Action]:
    """Stopped; removed once none of the runs that are kept is in them."""
    used = {run.sandbox_id for runs in world.runs.values() for run in runs}
    return [
        StopSandbox(sandbox.id) if sandbox.ready else RemoveSandbox(sandbox.id)
        for sandbox in world.sandboxes
        if sandbox.id != current and (sandbox.ready or sandbox.id not in used)
    ]


def _old_runs(world: World) -> list[Action]:
    """Ended runs that nobody asks for any more."""
    removals: list[Action] = []
    for runs in world.runs.values():
        dead = [run for run in runs[:-1] if run.state is not ContainerState.RUNNING and not run.recalled]
        removals += [RemoveContainer(run) for run in dead[: max(len(dead) - KEPT_DEAD, 0)]]
    return removals
