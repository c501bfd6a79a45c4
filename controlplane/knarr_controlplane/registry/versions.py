"""Two versions of an object side by side: which fields changed, and who did it. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from knarr_api.types.meta_v1 import ManagedFieldsEntry

HIDDEN = frozenset({"metadata.managedFields", "metadata.resourceVersion", "metadata.generation"})
"""Change with nearly every write, and say nothing about it."""
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KEYS = ("name", "type", "uid", "mountPath", "containerPort", "ip", "key")
"""What items of lists are told apart by, the first that all items have; others by their place."""
ABSENT = object()


@dataclass(frozen=True, slots=True)
class FieldChange:
    """path: ``spec.template.spec.containers[name=web].image``. before, after: ABSENT where there was or is nothing."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote, how and when; all empty for a component whose writes are not tracked."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    time: datetime.datetime | None = None


def changes(old: Any, new: Any, path: str = "") -> Iterator[FieldChange]:
    """From one JSON document to another, leaf by leaf, in the documents' order."""
    if old == new or path in HIDDEN or path.endswith(f"[{LAST_APPLIED}]"):
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = [*old, *(name for name in new if name not in old)]
        for name in names:
            yield from changes(old.get(name, ABSENT), new.get(name, ABSENT), _below(path, name))
        return
    if isinstance(old, list) and isinstance(new, list):
        yield from _items(old, new, path)
        return
    yield FieldChange(path, old, new)


def _items(old: list[Any], new: list[Any], path: str) -> Iterator[FieldChange]:
    key = next((key for key in KEYS if _tells_apart(key, old) and _tells_apart(key, new)), "")
    if key:
        before = {str(item[key]): item for item in old}
        after = {str(item[key]): item for item in new}
        names = [f"{path}[{key}={value}]" for value in (*before, *(v for v in after if v not in before))]
        values = [*before, *(v for v in after if v not in before)]
        for name, value in zip(names, values, strict=True):
            yield from changes(before.get(value, ABSENT), after.get(value, ABSENT), name)
        return
    if all(not isinstance(item, Mapping | list) for item in (*old, *new)):
        yield FieldChange(path, old, new)
        return
    for number in range(max(len(old), len(new))):
        one = old[number] if number < len(old) else ABSENT
        other = new[number] if number < len(new) else ABSENT
        yield from changes(one, other, f"{path}[{number}]")


def _tells_apart(key: str, items: list[Any]) -> bool:
    values = [item.get(key) for item in items if isinstance(item, Mapping)]
    return len(values) == len(items) == len({str(value) for value in values}) and None not in values


def _below(path: str, name: str) -> str:
    if not path:
        return name
    return f"{path}.{name}" if "." not in name and "/" not in name else f"{path}[{name}]"


def author(old: tuple[ManagedFieldsEntry, ...], new: tuple[ManagedFieldsEntry, ...]) -> Author:
    """Of the write between two versions: the manager whose entry is new or another, the latest of several."""
    before = {_identity(entry): entry for entry in old}
    changed = [entry for entry in new if before.get(_identity(entry)) != entry]
    if not changed:
        return Author()
    latest = max(changed, key=lambda entry: entry.time.timestamp() if entry.time is not None else 0.0)
    return Author(latest.manager, latest.operation, latest.subresource, latest.time)


def _identity(entry: ManagedFieldsEntry) -> tuple[str, str, str, str]:
    return (entry.manager, entry.operation, entry.subresource, entry.api_version)
