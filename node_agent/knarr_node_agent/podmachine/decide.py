"""The plan for a pod. Deciding twice about the same world gives the same plan; a world as wanted gives an empty one."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from knarr_api.types.core_v1 import Container as ContainerSpec
from knarr_node_agent.podmachine import backoff
from knarr_node_agent.podmachine.world import Container, ContainerState, World

KEPT_DEAD = 1
"""Ended runs of a container that are kept beside the newest, for ``logs --previous``."""


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
    """Create and start a run of a container."""

    container: ContainerSpec
    sandbox_id: str
    attempt: int
    init: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a run: its preStop hook, its signal, after the grace SIGKILL. message: why, for the event."""

    container: Container
    grace_s: int
    message: str


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    id: str


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
    if world.ending:
        return _end(world)
    if world.deadline_passed or finished(world):
        return _settle(world)
    sandbox = world.sandbox
    if sandbox is None:
        return _make_sandbox(world, now)
    leftovers = tuple(StopSandbox(s.id) for s in world.sandboxes if s.id != sandbox.id and s.ready)
    dead = tuple(RemoveSandbox(s.id) for s in world.sandboxes if s.id != sandbox.id and not s.ready)
    actions: list[Action] = [*leftovers, *dead, *_old_runs(world)]
    waits: list[float] = []
    if _inits(world, sandbox.id, now, actions, waits):
        for container in world.pod.spec.containers:
            _drive(world, container, sandbox.id, now, actions, waits, init=False)
    return Plan(tuple(actions), min(waits, default=None))


def finished(world: World) -> bool:
    """Whether every container has ended and the restart policy wants none of them again."""
    pod = world.pod
    policy = pod.spec.restart_policy
    if policy == "Always":
        return False
    for container in pod.spec.init_containers:
        run = world.newest(container.name)
        if container.restart_policy == "Always" or run is None or run.state is not ContainerState.EXITED:
            continue
        if run.exit_code != 0 and policy == "Never":
            return True
    for container in pod.spec.containers:
        run = world.newest(container.name)
        if run is None or run.state is not ContainerState.EXITED or _wanted_again(policy, run):
            return False
    return bool(pod.spec.containers)


def _wanted_again(policy: str, run: Container) -> bool:
    return policy == "Always" or (policy == "OnFailure" and run.exit_code != 0)


def _end(world: World) -> Plan:
    stops = tuple(
        Stop(run, world.grace_s, f"Stopping container {run.name}")
        for run in world.running
        if run.id not in world.stopping or world.grace_s == 0
    )
    if world.running:
        return Plan(stops)
    if world.sandboxes:
        ready = tuple(StopSandbox(sandbox.id) for sandbox in world.sandboxes if sandbox.ready)
        return Plan(ready or tuple(RemoveSandbox(sandbox.id) for sandbox in world.sandboxes))
    return Plan(gone=True)


def _settle(world: World) -> Plan:
    """The pod has ended by itself, or its deadline has: nothing runs any more, its logs stay."""
    stops = tuple(
        Stop(run, world.grace_s, f"Stopping container {run.name}")
        for run in world.running
        if run.id not in world.stopping
    )
    if world.running:
        return Plan(stops)
    return Plan(tuple(StopSandbox(sandbox.id) for sandbox in world.sandboxes if sandbox.ready))


def _make_sandbox(world: World, now: datetime.datetime) -> Plan:
    if world.running:
        return Plan(
            tuple(
                Stop(run, 0, f"Stopping container {run.name}: its sandbox is gone")
                for run in world.running
                if run.id not in world.stopping
            )
        )
    problem = world.sandbox_problem
    if problem is not None:
        wait_s = backoff.remaining_s(problem.at, min(0.5 * 2.0 ** min(problem.count, 10), 30.0), now)
        if wait_s:
            return Plan(again_after_s=wait_s)
    attempt = max((sandbox.attempt for sandbox in world.sandboxes), default=-1) + 1
    return Plan((MakeSandbox(attempt),))


def _inits(world: World, sandbox_id: str, now: datetime.datetime, actions: list[Action], waits: list[float]) -> bool:
    """Drive the init containers; True when the others may run."""
    started_main = any(world.newest(container.name) is not None for container in world.pod.spec.containers)
    for container in world.pod.spec.init_containers:
        run = world.newest(container.name)
        in_sandbox = run is not None and run.sandbox_id == sandbox_id
        if container.restart_policy == "Always":
            _drive(world, container, sandbox_id, now, actions, waits, init=True)
            healthy = run is not None and run.state is ContainerState.RUNNING
            health = world.health.get(run.id) if run is not None else None
            if not started_main and not (healthy and (health is None or health.started)):
                return False
            continue
        if run is not None and in_sandbox and run.state is ContainerState.EXITED and run.exit_code == 0:
            continue
        if started_main and run is None:
            continue  # the record of its success was cleaned up long ago
        _drive(world, container, sandbox_id, now, actions, waits, init=True)
        return False
    return True


def _drive(
    world: World,
    container: ContainerSpec,
    sandbox_id: str,
    now: datetime.datetime,
    actions: list[Action],
    waits: list[float],
    *,
    init: bool,
) -> None:
    """Start, restart or stop one container as needed."""
    run = world.newest(container.name)
    if run is not None and run.state is ContainerState.RUNNING and run.sandbox_id == sandbox_id:
        health = world.health.get(run.id)
        if run.id in world.stopping:
            return
        if health is not None and health.failed:
            actions.append(Stop(run, world.grace_s, f"Container {run.name} {health.failed}, will be restarted"))
        elif run.image != container.image:
            text = f"Container {run.name} definition changed, will be restarted"
            actions.append(Stop(run, world.grace_s, text))
        return
    problem = world.problems.get(container.name)
    if problem is not None:
        wait_s = backoff.remaining_s(problem.at, backoff.problem_delay_s(problem.count), now)
        if wait_s:
            waits.append(wait_s)
            return
    attempt = 0
    if run is not None:
        attempt = run.attempt + 1
        if run.state is ContainerState.EXITED and run.sandbox_id == sandbox_id:
            sidecar = container.restart_policy == "Always"
            policy = "Always" if sidecar else world.pod.spec.restart_policy
            if init and not sidecar and policy == "Always":
                policy = "OnFailure"
            if not _wanted_again(policy, run):
                return
            wait_s = backoff.remaining_s(run.finished_at, backoff.restart_delay_s(world.streaks.get(run.name, 0)), now)
            if wait_s:
                waits.append(wait_s)
                return
    actions.append(Start(container, sandbox_id, attempt, init))


def _old_runs(world: World) -> list[Action]:
    """Ended runs that nobody asks for any more."""
    removals: list[Action] = []
    for runs in world.runs.values():
        dead = [run for run in runs[:-1] if run.state in (ContainerState.EXITED, ContainerState.UNKNOWN)]
        removals += [RemoveContainer(run.id) for run in dead[: max(len(dead) - KEPT_DEAD, 0)]]
    removals += [
        RemoveContainer(runs[-1].id)
        for runs in world.runs.values()
        if runs and runs[-1].state is ContainerState.CREATED
    ]
    return removals
