"""Values and Kubernetes JSON.

``decode`` is for what was checked before (the store, other parts of Knarr): fast, unknown fields ignored.
``decode_strict`` is for what people write: it finds everything wrong at once and says where (:mod:`knarr_api.strict`).
Protobuf is not imported here.
"""

from __future__ import annotations

import json as plain_json
import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn, TypeVar, cast

import msgspec

from knarr_api import quantity, strict, time
from knarr_api.errors import FieldError, Invalid
from knarr_api.quantity import Quantity

T = TypeVar("T")

MAX_BYTES = 3 * 1024 * 1024
MAX_SHOWN = 50
"""Field errors that one exception carries."""


def encode(obj: Any) -> bytes:
    """Compact JSON of a value or of plain dicts and lists."""
    return _ENCODER.encode(obj)


def decode(data: bytes | str, type_: type[T]) -> T:
    """Raises Invalid, with the path, when the data is not of the type. Unknown fields are ignored."""
    try:
        return cast(T, _decoder(cast(Any, type_)).decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(error) from error


def to_builtins(obj: Any) -> Any:
    """Dicts, lists, strings and numbers, as ``json.loads`` would give."""
    return msgspec.json.decode(encode(obj))


def from_builtins(data: Any, type_: type[T]) -> T:
    """The other way round. Raises Invalid. Unknown fields are ignored."""
    try:
        return msgspec.convert(data, type_, dec_hook=_dec_hook)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _invalid(error) from error


def decode_strict(data: bytes | str | Mapping[str, Any], type_: type[T]) -> T:
    """Raises Invalid with a FieldError for every unknown or doubled field and every value of a wrong type.

    ``null`` counts as absent, as in Kubernetes. Raises Invalid as well for what is too large or nested too deep.
    """
    value, problems = decode_lenient(data, type_)
    if problems:
        raise _with_details(problems)
    return value


def decode_lenient(data: bytes | str | Mapping[str, Any], type_: type[T]) -> tuple[T, tuple[FieldError, ...]]:
    """As ``decode_strict``, but unknown and doubled fields are dropped and returned. Raises Invalid for wrong types."""
    if isinstance(data, bytes) and (exact := as_written_here(data, type_)) is not None:
        return exact, ()
    document: Any = data
    if isinstance(data, bytes | str):
        document = _load_marking_doubles(data)
    elif isinstance(data, Mapping):
        document = dict(data)
    if not isinstance(document, dict):
        raise Invalid(f"expected object, got {strict.kind_of(document)}")
    cleaned, problems = strict.check(document, type_)
    if any(not problem.tolerable for problem in problems):
        raise _with_details(tuple(problem.as_field_error() for problem in problems))
    return from_builtins(cleaned, type_), tuple(problem.as_field_error() for problem in problems)


def as_written_here(data: bytes, type_: type[T]) -> T | None:
    """The value of what ``encode`` has made, as our own clients send it; None for all else, which is looked at closely.

    What gives the very same bytes again had nothing unknown, doubled or of a wrong type: a tenth of the time.
    """
    if len(data) > strict.MAX_NODES or data.count(b"{") + data.count(b"[") > strict.MAX_DEPTH:
        return None
    try:
        value = _decoder(cast(Any, type_)).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return cast(T, value) if encode(value) == data else None


def load(data: bytes | str) -> Any:
    """Plain JSON. Raises Invalid with the place, and for more than MAX_BYTES."""
    if len(data) > MAX_BYTES:
        raise Invalid(f"Request entity too large: limit is {MAX_BYTES} bytes of JSON, not {len(data)}")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"not JSON: {_lower(str(error)).removeprefix('JSON is malformed: ')}") from error


def doubled_names(data: bytes | str) -> tuple[str, ...]:
    """Where a name stands twice in one object: ``data.a``, ``[0].path``. Raises Invalid as ``load`` does."""
    found: list[str] = []
    waiting: list[tuple[str, Any]] = [("", _load_marking_doubles(data))]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, strict.Doubled):
            found += [f"{path}.{name}".removeprefix(".") for name in value.names]
        if isinstance(value, dict):
            waiting += [(f"{path}.{name}", item) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{path}[{position}]", item) for position, item in enumerate(value)]
    return tuple(found)


def _load_marking_doubles(data: bytes | str) -> Any:
    """msgspec checks the syntax, strictly; the standard library then shows names that stand twice in an object."""
    load(data)
    try:
        return plain_json.loads(data, object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"not JSON: {_lower(str(error)).removeprefix('JSON is malformed: ')}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    times = Counter(name for name, _ in pairs)
    return strict.Doubled(made, sorted(name for name, number in times.items() if number > 1))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _enc_hook(obj: Any) -> Any:
    if isinstance(obj, Quantity):
        return str(obj)
    if isinstance(obj, time.MicroTime):
        return time.text(obj)
    raise NotImplementedError(f"{type(obj).__name__} has no JSON form")


def _dec_hook(type_: type[Any], obj: Any) -> Any:
    if type_ is not Quantity:
        raise NotImplementedError(f"{type_.__name__} has no JSON form")
    try:
        if isinstance(obj, str):
            return quantity.of_text(obj)
        if isinstance(obj, int | float) and not isinstance(obj, bool):
            return Quantity(obj)
    except Invalid as error:
        raise ValueError(error.message) from error
    raise ValueError(f"expected quantity, got {strict.kind_of(obj)}")


_ENCODER = msgspec.json.Encoder(enc_hook=_enc_hook)
_WORDS = {"int": "integer", "str": "string", "bool": "boolean", "float": "number"}


@lru_cache(maxsize=1024)
def _decoder(type_: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_, dec_hook=_dec_hook)


def _invalid(error: Exception) -> Invalid:
    """msgspec's ``Expected `int`, got `str` - at `$.a``` as ``a: expected integer, got string``."""
    if isinstance(error, RecursionError):
        return Invalid(f"nested deeper than {strict.MAX_DEPTH} levels")
    text, at, path = str(error).partition(" - at `")
    text = re.sub(r"`([^`]*)`", lambda match: _type_words(match[1]), text)
    text, path = _lower(text), path.rstrip("`").removeprefix("$").removeprefix(".")
    if not at or not path:
        return Invalid(text)
    return Invalid(f"{path}: {text}", details=(FieldError(path, text),))


def _type_words(types: str) -> str:
    """``int | null`` is an integer that may be absent."""
    words = [_WORDS.get(word, word) for word in types.split(" | ")]
    return " or ".join(word for word in words if word != "null" or len(words) == 1)


def _lower(text: str) -> str:
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def _with_details(problems: tuple[FieldError, ...]) -> Invalid:
    shown = problems[:MAX_SHOWN]
    more = f"; and {len(problems) - len(shown)} more" if len(problems) > len(shown) else ""
    return Invalid("; ".join(str(problem) for problem in shown) + more, details=shown)
