"""Server-side apply: a client says which fields it wants, and owns these. Pure: documents and managers in, both out.

1. what is wanted is merged into what is there;
2. what the client applied before and wants no longer goes, unless somebody else owns it;
3. where this changes a field that somebody else owns there is a conflict, unless forced: then the field changes hands.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from knarr_api.errors import Conflict, FieldError
from knarr_api.shapes import WHOLE, Form, Parts, Shape
from knarr_controlplane.registry import field_changes, field_sets, managed_fields
from knarr_controlplane.registry.field_sets import Path, Paths
from knarr_controlplane.registry.managed_fields import APPLY, NOBODYS, UPDATE, Manager, Managers, Owned

Document = Mapping[str, Any]
BEFORE_FIRST_APPLY = "before-first-apply"
CLIENT_SIDE = frozenset({"kubectl-client-side-apply", "knarr-client-side-apply"})
"""Managers of what clients merge themselves, with a record of it in an annotation."""
MIGRATES = frozenset({"kubectl", "knarr"})
"""Managers that take such an object over as what they applied last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The document and the managers after an apply."""

    document: dict[str, Any]
    managers: Managers


def apply(
    live: Document,
    config: Document,
    shape: Shape,
    managers: Managers,
    manager: Manager,
    *,
    decode: Callable[[Any], Any],
    api_version: str,
    now: datetime.datetime,
    force: bool = False,
) -> Applied:
    """Raises Conflict, naming the owners. decode: makes a value of a document."""
    managers = dict(managers)
    before = managers.get(manager)
    last = before.paths if before is not None else field_sets.EMPTY
    wanted = field_sets.of_document(config, shape) - NOBODYS
    managers[manager] = Owned(paths=wanted, api_version=api_version, time=before.time if before is not None else None)
    document = pruned(merged(live, config, shape), shape, last, managers)
    changes = field_changes.between(decode(live), decode(document))
    _settle(managers, manager, changes, force)
    if before is None or before.paths != wanted or changes.added or changes.modified or changes.removed:
        time = now.replace(microsecond=0)
        managers[manager] = Owned(paths=wanted, api_version=api_version, time=time)
    return Applied(document=document, managers=managers)


def _settle(managers: Managers, manager: Manager, changes: field_changes.Changes, force: bool) -> None:
    others = {other: owned for other, owned in managers.items() if other != manager}
    disputed = {other: owned.paths & changes.set_ for other, owned in others.items()}
    conflicts = [(other, path) for other, paths in disputed.items() for path in sorted(paths)]
    if conflicts and not force:
        raise conflict(conflicts)
    managed_fields.release(managers, changes, but=manager)


def conflict(conflicts: list[tuple[Manager, Path]]) -> Conflict:
    """Kubernetes' sentence, with every field concerned among the details."""
    details = [FieldError(field_sets.text(path), f"conflict with {other.shown}") for other, path in conflicts]
    if len(conflicts) == 1:
        (other, path) = conflicts[0]
        return Conflict(
            f"Apply failed with 1 conflict: conflict with {other.shown}: {field_sets.text(path)}", details=details
        )
    lines = []
    for shown in sorted({other.shown for other, _ in conflicts}):
        lines.append(f"conflicts with {shown}:")
        lines += [f"- {field_sets.text(path)}" for other, path in conflicts if other.shown == shown]
    return Conflict(f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines), details=details)


def merged(live: Any, config: Any, shape: Shape) -> Any:
    """What is wanted in what is there."""
    if shape.parts is Parts.FIELDS and isinstance(live, Mapping) and isinstance(config, Mapping):
        result = dict(live)
        for name, value in config.items():
            result[name] = merged(live[name], value, shape.child(name) or WHOLE) if name in live else value
        return result
    if shape.parts in (Parts.KEYS, Parts.VALUES) and isinstance(live, list) and isinstance(config, list):
        present, asked = field_sets.by_item(live, shape), field_sets.by_item(config, shape)
        if present is not None and asked is not None:
            return _merged_items(present, asked, shape)
    return config


def _merged_items(live: Mapping[str, Any], config: Mapping[str, Any], shape: Shape) -> list[Any]:
    """In the order that is wanted; what is only there keeps its place among the others."""
    inner = shape.inner or WHOLE
    items = {
        element: merged(live[element], item, inner) if shape.parts is Parts.KEYS and element in live else item
        for element, item in config.items()
    }
    waiting = list(config)
    result: list[Any] = []
    for element, item in live.items():
        if element not in config:
            result.append(item)
            continue
        while waiting:
            first = waiting.pop(0)
            result.append(items[first])
            if first in live:
                break
    return [*result, *(items[element] for element in waiting)]


def pruned(document: Any, shape: Shape, last: Paths, managers: Managers) -> dict[str, Any]:
    """Without what was applied last and nobody wants any more, nor anything in it.

    A struct goes as a whole when nobody owns any of it; of maps and lists what nobody owns stays.
    """
    kept = field_sets.prefixes(NOBODYS)
    for owned in managers.values():
        kept |= field_sets.prefixes(owned.paths)
    gone = field_sets.prefixes(last) - kept
    return dict(_Pruning(gone, last).without(document, shape, ())) if gone else document


@dataclass(frozen=True, slots=True)
class _Pruning:
    """gone: what may go, and all that leads to it."""

    gone: set[Path]
    last: Paths

    def without(self, value: Any, shape: Shape, path: Path) -> Any:
        if shape.parts is Parts.FIELDS and isinstance(value, Mapping):
            result = {}
            for name, item in value.items():
                at = (*path, field_sets.field(name))
                inner = shape.child(name) or WHOLE
                if not self._goes(at, inner):
                    result[name] = self.without(item, inner, at)
            return result
        if shape.parts in (Parts.KEYS, Parts.VALUES) and isinstance(value, list):
            items = field_sets.by_item(value, shape)
            if items is not None:
                return [
                    self._item(item, shape, (*path, element))
                    for element, item in items.items()
                    if not self._goes((*path, element), WHOLE)
                ]
        return value

    def _item(self, item: Any, shape: Shape, path: Path) -> Any:
        """An item that stays keeps its keys."""
        if not isinstance(item, Mapping):
            return item
        keys = {name: item[name] for name in shape.keys if name in item}
        return {**keys, **self.without(item, shape.inner or WHOLE, path)}

    def _goes(self, path: Path, shape: Shape) -> bool:
        return path in self.gone and (path in self.last or shape.form is Form.STRUCT)


def first_managers(managers: Managers, live: Document, shape: Shape, api_version: str) -> Managers:
    """Before the first apply of an object whose fields nobody owns: what is there has an owner to conflict with."""
    if managers:
        return managers
    paths = field_sets.of_document({k: v for k, v in live.items() if k != "status"}, shape) - NOBODYS
    manager = Manager(name=BEFORE_FIRST_APPLY, operation=UPDATE, api_version=api_version)
    return {manager: Owned(paths=paths, api_version=api_version)}


def migrated(
    managers: Managers, manager: Manager, live: Document, recorded: Document, shape: Shape, api_version: str
) -> Managers:
    """What a client-side apply left, taken over as applied by ``manager``: then fields it drops go.

    recorded: what the annotation says was applied last; of it counts what is still so.
    """
    if manager in managers or manager.name not in MIGRATES or manager.operation != APPLY:
        return managers
    ours = field_sets.of_document(recorded, shape) - NOBODYS
    ours = frozenset(path for path in ours if _at(recorded, shape, path) == _at(live, shape, path))
    result: Managers = {}
    for other, owned in managers.items():
        if other.name in CLIENT_SIDE and other.operation == UPDATE:
            ours |= owned.paths
        else:
            left = owned.paths - ours if other.name == BEFORE_FIRST_APPLY else owned.paths
            result[other] = managed_fields.replace_paths(owned, left)
    parents = field_sets.prefixes(path[:-1] for path in ours)
    ours = frozenset(
        path for path in ours if not _is_record(path) and (path not in parents or not path[-1].startswith("f:"))
    )
    return {**result, manager: Owned(paths=ours, api_version=api_version)}


def _is_record(path: Path) -> bool:
    return path[:2] == ("f:metadata", "f:annotations") and path[-1].endswith("/last-applied-configuration")


def _at(value: Any, shape: Shape, path: Path) -> Any:
    """What is at a path, for a leaf; for what has parts, whether it is there."""
    for element in path:
        if isinstance(value, Mapping) and element.startswith("f:"):
            name = element[2:]
            value, shape = value.get(name), shape.child(name) or WHOLE
        elif isinstance(value, list):
            value, shape = (field_sets.by_item(value, shape) or {}).get(element), shape.inner or WHOLE
        else:
            return None
    return value if shape.parts is Parts.NONE else value is not None
