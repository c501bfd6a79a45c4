"""Properties of field sets, changes and applies, on documents of any content."""

from __future__ import annotations

import copy
import datetime
import importlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api import json, merge_facts, shapes
from knarr_api.errors import Conflict, Invalid
from knarr_api.kinds import KINDS
from knarr_api.shapes import Parts
from knarr_api.types.core_v1 import Pod
from knarr_controlplane.registry import field_changes, field_sets, managed_fields, server_side_apply
from knarr_controlplane.registry.managed_fields import APPLY, NOBODYS, Manager, Managers

SHAPE = shapes.of(Pod)
NOW = datetime.datetime(2026, 1, 31, 8, 0, 0, 500, tzinfo=datetime.UTC)
NAMES = st.sampled_from(["a", "b", "c"])
TEXTS = st.sampled_from(["1", "2", "3"])
ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'])
PATHS = st.frozensets(st.lists(ELEMENTS, min_size=1, max_size=4).map(tuple), max_size=8)


def unique_by(key: str, item: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(item, max_size=3, unique_by=lambda each: each[key])


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional=fields)


ENV = unique_by("name", st.fixed_dictionaries({"name": NAMES}, optional={"value": TEXTS}))
CONTAINER = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "image": TEXTS,
        "args": st.lists(TEXTS, max_size=2),
        "env": ENV,
        "resources": some(limits=st.dictionaries(st.sampled_from(["cpu", "memory"]), TEXTS, max_size=2)),
        "securityContext": some(privileged=st.booleans(), runAsUser=st.integers(0, 2)),
    },
)
CONFIGS = st.fixed_dictionaries(
    {"apiVersion": st.just("v1"), "kind": st.just("Pod")},
    optional={
        "metadata": some(
            labels=st.dictionaries(NAMES, TEXTS, max_size=3), finalizers=st.lists(NAMES, max_size=3, unique=True)
        ),
        "spec": some(
            containers=unique_by("name", CONTAINER),
            nodeSelector=st.dictionaries(NAMES, TEXTS, max_size=2),
            hostNetwork=st.booleans(),
            tolerations=st.lists(some(key=NAMES), max_size=2),
        ),
    },
)
STEPS = st.lists(st.tuples(st.sampled_from(["alice", "bob", "carol"]), CONFIGS, st.booleans()), max_size=6)


def pod(document: Any) -> Pod:
    return json.from_builtins(document, Pod)


def manager(name: str) -> Manager:
    return Manager(name=name, operation=APPLY, api_version="")


def apply(live: Any, config: Any, managers: Managers, name: str, *, force: bool) -> server_side_apply.Applied:
    return server_side_apply.apply(
        live, config, SHAPE, managers, manager(name), decode=pod, api_version="v1", now=NOW, force=force
    )


def normal(document: Any) -> Any:
    return json.to_builtins(pod(document))


@settings(deadline=None)
@given(PATHS)
def test_a_set_of_paths_survives_being_written(paths: Any) -> None:
    assert field_sets.from_fields_v1(field_sets.to_fields_v1(paths)) == paths


@pytest.mark.parametrize("tree", [{"x": {}}, {"f:a": []}, {"f:a": {"q:": {}}}, [], "f:a"])
def test_what_is_no_tree_of_fields(tree: Any) -> None:
    with pytest.raises(Invalid, match=r"metadata\.managedFields"):
        field_sets.from_fields_v1(tree)


def test_paths_are_shown_as_in_kubernetes() -> None:
    path = ("f:spec", "f:containers", 'k:{"containerPort":80,"protocol":"TCP"}', "f:name")
    assert field_sets.text(path) == '.spec.containers[containerPort=80,protocol="TCP"].name'
    assert field_sets.text(("f:metadata", "f:finalizers", 'v:"a/b"')) == '.metadata.finalizers[="a/b"]'


@settings(deadline=None)
@given(CONFIGS, CONFIGS)
def test_changes_are_the_same_forwards_and_backwards(old: Any, new: Any) -> None:
    there, back = field_changes.between(pod(old), pod(new)), field_changes.between(pod(new), pod(old))
    assert there.added == back.removed
    assert there.removed == back.added
    assert there.modified == back.modified
    assert not there.added & there.removed and not there.added & there.modified


@settings(deadline=None)
@given(CONFIGS)
def test_nothing_changes_in_what_is_the_same(document: Any) -> None:
    changes = field_changes.between(pod(document), pod(copy.deepcopy(document)))
    assert not changes.added | changes.modified | changes.removed


@settings(deadline=None)
@given(STEPS)
def test_applies_in_any_order(steps: Any) -> None:
    live: Any = {"apiVersion": "v1", "kind": "Pod"}
    managers: Managers = {}
    wanted: dict[str, Any] = {}
    for name, config, force in steps:
        before = copy.deepcopy((live, config, managers))
        try:
            result = apply(live, config, managers, name, force=force)
        except Conflict as refused:
            assert not force and refused.details
            continue
        finally:
            assert (live, config, managers) == before, "arguments are left alone"
        live, managers = result.document, result.managers
        wanted[name] = config
        paths = field_sets.of_document(config, SHAPE) - NOBODYS
        assert managers[manager(name)].paths == paths, "who applies owns what was said, and nothing else"
        merged_again = server_side_apply.merged(live, config, SHAPE)
        assert normal(merged_again) == normal(live), "what was said is there"
        again = apply(live, config, managers, name, force=False)
        assert normal(again.document) == normal(live), "applying twice is applying once"
        assert again.managers == managers
    for name, config in wanted.items():
        for other, theirs in wanted.items():
            shared = managers[manager(name)].paths & managers[manager(other)].paths
            for path in shared:
                assert _leaf(config, path) == _leaf(theirs, path), "owned together is wanted the same"


@settings(deadline=None)
@given(STEPS, CONFIGS)
def test_an_update_leaves_no_field_with_two_owners_that_disagree(steps: Any, update: Any) -> None:
    live: Any = {"apiVersion": "v1", "kind": "Pod"}
    managers: Managers = {}
    for name, config, _ in steps:
        result = apply(live, config, managers, name, force=True)
        live, managers = result.document, result.managers
    old, new = pod(live), pod({**update, "apiVersion": "v1", "kind": "Pod"})
    old = managed_fields.created(old, managed_fields.Writer(manager="x", quiet=True), NOW)
    entries = managed_fields.written(managers)
    old = managed_fields.replace(old, metadata=managed_fields.replace(old.metadata, managed_fields=entries))
    written = managed_fields.updated(old, new, managed_fields.Writer(manager="dave"), NOW)
    after = managed_fields.read(written.metadata.managed_fields)
    changes = field_changes.between(pod(live), new)
    changed = changes.added | changes.modified
    for each, owned in after.items():
        if each.name == "dave":
            assert owned.paths == changed - NOBODYS
        else:
            assert owned.paths == managers[each].paths - changed - changes.removed


@settings(deadline=None)
@given(CONFIGS)
def test_managers_survive_being_written(config: Any) -> None:
    managers = apply({"apiVersion": "v1", "kind": "Pod"}, config, {}, "alice", force=False).managers
    entries = managed_fields.written(managers)
    assert managed_fields.written(managed_fields.read(entries)) == entries
    assert all(entry.time is not None and entry.time.microsecond == 0 for entry in entries)


def test_every_fact_is_about_a_field_that_there_is() -> None:
    for (message, name), facts in merge_facts._table().items():
        module, class_ = message.split(".")
        type_ = getattr(importlib.import_module(f"knarr_api.types.{module}"), class_)
        shape = shapes.of(type_)
        if name == "*":
            assert shape.parts is Parts.NONE, message
            continue
        child = shape.child(name)
        assert child is not None, f"{message}.{name}"
        for key in (*facts.keys, *([facts.merge_key] if facts.merge_key else ())):
            assert child.inner is not None and child.inner.child(key) is not None, f"{message}.{name}: {key}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.qualified_kind)
def test_every_kind_has_a_shape(kind: Any) -> None:
    shape = shapes.of(kind.type)
    assert {"apiVersion", "kind", "metadata"} <= set(shape.struct.by_name)
    field_changes.between(None, kind.type())


def _leaf(document: Any, path: Any) -> Any:
    return server_side_apply._at(document, SHAPE, path)


def test_pods_that_differ_in_their_names_alone_have_the_same_owners_each_since_its_own_time():
    def made(name: str, labels: dict[str, str], at: datetime.datetime) -> Any:
        pod = json.from_builtins({"metadata": {"name": name, "uid": f"uid-{name}", "labels": labels}}, Pod)
        writer = managed_fields.Writer(manager="kubectl")
        (entry,) = managed_fields.created(pod, writer, at).metadata.managed_fields
        return entry

    later = NOW + datetime.timedelta(minutes=1)
    one, two, other = made("one", {"a": "1"}, NOW), made("two", {"a": "1"}, later), made("one", {"b": "1"}, NOW)
    assert one.fields_v1 == two.fields_v1 == {"f:metadata": {"f:labels": {".": {}, "f:a": {}}}}
    assert (one.time, two.time) == (NOW.replace(microsecond=0), later.replace(microsecond=0))
    assert other.fields_v1 == {"f:metadata": {"f:labels": {".": {}, "f:b": {}}}}
