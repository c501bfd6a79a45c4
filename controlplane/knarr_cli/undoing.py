"""Taking a change back out of what an object has become since: a three-way merge of JSON documents. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

ABSENT: Any = object()
KEYS = ("name", "type", "uid", "mountPath", "containerPort", "ip", "key")
"""What items of lists are told apart by, the first that all items have; other lists go back whole."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field as it is now and as it is to be; or, in a conflict, as the change left it and as it is now."""

    path: str
    present: Any
    other: Any


@dataclass(slots=True)
class Undoing:
    """force: what was changed again since goes back, too. back: fields that go back; conflicts: those that don't."""

    force: bool = False
    back: list[Field] = field(default_factory=list)
    conflicts: list[Field] = field(default_factory=list)

    def take_back(self, before: Any, after: Any, live: Any, path: str = "") -> Any:
        """``live`` without what changed from ``before`` to ``after``."""
        if before == after or live == before:
            return live
        if isinstance(before, Mapping) and isinstance(after, Mapping) and isinstance(live, Mapping):
            return self._mapping(before, after, live, path)
        if live == after:
            self.back.append(Field(path, live, before))
            return before
        key = _key((before, after, live))
        if key:
            return self._items(key, before, after, live, path)
        if self.force:
            self.back.append(Field(path, live, before))
            return before
        self.conflicts.append(Field(path, after, live))
        return live

    def _mapping(
        self, before: Mapping[str, Any], after: Mapping[str, Any], live: Mapping[str, Any], path: str
    ) -> dict[str, Any]:
        found = {}
        for name in dict.fromkeys((*live, *before, *after)):
            below = f"[{name}]" if "." in name or "/" in name else f".{name}" if path else name
            value = self.take_back(
                before.get(name, ABSENT), after.get(name, ABSENT), live.get(name, ABSENT), f"{path}{below}"
            )
            if value is not ABSENT:
                found[name] = value
        return found

    def _items(self, key: str, before: list[Any], after: list[Any], live: list[Any], path: str) -> list[Any]:
        one, other, now = ({item[key]: item for item in items} for items in (before, after, live))
        found = []
        for name in dict.fromkeys((*now, *one)):
            below = f"{path}[{key}={name}]"
            value = self.take_back(one.get(name, ABSENT), other.get(name, ABSENT), now.get(name, ABSENT), below)
            if value is not ABSENT:
                found.append(value)
        return found


def _key(lists: Iterable[Any]) -> str:
    items = tuple(lists)
    if not all(isinstance(each, list) for each in items):
        return ""
    return next((key for key in KEYS if all(_tells_apart(key, each) for each in items)), "")


def _tells_apart(key: str, items: list[Any]) -> bool:
    values = [item.get(key) for item in items if isinstance(item, Mapping)]
    return None not in values and len(set(values)) == len(items)
