"""What to report of a pod: phase, conditions, container statuses. Pure; unchanged facts keep their times."""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.types import core_v1
from knarr_api.types.core_v1 import Container as ContainerSpec
from knarr_api.types.core_v1 import ContainerState as StateValue
from knarr_api.types.core_v1 import ContainerStatus, PodCondition, PodStatus
from knarr_node_agent.podmachine import backoff
from knarr_node_agent.podmachine.decide import finished
from knarr_node_agent.podmachine.world import Container, ContainerState, World

SCHEME = "knarr://"


def status(world: World, before: PodStatus, now: datetime.datetime, *, host_ip: str) -> PodStatus:
    """The pod's status now. before: the one reported last."""
    spec = world.pod.spec
    inits = tuple(_container(world, container, now, init=True) for container in spec.init_containers)
    mains = tuple(_container(world, container, now, init=False) for container in spec.containers)
    phase = _phase(world, mains, before)
    ip = _ip(world, before, host_ip)
    ready = _all_ready(world, mains, phase)
    initialized = _initialized(world)
    sandbox_ready = world.sandbox is not None
    ended = phase in ("Succeeded", "Failed")
    wanted = (
        ("PodReadyToStartContainers", sandbox_ready, "", ""),
        ("Initialized", initialized or (ended and phase == "Succeeded"), *_why_not_initialized(world, initialized)),
        ("Ready", ready, *_why_not_ready(world, mains, ready, phase)),
        ("ContainersReady", ready, *_why_not_ready(world, mains, ready, phase)),
    )
    conditions = [c for c in before.conditions if c.type not in {name for name, *_ in wanted}]
    if not any(c.type == "PodScheduled" for c in conditions):
        conditions.append(PodCondition(type="PodScheduled", status="True", last_transition_time=_whole(now)))
    for name, holds, reason, message in wanted:
        conditions.append(_condition(before, name, holds, reason, message, now))
    return msgspec.structs.replace(
        before,
        phase=phase,
        reason="DeadlineExceeded" if world.deadline_passed and phase == "Failed" else before.reason,
        message=(
            "Pod was active on the node longer than the specified deadline"
            if world.deadline_passed and phase == "Failed"
            else before.message
        ),
        conditions=tuple(sorted(conditions, key=lambda condition: condition.type)),
        host_ip=host_ip,
        host_ips=(core_v1.HostIP(ip=host_ip),) if host_ip else (),
        pod_ip=ip,
        pod_ips=(core_v1.PodIP(ip=ip),) if ip else (),
        start_time=before.start_time or _whole(now),
        init_container_statuses=inits,
        container_statuses=mains,
    )


def _phase(world: World, mains: tuple[ContainerStatus, ...], before: PodStatus) -> str:
    if before.phase in ("Succeeded", "Failed"):
        return before.phase
    if world.deadline_passed and not world.running:
        return "Failed"
    if finished(world) and not world.running:
        codes = [run.exit_code for c in world.pod.spec.containers if (run := world.newest(c.name)) is not None]
        complete = len(codes) == len(world.pod.spec.containers)
        return "Succeeded" if complete and not any(codes) else "Failed"
    started = any(world.newest(container.name) is not None for container in world.pod.spec.containers)
    if world.ending and not world.running and started:
        codes = [run.exit_code for c in world.pod.spec.containers if (run := world.newest(c.name)) is not None]
        return "Failed" if any(codes) else "Succeeded"
    if not started and any((s.restart_count or 0) > 0 or s.container_id for s in mains):
        started = True
    return "Running" if started and _initialized(world) else before.phase or "Pending"


def _ip(world: World, before: PodStatus, host_ip: str) -> str:
    if world.pod.spec.host_network:
        return host_ip
    sandbox = world.sandbox
    return sandbox.ip if sandbox is not None and sandbox.ip else before.pod_ip


def _initialized(world: World) -> bool:
    if any(world.newest(container.name) is not None for container in world.pod.spec.containers):
        return True
    for container in world.pod.spec.init_containers:
        run = world.newest(container.name)
        if run is None:
            return False
        if container.restart_policy == "Always":
            health = world.health.get(run.id)
            if run.state is not ContainerState.RUNNING or (health is not None and not health.started):
                return False
        elif run.state is not ContainerState.EXITED or run.exit_code != 0:
            return False
    return True


def _all_ready(world: World, mains: tuple[ContainerStatus, ...], phase: str) -> bool:
    return phase == "Running" and bool(mains) and all(s.ready for s in mains) and world.sandbox is not None


def _why_not_initialized(world: World, initialized: bool) -> tuple[str, str]:
    if initialized:
        return "", ""
    left = [c.name for c in world.pod.spec.init_containers if not _succeeded(world, c)]
    return "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(left)}]"


def _succeeded(world: World, container: ContainerSpec) -> bool:
    run = world.newest(container.name)
    return run is not None and run.state is ContainerState.EXITED and run.exit_code == 0


def _why_not_ready(world: World, mains: tuple[ContainerStatus, ...], ready: bool, phase: str) -> tuple[str, str]:
    if ready:
        return "", ""
    if phase == "Succeeded":
        return "PodCompleted", ""
    if phase == "Failed":
        return "PodFailed", ""
    left = [s.name for s in mains if not s.ready]
    return "ContainersNotReady", f"containers with unready status: [{' '.join(left)}]"


def _condition(
    before: PodStatus, name: str, holds: bool, reason: str, message: str, now: datetime.datetime
) -> PodCondition:
    value = "True" if holds else "False"
    present = next((c for c in before.conditions if c.type == name), None)
    since = _whole(now)
    if present is not None and present.status == value and present.last_transition_time is not None:
        since = present.last_transition_time
    return PodCondition(type=name, status=value, reason=reason, message=message, last_transition_time=since)


def _container(world: World, container: ContainerSpec, now: datetime.datetime, *, init: bool) -> ContainerStatus:
    run = world.newest(container.name)
    problem = world.problems.get(container.name)
    health = world.health.get(run.id) if run is not None else None
    previous = world.runs.get(container.name, ())[-2:-1]
    running = run is not None and run.state is ContainerState.RUNNING
    if run is None or run.state in (ContainerState.CREATED, ContainerState.UNKNOWN):
        state = StateValue(waiting=_waiting(world, problem, init))
        last = StateValue(terminated=_terminated(previous[0])) if previous else None
    elif running:
        state = StateValue(running=core_v1.ContainerStateRunning(started_at=run.started_at))
        last = StateValue(terminated=_terminated(previous[0])) if previous else None
    else:
        state, last = _after_end(world, container, run, problem, now, init)
        if last is None and previous:
            last = StateValue(terminated=_terminated(previous[0]))
    sidecar = init and container.restart_policy == "Always"
    if init and not sidecar:
        ready = run is not None and run.state is ContainerState.EXITED and run.exit_code == 0
    else:
        ready = running and (health is None or health.ready) and not world.ending
    return ContainerStatus(
        name=container.name,
        image=(run.image if run is not None else "") or container.image,
        image_id=run.image_id if run is not None else "",
        container_id=f"{SCHEME}{run.id}" if run is not None else "",
        ready=ready,
        started=running and (health is None or health.started),
        restart_count=run.attempt if run is not None else 0,
        state=state,
        last_state=last,
    )


def _waiting(world: World, problem: object, init: bool) -> core_v1.ContainerStateWaiting:
    from knarr_node_agent.podmachine.world import Problem

    if isinstance(problem, Problem):
        return core_v1.ContainerStateWaiting(reason=problem.reason, message=problem.message)
    if not init and world.pod.spec.init_containers and not _initialized(world):
        return core_v1.ContainerStateWaiting(reason="PodInitializing")
    if world.sandbox_problem is not None:
        return core_v1.ContainerStateWaiting(reason="ContainerCreating", message=world.sandbox_problem.message)
    return core_v1.ContainerStateWaiting(reason="ContainerCreating")


def _after_end(
    world: World,
    container: ContainerSpec,
    run: Container,
    problem: object,
    now: datetime.datetime,
    init: bool,
) -> tuple[StateValue, StateValue | None]:
    """A run that has ended is what the container is, unless it waits for its next one."""
    terminated = StateValue(terminated=_terminated(run))
    policy = world.pod.spec.restart_policy
    if init and container.restart_policy != "Always":
        policy = "OnFailure" if policy == "Always" else policy
    elif init:
        policy = "Always"
    again = policy == "Always" or (policy == "OnFailure" and run.exit_code != 0)
    if not again or world.ending or world.deadline_passed:
        return terminated, None
    if problem is not None:
        return StateValue(waiting=_waiting(world, problem, init)), terminated
    delay_s = backoff.restart_delay_s(world.streaks.get(run.name, 0))
    if backoff.remaining_s(run.finished_at, delay_s, now) > 0:
        message = f"back-off {delay_s:g}s restarting failed container={run.name} pod={world.pod.metadata.name}"
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


def _whole(moment: datetime.datetime) -> datetime.datetime:
    return moment.replace(microsecond=0)
