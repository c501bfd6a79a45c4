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


MADE = ("uid", "resourceVersion", "generation", "creationTimestamp", "selfLink", "managedFields", *(
    "deletionTimestamp", "deletionGracePeriodSeconds"
))  # fmt: skip
"""Of metadata, by the API."""
DELETING = ("foregroundDeletion", "orphan")
"""Finalizers that say how it was deleted."""
OF_A_JOB = ("batch.kubernetes.io/controller-uid", "controller-uid", "batch.kubernetes.io/job-name", "job-name")


def anew(document: Mapping[str, Any], owners: Iterable[str] = ()) -> dict[str, Any]:
    """What to create so that a deleted object is there again. owners: uids of those that still are. Pure.

    Not its status, nor what it was given when it was made or placed: its uid, a pod's node, a Job's own selector.
    """
    metadata = {name: value for name, value in document.get("metadata", {}).items() if name not in MADE}
    there = set(owners)
    kept = {
        "ownerReferences": [each for each in metadata.get("ownerReferences", ()) if each.get("uid") in there],
        "finalizers": [each for each in metadata.get("finalizers", ()) if each not in DELETING],
    }
    metadata = {**metadata, **kept}
    metadata = {name: value for name, value in metadata.items() if value or name not in kept}
    made = {name: value for name, value in document.items() if name != "status"} | {"metadata": metadata}
    spec = document.get("spec")
    if document.get("kind") == "Pod" and isinstance(spec, Mapping):
        made["spec"] = {name: value for name, value in spec.items() if name != "nodeName"}
    if document.get("kind") == "Job" and isinstance(spec, Mapping) and not spec.get("manualSelector"):
        made["spec"] = {name: value for name, value in spec.items() if name != "selector"}
        template = dict(spec.get("template") or {})
        inner = dict(template.get("metadata") or {})
        inner["labels"] = {name: value for name, value in (inner.get("labels") or {}).items() if name not in OF_A_JOB}
        made["spec"]["template"] = {**template, "metadata": inner}
    return made


def _key(lists: Iterable[Any]) -> str:
    items = tuple(lists)
    if not all(isinstance(each, list) for each in items):
        return ""
    return next((key for key in KEYS if all(_tells_apart(key, each) for each in items)), "")


def _tells_apart(key: str, items: list[Any]) -> bool:
    values = [item.get(key) for item in items if isinstance(item, Mapping)]
    return None not in values and len(set(values)) == len(items)
