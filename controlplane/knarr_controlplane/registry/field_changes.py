"""What changed between two values of a kind, as sets of field paths. Pure.

Values are compared, not documents: what two values share is passed over at once, so that the usual write, which changes
a few fields of a big object, costs little.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from knarr_api import json, shapes
from knarr_api.merge_facts import KEY_DEFAULTS
from knarr_api.shapes import WHOLE, Form, Parts, Shape
from knarr_controlplane.registry import field_sets
from knarr_controlplane.registry.field_sets import Path


class _Absent:
    """Stands for what is not there."""


ABSENT = _Absent()


@dataclass(slots=True)
class Changes:
    """Paths that appeared, have another value, went."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)

    @property
    def set_(self) -> set[Path]:
        """What the newer value says otherwise than the older one."""
        return self.added | self.modified


def between(old: Any, new: Any) -> Changes:
    """From ``old``, or None where there was nothing, to ``new``."""
    changes = Changes()
    shape = shapes.of(type(new))
    # A new object begins with what is always there, so that this has no owner of its own.
    _fields(type(new)() if old is None else old, new, shape, (), changes)
    return changes


def _one(old: Any, new: Any, shape: Shape, path: Path, changes: Changes) -> None:
    """Two values that differ; one may be absent."""
    if old is ABSENT:
        changes.added.add(path)
    elif new is ABSENT:
        changes.removed.add(path)
    if shape.parts is Parts.NONE:
        if old is not ABSENT and new is not ABSENT:
            changes.modified.add(path)
    elif shape.form is Form.STRUCT:
        _fields(old, new, shape, path, changes)
    elif shape.form is Form.MAP:
        _entries(old, new, shape.inner or WHOLE, path, changes)
    else:
        _items(old, new, shape, path, changes)


def _fields(old: Any, new: Any, shape: Shape, path: Path, changes: Changes) -> None:
    if shape.struct is None:
        return
    before_values = shape.struct.values(None if old is ABSENT else old)
    after_values = shape.struct.values(None if new is ABSENT else new)
    differing = map(operator.is_not, before_values, after_values)
    pairs = zip(shape.struct.fields, before_values, after_values, strict=True)
    for each, before, after in itertools.compress(pairs, differing):
        if before == after:
            continue
        was = ABSENT if before == each.absent and not (each.always and old is not ABSENT) else before
        is_ = ABSENT if after == each.absent and not (each.always and new is not ABSENT) else after
        _one(was, is_, each.shape, (*path, each.element), changes)


def _entries(old: Any, new: Any, inner: Shape, path: Path, changes: Changes) -> None:
    before: Mapping[str, Any] = {} if old is ABSENT else old
    after: Mapping[str, Any] = {} if new is ABSENT else new
    for name in {**before, **after}:
        was, is_ = before.get(name, ABSENT), after.get(name, ABSENT)
        if was != is_:
            _one(was, is_, inner, (*path, field_sets.field(name)), changes)


def _items(old: Any, new: Any, shape: Shape, path: Path, changes: Changes) -> None:
    before = {} if old is ABSENT else _by_item(old, shape)
    after = {} if new is ABSENT else _by_item(new, shape)
    if before is None or after is None:  # not to be told apart: as a whole
        if old is not ABSENT and new is not ABSENT:
            changes.modified.add(path)
        return
    inner = (shape.inner or WHOLE) if shape.parts is Parts.KEYS else WHOLE
    for element in {**before, **after}:
        was, is_ = before.get(element, ABSENT), after.get(element, ABSENT)
        if was != is_:
            _one(was, is_, inner, (*path, element), changes)


def _by_item(items: Any, shape: Shape) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for item in items:
        element = field_sets.by_value(item) if shape.parts is Parts.VALUES else _element(item, shape)
        if element in found:
            return None
        found[element] = item
    return found


def _element(item: Any, shape: Shape) -> str:
    struct = shape.inner.struct if shape.inner is not None else None
    values: dict[str, Any] = {}
    for name in shape.keys if struct is not None else ():
        key = struct.by_name[name]  # type: ignore[union-attr]
        value = getattr(item, key.attribute)
        value = KEY_DEFAULTS.get(name) if value == key.absent else value
        if value is not None:
            values[name] = value if isinstance(value, str | int) else json.to_builtins(value)
    return field_sets.by_keys(values)
