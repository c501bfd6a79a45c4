"""Fields of stored objects that this version does not know: kept when it writes.

While control planes are upgraded one after the other, an older one changes objects in which a newer one has set fields
that the older has no place for. What is read into a value loses them, so they are remembered beside it and put back
into what is stored next, wherever what they belonged to is still there. Pure.

In a list an item is found again by what names it in Kubernetes (``name``, ``type``, …), else by its place in a list of
the same length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NAMES = ("name", "type", "key", "uid", "containerPort", "mountPath", "devicePath", "ip", "topologyKey", "manager")
Identity = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Of one object: what of it itself is not known, and what is not in the objects and lists inside it."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    inside: Mapping[str, Unknown] = field(default_factory=dict)
    items: tuple[tuple[Identity, Unknown], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.inside or self.items)


def lost(stored: Any, known: Any) -> Unknown:
    """What ``known``, the same document read and written by this version, no longer has of ``stored``."""
    if isinstance(stored, dict) and isinstance(known, dict):
        fields = {name: value for name, value in stored.items() if name not in known}
        within = {name: lost(value, known[name]) for name, value in stored.items() if name in known}
        return Unknown(fields, {name: unknown for name, unknown in within.items() if unknown})
    if isinstance(stored, list) and isinstance(known, list) and len(stored) == len(known):
        found = ((index, lost(one, other)) for index, (one, other) in enumerate(zip(stored, known, strict=True)))
        return Unknown(items=tuple((_identity(known, index), unknown) for index, unknown in found if unknown))
    return Unknown()


def restored(document: Any, unknown: Unknown) -> Any:
    """The document with what was lost, as far as there is a place for it."""
    if isinstance(document, dict):
        made = {**unknown.fields, **document}
        for name, within in unknown.inside.items():
            if name in document:
                made[name] = restored(document[name], within)
        return made
    if isinstance(document, list):
        by_identity = dict(unknown.items)
        return [
            restored(item, by_identity[identity]) if (identity := _identity(document, index)) in by_identity else item
            for index, item in enumerate(document)
        ]
    return document


def _identity(items: list[Any], index: int) -> Identity:
    """Of an item among others; a name counts where no other item has it."""
    item = items[index]
    if isinstance(item, dict):
        for name in NAMES:
            value = item.get(name)
            if isinstance(value, str | int) and sum(_has(other, name, value) for other in items) == 1:
                return name, value
    return f"of {len(items)}", index


def _has(item: Any, name: str, value: Any) -> bool:
    return isinstance(item, dict) and item.get(name) == value
