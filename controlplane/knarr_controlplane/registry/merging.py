"""Applying, on plain dicts. Pure: arguments are not changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from knarr_api import json
from knarr_api.errors import Invalid
from knarr_api.merge_facts import KEY_DEFAULTS
from knarr_api.shapes import WHOLE, Shape

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

UNIONS = frozenset({"updateStrategy"})
"""Objects of which another kind may be chosen, besides those marked ``retainKeys``: what is not wanted goes."""

Identity = tuple[Any, ...]


def to_apply(document: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """A manifest as it is to be applied: without status, in its namespace, with a record of itself as annotation.

    Raises Invalid where metadata is not an object of the right shape.
    """
    given = document.get("metadata") or {}
    annotations = (given.get("annotations") or {}) if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or not isinstance(annotations, Mapping):
        raise Invalid("metadata: expected object")
    annotations = {name: value for name, value in annotations.items() if name != LAST_APPLIED}
    metadata = {name: value for name, value in given.items() if name not in ("annotations", "managedFields")}
    if namespace:
        metadata["namespace"] = metadata.get("namespace") or namespace
    body = {name: value for name, value in document.items() if name != "status"}
    return with_record({**body, "metadata": {**metadata, "annotations": annotations}}, document)


def with_record(document: Mapping[str, Any], applied: Mapping[str, Any]) -> dict[str, Any]:
    """The document with an annotation that holds what was applied."""
    metadata = document["metadata"]
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != LAST_APPLIED}
    given = applied.get("metadata") or {}
    recorded = {k: v for k, v in given.items() if k not in ("annotations", "managedFields", "resourceVersion")}
    theirs = {k: v for k, v in (given.get("annotations") or {}).items() if k != LAST_APPLIED}
    if theirs:
        recorded["annotations"] = theirs
    if metadata.get("namespace"):
        recorded["namespace"] = recorded.get("namespace") or metadata["namespace"]
    body = {name: value for name, value in applied.items() if name != "status"}
    record = json.encode({**body, "metadata": recorded}).decode() + "\n"
    return {**document, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: record}}}


def applied(live: dict[str, Any], wanted: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """The live object after applying; what was applied last is in its own record."""
    return three_way(last_applied(live), wanted, live, shape)


def last_applied(live: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the object's own record says; nothing where it is no JSON."""
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    try:
        last = json.load(text) if text else {}
    except Invalid:
        last = {}
    return last if isinstance(last, Mapping) else {}


def three_way(
    last: Mapping[str, Any], wanted: Mapping[str, Any], live: Mapping[str, Any], shape: Shape
) -> dict[str, Any]:
    """``live`` with what ``wanted`` says, without what ``last`` said and ``wanted`` does not any more."""
    result = {name: value for name, value in live.items() if name not in last or name in wanted}
    for name, value in wanted.items():
        present, before = result.get(name), last.get(name)
        inner = shape.child(name) or WHOLE
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            present = present if isinstance(present, Mapping) else {}
            merged = three_way(before if isinstance(before, Mapping) else {}, value, present, inner)
            chosen = name in UNIONS or "retainKeys" in inner.strategies
            result[name] = _chosen(merged, value) if chosen else merged
        elif isinstance(value, list) and isinstance(present, list):
            result[name] = _lists(before if isinstance(before, list) else [], value, present, inner)
        else:
            result[name] = value
    return result


def _chosen(merged: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in merged.items() if name in wanted}


def _lists(last: list[Any], wanted: list[Any], live: list[Any], shape: Shape) -> list[Any]:
    if "merge" not in shape.strategies:
        return wanted
    keys = shape.keys or ((shape.merge_key,) if shape.merge_key else ())
    if not keys:
        return [*wanted, *(item for item in live if item not in wanted and item not in last)]
    asked, present = _by_key(wanted, keys), _by_key(live, keys)
    if asked is None or present is None:
        return wanted
    before = _by_key(last, keys) or {}
    merged = []
    for identity, item in asked.items():
        one: Mapping[str, Any] = item
        if identity in present:
            one = three_way(before.get(identity, {}), item, present[identity], shape.inner or WHOLE)
        merged.append(_chosen(one, item) if "retainKeys" in shape.strategies else one)
    others = [item for identity, item in present.items() if identity not in asked and identity not in before]
    return [*merged, *others]


def _by_key(items: list[Any], keys: tuple[str, ...]) -> dict[Identity, Mapping[str, Any]] | None:
    """The items by what tells them apart; None when some lack it or two share it."""
    found: dict[Identity, Mapping[str, Any]] = {}
    for item in items:
        if not isinstance(item, Mapping) or keys[0] not in item:
            return None
        identity = tuple(item.get(field, KEY_DEFAULTS.get(field)) for field in keys)
        if any(isinstance(part, dict | list) for part in identity):
            return None
        found[identity] = item
    return found if len(found) == len(items) else None
