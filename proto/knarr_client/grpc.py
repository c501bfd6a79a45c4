"""The Client over gRPC.

.. code-block:: python

    async with GrpcClient.connect(kubeconfig.load(path)) as client:
        pod = await client.get(Pod, "web", "default")

Objects travel as JSON, which is what the API stores, or as protobuf (``Encoding.PROTOBUF``). ``raw`` gives the same
verbs for dicts of any kind, with the API's warnings; ``channel`` is for the other services (Pods, Nodes, Cluster).

Every call has a deadline (30 s). Reads are repeated while the API cannot be reached; writes only where the connection
was refused, so that they were certainly not carried out. Everything else is the caller's to decide.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import grpc.aio
import msgspec

from knarr_api import errors, json, kinds, wire
from knarr_api.errors import KnarrError
from knarr_client.calls import Calls, CallSettings
from knarr_client.channel import open_channel
from knarr_client.client import Applied, Binding, Event, Outcome, Page, Propagation, T, meta_of, outcomes
from knarr_client.exchange import Exchanging
from knarr_client.kubeconfig import Access
from knarr_client.messages import EVENT_TYPES, OUTCOMES, PROPAGATIONS, resource_type
from knarr_client.raw import RawClient
from knarr_proto.v1 import objects_pb2 as pb
from knarr_proto.v1 import objects_pb2_grpc


class Encoding(enum.Enum):
    """How objects travel."""

    JSON = "json"
    PROTOBUF = "protobuf"


class GrpcClient:
    """Implements the Client Protocol. Belongs to the event loop in which it was made."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        encoding: Encoding = Encoding.JSON,
        settings: CallSettings | None = None,
        on_warning: Callable[[str], None] | None = None,
    ) -> None:
        """on_warning: told each warning the API gives to a typed call."""
        self.channel = channel
        self._calls = Calls(settings)
        stub: Any = objects_pb2_grpc.ObjectsStub(channel)
        self._exchanging = Exchanging(stub) if self._calls.settings.exchange else None
        self._stub: Any = self._exchanging or stub
        self._encoding = encoding
        self._wire_encoding = pb.JSON if encoding is Encoding.JSON else pb.PROTOBUF
        self._on_warning = on_warning
        self.raw = RawClient(self._stub, self._calls)

    @classmethod
    def connect(
        cls,
        access: Access,
        *,
        encoding: Encoding = Encoding.JSON,
        settings: CallSettings | None = None,
        on_warning: Callable[[str], None] | None = None,
    ) -> Self:
        """A client of the cluster; connects with the first call."""
        return cls(open_channel(access), encoding=encoding, settings=settings, on_warning=on_warning)

    async def close(self) -> None:
        if self._exchanging is not None:
            await self._exchanging.close()
        await self.channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, type_: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def get(self, type_: type[T], name: str, namespace: str = "") -> T:
        kind = kinds.of(type_)
        request = pb.GetRequest(type=resource_type(kind), namespace=namespace, name=name, encoding=self._wire_encoding)
        return self._answer(await self._calls.unary(self._stub.Get, request, idempotent=True), type_)

    async def list(
        self,
        type_: type[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
    ) -> Page[T]:
        request = pb.ListRequest(
            type=resource_type(kinds.of(type_)),
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            limit=limit,
            encoding=self._wire_encoding,
        )
        setattr(request, "continue", continue_)
        answer = await self._calls.list(self._stub.List, request)
        return Page(
            items=tuple(decode(item, type_) for item in answer.items),
            resource_version=answer.resource_version,
            continue_=getattr(answer, "continue"),
        )

    async def create(self, obj: T, *, field_manager: str = "") -> T:
        kind = kinds.of(obj)
        request = pb.CreateRequest(
            type=resource_type(kind),
            namespace=meta_of(obj).namespace,
            object=self._encode(obj),
            field_manager=field_manager,
            encoding=self._wire_encoding,
        )
        return self._answer(await self._calls.unary(self._stub.Create, request, idempotent=False), type(obj))

    async def create_all(self, objs: Sequence[T]) -> Sequence[T | KnarrError]:
        return await outcomes(self.create(obj) for obj in objs)

    async def update(self, obj: T, *, field_manager: str = "") -> T:
        return await self._update(obj, "", field_manager)

    async def update_status(self, obj: T, *, field_manager: str = "") -> T:
        return await self._update(obj, "status", field_manager)

    async def _update(self, obj: T, subresource: str, field_manager: str) -> T:
        request = pb.UpdateRequest(
            type=resource_type(kinds.of(obj)),
            namespace=meta_of(obj).namespace,
            object=self._encode(obj),
            subresource=subresource,
            field_manager=field_manager,
            encoding=self._wire_encoding,
        )
        return self._answer(await self._calls.unary(self._stub.Update, request, idempotent=False), type(obj))

    async def patch(
        self,
        type_: type[T],
        name: str,
        namespace: str = "",
        *,
        patch: Mapping[str, Any],
        subresource: str = "",
        field_manager: str = "",
    ) -> T:
        request = pb.PatchRequest(
            type=resource_type(kinds.of(type_)),
            namespace=namespace,
            name=name,
            subresource=subresource,
            patch_type=pb.MERGE,
            patch=msgspec.json.encode(patch),
            field_manager=field_manager,
            encoding=self._wire_encoding,
        )
        return self._answer(await self._calls.unary(self._stub.Patch, request, idempotent=False), type_)

    async def apply(self, obj: T, *, field_manager: str = "") -> Applied[T]:
        request = pb.ApplyRequest(
            type=resource_type(kinds.of(obj)),
            namespace=meta_of(obj).namespace,
            object=self._encode(obj),
            field_manager=field_manager,
            encoding=self._wire_encoding,
        )
        answer = await self._calls.unary(self._stub.Apply, request, idempotent=False)
        return Applied(
            object=decode(answer.object, type(obj)),
            outcome=OUTCOMES.get(answer.outcome, Outcome.CONFIGURED),
            warnings=tuple(answer.warnings),
        )

    async def delete(
        self,
        type_: type[T],
        name: str,
        namespace: str = "",
        *,
        grace_period_s: int | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
        uid: str = "",
        resource_version: str = "",
    ) -> None:
        request = pb.DeleteRequest(
            type=resource_type(kinds.of(type_)),
            namespace=namespace,
            name=name,
            grace_period_seconds=grace_period_s,
            propagation=PROPAGATIONS[propagation],
            preconditions=pb.Preconditions(uid=uid, resource_version=resource_version),
            encoding=self._wire_encoding,
        )
        await self._calls.unary(self._stub.Delete, request, idempotent=False)

    async def bind(self, *, namespace: str, name: str, uid: str, node: str) -> None:
        request = pb.BindRequest(namespace=namespace, name=name, uid=uid, node=node)
        await self._calls.unary(self._stub.Bind, request, idempotent=False)

    async def bind_all(self, bindings: Sequence[Binding]) -> Sequence[KnarrError | None]:
        return await outcomes(
            self.bind(namespace=each.namespace, name=each.name, uid=each.uid, node=each.node) for each in bindings
        )

    async def watch(
        self,
        type_: type[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> AsyncIterator[tuple[Event[T], ...]]:
        request = pb.WatchRequest(
            type=resource_type(kinds.of(type_)),
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            resource_version=resource_version,
            allow_bookmarks=True,
            encoding=self._wire_encoding,
        )
        async for batch in self._calls.stream(self._stub.Watch, request):
            yield tuple(
                Event(
                    type=EVENT_TYPES[event.type],
                    object=decode(event.object, type_) if event.type != pb.WatchEvent.BOOKMARK else None,
                    resource_version=event.resource_version,
                )
                for event in batch.events
                if event.type in EVENT_TYPES
            )
        raise errors.Unavailable("the API ended the watch")

    def _encode(self, obj: msgspec.Struct) -> pb.Object:
        if self._encoding is Encoding.JSON:
            return pb.Object(json=json.encode(obj))
        return pb.Object(typed=wire.to_any(obj))

    def _answer(self, answer: Any, type_: type[T]) -> T:
        if self._on_warning is not None:
            for warning in answer.warnings:
                self._on_warning(warning)
        return decode(answer.object, type_)


def decode(obj: pb.Object, type_: type[T]) -> T:
    """The value in either encoding. Raises Internal for an empty one."""
    match obj.WhichOneof("content"):
        case "json":
            return json.decode(obj.json, type_)
        case "typed":
            return wire.from_any(obj.typed, type_)
        case _:
            raise errors.Internal(f"the API answered without the {type_.__name__}")
