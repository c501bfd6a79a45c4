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
    with pytest.raises(Invalid, match="no such node: there are n"):
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


def running(name: str, on: str, owner: tuple[str, str] | None = None, cpu: str = "1") -> dict[str, Any]:
    pod = {"apiVersion": "v1", "kind": "Pod", **template(cpu, nodeName=on), "status": {"phase": "Running"}}
    metadata = {"name": name, "namespace": "default", "labels": {"app": "web"}}
    if owner is not None:
        kind, its = owner
        reference = {"apiVersion": "apps/v1", "kind": kind, "name": its, "uid": f"uid-{its}", "controller": True}
        metadata = {**metadata, "ownerReferences": [reference]}
    return {**pod, "metadata": metadata}


REPLICASET = {
    "apiVersion": "apps/v1",
    "kind": "ReplicaSet",
    "metadata": {
        "name": "web-1",
        "namespace": "default",
        "uid": "uid-web-1",
        "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": True}
        ],
    },
}


def test_pods_of_a_manifest_that_run_already_are_not_counted_twice() -> None:
    pods = [running("web-1-a", "n1", ("ReplicaSet", "web-1")), running("web-1-b", "n1", ("ReplicaSet", "web-1"))]
    (stage,) = ask(workload(replicas=3), nodes=THREE, pods=pods, there=[REPLICASET])
    assert stage.placed["deployment/web"]["n1"] == 2 and sum(stage.placed["deployment/web"].values()) == 3
    assert stage.running == 2
    (stage,) = ask(workload(replicas=1), nodes=THREE, pods=pods, there=[REPLICASET])
    assert stage.placed["deployment/web"] == {"n1": 1}


def test_others_pods_are_made_anew_by_their_controllers() -> None:
    pods = [
        running("web-1-a", "n1", ("ReplicaSet", "web-1")),
        running("daemon-a", "n1", ("DaemonSet", "daemon")),
        running("bare", "n1"),
    ]
    _, stage = ask(nodes=THREE, pods=pods, there=[REPLICASET], kill=["n1"])
    assert (stage.moved, stage.lost, stage.refused) == (1, ("default/bare",), ())
    assert stage.down == ("deployment/web",), "all of its pods were there"


HIGH = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 9}


def test_preempted_pods_that_run_do_not_stay_where_they_were() -> None:
    pods = [running("web-1-a", "n1", ("ReplicaSet", "web-1"), cpu="4"), running("bare", "n2", cpu="4")]
    important = workload("Deployment", "high", replicas=2, cpu="4", pod={"priorityClassName": "high"})
    (stage,) = ask(HIGH, important, nodes=[node("n1"), node("n2")], pods=pods, there=[REPLICASET])
    assert stage.placed == {"deployment/high": {"n1": 1, "n2": 1}}
    assert [use.requested["cpu"] for use in stage.nodes] == [4000, 4000]
    assert [refused.pod for refused in stage.refused] == ["default/web-1-a"]
    assert (set(stage.preempted), stage.lost) == ({"default/web-1-a", "default/bare"}, ("default/bare",))


def test_a_daemon_for_which_there_was_no_room_goes_with_its_node() -> None:
    agents = workload("DaemonSet", "agent", cpu="2")
    first, second = ask(agents, nodes=[node("n1", cpu="1"), node("n2")], kill=["n1"])
    assert [refused.workload for refused in first.refused] == ["daemonset/agent"]
    assert second.refused == () and second.placed == {"daemonset/agent": {"n2": 1}}


def test_every_kind_of_workload_and_what_needs_no_scheduler() -> None:
    nightly = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"parallelism": 2, "template": template()}}},
    }
    asleep = workload("Job", "asleep", suspend=True)
    pinned = {"apiVersion": "v1", "kind": "Pod", **template("9", nodeName="n3"), "metadata": {"name": "pinned"}}
    nowhere = {"apiVersion": "v1", "kind": "Pod", **template(nodeName="n9"), "metadata": {"name": "nowhere"}}
    gates = [{"name": "example.com/wait"}]
    gated = {"apiVersion": "v1", "kind": "Pod", **template(schedulingGates=gates), "metadata": {"name": "gated"}}
    (stage,) = ask(nightly, asleep, pinned, nowhere, gated, nodes=THREE)
    assert sum(stage.placed["cronjob/nightly"].values()) == 2 and stage.placed["job/asleep"] == {}
    assert stage.placed["pod/pinned"] == {"n3": 1}
    assert {refused.workload: refused.message for refused in stage.refused} == {
        "pod/nowhere": 'node "n9" not found: spec.nodeName names it',
        "pod/gated": "Scheduling is blocked due to non-empty scheduling gates",
    }


def test_scale_may_name_the_kind_and_needs_replicas() -> None:
    both = (workload("Deployment", "web"), workload("StatefulSet", "web"))
    (stage,) = ask(*both, nodes=THREE, scale={"Deployment/web": 4})
    assert {name: sum(nodes.values()) for name, nodes in stage.placed.items()} == {
        "deployment/web": 4,
        "statefulset/web": 1,
    }
    with pytest.raises(Invalid, match="a DaemonSet has no number of replicas"):
        ask(workload("DaemonSet", "agent"), nodes=THREE, scale={"agent": 3})


def test_the_clusters_classes_and_budgets_count() -> None:
    high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 9}
    (stage,) = ask(workload(pod={"priorityClassName": "high"}), nodes=THREE, there=[high])
    assert not stage.refused
