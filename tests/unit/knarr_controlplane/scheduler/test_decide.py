"""What the scheduler decides, and that it never over-commits a node."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api.types.core_v1 import (
    Affinity,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PreferredSchedulingTerm,
    Taint,
    Toleration,
    TopologySpreadConstraint,
)
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta, OwnerReference
from knarr_controlplane.scheduler import requests
from knarr_controlplane.scheduler.columns import Columns
from knarr_controlplane.scheduler.framework import Placed, PodToPlace, Unschedulable, decide
from knarr_controlplane.scheduler.profile import load_plugins

PLUGINS = load_plugins()
TAINT = Taint(key="dedicated", value="db", effect="NoSchedule")


def place(pod: Pod, columns: Columns, *, tie_break: int = 0) -> Placed | Unschedulable:
    """Decide and count the pod where it goes."""
    verdict = decide(PodToPlace.of(pod), columns, PLUGINS, tie_break=tie_break)
    if isinstance(verdict, Placed):
        columns.add_pod(pod, verdict.node)
    return verdict


def cluster(*nodes: Any) -> Columns:
    columns = Columns()
    for node in nodes:
        columns.set_node(node)
    return columns


def test_no_nodes_is_said(make: Any) -> None:
    verdict = place(make.pod("a"), Columns())
    assert isinstance(verdict, Unschedulable)
    assert verdict.message == "no nodes available to schedule pods"


def test_reasons_count_nodes_per_reason(make: Any) -> None:
    columns = cluster(make.node("n1", cpu="1"), make.node("n2", cpu="1"), make.node("n3", taints=(TAINT,)))
    verdict = place(make.pod("a", cpu="2"), columns)
    assert isinstance(verdict, Unschedulable)
    assert verdict.message == (
        "0/3 nodes are available: 1 node(s) had untolerated taint {dedicated: db}, 2 Insufficient cpu."
    )
    assert verdict.plugins == {"NodeResourcesFit", "TaintToleration"}


@pytest.mark.parametrize(
    ("operator", "value", "taint", "fits"),
    [
        ("Gt", "950", "960", True),
        ("Gt", "950", "950", False),
        ("Gt", "-5", "0", True),
        ("Lt", "10", "9", True),
        ("Lt", "10", "10", False),
        ("Lt", "10", "many", False),
        ("Lt", "10", "", False),
    ],
)
def test_tolerations_compare_numbers(make: Any, operator: str, value: str, taint: str, fits: bool) -> None:
    columns = cluster(make.node("n1", taints=(Taint(key="sla", value=taint, effect="NoSchedule"),)))
    toleration = Toleration(key="sla", operator=operator, value=value, effect="NoSchedule")
    assert isinstance(place(make.pod("a", tolerations=(toleration,)), columns), Placed) == fits


def test_a_tolerated_taint_admits(make: Any) -> None:
    columns = cluster(make.node("n1", taints=(TAINT,)))
    toleration = Toleration(key="dedicated", operator="Equal", value="db", effect="NoSchedule")
    assert isinstance(place(make.pod("a", tolerations=(toleration,)), columns), Placed)


def test_prefer_no_schedule_is_avoided_not_refused(make: Any) -> None:
    soft = Taint(key="old", effect="PreferNoSchedule")
    columns = cluster(make.node("n1", taints=(soft,)), make.node("n2"))
    verdicts = [place(make.pod(f"p{i}"), columns, tie_break=i) for i in range(4)]
    assert {verdict.node for verdict in verdicts if isinstance(verdict, Placed)} == {"n2"}


def test_cordoned_node_takes_nothing(make: Any) -> None:
    import msgspec

    node = make.node("n1")
    columns = cluster(msgspec.structs.replace(node, spec=msgspec.structs.replace(node.spec, unschedulable=True)))
    verdict = place(make.pod("a"), columns)
    assert isinstance(verdict, Unschedulable)
    assert verdict.message == "0/1 nodes are available: 1 node(s) were unschedulable."


def test_node_selector(make: Any) -> None:
    columns = cluster(make.node("n1", disk="hdd"), make.node("n2", disk="ssd"))
    verdict = place(make.pod("a", node_selector={"disk": "ssd"}), columns)
    assert isinstance(verdict, Placed) and verdict.node == "n2"


@pytest.mark.parametrize(
    ("operator", "values", "admitted"),
    [
        ("In", ("a", "b"), {"n1"}),
        ("NotIn", ("a",), {"n2", "n3"}),
        ("Exists", (), {"n1", "n2"}),
        ("DoesNotExist", (), {"n3"}),
        ("Gt", ("5",), {"n2"}),
        ("Lt", ("5",), set()),
    ],
)
def test_required_affinity_operators(make: Any, operator: str, values: tuple[str, ...], admitted: set[str]) -> None:
    term = NodeSelectorTerm(match_expressions=(NodeSelectorRequirement(key="k", operator=operator, values=values),))
    affinity = Affinity(
        node_affinity=NodeAffinity(
            required_during_scheduling_ignored_during_execution=NodeSelector(node_selector_terms=(term,))
        )
    )
    columns = cluster(make.node("n1", k="a"), make.node("n2", k="7"), make.node("n3"))
    verdicts = [
        decide(PodToPlace.of(make.pod("p", affinity=affinity)), columns, PLUGINS, tie_break=i) for i in range(3)
    ]
    placed = {verdict.node for verdict in verdicts if isinstance(verdict, Placed)}
    assert placed <= admitted and bool(placed) == bool(admitted)


def test_preferred_affinity_wins_over_emptiness(make: Any) -> None:
    columns = cluster(make.node("n1", zone="a"), make.node("n2", zone="b"))
    term = NodeSelectorTerm(match_expressions=(NodeSelectorRequirement(key="zone", operator="In", values=("b",)),))
    affinity = Affinity(
        node_affinity=NodeAffinity(
            preferred_during_scheduling_ignored_during_execution=(PreferredSchedulingTerm(weight=50, preference=term),)
        )
    )
    nodes = [place(make.pod(f"p{i}", cpu="100m", affinity=affinity), columns, tie_break=i) for i in range(4)]
    assert all(isinstance(verdict, Placed) and verdict.node == "n2" for verdict in nodes)


def test_replicas_of_one_owner_spread_without_constraints(make: Any) -> None:
    import msgspec

    columns = cluster(*(make.node(f"n{i}") for i in range(3)))
    counts: Counter[str] = Counter()
    for i in range(9):
        pod = make.pod(f"p{i}")
        owner = OwnerReference(api_version="apps/v1", kind="ReplicaSet", name="r", uid="u", controller=True)
        metadata = msgspec.structs.replace(pod.metadata, owner_references=(owner,))
        verdict = place(msgspec.structs.replace(pod, metadata=metadata), columns, tie_break=i)
        assert isinstance(verdict, Placed)
        counts[verdict.node] += 1
    assert set(counts.values()) == {3}


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=8), st.integers(1, 3), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_hard_spread_never_exceeds_its_skew(zones: list[str], max_skew: int, pods: int) -> None:
    from knarr_api.quantity import Quantity
    from knarr_api.types.core_v1 import Container, Node, NodeStatus, PodSpec

    columns = Columns()
    for i, zone in enumerate(zones):
        allocatable = {"cpu": Quantity("2"), "memory": Quantity("4Gi"), "pods": Quantity("4")}
        columns.set_node(
            Node(metadata=ObjectMeta(name=f"n{i}", labels={"zone": zone}), status=NodeStatus(allocatable=allocatable))
        )
    constraint = TopologySpreadConstraint(
        max_skew=max_skew,
        topology_key="zone",
        when_unsatisfiable="DoNotSchedule",
        label_selector=LabelSelector(match_labels={"app": "x"}),
    )
    placed: Counter[str] = Counter(dict.fromkeys(zones, 0))
    for i in range(pods):
        pod = Pod(
            metadata=ObjectMeta(name=f"p{i}", namespace="default", labels={"app": "x"}),
            spec=PodSpec(containers=(Container(name="c", image="i"),), topology_spread_constraints=(constraint,)),
        )
        verdict = place(pod, columns, tie_break=i)
        if isinstance(verdict, Placed):
            placed[zones[int(verdict.node[1:])]] += 1
        assert max(placed.values()) - min(placed.values()) <= max_skew


NODE = st.tuples(st.integers(0, 4000), st.integers(0, 8), st.integers(0, 6), st.booleans())
POD = st.tuples(st.integers(0, 3000), st.integers(0, 4), st.booleans())


@given(st.lists(NODE, min_size=1, max_size=40), st.lists(POD, max_size=60), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_never_over_commits_and_agrees_with_a_slow_oracle(
    nodes: list[tuple[int, int, int, bool]], pods: list[tuple[int, int, bool]], random: Any
) -> None:
    """Against a dictionary and a loop, with pods and nodes coming and going."""
    from knarr_api.quantity import Quantity
    from knarr_api.types.core_v1 import Container, Node, NodeSpec, NodeStatus, PodSpec, ResourceRequirements

    columns = Columns()
    free: dict[str, list[int]] = {}
    tainted: dict[str, bool] = {}
    for i, (cpu, memory, slots, taint) in enumerate(nodes):
        allocatable = {"cpu": Quantity(f"{cpu}m"), "memory": Quantity(f"{memory}Gi"), "pods": Quantity(str(slots))}
        columns.set_node(
            Node(
                metadata=ObjectMeta(name=f"n{i}"),
                spec=NodeSpec(taints=(TAINT,) if taint else ()),
                status=NodeStatus(allocatable=allocatable),
            )
        )
        free[f"n{i}"], tainted[f"n{i}"] = [cpu, memory, slots], taint
    where: dict[str, tuple[str, tuple[int, int, int]]] = {}
    for i, (cpu, memory, tolerant) in enumerate(pods):
        if where and random.random() < 0.2:
            name = random.choice(sorted(where))
            node, need = where.pop(name)
            assert columns.remove_pod("default", name)
            free[node] = [have + back for have, back in zip(free[node], need, strict=True)]
        request = {"cpu": Quantity(f"{cpu}m"), "memory": Quantity(f"{memory}Gi")}
        pod = Pod(
            metadata=ObjectMeta(name=f"p{i}", namespace="default"),
            spec=PodSpec(
                containers=(Container(name="c", image="i", resources=ResourceRequirements(requests=request)),),
                tolerations=(Toleration(operator="Exists"),) if tolerant else (),
            ),
        )
        need = (cpu, memory, 1)
        fitting = {
            name
            for name, have in free.items()
            if all(h >= n for h, n in zip(have, need, strict=True)) and (tolerant or not tainted[name])
        }
        verdict = place(pod, columns, tie_break=i)
        assert isinstance(verdict, Placed) == bool(fitting)
        if isinstance(verdict, Placed):
            assert verdict.node in fitting
            where[f"p{i}"] = (verdict.node, need)
            free[verdict.node] = [have - n for have, n in zip(free[verdict.node], need, strict=True)]
        else:
            assert sum(count for _, count in verdict.reasons) >= len(nodes)
    assert (columns.requested <= columns.allocatable).all()


def test_a_node_that_returns_still_has_its_pods(make: Any) -> None:
    columns = cluster(make.node("n1", cpu="1"))
    assert isinstance(place(make.pod("a", cpu="800m"), columns), Placed)
    columns.remove_node("n1")
    columns.set_node(make.node("n1", cpu="1"))
    assert isinstance(place(make.pod("b", cpu="800m"), columns), Unschedulable)
    columns.remove_pod("default", "a")
    assert isinstance(place(make.pod("b", cpu="800m"), columns), Placed)


def test_init_containers_count_by_their_peak(make: Any) -> None:
    import msgspec

    pod = make.pod("a", cpu="100m")
    init = msgspec.structs.replace(make.pod("b", cpu="1").spec.containers[0], name="init")
    sidecar = msgspec.structs.replace(make.pod("b", cpu="50m").spec.containers[0], name="side", restart_policy="Always")
    spec = msgspec.structs.replace(pod.spec, init_containers=(sidecar, init))
    assert requests.of_pod(msgspec.structs.replace(pod, spec=spec))["cpu"] == 1050
