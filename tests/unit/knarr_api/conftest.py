"""Random values of any type of the API, from a seed."""

from __future__ import annotations

import datetime
import importlib
import pkgutil
import types as python_types
import typing
from collections.abc import Callable
from random import Random
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
import pytest

import knarr_api.types
from knarr_api import conventions, wire
from knarr_api.quantity import Quantity

MODULES = tuple(sorted(module.name for module in pkgutil.iter_modules(knarr_api.types.__path__)))
TEXTS = ("a", "web-1", "x/y", "ø ☕", "true", "null", '"quoted"\n', "10.0.0.1", "-", "0")
QUANTITIES = ("0", "100m", "1", "1500m", "2Gi", "1536Mi", "3k", "12e6", "1n", "-5", "7E")
JSONS: tuple[Any, ...] = (1, "x", True, 1.5, [1, None, {"a": []}], {"k": {"n": None, "m": [{}]}}, {})
MAX_DEPTH = 4


def structs_of(module: str) -> list[type[msgspec.Struct]]:
    """Every value type of a module."""
    names = vars(importlib.import_module(f"knarr_api.types.{module}")).values()
    return [v for v in names if isinstance(v, type) and issubclass(v, msgspec.Struct) and v.__module__.endswith(module)]


def random_value(type_: Any, random: Random, depth: int = 0, hint: str = "") -> Any:
    """A value of a type as annotations name it; below MAX_DEPTH everything optional is left out."""
    origin, arguments = get_origin(type_), get_args(type_)
    if origin in (python_types.UnionType, typing.Union):
        options = [option for option in arguments if option is not type(None)]
        return random_value(random.choice(options), random, depth, hint)
    if origin is Annotated:
        limits = next(meta for meta in arguments[1:] if isinstance(meta, msgspec.Meta))
        return random.choice((0, 1, 80, limits.ge, limits.le))
    if origin is tuple:
        count = random.randint(0, 2 if depth < MAX_DEPTH else 0)
        return tuple(random_value(arguments[0], random, depth + 1) for _ in range(count))
    if origin is dict:
        keys = random.sample(TEXTS, random.randint(0, 2 if depth < MAX_DEPTH else 0))
        return {key: random_value(arguments[1], random, depth + 1) for key in sorted(keys)}
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return random_struct(type_, random, depth)
    return random.choice(_scalars(type_, hint))


def random_struct(type_: type[msgspec.Struct], random: Random, depth: int = 0) -> msgspec.Struct:
    """Each attribute is set with a chance of a half."""
    hints = get_type_hints(type_, include_extras=True)
    chance = 0.5 if depth < MAX_DEPTH else 0.0
    chosen = [name for name, _ in field_names(wire.message_class(type_).DESCRIPTOR) if random.random() < chance]
    return type_(**{name: random_value(hints[name], random, depth + 1, name) for name in chosen})


def field_names(descriptor: Any) -> list[tuple[str, str]]:
    """(attribute, name in JSON) of every field of a message, in the order of the schema."""
    names = []
    for field in descriptor.fields:
        full_name, name = descriptor.full_name, field.name
        if (full_name, name) in conventions.INLINED:
            names += field_names(field.message_type)
        else:
            names.append((conventions.attribute_name(full_name, name), conventions.json_name(full_name, name)))
    return names


def _scalars(type_: Any, hint: str) -> tuple[Any, ...]:
    moment = datetime.datetime(2026, 2, 28, 23, 59, 59, tzinfo=datetime.UTC)
    if type_ is str and hint == "window":
        return ("30s", "1m0s", "1h30m0s", "1.5s", "250ms")
    scalars: dict[Any, tuple[Any, ...]] = {
        str: TEXTS,
        bool: (True, False),
        int: (0, 1, 2**53),
        float: (0.5, -2.25, 1e30),
        bytes: (b"a", b"\x00\xff" * 20),
        datetime.datetime: (moment, moment.replace(year=1970), moment.replace(microsecond=0, year=1)),
        Quantity: tuple(Quantity(text) for text in QUANTITIES),
        Any: JSONS,
    }
    return scalars[type_]


@pytest.fixture
def random_of() -> Callable[[type[msgspec.Struct], int], msgspec.Struct]:
    """Makes a value of a type from a seed."""
    return lambda type_, seed: random_struct(type_, Random(seed))


@pytest.fixture(params=MODULES)
def structs(request: pytest.FixtureRequest) -> list[type[msgspec.Struct]]:
    """All value types of one module after the other."""
    return structs_of(request.param)


@pytest.fixture
def names_of() -> Callable[[Any], list[tuple[str, str]]]:
    """(attribute, name in JSON) of every field of a message descriptor."""
    return field_names
