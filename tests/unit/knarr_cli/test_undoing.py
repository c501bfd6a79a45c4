"""Undoing one change of several: what was changed since stays, what collides is told."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from knarr_cli.undoing import Undoing, anew

scalars = st.integers(0, 2)
documents = st.recursive(
    st.dictionaries(st.sampled_from("abc"), scalars, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), st.one_of(scalars, inner), max_size=3),
    max_leaves=8,
)


def undo(before: Any, after: Any, live: Any, *, force: bool = False) -> tuple[Any, list[str], list[str]]:
    undoing = Undoing(force=force)
    found = undoing.take_back(before, after, live)
    return found, [one.path for one in undoing.back], [one.path for one in undoing.conflicts]


def test_what_others_changed_since_stays() -> None:
    found, back, conflicts = undo({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "b": 5, "c": 9})
    assert (found, back, conflicts) == ({"a": 1, "b": 5, "c": 9}, ["a"], [])


def test_what_was_changed_again_is_a_conflict_unless_forced() -> None:
    assert undo({"a": 1}, {"a": 2}, {"a": 3}) == ({"a": 3}, [], ["a"])
    assert undo({"a": 1}, {"a": 2}, {"a": 3}, force=True) == ({"a": 1}, ["a"], [])
    assert undo({}, {"a": 2}, {"a": 3}) == ({"a": 3}, [], ["a"])
    assert undo({"a": 1}, {}, {"a": 3}) == ({"a": 3}, [], ["a"])


def test_what_is_back_already_is_left() -> None:
    assert undo({"a": 1}, {"a": 2}, {"a": 1}) == ({"a": 1}, [], [])


def test_items_of_lists_are_told_apart_by_their_names() -> None:
    def pod(image: str, *more: str, debug: str = "0") -> dict[str, Any]:
        first = {"name": "web", "image": image, "env": [{"name": "DEBUG", "value": debug}]}
        return {"containers": [first, *({"name": name, "image": "x"} for name in more)]}

    found, back, conflicts = undo(pod("v1"), pod("v2"), pod("v2", "sidecar", debug="1"))
    assert (found, back, conflicts) == (pod("v1", "sidecar", debug="1"), ["containers[name=web].image"], [])
    found, _, _ = undo(pod("v1"), pod("v1", "added"), pod("v2", "added"))
    assert found == pod("v2"), "an item that was added goes"
    found, _, _ = undo(pod("v1", "gone"), pod("v1"), pod("v2"))
    assert found == pod("v2", "gone"), "an item that was removed returns"


@given(documents, documents)
def test_nothing_happened_since_so_all_goes_back(before: Any, after: Any) -> None:
    found, _, conflicts = undo(before, after, after)
    assert (found, conflicts) == (before, [])


@given(documents, documents, documents)
def test_forced_it_never_refuses_and_twice_is_once(before: Any, after: Any, live: Any) -> None:
    found, _, conflicts = undo(before, after, live, force=True)
    assert not conflicts
    again, back, _ = undo(before, after, found, force=True)
    assert again == found and not back


def test_what_was_deleted_is_made_anew_without_what_it_was_given() -> None:
    labels = {"batch.kubernetes.io/controller-uid": "u1", "job-name": "j", "app": "a"}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "j",
            "uid": "u1",
            "resourceVersion": "5",
            "finalizers": ["foregroundDeletion", "mine/own"],
            "deletionTimestamp": "2030-01-01T00:00:00Z",
            "ownerReferences": [{"uid": "gone"}, {"uid": "there"}],
            "labels": {"a": "b"},
        },
        "spec": {"selector": {"matchLabels": {}}, "template": {"metadata": {"labels": labels}}, "suspend": True},
        "status": {"active": 1},
    }
    assert anew(job, ["there"]) == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "j",
            "finalizers": ["mine/own"],
            "ownerReferences": [{"uid": "there"}],
            "labels": {"a": "b"},
        },
        "spec": {"template": {"metadata": {"labels": {"app": "a"}}}, "suspend": True},
    }
    pod = {"kind": "Pod", "metadata": {"name": "p", "finalizers": ["orphan"]}, "spec": {"nodeName": "n1", "x": 1}}
    assert anew(pod) == {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"x": 1}}
