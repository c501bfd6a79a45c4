"""JSON patch: RFC 6902, with pointers as in RFC 6901. Pure: arguments are not changed.

Patches come from anybody: their length, and what ``copy`` may make of them, are limited.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from knarr_api import json
from knarr_api.errors import Invalid

MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = json.MAX_BYTES


def patched(document: Any, operations: Any) -> Any:
    """Raises Invalid for what is no patch, and for one that does not fit the document."""
    if not isinstance(operations, list):
        raise Invalid("a JSON patch must be an array of operations")
    if len(operations) > MAX_OPERATIONS:
        raise Invalid(f"the patch has {len(operations)} operations, more than the limit of {MAX_OPERATIONS}")
    work = _Work(copy.deepcopy(document))
    for number, operation in enumerate(operations):
        if not isinstance(operation, Mapping):
            raise Invalid(f"operation {number}: expected an object")
        try:
            work.do(operation)
        except Invalid as error:
            raise Invalid(f"operation {number}: {error.message}") from None
    return work.document


class _Work:
    """The document while it is changed in place."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self._copied_bytes = 0

    def do(self, operation: Mapping[str, Any]) -> None:
        path = _pointer(operation, "path")
        match operation.get("op"):
            case "add":
                self._add(path, copy.deepcopy(_value(operation)))
            case "remove":
                self._remove(path)
            case "replace":
                self._replace(path, copy.deepcopy(_value(operation)))
            case "move":
                source = _pointer(operation, "from")
                if path[: len(source)] == source and path != source:
                    raise Invalid(f'"{operation["from"]}" can\'t be moved into itself')
                self._add(path, self._remove(source))
            case "copy":
                value = self._get(_pointer(operation, "from"))
                self._copied_bytes += len(json.encode(value))
                if self._copied_bytes > MAX_COPIED_BYTES:
                    raise Invalid(f"copies make more than {MAX_COPIED_BYTES} bytes")
                self._add(path, copy.deepcopy(value))
            case "test":
                if not equal(self._get(path), _value(operation)):
                    raise Invalid(f"testing value {operation['path']} failed: test failed")
            case other:
                raise Invalid(f"unexpected kind of operation: {other!r:.40}")

    def _get(self, path: list[str]) -> Any:
        value = self.document
        for name in path:
            value = value[_index(value, name, len(value) - 1)] if isinstance(value, list) else _member(value, name)
        return value

    def _add(self, path: list[str], value: Any) -> None:
        if not path:
            self.document = value
            return
        parent, name = self._get(path[:-1]), path[-1]
        if isinstance(parent, list):
            parent.insert(len(parent) if name == "-" else _index(parent, name, len(parent)), value)
        elif isinstance(parent, dict):
            parent[name] = value
        else:
            raise Invalid(f'"{_text(path[:-1])}" has no members')

    def _remove(self, path: list[str]) -> Any:
        if not path:
            value, self.document = self.document, None
            return value
        value, parent, name = self._get(path), self._get(path[:-1]), path[-1]
        del parent[_index(parent, name, len(parent) - 1) if isinstance(parent, list) else name]
        return value

    def _replace(self, path: list[str], value: Any) -> None:
        self._get(path)
        if not path:
            self.document = value
            return
        parent, name = self._get(path[:-1]), path[-1]
        parent[_index(parent, name, len(parent) - 1) if isinstance(parent, list) else name] = value


def equal(one: Any, other: Any) -> bool:
    """As RFC 6902 compares for ``test``: numbers by value, and a boolean is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(equal(*pair) for pair in zip(one, other, strict=True))
    return bool(one == other)


def _pointer(operation: Mapping[str, Any], field: str) -> list[str]:
    text = operation.get(field)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise Invalid(f"{field}: expected a JSON pointer such as /metadata/labels, got {text!r:.80}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _value(operation: Mapping[str, Any]) -> Any:
    if "value" not in operation:
        raise Invalid("value: Required value")
    return operation["value"]


def _member(value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise Invalid(f'missing value: there is no "{name:.80}"')
    return value[name]


def _index(items: list[Any], text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal()) or (len(text) > 1 and text.startswith("0")) or len(text) > 9:
        raise Invalid(f'"{text:.80}" is no index of an array')
    if int(text) > most:
        raise Invalid(f"index {text} is out of bounds: the array has {len(items)} items")
    return int(text)


def _text(path: list[str]) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
