"""Sets of field paths, as managed fields record them. Pure.

A path is a tuple of elements in the form that ``fieldsV1`` has: ``f:name`` is a field or a map's key, ``k:{…}`` an item
of a list by its key fields, ``v:…`` an item by its value. A set of paths is a plain frozenset: union, difference and
intersection are Python's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from knarr_api.errors import Invalid
from knarr_api.merge_facts import KEY_DEFAULTS
from knarr_api.shapes import WHOLE, Form, Parts, Shape

Path = tuple[str, ...]
Paths = frozenset[Path]
EMPTY: Paths = frozenset()
MAX_DEPTH = 100
_ENCODER = msgspec.json.Encoder(order="sorted")


def to_fields_v1(paths: Iterable[Path]) -> dict[str, Any]:
    """The tree of ``fieldsV1``; ``.`` marks what is a member besides its parts."""
    root: dict[str, Any] = {}
    for path in sorted(paths):
        node = root
        for element in path[:-1]:
            child = node.get(element)
            if child is None:
                child = node[element] = {}
            elif not child:  # a member that came before its parts: those without members of their own are never empty
                child["."] = {}
            node = child
        node.setdefault(path[-1], {})
    return root


def from_fields_v1(tree: Any) -> Paths:
    """Raises Invalid for what is no such tree."""
    return frozenset(_members(tree, ()))


def _members(tree: Any, path: Path) -> Iterator[Path]:
    if not isinstance(tree, Mapping) or len(path) > MAX_DEPTH:
        raise Invalid("metadata.managedFields: Invalid value: fieldsV1 must be a tree of objects")
    if not tree and path:
        yield path
    for element, child in tree.items():
        if element == ".":
            yield path
        elif element[:2] in ("f:", "k:", "v:", "i:"):
            yield from _members(child, (*path, element))
        else:
            raise Invalid(f'metadata.managedFields: Invalid value: "{element[:80]}": must begin with f:, k:, v: or i:')


def text(path: Path) -> str:
    """``.spec.containers[name="web"].image``, as messages name a path."""
    return "".join(_element_text(element) for element in path)


def _element_text(element: str) -> str:
    what, value = element[:2], element[2:]
    if what == "k:":
        keys = msgspec.json.decode(value)
        return "[" + ",".join(f"{name}={_ENCODER.encode(key).decode()}" for name, key in sorted(keys.items())) + "]"
    return f".{value}" if what == "f:" else f"[={value}]" if what == "v:" else f"[{value}]"


def field(name: str) -> str:
    return f"f:{name}"


def by_value(value: Any) -> str:
    return "v:" + _ENCODER.encode(value).decode()


def by_keys(values: Mapping[str, Any]) -> str:
    """An item by its key fields. Absent ones are left out, or stand for their default."""
    return "k:" + _ENCODER.encode(values).decode()


def item_of(document: Any, shape: Shape) -> str | None:
    """The element of one item of a document's list; None where it lacks its keys or has strange ones."""
    if shape.parts is Parts.VALUES:
        return None if isinstance(document, dict | list) else by_value(document)
    if not isinstance(document, Mapping):
        return None
    values = {name: document.get(name, KEY_DEFAULTS.get(name)) for name in shape.keys}
    found = {name: value for name, value in values.items() if value is not None}
    if not found or any(isinstance(value, dict | list) for value in found.values()):
        return None
    return by_keys(found)


def by_item(items: list[Any], shape: Shape) -> dict[str, Any] | None:
    """A document's list by the elements of its items; None where some have none or two have the same."""
    found: dict[str, Any] = {}
    for item in items:
        element = item_of(item, shape)
        if element is None or element in found:
            return None
        found[element] = item
    return found


def of_document(document: Mapping[str, Any], shape: Shape) -> Paths:
    """What a document says: its leaves, items of lists and keys of maps."""
    found: set[Path] = set()
    _collect(document, shape, (), found)
    return frozenset(found)


def _collect(value: Any, shape: Shape, path: Path, found: set[Path]) -> None:
    if value and isinstance(value, Mapping) and shape.parts is Parts.FIELDS:
        for name, item in value.items():
            at = (*path, field(name))
            _collect(item, shape.child(name) or WHOLE, at, found)
            if shape.form is Form.MAP:
                found.add(at)
        return
    if value and isinstance(value, list) and shape.parts in (Parts.KEYS, Parts.VALUES):
        items = by_item(value, shape)
        if items is not None:
            for element, item in items.items():
                found.add((*path, element))
                if shape.parts is Parts.KEYS:
                    _collect(item, shape.inner or WHOLE, (*path, element), found)
            return
    if path:
        found.add(path)


def prefixes(paths: Iterable[Path]) -> set[Path]:
    """The paths and all that lead to them."""
    found: set[Path] = set()
    for path in paths:
        while path and path not in found:
            found.add(path)
            path = path[:-1]
    return found
