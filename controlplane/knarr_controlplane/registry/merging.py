"""JSON merge patch and apply, on plain dicts. Pure: arguments are not changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from knarr_api import json
from knarr_api.errors import Invalid

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

MERGE_KEYS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "containers": (("name",),),
    "initContainers": (("name",),),
    "ephemeralContainers": (("name",),),
    "volumes": (("name",),),
    "env": (("name",),),
    "imagePullSecrets": (("name",),),
    "secrets": (("name",),),
    "ports": (("containerPort", "protocol"), ("port", "protocol")),
    "volumeMounts": (("mountPath",),),
    "volumeDevices": (("devicePath",),),
    "hostAliases": (("ip",),),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
    "ownerReferences": (("uid",),),
}
"""Lists whose items are told apart by some fields; of several sets the first that the items have. Others are replaced
whole. Source: Kubernetes "Server-Side Apply", list types; fields that are absent count as their defaults."""
KEY_DEFAULTS: Mapping[str, str] = {"protocol": "TCP", "whenUnsatisfiable": "DoNotSchedule"}
UNIONS = frozenset({"strategy", "updateStrategy"})
"""Objects, and items of ``volumes``, of which another kind may be chosen: what is not wanted any more goes with it."""
SETS = frozenset({"finalizers"})

Identity = tuple[Any, ...]


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


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
    recorded = {**metadata, "annotations": annotations} if annotations else metadata
    body = {name: value for name, value in document.items() if name != "status"}
    record = json.encode({**body, "metadata": {k: v for k, v in recorded.items() if k != "resourceVersion"}})
    return {**body, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: record.decode() + "\n"}}}


def applied(live: dict[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The live object after applying; what was applied last is in its own record."""
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    try:
        last = json.load(text) if text else {}
    except Invalid:
        last = {}
    return three_way(last if isinstance(last, Mapping) else {}, wanted, live)


def three_way(last: Mapping[str, Any], wanted: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """``live`` with what ``wanted`` says, without what ``last`` said and ``wanted`` does not any more."""
    result = {name: value for name, value in live.items() if name not in last or name in wanted}
    for name, value in wanted.items():
        present, before = result.get(name), last.get(name)
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            present = present if isinstance(present, Mapping) else {}
            merged = three_way(before if isinstance(before, Mapping) else {}, value, present)
            result[name] = _chosen(merged, value) if name in UNIONS else merged
        elif isinstance(value, list) and isinstance(present, list):
            result[name] = _lists(name, before if isinstance(before, list) else [], value, present)
        else:
            result[name] = value
    return result


def _chosen(merged: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in merged.items() if name in wanted}


def _lists(name: str, last: list[Any], wanted: list[Any], live: list[Any]) -> list[Any]:
    if name in SETS:
        return [*wanted, *(item for item in live if item not in wanted and item not in last)]
    for key in MERGE_KEYS.get(name, ()):
        asked, present = _by_key(wanted, key), _by_key(live, key)
        if asked is None or present is None:
            continue
        before = _by_key(last, key) or {}
        merged = []
        for identity, item in asked.items():
            one = three_way(before.get(identity, {}), item, present[identity]) if identity in present else item
            merged.append(_chosen(one, item) if name == "volumes" else one)
        others = [item for identity, item in present.items() if identity not in asked and identity not in before]
        return [*merged, *others]
    return wanted


def _by_key(items: list[Any], key: tuple[str, ...]) -> dict[Identity, Mapping[str, Any]] | None:
    """The items by what tells them apart; None when some lack it or two share it."""
    found: dict[Identity, Mapping[str, Any]] = {}
    for item in items:
        if not isinstance(item, Mapping) or key[0] not in item:
            return None
        identity = tuple(item.get(field, KEY_DEFAULTS.get(field)) for field in key)
        if any(isinstance(part, dict | list) for part in identity):
            return None
        found[identity] = item
    return found if len(found) == len(items) else None
