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
from knarr_controlplane.server import documents
from knarr_controlplane.server.documents import Form
from knarr_proto.v1 import objects_pb2, objects_pb2_grpc

KEPT_BYTES = 32 << 20
EVENTS_TAG = b"\x0a"
"""Of WatchResponse.events, field 1, in a message's bytes."""


class SharedEvents:
    """The newest of those that several watchers may be sent."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()
        self._size_bytes = 0

    def response(self, kind: Kind, changes: Iterable[Change], form: Form, *, initial: bool, shared: bool) -> bytes:
        """A WatchResponse of these. shared: others are probably sent the same."""
        return b"".join(
            self._shared(kind, change, form)
            if shared and change.entry is not None
            else _framed(documents.event(kind, change, form, initial=initial))
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
        made = self._kept[key] = _framed(documents.event(kind, change, form, initial=False))
        self._size_bytes += len(made)
        while self._size_bytes > KEPT_BYTES:
            self._size_bytes -= len(self._kept.popitem(last=False)[1])
        return made


def add_objects(servicer: Any, server: Any) -> None:
    """The service with its watches answering in bytes."""
    objects_pb2_grpc.add_ObjectsServicer_to_server(servicer, _InBytes(server))


class _InBytes:
    """What generated code adds a service's methods to."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """They come once more, with their names."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        watch = grpc.unary_stream_rpc_method_handler(
            handlers["Watch"].unary_stream,
            request_deserializer=objects_pb2.WatchRequest.FromString,
            response_serializer=bytes,
        )
        methods = {**handlers, "Watch": watch}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
        self._server.add_registered_method_handlers(service, methods)


def _framed(event: Any) -> bytes:
    """As a field of a WatchResponse."""
    content: bytes = event.SerializeToString()
    size, length = bytearray(), len(content)
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return b"".join((EVENTS_TAG, bytes(size), content))
