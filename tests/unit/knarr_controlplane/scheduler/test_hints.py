"""A pod that found no place is tried again for what could help it, and for nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from knarr_api.types.core_v1 import Container, ContainerPort, Pod
from knarr_controlplane.scheduler.columns import Columns
from knarr_controlplane.scheduler.framework import ClusterEvent, PodToPlace
from knarr_controlplane.scheduler.hints import Asked, Hints
from knarr_controlplane.scheduler.profile import load_plugins
from tests.unit.knarr_controlplane.scheduler.conftest import Make

PLUGINS = load_plugins()


@pytest.fixture
def columns(make: type[Make]) -> Columns:
    """Two nodes of 4 cpus, four pods of one on each."""
    columns = Columns()
    for name in ("n1", "n2"):
        columns.set_node(make.node(name, cpu="4", disk="ssd"))
        for number in range(4):
            columns.add_pod(make.pod(f"{name}-{number}", cpu="1"), name)
    return columns


def helps(columns: Columns, pod: Pod, event: ClusterEvent, node: str, waits_for: ClusterEvent) -> bool:
    hints = Hints(columns)
    hints.note(event, node)
    return hints.take().helps(Asked.of(PodToPlace.of(pod), PLUGINS), waits_for)


def test_only_enough_room_helps(columns: Columns, make: type[Make]) -> None:
    gone, pod = ClusterEvent.POD_REMOVED, make.pod("p", cpu="2")
    assert columns.remove_pod("default", "n1-0") == "n1"
    assert not helps(columns, pod, gone, "n1", gone), "one cpu is free where two are wanted"
    columns.remove_pod("default", "n2-0")
    assert not helps(columns, pod, gone, "n2", gone), "one on each is not two on one"
    columns.remove_pod("default", "n1-1")
    assert helps(columns, pod, gone, "n1", gone)
    assert not helps(columns, pod, gone, "n2", gone), "what happened on the other node"
    assert not helps(columns, pod, ClusterEvent.NODE_LABELS, "n1", gone), "not what it waits for"


def test_a_label_does_not_help_where_cpu_is_short(columns: Columns, make: type[Make]) -> None:
    labels = ClusterEvent.NODE_LABELS
    pod = make.pod("p", cpu="1", node_selector={"disk": "ssd"})
    assert not helps(columns, pod, labels, "n1", labels)
    columns.remove_pod("default", "n1-0")
    assert helps(columns, pod, labels, "n1", labels)
    assert not helps(columns, make.pod("p", cpu="1", node_selector={"disk": "hdd"}), labels, "n1", labels)


def test_room_of_lesser_pods_counts_where_they_may_have_to_go(columns: Columns, make: type[Make]) -> None:
    gone, pod = ClusterEvent.POD_REMOVED, make.pod("p", cpu="2", priority=10)
    columns.remove_pod("default", "n1-0")
    assert helps(columns, pod, gone, "n1", gone)
    tolerant: Any = msgspec.structs.replace(pod.spec, preemption_policy="Never")
    assert not helps(columns, msgspec.structs.replace(pod, spec=tolerant), gone, "n1", gone)
    never = make.pod("p", cpu="5", priority=10)
    assert not helps(columns, never, gone, "n1", gone), "more than the node has"


def test_pods_that_are_alike_are_looked_at_once(columns: Columns, make: type[Make]) -> None:
    one, two = (Asked.of(PodToPlace.of(make.pod(name, cpu="2")), PLUGINS) for name in "ab")
    other = Asked.of(PodToPlace.of(make.pod("c", cpu="3")), PLUGINS)
    assert one.alike == two.alike != other.alike
    hints = Hints(columns)
    hints.note(ClusterEvent.POD_REMOVED, "n1")
    hints.note(ClusterEvent.NODE_LABELS, "gone")
    look = hints.take()
    assert look.events == ClusterEvent.POD_REMOVED | ClusterEvent.NODE_LABELS and not hints.events
    assert not look.helps(one, ClusterEvent.ANY)
    for number in range(4):
        columns.remove_pod("default", f"n1-{number}")
    assert not look.helps(two, ClusterEvent.ANY), "as was found for the first"
    assert look.helps(other, ClusterEvent.ANY)


def test_pods_that_differ_in_a_sidecars_port_are_not_alike(columns: Columns, make: type[Make]) -> None:
    gone, plain = ClusterEvent.POD_REMOVED, make.pod("p", cpu="1")

    def with_sidecar(port: int) -> Pod:
        sidecar = Container(
            name="s", restart_policy="Always", ports=(ContainerPort(container_port=80, host_port=port),)
        )
        return msgspec.structs.replace(plain, spec=msgspec.structs.replace(plain.spec, init_containers=(sidecar,)))

    columns.remove_pod("default", "n1-0")
    columns.remove_pod("default", "n1-1")
    columns.add_pod(with_sidecar(8080), "n1")
    hints = Hints(columns)
    hints.note(gone, "n1")
    look = hints.take()
    blocked, free = (Asked.of(PodToPlace.of(with_sidecar(port)), PLUGINS) for port in (8080, 9090))
    assert not look.helps(blocked, gone)
    assert look.helps(free, gone)
