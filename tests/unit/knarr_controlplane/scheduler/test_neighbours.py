"""Affinity between pods, ports of nodes, images that are there already."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api.types.core_v1 import (
    Affinity,
    ContainerImage,
    ContainerPort,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    WeightedPodAffinityTerm,
)
from knarr_api.types.meta_v1 import LabelSelector, LabelSelectorRequirement
from knarr_controlplane.scheduler.columns import Columns
from knarr_controlplane.scheduler.framework import Placed, PodToPlace, Unschedulable, decide, verdicts
from knarr_controlplane.scheduler.profile import load_plugins

PLUGINS = load_plugins()
replace = msgspec.structs.replace


def place(pod: Pod, columns: Columns, *, tie_break: int = 0) -> Placed | Unschedulable:
    verdict = decide(PodToPlace.of(pod), columns, PLUGINS, tie_break=tie_break)
    if isinstance(verdict, Placed):
        columns.add_pod(pod, verdict.node)
    return verdict


def term(app: str, key: str = "zone", **more: Any) -> PodAffinityTerm:
    return PodAffinityTerm(topology_key=key, label_selector=LabelSelector(match_labels={"app": app}), **more)


def near(*terms: PodAffinityTerm) -> Affinity:
    return Affinity(pod_affinity=PodAffinity(required_during_scheduling_ignored_during_execution=terms))


def apart(*terms: PodAffinityTerm) -> Affinity:
    return Affinity(pod_anti_affinity=PodAntiAffinity(required_during_scheduling_ignored_during_execution=terms))


def preferably(term: PodAffinityTerm, *, near: bool, weight: int = 100) -> Affinity:
    soft = (WeightedPodAffinityTerm(weight=weight, pod_affinity_term=term),)
    if near:
        return Affinity(pod_affinity=PodAffinity(preferred_during_scheduling_ignored_during_execution=soft))
    return Affinity(pod_anti_affinity=PodAntiAffinity(preferred_during_scheduling_ignored_during_execution=soft))


@pytest.fixture
def zones(make: Any) -> Columns:
    """Two zones of two nodes, and one node without a zone."""
    columns = Columns()
    for name, zone in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b")):
        columns.set_node(make.node(name, zone=zone))
    columns.set_node(make.node("nowhere"))
    columns.set_namespace("default", {"team": "own"})
    columns.set_namespace("other", {"team": "others"})
    return columns


def allowed(pod: Pod, columns: Columns) -> set[str]:
    return {node for node, reasons in verdicts(PodToPlace.of(pod), columns, PLUGINS).items() if not reasons}


def in_namespace(pod: Pod, namespace: str) -> Pod:
    return replace(pod, metadata=replace(pod.metadata, namespace=namespace))


def test_affinity_wants_the_zone_of_those_it_names(make: Any, zones: Columns) -> None:
    zones.add_pod(make.pod("db", labels={"app": "db"}), "b1")
    assert allowed(make.pod("web", affinity=near(term("db"))), zones) == {"b1", "b2"}
    assert allowed(make.pod("web", affinity=near(term("db", "kubernetes.io/hostname"))), zones) == {"b1"}


def test_affinity_to_nobody_there_is_refused(make: Any, zones: Columns) -> None:
    verdict = place(make.pod("web", affinity=near(term("db"))), zones)
    assert isinstance(verdict, Unschedulable)
    assert verdict.message == "0/5 nodes are available: 5 node(s) didn't match pod affinity rules."


def test_the_first_that_wants_its_own_kind_may_go_anywhere_with_the_label(make: Any, zones: Columns) -> None:
    pods = [make.pod(f"p{i}", labels={"app": "a"}, affinity=near(term("a"))) for i in range(4)]
    assert allowed(pods[0], zones) == {"a1", "a2", "b1", "b2"}
    placed = [place(pod, zones, tie_break=i) for i, pod in enumerate(pods)]
    assert len({one.node[0] for one in placed if isinstance(one, Placed)}) == 1


def test_all_terms_count_for_one_neighbour(make: Any, zones: Columns) -> None:
    """One pod must match every term; two that match one each are not enough."""
    zones.add_pod(make.pod("x", labels={"app": "x"}), "a1")
    zones.add_pod(make.pod("y", labels={"app": "y"}), "a1")
    pod = make.pod("web", affinity=near(term("x"), term("y", "kubernetes.io/hostname")))
    assert allowed(pod, zones) == set()


def test_anti_affinity_keeps_away_both_ways(make: Any, zones: Columns) -> None:
    zones.add_pod(make.pod("noisy", labels={"app": "noisy"}), "a1")
    quiet = make.pod("quiet", labels={"app": "quiet"}, affinity=apart(term("noisy")))
    assert allowed(quiet, zones) == {"b1", "b2", "nowhere"}
    zones.add_pod(quiet, "b1")
    late = make.pod("late", labels={"app": "noisy"})
    assert allowed(late, zones) == {"a1", "a2", "nowhere"}
    reasons = verdicts(PodToPlace.of(late), zones, PLUGINS)["b2"]
    assert reasons == ("node(s) didn't satisfy existing pods anti-affinity rules",)
    zones.remove_pod("default", "quiet")
    assert allowed(late, zones) == set(zones.rows)


def test_an_ending_pod_still_keeps_others_away(make: Any, zones: Columns) -> None:
    import datetime

    ending = make.pod("old", labels={"app": "web"})
    stamp = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    zones.add_pod(replace(ending, metadata=replace(ending.metadata, deletion_timestamp=stamp)), "a1")
    pod = make.pod("new", labels={"app": "web"}, affinity=apart(term("web", "kubernetes.io/hostname")))
    assert "a1" not in allowed(pod, zones)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {"a1", "a2", "b1", "b2", "nowhere"}),
        ({"namespaces": ("other",)}, {"b1", "b2", "nowhere"}),
        ({"namespace_selector": LabelSelector()}, {"b1", "b2", "nowhere"}),
        ({"namespace_selector": LabelSelector(match_labels={"team": "others"})}, {"b1", "b2", "nowhere"}),
        ({"namespace_selector": LabelSelector(match_labels={"team": "own"})}, {"a1", "a2", "b1", "b2", "nowhere"}),
    ],
)
def test_terms_name_namespaces(make: Any, zones: Columns, more: dict[str, Any], expected: set[str]) -> None:
    zones.add_pod(in_namespace(make.pod("db", labels={"app": "db"}), "other"), "a1")
    assert allowed(make.pod("web", affinity=apart(term("db", **more))), zones) == expected


def test_a_namespaces_new_labels_count(make: Any, zones: Columns) -> None:
    zones.add_pod(in_namespace(make.pod("db", labels={"app": "db"}), "other"), "a1")
    wanted = term("db", namespace_selector=LabelSelector(match_labels={"team": "new"}))
    pod = make.pod("web", affinity=near(wanted))
    assert allowed(pod, zones) == set()
    assert zones.set_namespace("other", {"team": "new"})
    assert allowed(pod, zones) == {"a1", "a2"}


def test_label_keys_tell_revisions_apart(make: Any, zones: Columns) -> None:
    zones.add_pod(make.pod("old", labels={"app": "web", "rev": "1"}), "a1")
    same = term("web", match_label_keys=("rev",))
    new = make.pod("new", labels={"app": "web", "rev": "2"}, affinity=apart(same))
    assert allowed(new, zones) == set(zones.rows)
    others = term("web", mismatch_label_keys=("rev",))
    assert allowed(replace(new, spec=replace(new.spec, affinity=apart(others))), zones) == {"b1", "b2", "nowhere"}


def test_preferences_move_pods_but_refuse_nobody(make: Any, zones: Columns) -> None:
    zones.add_pod(make.pod("db", labels={"app": "db"}), "b1")
    close = place(make.pod("close", affinity=preferably(term("db"), near=True)), zones)
    assert isinstance(close, Placed) and close.node in ("b1", "b2")
    far = place(make.pod("far", affinity=preferably(term("db"), near=False)), zones)
    assert isinstance(far, Placed) and far.node not in ("b1", "b2")


def test_what_placed_pods_prefer_counts(make: Any, zones: Columns) -> None:
    zones.add_pod(make.pod("shy", affinity=preferably(term("web"), near=False)), "a1")
    zones.add_pod(make.pod("fond", affinity=preferably(term("web"), near=True)), "b1")
    verdict = place(make.pod("web", labels={"app": "web"}), zones)
    assert isinstance(verdict, Placed) and verdict.node in ("b1", "b2")


def test_expressions_are_selectors(make: Any, zones: Columns) -> None:
    zones.add_pod(make.pod("db", labels={"app": "db"}), "a1")
    selector = LabelSelector(match_expressions=(LabelSelectorRequirement(key="app", operator="Exists"),))
    wanted = PodAffinityTerm(topology_key="zone", label_selector=selector)
    assert allowed(make.pod("web", affinity=apart(wanted)), zones) == {"b1", "b2", "nowhere"}


# Ports


def with_ports(pod: Pod, *ports: ContainerPort) -> Pod:
    container = replace(pod.spec.containers[0], ports=ports)
    return replace(pod, spec=replace(pod.spec, containers=(container,)))


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (ContainerPort(host_port=80), ContainerPort(host_port=80), False),
        (ContainerPort(host_port=80), ContainerPort(host_port=81), True),
        (ContainerPort(host_port=80), ContainerPort(host_port=80, protocol="UDP"), True),
        (ContainerPort(host_port=80, host_ip="10.0.0.1"), ContainerPort(host_port=80, host_ip="10.0.0.2"), True),
        (ContainerPort(host_port=80, host_ip="10.0.0.1"), ContainerPort(host_port=80), False),
        (ContainerPort(host_port=80, host_ip="0.0.0.0"), ContainerPort(host_port=80, host_ip="::1"), False),
        (ContainerPort(container_port=80), ContainerPort(container_port=80), True),
    ],
)
def test_a_port_of_the_node_is_given_once(
    make: Any, first: ContainerPort, second: ContainerPort, together: bool
) -> None:
    columns = Columns()
    columns.set_node(make.node("n1"))
    assert isinstance(place(with_ports(make.pod("a"), first), columns), Placed)
    verdict = place(with_ports(make.pod("b"), second), columns)
    assert isinstance(verdict, Placed) is together
    if isinstance(verdict, Unschedulable):
        assert "node(s) didn't have free ports for the requested pod ports" in verdict.message
        columns.remove_pod("default", "a")
        assert isinstance(place(with_ports(make.pod("b"), second), columns), Placed)


# Images


def test_a_node_that_has_the_image_is_preferred(make: Any) -> None:
    columns = Columns()
    for name in ("n1", "n2", "n3"):
        node = make.node(name)
        images = (ContainerImage(names=("x:latest",), size_bytes=700 << 20),) if name == "n2" else ()
        columns.set_node(replace(node, status=replace(node.status, images=images)))
    verdict = place(make.pod("a"), columns)
    assert isinstance(verdict, Placed) and verdict.node == "n2"
    columns.remove_node("n2")
    assert columns.images == {}


# What is kept up to date equals what is counted anew


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "remove", "node", "lose"]), st.integers(0, 7), st.integers(0, 20)),
        max_size=40,
    )
)
def test_columns_are_the_same_as_made_anew(make: Any, steps: list[tuple[str, int, int]]) -> None:
    apps = ("x", "y", "z")
    wishes = (None, near(term("x")), apart(term("y")), preferably(term("z"), near=True, weight=7))
    probe = make.pod("probe", labels={"app": "y"}, affinity=apart(term("x", "kubernetes.io/hostname")))
    lasting = Columns()
    nodes: dict[str, Any] = {}
    pods: dict[str, tuple[Pod, str]] = {}
    for what, a, b in steps:
        name = f"p{b}"
        if what == "add":
            pod = make.pod(name, cpu="100m", labels={"app": apps[b % 3]}, affinity=wishes[a % 4], priority=b % 2)
            pods[name] = (pod, f"n{a}")
            lasting.add_pod(pod, f"n{a}")
        elif what == "remove":
            lasting.remove_pod("default", name)
            pods.pop(name, None)
        elif what == "node":
            nodes[f"n{a}"] = make.node(f"n{a}", zone="ab"[b % 2])
            lasting.set_node(nodes[f"n{a}"])
        else:
            lasting.remove_node(f"n{a}")
            nodes.pop(f"n{a}", None)
        verdicts(PodToPlace.of(probe), lasting, PLUGINS)  # so that counts are there to be kept up to date
    anew = Columns()
    for node in nodes.values():
        anew.set_node(node)
    for pod, node in pods.values():
        anew.add_pod(pod, node)
    assert verdicts(PodToPlace.of(probe), lasting, PLUGINS) == verdicts(PodToPlace.of(probe), anew, PLUGINS)
    for columns in (lasting, anew):
        held, _ = columns.below(1)
        low = {pod.metadata.name for pod, node in pods.values() if not pod.spec.priority and node in nodes}
        assert int(held[:, columns.resources["pods"]].sum()) == len(low)
    assert {(t, int(c.sum())) for t, c in lasting.apart.items()} == {(t, int(c.sum())) for t, c in anew.apart.items()}
    assert {(t, int(c.sum())) for t, c in lasting.soft.items()} == {(t, int(c.sum())) for t, c in anew.soft.items()}
    assert {(t, int(c.sum())) for t, c in lasting.near.items()} == {(t, int(c.sum())) for t, c in anew.near.items()}
