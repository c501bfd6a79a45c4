"""What the simulation answers; the decisions themselves are the scheduler's and tested there."""

from __future__ import annotations

from typing import Any

import pytest

from knarr_api.errors import Forbidden, Invalid
from knarr_controlplane.simulate.__main__ import answer


def node(name: str, *, cpu: str = "4", **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}},
    }


def template(cpu: str = "1", **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "x", "resources": {"requests": {"cpu": cpu}}}
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container], **spec}}


def workload(kind: str = "Deployment", name: str = "web", *, cpu: str = "1", **spec: Any) -> dict[str, Any]:
    given = {"selector": {"matchLabels": {"app": "web"}}, "template": template(cpu, **spec.pop("pod", {})), **spec}
    version = {"Job": "batch/v1", "ReplicationController": "v1"}.get(kind, "apps/v1")
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": given}


def ask(*objects: dict[str, Any], nodes: list[dict[str, Any]], **more: Any) -> list[Any]:
    return answer({"nodes": nodes, "objects": list(objects), **more})


THREE = [node("n1"), node("n2"), node("n3")]


def test_replicas_are_spread() -> None:
    (stage,) = ask(workload(replicas=6), nodes=THREE)
    assert stage.placed == {"deployment/web": {"n1": 2, "n2": 2, "n3": 2}} and not stage.refused
    assert [(use.pods, use.requested["cpu"]) for use in stage.nodes] == [(2, 2000)] * 3


def test_what_does_not_fit_is_told_with_the_schedulers_words() -> None:
    (stage,) = ask(workload(replicas=13), nodes=THREE)
    (refused,) = stage.refused
    assert (refused.workload, refused.message) == (
        "deployment/web",
        "0/3 nodes are available: 3 Insufficient cpu.",
    )


def test_scale_is_asked_without_changing_the_manifest() -> None:
    assert sum(ask(workload(replicas=1), nodes=THREE, scale={"web": 9})[0].placed["deployment/web"].values()) == 9
    with pytest.raises(Invalid, match="no such object"):
        ask(workload(), nodes=THREE, scale={"other": 1})


def test_a_lost_nodes_pods_move_where_there_is_room() -> None:
    first, second = ask(workload(replicas=8), nodes=THREE, kill=["n2"])
    assert second.moved == first.placed["deployment/web"]["n2"]
    assert set(second.placed["deployment/web"]) == {"n1", "n3"} and not second.refused
    _, _, third = ask(workload(replicas=8), nodes=THREE, kill=["n2", "n1"])
    assert len(third.refused) == 4, "eight cores are wanted, four are left"
    with pytest.raises(Invalid, match="no such node"):
        ask(workload(), nodes=THREE, kill=["n9"])


def test_who_is_made_anew_and_who_is_not() -> None:
    bare = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, **template()}
    bare["metadata"] = {"name": "bare"}
    agents = workload("DaemonSet", "agent", cpu="100m")
    job = workload("Job", "once", cpu="100m", parallelism=2, completions=5)
    first, second = ask(bare, agents, job, nodes=[node("n1")], kill=["n1"])
    assert first.placed == {"pod/bare": {"n1": 1}, "daemonset/agent": {"n1": 1}, "job/once": {"n1": 2}}
    assert second.lost == ("default/bare",)
    assert [refused.workload for refused in second.refused] == ["job/once", "job/once"]


def test_daemons_go_to_every_node_that_will_have_them() -> None:
    tainted = node("n4")
    tainted["spec"] = {"taints": [{"key": "dedicated", "effect": "NoSchedule"}]}
    chosen = workload("DaemonSet", "agent", pod={"nodeSelector": {"disk": "ssd"}})
    (stage,) = ask(workload("DaemonSet", "all"), chosen, nodes=[*THREE, tainted, node("n5", disk="ssd")])
    assert set(stage.placed["daemonset/all"]) == {"n1", "n2", "n3", "n5"}
    assert stage.placed["daemonset/agent"] == {"n5": 1}


def test_running_pods_count() -> None:
    busy = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "busy", "namespace": "default"}, **template("4")}
    busy["metadata"] = {"name": "busy", "namespace": "default"}
    busy["spec"]["nodeName"] = "n1"
    (stage,) = ask(workload(replicas=4), nodes=THREE, pods=[busy])
    assert set(stage.placed["deployment/web"]) == {"n2", "n3"}


def test_priorities_preempt() -> None:
    important = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "high"},
        "value": 9,
    }
    low = workload("Deployment", "low", replicas=4)
    high = workload("Deployment", "high", replicas=1, pod={"priorityClassName": "high"})
    running, *_ = ask(low, nodes=[node("n1")])
    assert running.placed["deployment/low"] == {"n1": 4}
    (stage,) = ask(important, low, high, nodes=[node("n1")])
    assert stage.placed == {"deployment/low": {"n1": 3}, "deployment/high": {"n1": 1}}
    with pytest.raises(Forbidden, match="no PriorityClass"):
        ask(high, nodes=[node("n1")])
