"""JSON merge patch and three-way apply."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api import shapes
from knarr_api.merge_patch import merge_patch
from knarr_api.types.core_v1 import ConfigMap, Container, PodSpec
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.registry.merging import LAST_APPLIED, applied, three_way, to_apply

SPEC, CONTAINER = shapes.of(PodSpec), shapes.of(Container)

RFC_7396 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
"""RFC 7396, appendix A."""

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7396)
def test_the_examples_of_the_rfc(target, patch, result):
    assert merge_patch(target, patch) == result


@settings(deadline=None)
@given(OBJECTS, OBJECTS)
def test_patching_twice_is_patching_once(target, patch):
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@settings(deadline=None)
@given(OBJECTS, OBJECTS)
def test_a_patch_leaves_its_arguments_alone(target, patch):
    before = copy.deepcopy((target, patch))
    merge_patch(target, patch)
    three_way({}, patch, target, shapes.WHOLE)
    assert (target, patch) == before


@settings(deadline=None)
@given(OBJECTS, OBJECTS, OBJECTS)
def test_applying_twice_changes_nothing(last, wanted, live):
    once = three_way(last, wanted, live, shapes.WHOLE)
    assert three_way(wanted, wanted, once, shapes.WHOLE) == once


@settings(deadline=None)
@given(OBJECTS)
def test_applying_to_nothing_gives_what_was_asked_for(wanted):
    assert three_way({}, wanted, {}, shapes.WHOLE).keys() == without_nulls(wanted).keys()


def containers(*items):
    return {"containers": list(items)}


def test_containers_are_merged_by_name():
    live = containers({"name": "a", "image": "1", "imagePullPolicy": "Always"}, {"name": "injected"})
    wanted = containers({"name": "a", "image": "2"})
    merged = three_way(containers({"name": "a", "image": "1"}), wanted, live, SPEC)
    assert merged == containers({"name": "a", "image": "2", "imagePullPolicy": "Always"}, {"name": "injected"})


def test_a_container_that_is_not_wanted_any_more_goes():
    live = containers({"name": "a"}, {"name": "b"})
    assert three_way(live, containers({"name": "b"}), live, SPEC) == containers({"name": "b"})


def test_ports_of_one_number_and_two_protocols_stay_two():
    ports = {"ports": [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]}
    live = {"ports": [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]}
    assert three_way(ports, ports, live, CONTAINER) == live


def test_items_that_share_their_key_are_replaced_whole():
    wanted = {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}
    assert three_way({}, wanted, {"env": [{"name": "B"}]}, CONTAINER) == wanted


def test_other_lists_are_replaced_whole():
    assert three_way({"args": ["a"]}, {"args": ["b"]}, {"args": ["a", "c"]}, CONTAINER) == {"args": ["b"]}


def test_a_volume_of_another_kind_drops_the_first_kind():
    live = {"volumes": [{"name": "v", "emptyDir": {}}]}
    wanted = {"volumes": [{"name": "v", "configMap": {"name": "c"}}]}
    assert three_way({}, wanted, live, SPEC) == wanted


def test_finalizers_of_others_stay():
    merged = three_way(
        {"finalizers": ["a"]}, {"finalizers": ["b"]}, {"finalizers": ["a", "theirs"]}, shapes.of(ObjectMeta)
    )
    assert merged == {"finalizers": ["b", "theirs"]}


def test_the_record_does_not_hold_itself():
    once = to_apply({"kind": "X", "metadata": {"name": "a"}, "status": {}}, "default")
    twice = to_apply(once, "default")
    assert twice == once
    assert "status" not in once


def test_a_record_that_is_no_json_counts_as_none():
    live = {"metadata": {"annotations": {LAST_APPLIED: "{"}}, "data": {"a": "1"}}
    assert applied(live, {"data": {"b": "2"}}, shapes.of(ConfigMap))["data"] == {"a": "1", "b": "2"}
