"""Compares plain data, as JSON or YAML gives it, with a value type, and finds all differences at once.

msgspec stops at the first one and ignores unknown fields. Here a checker is compiled once per type; nothing is
allocated while the data fits. A null counts as absent, as in Kubernetes: a null string in a map is the empty string, a
null object in a list an empty object. What has no schema (``Any``) is left as it is.

Input is untrusted: depth and number of nodes are limited, the latter because YAML's aliases let a short text stand for
very many.
"""

from __future__ import annotations

import datetime
import types
import typing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Protocol, get_args, get_origin, get_type_hints

import msgspec

from knarr_api.errors import FieldError, Invalid
from knarr_api.quantity import Quantity

MAX_DEPTH = 100
MAX_NODES = 500_000


class Doubled(dict[str, Any]):
    """An object that had these names more than once; the last value counts."""

    def __init__(self, data: dict[str, Any], names: list[str]) -> None:
        super().__init__(data)
        self.names = names


@dataclass(slots=True)
class Problem:
    """path grows at its front while the finding travels up. tolerable: may be a warning instead."""

    path: str
    message: str
    kind: str = ""
    tolerable: bool = False

    def as_field_error(self) -> FieldError:
        """The same, frozen."""
        return FieldError(self.path.removeprefix("."), self.message, self.kind)


@dataclass(slots=True)
class _Tally:
    """What one check of one document has met. untidy: there are nulls or doubled names to clean away."""

    nodes: int = 0
    untidy: bool = False
    found: list[Problem] = field(default_factory=list)

    def count(self, nodes: int, depth: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise Invalid(f"the object has more than {MAX_NODES} fields and items")
        if depth > MAX_DEPTH:
            raise Invalid(f"nested deeper than {MAX_DEPTH} levels")


class _Checker(Protocol):
    """Both get data that is not null. ``check`` adds to the tally; ``clean`` returns the data without nulls."""

    def check(self, data: Any, tally: _Tally, depth: int) -> None: ...

    def clean(self, data: Any) -> Any: ...

    @property
    def empty(self) -> Any:
        """What a null in a list or map stands for."""


def check(data: dict[str, Any], type_: type[Any]) -> tuple[Any, list[Problem]]:
    """The data cleaned of nulls, and everything wrong with it in the order of the document. Raises Invalid.

    Data with a wrong type somewhere is returned as it is.
    """
    checker = _struct(type_) if issubclass(type_, msgspec.Struct) else _compile(type_)
    tally = _Tally()
    checker.check(data, tally, 0)
    fits = all(problem.tolerable for problem in tally.found)
    return (checker.clean(data) if tally.untidy and fits else data), tally.found


def kind_of(data: Any) -> str:
    """JSON's word for what some data is."""
    if data is None:
        return "null"
    if isinstance(data, bool):
        return "boolean"
    for class_, word in (
        (dict, "object"),
        (list | tuple, "array"),
        (str | bytes, "string"),
        (int, "integer"),
        (float, "number"),
    ):
        if isinstance(data, class_):
            return word
    return type(data).__name__


def _under(tally: _Tally, since: int, prefix: str) -> None:
    for problem in tally.found[since:]:
        problem.path = prefix + problem.path


def _wrong(tally: _Tally, expected: str, data: Any) -> None:
    shown = f" {data}" if isinstance(data, int | float) and not isinstance(data, bool) else ""
    if isinstance(data, str):
        shown = f' "{data}"' if len(data) <= 40 else f' "{data[:37]}…"'
    tally.found.append(Problem("", f"expected {expected}, got {kind_of(data)}{shown[:60]}"))


def _check_doubles(data: dict[str, Any], tally: _Tally) -> None:
    if isinstance(data, Doubled):
        tally.untidy = True
        tally.found += [Problem(f".{name}", "duplicate field", tolerable=True) for name in data.names]


class _Struct:
    """One struct. Its fields are compiled when first met, so that recursive types work."""

    def __init__(self, type_: type[msgspec.Struct]) -> None:
        hints = get_type_hints(type_, include_extras=True)
        self.types = {f.encode_name: hints[f.name] for f in msgspec.structs.fields(type_)}
        self.checkers: dict[str, _Checker] = {}
        self.empty: Any = {}

    def check(self, data: Any, tally: _Tally, depth: int) -> None:
        if not isinstance(data, dict):
            _wrong(tally, "object", data)
            return
        tally.count(len(data), depth)
        _check_doubles(data, tally)
        for name, item in data.items():
            checker = self.checkers.get(name) or self._compile(name)
            since = len(tally.found)
            if checker is None:
                hint = _near(str(name), self.types)
                message = "unknown field" + (f" (did you mean {hint}?)" if hint else "")
                tally.found.append(Problem("", message, tolerable=True))
            elif item is None:
                tally.untidy = True
            else:
                checker.check(item, tally, depth + 1)
            if len(tally.found) > since:
                _under(tally, since, f".{name}")

    def clean(self, data: Any) -> Any:
        return {
            name: self.checkers[name].clean(item)
            for name, item in data.items()
            if item is not None and name in self.checkers
        }

    def _compile(self, name: Any) -> _Checker | None:
        type_ = self.types.get(name) if isinstance(name, str) else None
        if type_ is None:
            return None
        self.checkers[name] = _compile(type_)
        return self.checkers[name]


@dataclass(slots=True)
class _Map:
    value: _Checker
    empty: Any = None

    def check(self, data: Any, tally: _Tally, depth: int) -> None:
        if not isinstance(data, dict):
            _wrong(tally, "object", data)
            return
        tally.count(len(data), depth)
        _check_doubles(data, tally)
        for key, item in data.items():
            since = len(tally.found)
            if not isinstance(key, str):
                tally.found.append(Problem("", f"expected a string as key, got {kind_of(key)}"))
            elif item is None:
                tally.untidy = True
            else:
                self.value.check(item, tally, depth + 1)
            if len(tally.found) > since:
                _under(tally, since, f"[{key}]")

    def clean(self, data: Any) -> Any:
        cleaned = ((key, self.value.empty if item is None else self.value.clean(item)) for key, item in data.items())
        return {key: item for key, item in cleaned if item is not None}


@dataclass(slots=True)
class _Array:
    item: _Checker
    empty: Any = None

    def check(self, data: Any, tally: _Tally, depth: int) -> None:
        if not isinstance(data, list | tuple):
            _wrong(tally, "array", data)
            return
        tally.count(len(data), depth)
        for index, item in enumerate(data):
            since = len(tally.found)
            if item is None:
                tally.untidy = True
                if self.item.empty is None and not isinstance(self.item, _Anything):
                    tally.found.append(Problem("", "expected a value, got null"))
            else:
                self.item.check(item, tally, depth + 1)
            if len(tally.found) > since:
                _under(tally, since, f"[{index}]")

    def clean(self, data: Any) -> Any:
        return [self.item.empty if item is None else self.item.clean(item) for item in data]


@dataclass(slots=True)
class _Union:
    """options: at most one for each of JSON's kinds."""

    options: list[tuple[type[Any] | tuple[type[Any], ...], _Checker]]
    expected: str
    empty: Any = None

    def check(self, data: Any, tally: _Tally, depth: int) -> None:
        checker = self._of(data)
        if checker is None:
            _wrong(tally, self.expected, data)
        else:
            checker.check(data, tally, depth)

    def clean(self, data: Any) -> Any:
        checker = self._of(data)
        return data if checker is None else checker.clean(data)

    def _of(self, data: Any) -> _Checker | None:
        for class_, checker in self.options:
            if isinstance(data, class_) and (class_ is bool or not isinstance(data, bool)):
                return checker
        return None


@dataclass(slots=True)
class _Scalar:
    """convert: also tried for strings; its exceptions mean that the string is no such thing."""

    classes: type[Any] | tuple[type[Any], ...]
    expected: str
    empty: Any = None
    minimum: int | None = None
    maximum: int | None = None
    convert: type[Any] | None = None

    def check(self, data: Any, tally: _Tally, depth: int) -> None:
        if not isinstance(data, self.classes) or (isinstance(data, bool) and self.classes is not bool):
            _wrong(tally, self.expected, data)
        elif self.minimum is not None and self.maximum is not None and not self.minimum <= data <= self.maximum:
            width = 32 if self.maximum < 2**32 else 64
            tally.found.append(Problem("", f"expected {self.expected} of {width} bits, got {str(data)[:40]}"))
        elif self.convert is not None and isinstance(data, str):
            try:
                value = msgspec.convert(data, self.convert)
            except msgspec.ValidationError:
                _wrong(tally, self.expected, data)
            else:
                if isinstance(value, datetime.datetime) and value.tzinfo is None:
                    tally.found.append(Problem("", f'expected a time with its zone, got "{data}"'))

    def clean(self, data: Any) -> Any:
        return data


class _Amount:
    """A quantity."""

    empty: Any = "0"

    def check(self, data: Any, tally: _Tally, depth: int) -> None:
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            _wrong(tally, "quantity", data)
            return
        try:
            Quantity(data)
        except Invalid as error:
            tally.found.append(Problem("", error.message, "Invalid value"))

    def clean(self, data: Any) -> Any:
        return data


class _Anything:
    """Data without a schema: only its size, depth and doubled names matter."""

    empty: Any = None

    def check(self, data: Any, tally: _Tally, depth: int) -> None:
        if isinstance(data, dict):
            tally.count(len(data), depth)
            _check_doubles(data, tally)
            pairs = [(f".{key}", item) for key, item in data.items()]
        elif isinstance(data, list | tuple):
            tally.count(len(data), depth)
            pairs = [(f"[{index}]", item) for index, item in enumerate(data)]
        else:
            return
        for prefix, item in pairs:
            since = len(tally.found)
            self.check(item, tally, depth + 1)
            if len(tally.found) > since:
                _under(tally, since, prefix)

    def clean(self, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: self.clean(item) for key, item in data.items()}
        return [self.clean(item) for item in data] if isinstance(data, list | tuple) else data


@lru_cache(maxsize=2048)
def _struct(type_: type[msgspec.Struct]) -> _Struct:
    return _Struct(type_)


_SCALARS: dict[Any, _Checker] = {
    Any: _Anything(),
    Quantity: _Amount(),
    str: _Scalar(str, "string", ""),
    bool: _Scalar(bool, "boolean", False),
    int: _Scalar(int, "integer", 0),
    float: _Scalar((int, float), "number", 0),
    bytes: _Scalar((str, bytes), "base64 string", "", convert=bytes),
    datetime.datetime: _Scalar(
        (str, datetime.datetime), "a time like 2026-01-31T08:00:00Z", None, convert=datetime.datetime
    ),
}


def _compile(type_: Any) -> _Checker:
    if type_ in _SCALARS:
        return _SCALARS[type_]
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Annotated:
        limits = next(meta for meta in arguments[1:] if isinstance(meta, msgspec.Meta))
        return _Scalar(int, "integer", 0, typing.cast(int, limits.ge), typing.cast(int, limits.le))
    if origin is tuple:
        return _Array(_compile(arguments[0]))
    if origin is dict:
        return _Map(_compile(arguments[1]))
    if origin in (types.UnionType, typing.Union):
        options = [option for option in arguments if option is not type(None)]
        if set(options) == {int, float}:
            return _SCALARS[float]
        return _compile(options[0]) if len(options) == 1 else _union(options)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return _struct(type_)
    raise TypeError(f"{type_} has no JSON form")


def _union(options: list[Any]) -> _Checker:
    found: list[tuple[type[Any] | tuple[type[Any], ...], _Checker]] = []
    words = []
    for option in options:
        checker = _compile(option)
        if isinstance(checker, _Scalar):
            found.append((checker.classes, checker))
            words.append(checker.expected)
        elif isinstance(checker, _Array):
            found.append(((list, tuple), checker))
            words.append("array")
        else:
            found.append((dict, checker))
            words.append("object")
    return _Union(found, " or ".join(words))


def _near(name: str, known: dict[str, Any]) -> str:
    """The known name that was probably meant. difflib is imported only where somebody erred."""
    import difflib

    folded = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower()[:80], folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else ""
