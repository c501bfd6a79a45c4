"""Go templates over JSON documents, as ``-o go-template``: the part of text/template that people use with kubectl.

Fields, variables, ``if``, ``range``, ``with`` (with ``else``), ``define``, ``template``, ``block``, pipelines,
parentheses, ``{{-`` and ``-}}``, comments, and the functions of ``FUNCTIONS``. A field that is not there prints
``<no value>``, as with kubectl. Source: the documentation of Go's text/template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from knarr_api.errors import Invalid
from knarr_cli.gotemplate_functions import ABSENT, FUNCTIONS, printed, true

ACTION = re.compile(
    r"\{\{(?P<trim>-(?=\s))?(?P<text>(?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|/\*.*?\*/|[^}]|\}(?!\}))*)\}\}", re.DOTALL
)
TOKEN = re.compile(
    r"""(?P<below>(?<=\))(?:\.[\w-]+)+)"""
    r"""|\s*(?:(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<number>[+-]?\d+(?:\.\d+)?)(?![\w.])"""
    r"""|(?P<path>\$\w*(?:\.[\w-]+)*|\.[\w-]+(?:\.[\w-]+)*|\.)|(?P<word>\w+)|(?P<sign>:=|=|\||\(|\)|,))"""
)
WORDS: Mapping[str, Any] = {"true": True, "false": False, "nil": None}
NAMED = re.compile(r"""(?P<name>"(?:[^"\\]|\\.)*"|`[^`]*`)(?:\s+(?P<data>.+))?""", re.DOTALL)
MAX_LENGTH = 64 * 1024
MAX_DEPTH = 100


Scope = dict[str, Any]


@dataclass(slots=True)
class Node:
    """kind: text, print, if, range, with, template (of that name), break, continue. What an action does between it and
    its ``else`` and ``end``."""

    kind: str
    text: str = ""
    body: list[Node] = field(default_factory=list)
    otherwise: list[Node] = field(default_factory=list)
    name: str = ""


def render(template: str, document: Any) -> str:
    """The template filled in. Raises Invalid for a template that is none, and for what it can't do."""
    if len(template) > MAX_LENGTH:
        raise Invalid(f"the template is longer than {MAX_LENGTH} characters")
    parser = _Parser(list(_parts(template)))
    nodes = parser.nodes()
    return "".join(_Filling(parser.templates).run(nodes, document, [{"$": document}]))


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


class _Parser:
    """Of the parts of a template. templates: those that it defines, by name."""

    def __init__(self, parts: list[tuple[bool, str]]) -> None:
        self.templates: dict[str, list[Node]] = {}
        self._parts = parts
        self._at = 0

    def nodes(self, until: tuple[str, ...] = (), *, ranging: bool = False) -> list[Node]:
        """Up to one of these words, which is not taken yet. ranging: within a range, which can be broken off."""
        nodes: list[Node] = []
        while self._at < len(self._parts):
            is_action, text = self._parts[self._at]
            word, _, rest = text.partition(" ") if is_action else ("", "", "")
            if is_action and word in ("end", "else"):
                if word not in until:
                    raise _malformed("unexpected {{" + word + "}}", text)
                return nodes
            self._at += 1
            if not is_action:
                nodes.append(Node("text", text))
            elif word in ("if", "range", "with"):
                nodes.append(self._block(Node(word, rest.strip()), ranging=ranging or word == "range"))
            elif word in ("break", "continue"):
                if not ranging or rest:
                    raise _malformed("{{" + word + "}} outside {{range}}", text)
                nodes.append(Node(word))
            elif word == "define" and until:
                raise _malformed("unexpected {{define}}", text)
            elif word in ("define", "template", "block"):
                nodes += self._named(word, rest, text)
            else:
                nodes.append(Node("print", text))
        if until:
            raise _malformed("unexpected end of the template", "{{end}} is missing")
        return nodes

    def _named(self, word: str, rest: str, text: str) -> list[Node]:
        """What stands where a template is defined, used, or both."""
        match = NAMED.fullmatch(rest.strip())
        if match is None or (word == "define" and match["data"]) or (word == "block" and not match["data"]):
            raise _malformed(f"unexpected text in {word} clause", text)
        name = _unquoted(match["name"], text) if match["name"][0] == '"' else match["name"][1:-1]
        if word != "template":
            self.templates[name] = self.nodes(("end",))
            self._at += 1
        return [] if word == "define" else [Node("template", match["data"], name=name)]

    def _block(self, node: Node, *, ranging: bool) -> Node:
        """Filled in up to its end, which is taken."""
        node.body = self.nodes(("else", "end"), ranging=ranging)
        text = self._parts[self._at][1]
        self._at += 1
        if text == "end":
            return node
        more = text.removeprefix("else").strip()
        if more:
            word, _, rest = more.partition(" ")
            if word not in ("if", "with"):
                raise _malformed("unexpected text in {{else}}", text)
            node.otherwise = [self._block(Node(word, rest.strip()), ranging=ranging)]
            return node
        node.otherwise = self.nodes(("end",), ranging=ranging)
        self._at += 1
        return node


class _Break(Exception):
    """A range goes no further."""


class _Continue(Exception):
    """A range goes on with what comes next."""


class _Filling:
    def __init__(self, templates: Mapping[str, list[Node]]) -> None:
        self._templates = templates
        self._depth = 0

    def run(self, nodes: list[Node], dot: Any, scopes: list[Scope]) -> Iterator[str]:
        for node in nodes:
            if node.kind == "text":
                yield node.text
            elif node.kind == "print":
                names, value = _evaluate(node.text, dot, scopes)
                if not names:
                    yield printed(value)
            elif node.kind == "range":
                yield from self._range(node, dot, scopes)
            elif node.kind == "template":
                yield from self._template(node, dot, scopes)
            elif node.kind in ("break", "continue"):
                raise _Break if node.kind == "break" else _Continue
            else:
                inner: list[Scope] = [*scopes, {}]
                _, value = _evaluate(node.text, dot, inner)
                if true(value):
                    yield from self.run(node.body, value if node.kind == "with" else dot, inner)
                else:
                    yield from self.run(node.otherwise, dot, inner)

    def _template(self, node: Node, dot: Any, scopes: list[Scope]) -> Iterator[str]:
        """It sees what it is given and nothing else."""
        body = self._templates.get(node.name)
        if body is None:
            raise _malformed(f'template "{node.name}" not defined', node.name)
        if self._depth >= MAX_DEPTH:
            raise _malformed(f"templates use each other more than {MAX_DEPTH} deep", node.name)
        value = _evaluate(node.text, dot, scopes)[1] if node.text else None
        self._depth += 1
        yield from self.run(body, value, [{"$": value}])
        self._depth -= 1

    def _range(self, node: Node, dot: Any, scopes: list[Scope]) -> Iterator[str]:
        inner: list[Scope] = [*scopes, {}]
        names, value = _evaluate(node.text, dot, inner, ranging=True)
        items = _items(value, node.text)
        for key, item in items:
            own: Scope = dict(zip(names, (key, item) if len(names) == 2 else (item,), strict=False))
            try:
                yield from self.run(node.body, item, [*inner, own])
            except _Continue:
                continue
            except _Break:
                return
        if not items:
            yield from self.run(node.otherwise, dot, inner)


def _items(value: Any, text: str) -> list[tuple[Any, Any]]:
    """What is ranged over, with keys or indexes."""
    if isinstance(value, Mapping):
        return sorted(value.items())
    if isinstance(value, list):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(value)]
    if value is None or value is ABSENT:
        return []
    raise _malformed(f"range can't iterate over {printed(value)}", text)


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
            raise _malformed(f"can't evaluate field {part} in {printed(value)[:40]}", text)
        value = value.get(part, ABSENT)
    return value


def _unquoted(word: str, text: str) -> str:
    try:
        return str(json.loads(word, strict=False))
    except ValueError:
        raise _malformed("invalid string", text) from None


def _malformed(problem: str, text: str) -> Invalid:
    shown = text[:60] if "{{" in text else f"{{{{{text[:60]}}}}}"
    return Invalid(f"error parsing template: {problem}: {shown}")
