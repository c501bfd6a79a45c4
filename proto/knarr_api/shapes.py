"""The shape of each kind's document: what stands where, and how its parts are told apart (:mod:`merge_facts`).

Compiled from the value types when first asked for; server-side apply and strategic merge patch walk along it.
"""

from __future__ import annotations

import operator
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from knarr_api import merge_facts
from knarr_api.merge_facts import Facts


class Form(Enum):
    """What a value is in JSON. WHOLE: a scalar, or something without a schema."""

    WHOLE = "whole"
    STRUCT = "struct"
    MAP = "map"
    LIST = "list"


class Parts(Enum):
    """How server-side apply tells the parts of a value apart."""

    NONE = "none"
    """Not at all: a scalar, or atomic."""
    FIELDS = "fields"
    KEYS = "keys"
    """A list whose items are told apart by some of their fields."""
    VALUES = "values"
    """A list of distinct scalars."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """inner: of a map's values or a list's items. keys: of Parts.KEYS."""

    form: Form
    parts: Parts = Parts.NONE
    struct: Struct | None = None
    inner: Shape | None = None
    keys: tuple[str, ...] = ()
    strategies: frozenset[str] = frozenset()
    merge_key: str = ""

    def child(self, name: str) -> Shape | None:
        """The shape of a field of a struct or of a value of a map; None where the struct has no such field."""
        if self.struct is not None:
            found = self.struct.by_name.get(name)
            return found.shape if found is not None else None
        return self.inner


WHOLE = Shape(Form.WHOLE)


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """name: in JSON; element: in ``fieldsV1``. absent: the value that says that it isn't there. always: it is there,
    empty, with its parent."""

    name: str
    element: str
    attribute: str
    shape: Shape
    absent: Any
    always: bool


class Struct:
    """One message. Its fields are compiled at first use, so that recursive types work."""

    def __init__(self, type_: type[msgspec.Struct]) -> None:
        self.type = type_
        self._fields: tuple[Field, ...] | None = None
        self._by_name: dict[str, Field] = {}
        self._read: Callable[[Any], tuple[Any, ...]] | None = None
        self._absent: tuple[Any, ...] = ()

    @property
    def fields(self) -> tuple[Field, ...]:
        if self._fields is None:
            hints = get_type_hints(self.type, include_extras=True)
            message = f"{self.type.__module__.rpartition('.')[2]}.{self.type.__name__}"
            self._fields = tuple(
                _field(f, hints[f.name], merge_facts.of(message, f.encode_name))
                for f in msgspec.structs.fields(self.type)
            )
            self._by_name = {field.name: field for field in self._fields}
        return self._fields

    def values(self, obj: Any) -> tuple[Any, ...]:
        """Of all fields, in their order; of None what stands for their absence."""
        if self._read is None:
            names = [field.attribute for field in self.fields]
            self._absent = tuple(field.absent for field in self.fields)
            get = operator.attrgetter(*names) if names else lambda _: ()
            self._read = get if len(names) != 1 else lambda value: (get(value),)
        return self._absent if obj is None else self._read(obj)

    @property
    def by_name(self) -> dict[str, Field]:
        return self._by_name if self.fields else {}


_SHAPES: dict[type[Any], Shape] = {}


def of(type_: type[Any]) -> Shape:
    """The shape of a value type."""
    shape = _SHAPES.get(type_)
    if shape is None:
        shape = _SHAPES[type_] = _compiled(type_)
    return shape


def _compiled(type_: type[Any]) -> Shape:
    facts = merge_facts.of(f"{type_.__module__.rpartition('.')[2]}.{type_.__name__}")
    parts = Parts.NONE if facts.parts == "atomic" else Parts.FIELDS
    return Shape(Form.STRUCT, parts, Struct(type_))


def _field(info: msgspec.structs.FieldInfo, hint: Any, facts: Facts) -> Field:
    absent = info.default_factory() if info.default_factory is not msgspec.NODEFAULT else info.default
    always = isinstance(absent, msgspec.Struct)
    return Field(info.encode_name, f"f:{info.encode_name}", info.name, _shape(hint, facts), absent, always)


def _shape(hint: Any, facts: Facts) -> Shape:
    hint = _without_none(hint)
    merging = {"strategies": facts.strategies, "merge_key": facts.merge_key}
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        shape = of(hint)
        parts = Parts.NONE if facts.parts == "atomic" else shape.parts
        return Shape(Form.STRUCT, parts, shape.struct, **merging)  # type: ignore[arg-type]
    arguments = get_args(hint)
    if get_origin(hint) is dict:
        parts = Parts.NONE if facts.parts == "atomic" else Parts.FIELDS
        return Shape(Form.MAP, parts, None, _shape(arguments[1], merge_facts.NONE), **merging)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        parts = {"map": Parts.KEYS, "set": Parts.VALUES}.get(facts.parts, Parts.NONE)
        inner = _shape(arguments[0], merge_facts.NONE)
        return Shape(Form.LIST, parts, None, inner, facts.keys, **merging)  # type: ignore[arg-type]
    return WHOLE


def _without_none(hint: Any) -> Any:
    """``X | None`` is X; a number with its limits is the number; of several types none is meant."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (types.UnionType, typing.Union):
        rest = [one for one in get_args(hint) if one is not type(None)]
        return _without_none(rest[0]) if len(rest) == 1 else None
    return hint
