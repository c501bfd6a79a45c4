"""JSON merge patch and apply, on plain dicts. Pure: arguments are not changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

MERGE_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "ports": ("containerPort", "port"),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey",),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
}
"""Lists whose items are told apart by a field; of several the one that the items have. Others are replaced whole."""


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


def three_way(last: Any, wanted: Any, live: Any) -> Any:
    """``live`` with what ``wanted`` says, without what ``last`` said and ``wanted`` does not any more."""
    result = dict(live)
    for name in last:
        if name not in wanted:
            result.pop(name, None)
    for name, value in wanted.items():
        present, before = result.get(name), last.get(name)
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(present, Mapping):
            result[name] = three_way(before if isinstance(before, Mapping) else {}, value, present)
        elif isinstance(value, list) and isinstance(present, list):
            result[name] = _lists(name, before if isinstance(before, list) else [], value, present)
        else:
            result[name] = value
    return result


def _lists(name: str, last: list[Any], wanted: list[Any], live: list[Any]) -> list[Any]:
    key = _key_of(name, [*wanted, *live])
    if key is None:
        return wanted
    before = {item[key]: item for item in last if isinstance(item, Mapping) and key in item}
    present = {item[key]: item for item in live}
    asked = {item[key]: item for item in wanted}
    merged = [
        three_way(before.get(identity, {}), item, present[identity]) if identity in present else item
        for identity, item in asked.items()
    ]
    others = [item for identity, item in present.items() if identity not in asked and identity not in before]
    return [*merged, *others]


def _key_of(name: str, items: list[Any]) -> str | None:
    """The field that tells the items apart, when all have it and no two of a list share it."""
    for key in MERGE_KEYS.get(name, ()):
        if all(isinstance(item, Mapping) and key in item for item in items):
            return key
    return None
