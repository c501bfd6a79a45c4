"""``--format``: the part of Go's templates that people use with Docker. Pure. Raises Invalid.

Fields (``{{.State.Status}}``), ``range``/``else``/``end``, ``if``, and the functions below. A field that is not
there is an error, as in Docker. ``json`` alone is the whole document; ``table`` before a template makes columns.
Source: Go's text/template; Docker's "Format command and log output".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from knarr_runtime.errors import Invalid

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|`([^`]*)`|(\$?(?:\.[A-Za-z_][\w-]*)+|\$?\.|\$)|(-?\d+)|([A-Za-z]\w*)|([()|])')
_FIELD_OF = re.compile(r"(?:\.[A-Za-z_][\w-]*)+")
_FIELDS: Mapping[str, str] = {"\\t": "\t", "\\n": "\n"}


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return ""
    return value


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "json": lambda value: json.dumps(value, separators=(",", ":")),
    "index": _index,
    "len": len,
    "upper": lambda text: str(text).upper(),
    "lower": lambda text: str(text).lower(),
    "title": lambda text: str(text).title(),
    "join": lambda values, between: between.join(map(str, values)),
    "split": lambda text, between: str(text).split(between),
    "println": lambda *values: " ".join(map(_text, values)) + "\n",
    "eq": lambda value, *others: any(value == other for other in others),
    "ne": lambda value, other: value != other,
    "not": lambda value: not value,
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "or": lambda *values: next((value for value in values if value), values[-1]),
}


class Template:
    """Parsed once, rendered for each document."""

    def __init__(self, text: str) -> None:
        for written, meant in _FIELDS.items():
            text = text.replace(written, meant)
        self._pieces = re.split(r"\{\{-?\s*(.*?)\s*-?\}\}", text)
        self._position = 0
        self._nodes = self._parsed(())
        if self._position < len(self._pieces):
            raise Invalid("format: {{end}} without a beginning")

    def render(self, document: Any) -> str:
        return _rendered(self._nodes, document, document)

    def _parsed(self, ends: tuple[str, ...]) -> list[Any]:
        """Nodes up to one of ``ends``, at which the position then is."""
        nodes: list[Any] = []
        while self._position < len(self._pieces):
            piece, is_action = self._pieces[self._position], self._position % 2 == 1
            word = piece.split(" ", 1)[0] if is_action else ""
            if word in ("end", "else"):
                if word not in ends:
                    raise Invalid(f"format: {{{{{word}}}}} without a beginning")
                return nodes
            self._position += 1
            if not is_action:
                nodes.append(piece)
            elif word in ("range", "if", "with"):
                nodes.append(self._block(word, _pipeline(piece[len(word) :])))
            else:
                nodes.append(_pipeline(piece))
        if ends:
            raise Invalid("format: {{end}} is missing")
        return nodes

    def _block(self, word: str, condition: Any) -> tuple[Any, ...]:
        body, otherwise = self._parsed(("end", "else")), []
        if self._pieces[self._position] == "else":
            self._position += 1
            otherwise = self._parsed(("end",))
        self._position += 1
        return (word, condition, body, otherwise)


def _pipeline(text: str) -> list[list[Any]]:
    """Commands between bars; a command is a list of (kind, value)."""
    commands: list[list[Any]] = [[]]
    stack: list[list[list[Any]]] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        match = _TOKEN.match(text, position)
        if match is None:
            raise Invalid(
                f"format: {text[position:]!r} is not understood; fields, range, if and {', '.join(FUNCTIONS)} are"
            )
        position = match.end()
        string, raw, path, number, word, mark = match.groups()
        if mark == "|":
            commands.append([])
        elif mark == "(":
            stack.append(commands)
            commands = [[]]
        elif mark == ")":
            if not stack:
                raise Invalid(f"format: {text!r} has a ) too much")
            inner, commands = commands, stack.pop()
            field = _FIELD_OF.match(text, position)
            position = field.end() if field else position
            commands[-1].append(("pipeline", (inner, field[0] if field else "")))
        elif path is not None:
            commands[-1].append(("path", path))
        elif word is not None:
            if word not in FUNCTIONS and word not in ("true", "false"):
                raise Invalid(f"format: function {word!r} is not known; {', '.join(FUNCTIONS)} are")
            commands[-1].append(("function", word) if word in FUNCTIONS else ("value", word == "true"))
        else:
            value = int(number) if number is not None else raw if raw is not None else json.loads(f'"{string}"')
            commands[-1].append(("value", value))
    if stack or not all(commands):
        raise Invalid(f"format: {text!r} is not complete")
    return commands


def _rendered(nodes: Sequence[Any], dot: Any, top: Any) -> str:
    parts = []
    for node in nodes:
        if isinstance(node, str):
            parts.append(node)
        elif isinstance(node, tuple):
            parts.append(_block(node, dot, top))
        else:
            parts.append(_text(_value(node, dot, top)))
    return "".join(parts)


def _block(node: tuple[Any, ...], dot: Any, top: Any) -> str:
    word, condition, body, otherwise = node
    value = _value(condition, dot, top)
    if not value:
        return _rendered(otherwise, dot, top)
    if word == "range":
        each = value.values() if isinstance(value, Mapping) else value
        return "".join(_rendered(body, one, top) for one in each)
    return _rendered(body, value if word == "with" else dot, top)


def _value(commands: Sequence[Sequence[Any]], dot: Any, top: Any) -> Any:
    result: list[Any] = []
    for command in commands:
        kind, name = command[0]
        arguments = [_argument(one, dot, top) for one in command[1:]] + result
        if kind == "function":
            try:
                result = [FUNCTIONS[name](*arguments)]
            except (TypeError, ValueError, AttributeError, IndexError) as error:
                raise Invalid(f"format: {name}: {error}") from None
        elif callable(value := _argument(command[0], dot, top)):
            result = [value(*arguments)]
        elif arguments:
            raise Invalid("format: only functions take arguments")
        else:
            result = [value]
    return result[0]


def _argument(argument: tuple[str, Any], dot: Any, top: Any) -> Any:
    kind, value = argument
    if kind == "path":
        return _field(top if value.startswith("$") else dot, value.lstrip("$"))
    return _field(_value(value[0], dot, top), value[1]) if kind == "pipeline" else value


def _field(value: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        if not isinstance(value, Mapping) or name not in value:
            known = ", ".join(f".{key}" for key in value) if isinstance(value, Mapping) else "nothing"
            raise Invalid(f"format: there is no .{name} here; {known}")
        value = value[name]
    return value


def _text(value: Any) -> str:
    """As Go prints values."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "<no value>"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{_text(one)}" for key, one in sorted(value.items())) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(map(_text, value)) + "]"
    return str(value)


def listed(
    form: str, documents: Sequence[Mapping[str, Any]], table: Callable[[Sequence[str], list[list[str]]], str]
) -> str:
    """What ``--format`` prints of a list: lines; with ``table`` in front columns under titles."""
    if form in ("json", "{{json .}}"):
        plain = ({key: one for key, one in each.items() if not callable(one)} for each in documents)
        return "\n".join(json.dumps(each) for each in plain)
    if not form.startswith("table "):
        template = Template(form)
        return "\n".join(template.render(each) for each in documents)
    form = form.removeprefix("table ")
    titles = [
        re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).upper() for name in re.findall(r"\{\{[^}]*\.(\w+)[^}]*\}\}", form)
    ]
    template = Template(form)
    rows = [template.render(each).split("\t") for each in documents]
    return table(titles, rows)
