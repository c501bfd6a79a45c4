"""JSON patch, by the examples of RFC 6902's appendix A and what else it says."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api.errors import Invalid
from knarr_controlplane.registry import json_patch
from knarr_controlplane.registry.json_patch import patched


def add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


APPENDIX_A = [
    ("A.1", {"foo": "bar"}, [add("/baz", "qux")], {"baz": "qux", "foo": "bar"}),
    ("A.2", {"foo": ["bar", "baz"]}, [add("/foo/1", "qux")], {"foo": ["bar", "qux", "baz"]}),
    ("A.3", {"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ("A.4", {"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    (
        "A.5",
        {"baz": "qux", "foo": "bar"},
        [{"op": "replace", "path": "/baz", "value": "boo"}],
        {"baz": "boo", "foo": "bar"},
    ),
    (
        "A.6",
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    (
        "A.7",
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    (
        "A.8",
        {"baz": "qux", "foo": ["a", 2, "c"]},
        [{"op": "test", "path": "/baz", "value": "qux"}, {"op": "test", "path": "/foo/1", "value": 2}],
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    ("A.10", {"foo": "bar"}, [add("/child", {"grandchild": {}})], {"foo": "bar", "child": {"grandchild": {}}}),
    ("A.11", {"foo": "bar"}, [{**add("/baz", "qux"), "xyz": 123}], {"foo": "bar", "baz": "qux"}),
    ("A.14", {"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    ("A.16", {"foo": ["bar"]}, [add("/foo/-", ["abc", "def"])], {"foo": ["bar", ["abc", "def"]]}),
]
REFUSED = [
    ("A.9", {"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "bar"}], "testing value /baz failed: test failed"),
    ("A.12", {"foo": "bar"}, [add("/baz/bat", "qux")], "missing value"),
    ("A.15", {"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": "10"}], "test failed"),
    ("no operation", {}, [{"op": "frobnicate", "path": ""}], "unexpected kind of operation"),
    ("no path", {}, [{"op": "remove"}], "path: expected a JSON pointer"),
    ("no value", {}, [{"op": "add", "path": "/a"}], "value: Required value"),
    ("a pointer without a slash", {"a": 1}, [{"op": "remove", "path": "a"}], "expected a JSON pointer"),
    ("nothing to remove", {}, [{"op": "remove", "path": "/a"}], "missing value"),
    ("nothing to replace", {}, [{"op": "replace", "path": "/a", "value": 1}], "missing value"),
    ("behind the end", {"a": [1]}, [add("/a/2", 1)], "out of bounds"),
    ("a leading zero", {"a": [1, 2]}, [add("/a/01", 1)], "is no index"),
    ("below zero", {"a": [1, 2]}, [add("/a/-1", 1)], "is no index"),
    ("the place behind the end", {"a": [1]}, [{"op": "remove", "path": "/a/-"}], "is no index"),
    ("members of a text", {"a": "b"}, [add("/a/b", 1)], "has no members"),
    ("into itself", {"a": {"b": {}}}, [{"op": "move", "from": "/a", "path": "/a/b/c"}], "into itself"),
    ("a boolean is no number", {"a": 1}, [{"op": "test", "path": "/a", "value": True}], "test failed"),
    ("not an array", {}, {"op": "add"}, "must be an array"),
    ("not an object", {}, ["add"], "expected an object"),
    ("too many", {}, [add("/a", 1)] * 10_001, "more than the limit"),
    (
        "too large",
        {"a": "x" * 1000},
        [{"op": "copy", "from": "", "path": f"/c{number}"} for number in range(30)],
        "copies make more than",
    ),
]


@pytest.mark.parametrize(("document", "patch", "result"), [case[1:] for case in APPENDIX_A], ids=lambda _: "")
def test_the_examples_of_the_rfc(document: Any, patch: Any, result: Any) -> None:
    assert patched(document, patch) == result


@pytest.mark.parametrize(("document", "patch", "message"), [case[1:] for case in REFUSED], ids=lambda _: "")
def test_what_does_not_fit_is_refused_and_changes_nothing(document: Any, patch: Any, message: str) -> None:
    before = copy.deepcopy(document)
    with pytest.raises(Invalid, match=message):
        patched(document, patch)
    assert document == before


def test_numbers_are_compared_by_value() -> None:
    assert patched({"a": 1.0}, [{"op": "test", "path": "/a", "value": 1}]) == {"a": 1.0}
    assert json_patch.equal([{"a": [1, None]}], [{"a": [1, None]}])
    assert not json_patch.equal({"a": 0}, {"a": False})


def test_a_copy_has_a_life_of_its_own() -> None:
    patch = [{"op": "copy", "from": "/a", "path": "/b"}, add("/b/-", 2)]
    assert patched({"a": [1]}, patch) == {"a": [1], "b": [1, 2]}


def test_the_whole_document_can_be_replaced() -> None:
    assert patched({"a": 1}, [add("", {"b": 2})]) == {"b": 2}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~0", max_size=2), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(VALUES, st.lists(st.sampled_from(["", "a", "b", "0", "1", "-", "~0", "~1", "a~1b"]), max_size=3), VALUES)
def test_what_was_added_can_be_tested_and_taken_away(document: Any, path: Any, value: Any) -> None:
    pointer = "".join(f"/{part}" for part in path)
    try:
        after = patched(document, [add(pointer, value)])
    except Invalid:
        return
    if not pointer.endswith("/-") or "-" in str(document):
        assert patched(after, [{"op": "test", "path": pointer, "value": value}]) == after
