"""JSONPath as kubectl has it: ``{.items[*].metadata.name}``, ``{range …}{end}``, filters, quoted text.

The libraries on PyPI follow RFC 9535, which has neither templates nor ``range``. Source: Kubernetes "JSONPath Support".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from knarr_api.errors import Invalid

NAME = r"(?:\\.|[^\s.,~\[\]$@{}\\])+"
STEP = re.compile(
    rf"""\.\.(?P<deep>{NAME})|\.(?P<field>{NAME})|\[(?P<filter>\?\(.*?\))\]"""
    r"""|\[(?P<index>(?:'[^']*'|"[^"]*"|[^\]'"])*)\]"""
)
FILTER = re.compile(r"""\?\(\s*@(?P<path>[^=!<>\s]*)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<value>.+?))?\s*\)""")
QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")
MAX_LENGTH = 8192


@dataclass(frozen=True, slots=True)
class Step:
    """kind: field, fields, deep, names (indices), slice, filter."""

    kind: str
    value: Any


def render(template: str, document: Any) -> str:
    """The template filled in. Raises Invalid for a template that is none."""
    if len(template) > MAX_LENGTH:
        raise Invalid(f"the jsonpath template is longer than {MAX_LENGTH} characters")
    if "{" not in template:
        template = "{" + (template if template.startswith((".", "[", "$")) else f".{template}") + "}"
    parts = list(_parts(template))
    output, rest = _render(parts, 0, document, top=True)
    del rest
    return output


def find(path: str, document: Any, *, within_bounds: bool = False) -> list[Any]:
    """All values at a path like ``.status.conditions[?(@.type=="Ready")].status``. Raises Invalid.

    within_bounds: an index that a list does not have is Invalid too, instead of nothing.
    """
    path = path.strip().removeprefix("$").removeprefix("@")
    if path and path[0] not in ".[":
        path = f".{path}"
    found = [document]
    for step in _steps(path):
        if within_bounds and step.kind == "names":
            _check_bounds(step.value, found, path)
        found = [value for item in found for value in _apply(step, item)]
    return found


def _check_bounds(indices: list[int], items: list[Any], path: str) -> None:
    for length in (len(item) for item in items if isinstance(item, list)):
        for index in indices:
            if not -length <= index < length:
                text = f"array index out of bounds: index {index}, length {length}"
                raise Invalid(f"error executing jsonpath {path!r}: {text}")


def _parts(template: str) -> Iterable[tuple[bool, str]]:
    """(is an expression, its text) in order."""
    at = 0
    while at < len(template):
        start = template.find("{", at)
        if start < 0:
            yield False, template[at:]
            return
        if start > at:
            yield False, template[at:start]
        quote, end = "", start + 1
        while end < len(template) and (quote or template[end] != "}"):
            character = template[end]
            if quote:
                quote = "" if character == quote else quote
            elif character in "\"'":
                quote = character
            end += 1
        if end >= len(template):
            raise Invalid(f"jsonpath {template!r}: unclosed action")
        yield True, template[start + 1 : end].strip()
        at = end + 1


def _render(parts: list[tuple[bool, str]], at: int, document: Any, *, top: bool = False) -> tuple[str, int]:
    output: list[str] = []
    while at < len(parts):
        is_expression, text = parts[at]
        at += 1
        if not is_expression:
            output.append(text)
        elif text == "end":
            if top:
                raise Invalid("jsonpath: end without range")
            return "".join(output), at
        elif text.startswith("range "):
            items = find(text.removeprefix("range "), document, within_bounds=True)
            after = _skip(parts, at)
            for item in items:
                output.append(_render(parts, at, item)[0])
            at = after
        elif text[:1] in "\"'" and text[-1:] == text[:1] and len(text) > 1:
            output.append(text[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape"))
        else:
            output.append(" ".join(_text(value) for value in find(text, document, within_bounds=True)))
    if not top:
        raise Invalid("jsonpath: range without end")
    return "".join(output), at


def _skip(parts: list[tuple[bool, str]], at: int) -> int:
    depth = 1
    while at < len(parts):
        is_expression, text = parts[at]
        at += 1
        if is_expression and text.startswith("range "):
            depth += 1
        elif is_expression and text == "end":
            depth -= 1
            if not depth:
                return at
    raise Invalid("jsonpath: range without end")


def _steps(path: str) -> list[Step]:
    steps: list[Step] = []
    at = 0
    while at < len(path):
        match = STEP.match(path, at)
        if match is None:
            if path[at] == ".":
                at += 1
                continue
            raise Invalid(f"jsonpath {path!r}: unexpected {path[at:][:20]!r}")
        at = match.end()
        if match["deep"]:
            steps.append(Step("deep", _unescaped(match["deep"])))
        elif match["field"]:
            steps.append(Step("field", _unescaped(match["field"])))
        elif match["filter"]:
            steps.append(_filter(match["filter"]))
        else:
            steps.append(_index(match["index"], path))
    return steps


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def _index(text: str, path: str) -> Step:
    text = text.strip()
    if text[:1] in "\"'":
        return Step("fields", [_unescaped(one or other) for one, other in QUOTED.findall(text)])
    if text == "*":
        return Step("field", "*")
    try:
        if ":" in text:
            return Step("slice", slice(*(int(part) if part.strip() else None for part in text.split(":"))))
        return Step("names", [int(part) for part in text.split(",")])
    except ValueError:
        raise Invalid(f"jsonpath {path!r}: invalid array index {text!r}") from None


def _filter(text: str) -> Step:
    match = FILTER.fullmatch(text)
    if match is None:
        raise Invalid(f'jsonpath: invalid filter {text!r}: expected ?(@.field=="value")')
    value: Any = match["value"]
    if value is not None:
        value = value.strip()
        if value[:1] in "\"'" and value[-1:] == value[:1]:
            value = value[1:-1]
        else:
            try:
                value = json.loads(value)
            except ValueError:
                raise Invalid(f"jsonpath: invalid value {value!r} in filter") from None
    return Step("filter", (match["path"], match["operator"], value))


def _apply(step: Step, item: Any) -> list[Any]:
    match step.kind:
        case "field" if step.value == "*":
            return list(item.values()) if isinstance(item, dict) else list(item) if isinstance(item, list) else []
        case "field":
            return [item[step.value]] if isinstance(item, dict) and step.value in item else []
        case "fields":
            return [item[name] for name in step.value if isinstance(item, dict) and name in item]
        case "deep":
            return list(_everywhere(step.value, item))
        case "names":
            return [item[i] for i in step.value if isinstance(item, list) and -len(item) <= i < len(item)]
        case "slice":
            return item[step.value] if isinstance(item, list) else []
        case _:
            return [each for each in item if _holds(step.value, each)] if isinstance(item, list) else []


def _everywhere(name: str, item: Any) -> Iterable[Any]:
    children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    if isinstance(item, dict) and (name in item or name == "*"):
        yield from item.values() if name == "*" else [item[name]]
    for child in children:
        yield from _everywhere(name, child)


def _holds(given: tuple[str, str | None, Any], item: Any) -> bool:
    path, operator, wanted = given
    found = find(path, item) if path else [item]
    if operator is None:
        return bool(found)
    if not found:
        return False
    have = found[0]
    if isinstance(have, bool) != isinstance(wanted, bool) or isinstance(have, str) != isinstance(wanted, str):
        return operator == "!="
    compare: dict[str, Callable[[], bool]] = {
        "==": lambda: have == wanted,
        "!=": lambda: have != wanted,
        "<": lambda: have < wanted,
        ">": lambda: have > wanted,
        "<=": lambda: have <= wanted,
        ">=": lambda: have >= wanted,
    }
    return bool(compare[operator]())


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
