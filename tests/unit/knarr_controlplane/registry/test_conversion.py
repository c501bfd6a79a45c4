"""HorizontalPodAutoscalers of autoscaling/v1: kept as autoscaling/v2, and back without loss."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api import json as documents
from knarr_controlplane.registry import conversion
from knarr_controlplane.registry.conversion import BEHAVIOR, METRICS, NEW, OLD

V1 = {
    "apiVersion": "autoscaling/v1",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web", "namespace": "default", "annotations": {"mine": "kept"}},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 2,
        "maxReplicas": 5,
        "targetCPUUtilizationPercentage": 70,
    },
}
PROCESSORS = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
}


def old(document):
    return documents.from_builtins(document, OLD.type)


def new(document):
    return documents.from_builtins(document, NEW.type)


def plain(obj):
    return documents.to_builtins(obj)


def test_the_processors_percentage_is_a_metric():
    stored = plain(conversion.stored(old(V1)))
    assert stored["apiVersion"] == "autoscaling/v2"
    assert stored["spec"]["metrics"] == [PROCESSORS]
    assert stored["spec"]["maxReplicas"] == 5
    assert stored["metadata"]["annotations"] == {"mine": "kept"}
    assert conversion.shown(OLD, conversion.stored(old(V1))) == old(V1)


def test_what_v1_has_no_field_for_is_in_annotations():
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    memory = {
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}},
    }
    spec = {**V1["spec"], "metrics": [PROCESSORS, memory], "behavior": behavior}
    del spec["targetCPUUtilizationPercentage"]
    stored = new({**V1, "apiVersion": "autoscaling/v2", "spec": spec})
    shown = plain(conversion.shown(OLD, stored))
    assert shown["spec"]["targetCPUUtilizationPercentage"] == 70
    annotations = shown["metadata"]["annotations"]
    assert json.loads(annotations[METRICS]) == [
        {"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}}
    ]
    assert json.loads(annotations[BEHAVIOR]) == behavior
    back = plain(conversion.stored(old(shown)))
    assert back["spec"]["metrics"] == [memory, PROCESSORS]
    assert back["spec"]["behavior"] == behavior
    assert back["metadata"]["annotations"] == {"mine": "kept"}


@pytest.mark.parametrize("text", ["", "[", "1", "{}", "[1]", '"x"', "null"])
def test_an_annotation_that_says_nothing_is_passed_over(text):
    given_ = {**V1, "metadata": {"name": "web", "annotations": {METRICS: text, BEHAVIOR: text}}}
    assert plain(conversion.stored(old(given_)))["spec"]["metrics"] == [PROCESSORS]


amounts = st.one_of(
    st.fixed_dictionaries({"type": st.just("Utilization"), "averageUtilization": st.integers(1, 100)}),
    st.fixed_dictionaries({"type": st.just("AverageValue"), "averageValue": st.just("10m")}),
)
value = st.fixed_dictionaries({"type": st.just("Value"), "value": st.just("5")})
metric = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b"])}, optional={"selector": st.just({"matchLabels": {"x": "y"}})}
)
thing = st.just({"kind": "Ingress", "name": "i", "apiVersion": "networking.k8s.io/v1"})
metrics = st.one_of(
    st.builds(
        lambda n, t: {"type": "Resource", "resource": {"name": n, "target": t}},
        st.sampled_from(["cpu", "memory"]),
        amounts,
    ),
    st.builds(
        lambda t: {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c", "target": t}},
        amounts,
    ),
    st.builds(
        lambda m: {"type": "Pods", "pods": {"metric": m, "target": {"type": "AverageValue", "averageValue": "3"}}},
        metric,
    ),
    st.builds(
        lambda m, t, d: {"type": "Object", "object": {"metric": m, "target": t, "describedObject": d}},
        metric,
        value,
        thing,
    ),
    st.builds(lambda m, t: {"type": "External", "external": {"metric": m, "target": t}}, metric, value),
)


@given(st.lists(metrics, max_size=4))
def test_nothing_is_lost_on_the_way_there_and_back(found):
    spec = {"scaleTargetRef": V1["spec"]["scaleTargetRef"], "maxReplicas": 3, "metrics": found}
    stored = new({**V1, "apiVersion": "autoscaling/v2", "spec": spec})
    back = conversion.stored(conversion.shown(OLD, stored))
    by_text = sorted(json.dumps(each, sort_keys=True) for each in plain(stored)["spec"].get("metrics", []))
    assert sorted(json.dumps(each, sort_keys=True) for each in plain(back)["spec"].get("metrics", [])) == by_text
    assert back.metadata == stored.metadata
