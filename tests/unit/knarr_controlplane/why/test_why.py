"""What is said of pods and of what makes them."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import pytest

from knarr_api import json
from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.core_v1 import Event, Pod
from knarr_controlplane.why import pods, workloads
from knarr_controlplane.why.findings import Finding

NOW = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC)
replace = msgspec.structs.replace


def a_pod(status: dict[str, Any], **spec: Any) -> Pod:
    document = {
        "metadata": {"name": "web", "namespace": "default", "uid": "u1"},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "x"}], **spec},
        "status": {"phase": "Running", **status},
    }
    return json.from_builtins(document, Pod)


def container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "c", "state": state, **more}]}


def event(reason: str, message: str, *, uid: str = "u1", type_: str = "Warning", count: int = 1) -> Event:
    document = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "web", "uid": uid},
        "type": type_,
        "reason": reason,
        "message": message,
        "count": count,
        "lastTimestamp": "2030-01-01T11:59:30Z",
    }
    return json.from_builtins(document, Event)


def told(pod: Pod, *events: Event) -> tuple[str, tuple[Finding, ...]]:
    found = pods.findings(pod, None, events, now=NOW)
    found = tuple(one for one in found if one.reason != "NodeNotFound")
    return pods.summary(pod, found), found


def test_a_crash_loop_says_how_the_program_ended_and_where_to_look() -> None:
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container=c"}}
    last = {"terminated": {"exitCode": 3, "reason": "Error"}}
    said, found = told(a_pod(container(state, lastState=last, restartCount=4)))
    assert said == (
        "pod web is Running: container c: ended with exit code 3, 4 restarts; "
        "back-off 20s restarting failed container=c"
    )
    assert (
        next(one for one in found if one.severity == "error").remedy
        == "see 'knarr logs web -n default -c c --previous'"
    )


@pytest.mark.parametrize(
    ("ended", "text"),
    [
        ({"exitCode": 137, "reason": "OOMKilled"}, "ended with exit code 137 (OOMKilled): killed by SIGKILL"),
        ({"exitCode": 143, "reason": "Error"}, "ended with exit code 143: killed by SIGTERM"),
        ({"exitCode": 127, "reason": "Error"}, "ended with exit code 127: the program was not found"),
        ({"exitCode": 1, "reason": "Error", "message": "no database\n"}, "ended with exit code 1: no database"),
        ({"exitCode": 0, "reason": "Completed"}, "ended with exit code 0"),
    ],
)
def test_exit_codes_are_explained(ended: dict[str, Any], text: str) -> None:
    _, found = told(a_pod(container({"terminated": ended})))
    assert text in [one.message for one in found]


def test_a_failing_probe_is_the_reason_with_its_last_words() -> None:
    probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 5}
    pod = a_pod(
        container({"running": {}}, ready=False, started=True),
        containers=[{"name": "c", "image": "x", "readinessProbe": probe}],
    )
    failure = event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", count=8)
    said, _ = told(pod, failure)
    why = "Readiness probe failed: HTTP probe failed with statuscode: 503"
    assert said == f"pod web is Running: container c: {why} (x8; it asks http-get :8080/ready, every 5 s)"
    healthy = a_pod(
        {**container({"running": {}}, ready=True, started=True), "conditions": [{"type": "Ready", "status": "True"}]},
        containers=[{"name": "c", "image": "x", "readinessProbe": probe}],
    )
    assert told(healthy, failure)[0] == "pod web is Running, and nothing is wrong with it"


def test_a_crash_loop_that_a_probe_caused_says_so() -> None:
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container=c"}}
    pod = a_pod(
        container(state, lastState={"terminated": {"exitCode": 137, "reason": "Error"}}, restartCount=4),
        containers=[{"name": "c", "image": "x", "livenessProbe": {"tcpSocket": {"port": 80}}}],
    )
    said, _ = told(pod, event("Unhealthy", "Liveness probe failed: connection refused", count=3))
    assert said == (
        "pod web is Running: container c: Liveness probe failed: connection refused "
        "(x3; it asks tcp-socket :80, every 10 s)"
    )


def test_events_of_a_pod_that_had_the_same_name_are_left_out() -> None:
    pod = a_pod(container({"running": {}}, ready=True))
    _, found = told(pod, event("Failed", "old", uid="u0"), event("Pulled", "new", type_="Normal"))
    assert [one.message for one in found if one.subject == "event"] == ["new (30s ago)"]


def test_a_volume_that_cannot_be_made_is_an_error() -> None:
    state = {"waiting": {"reason": "ContainerCreating", "message": 'MountVolume.SetUp failed: configmap "m" not found'}}
    said, found = told(a_pod({"phase": "Pending", **container(state)}))
    assert said == 'pod web is Pending: container c: MountVolume.SetUp failed: configmap "m" not found'
    assert any("create what is missing" in one.remedy for one in found)


def test_evicted_preempted_and_stuck_pods_say_so() -> None:
    evicted = a_pod({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."})
    assert told(evicted)[0] == "pod web is Failed: pod: The node was low on resource: memory."
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": "default-scheduler: preempting to accommodate a higher priority pod",
    }
    pod = a_pod({"conditions": [condition]})
    going = replace(pod, metadata=replace(pod.metadata, deletion_timestamp=NOW - datetime.timedelta(seconds=9)))
    said, found = told(going)
    assert said.startswith("pod web is being deleted: disruption: default-scheduler: preempting")
    assert any("its node has not let go" in one.message for one in found)
    held = replace(going, metadata=replace(going.metadata, finalizers=("example.com/keep",)))
    assert any("example.com/keep" in one.message for one in told(held)[1])


def test_a_pod_others_make_room_for_says_where() -> None:
    pod = a_pod({"phase": "Pending", "nominatedNodeName": "n7"}, nodeName="")
    assert told(pod)[0] == "pod web is Pending: scheduling: less important pods are leaving node n7 for it"


def test_a_quota_is_named_where_no_pod_could_be_made() -> None:
    document = {"metadata": {"name": "web"}, "spec": {"replicas": 3}, "status": {"replicas": 1}}
    refused = event("FailedCreate", 'Error creating: pods "web-1" is forbidden: exceeded quota: q, requested: pods=1')
    web = json.from_builtins(document, Deployment)
    found = workloads.findings(web, [refused], [("web-0", Finding("ok", "", "Running", "fine"))], now=NOW)
    assert "exceeded quota: q" in workloads.summary(web, found)
    assert any("raise the ResourceQuota" in one.remedy for one in found)
    assert any(one.subject == "pod web-0" for one in found)


def test_a_scheduler_that_is_not_there_is_named() -> None:
    pod = a_pod({"phase": "Pending"}, nodeName="", schedulerName="mine")
    found = pods.findings(pod, None, (), now=NOW, schedulers=("default-scheduler",))
    assert pods.summary(pod, found) == (
        'pod web is Pending: scheduling: waits for a scheduler named "mine"; here are "default-scheduler"'
    )
