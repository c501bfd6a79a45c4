"""What of an object may not change, and what is accepted with a warning."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from knarr_api import defaults, json, validation
from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.core_v1 import ConfigMap, Container, Node, NodeSpec, Pod, PodSpec, Secret, Service, Toleration
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_api.validation import not_enforced

replace = msgspec.structs.replace


def pod(**spec):
    made = Pod(metadata=ObjectMeta(name="web", namespace="default"), spec=PodSpec(**spec))
    return defaults.apply(made)


def web(image="web:1", **fields):
    return Container(name="web", image=image, **fields)


def problems(old, new):
    return [str(problem) for problem in validation.validate_update(old, new)]


def test_a_pod_may_take_another_image():
    assert problems(pod(containers=(web(),)), pod(containers=(web("web:2", image_pull_policy="IfNotPresent"),))) == []


def test_a_pod_may_take_a_deadline_and_more_tolerations():
    old = pod(containers=(web(),))
    more = (Toleration(key="a", operator="Exists"),)
    new = replace(old, spec=replace(old.spec, active_deadline_seconds=10, tolerations=more))
    assert problems(old, new) == []


@pytest.mark.parametrize(
    "change",
    [
        {"node_name": "n2"},
        {"restart_policy": "Never"},
        {"termination_grace_period_seconds": 5},
        {"containers": (web(args=("x",)),)},
        {"service_account_name": "other"},
    ],
)
def test_everything_else_of_a_pod_stays(change):
    old = pod(containers=(web(),), node_name="n1")
    new = replace(old, spec=replace(old.spec, **change))
    assert problems(old, new)[0].startswith("spec: Forbidden: pod updates may not change fields other than")


def test_containers_are_neither_added_nor_removed():
    old = pod(containers=(web(),))
    new = pod(containers=(web(), Container(name="b", image="b")))
    assert problems(old, new) == ["spec.containers: Forbidden: pod updates may not add or remove containers"]


def test_tolerations_are_not_taken_away():
    old = pod(containers=(web(),), tolerations=(Toleration(key="a", operator="Exists"),))
    new = replace(old, spec=replace(old.spec, tolerations=()))
    assert problems(old, new)[0].startswith("spec.tolerations: Forbidden")


def test_the_selector_of_a_deployment_stays():
    old = json.decode(b'{"spec": {"selector": {"matchLabels": {"app": "a"}}}}', Deployment)
    new = json.decode(b'{"spec": {"selector": {"matchLabels": {"app": "b"}}}}', Deployment)
    assert problems(old, new) == ['spec.selector: Invalid value: "app=b": field is immutable']


@pytest.mark.parametrize("type_", [ConfigMap, Secret])
def test_an_immutable_configuration_stays(type_):
    value = "x" if type_ is ConfigMap else b"x"
    old = type_(metadata=ObjectMeta(name="c"), immutable=True)
    assert problems(old, replace(old, data={"a": value})) == [
        "data: Forbidden: field is immutable when `immutable` is set"
    ]
    assert problems(old, replace(old, immutable=False)) == [
        "immutable: Forbidden: field is immutable when `immutable` is set"
    ]
    assert problems(old, replace(old, metadata=ObjectMeta(name="c", labels={"a": "b"}))) == []


def test_the_type_of_a_secret_stays():
    assert problems(Secret(type="Opaque"), Secret(type="kubernetes.io/tls"))[0].startswith("type: Invalid value")


def test_the_addresses_of_a_node_stay_once_given():
    none, given = Node(), Node(spec=NodeSpec(pod_cidr="10.0.0.0/24"))
    assert problems(none, given) == []
    assert problems(given, Node(spec=NodeSpec(pod_cidr="10.0.1.0/24")))[0].startswith("spec.podCIDR: Forbidden")


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}]}, "spec.volumes[0]"),
        ({"runtimeClassName": "x"}, "spec.runtimeClassName"),
        ({"resourceClaims": [{"name": "x"}]}, "spec.resourceClaims"),
        ({"setHostnameAsFQDN": True}, "spec.setHostnameAsFQDN"),
        ({"subdomain": "x"}, "spec.subdomain"),
        (
            {"containers": [{"resources": {"limits": {"ephemeral-storage": "2Mi"}}}]},
            "spec.containers[0].resources.limits[ephemeral-storage]",
        ),
    ],
)
def test_what_is_not_enforced_yet_is_told(spec, path):
    (warning,) = validation.warnings(json.from_builtins({"spec": spec}, Pod))
    assert warning.startswith(path)
    assert "yet" in warning


def test_a_kind_that_does_nothing_is_told():
    assert validation.warnings(Service()) == ("Service is stored and served but not acted on yet",)


def test_every_field_that_is_warned_of_exists():
    for path in not_enforced.POD_FIELDS:
        type_ = PodSpec
        for part in path.split("."):
            (field,) = (f for f in msgspec.structs.fields(type_) if f.encode_name == part.removesuffix("[]"))
            found = [
                t for t in (field.type, *get_args(field.type)) if isinstance(t, type) and issubclass(t, msgspec.Struct)
            ]
            type_ = found[0] if found else None


def test_an_ordinary_pod_gives_no_warning():
    assert validation.warnings(pod(containers=(web(),))) == ()
