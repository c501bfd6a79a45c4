"""Single decisions."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from knarr_api.types.core_v1 import Container as ContainerSpec
from knarr_api.types.core_v1 import (
    ContainerState as StateValue,
)
from knarr_api.types.core_v1 import (
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStatus,
    Pod,
    PodCondition,
    PodReadinessGate,
    PodStatus,
)
from knarr_node_agent.podmachine import backoff
from knarr_node_agent.podmachine.backoff import Streak
from knarr_node_agent.podmachine.decide import Start, Stop, decide
from knarr_node_agent.podmachine.status import status
from knarr_node_agent.podmachine.world import Container, ContainerState, Health, Sandbox, World, recalled

MakePod = Callable[..., Pod]
SANDBOX = Sandbox(id="s", attempt=0, ready=True, ip="10.0.0.2")


def run_of(name: str = "main", **fields: Any) -> Container:
    values: dict[str, Any] = {"state": ContainerState.RUNNING, "image": "busybox", "attempt": 0, **fields}
    return Container(id=f"{name}-{values['attempt']}", name=name, sandbox_id="s", **values)


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_restart_policy(a_pod: MakePod, now: datetime.datetime, policy: str, code: int, again: bool) -> None:
    ended = run_of(state=ContainerState.EXITED, exit_code=code, finished_at=now)
    other = run_of("other")
    pod = a_pod(
        ContainerSpec(name="main", image="busybox"), ContainerSpec(name="other", image="busybox"), restart_policy=policy
    )
    plan = decide(World(pod=pod, sandboxes=(SANDBOX,), runs={"main": (ended,), "other": (other,)}), now)
    assert any(isinstance(action, Start) for action in plan.actions) is again


@pytest.mark.parametrize(
    ("count", "delay_s"), [(0, 0), (1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (99, 300)]
)
def test_back_off_doubles_from_the_second_restart(count: int, delay_s: float) -> None:
    assert backoff.restart_delay_s(count) == delay_s


def test_streak_counts_quick_ends_and_forgets_after_a_long_run(now: datetime.datetime) -> None:
    streak = backoff.counted(None, run_of())
    assert streak == Streak(0, 0)
    streak = backoff.counted(streak, run_of(attempt=1))
    assert streak.count == 1
    long = run_of(
        attempt=1, state=ContainerState.EXITED, started_at=now, finished_at=now + datetime.timedelta(seconds=601)
    )
    assert backoff.counted(streak, long).count == 0


def test_a_clock_set_back_ends_a_wait(now: datetime.datetime) -> None:
    assert backoff.remaining_s(now, 10.0, now - datetime.timedelta(days=1)) == 0.0, "not a day later"


def test_failed_probe_stops_with_its_own_grace(a_pod: MakePod, now: datetime.datetime) -> None:
    run = run_of()
    health = {run.id: Health(failed="failed liveness probe", grace_s=3)}
    plan = decide(World(pod=a_pod(), sandboxes=(SANDBOX,), runs={"main": (run,)}, health=health), now)
    (stop,) = plan.actions
    assert isinstance(stop, Stop)
    assert stop.grace_s == 3
    assert "failed liveness probe" in stop.message


def test_another_image_restarts_the_container(a_pod: MakePod, now: datetime.datetime) -> None:
    world = World(pod=a_pod(), sandboxes=(SANDBOX,), runs={"main": (run_of(image="older"),)})
    assert [type(action) for action in decide(world, now).actions] == [Stop]


def test_containers_end_before_their_sidecars_and_these_in_reverse(a_pod: MakePod, now: datetime.datetime) -> None:
    sidecars = tuple(ContainerSpec(name=f"s{n}", image="busybox", restart_policy="Always") for n in range(2))
    runs = {name: (run_of(name),) for name in ("s0", "s1", "main")}
    world = World(pod=a_pod(init_containers=sidecars), sandboxes=(SANDBOX,), runs=runs, ending=True, grace_s=30)
    order = []
    while True:
        stops = [action for action in decide(world, now).actions if isinstance(action, Stop)]
        if not stops:
            break
        order.append([stop.container.name for stop in stops])
        for stop in stops:
            runs[stop.container.name] = (run_of(stop.container.name, state=ContainerState.EXITED),)
    assert order == [["main"], ["s1"], ["s0"]]


def test_sidecar_gets_what_is_left_of_the_grace(a_pod: MakePod, now: datetime.datetime) -> None:
    sidecar = ContainerSpec(name="s", image="busybox", restart_policy="Always")
    world = World(
        pod=a_pod(init_containers=(sidecar,)),
        sandboxes=(SANDBOX,),
        runs={"s": (run_of("s"),)},
        ending=True,
        grace_s=30,
        ending_for_s=29.5,
    )
    (stop,) = decide(world, now).actions
    assert isinstance(stop, Stop)
    assert stop.grace_s == 2


def test_forgotten_run_is_recalled_from_the_report(a_pod: MakePod, now: datetime.datetime) -> None:
    running = ContainerStatus(
        name="main",
        container_id="knarr://old",
        restart_count=4,
        state=StateValue(running=ContainerStateRunning(started_at=now)),
        last_state=StateValue(terminated=ContainerStateTerminated(exit_code=0)),
    )
    (run,) = recalled(a_pod(), PodStatus(container_statuses=(running,)), {})["main"]
    assert (run.exit_code, run.reason, run.attempt) == (137, "ContainerStatusUnknown", 4)
    ended = ContainerStatus(
        name="main",
        container_id="knarr://old",
        state=StateValue(terminated=ContainerStateTerminated(exit_code=3, reason="Error")),
    )
    (run,) = recalled(a_pod(), PodStatus(container_statuses=(ended,)), {})["main"]
    assert (run.exit_code, run.reason) == (3, "Error")
    present = {"main": (run_of(),)}
    assert recalled(a_pod(), PodStatus(container_statuses=(ended,)), present) == present


def test_readiness_gate_keeps_the_pod_from_being_ready(a_pod: MakePod, now: datetime.datetime) -> None:
    pod = a_pod(readiness_gates=(PodReadinessGate(condition_type="lb"),))
    world = World(pod=pod, sandboxes=(SANDBOX,), runs={"main": (run_of(),)})
    values = {c.type: c.status for c in status(world, PodStatus(), now, host_ip="192.0.2.1").conditions}
    assert (values["ContainersReady"], values["Ready"]) == ("True", "False")
    gated = PodStatus(conditions=(PodCondition(type="lb", status="True"),))
    opened = World(pod=_with_status(pod, gated), sandboxes=(SANDBOX,), runs={"main": (run_of(),)})
    values = {c.type: c.status for c in status(opened, PodStatus(), now, host_ip="192.0.2.1").conditions}
    assert values["Ready"] == "True"


def test_conditions_keep_their_time_until_they_change(a_pod: MakePod, now: datetime.datetime) -> None:
    world = World(pod=a_pod(), sandboxes=(SANDBOX,), runs={"main": (run_of(),)})
    first = status(world, PodStatus(), now, host_ip="192.0.2.1")
    later = now + datetime.timedelta(minutes=5)
    second = status(world, first, later, host_ip="192.0.2.1")
    assert second == first
    sick = World(pod=world.pod, sandboxes=(SANDBOX,), runs=world.runs, health={"main-0": Health(ready=False)})
    third = status(sick, second, later, host_ip="192.0.2.1")
    changed = {c.type for c in third.conditions if c.last_transition_time == later}
    assert changed == {"Ready", "ContainersReady"}


def _with_status(pod: Pod, value: PodStatus) -> Pod:
    return Pod(metadata=pod.metadata, spec=pod.spec, status=value)
