"""What to report of a pod: phase, conditions, container statuses. Pure; unchanged facts keep their times."""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.types import core_v1
from knarr_api.types.core_v1 import Container as ContainerSpec
from knarr_api.types.core_v1 import ContainerState as StateValue
from knarr_api.types.core_v1 import ContainerStatus, PodCondition, PodStatus
from knarr_node_agent.podmachine import backoff
from knarr_node_agent.podmachine.decide import finished, initialized, wanted_again
from knarr_node_agent.podmachine.world import (
    TERMINAL_PHASES,
    Container,
    ContainerState,
    Problem,
    World,
    is_sidecar,
)

SCHEME = "knarr://"
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


def status(world: World, before: PodStatus, now: datetime.datetime, *, host_ip: str) -> PodStatus:
    """The pod's status now. before: the one reported last."""
    spec = world.pod.spec
    inits = tuple(_container(world, container, now) for container in spec.init_containers)
    mains = tuple(_container(world, container, now) for container in spec.containers)
    phase = _phase(world, before)
    late = world.deadline_passed and phase == "Failed" and before.phase not in TERMINAL_PHASES
    ip = _ip(world, before, host_ip)
    return msgspec.structs.replace(
        before,
        phase=phase,
        reason="DeadlineExceeded" if late else before.reason,
        message=DEADLINE_MESSAGE if late else before.message,
        conditions=_conditions(world, before, mains, phase, now),
        host_ip=host_ip,
        host_ips=(core_v1.HostIP(ip=host_ip),) if host_ip else (),
        pod_ip=ip,
        pod_ips=(core_v1.PodIP(ip=ip),) if ip else (),
        start_time=before.start_time or now.replace(microsecond=0),
        init_container_statuses=inits,
        container_statuses=mains,
        observed_generation=world.pod.metadata.generation or before.observed_generation,
    )


def _phase(world: World, before: PodStatus) -> str:
    if before.phase in TERMINAL_PHASES:
        return before.phase
    newest = [world.newest(container.name) for container in world.pod.spec.containers]
    ended = [run for run in newest if run is not None and run.state is ContainerState.EXITED]
    if not world.running and (finished(world) or world.deadline_passed or (world.ending and ended)):
        good = len(ended) == len(newest) and all(run.exit_code == 0 for run in ended)
        return "Succeeded" if good and not world.deadline_passed else "Failed"
    if any(run is not None for run in newest):
        return "Running"
    return before.phase or "Pending"


def _ip(world: World, before: PodStatus, host_ip: str) -> str:
    if world.pod.spec.host_network:
        return host_ip
    sandbox = world.sandbox
    return sandbox.ip if sandbox is not None and sandbox.ip else before.pod_ip


# Conditions


def _conditions(
    world: World, before: PodStatus, mains: tuple[ContainerStatus, ...], phase: str, now: datetime.datetime
) -> tuple[PodCondition, ...]:
    """The agent's own. Those of others are theirs to write."""
    containers_ready = phase == "Running" and bool(mains) and all(each.ready for each in mains) and not world.ending
    containers_ready = containers_ready and world.sandbox is not None
    begun = any(world.newest(container.name) is not None for container in world.pod.spec.containers)
    ready_to_start = world.sandbox is not None
    through = initialized(world) or begun or phase == "Succeeded"
    gates = _open_gates(world)
    wanted = [
        ("PodReadyToStartContainers", ready_to_start, "", ""),
        ("Initialized", through, *_why_not_initialized(world, through, phase)),
        ("Ready", containers_ready and not gates, *_why_not_ready(mains, containers_ready, phase, gates)),
        ("ContainersReady", containers_ready, *_why_not_ready(mains, containers_ready, phase, ())),
    ]
    generation = world.pod.metadata.generation
    own = tuple(_condition(before, *each, now=now, generation=generation) for each in wanted)
    return (_scheduled(world, before, now), *own)


def _scheduled(world: World, before: PodStatus, now: datetime.datetime) -> PodCondition:
    """As the scheduler wrote it; a pod that was made for this node never met one."""
    for condition in (*world.pod.status.conditions, *before.conditions):
        if condition.type == "PodScheduled" and condition.status == "True":
            return condition
    return PodCondition(type="PodScheduled", status="True", last_transition_time=now.replace(microsecond=0))


def _open_gates(world: World) -> tuple[str, ...]:
    """Readiness gates of the pod that nobody has set to True."""
    true = {condition.type for condition in world.pod.status.conditions if condition.status == "True"}
    return tuple(g.condition_type for g in world.pod.spec.readiness_gates if g.condition_type not in true)


def _why_not_initialized(world: World, through: bool, phase: str) -> tuple[str, str]:
    if through:
        return ("PodCompleted", "") if phase == "Succeeded" else ("", "")
    left = [c.name for c in world.pod.spec.init_containers if not _is_done(world, c)]
    return "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(left)}]"


def _is_done(world: World, container: ContainerSpec) -> bool:
    run = world.newest(container.name)
    if run is None:
        return False
    if is_sidecar(container):
        return run.state is ContainerState.RUNNING and world.health_of(run).started
    return run.state is ContainerState.EXITED and run.exit_code == 0


def _why_not_ready(
    mains: tuple[ContainerStatus, ...], containers_ready: bool, phase: str, gates: tuple[str, ...]
) -> tuple[str, str]:
    if containers_ready:
        if not gates:
            return "", ""
        return "ReadinessGatesNotReady", f'corresponding condition of pod readiness gate "{gates[0]}" is not "True"'
    if phase == "Succeeded":
        return "PodCompleted", ""
    if phase == "Failed":
        return "PodFailed", ""
    left = [each.name for each in mains if not each.ready]
    return "ContainersNotReady", f"containers with unready status: [{' '.join(left)}]" if left else ""


def _condition(
    before: PodStatus,
    name: str,
    holds: bool,
    reason: str,
    message: str,
    *,
    now: datetime.datetime,
    generation: int | None,
) -> PodCondition:
    value = "True" if holds else "False"
    present = next((condition for condition in before.conditions if condition.type == name), None)
    since = now.replace(microsecond=0)
    if present is not None and present.status == value and present.last_transition_time is not None:
        since = present.last_transition_time
    return PodCondition(
        type=name,
        status=value,
        reason=reason,
        message=message,
        last_transition_time=since,
        observed_generation=generation,
    )


# Containers


def _container(world: World, container: ContainerSpec, now: datetime.datetime) -> ContainerStatus:
    run = world.newest(container.name)
    runs = world.runs.get(container.name, ())
    ended_before = runs[-2] if len(runs) > 1 and runs[-2].state is ContainerState.EXITED else None
    state, last = _states(world, container, run, now)
    if last is None and ended_before is not None:
        last = StateValue(terminated=_terminated(ended_before))
    running = run is not None and run.state is ContainerState.RUNNING
    health = world.health_of(run) if run is not None else None
    return ContainerStatus(
        name=container.name,
        image=(run.image if run is not None else "") or container.image,
        image_id=run.image_id if run is not None else "",
        container_id=f"{SCHEME}{run.id}" if run is not None else "",
        ready=_is_ready(world, container, run),
        started=running and health is not None and health.started,
        restart_count=run.attempt if run is not None else 0,
        state=state,
        last_state=last,
    )


def _is_ready(world: World, container: ContainerSpec, run: Container | None) -> bool:
    if run is None:
        return False
    if any(each.name == container.name for each in world.pod.spec.init_containers) and not is_sidecar(container):
        return run.state is ContainerState.EXITED and run.exit_code == 0
    return run.state is ContainerState.RUNNING and world.health_of(run).ready


def _states(
    world: World, container: ContainerSpec, run: Container | None, now: datetime.datetime
) -> tuple[StateValue, StateValue | None]:
    """The container's state, and its last one where the run that the state is of has ended."""
    if run is None or run.state in (ContainerState.CREATED, ContainerState.UNKNOWN):
        return StateValue(waiting=_waiting(world, container)), None
    if run.state is ContainerState.RUNNING:
        return StateValue(running=core_v1.ContainerStateRunning(started_at=run.started_at)), None
    return _after_end(world, container, run, now)


def _waiting(world: World, container: ContainerSpec) -> core_v1.ContainerStateWaiting:
    problem = world.problems.get(container.name)
    if problem is not None:
        return core_v1.ContainerStateWaiting(reason=problem.reason, message=problem.message)
    message = world.sandbox_problem.message if world.sandbox_problem is not None and world.sandbox is None else ""
    is_init = any(each.name == container.name for each in world.pod.spec.init_containers)
    if world.pod.spec.init_containers and not initialized(world) and not (is_init and world.sandbox is not None):
        return core_v1.ContainerStateWaiting(reason="PodInitializing", message=message)
    return core_v1.ContainerStateWaiting(reason="ContainerCreating", message=message)


def _after_end(
    world: World, container: ContainerSpec, run: Container, now: datetime.datetime
) -> tuple[StateValue, StateValue | None]:
    """A run that has ended is what the container is, unless it waits for its next one."""
    terminated = StateValue(terminated=_terminated(run))
    final = world.ending or world.deadline_passed or world.phase in TERMINAL_PHASES or finished(world)
    if final or not wanted_again(world, container, run):
        return terminated, None
    if isinstance(world.problems.get(container.name), Problem):
        return StateValue(waiting=_waiting(world, container)), terminated
    delay_s = backoff.restart_delay_s(world.streaks.get(run.name, 0))
    if backoff.remaining_s(run.finished_at, delay_s, now) > 0:
        pod = world.pod.metadata
        message = (
            f"back-off {delay_s:g}s restarting failed container={run.name} pod={pod.name}_{pod.namespace}({pod.uid})"
        )
        waiting = core_v1.ContainerStateWaiting(reason="CrashLoopBackOff", message=message)
        return StateValue(waiting=waiting), terminated
    return terminated, None


def _terminated(run: Container) -> core_v1.ContainerStateTerminated:
    reason = run.reason or ("Completed" if run.exit_code == 0 else "Error")
    return core_v1.ContainerStateTerminated(
        exit_code=run.exit_code,
        reason=reason,
        message=run.message,
        started_at=run.started_at,
        finished_at=run.finished_at,
        container_id=f"{SCHEME}{run.id}",
    )
