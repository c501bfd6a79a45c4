"""Values and Kubernetes JSON.

``decode`` is for what was checked before (the store, other parts of Knarr): fast, unknown fields ignored.
``decode_strict`` is for what people write: it finds everything wrong at once and says where.
"""

from __future__ import annotations

import datetime
import difflib
import types
import typing
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec

from knarr_api.errors import FieldError, Invalid
from knarr_api.quantity import Quantity

T = TypeVar("T")

MAX_BYTES = 3 * 1024 * 1024
MAX_DEPTH = 64
MAX_ERRORS = 50


def encode(obj: Any) -> bytes:
    """Compact JSON of a value or of plain dicts and lists."""
    return _ENCODER.encode(obj)


def decode(data: bytes | str, type_: type[T]) -> T:
    """Raises Invalid, with the path, when the data is not of the type. Unknown fields are ignored."""
    try:
        return cast(T, _decoder(cast(Any, type_)).decode(data))
    except (msgspec.DecodeError, Invalid) as error:
        raise Invalid(_readable(str(error))) from error


def to_builtins(obj: Any) -> Any:
    """Dicts, lists, strings and numbers, as ``json.loads`` would give."""
    return msgspec.json.decode(encode(obj))


def from_builtins(data: Any, type_: type[T]) -> T:
    """The other way round. Raises Invalid. Unknown fields are ignored."""
    try:
        return msgspec.convert(data, type_, dec_hook=_dec_hook)
    except (msgspec.ValidationError, Invalid) as error:
        raise Invalid(_readable(str(error))) from error


def decode_strict(data: bytes | Mapping[str, Any], type_: type[T]) -> T:
    """Raises Invalid with one FieldError per unknown field and per value of a wrong type.

    ``null`` counts as absent, as in Kubernetes. Raises Invalid as well for what is too large or nested too deep.
    """
    value, problems = decode_lenient(data, type_)
    if problems:
        raise Invalid("; ".join(str(problem) for problem in problems), details=problems)
    return value


def decode_lenient(data: bytes | Mapping[str, Any], type_: type[T]) -> tuple[T, tuple[FieldError, ...]]:
    """As ``decode_strict``, but unknown fields are dropped and returned. Raises Invalid for wrong types."""
    document = load(data) if isinstance(data, bytes | str) else data
    if not isinstance(document, Mapping):
        raise Invalid(f"expected an object, got {_kind_of(document)}")
    problems = list(_check(document, type_, "", 0))
    wrong = [problem for problem in problems if problem.message.startswith("expected ") or problem.kind]
    if wrong:
        shown = problems[:MAX_ERRORS]
        raise Invalid("; ".join(str(problem) for problem in shown), details=shown)
    return from_builtins(_without_nulls(document), type_), tuple(problems[:MAX_ERRORS])


def load(data: bytes | str) -> Any:
    """Plain JSON. Raises Invalid with the place, and for more than MAX_BYTES."""
    if len(data) > MAX_BYTES:
        raise Invalid(f"the object has {len(data)} bytes, more than the limit of {MAX_BYTES}")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(f"not JSON: {error}") from error


def _enc_hook(obj: Any) -> Any:
    if isinstance(obj, Quantity):
        return str(obj)
    raise NotImplementedError(f"{type(obj).__name__} has no JSON form")


def _dec_hook(type_: type[Any], obj: Any) -> Any:
    if type_ is Quantity:
        if isinstance(obj, str | int | float) and not isinstance(obj, bool):
            return Quantity(obj)
        raise Invalid(f"expected quantity, got {_kind_of(obj)}")
    raise NotImplementedError(f"{type_.__name__} has no JSON form")


_ENCODER = msgspec.json.Encoder(enc_hook=_enc_hook)


@lru_cache(maxsize=1024)
def _decoder(type_: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_, dec_hook=_dec_hook)


def _readable(message: str) -> str:
    """msgspec's ``Expected `int`, got `str` - at `$.spec.replicas``` as ``spec.replicas: expected int, got str``."""
    text, at, path = message.partition(" - at `$")
    text = text.replace("`", "")
    text = text[:1].lower() + text[1:]
    return f"{path.rstrip('`').lstrip('.')}: {text}" if at and path.rstrip("`") else text


@lru_cache(maxsize=2048)
def fields_of(type_: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON name of every field of a struct with its type."""
    hints = get_type_hints(type_)
    return {field.encode_name: hints[field.name] for field in msgspec.structs.fields(type_)}


def _check(data: Any, type_: Any, path: str, depth: int) -> Iterator[FieldError]:
    """Compare data with a type, without stopping at the first difference."""
    if data is None or type_ is Any:
        return
    if depth > MAX_DEPTH:
        yield FieldError(path, f"nested deeper than {MAX_DEPTH} levels", "Invalid value")
        return
    options = [option for option in get_args(type_) if option is not type(None)] if _is_union(type_) else [type_]
    if len(options) > 1:
        yield from _check_union(data, options, path, depth)
        return
    option = options[0]
    origin = get_origin(option)
    if origin is tuple:
        if not isinstance(data, list | tuple):
            yield FieldError(path, f"expected array, got {_kind_of(data)}")
            return
        for index, item in enumerate(data):
            if item is None:
                yield FieldError(f"{path}[{index}]", "expected a value, got null")
            yield from _check(item, get_args(option)[0], f"{path}[{index}]", depth + 1)
    elif origin is dict:
        if not isinstance(data, Mapping):
            yield FieldError(path, f"expected object, got {_kind_of(data)}")
            return
        for key, item in data.items():
            if not isinstance(key, str):
                yield FieldError(path, f"expected string keys, got {_kind_of(key)} {key}")
                continue
            if item is None and get_args(option)[1] is str:
                continue
            yield from _check(item, get_args(option)[1], f"{path}[{key}]", depth + 1)
    elif isinstance(option, type) and issubclass(option, msgspec.Struct):
        yield from _check_struct(data, option, path, depth)
    else:
        yield from _check_scalar(data, option, path)


def _check_struct(data: Any, type_: type[msgspec.Struct], path: str, depth: int) -> Iterator[FieldError]:
    if not isinstance(data, Mapping):
        yield FieldError(path, f"expected object, got {_kind_of(data)}")
        return
    fields = fields_of(type_)
    for key, item in data.items():
        at = f"{path}.{key}" if path else str(key)
        known = fields.get(key) if isinstance(key, str) else None
        if known is None:
            near = difflib.get_close_matches(str(key), fields, n=1, cutoff=0.6)
            yield FieldError(at, "unknown field" + (f" (did you mean {near[0]}?)" if near else ""))
        else:
            yield from _check(item, known, at, depth + 1)


def _check_union(data: Any, options: list[Any], path: str, depth: int) -> Iterator[FieldError]:
    if int in options and str in options:
        if isinstance(data, bool) or not isinstance(data, int | str):
            yield FieldError(path, f"expected integer or string, got {_kind_of(data)}")
        return
    for option in options:
        is_struct = isinstance(option, type) and issubclass(option, msgspec.Struct)
        if (isinstance(data, Mapping) and is_struct) or (isinstance(data, list) and get_origin(option) is tuple):
            yield from _check(data, option, path, depth)
            return
        if option is bool and isinstance(data, bool):
            return
    yield FieldError(path, f"expected {' or '.join(_name_of(option) for option in options)}, got {_kind_of(data)}")


def _check_scalar(data: Any, type_: Any, path: str) -> Iterator[FieldError]:
    if type_ is Quantity:
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            yield FieldError(path, f"expected quantity, got {_kind_of(data)}")
            return
        try:
            Quantity(data)
        except Invalid as error:
            yield FieldError(path, error.message, "Invalid value")
        return
    fits = {
        str: isinstance(data, str),
        bool: isinstance(data, bool),
        int: isinstance(data, int) and not isinstance(data, bool),
        float: isinstance(data, int | float) and not isinstance(data, bool),
        bytes: isinstance(data, str | bytes),
        datetime.datetime: isinstance(data, str | datetime.datetime),
    }.get(type_, True)
    if not fits:
        shown = f' "{data}"' if isinstance(data, str) and len(data) <= 40 else ""
        yield FieldError(path, f"expected {_name_of(type_)}, got {_kind_of(data)}{shown}")
    elif type_ in (bytes, datetime.datetime) and isinstance(data, str):
        try:
            msgspec.convert(data, type_)
        except msgspec.ValidationError:
            what = "base64" if type_ is bytes else "a time like 2026-01-31T08:00:00Z"
            yield FieldError(path, f"expected {what}, got string" + (f' "{data}"' if len(data) <= 40 else ""))
    elif type_ is int and not -(2**63) <= data < 2**63:
        yield FieldError(path, "expected an integer of 64 bits")


def _is_union(type_: Any) -> bool:
    return get_origin(type_) in (types.UnionType, typing.Union)


def _without_nulls(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _without_nulls(item) for key, item in data.items() if item is not None}
    if isinstance(data, list):
        return [_without_nulls(item) for item in data]
    return data


def _name_of(type_: Any) -> str:
    names = {str: "string", bool: "boolean", int: "integer", float: "number", bytes: "base64 string"}
    if type_ in names:
        return names[type_]
    if get_origin(type_) is tuple:
        return "array"
    return "time" if type_ is datetime.datetime else "object"


def _kind_of(data: Any) -> str:
    if data is None:
        return "null"
    if isinstance(data, bool):
        return "boolean"
    if isinstance(data, Mapping):
        return "object"
    if isinstance(data, list | tuple):
        return "array"
    if isinstance(data, str | bytes):
        return "string"
    if isinstance(data, int):
        return "integer"
    return "number" if isinstance(data, float) else type(data).__name__
