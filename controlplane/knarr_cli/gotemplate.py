"""Go templates over JSON documents, as ``-o go-template``: the part of text/template that people use with kubectl.

Fields, variables, ``if``, ``range``, ``with`` (with ``else``), pipelines, parentheses, ``{{-`` and ``-}}``, comments,
and the functions of ``FUNCTIONS``. ``define``, ``template`` and ``block`` are refused by name. A field that is not
there prints ``<no value>``, as with kubectl. Source: the documentation of Go's text/template.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from knarr_api.errors import Invalid

ACTION = re.compile(
    r"\{\{(?P<trim>-(?=\s))?(?P<text>(?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|/\*.*?\*/|[^}]|\}(?!\}))*)\}\}", re.DOTALL
)
TOKEN = re.compile(
    r"""(?P<below>(?<=\))(?:\.[\w-]+)+)"""
    r"""|\s*(?:(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<number>[+-]?\d+(?:\.\d+)?)(?![\w.])"""
    r"""|(?P<path>\$\w*(?:\.[\w-]+)*|\.[\w-]+(?:\.[\w-]+)*|\.)|(?P<word>\w+)|(?P<sign>:=|=|\||\(|\)|,))"""
)
WORDS: Mapping[str, Any] = {"true": True, "false": False, "nil": None}
NO_VALUE = "<no value>"
MAX_LENGTH = 64 * 1024


class _NoValue:
    """What a field that is not there has."""


ABSENT = _NoValue()
Scope = dict[str, Any]


@dataclass(slots=True)
class Node:
    """kind: text, print, if, range, with. What an action does between it and its ``else`` and ``end``."""

    kind: str
    text: str = ""
    body: list[Node] = field(default_factory=list)
    otherwise: list[Node] = field(default_factory=list)


def render(template: str, document: Any) -> str:
    """The template filled in. Raises Invalid for a template that is none, and for what it can't do."""
    if len(template) > MAX_LENGTH:
        raise Invalid(f"the template is longer than {MAX_LENGTH} characters")
    parts = list(_parts(template))
    nodes, at = _parse(parts, 0, ())
    assert at == len(parts), "all is read, or it has raised"
    return "".join(_run(nodes, document, [{"$": document}]))


def _parts(template: str) -> Iterator[tuple[bool, str]]:
    """(is an action, its text) in order."""
    at, trim = 0, False
    while at <= len(template):
        match = ACTION.search(template, at)
        text = template[at : match.start() if match is not None else len(template)]
        if "{{" in text:
            raise _malformed("unclosed action", text[text.index("{{") :])
        text = text.lstrip() if trim else text
        if match is None:
            if text:
                yield False, text
            return
        text = text.rstrip() if match["trim"] else text
        if text:
            yield False, text
        inside = match["text"]
        trim = inside.endswith("-") and inside[-2:-1].isspace()
        inside = (inside[:-1] if trim else inside).strip()
        if not (inside.startswith("/*") and inside.endswith("*/")):
            yield True, inside
        at = match.end()


def _parse(parts: list[tuple[bool, str]], at: int, until: tuple[str, ...]) -> tuple[list[Node], int]:
    """Nodes up to one of these words, and where that stands."""
    nodes: list[Node] = []
    while at < len(parts):
        is_action, text = parts[at]
        word, _, rest = text.partition(" ") if is_action else ("", "", "")
        if is_action and word in ("end", "else"):
            if word not in until:
                raise _malformed("unexpected {{" + word + "}}", text)
            return nodes, at
        at += 1
        if not is_action:
            nodes.append(Node("text", text))
        elif word in ("if", "range", "with"):
            node = Node(word, rest.strip())
            at = _parse_block(node, parts, at)
            nodes.append(node)
        elif word in ("define", "template", "block", "break", "continue"):
            raise _malformed(f"{word} is not supported", text)
        else:
            nodes.append(Node("print", text))
    if until:
        raise _malformed("unexpected end of the template", "{{end}} is missing")
    return nodes, at


def _parse_block(node: Node, parts: list[tuple[bool, str]], at: int) -> int:
    """Fill in a block up to its end, and say what comes after."""
    node.body, at = _parse(parts, at, ("else", "end"))
    text = parts[at][1]
    if text == "end":
        return at + 1
    more = text.removeprefix("else").strip()
    if more:
        word, _, rest = more.partition(" ")
        if word not in ("if", "with"):
            raise _malformed("unexpected text in {{else}}", text)
        inner = Node(word, rest.strip())
        node.otherwise = [inner]
        return _parse_block(inner, parts, at + 1)
    node.otherwise, at = _parse(parts, at + 1, ("end",))
    return at + 1


def _run(nodes: list[Node], dot: Any, scopes: list[Scope]) -> Iterator[str]:
    for node in nodes:
        if node.kind == "text":
            yield node.text
        elif node.kind == "print":
            names, value = _evaluate(node.text, dot, scopes)
            if not names:
                yield _printed(value)
        elif node.kind == "range":
            yield from _run_range(node, dot, scopes)
        else:
            inner: list[Scope] = [*scopes, {}]
            _, value = _evaluate(node.text, dot, inner)
            if _true(value):
                yield from _run(node.body, value if node.kind == "with" else dot, inner)
            else:
                yield from _run(node.otherwise, dot, inner)


def _run_range(node: Node, dot: Any, scopes: list[Scope]) -> Iterator[str]:
    inner: list[Scope] = [*scopes, {}]
    names, value = _evaluate(node.text, dot, inner, ranging=True)
    items: list[tuple[Any, Any]]
    if isinstance(value, Mapping):
        items = sorted(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    elif isinstance(value, int) and not isinstance(value, bool):
        items = [(number, number) for number in range(value)]
    elif value is None or value is ABSENT:
        items = []
    else:
        raise _malformed(f"range can't iterate over {_printed(value)}", node.text)
    for key, item in items:
        own: Scope = dict(zip(names, (key, item) if len(names) == 2 else (item,), strict=False))
        yield from _run(node.body, item, [*inner, own])
    if not items:
        yield from _run(node.otherwise, dot, inner)


def _evaluate(text: str, dot: Any, scopes: list[Scope], *, ranging: bool = False) -> tuple[list[str], Any]:
    """The variables that are set, and the value. Those of a range are set by it."""
    tokens = _tokens(text)
    names: list[str] = []
    sign = next((number for number, (kind, word) in enumerate(tokens) if kind == "sign" and word in (":=", "=")), 0)
    if sign:
        names = [word for kind, word in tokens[:sign] if kind == "path" and word.startswith("$")]
        given = [token for token in tokens[:sign] if token != ("sign", ",")]
        if len(names) != len(given) or not 1 <= len(names) <= (2 if ranging else 1):
            raise _malformed("unexpected variables", text)
    reader = _Pipeline(tokens[sign + 1 :] if sign else tokens, text, dot, scopes)
    value = reader.read()
    if not ranging and names:
        _set(names[0], value, scopes, new=tokens[sign][1] == ":=", text=text)
    return names, value


def _set(name: str, value: Any, scopes: list[Scope], *, new: bool, text: str) -> None:
    scope = scopes[-1] if new else next((each for each in reversed(scopes) if name in each), None)
    if scope is None:
        raise _malformed(f'undefined variable "{name}"', text)
    scope[name] = value


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at, text = 0, text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise _malformed(f'unexpected "{text[at:].strip()[:20]}"', text)
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


@dataclass(slots=True)
class _Pipeline:
    """Reads ``command | command``, each a value or a function with arguments; the value before is the last argument."""

    tokens: list[tuple[str, str]]
    text: str
    dot: Any
    scopes: list[Scope]
    at: int = 0

    def read(self, *, inner: bool = False) -> Any:
        value = self._command([])
        while self._sign("|"):
            value = self._command([value])
        if inner:
            if not self._sign(")"):
                raise _malformed("unclosed left paren", self.text)
        elif self.at < len(self.tokens):
            raise _malformed(f'unexpected "{self.tokens[self.at][1]}"', self.text)
        return value

    def _sign(self, sign: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at] == ("sign", sign):
            self.at += 1
            return True
        return False

    def _ends(self) -> bool:
        return self.at >= len(self.tokens) or self.tokens[self.at] in (("sign", "|"), ("sign", ")"))

    def _command(self, last: list[Any]) -> Any:
        if self._ends():
            raise _malformed("missing value for command", self.text)
        kind, word = self.tokens[self.at]
        if kind == "word" and word not in WORDS:
            self.at += 1
            arguments = []
            while not self._ends():
                arguments.append(self._operand())
            return self._call(word, [*arguments, *last])
        value = self._operand()
        if not self._ends() or last:
            raise _malformed(f"can't give argument to non-function {word}", self.text)
        return value

    def _operand(self) -> Any:
        kind, word = self.tokens[self.at]
        self.at += 1
        if kind == "string":
            return word[1:-1] if word[0] == "`" else _unquoted(word, self.text)
        if kind == "number":
            return float(word) if "." in word else int(word)
        if kind == "word":
            return WORDS[word] if word in WORDS else self._call(word, [])
        if kind == "path":
            return self._path(word)
        if word == "(":
            return self._below(self.read(inner=True))
        raise _malformed(f'unexpected "{word}"', self.text)

    def _below(self, value: Any) -> Any:
        """``(index .items 0).metadata``: a path right behind parentheses."""
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "below":
            self.at += 1
            return _follow(value, self.tokens[self.at - 1][1][1:].split("."), self.text)
        return value

    def _path(self, word: str) -> Any:
        if not word.startswith("$"):
            return _follow(self.dot, [part for part in word.split(".") if part], self.text)
        name, *parts = word.split(".")
        scope = next((each for each in reversed(self.scopes) if name in each), None)
        if scope is None:
            raise _malformed(f'undefined variable "{name}"', self.text)
        return _follow(scope[name], parts, self.text)

    def _call(self, name: str, arguments: list[Any]) -> Any:
        function = FUNCTIONS.get(name)
        if function is None:
            known = ", ".join(sorted(FUNCTIONS))
            raise _malformed(f'function "{name}" not defined: there are {known}', self.text)
        try:
            return function(*arguments)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            raise _malformed(f"error calling {name}: {error}", self.text) from None


def _follow(value: Any, parts: list[str], text: str) -> Any:
    for part in parts:
        if value is ABSENT or value is None:
            return ABSENT
        if not isinstance(value, Mapping):
            raise _malformed(f"can't evaluate field {part} in {_printed(value)[:40]}", text)
        value = value.get(part, ABSENT)
    return value


def _true(value: Any) -> bool:
    return value is not ABSENT and bool(value)


def _printed(value: Any) -> str:
    """As Go prints values: ``map[a:1 b:2]``, ``[a b]``."""
    if value is ABSENT or value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{_printed(inner)}' for key, inner in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_printed, value))}]"
    return str(value)


def _unquoted(word: str, text: str) -> str:
    try:
        return str(json.loads(word, strict=False))
    except ValueError:
        raise _malformed("invalid string", text) from None


def _malformed(problem: str, text: str) -> Invalid:
    return Invalid(f"error parsing template: {problem}: {{{{{text[:60]}}}}}")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if value is None or value is ABSENT:
            return ABSENT
        if isinstance(value, Mapping):
            value = value.get(key, ABSENT)
        elif not isinstance(key, int) or not 0 <= key < len(value):
            raise ValueError(f"index out of range: {key}")
        else:
            value = value[key]
    return value


def _formatted(form: str, *values: Any) -> str:
    """``%s %d %v %q %5s %%``."""
    rest = list(values)

    def one(match: re.Match[str]) -> str:
        if match["verb"] == "%":
            return "%"
        if not rest:
            return f"%!{match['verb']}(MISSING)"
        value = rest.pop(0)
        if match["verb"] == "q":
            text = json.dumps(_printed(value), ensure_ascii=False)
        elif match["verb"] in "fd" and isinstance(value, int | float) and not isinstance(value, bool):
            text = f"{value:.{int(match['digits'] or 6)}f}" if match["verb"] == "f" else str(int(value))
        else:
            text = _printed(value)
        width = int(match["width"] or 0)
        return text.ljust(-width) if width < 0 else text.rjust(width)

    return re.sub(r"%(?P<width>-?\d+)?(?:\.(?P<digits>\d+))?(?P<verb>[sdvqtf%])", one, form)


def _joined(*values: Any) -> str:
    """As Go's Print: a space between two values neither of which is a string."""
    text = ""
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            text += " "
        text += _printed(value)
    return text


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _exists(value: Any, *keys: Any) -> bool:
    try:
        return _index(value, *keys) not in (ABSENT, None)
    except (TypeError, ValueError):
        return False


def _first(values: tuple[Any, ...], *, holding: bool) -> Any:
    return next((value for value in values if _true(value) == holding), values[-1])


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "and": lambda *values: _first(values, holding=False),
    "or": lambda *values: _first(values, holding=True),
    "not": lambda value: not _true(value),
    "eq": lambda one, *others: any(one == other for other in others),
    "ne": lambda one, other: one != other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "len": lambda value: len(value),
    "index": _index,
    "slice": lambda value, start=0, end=None: value[start:end],
    "print": _joined,
    "println": lambda *values: " ".join(map(_printed, values)) + "\n",
    "printf": _formatted,
    "base64decode": _decoded,
    "exists": _exists,
}
