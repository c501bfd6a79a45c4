"""Profiles: which plugins decide for pods that name a scheduler."""

from __future__ import annotations

from typing import Any

import pytest

from knarr_api.errors import Invalid
from knarr_api.types.core_v1 import Taint
from knarr_controlplane.scheduler.columns import Columns
from knarr_controlplane.scheduler.framework import Placed, PodToPlace, decide
from knarr_controlplane.scheduler.profile import default_profiles, load_plugins, read


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
    ],
)
def test_what_can_not_be_done_is_refused_with_its_place(document: Any, path: str) -> None:
    with pytest.raises(Invalid, match=path):
        read(document)
