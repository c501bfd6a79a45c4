"""Strategic merge patch: lists by their keys, and directives."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api import shapes
from knarr_api.errors import Invalid
from knarr_api.types.apps_v1 import DeploymentSpec
from knarr_api.types.core_v1 import Container, Pod, PodSpec, Service
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.registry.strategic_patch import patched
from tests.slowness import patient

SPEC, META, DEPLOYMENT = shapes.of(PodSpec), shapes.of(ObjectMeta), shapes.of(DeploymentSpec)


def containers(*items: Any) -> dict[str, Any]:
    return {"containers": list(items)}


A, B = {"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}

CASES = [
    ("a field is set", SPEC, {"hostname": "x"}, {"hostname": "y"}, {"hostname": "y"}),
    ("a null removes", SPEC, {"hostname": "x"}, {"hostname": None}, {}),
    (
        "an item is found by its key",
        SPEC,
        containers(A, B),
        containers({"name": "b", "image": "b:2"}),
        containers(A, {"name": "b", "image": "b:2"}),
    ),
    ("a new item stands first", SPEC, containers(A), containers(B), containers(B, A)),
    (
        "an item is deleted",
        SPEC,
        containers(A, B),
        containers({"name": "a", "$patch": "delete"}),
        containers(B),
    ),
    (
        "a list is replaced",
        SPEC,
        containers(A, B),
        containers({"name": "c", "image": "c"}, {"$patch": "replace"}),
        containers({"name": "c", "image": "c"}),
    ),
    (
        "an object is replaced",
        SPEC,
        {"securityContext": {"runAsUser": 1, "runAsGroup": 1}},
        {"securityContext": {"$patch": "replace", "runAsUser": 2}},
        {"securityContext": {"runAsUser": 2}},
    ),
    (
        "an object is emptied",
        SPEC,
        {"securityContext": {"runAsUser": 1}},
        {"securityContext": {"$patch": "delete"}},
        {"securityContext": {}},
    ),
    (
        "a list without keys is replaced",
        SPEC,
        {"tolerations": [{"key": "a"}]},
        {"tolerations": [{"key": "b"}]},
        {"tolerations": [{"key": "b"}]},
    ),
    (
        "values of a list are joined",
        META,
        {"finalizers": ["a", "b"]},
        {"finalizers": ["c", "b"]},
        {"finalizers": ["c", "a", "b"]},
    ),
    (
        "values are taken out",
        META,
        {"finalizers": ["a", "b", "c"]},
        {"$deleteFromPrimitiveList/finalizers": ["a", "c"]},
        {"finalizers": ["b"]},
    ),
    (
        "items are put in order",
        SPEC,
        containers(A, B),
        {
            "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
            "containers": [{"name": "b", "image": "b:2"}],
        },
        containers({"name": "b", "image": "b:2"}, A),
    ),
    (
        "what the order does not name keeps its place",
        SPEC,
        containers(A, {"name": "injected"}, B),
        {"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}], "containers": []},
        containers(A, {"name": "injected"}, B),
    ),
    (
        "of a volume the kind that is not kept goes",
        SPEC,
        {"volumes": [{"name": "v", "emptyDir": {}}]},
        {"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}]},
        {"volumes": [{"name": "v", "configMap": {"name": "c"}}]},
    ),
    (
        "of a strategy the fields that are not kept go",
        DEPLOYMENT,
        {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}},
        {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}},
        {"strategy": {"type": "Recreate"}},
    ),
    (
        "ports are merged by their number",
        shapes.of(Container),
        {"ports": [{"containerPort": 80, "name": "http"}]},
        {"ports": [{"containerPort": 80, "protocol": "TCP"}]},
        {"ports": [{"containerPort": 80, "name": "http", "protocol": "TCP"}]},
    ),
    (
        "directives of what is new mean nothing",
        SPEC,
        {},
        {"securityContext": {"$retainKeys": ["runAsUser"], "runAsUser": 1}, "containers": [{"name": "a"}]},
        {"securityContext": {"runAsUser": 1}, "containers": [{"name": "a"}]},
    ),
    (
        "maps are merged",
        shapes.of(Service),
        {"spec": {"selector": {"a": "1", "b": "1"}}},
        {"spec": {"selector": {"a": "2", "b": None}}},
        {"spec": {"selector": {"a": "2"}}},
    ),
]
REFUSED = [
    (containers({"image": "x"}), "does not contain declared merge key: name"),
    ({"$patch": "frob"}, "unknown patch type found"),
    (containers({"name": "a", "$patch": "frob"}), "unknown patch type found"),
    ({"securityContext": {"$retainKeys": "x"}}, "expected a list of field names"),
    ({"securityContext": {"$retainKeys": ["a"], "runAsUser": 1}}, "does not have all fields"),
    ({"$deleteFromPrimitiveList/x": "a"}, "expected a list of values"),
    ({"$frob": 1}, "is no directive"),
    (["x"], "must be a JSON object"),
]


@pytest.mark.parametrize(("shape", "document", "patch", "result"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_cases(shape: Any, document: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy((document, patch))
    assert patched(document, patch, shape) == result
    assert (document, patch) == before


@pytest.mark.parametrize(("patch", "message"), REFUSED)
def test_what_is_no_patch_is_refused(patch: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        patched({"securityContext": {}, **containers(A)}, patch, SPEC)


DIRECTIVES = st.sampled_from(["$patch", "$retainKeys", "$setElementOrder/containers", "containers", "name", "x"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.sampled_from(["delete", "replace", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(DIRECTIVES, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(DIRECTIVES, ANYTHING, max_size=4), st.dictionaries(DIRECTIVES, ANYTHING, max_size=4))
def test_any_patch_is_done_or_refused(document: Any, patch: Any) -> None:
    try:
        patched({"spec": document}, {"spec": patch}, shapes.of(Pod))
    except Invalid:
        pass


def test_long_lists_take_a_moment_not_a_minute() -> None:
    def pod(first: int) -> dict[str, Any]:
        env = [{"name": f"e{number}"} for number in range(first, first + 10_000)]
        finalizers = [f"a/b{number}" for number in range(first, first + 10_000)]
        return {"metadata": {"finalizers": finalizers}, "spec": {"containers": [{"name": "c", "env": env}]}}

    started = time.process_time()
    merged = patched(pod(0), pod(5_000), shapes.of(Pod))
    assert len(merged["spec"]["containers"][0]["env"]) == len(merged["metadata"]["finalizers"]) == 15_000
    assert time.process_time() - started < patient(2), "it took 20 s where each item was looked for among all"
