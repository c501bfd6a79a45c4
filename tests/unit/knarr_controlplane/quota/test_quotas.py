"""What objects use of quotas, which of them they concern, and what exceeds one."""

from __future__ import annotations

import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api import json, validation
from knarr_api.errors import Forbidden
from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.core_v1 import ConfigMap, PersistentVolumeClaim, Pod, ResourceQuota, Service
from knarr_controlplane.controllers.resourcequota.decide import kinds_of, status
from knarr_controlplane.quota import admission, scopes, usage

NOW = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)
replace = msgspec.structs.replace


def made(type_, name="x", **parts):
    return json.from_builtins({"metadata": {"name": name, "namespace": "d"}, **parts}, type_)


def pod(name="p", cpu="1", phase="Pending", **spec):
    container = {"name": "c", "image": "web:1", "resources": {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}}
    return made(Pod, name, spec={"containers": [container], **spec}, status={"phase": phase, "qosClass": "Burstable"})


def quota(hard, used=None, **spec):
    counted = {"hard": hard, "used": used if used is not None else dict.fromkeys(hard, "0")}
    return made(ResourceQuota, "q", spec={"hard": hard, **spec}, status=counted)


def shown(amounts):
    return {name: str(quantity) for name, quantity in amounts.items()}


def test_names_of_resources():
    wanted = {"count/pods": "1", "pods": "1", "cpu": "1", "requests.cpu": "1", "limits.cpu": "1"}
    assert shown(usage.of(pod(), NOW)) == wanted
    assert shown(usage.of(made(Deployment), NOW)) == {"count/deployments.apps": "1"}
    assert shown(usage.of(made(ConfigMap), NOW)) == {"count/configmaps": "1", "configmaps": "1"}
    ports = [{"port": 1}, {"port": 2}]
    service = usage.of(made(Service, spec={"type": "NodePort", "ports": ports}), NOW)
    assert shown(service) == {"count/services": "1", "services": "1", "services.nodeports": "2"}
    claim = made(
        PersistentVolumeClaim, spec={"storageClassName": "gold", "resources": {"requests": {"storage": "5Gi"}}}
    )
    assert shown(usage.of(claim, NOW)) == {
        "count/persistentvolumeclaims": "1",
        "persistentvolumeclaims": "1",
        "requests.storage": "5Gi",
        "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
        "gold.storageclass.storage.k8s.io/requests.storage": "5Gi",
    }


def test_a_pod_that_has_ended_is_only_an_object():
    assert shown(usage.of(pod(phase="Failed"), NOW)) == {"count/pods": "1"}


@pytest.mark.parametrize(
    ("scope", "spec", "inside"),
    [
        ("Terminating", {"activeDeadlineSeconds": 5}, True),
        ("Terminating", {}, False),
        ("NotTerminating", {}, True),
        ("BestEffort", {}, False),
        ("NotBestEffort", {}, True),
        ("PriorityClass", {"priorityClassName": "high"}, True),
    ],
)
def test_scopes(scope, spec, inside):
    limited = quota({"pods": "1"}, scopes=[scope])
    assert scopes.concerns(limited, pod(**spec)) is inside
    assert not scopes.concerns(limited, made(ConfigMap))


@pytest.mark.parametrize(("operator", "inside"), [("In", True), ("NotIn", False), ("DoesNotExist", False)])
def test_scope_selectors(operator, inside):
    expression = {"scopeName": "PriorityClass", "operator": operator, "values": ["high"]}
    limited = quota({"pods": "1"}, scopeSelector={"matchExpressions": [expression]})
    assert scopes.concerns(limited, pod(priorityClassName="high")) is inside


def test_what_exceeds_a_quota_is_told_with_all_figures():
    limited = quota(
        {"pods": "2", "requests.cpu": "3", "limits.cpu": "9"}, {"pods": "2", "requests.cpu": "2500m", "limits.cpu": "0"}
    )
    with pytest.raises(Forbidden) as refused:
        admission.charged(None, pod(), [limited], NOW)
    assert str(refused.value) == (
        'pods "p" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=1, used: pods=2,requests.cpu=2500m, '
        "limited: pods=2,requests.cpu=3"
    )


def test_a_container_must_say_what_is_limited():
    limited = quota({"limits.memory": "1Gi", "requests.cpu": "5"})
    with pytest.raises(Forbidden, match=r"forbidden: failed quota: q: must specify limits\.memory for: c$"):
        admission.charged(None, pod(), [limited], NOW)


@pytest.mark.parametrize("status", [{}, {"used": {"pods": "0"}}, {"hard": {"pods": "5"}}])
def test_a_quota_that_was_not_counted_admits_nothing(status):
    limited = made(ResourceQuota, "q", spec={"hard": {"pods": "5"}}, status=status)
    with pytest.raises(Forbidden, match="status unknown for quota: q, resources: pods"):
        admission.charged(None, pod(), [limited], NOW)


def test_updates_pay_for_the_difference():
    def service(ports):
        return made(Service, spec={"type": "NodePort", "ports": [{"port": number + 1} for number in range(ports)]})

    limited = quota({"services": "1", "services.nodeports": "3"}, {"services": "1", "services.nodeports": "2"})
    (changed,) = admission.charged(service(2), service(3), [limited], NOW)
    assert shown(changed.status.used) == {"services": "1", "services.nodeports": "3"}
    with pytest.raises(Forbidden, match=r"requested: services\.nodeports=2"):
        admission.charged(service(2), service(4), [limited], NOW)
    over = quota({"services.nodeports": "1"}, {"services.nodeports": "3"})
    (changed,) = admission.charged(service(3), service(2), [over], NOW)
    assert shown(changed.status.used) == {"services.nodeports": "2"}


cpus = st.integers(1, 5).map(str)


@given(st.lists(cpus, max_size=12), st.integers(0, 12), st.integers(0, 30))
def test_admission_never_exceeds_and_agrees_with_a_recount(asked, pods_max, cpu_max):
    limited = quota({"pods": str(pods_max), "requests.cpu": str(cpu_max)})
    admitted = []
    for index, cpu in enumerate(asked):
        one = pod(f"p{index}", cpu)
        try:
            (limited,) = admission.charged(None, one, [limited], NOW)
        except Forbidden:
            continue
        admitted.append(one)
    assert all(limited.status.used[name] <= limited.spec.hard[name] for name in limited.spec.hard)
    assert status(limited, admitted, NOW) == limited.status


def test_what_has_to_be_counted_for_a_quota():
    limited = quota(
        {
            "requests.cpu": "1",
            "count/deployments.apps": "1",
            "gold.storageclass.storage.k8s.io/requests.storage": "1",
            "nothing": "1",
        }
    )
    assert [kind.qualified for kind in kinds_of(limited)] == ["deployments.apps", "persistentvolumeclaims", "pods"]
    assert set(status(limited, [], NOW).used) == set(limited.spec.hard) - {"nothing"}


def test_bad_quotas():
    def problems(hard, **spec):
        return [str(each) for each in validation.validate(quota(hard, {}, **spec)) if each.path.startswith("spec")]

    assert problems({"nothing": "1"}) == [
        'spec.hard[nothing]: Invalid value: "nothing": must be a standard resource for quota'
    ]
    assert problems({"pods": "1500m"}) == ['spec.hard[pods]: Invalid value: "1500m": must be an integer']
    assert problems({"pods": "1"}, scopes=["BestEffort", "NotBestEffort"]) == [
        'spec.scopes: Invalid value: "BestEffort,NotBestEffort": conflicting scopes'
    ]
    assert problems({"services": "1"}, scopes=["BestEffort"]) == [
        'spec.scopes: Invalid value: "BestEffort": unsupported scope applied to resource'
    ]
