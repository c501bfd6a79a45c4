"""What changed between two versions, and who did it."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api.merge_patch import merge_patch
from knarr_api.types.meta_v1 import ManagedFieldsEntry
from knarr_cli.commands.past import moment, reverted
from knarr_controlplane.registry.versions import ABSENT, author, changes

NOW = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def told(old: Any, new: Any) -> list[tuple[str, Any, Any]]:
    return [(each.path, each.before, each.after) for each in changes(old, new)]


def test_leaves_are_told_with_their_paths() -> None:
    old = {"spec": {"replicas": 1, "paused": True, "template": {"a": 1}}}
    new = {"spec": {"replicas": 2, "template": {"a": 1}}, "data": {"x.y": "z"}}
    assert told(old, new) == [
        ("spec.replicas", 1, 2),
        ("spec.paused", True, ABSENT),
        ("data", ABSENT, {"x.y": "z"}),
    ]


def test_items_are_found_by_their_names_wherever_they_stand() -> None:
    old = {"c": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}
    new = {"c": [{"name": "b", "image": "2"}, {"name": "a", "image": "1"}]}
    assert told(old, new) == [("c[name=b].image", "1", "2")]


def test_keys_with_dots_are_bracketed_and_what_always_changes_is_left_out() -> None:
    old = {"metadata": {"resourceVersion": "1", "annotations": {"a/b": "1"}}}
    new = {"metadata": {"resourceVersion": "2", "annotations": {"a/b": "2"}}}
    assert told(old, new) == [("metadata.annotations[a/b]", "1", "2")]


@given(JSON, JSON)
def test_nothing_is_told_of_equal_documents_and_something_of_others(one: Any, other: Any) -> None:
    assert told({"x": one}, {"x": one}) == []
    assert bool(told({"x": one}, {"x": other})) == (one != other)


def test_the_author_is_whose_entry_is_new_or_another() -> None:
    def entry(manager: str, minute: int) -> ManagedFieldsEntry:
        return ManagedFieldsEntry(manager=manager, operation="Update", time=NOW.replace(minute=minute))

    kubectl, hpa = entry("kubectl", 1), entry("hpa", 2)
    assert author((kubectl,), (kubectl, hpa)).manager == "hpa"
    assert author((kubectl, hpa), (entry("kubectl", 3), hpa)).manager == "kubectl"
    assert author((kubectl,), (kubectl,)).manager == ""


DOCUMENTS = st.dictionaries(
    st.sampled_from(("spec", "data")), st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)
)


def _clean(value: Any) -> Any:
    """Merge patches can't say null: Kubernetes' documents have none."""
    if isinstance(value, dict):
        return {name: _clean(item) for name, item in value.items() if item is not None}
    return [_clean(item) for item in value] if isinstance(value, list) else value


@given(DOCUMENTS, DOCUMENTS)
def test_what_is_reverted_is_as_before(before: Any, after: Any) -> None:
    before, after = _clean(before), _clean(after)
    assert merge_patch(after, reverted(before, after)) == before


def test_what_is_not_the_users_is_not_reverted() -> None:
    before = {"metadata": {"labels": {"a": "1"}, "generation": 1, "uid": "x"}, "status": {"a": 1}}
    after = {"metadata": {"labels": {"a": "2"}, "generation": 2, "uid": "x"}, "status": {"a": 2}}
    assert reverted(before, after) == {"metadata": {"labels": {"a": "1"}}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", NOW - datetime.timedelta(minutes=10)),
        ("2d", NOW - datetime.timedelta(days=2)),
        ("1d12h", NOW - datetime.timedelta(days=1, hours=12)),
        ("2029-12-31T23:59:00Z", datetime.datetime(2029, 12, 31, 23, 59, tzinfo=datetime.UTC)),
        ("2029-12-31T23:59:00", datetime.datetime(2029, 12, 31, 23, 59, tzinfo=datetime.UTC)),
    ],
)
def test_moments(text: str, expected: datetime.datetime) -> None:
    assert moment(text, NOW) == expected
