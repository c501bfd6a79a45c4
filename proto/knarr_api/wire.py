"""Values and protobuf messages: converters, compiled once per message from its descriptor.

Importing this imports protobuf; the messages of an API group are imported when first converted.
"""

from __future__ import annotations

import datetime
import importlib
import itertools
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar, cast

import msgspec
from google.protobuf import any_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from knarr_api import conventions, json, quantity, time
from knarr_api.errors import Invalid
from knarr_api.quantity import Quantity

T = TypeVar("T", bound=msgspec.Struct)

Descriptor = Any
"""A message descriptor: protobuf's stubs know two classes of them that don't fit each other."""
Fill = Callable[[Any, Any], None]
"""Writes a value into a message."""
Read = Callable[[Any], Any]
"""Makes a value of a message."""
ReadTable = dict[int, tuple[str, Read | None, Any]]
"""By field number: attribute, conversion if any, and the table of an inlined message if the field is one."""


def to_message(obj: msgspec.Struct) -> Message:
    """The protobuf message of a value. Raises Invalid for what has no place in it, as too large a number."""
    message = message_class(type(obj))()
    try:
        _filler(type(obj))(message, obj)
    except (ValueError, TypeError) as error:
        raise Invalid(f"{type(obj).__name__} has no protobuf form: {error}") from error
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
    """Copies a value into its message. Attributes that hold their default are passed over without Python's help.

    The steps are compiled at the first call, so that recursive types work.
    """
    columns: list[Any] = []

    def fill(message: Any, obj: Any) -> None:
        if not columns:
            steps = _fill_steps(message_class(type_).DESCRIPTOR, type_)
            read = _attributes_getter([step.attribute for step in steps])
            columns.extend((read, [s.default for s in steps], [s.name for s in steps], [s.put for s in steps]))
        read, defaults, names, puts = columns
        values = read(obj)
        changed = map(operator.is_not, values, defaults)
        for name, put, value in itertools.compress(zip(names, puts, values, strict=True), changed):
            if value is None:
                continue
            if put is None:
                setattr(message, name, value)
            else:
                put(message, value)

    return fill


def _attributes_getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda obj: ()
    getter = operator.attrgetter(*names)
    return getter if len(names) > 1 else lambda obj: (getter(obj),)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FillStep:
    """How an attribute gets into its field: by ``put``, or by plain assignment where that is None."""

    attribute: str
    name: str
    default: Any
    put: Fill | None


def _fill_steps(descriptor: Descriptor, type_: type[msgspec.Struct]) -> list[_FillStep]:
    """For every field; for inlined messages their fields'."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(type_)}
    steps: list[_FillStep] = []
    for field in descriptor.fields:
        if (descriptor.full_name, field.name) in conventions.INLINED:
            inner = _fill_steps(field.message_type, type_)
            steps += [replace(step, put=_put_inside(field.name, step)) for step in inner]
        else:
            attribute = conventions.attribute_name(descriptor.full_name, field.name)
            step = _FillStep(attribute=attribute, name=field.name, default=defaults[attribute], put=_put(field))
            steps.append(step)
    return steps


def _put_inside(outer: str, step: _FillStep) -> Fill:
    put = step.put
    if put is None:
        return lambda message, value: setattr(getattr(message, outer), step.name, value)
    return lambda message, value: put(getattr(message, outer), value)


def _put(field: Descriptor) -> Fill | None:
    """Writes an attribute's value into its field."""
    name, target = field.name, field.message_type
    if target is None:
        return (lambda message, value: getattr(message, name).extend(value)) if field.is_repeated else None
    if not field.is_repeated:
        one = _fill_one(target)

        def put_message(message: Any, value: Any) -> None:
            child = getattr(message, name)
            child.SetInParent()
            one(child, value)

        return put_message
    if target.GetOptions().map_entry:
        return _put_map(name, target.fields_by_name["value"].message_type)
    one = _fill_one(target)

    def put_repeated(message: Any, value: Any) -> None:
        add = getattr(message, name).add
        for item in value:
            one(add(), item)

    return put_repeated


def _put_map(name: str, value_type: Descriptor | None) -> Fill:
    if value_type is None:
        return lambda message, value: getattr(message, name).update(value)
    one = _fill_one(value_type)

    def put(message: Any, value: Any) -> None:
        entries = getattr(message, name)
        for key, item in value.items():
            one(entries[key], item)

    return put


def _fill_one(target: Descriptor) -> Fill:
    """Writes one value of a message type into its message."""
    special = _SPECIAL_FILL.get(target.full_name)
    if special is not None:
        return special
    if target.full_name in conventions.STRING_LISTS:
        return lambda message, value: message.items.extend(value)
    if target.full_name in conventions.RAW_JSON:
        (raw,) = (field.name for field in target.fields)
        return lambda message, value: setattr(message, raw, json.encode(value))
    return _filler(_value_class(target))


@lru_cache(maxsize=2048)
def _reader(type_: type[msgspec.Struct]) -> Read:
    """Makes a value of a message, looking only at the fields it has. Compiled at the first call."""
    table: ReadTable = {}

    def read(message: Any) -> Any:
        if not table:
            table.update(_read_table(message_class(type_).DESCRIPTOR))
        found: dict[str, Any] = {}
        for field, value in message.ListFields():
            attribute, convert, inlined = table[field.number]
            if convert is not None:
                found[attribute] = convert(value)
            elif inlined is None:
                found[attribute] = value
            else:
                _collect(value, inlined, found)
        return type_(**found)

    return read


def _collect(message: Any, table: ReadTable, found: dict[str, Any]) -> None:
    """The fields of an inlined message."""
    for field, value in message.ListFields():
        attribute, convert, inlined = table[field.number]
        if inlined is not None:
            _collect(value, inlined, found)
        else:
            found[attribute] = value if convert is None else convert(value)


def _read_table(descriptor: Descriptor) -> ReadTable:
    table: ReadTable = {}
    for field in descriptor.fields:
        inlined = (descriptor.full_name, field.name) in conventions.INLINED
        table[field.number] = (
            conventions.attribute_name(descriptor.full_name, field.name),
            None if inlined else _read_field(field),
            _read_table(field.message_type) if inlined else None,
        )
    return table


def _read_field(field: Descriptor) -> Read | None:
    """Maps have no order on the wire: sorted, the same object always gives the same JSON."""
    target = field.message_type
    if not field.is_repeated:
        if target is None:
            return _read_number if field.type == FieldDescriptor.TYPE_DOUBLE else None
        return _read_one(target)
    if target is None:
        return tuple
    if not target.GetOptions().map_entry:
        one = _read_one(target)
        return lambda items: tuple([one(item) for item in items])
    value_type = target.fields_by_name["value"].message_type
    if value_type is None:
        return lambda entries: dict(sorted(entries.items()))
    one = _read_one(value_type)
    return lambda entries: {key: one(item) for key, item in sorted(entries.items())}


def _read_one(target: Descriptor) -> Read:
    special = _SPECIAL_READ.get(target.full_name)
    if special is not None:
        return special
    if target.full_name in conventions.STRING_LISTS:
        return lambda message: tuple(message.items)
    if target.full_name in conventions.RAW_JSON:
        (raw,) = (field.name for field in target.fields)
        return lambda message: json.load(getattr(message, raw)) if getattr(message, raw) else None
    return _reader(_value_class(target))


def _read_number(value: float) -> float:
    """JSON writes whole numbers without a point."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _fill_time(message: Any, value: datetime.datetime) -> None:
    since = value - EPOCH
    message.seconds = since.days * 86400 + since.seconds
    message.nanos = since.microseconds * 1000


def _read_time(message: Any) -> datetime.datetime | None:
    """An empty message is Go's zero time, which is no time."""
    if not message.ListFields():
        return None
    try:
        return datetime.datetime.fromtimestamp(message.seconds, datetime.UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise Invalid(f"time of {message.seconds} s since 1970 is out of range") from error


def _read_micro_time(message: Any) -> datetime.datetime | None:
    value = _read_time(message)
    if not 0 <= message.nanos < 10**9:
        raise Invalid(f"time with {message.nanos} ns within its second is out of range")
    return None if value is None else value.replace(microsecond=message.nanos // 1000)


def _fill_quantity(message: Any, value: Quantity) -> None:
    message.string = str(value)


def _fill_int_or_string(message: Any, value: int | str) -> None:
    if isinstance(value, str):
        message.type, message.strVal = 1, value
    else:
        message.type, message.intVal = 0, value


def _read_int_or_string(message: Any) -> int | str:
    return cast(str, message.strVal) if message.type == 1 else cast(int, message.intVal)


def _fill_duration(message: Any, value: str) -> None:
    message.duration = time.duration_ns(value)


def _read_duration(message: Any) -> str:
    return time.duration_text(message.duration)


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
    **dict.fromkeys(conventions.TIMES, _fill_time),
    conventions.QUANTITY: _fill_quantity,
    conventions.INT_OR_STRING: _fill_int_or_string,
    conventions.DURATION: _fill_duration,
    conventions.SCHEMA_OR_ARRAY: _fill_schema_or_array,
    conventions.SCHEMA_OR_BOOL: _fill_schema_or_bool,
    conventions.SCHEMA_OR_STRINGS: _fill_schema_or_strings,
}
_SPECIAL_READ: dict[str, Read] = {
    f"{conventions.META}.Time": _read_time,
    f"{conventions.META}.Timestamp": _read_micro_time,
    f"{conventions.META}.MicroTime": _read_micro_time,
    conventions.QUANTITY: lambda message: quantity.of_text(message.string or "0"),
    conventions.INT_OR_STRING: _read_int_or_string,
    conventions.DURATION: _read_duration,
    conventions.SCHEMA_OR_ARRAY: _read_schema_or_array,
    conventions.SCHEMA_OR_BOOL: _read_schema_or_bool,
    conventions.SCHEMA_OR_STRINGS: _read_schema_or_strings,
}
