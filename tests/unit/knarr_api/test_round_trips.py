"""Every value type: through JSON and back, through the wire and back, and field names that fit the schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knarr_api import json, wire
from knarr_api.errors import Invalid

Structs = list[type[msgspec.Struct]]
RandomOf = Callable[[type[msgspec.Struct], int], msgspec.Struct]
NamesOf = Callable[[Any], list[tuple[str, str]]]
SEEDS = st.integers(min_value=0, max_value=2**32)
FEW = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@FEW
@given(seed=SEEDS)
def test_json_gives_the_same_value_back(structs: Structs, random_of: RandomOf, seed: int) -> None:
    for type_ in structs:
        value = random_of(type_, seed)
        data = json.encode(value)
        assert json.decode(data, type_) == value
        assert json.decode_strict(data, type_) == value
        assert json.from_builtins(json.to_builtins(value), type_) == value


@FEW
@given(seed=SEEDS)
def test_the_wire_gives_the_same_value_back(structs: Structs, random_of: RandomOf, seed: int) -> None:
    for type_ in structs:
        value = random_of(type_, seed)
        again = wire.from_bytes(wire.to_message(value).SerializeToString(), type_)
        assert json.to_builtins(again) == json.to_builtins(value)
        assert again == value


def test_every_field_of_the_schema_has_its_attribute_and_json_name(structs: Structs, names_of: NamesOf) -> None:
    for type_ in structs:
        found = {field.name: field.encode_name for field in msgspec.structs.fields(type_)}
        expected = dict(names_of(wire.message_class(type_).DESCRIPTOR))
        assert {name: found[name] for name in expected} == expected
        assert found.keys() - expected.keys() <= {"api_version", "kind"}


def test_a_wrong_type_is_named_wherever_it_stands(structs: Structs) -> None:
    for type_ in structs:
        hints = get_type_hints(type_)
        for field in msgspec.structs.fields(type_):
            if hints[field.name] in (Any, tuple[Any, ...]):
                continue
            with pytest.raises(Invalid) as caught:
                json.decode_strict({field.encode_name: [{"?": True}]}, type_)
            assert caught.value.message.startswith(field.encode_name)
