"""What counts as a pod's start, and what runtimes' operations are called."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import pytest

from knarr_api.types.core_v1 import Container as ContainerSpec
from knarr_api.types.core_v1 import PodStatus
from knarr_client import virtual_time
from knarr_client.virtual_time import VirtualClock
from knarr_node_agent.meter import NoMeter, StartClock
from knarr_node_agent.metrics import operation_type
from knarr_node_agent.podmachine.world import Container, ContainerState, World

PENDING, RUNNING = PodStatus(phase="Pending"), PodStatus(phase="Running")


class Told(NoMeter):
    def __init__(self) -> None:
        self.starts: list[tuple[float, float]] = []

    def pod_started(self, total_s: float, sli_s: float) -> None:
        self.starts.append((total_s, sli_s))


def test_pulls_and_init_containers_are_no_part_of_a_start(a_pod: Any) -> None:
    async def scenario(clock: VirtualClock) -> None:
        told = Told()
        start = StartClock(told)
        pod = a_pod(init_containers=(ContainerSpec(name="first", image="x"),))
        pod = msgspec.structs.replace(
            pod, metadata=msgspec.structs.replace(pod.metadata, creation_timestamp=clock.now())
        )
        await clock.sleep(1)
        start.look(World(pod=pod), PodStatus(), PENDING, clock)
        start.look(World(pod=pod, pulling=frozenset({"first"})), PENDING, PENDING, clock)
        await clock.sleep(10)
        start.look(World(pod=pod), PENDING, PENDING, clock)
        began = clock.now()
        await clock.sleep(5)
        first = Container(
            id="c1",
            name="first",
            attempt=0,
            sandbox_id="s",
            state=ContainerState.EXITED,
            started_at=began,
            finished_at=began + datetime.timedelta(seconds=5),
        )
        world = World(pod=pod, runs={"first": (first,)})
        start.look(world, PENDING, RUNNING, clock)
        assert told.starts == [(pytest.approx(16.0), pytest.approx(1.0))]
        start.look(world, RUNNING, RUNNING, clock)
        await clock.sleep(1)
        start.look(world, RUNNING, PodStatus(phase="Succeeded"), clock)
        assert len(told.starts) == 1

    virtual_time.run(scenario)


def test_a_pod_that_ran_before_the_agent_did_has_not_started_now(a_pod: Any) -> None:
    async def scenario(clock: VirtualClock) -> None:
        told = Told()
        StartClock(told).look(World(pod=a_pod()), RUNNING, RUNNING, clock)
        assert told.starts == []

    virtual_time.run(scenario)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("RunPodSandbox", "run_podsandbox"),
        ("ListPodSandboxStats", "list_podsandbox_stats"),
        ("CreateContainer", "create_container"),
        ("ExecSync", "exec_sync"),
        ("Version", "version"),
    ],
)
def test_operations_are_called_as_the_kubelet_calls_them(method: str, name: str) -> None:
    assert operation_type(method) == name
