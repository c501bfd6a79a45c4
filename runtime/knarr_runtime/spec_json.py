"""Specs as JSON, and back.

A spec from a message of our own version is taken as it is; one from a file, perhaps of another version, is read
field by field, and checked.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from typing import Any, TypeVar

from knarr_runtime.errors import Invalid

_T = TypeVar("_T")
_SIMPLE = (str, int, bool, type(None))


def plain(value: Any) -> dict[str, Any]:
    """What ``dataclasses.asdict`` makes of it, at a tenth of the price."""
    found = {}
    for name in value.__dataclass_fields__:
        item = getattr(value, name)
        if item.__class__ not in _SIMPLE:
            if hasattr(item, "__dataclass_fields__"):
                item = plain(item)
            elif isinstance(item, Mapping):
                item = dict(item)
            elif item and hasattr(item[0], "__dataclass_fields__"):
                item = tuple([plain(one) for one in item])
        found[name] = item
    return found


class OtherVersion(Exception):
    """The fields are not those that are known here."""


def read(type_: type[_T], value: Mapping[str, Any], nested: Mapping[str, tuple[type, bool]], *, strict: str = "") -> _T:
    """The dataclass ``type_`` from JSON; keys it does not know (written by a later version) are ignored.

    strict: only if they are empty, else Invalid is raised, which names who it is that does not know.
    """
    arguments: dict[str, Any] = {}
    known: Mapping[str, Any] = type_.__dataclass_fields__  # type: ignore[attr-defined]
    for key, item in value.items():
        if key not in known:
            if strict and item:
                raise Invalid(f"{key}: {strict}, of an earlier version, does not know it; a new one does")
            continue
        if key in nested:
            inner, many = nested[key]
            read_one = functools.partial(read, inner, nested={}, strict=strict)
            item = tuple(read_one(one) for one in item) if many else read_one(item)
        elif isinstance(item, list):
            item = tuple(item)
        arguments[sys.intern(key)] = item
    return type_(**arguments)


def take(type_: type[_T], value: Mapping[str, Any], nested: Mapping[str, tuple[type, bool]]) -> _T:
    """The dataclass ``type_`` from its complete JSON, unchecked. Raises OtherVersion for other fields."""
    if value.keys() != type_.__dataclass_fields__.keys():  # type: ignore[attr-defined]
        raise OtherVersion
    made = object.__new__(type_)
    put = object.__setattr__
    for key, item in value.items():
        if key in nested:
            inner, many = nested[key]
            item = tuple([take(inner, one, {}) for one in item]) if many else take(inner, item, {})
        elif item.__class__ is list:
            item = tuple(item)
        put(made, key, item)
    return made
