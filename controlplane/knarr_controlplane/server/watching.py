"""What watchers are sent, in bytes: an event that many of them are sent is made once and kept for all.

Watchers that do not keep up then cost what gRPC holds of it for each, not the object several times over.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import grpc

from knarr_api.kinds import Kind
from knarr_controlplane.cache.changes import Change
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.server import documents
from knarr_controlplane.server.documents import Form
from knarr_proto.v1 import objects_pb2, objects_pb2_grpc

KEPT_BYTES = 32 << 20


class SharedEvents:
    """The newest of those that several watchers may be sent."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()
        self._size_bytes = 0

    def response(self, kind: Kind, changes: Iterable[Change], form: Form, *, initial: bool, shared: bool) -> bytes:
        """A WatchResponse of these: messages written one after the other are one with the events of all.

        shared: others are probably sent the same.
        """
        return b"".join(
            self._shared(kind, change, form)
            if shared and change.entry is not None
            else _bytes(kind, change, form, initial=initial)
            for change in changes
        )

    def _shared(self, kind: Kind, change: Change, form: Form) -> bytes:
        assert change.entry is not None
        version = form.version.api_version if form.version is not None else ""
        key = (change.entry.key, change.revision, change.type, form.encoding, version)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        made = self._kept[key] = _bytes(kind, change, form, initial=False)
        self._size_bytes += len(made)
        while self._size_bytes > KEPT_BYTES:
            self._size_bytes -= len(self._kept.popitem(last=False)[1])
        return made


def add_objects(servicer: Any, server: Any, *, exchange: bool) -> None:
    """The service with its watches answering in bytes. exchange: whether many calls may share a stream."""
    objects_pb2_grpc.add_ObjectsServicer_to_server(servicer, _InBytes(server, exchange=exchange))


class _InBytes:
    """What generated code adds a service's methods to."""

    def __init__(self, server: Any, *, exchange: bool) -> None:
        self._server = server
        self._left_out = frozenset() if exchange else frozenset({"Exchange"})

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """They come once more, with their names."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        watch = grpc.unary_stream_rpc_method_handler(
            handlers["Watch"].unary_stream,
            request_deserializer=objects_pb2.WatchRequest.FromString,
            response_serializer=bytes,
        )
        methods = {name: each for name, each in handlers.items() if name not in self._left_out} | {"Watch": watch}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
        self._server.add_registered_method_handlers(service, methods)


def _bytes(kind: Kind, change: Change, form: Form, *, initial: bool) -> bytes:
    if change.entry is not None and form.version is None and form.encoding != documents.PROTOBUF:
        return _plain(change, change.entry)
    made: bytes = documents.watch_response(kind, change, form, initial=initial).SerializeToString()
    return made


def _plain(change: Change, entry: CacheEntry) -> bytes:
    """The same bytes, without copying the JSON into messages and out of them again."""
    shown = _field(_OBJECT, _field(_JSON, entry.json))
    event = b"%b%b%b" % (_TYPES[change.type], shown, _field(_REVISION, b"%d" % change.revision))
    return _field(_EVENTS, event)


def _field(tag: bytes, content: bytes) -> bytes:
    """Text, bytes, or a message as protobuf writes it in another one."""
    size = len(content)
    if size < 1 << 7:
        return b"%b%c%b" % (tag, size, content)
    if size < 1 << 14:
        return b"%b%c%c%b" % (tag, size & 0x7F | 0x80, size >> 7, content)
    length = bytearray()
    while size >= 1 << 7:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return b"%b%b%b" % (tag, bytes(length), content)


def _tag(number: int) -> bytes:
    """Of a field with content of some length."""
    return bytes((number << 3 | 2,))


_EVENTS, _JSON = _tag(objects_pb2.WatchResponse.EVENTS_FIELD_NUMBER), _tag(objects_pb2.Object.JSON_FIELD_NUMBER)
_OBJECT = _tag(objects_pb2.WatchEvent.OBJECT_FIELD_NUMBER)
_REVISION = _tag(objects_pb2.WatchEvent.RESOURCE_VERSION_FIELD_NUMBER)
_TYPES = {
    type_: objects_pb2.WatchEvent(type=number).SerializeToString() for type_, number in documents.EVENT_TYPES.items()
}
