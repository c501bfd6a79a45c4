"""What commands say of Jobs, CronJobs, DaemonSets and StatefulSets."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest

from knarr_api import kinds
from knarr_api.errors import Invalid
from knarr_cli import jobs, rollouts, tables
from knarr_cli.describing import describe

NOW = datetime.datetime(2026, 1, 1, 12, 0, 0, tzinfo=datetime.UTC)
DAEMON_SET = kinds.by_kind("apps/v1", "DaemonSet")
STATEFUL_SET = kinds.by_kind("apps/v1", "StatefulSet")
CONTAINERS = {"spec": {"containers": [{"name": "main", "image": "a:1"}]}}


def cell(kind: str, title: str, document: dict[str, Any]) -> str:
    column = next(column for column in tables.COLUMNS[kind] if column.title == title)
    return column.cell(document, NOW)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"completions": 3, "parallelism": 2}, "1/3"),
        ({"parallelism": 3}, "1/1 of 3"),
        ({"parallelism": 1}, "1/1"),
    ],
)
def test_completions_of_a_job(spec: dict[str, Any], text: str) -> None:
    assert cell("Job", "COMPLETIONS", {"spec": spec, "status": {"succeeded": 1}}) == text


def test_selectors_are_maps_for_the_oldest_kind() -> None:
    assert cell("ReplicationController", "SELECTOR", {"spec": {"selector": {"app": "a"}}}) == "app=a"
    assert cell("ReplicaSet", "SELECTOR", {"spec": {"selector": {"matchLabels": {"app": "a"}}}}) == "app=a"


def test_whose_a_revision_is() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "controller": True}
    assert (
        cell("ControllerRevision", "CONTROLLER", {"metadata": {"ownerReferences": [owner]}}) == "daemonset.apps/agent"
    )


def daemons(**status: int) -> dict[str, Any]:
    return {"metadata": {"name": "agent", "generation": 2}, "spec": {}, "status": {"observedGeneration": 2, **status}}


@pytest.mark.parametrize(
    ("item", "done", "text"),
    [
        (daemons(observedGeneration=1), False, "Waiting for daemon set spec update to be observed..."),
        (
            daemons(desiredNumberScheduled=3, updatedNumberScheduled=1),
            False,
            'Waiting for daemon set "agent" rollout to finish: 1 out of 3 new pods have been updated...',
        ),
        (
            daemons(desiredNumberScheduled=3, updatedNumberScheduled=3, numberAvailable=2),
            False,
            'Waiting for daemon set "agent" rollout to finish: 2 of 3 updated pods are available...',
        ),
        (
            daemons(desiredNumberScheduled=3, updatedNumberScheduled=3, numberAvailable=3),
            True,
            'daemon set "agent" successfully rolled out',
        ),
    ],
)
def test_how_far_a_daemon_set_is(item: dict[str, Any], done: bool, text: str) -> None:
    assert rollouts.state(DAEMON_SET, item) == (done, text)


def stateful(partition: int = 0, **status: Any) -> dict[str, Any]:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}
    return {
        "metadata": {"name": "db", "generation": 2},
        "spec": {"replicas": 3, "updateStrategy": strategy},
        "status": {"observedGeneration": 2, **status},
    }


@pytest.mark.parametrize(
    ("item", "done", "text"),
    [
        (stateful(observedGeneration=1), False, "Waiting for statefulset spec update to be observed..."),
        (stateful(readyReplicas=1), False, "Waiting for 2 pods to be ready..."),
        (
            stateful(2, readyReplicas=3),
            False,
            "Waiting for partitioned roll out to finish: 0 out of 1 new pods have been updated...",
        ),
        (
            stateful(2, readyReplicas=3, updatedReplicas=1),
            True,
            "partitioned roll out complete: 1 new pods have been updated...",
        ),
        (
            stateful(readyReplicas=3, updatedReplicas=1, currentRevision="a", updateRevision="b"),
            False,
            "waiting for statefulset rolling update to complete 1 pods at revision b...",
        ),
        (
            stateful(readyReplicas=3, currentReplicas=3, currentRevision="b", updateRevision="b"),
            True,
            "statefulset rolling update complete 3 pods at revision b...",
        ),
    ],
)
def test_how_far_a_stateful_set_is(item: dict[str, Any], done: bool, text: str) -> None:
    assert rollouts.state(STATEFUL_SET, item) == (done, text)


def test_on_delete_has_no_rollout_to_follow() -> None:
    item = {"metadata": {"name": "a"}, "spec": {"updateStrategy": {"type": "OnDelete"}}}
    for kind in (DAEMON_SET, STATEFUL_SET):
        with pytest.raises(Invalid, match="only available for RollingUpdate"):
            rollouts.state(kind, item)
    with pytest.raises(Invalid, match="have no rollouts"):
        rollouts.check(kinds.by_kind("v1", "Pod"))


def test_revisions_by_number() -> None:
    mine, other = [{"uid": "u", "controller": True}], [{"uid": "x", "controller": True}]
    data = {"spec": {"template": {**CONTAINERS, "$patch": "replace"}}}
    items = [
        {"kind": "ControllerRevision", "metadata": {"ownerReferences": mine}, "revision": 2, "data": data},
        {"kind": "ControllerRevision", "metadata": {"ownerReferences": other}, "revision": 7},
    ]
    found = rollouts.revisions(DAEMON_SET, "u", items)
    assert list(found) == [2]
    assert rollouts.template(found[2]) == CONTAINERS


def test_a_job_from_a_cron_job_is_its_own() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"template": CONTAINERS}}
    cron_job = {"metadata": {"name": "nightly", "namespace": "shop", "uid": "u"}, "spec": {"jobTemplate": template}}
    job = jobs.from_cron_job(cron_job, "now")
    assert job["metadata"]["name"] == "now" and job["metadata"]["labels"] == {"a": "b"}
    assert job["metadata"]["annotations"] == {"cronjob.kubernetes.io/instantiate": "manual"}
    assert job["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert job["spec"] == {"template": CONTAINERS}


def text_of(kind: str, api_version: str, more: Any = (), **item: Any) -> str:
    return describe(
        kinds.by_kind(api_version, kind), {"metadata": {"name": "x", "uid": "u"}, **item}, [], NOW, more=list(more)
    )


def test_descriptions_of_policies_are_tables() -> None:
    hard = {"pods": "4", "requests.cpu": "2"}
    quota = text_of("ResourceQuota", "v1", spec={"hard": hard}, status={"hard": hard, "used": {"pods": "3"}})
    assert re.search(r"^Resource +Used +Hard\npods +3 +4\nrequests.cpu +0 +2$", quota, re.MULTILINE), quota
    limit = {"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "100m"}}
    limits = text_of("LimitRange", "v1", spec={"limits": [limit]})
    assert re.search(r"^Container +cpu +- +1 +- +100m +-$", limits, re.MULTILINE), limits
    budget = text_of(
        "PodDisruptionBudget",
        "policy/v1",
        spec={"minAvailable": 0, "selector": {"matchLabels": {"a": "b"}}},
        status={"disruptionsAllowed": 2, "expectedPods": 3},
    )
    assert re.search(r"Min available: +0\n.*Allowed disruptions: +2\n.*Total: +3\n", budget, re.DOTALL), budget
    resource = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    current = {"name": "cpu", "current": {"averageUtilization": 20, "averageValue": "10m"}}
    autoscaler = text_of(
        "HorizontalPodAutoscaler",
        "autoscaling/v2",
        spec={
            "scaleTargetRef": {"kind": "Deployment", "name": "web"},
            "maxReplicas": 4,
            "metrics": [{"type": "Resource", "resource": resource}],
            "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 15}]}},
        },
        status={
            "currentReplicas": 3,
            "desiredReplicas": 2,
            "currentMetrics": [{"type": "Resource", "resource": current}],
            "conditions": [{"type": "AbleToScale", "status": "True", "reason": "R", "message": "because"}],
        },
    )
    assert "resource cpu on pods (as a percentage of request): 20% (10m) / 50%" in autoscaler
    assert "3 current / 2 desired" in autoscaler and "because" in autoscaler and "- Type: Pods  Value: 2" in autoscaler


def test_a_node_says_what_it_has_given_away() -> None:
    def pod(name: str, *cpu: str, phase: str = "Running", **spec: Any) -> dict[str, Any]:
        containers = [{"name": f"c{n}", "resources": {"requests": {"cpu": each}}} for n, each in enumerate(cpu)]
        meta = {"name": name, "namespace": "shop"}
        return {"metadata": meta, "spec": {"containers": containers, **spec}, "status": {"phase": phase}}

    first = [{"name": "i", "resources": {"requests": {"cpu": "700m", "example.com/gpu": "1"}}}]
    pods = [pod("a", "100m", "200m", initContainers=first, overhead={"cpu": "50m"}), pod("b", "500m", phase="Failed")]
    node = text_of("Node", "v1", pods, status={"allocatable": {"cpu": "2", "memory": "4Gi", "example.com/gpu": "4"}})
    assert re.search(r"shop +a +750m \(37%\) +0 \(0%\)", node) and "(1 in total)" in node, node
    assert re.search(r"^  cpu +750m \(37%\) +0 \(0%\)$", node, re.MULTILINE), node
    assert re.search(r"^  example.com/gpu +1 \(25%\)", node, re.MULTILINE), node


def test_a_deployment_names_its_replica_sets() -> None:
    def replica_set(name: str, revision: str, replicas: int, uid: str = "u") -> dict[str, Any]:
        owner = {"controller": True, "uid": uid}
        annotations = {"deployment.kubernetes.io/revision": revision}
        metadata = {"name": name, "annotations": annotations, "ownerReferences": [owner]}
        return {"metadata": metadata, "spec": {"replicas": replicas}, "status": {"replicas": 1}}

    sets = [replica_set("x-10", "10", 3), replica_set("x-9", "9", 1), replica_set("x-1", "1", 0)]
    text = text_of("Deployment", "apps/v1", [*sets, replica_set("y", "11", 1, uid="other")], spec={"template": {}})
    assert re.search(r"OldReplicaSets: +x-9 \(1/1 replicas created\)\nNewReplicaSet: +x-10 \(1/3 rep", text), text


def test_lists_of_a_kind_without_lines_of_its_own_are_told_apart() -> None:
    text = text_of("Service", "v1", spec={"ports": [{"port": 1, "protocol": "TCP"}, {"port": 2}]})
    assert "    - port: 1\n      protocol: TCP\n    - port: 2\n" in text, text


def test_descriptions_say_what_matters() -> None:
    job_spec = {
        "parallelism": 2,
        "completions": 3,
        "completionMode": "Indexed",
        "suspend": False,
        "template": CONTAINERS,
    }
    job = text_of(
        "Job",
        "batch/v1",
        spec=job_spec,
        status={
            "active": 1,
            "ready": 1,
            "succeeded": 2,
            "completedIndexes": "0,2",
            "startTime": "2026-01-01T11:00:00Z",
        },
    )
    assert "1 Active (1 Ready) / 2 Succeeded / 0 Failed" in job
    assert "Completed Indexes" in job and "0,2" in job and "Suspend:          false" in job
    cron = text_of("CronJob", "batch/v1", spec={"schedule": "0 3 * * *", "jobTemplate": {"spec": job_spec}})
    assert "0 3 * * *" in cron and "Time Zone:        <unset>" in cron and "Image:         a:1" in cron
    daemon_set = text_of("DaemonSet", "apps/v1", spec={"template": CONTAINERS}, status={"desiredNumberScheduled": 3})
    assert "Desired Number of Nodes Scheduled: 3" in daemon_set
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    db = text_of("StatefulSet", "apps/v1", spec={"template": CONTAINERS, "volumeClaimTemplates": [claim]})
    assert "Volume Claims:" in db and "ReadWriteOnce" in db
