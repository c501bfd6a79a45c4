"""The scheduler and the plain one of ``oracle.py`` agree: node by node, message by message, score by score."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import (
    Affinity,
    Container,
    ContainerPort,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    NodeSpec,
    NodeStatus,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    PodSpec,
    ResourceRequirements,
    Taint,
    Toleration,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from knarr_api.types.meta_v1 import LabelSelector, LabelSelectorRequirement, ObjectMeta
from knarr_controlplane.scheduler.columns import Columns
from knarr_controlplane.scheduler.framework import Placed, PodToPlace, Unschedulable, decide, verdicts
from knarr_controlplane.scheduler.profile import load_plugins
from tests.unit.knarr_controlplane.scheduler import oracle

PLUGINS = {plugin.name: plugin for plugin in load_plugins()}
KEYS = ("kubernetes.io/hostname", "topology.kubernetes.io/zone", "rack")
NAMESPACES = {"default": {"team": "a"}, "other": {"team": "b"}, "third": {}}


def tuples(of: st.SearchStrategy[Any], most: int, least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, min_size=least, max_size=most).map(tuple)


labels = st.fixed_dictionaries({}, optional={"app": st.sampled_from("xy"), "rev": st.sampled_from("12")})
selectors = st.one_of(
    st.none(),
    st.builds(LabelSelector, match_labels=labels),
    st.sampled_from(["Exists", "DoesNotExist"]).map(
        lambda operator: LabelSelector(match_expressions=(LabelSelectorRequirement(key="app", operator=operator),))
    ),
    st.sampled_from(["In", "NotIn"]).map(
        lambda operator: LabelSelector(
            match_expressions=(LabelSelectorRequirement(key="app", operator=operator, values=("x",)),)
        )
    ),
)
keys_of_pods = tuples(st.sampled_from(["app", "rev"]), 1)
pod_terms = st.builds(
    PodAffinityTerm,
    topology_key=st.sampled_from(KEYS),
    label_selector=selectors,
    namespaces=tuples(st.sampled_from(sorted(NAMESPACES)), 2),
    namespace_selector=st.one_of(
        st.none(), st.just(LabelSelector()), st.just(LabelSelector(match_labels={"team": "b"}))
    ),
    match_label_keys=keys_of_pods,
    mismatch_label_keys=keys_of_pods,
)
weighted = st.builds(WeightedPodAffinityTerm, weight=st.integers(1, 100), pod_affinity_term=pod_terms)
node_requirements = st.one_of(
    st.builds(
        NodeSelectorRequirement,
        key=st.sampled_from(KEYS),
        operator=st.sampled_from(["In", "NotIn"]),
        values=tuples(st.sampled_from(["1", "2", "n0"]), 2, 1),
    ),
    st.builds(NodeSelectorRequirement, key=st.sampled_from(KEYS), operator=st.sampled_from(["Exists", "DoesNotExist"])),
    st.builds(
        NodeSelectorRequirement, key=st.just("rack"), operator=st.sampled_from(["Gt", "Lt"]), values=st.just(("1",))
    ),
)
node_terms = st.builds(NodeSelectorTerm, match_expressions=tuples(node_requirements, 2))
required = st.one_of(st.none(), st.builds(NodeSelector, node_selector_terms=tuples(node_terms, 2, 1)))
affinities = st.builds(
    Affinity,
    node_affinity=st.one_of(
        st.none(), st.builds(NodeAffinity, required_during_scheduling_ignored_during_execution=required)
    ),
    pod_affinity=st.one_of(
        st.none(),
        st.builds(
            PodAffinity,
            required_during_scheduling_ignored_during_execution=tuples(pod_terms, 2),
            preferred_during_scheduling_ignored_during_execution=tuples(weighted, 2),
        ),
    ),
    pod_anti_affinity=st.one_of(
        st.none(),
        st.builds(
            PodAntiAffinity,
            required_during_scheduling_ignored_during_execution=tuples(pod_terms, 2),
            preferred_during_scheduling_ignored_during_execution=tuples(weighted, 2),
        ),
    ),
)
constraints = st.builds(
    TopologySpreadConstraint,
    topology_key=st.sampled_from(KEYS),
    max_skew=st.integers(1, 2),
    when_unsatisfiable=st.sampled_from(["DoNotSchedule", "ScheduleAnyway"]),
    label_selector=selectors,
    min_domains=st.sampled_from([None, None, 1, 3]),
    node_affinity_policy=st.sampled_from(["", "Honor", "Ignore"]),
    node_taints_policy=st.sampled_from(["", "Honor", "Ignore"]),
    match_label_keys=keys_of_pods,
)
taints = st.builds(
    Taint,
    key=st.sampled_from(["old", "db"]),
    value=st.sampled_from(["", "1"]),
    effect=st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"]),
)
tolerations = st.one_of(
    st.builds(Toleration, key=st.sampled_from(["", "old", "db"]), operator=st.just("Exists")),
    st.builds(
        Toleration,
        key=st.sampled_from(["old", "db"]),
        operator=st.sampled_from(["", "Equal"]),
        value=st.sampled_from(["", "1"]),
        effect=st.sampled_from(["", "NoSchedule", "NoExecute"]),
    ),
)
amounts = st.fixed_dictionaries(
    {},
    optional={
        "cpu": st.integers(0, 3).map(lambda number: Quantity(str(number))),
        "memory": st.integers(0, 3).map(lambda number: Quantity(f"{number}Gi")),
        "example.com/device": st.integers(0, 2).map(lambda number: Quantity(str(number))),
    },
)
host_ports = st.builds(
    ContainerPort,
    container_port=st.just(80),
    host_port=st.sampled_from([0, 80, 81]),
    host_ip=st.sampled_from(["", "0.0.0.0", "10.0.0.1", "10.0.0.2"]),
    protocol=st.sampled_from(["", "TCP", "UDP"]),
)
containers = st.builds(
    Container,
    name=st.just("main"),
    resources=st.builds(ResourceRequirements, requests=amounts),
    ports=tuples(host_ports, 1),
)
init_containers = st.builds(
    Container,
    name=st.just("first"),
    resources=st.builds(ResourceRequirements, requests=amounts),
    restart_policy=st.sampled_from(["", "Always"]),
)


@st.composite
def nodes(draw: Any, number: int) -> Node:
    own = draw(st.fixed_dictionaries({}, optional={key: st.sampled_from(["1", "2"]) for key in KEYS[1:]}))
    if draw(st.integers(0, 9)):
        own["kubernetes.io/hostname"] = f"n{number}"
    have = {"cpu": Quantity(draw(st.sampled_from(["1", "4", "64"]))), "memory": Quantity("64Gi")}
    have["pods"] = Quantity(draw(st.sampled_from(["1", "50"])))
    if draw(st.booleans()):
        have["example.com/device"] = Quantity("2")
    spec = NodeSpec(
        taints=draw(st.one_of(st.just(()), tuples(taints, 2))), unschedulable=draw(st.integers(0, 9)) == 0 or None
    )
    return Node(metadata=ObjectMeta(name=f"n{number}", labels=own), spec=spec, status=NodeStatus(allocatable=have))


@st.composite
def pods(draw: Any, name: str) -> Pod:
    going = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC) if draw(st.integers(0, 7)) == 0 else None
    return Pod(
        metadata=ObjectMeta(
            name=name,
            uid=name,
            namespace=draw(st.sampled_from(sorted(NAMESPACES))),
            labels=draw(labels),
            deletion_timestamp=going,
        ),
        spec=PodSpec(
            containers=draw(tuples(containers, 2, 1)),
            init_containers=draw(tuples(init_containers, 2)),
            overhead=draw(st.one_of(st.just({}), amounts)),
            node_selector=draw(st.one_of(st.just({}), st.just({}), st.just({"rack": "1"}))),
            affinity=draw(st.one_of(st.none(), affinities)),
            tolerations=draw(tuples(tolerations, 2)),
            topology_spread_constraints=draw(tuples(constraints, 3)),
        ),
    )


@st.composite
def clusters(draw: Any) -> oracle.Cluster:
    count = draw(st.integers(1, 6))
    cluster = oracle.Cluster(namespaces=NAMESPACES)
    cluster.nodes = [draw(nodes(number)) for number in range(count)]
    for number in range(draw(st.integers(0, 8))):
        cluster.pods.append((draw(pods(f"p{number}")), f"n{draw(st.integers(0, count))}"))
    return cluster


def columns_of(cluster: oracle.Cluster) -> Columns:
    columns = Columns()
    for name, own in cluster.namespaces.items():
        columns.set_namespace(name, own)
    for node in cluster.nodes:
        columns.set_node(node)
    for pod, node in cluster.pods:
        columns.add_pod(pod, node)
    return columns


@settings(max_examples=200, deadline=None)
@given(clusters(), pods("new"))
def test_both_refuse_the_same_nodes_for_the_same_reasons(cluster: oracle.Cluster, pod: Pod) -> None:
    columns = columns_of(cluster)
    told = verdicts(PodToPlace.of(pod), columns, tuple(PLUGINS.values()))
    expected = {node.metadata.name: oracle.reasons(pod, node, cluster) for node in cluster.nodes}
    for name, reasons in expected.items():
        assert set(reasons) <= set(told[name]) and bool(reasons) == bool(told[name])
    verdict = decide(PodToPlace.of(pod), columns, tuple(PLUGINS.values()), tie_break=0)
    if isinstance(verdict, Placed):
        assert expected[verdict.node] == ()
    else:
        assert all(expected.values()) and verdict.message == oracle.message(pod, cluster)


@settings(max_examples=150, deadline=None)
@given(clusters(), pods("new"), st.randoms(use_true_random=False))
def test_both_score_the_same(cluster: oracle.Cluster, pod: Pod, random: Any) -> None:
    columns = columns_of(cluster)
    feasible = [node for node in cluster.nodes if random.random() < 0.7] or cluster.nodes
    mask = columns.present & False
    for node in feasible:
        mask[columns.rows[node.metadata.name]] = True
    both = (
        ("InterPodAffinity", oracle.affinity_scores(pod, feasible, cluster)),
        ("PodTopologySpread", oracle.spread_scores(pod, feasible, cluster)),
    )
    for plugin, expected in both:
        scores = PLUGINS[plugin].score(PodToPlace.of(pod), columns, mask)
        if scores is None:
            assert expected is None or len(set(expected.values())) == 1
            continue
        assert expected is not None
        for node in feasible:
            name = node.metadata.name
            assert abs(float(scores[columns.rows[name]]) - expected[name]) < 1e-6


@settings(max_examples=60, deadline=None)
@given(clusters(), pods("new"))
def test_pinned_pods_are_refused_by_the_others_first(cluster: oracle.Cluster, pod: Pod) -> None:
    here = NodeSelectorTerm(match_fields=(NodeSelectorRequirement(key="metadata.name", operator="In", values=("n0",)),))
    pinned = Affinity(
        node_affinity=NodeAffinity(
            required_during_scheduling_ignored_during_execution=NodeSelector(node_selector_terms=(here,))
        )
    )
    pod = msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, affinity=pinned))
    verdict = decide(PodToPlace.of(pod), columns_of(cluster), tuple(PLUGINS.values()), tie_break=0)
    reasons = oracle.reasons(pod, cluster.nodes[0], cluster)
    assert isinstance(verdict, Unschedulable) == bool(reasons)
    if isinstance(verdict, Unschedulable):
        others = len(cluster.nodes) - 1
        listed = [f"1 {reason}" for reason in reasons]
        listed += [f"{others} node(s) didn't satisfy plugin(s) [NodeAffinity]"] if others else []
        assert verdict.message == f"0/{len(cluster.nodes)} nodes are available: {', '.join(sorted(listed))}."
