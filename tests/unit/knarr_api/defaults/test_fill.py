"""Defaults are Kubernetes', and filling in twice changes nothing."""

from __future__ import annotations

import pytest

from knarr_api import defaults, json
from knarr_api.types.apps_v1 import Deployment, ReplicaSet
from knarr_api.types.core_v1 import Namespace, Pod, Secret


def filled(type_, **document):
    return json.to_builtins(defaults.apply(json.from_builtins(document, type_)))


def container(**fields):
    pod = filled(Pod, spec={"containers": [{"name": "c", "image": "web:1", **fields}]})
    return pod["spec"]["containers"][0]


def test_a_pod():
    spec = filled(Pod, spec={"containers": [{"name": "c", "image": "web:1"}]})["spec"]
    del spec["containers"]
    assert spec == {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {},
        "enableServiceLinks": True,
    }


def test_a_container():
    made = container()
    assert made["terminationMessagePath"] == "/dev/termination-log"
    assert made["terminationMessagePolicy"] == "File"


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("web", "Always"),
        ("web:latest", "Always"),
        ("registry:5000/web", "Always"),
        ("web:1.0", "IfNotPresent"),
        ("registry:5000/web:1.0", "IfNotPresent"),
        ("web@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_the_tag_decides_when_to_pull(image, policy):
    assert container(image=image)["imagePullPolicy"] == policy


def test_a_probe():
    made = container(
        livenessProbe={"httpGet": {"port": 80}}, readinessProbe={"tcpSocket": {"port": 80}, "periodSeconds": 1}
    )
    assert made["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert made["readinessProbe"]["periodSeconds"] == 1


def test_requests_follow_limits_where_not_given():
    made = container(resources={"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}})
    assert made["resources"]["requests"] == {"cpu": "100m", "memory": "1Gi"}


def test_ports_and_fields():
    made = container(
        ports=[{"containerPort": 80}], env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    )
    assert made["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert made["env"][0]["valueFrom"]["fieldRef"] == {"apiVersion": "v1", "fieldPath": "metadata.name"}


def test_the_host_network_gives_its_ports():
    spec = {"hostNetwork": True, "containers": [{"name": "c", "image": "a:1", "ports": [{"containerPort": 80}]}]}
    assert filled(Pod, spec=spec)["spec"]["containers"][0]["ports"][0]["hostPort"] == 80


def test_volumes():
    given = [{"name": "a"}, {"name": "b", "configMap": {"name": "x"}}, {"name": "c", "secret": {"secretName": "x"}}]
    made = filled(Pod, spec={"volumes": given})["spec"]["volumes"]
    assert made[0]["emptyDir"] == {}
    assert made[1]["configMap"]["defaultMode"] == made[2]["secret"]["defaultMode"] == 0o644


def test_a_deployment():
    spec = filled(Deployment, spec={"template": {"spec": {"containers": [{"name": "c", "image": "a"}]}}})["spec"]
    assert spec["replicas"] == 1
    assert spec["revisionHistoryLimit"] == 10
    assert spec["progressDeadlineSeconds"] == 600
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert spec["template"]["spec"]["restartPolicy"] == "Always"


def test_recreate_has_no_rolling_update():
    spec = filled(Deployment, spec={"strategy": {"type": "Recreate"}, "replicas": 0})["spec"]
    assert spec["strategy"] == {"type": "Recreate"}
    assert spec["replicas"] == 0


def test_text_of_a_secret_becomes_data():
    made = filled(Secret, stringData={"a": "new", "b": "x"}, data={"a": "b2xk"})
    assert made["data"] == {"a": "bmV3", "b": "eA=="}
    assert "stringData" not in made
    assert made["type"] == "Opaque"


def test_a_namespace_is_labelled_with_its_name():
    assert filled(Namespace, metadata={"name": "team"})["metadata"]["labels"] == {"kubernetes.io/metadata.name": "team"}


@pytest.mark.parametrize("type_", [Pod, Deployment, ReplicaSet, Secret, Namespace])
def test_filling_in_twice_changes_nothing(type_):
    template = {"spec": {"containers": [{"name": "c", "image": "a", "livenessProbe": {"httpGet": {"port": 1}}}]}}
    document = {"metadata": {"name": "x"}, "spec": {**template["spec"], "template": template}, "stringData": {"a": "b"}}
    once = defaults.apply(json.from_builtins(document, type_))
    assert defaults.apply(once) == once
