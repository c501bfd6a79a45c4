"""What ``knarr get`` shows in its columns."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from knarr_api import kinds
from knarr_cli import tables
from knarr_cli.commands.machines import plan_drain
from knarr_cli.commands.workloads import condition, rollout_state

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
    assert tables.duration(seconds) == text


def status(*containers: dict[str, Any], phase: str = "Running", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", **more},
        "spec": {"containers": [{"name": f"c{i}"} for i in range(len(containers))]},
        "status": {"phase": phase, "containerStatuses": list(containers)},
    }


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
        (status({"name": "c", "state": {"terminated": {"exitCode": 1, "reason": "Completed"}}}, RUNNING), "Running"),
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
    assert tables.pod_status(pod) == text


def test_a_table_of_pods() -> None:
    pod = status({**RUNNING, "restartCount": 2, "lastState": {"terminated": {"finishedAt": "2026-01-01T11:59:50Z"}}})
    pod["metadata"]["creationTimestamp"] = "2026-01-01T11:55:00Z"
    titles, cells = tables.rows(kinds.lookup("pods"), [pod], NOW)
    assert tables.layout(titles, cells) == [
        "NAME   READY   STATUS    RESTARTS      AGE",
        "p      1/1     Running   2 (10s ago)   5m",
    ]


def test_kinds_without_columns_show_name_and_age() -> None:
    item = {
        "metadata": {"name": "r", "namespace": "n", "creationTimestamp": "2026-01-01T11:59:00Z", "labels": {"a": "b"}}
    }
    titles, cells = tables.rows(kinds.lookup("roles"), [item], NOW, with_namespace=True, with_labels=True)
    assert titles == ["NAMESPACE", "NAME", "AGE", "LABELS"] and cells == [["n", "r", "60s", "a=b"]]


def test_rollout_sentences() -> None:
    deployment: dict[str, Any] = {"metadata": {"name": "w", "generation": 2}, "spec": {"replicas": 3}, "status": {}}
    assert rollout_state(deployment)[0] is False
    deployment["status"] = {"observedGeneration": 2, "updatedReplicas": 1, "replicas": 3}
    assert rollout_state(deployment) == (
        False,
        'Waiting for deployment "w" rollout to finish: 1 out of 3 new replicas have been updated...',
    )
    deployment["status"] = {"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3}
    assert rollout_state(deployment) == (True, 'deployment "w" successfully rolled out')


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
