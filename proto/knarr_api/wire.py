"""Values and protobuf messages: converters, compiled once per message from its descriptor.

Importing this imports protobuf; the messages of an API group are imported when first converted.
"""

from __future__ import annotations

import datetime
import importlib
import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeVar, cast

import msgspec
from google.protobuf import any_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from knarr_api import conventions, json
from knarr_api.errors import Invalid
from knarr_api.quantity import Quantity

T = TypeVar("T", bound=msgspec.Struct)
TYPE_URL = "type.googleapis.com/"

Descriptor = Any
"""A message descriptor: protobuf's stubs know two classes of them that don't fit each other."""
Fill = Callable[[Any, Any], None]
"""Writes a value into a message."""
Read = Callable[[Any], Any]
"""Makes a value of a message."""


def to_message(obj: msgspec.Struct) -> Message:
    """The protobuf message of a value."""
    message = message_class(type(obj))()
    _filler(type(obj))(message, obj)
    return message


def from_message(message: Message, type_: type[T]) -> T:
    """The value of a message. Raises Invalid where a part can't be one (a quantity that is none)."""
    return cast(T, _reader(type_)(message))


def to_any(obj: msgspec.Struct) -> any_pb2.Any:
    """The value's message in an Any."""
    packed = any_pb2.Any()
    packed.Pack(to_message(obj))
    return packed


def from_any(packed: any_pb2.Any, type_: type[T]) -> T:
    """Raises Invalid when the Any holds something else or is damaged."""
    class_ = message_class(type_)
    name = class_.DESCRIPTOR.full_name
    if packed.TypeName() != name:
        raise Invalid(f'the object is a "{packed.TypeName()}", expected "{name}"')
    try:
        return from_message(class_.FromString(packed.value), type_)
    except DecodeError as error:
        raise Invalid(f"{name}: {error}") from error


def from_bytes(data: bytes, type_: type[T]) -> T:
    """The value of an encoded message. Raises Invalid."""
    try:
        return from_message(message_class(type_).FromString(data), type_)
    except DecodeError as error:
        raise Invalid(f"{type_.__name__}: {error}") from error


@lru_cache(maxsize=2048)
def message_class(type_: type[msgspec.Struct]) -> type[Message]:
    """The generated message class of a value type."""
    module = importlib.import_module(f"knarr_proto.k8s.{type_.__module__.rpartition('.')[2]}_pb2")
    return cast(type[Message], getattr(module, type_.__name__))


def _value_class(descriptor: Descriptor) -> type[msgspec.Struct]:
    module = importlib.import_module(f"knarr_api.types.{conventions.module_of(descriptor.file.package)}")
    return cast(type[msgspec.Struct], getattr(module, descriptor.name))


@lru_cache(maxsize=2048)
def _filler(type_: type[msgspec.Struct]) -> Fill:
    steps = _fill_steps(message_class(type_).DESCRIPTOR)

    def fill(message: Any, obj: Any) -> None:
        for step in steps:
            step(message, obj)

    return fill


@lru_cache(maxsize=2048)
def _reader(type_: type[msgspec.Struct]) -> Read:
    steps = _read_steps(message_class(type_).DESCRIPTOR)

    def read(message: Any) -> Any:
        found: dict[str, Any] = {}
        for step in steps:
            step(message, found)
        return type_(**found)

    return read


def _fill_steps(descriptor: Descriptor) -> tuple[Fill, ...]:
    return tuple(_fill_step(descriptor, field) for field in descriptor.fields)


def _fill_step(descriptor: Descriptor, field: Any) -> Fill:
    name, attribute = field.name, conventions.attribute_name(field.name)
    target = field.message_type
    if (descriptor.full_name, name) in conventions.INLINED:
        return _fill_inlined(name, target)
    if field.is_repeated:
        if target is not None and target.GetOptions().map_entry:
            return _fill_map(name, attribute, target.fields_by_name["value"])
        if target is None:
            return lambda message, obj: getattr(message, name).extend(getattr(obj, attribute))
        one = _fill_one(target)

        def fill_repeated(message: Any, obj: Any) -> None:
            field_list = getattr(message, name)
            for item in getattr(obj, attribute):
                one(field_list.add(), item)

        return fill_repeated
    if target is None:
        default = "" if field.type == FieldDescriptor.TYPE_STRING and not _is_pointer(descriptor, name) else None

        def fill_scalar(message: Any, obj: Any) -> None:
            value = getattr(obj, attribute)
            if value is not None and value != default:
                setattr(message, name, value)

        return fill_scalar
    one = _fill_one(target)
    empty = _empty_instance(descriptor, attribute)

    def fill_message(message: Any, obj: Any) -> None:
        value = getattr(obj, attribute)
        if value is not None and value is not empty and value != ():
            child = getattr(message, name)
            child.SetInParent()
            one(child, value)

    return fill_message


def _fill_inlined(name: str, target: Descriptor) -> Fill:
    steps: list[Fill] = []

    def fill(message: Any, obj: Any) -> None:
        if not steps:
            steps.extend(_fill_steps(target))
        child = target._concrete_class()
        for step in steps:
            step(child, obj)
        if child.ByteSize():
            getattr(message, name).CopyFrom(child)

    return fill


def _fill_map(name: str, attribute: str, value_field: Any) -> Fill:
    if value_field.message_type is None:
        return lambda message, obj: getattr(message, name).update(getattr(obj, attribute))
    one = _fill_one(value_field.message_type)

    def fill(message: Any, obj: Any) -> None:
        entries = getattr(message, name)
        for key, value in getattr(obj, attribute).items():
            child = entries[key]
            one(child, value)

    return fill


def _fill_one(target: Descriptor) -> Fill:
    """Writes one value of a message type into its message."""
    special = _SPECIAL_FILL.get(target.full_name)
    if special is not None:
        return special
    if target.full_name in conventions.TIMES:
        return _fill_time
    if target.full_name in conventions.STRING_LISTS:
        return lambda message, value: message.items.extend(value)
    if target.full_name in conventions.RAW_JSON:
        (raw,) = (field.name for field in target.fields)
        return lambda message, value: setattr(message, raw, json.encode(value))
    filler: list[Fill] = []

    def fill(message: Any, value: Any) -> None:
        if not filler:
            filler.append(_filler(_value_class(target)))
        filler[0](message, value)

    return fill


def _read_steps(descriptor: Descriptor) -> tuple[Callable[[Any, dict[str, Any]], None], ...]:
    return tuple(_read_step(descriptor, field) for field in descriptor.fields)


def _read_step(descriptor: Descriptor, field: Any) -> Callable[[Any, dict[str, Any]], None]:
    name, attribute = field.name, conventions.attribute_name(field.name)
    target = field.message_type
    if (descriptor.full_name, name) in conventions.INLINED:
        inner: list[Any] = []

        def read_inlined(message: Any, found: dict[str, Any]) -> None:
            if message.HasField(name):
                if not inner:
                    inner.extend(_read_steps(target))
                for step in inner:
                    step(getattr(message, name), found)

        return read_inlined
    if field.is_repeated:
        if target is not None and target.GetOptions().map_entry:
            value_type = target.fields_by_name["value"].message_type
            one = _read_one(value_type) if value_type is not None else lambda value: value

            def read_map(message: Any, found: dict[str, Any]) -> None:
                entries = getattr(message, name)
                if entries:
                    found[attribute] = {key: one(entries[key]) for key in entries}

            return read_map
        one = _read_one(target) if target is not None else lambda value: value

        def read_repeated(message: Any, found: dict[str, Any]) -> None:
            items = getattr(message, name)
            if items:
                found[attribute] = tuple(one(item) for item in items)

        return read_repeated
    one = _read_one(target) if target is not None else lambda value: value

    def read(message: Any, found: dict[str, Any]) -> None:
        if message.HasField(name):
            found[attribute] = one(getattr(message, name))

    return read


def _read_one(target: Descriptor) -> Read:
    special = _SPECIAL_READ.get(target.full_name)
    if special is not None:
        return special
    if target.full_name in conventions.TIMES:
        return _read_time
    if target.full_name in conventions.STRING_LISTS:
        return lambda message: tuple(message.items)
    if target.full_name in conventions.RAW_JSON:
        (raw,) = (field.name for field in target.fields)
        return lambda message: json.load(getattr(message, raw)) if getattr(message, raw) else None
    reader: list[Read] = []

    def read(message: Any) -> Any:
        if not reader:
            reader.append(_reader(_value_class(target)))
        return reader[0](message)

    return read


def _is_pointer(descriptor: Descriptor, field: str) -> bool:
    return (descriptor.full_name, field) in conventions.POINTER_STRINGS


def _empty_instance(descriptor: Descriptor, attribute: str) -> Any:
    """The default of a field that holds an empty instance, else None."""
    if descriptor.GetOptions().map_entry:
        return None
    fields = msgspec.structs.fields(_value_class(descriptor))
    default = next((field.default for field in fields if field.name == attribute), None)
    return default if isinstance(default, msgspec.Struct) else None


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _fill_time(message: Any, value: datetime.datetime) -> None:
    since = value - EPOCH
    message.seconds = since.days * 86400 + since.seconds
    message.nanos = since.microseconds * 1000


def _read_time(message: Any) -> datetime.datetime:
    try:
        return EPOCH + datetime.timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    except OverflowError as error:
        raise Invalid(f"time of {message.seconds} s since 1970 is out of range") from error


def _fill_quantity(message: Any, value: Quantity) -> None:
    message.string = str(value)


def _fill_int_or_string(message: Any, value: int | str) -> None:
    if isinstance(value, str):
        message.type, message.strVal = 1, value
    else:
        message.type, message.intVal = 0, value


def _read_int_or_string(message: Any) -> int | str:
    return cast(str, message.strVal) if message.type == 1 else cast(int, message.intVal)


NANOSECONDS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "µs": 10**3, "ns": 1}


def _fill_duration(message: Any, value: str) -> None:
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)", value)
    if value not in ("", "0") and (not parts or "".join(a + b for a, b in parts) != value.lstrip("-")):
        raise Invalid(f'duration "{value}": must be like 1h30m, 15s or 300ms')
    total = int(sum(Fraction(number) * NANOSECONDS[unit] for number, unit in parts))
    message.duration = -total if value.startswith("-") else total


def _read_duration(message: Any) -> str:
    total = abs(message.duration)
    sign = "-" if message.duration < 0 else ""
    if not total:
        return "0s"
    if total < 10**9:
        return f"{sign}{total}ns"
    seconds, nanos = divmod(total, 10**9)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{text}{seconds}{fraction}s"


def _schema_reader(message: Any) -> Any:
    return _read_one(message.schema.DESCRIPTOR)(message.schema)


def _fill_schema(message: Any, value: Any) -> None:
    message.schema.SetInParent()
    _fill_one(message.schema.DESCRIPTOR)(message.schema, value)


def _fill_schema_or_array(message: Any, value: Any) -> None:
    if isinstance(value, tuple):
        for item in value:
            child = message.jSONSchemas.add()
            _fill_one(child.DESCRIPTOR)(child, item)
    else:
        _fill_schema(message, value)


def _read_schema_or_array(message: Any) -> Any:
    if message.HasField("schema"):
        return _schema_reader(message)
    return tuple(_read_one(item.DESCRIPTOR)(item) for item in message.jSONSchemas)


def _fill_schema_or_bool(message: Any, value: Any) -> None:
    if isinstance(value, bool):
        message.allows = value
    else:
        message.allows = True
        _fill_schema(message, value)


def _read_schema_or_bool(message: Any) -> Any:
    return _schema_reader(message) if message.HasField("schema") else bool(message.allows)


def _fill_schema_or_strings(message: Any, value: Any) -> None:
    if isinstance(value, tuple):
        message.property.extend(value)
    else:
        _fill_schema(message, value)


def _read_schema_or_strings(message: Any) -> Any:
    return _schema_reader(message) if message.HasField("schema") else tuple(message.property)


_SPECIAL_FILL: dict[str, Fill] = {
    conventions.QUANTITY: _fill_quantity,
    conventions.INT_OR_STRING: _fill_int_or_string,
    conventions.DURATION: _fill_duration,
    conventions.SCHEMA_OR_ARRAY: _fill_schema_or_array,
    conventions.SCHEMA_OR_BOOL: _fill_schema_or_bool,
    conventions.SCHEMA_OR_STRINGS: _fill_schema_or_strings,
}
_SPECIAL_READ: dict[str, Read] = {
    conventions.QUANTITY: lambda message: Quantity(message.string or "0"),
    conventions.INT_OR_STRING: _read_int_or_string,
    conventions.DURATION: _read_duration,
    conventions.SCHEMA_OR_ARRAY: _read_schema_or_array,
    conventions.SCHEMA_OR_BOOL: _read_schema_or_bool,
    conventions.SCHEMA_OR_STRINGS: _read_schema_or_strings,
}
