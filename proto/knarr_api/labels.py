"""Label selectors: parsed once, matched often. Source: Kubernetes "Labels and Selectors"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from knarr_api.errors import Invalid
from knarr_api.types.meta_v1 import LabelSelector

NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
TOKEN = re.compile(r"\s*(?:(?P<word>[^\s,()=!<>]+)|(?P<operator>==|!=|=|!|<|>|,|\(|\)))")
MAX_LENGTH = 16384


@dataclass(frozen=True, slots=True)
class Requirement:
    """operator: In, NotIn, Exists, DoesNotExist, Gt, Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case _:
                return _compare(value, self.operator, self.values[0])

    def __str__(self) -> str:
        match self.operator:
            case "In" if len(self.values) == 1:
                return f"{self.key}={self.values[0]}"
            case "NotIn" if len(self.values) == 1:
                return f"{self.key}!={self.values[0]}"
            case "In" | "NotIn":
                return f"{self.key} {self.operator.lower()} ({','.join(self.values)})"
            case "Exists":
                return self.key
            case "DoesNotExist":
                return f"!{self.key}"
            case _:
                return f"{self.key}{'>' if self.operator == 'Gt' else '<'}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class Selector:
    """All requirements must hold; without any everything matches. nothing: a selector that matches nothing."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    @classmethod
    def parse(cls, text: str) -> Selector:
        """``app=web,tier in (a,b),!x,k!=v``. Raises Invalid naming the place."""
        return cls(tuple(_Parser(text).requirements()))

    @classmethod
    def from_label_selector(cls, selector: LabelSelector | None) -> Selector:
        """None matches nothing, an empty one everything. Raises Invalid."""
        if selector is None:
            return cls(nothing=True)
        requirements = [Requirement(key, "In", (value,)) for key, value in sorted(selector.match_labels.items())]
        for expression in selector.match_expressions:
            if expression.operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
                raise Invalid(f'"{expression.operator}" is not a valid label selector operator')
            if bool(expression.values) != (expression.operator in ("In", "NotIn")):
                raise Invalid(
                    f"label selector {expression.key} {expression.operator}: values are wanted for In and NotIn only"
                )
            requirements.append(Requirement(expression.key, expression.operator, tuple(sorted(expression.values))))
        return cls(tuple(requirements))

    def matches(self, labels: Mapping[str, str]) -> bool:
        return not self.nothing and all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def everything(self) -> bool:
        return not self.requirements and not self.nothing

    def __str__(self) -> str:
        """Text that ``parse`` makes an equivalent selector of; one that matches nothing contradicts itself."""
        if self.nothing:
            return "knarr.io/nothing,!knarr.io/nothing"
        return ",".join(str(requirement) for requirement in self.requirements)


SUBDOMAIN_PROBLEM = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
NAME_PROBLEM = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE_PROBLEM = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
MAX_NAME, MAX_PREFIX = 63, 253


def key_problem(key: str) -> str:
    """What is wrong with a label's key, in Kubernetes' words, or the empty string."""
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        return "prefix part must be non-empty"
    if "/" in prefix:
        return (
            f"a qualified name {NAME_PROBLEM} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )
    if len(prefix) > MAX_PREFIX:
        return f"prefix part must be no more than {MAX_PREFIX} characters"
    if slash and not PREFIX.fullmatch(prefix):
        return f"prefix part {SUBDOMAIN_PROBLEM}"
    if not name:
        return "name part must be non-empty"
    if len(name) > MAX_NAME:
        return f"name part must be no more than {MAX_NAME} characters"
    return "" if NAME.fullmatch(name) else f"name part {NAME_PROBLEM}"


def value_problem(value: str) -> str:
    """What is wrong with a label's value, in Kubernetes' words, or the empty string."""
    if len(value) > MAX_NAME:
        return f"must be no more than {MAX_NAME} characters"
    return VALUE_PROBLEM if value and not NAME.fullmatch(value) else ""


def _compare(value: str | None, operator: str, bound: str) -> bool:
    try:
        have = int(value or "")
    except ValueError:
        return False
    return have > int(bound) if operator == "Gt" else have < int(bound)


class _Parser:
    """A recursive descent over the tokens of one selector."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise Invalid(f"label selector is longer than {MAX_LENGTH} characters")
        self.text = text
        self.tokens: list[str] = []
        place = 0
        text = text.rstrip()
        while place < len(text):
            match = TOKEN.match(text, place)
            if match is None:
                raise self._error(f"unexpected {text[place:].strip()[:20]!r}")
            self.tokens.append(match[1] or match[2])
            place = match.end()
        self.at = 0

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while self.at < len(self.tokens):
            found.append(self._requirement())
            if self.at == len(self.tokens):
                break
            if self._next() != ",":
                raise self._error(f"expected ',' before {self.tokens[self.at - 1]!r}")
            if self.at == len(self.tokens):
                raise self._error("expected a key after ','")
        return found

    def _requirement(self) -> Requirement:
        token = self._next()
        if token == "!":
            return Requirement(self._key(self._next()), "DoesNotExist")
        key = self._key(token)
        operator = self._peek()
        if operator in ("", ","):
            return Requirement(key, "Exists")
        self.at += 1
        match operator:
            case "=" | "==":
                return Requirement(key, "In", (self._value(),))
            case "!=":
                return Requirement(key, "NotIn", (self._value(),))
            case "in" | "notin":
                return Requirement(key, "In" if operator == "in" else "NotIn", self._values())
            case ">" | "<":
                bound = self._value()
                if not re.fullmatch(r"-?\d{1,18}", bound):
                    raise self._error(f"{bound!r} must be an integer")
                return Requirement(key, "Gt" if operator == ">" else "Lt", (bound,))
        raise self._error(f"found {operator!r}, expected in, notin, =, ==, !=, > or <")

    def _values(self) -> tuple[str, ...]:
        if self._next() != "(":
            raise self._error("expected '(' after in")
        if self._peek() == ")":
            raise self._error("the values of in and notin can't be empty")
        values = [self._value()]
        while self._peek() == ",":
            self.at += 1
            values.append(self._value())
        if self._next() != ")":
            raise self._error("expected ')'")
        return tuple(sorted(values))

    def _value(self) -> str:
        if self._peek() in ("", ",", ")"):
            return ""
        value = self._next()
        problem = value_problem(value)
        if problem:
            raise self._error(f"value {value!r}: {problem}")
        return value

    def _key(self, key: str) -> str:
        problem = key_problem(key)
        if problem:
            raise self._error(f"key {key!r}: {problem}")
        return key

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self.at += 1
        return token

    def _error(self, what: str) -> Invalid:
        return Invalid(f"unable to parse label selector {self.text!r}: {what}")
