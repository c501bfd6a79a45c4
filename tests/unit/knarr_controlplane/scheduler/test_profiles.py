"""Profiles: which plugins decide for pods that name a scheduler."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from knarr_api.errors import Invalid
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import (
    Affinity,
    PodAffinity,
    PodAffinityTerm,
    ResourceRequirements,
    Taint,
    WeightedPodAffinityTerm,
)
from knarr_api.types.meta_v1 import LabelSelector, OwnerReference
from knarr_controlplane.scheduler.columns import Columns
from knarr_controlplane.scheduler.framework import Placed, PodToPlace, Unschedulable, decide
from knarr_controlplane.scheduler.profile import default_profiles, load_plugins, read

replace = msgspec.structs.replace


def config(*profiles: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": list(profiles),
    }


def weights(document: dict[str, Any], name: str) -> dict[str, float]:
    return {plugin.name: plugin.weight for plugin in read(document)[name]}


def test_without_a_word_everything_is_as_by_default() -> None:
    assert list(default_profiles()) == ["default-scheduler"]
    (name,) = read(config({}))
    assert name == "default-scheduler"
    assert weights(config({}), name) == {plugin.name: plugin.weight for plugin in load_plugins()}


def test_plugins_are_left_out_and_weighed() -> None:
    plugins = {
        "score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit", "weight": 5}]},
        "multiPoint": {"disabled": [{"name": "PodTopologySpread"}]},
    }
    found = weights(config({"schedulerName": "packing", "plugins": plugins}), "packing")
    assert found["NodeResourcesFit"] == 5 and found["TaintToleration"] == 0 and "PodTopologySpread" not in found
    assert "ImageLocality" in found, "it may filter still, though it has nothing to refuse"


def test_a_filter_that_is_left_out_refuses_nobody(make: Any) -> None:
    columns = Columns()
    columns.set_node(make.node("n1", taints=(Taint(key="dedicated", effect="NoSchedule"),)))
    plugins = {"filter": {"disabled": [{"name": "TaintToleration"}]}}
    (blind,) = read(config({"plugins": plugins})).values()
    pod = PodToPlace.of(make.pod("p"))
    assert isinstance(decide(pod, columns, blind, tie_break=0), Placed)
    assert not isinstance(decide(pod, columns, load_plugins(), tie_break=0), Placed)


def test_most_allocated_fills_one_node_after_the_other(make: Any) -> None:
    strategy = {"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "MostAllocated"}}}
    plugins = {
        "score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit"}]},
    }
    (packing,) = read(config({"plugins": plugins, "pluginConfig": [strategy]})).values()
    columns = Columns()
    for name in ("n1", "n2", "n3"):
        columns.set_node(make.node(name, cpu="4"))
    used = []
    for number in range(5):
        pod = make.pod(f"p{number}", cpu="1")
        verdict = decide(PodToPlace.of(pod), columns, packing, tie_break=number)
        assert isinstance(verdict, Placed)
        columns.add_pod(pod, verdict.node)
        used.append(verdict.node)
    assert len(set(used[:4])) == 1 and used[4] != used[0]


def placing(make: Any, name: str, args: dict[str, Any], *nodes: Any) -> tuple[Columns, Any]:
    """Columns, and a profile in which only that plugin, with arguments, prefers nodes."""
    plugins = {"score": {"disabled": [{"name": "*"}], "enabled": [{"name": name}]}}
    (chosen,) = read(config({"plugins": plugins, "pluginConfig": [{"name": name, "args": args}]})).values()
    columns = Columns()
    for node in nodes:
        columns.set_node(node)
    return columns, chosen


def owned(pod: Any) -> Any:
    owner = OwnerReference(api_version="apps/v1", kind="ReplicaSet", name="r", uid="r", controller=True)
    return replace(pod, metadata=replace(pod.metadata, owner_references=(owner,)))


def test_resources_have_weights(make: Any) -> None:
    nodes = make.node("cpu", cpu="8", memory="4Gi"), make.node("memory", cpu="4", memory="8Gi")
    pod = make.pod("p", cpu="2", memory="2Gi")
    for heavy in ("cpu", "memory"):
        resources = [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]
        next(each for each in resources if each["name"] == heavy)["weight"] = 9
        args = {"scoringStrategy": {"type": "LeastAllocated", "resources": resources}}
        columns, chosen = placing(make, "NodeResourcesFit", args, *nodes)
        verdict = decide(PodToPlace.of(pod), columns, chosen, tie_break=0)
        assert isinstance(verdict, Placed) and verdict.node == heavy


def test_a_shape_says_what_a_share_is_worth(make: Any) -> None:
    shape = [{"utilization": 0, "score": 0}, {"utilization": 50, "score": 10}, {"utilization": 100, "score": 0}]
    ratio = {"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": shape}}
    args = {"scoringStrategy": {**ratio, "resources": [{"name": "cpu"}]}}
    columns, chosen = placing(make, "NodeResourcesFit", args, *(make.node(f"n{each}", cpu="10") for each in range(3)))
    for node, cpu in (("n1", "4"), ("n2", "8")):
        columns.add_pod(make.pod(f"on-{node}", cpu=cpu), node)
    verdict = decide(PodToPlace.of(make.pod("p", cpu="1")), columns, chosen, tie_break=0)
    assert isinstance(verdict, Placed) and (verdict.node, round(verdict.score)) == ("n1", 100)


def test_ignored_resources_need_not_be_there(make: Any) -> None:
    columns, chosen = placing(
        make, "NodeResourcesFit", {"ignoredResourceGroups": ["example.com"]}, make.node("n1"), make.node("n2")
    )
    pod = make.pod("p")
    requests = {"example.com/gpu": Quantity("1")}
    (container,) = pod.spec.containers
    container = replace(container, resources=ResourceRequirements(requests=requests, limits=requests))
    wanting = PodToPlace.of(replace(pod, spec=replace(pod.spec, containers=(container,))))
    assert isinstance(decide(wanting, columns, chosen, tie_break=0), Placed)
    assert not isinstance(decide(wanting, columns, load_plugins(), tie_break=0), Placed)


def test_default_constraints_hold_for_pods_of_an_owner(make: Any) -> None:
    constraint = {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
    args = {"defaultingType": "List", "defaultConstraints": [constraint]}
    nodes = make.node("n1", rack="a"), make.node("n2", rack="a"), make.node("n3", rack="b", cpu="1")
    columns, chosen = placing(make, "PodTopologySpread", args, *nodes)
    racks = []
    for number in range(2):
        pod = owned(make.pod(f"p{number}", cpu="1"))
        verdict = decide(PodToPlace.of(pod), columns, chosen, tie_break=number)
        assert isinstance(verdict, Placed)
        columns.add_pod(pod, verdict.node)
        racks.append("b" if verdict.node == "n3" else "a")
    assert sorted(racks) == ["a", "b"]
    third = owned(make.pod("p2", cpu="1"))
    columns.add_pod(owned(make.pod("more", cpu="1")), "n1")
    refused = decide(PodToPlace.of(third), columns, chosen, tie_break=0)
    assert isinstance(refused, Unschedulable) and "didn't match pod topology spread constraints" in refused.message
    assert isinstance(decide(PodToPlace.of(make.pod("p3", cpu="1")), columns, chosen, tie_break=0), Placed)


def test_added_affinity_holds_for_all(make: Any) -> None:
    expression = {"key": "pool", "operator": "In", "values": ["ours"]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    args = {"addedAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    nodes = make.node("n1", pool="theirs"), make.node("n2", pool="ours", disk="ssd")
    columns, chosen = placing(make, "NodeAffinity", args, *nodes)
    verdict = decide(PodToPlace.of(make.pod("p")), columns, chosen, tie_break=0)
    assert isinstance(verdict, Placed) and verdict.node == "n2"
    refused = decide(PodToPlace.of(make.pod("p", node_selector={"disk": "no"})), columns, chosen, tie_break=0)
    assert isinstance(refused, Unschedulable)
    assert dict(refused.reasons) == {
        "node(s) didn't match scheduler-enforced node affinity": 1,
        "node(s) didn't match Pod's node affinity/selector": 1,
    }


def near_front() -> PodAffinityTerm:
    return PodAffinityTerm(topology_key="zone", label_selector=LabelSelector(match_labels={"app": "front"}))


def wishing(make: Any, name: str, affinity: PodAffinity) -> Any:
    pod = make.pod(name)
    return replace(pod, spec=replace(pod.spec, affinity=Affinity(pod_affinity=affinity)))


def test_what_placed_pods_want_near_counts_as_said(make: Any) -> None:
    """One pod in zone a must be near the front, one in zone b had better be."""
    nodes = make.node("n1", zone="a"), make.node("n2", zone="b")
    must = PodAffinity(required_during_scheduling_ignored_during_execution=(near_front(),))
    had_better = PodAffinity(
        preferred_during_scheduling_ignored_during_execution=(
            WeightedPodAffinityTerm(weight=50, pod_affinity_term=near_front()),
        )
    )
    front = make.pod("front", labels={"app": "front"})

    def place(pod: Any = front, **args: Any) -> tuple[str, float]:
        columns, chosen = placing(make, "InterPodAffinity", args, *nodes)
        columns.add_pod(wishing(make, "must", must), "n1")
        columns.add_pod(wishing(make, "had-better", had_better), "n2")
        verdict = decide(PodToPlace.of(pod), columns, chosen, tie_break=0)
        assert isinstance(verdict, Placed)
        return verdict.node, verdict.score

    assert place()[0] == "n2", "a must counts 1 by default"
    assert place(hardPodAffinityWeight=51)[0] == "n1"
    assert place(hardPodAffinityWeight=0)[0] == "n2"
    assert place(hardPodAffinityWeight=51, ignorePreferredTermsOfExistingPods=True)[1] == 0
    itself = replace(front, spec=wishing(make, "front", had_better).spec)
    assert place(itself, hardPodAffinityWeight=51, ignorePreferredTermsOfExistingPods=True)[0] == "n1"


def test_several_resources_are_balanced(make: Any) -> None:
    args = {"resources": [{"name": "cpu"}, {"name": "memory"}, {"name": "pods"}]}
    nodes = make.node("even", cpu="4", memory="4Gi", pods="4"), make.node("odd", cpu="40", memory="4Gi", pods="4")
    columns, chosen = placing(make, "NodeResourcesBalancedAllocation", args, *nodes)
    verdict = decide(PodToPlace.of(make.pod("p", cpu="1", memory="1Gi")), columns, chosen, tie_break=1)
    assert isinstance(verdict, Placed) and (verdict.node, round(verdict.score)) == ("even", 100)


def fit(**strategy: Any) -> dict[str, Any]:
    return config({"pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": strategy}}]})


def spread(**args: Any) -> dict[str, Any]:
    return config({"pluginConfig": [{"name": "PodTopologySpread", "args": args}]})


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], "document: expected object"),
        ({"apiVersion": "v1", "kind": "Pod"}, "apiVersion, kind"),
        ({**config(), "leaderElection": {}}, "leaderElection: not supported"),
        (config({"schedulerName": "a"}, {"schedulerName": "a"}), r"profiles\[1\].schedulerName: Duplicate value"),
        (config({"plugins": {"bind": {}}}), r"profiles\[0\].plugins.bind: not supported"),
        (config({"plugins": {"score": {"enabled": [{"name": "X"}]}}}), r"score.enabled\[0\].name: Unsupported value"),
        (
            config({"plugins": {"score": {"enabled": [{"name": "NodeAffinity", "weight": 1000}]}}}),
            r"score.enabled\[0\].weight: Invalid value",
        ),
        (config({"pluginConfig": [{"name": "X"}]}), r"pluginConfig\[0\].name: Unsupported value"),
        (
            config({"pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "X"}}}]}),
            r"scoringStrategy.type: Unsupported value",
        ),
        (fit(type="RequestedToCapacityRatio"), "requestedToCapacityRatio: Required value"),
        (fit(requestedToCapacityRatio={}), "requestedToCapacityRatio: not with LeastAllocated"),
        (
            fit(type="RequestedToCapacityRatio", requestedToCapacityRatio={"shape": [{"score": 11}]}),
            r"shape\[0\].score: Invalid value: 11",
        ),
        (
            fit(
                type="RequestedToCapacityRatio", requestedToCapacityRatio={"shape": [{"utilization": 9}, {"score": 1}]}
            ),
            "shape: utilization values must be sorted",
        ),
        (fit(resources=[{"name": "cpu", "weight": 101}]), r"resources\[0\].weight: Invalid value"),
        (fit(resources=[{"name": "cpu"}, {"name": "cpu"}]), r"resources\[1\].name: Duplicate value"),
        (spread(defaultConstraints=[{}]), 'not with defaultingType "System"'),
        (spread(defaultingType="List", defaultConstraints=[{}]), r"defaultConstraints\[0\].whenUnsatisfiable"),
        (
            spread(defaultingType="List", defaultConstraints=[{"whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 0}]),
            r"maxSkew: Invalid value",
        ),
        (
            config({"pluginConfig": [{"name": "NodeAffinity", "args": {"addedAffinity": {"x": 1}}}]}),
            r"args.addedAffinity.x: unknown field",
        ),
        (
            config({"pluginConfig": [{"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 101}}]}),
            r"args.hardPodAffinityWeight: Invalid value: 101",
        ),
        (
            config({"pluginConfig": [{"name": "InterPodAffinity", "args": {"ignorePreferredTermsOfExistingPods": 1}}]}),
            "ignorePreferredTermsOfExistingPods: expected boolean",
        ),
        (config({"pluginConfig": [{"name": "NodeAffinity"}, {"name": "NodeAffinity"}]}), "Duplicate value"),
    ],
)
def test_what_can_not_be_done_is_refused_with_its_place(document: Any, path: str) -> None:
    with pytest.raises(Invalid, match=path):
        read(document)
