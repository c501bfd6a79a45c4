"""What ``knarr get`` shows in its columns."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from knarr_api import kinds
from knarr_cli import cells, rollouts, tables
from knarr_cli.commands.draining import plan_drain
from knarr_cli.commands.workloads import condition

NOW = datetime.datetime(2026, 1, 1, 12, 0, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (660, "11m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 300, "3h5m"),
        (10 * 3600, "10h"),
        (3 * 86400 + 4 * 3600, "3d4h"),
        (30 * 86400, "30d"),
        (800 * 86400, "2y70d"),
    ],
)
def test_ages_are_kubectls(seconds: int, text: str) -> None:
    assert cells.duration(seconds) == text


def status(*containers: dict[str, Any], phase: str = "Running", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", **more},
        "spec": {"containers": [{"name": f"c{i}"} for i in range(len(containers))]},
        "status": {"phase": phase, "containerStatuses": list(containers)},
    }


def gated() -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    return {"metadata": {}, "spec": {}, "status": {"phase": "Pending", "conditions": [condition]}}


RUNNING = {"name": "c0", "ready": True, "state": {"running": {}}}


@pytest.mark.parametrize(
    ("pod", "text"),
    [
        (status(RUNNING), "Running"),
        (status({"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}), "CrashLoopBackOff"),
        (
            status({"name": "c", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}, phase="Succeeded"),
            "Completed",
        ),
        (status({"name": "c", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}), "OOMKilled"),
        (status({"name": "c", "state": {"terminated": {"exitCode": 3}}}), "ExitCode:3"),
        (status({"name": "c", "state": {"terminated": {"exitCode": 1, "reason": "Completed"}}}, RUNNING), "NotReady"),
        (gated(), "SchedulingGated"),
        (status(RUNNING, deletionTimestamp="2026-01-01T00:00:00Z"), "Terminating"),
        ({"metadata": {}, "spec": {}, "status": {}}, "Pending"),
        (
            {
                "metadata": {},
                "spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]},
                "status": {"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]},
            },
            "Init:0/1",
        ),
        (
            {
                "metadata": {},
                "spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]},
                "status": {
                    "phase": "Pending",
                    "initContainerStatuses": [
                        {"name": "i", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}
                    ],
                },
            },
            "Init:Error",
        ),
    ],
)
def test_the_status_column_says_what_matters(pod: dict[str, Any], text: str) -> None:
    assert cells.pod_status(pod) == text


def test_a_table_of_pods() -> None:
    pod = status({**RUNNING, "restartCount": 2, "lastState": {"terminated": {"finishedAt": "2026-01-01T11:59:50Z"}}})
    pod["metadata"]["creationTimestamp"] = "2026-01-01T11:55:00Z"
    titles, cells = tables.rows(kinds.lookup("pods"), [pod], NOW)
    assert tables.layout(titles, cells) == [
        "NAME   READY   STATUS    RESTARTS      AGE",
        "p      1/1     Running   2 (10s ago)   5m",
    ]


def test_a_finished_sidecar_does_not_make_a_ready_pod_look_finished() -> None:
    pod = status({"name": "c", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}, RUNNING)
    pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    assert cells.pod_status(pod) == "Running"


def test_foreign_text_does_not_reach_the_terminal() -> None:
    assert tables.layout(["A"], [["\x1b[31mred\r\nsecond line"]]) == ["A", "^[[31mred^M..."]
    assert tables.printable("one\n\ttwo\x07\x9b") == "one\n\ttwo^G\\x9b"


@pytest.mark.parametrize(
    ("kind", "item", "line"),
    [
        ("deploy", {"spec": {"replicas": 3}, "status": {"readyReplicas": 2}}, "x   2/3   0   0   <unknown>"),
        ("sts", {"spec": {"replicas": 2}}, "x   0/2   <unknown>"),
        ("ds", {"status": {"numberReady": 1}}, "x   0   0   1   0   0   <unknown>"),
        ("jobs", {"status": {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}},
         "x   Complete   1/1      <unknown>"),
        ("cronjobs", {"spec": {"schedule": "@daily"}}, "x   @daily   <none>   False   0   <none>   <unknown>"),
        ("svc", {"spec": {"ports": [{"port": 80}]}}, "x   ClusterIP   <none>   <none>   80/TCP   <unknown>"),
        ("pvc", {"spec": {"accessModes": ["ReadWriteOnce"]}}, "x   Pending         RWO      <unset>   <unknown>"),
        ("ing", {"spec": {"rules": [{"host": "a.b"}, {}]}}, "x   <none>   a.b,*      80   <unknown>"),
        ("no", {"spec": {"unschedulable": True}}, "x   NotReady,SchedulingDisabled   <none>   <unknown>   <none>"),
        ("ns", {"status": {"phase": "Terminating"}}, "x   Terminating   <unknown>"),
        ("clusterrolebindings", {"roleRef": {"kind": "Role", "name": "r"}}, "x   Role/r   <unknown>"),
    ],
)  # fmt: skip
def test_columns_of_every_kind(kind: str, item: dict[str, Any], line: str) -> None:
    _, cells = tables.rows(kinds.lookup(kind), [{"metadata": {"name": "x"}, **item}], NOW)
    assert "   ".join(cells[0]) == line


def test_kinds_without_columns_show_name_and_age() -> None:
    item = {
        "metadata": {"name": "r", "namespace": "n", "creationTimestamp": "2026-01-01T11:59:00Z", "labels": {"a": "b"}}
    }
    titles, cells = tables.rows(kinds.lookup("podtemplates"), [item], NOW, with_namespace=True, with_labels=True)
    assert titles == ["NAMESPACE", "NAME", "AGE", "LABELS"] and cells == [["n", "r", "60s", "a=b"]]


DEPLOYMENT = kinds.by_kind("apps/v1", "Deployment")


def test_rollout_sentences() -> None:
    deployment: dict[str, Any] = {"metadata": {"name": "w", "generation": 2}, "spec": {"replicas": 3}, "status": {}}
    assert rollouts.state(DEPLOYMENT, deployment)[0] is False
    deployment["status"] = {"observedGeneration": 2, "updatedReplicas": 1, "replicas": 3}
    assert rollouts.state(DEPLOYMENT, deployment) == (
        False,
        'Waiting for deployment "w" rollout to finish: 1 out of 3 new replicas have been updated...',
    )
    deployment["status"] = {"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3}
    assert rollouts.state(DEPLOYMENT, deployment) == (True, 'deployment "w" successfully rolled out')


def test_wait_conditions() -> None:
    pod = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    assert condition("condition=Ready")[0](pod) and not condition("condition=Ready=False")[0](pod)
    assert condition("jsonpath={.status.phase}=Running")[0](pod)
    assert not condition("jsonpath={.status.phase}=Failed")[0](pod)
    assert condition("delete")[0](None) and condition("create")[0](pod)


def test_drain_refuses_what_would_be_lost() -> None:
    owned = {"ownerReferences": [{"kind": "ReplicaSet", "name": "r", "uid": "u", "controller": True}]}
    pods = [
        {"metadata": {"namespace": "d", "name": "owned", "uid": "1", **owned}, "spec": {}},
        {"metadata": {"namespace": "d", "name": "bare", "uid": "2"}, "spec": {}},
        {
            "metadata": {"namespace": "d", "name": "data", "uid": "3", **owned},
            "spec": {"volumes": [{"name": "v", "emptyDir": {}}]},
        },
    ]
    plan = plan_drain(pods, force=False, ignore_daemonsets=False, delete_emptydir_data=False)
    assert len(plan.reasons) == 2 and "d/bare (use --force" in plan.reasons[0]
    plan = plan_drain(pods, force=True, ignore_daemonsets=False, delete_emptydir_data=True)
    assert not plan.reasons and len(plan.names) == 3


def test_autoscalers_and_quotas_show_what_is_used_of_what_is_wanted() -> None:
    target = {"type": "Utilization", "averageUtilization": 50}
    scaler = {
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "web"},
            "maxReplicas": 8,
            "metrics": [
                {"type": "Resource", "resource": {"name": name, "target": target}} for name in ("cpu", "memory")
            ],
        },
        "status": {
            "currentReplicas": 3,
            "currentMetrics": [
                {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 20}}}
            ],
        },
    }
    _, (row,) = tables.rows(kinds.lookup("hpa"), [scaler], NOW)
    assert row[:-1] == ["web", "Deployment/web", "cpu: 20%/50%, memory: <unknown>/50%", "1", "8", "3"]
    status = {"hard": {"pods": "5", "limits.cpu": "4"}, "used": {"pods": "2", "limits.cpu": "1"}}
    _, (row,) = tables.rows(kinds.lookup("quota"), [{"metadata": {"name": "q"}, "status": status}], NOW)
    assert row[:-1] == ["q", "pods: 2/5", "limits.cpu: 1/4"]


def test_targets_of_metrics_that_are_not_of_resources():
    metric = {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "5"}}}
    hpa = {"metadata": {"name": "h"}, "spec": {"metrics": [metric]}}
    titles, cells = tables.rows(kinds.lookup("hpa"), [hpa], NOW)
    assert cells[0][titles.index("TARGETS")] == "queue: <unknown>/5"


def test_events_of_one_second_are_in_the_order_of_their_writes():
    events = [{"lastTimestamp": "2026-01-01T00:00:00Z", "metadata": {"resourceVersion": rv}} for rv in ("10", "9", "8")]
    assert [e["metadata"]["resourceVersion"] for e in sorted(events, key=cells.event_order)] == ["8", "9", "10"]
