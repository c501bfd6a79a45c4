"""What fields a kind has, from its value types, as ``kubectl explain`` shows them. Pure."""

from __future__ import annotations

import datetime
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from knarr_api import kinds
from knarr_api.errors import Invalid, NotFound
from knarr_api.kinds import Kind
from knarr_api.quantity import Quantity
from knarr_cli.meanings import meaning

MAX_DEPTH = 12
WORDS: dict[Any, str] = {
    str: "string",
    bytes: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    datetime.datetime: "string",
    Quantity: "Quantity",
}


def explain(path: str, *, recursive: bool = False, api_version: str = "") -> list[str]:
    """path: ``pods.spec.containers``, ``jobs.batch.spec``. Raises NotFound for an unknown kind, Invalid for a field."""
    kind, names = _kind_and_fields(path.split("."))
    if api_version:
        kind = kinds.by_kind(api_version, kind.kind)
    type_: Any = kind.type
    field, shown, said = "", "", ""
    for name in filter(None, names):
        owner = _inner(type_)
        fields = _fields(owner)
        if name not in fields:
            raise Invalid(f'field "{name}" does not exist')
        type_, said = fields[name], meaning(owner.__name__, name)
        field, shown = name, _word(type_)
    lines = [f"GROUP:      {kind.group}"] if kind.group else []
    lines += [f"KIND:       {kind.kind}", f"VERSION:    {kind.version}", ""]
    if field:
        lines += [f"FIELD: {field} <{shown}>", ""]
    if said:
        lines += ["DESCRIPTION:", f"    {said}", ""]
    inner = _inner(type_)
    if _fields(inner):
        lines += ["FIELDS:", *_lines(inner, "  ", recursive, ())]
    return [*lines, ""]


def _kind_and_fields(parts: list[str]) -> tuple[Kind, list[str]]:
    """The kind with as much behind it as names its group and version; the rest are fields."""
    for length in range(len(parts), 1, -1):
        try:
            return kinds.lookup(".".join(parts[:length])), parts[length:]
        except NotFound:
            continue
    return kinds.lookup(parts[0]), parts[1:]


def _lines(type_: Any, indent: str, recursive: bool, above: tuple[Any, ...]) -> Iterator[str]:
    for name, hint in sorted(_fields(type_).items()):
        yield f"{indent}{name}\t<{_word(hint)}>"
        said = "" if recursive else meaning(type_.__name__, name)
        if said:
            yield f"{indent}  {said}"
        inner = _inner(hint)
        if recursive and inner not in above and len(above) < MAX_DEPTH:
            yield from _lines(inner, indent + "  ", recursive, (*above, inner))


def _fields(type_: Any) -> dict[str, Any]:
    """By their names in JSON; none of what is no message."""
    if not (isinstance(type_, type) and issubclass(type_, msgspec.Struct)):
        return {}
    hints = get_type_hints(type_, include_extras=True)
    return {field.encode_name: hints[field.name] for field in msgspec.structs.fields(type_)}


def _bare(hint: Any) -> Any:
    """Without None, and without what says how large it may be."""
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in (typing.Union, types.UnionType):
        others = [each for each in get_args(hint) if each is not type(None)]
        return _bare(others[0]) if len(others) == 1 else hint
    return hint


def _inner(hint: Any) -> Any:
    """What a list, a map or an optional value holds."""
    bare = _bare(hint)
    if get_origin(bare) in (tuple, list):
        return _inner(get_args(bare)[0])
    if get_origin(bare) is dict:
        return _inner(get_args(bare)[1])
    return bare


def _word(hint: Any) -> str:
    bare = _bare(hint)
    if get_origin(bare) in (tuple, list):
        return f"[]{_word(get_args(bare)[0])}"
    if get_origin(bare) is dict:
        return f"map[string]{_word(get_args(bare)[1])}"
    if bare in WORDS:
        return WORDS[bare]
    if get_origin(bare) in (typing.Union, types.UnionType):
        return "IntOrString"
    return bare.__name__ if isinstance(bare, type) else "Object"
