"""The verbs for dicts: for programs that handle any kind, like the CLI, and want warnings with every answer.

Documents are Kubernetes JSON objects, ``{"apiVersion": …, "kind": …, "metadata": {…}, …}``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from knarr_api import errors, kinds
from knarr_api.kinds import Kind
from knarr_client.calls import Calls
from knarr_client.client import Event, Outcome, Page, PatchType, Propagation
from knarr_client.messages import EVENT_TYPES, OUTCOMES, PATCH_TYPES, PROPAGATIONS, resource_type
from knarr_proto.v1 import objects_pb2 as pb

Document = dict[str, Any]


class Validation(Enum):
    """What happens to fields that the schema does not know."""

    STRICT = "strict"
    """Refused."""
    WARN = "warn"
    """Dropped, with a warning."""
    IGNORE = "ignore"
    """Dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a write left in the store, and what the API has to say about it. outcome: of an apply."""

    object: Document
    warnings: tuple[str, ...] = ()
    outcome: Outcome | None = None


class RawClient:
    """Reached as ``GrpcClient.raw``."""

    def __init__(self, stub: Any, calls: Calls) -> None:
        self._stub = stub
        self._calls = calls

    async def kinds(self) -> tuple[pb.KindInfo, ...]:
        """Which kinds the API serves."""
        answer = await self._calls.unary(self._stub.Kinds, pb.KindsRequest(), idempotent=True)
        return tuple(answer.kinds)

    async def get(self, kind: Kind, name: str, namespace: str = "", *, subresource: str = "") -> Document:
        """subresource: status, or scale for an ``autoscaling/v1`` Scale."""
        request = pb.GetRequest(type=resource_type(kind), namespace=namespace, name=name, subresource=subresource)
        return _document((await self._calls.unary(self._stub.Get, request, idempotent=True)).object)

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
        resource_version: str = "",
        resource_version_match: str = "",
    ) -> Page[Document]:
        request = pb.ListRequest(
            type=resource_type(kind),
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            limit=limit,
            resource_version=resource_version,
            resource_version_match=resource_version_match,
        )
        setattr(request, "continue", continue_)
        answer = await self._calls.list(self._stub.List, request)
        return Page(
            items=tuple(_document(item) for item in answer.items),
            resource_version=answer.resource_version,
            continue_=getattr(answer, "continue"),
            remaining=answer.remaining_item_count,
        )

    async def create(
        self,
        document: Mapping[str, Any],
        *,
        namespace: str = "",
        field_manager: str = "",
        validation: Validation = Validation.STRICT,
        dry_run: bool = False,
    ) -> Answer:
        request = pb.CreateRequest(
            type=resource_type(kind_of(document)),
            namespace=namespace,
            object=_object(document),
            field_manager=field_manager,
            field_validation=_VALIDATIONS[validation],
            dry_run=dry_run,
        )
        return _answer(await self._calls.unary(self._stub.Create, request, idempotent=False))

    async def update(
        self,
        document: Mapping[str, Any],
        *,
        namespace: str = "",
        subresource: str = "",
        field_manager: str = "",
        validation: Validation = Validation.STRICT,
        dry_run: bool = False,
    ) -> Answer:
        request = pb.UpdateRequest(
            type=resource_type(kind_of(document)),
            namespace=namespace,
            object=_object(document),
            subresource=subresource,
            field_manager=field_manager,
            field_validation=_VALIDATIONS[validation],
            dry_run=dry_run,
        )
        return _answer(await self._calls.unary(self._stub.Update, request, idempotent=False))

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str = "",
        *,
        patch: Mapping[str, Any] | Sequence[Any],
        type_: PatchType = PatchType.MERGE,
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
        validation: Validation = Validation.STRICT,
        dry_run: bool = False,
    ) -> Answer:
        """force: of an apply, to take over fields that others own."""
        request = pb.PatchRequest(
            type=resource_type(kind),
            namespace=namespace,
            name=name,
            subresource=subresource,
            patch_type=PATCH_TYPES[type_],
            patch=msgspec.json.encode(patch),
            field_manager=field_manager,
            force=force,
            field_validation=_VALIDATIONS[validation],
            dry_run=dry_run,
        )
        return _answer(await self._calls.unary(self._stub.Patch, request, idempotent=False))

    async def apply(
        self,
        document: Mapping[str, Any],
        *,
        namespace: str = "",
        field_manager: str = "",
        validation: Validation = Validation.STRICT,
        dry_run: bool = False,
    ) -> Answer:
        request = pb.ApplyRequest(
            type=resource_type(kind_of(document)),
            namespace=namespace,
            object=_object(document),
            field_manager=field_manager,
            field_validation=_VALIDATIONS[validation],
            dry_run=dry_run,
        )
        answer = await self._calls.unary(self._stub.Apply, request, idempotent=False)
        return Answer(
            object=_document(answer.object),
            warnings=tuple(answer.warnings),
            outcome=OUTCOMES.get(answer.outcome, Outcome.CONFIGURED),
        )

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str = "",
        *,
        grace_period_s: int | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
        uid: str = "",
        resource_version: str = "",
        dry_run: bool = False,
    ) -> Answer:
        request = pb.DeleteRequest(
            type=resource_type(kind),
            namespace=namespace,
            name=name,
            grace_period_seconds=grace_period_s,
            propagation=PROPAGATIONS[propagation],
            preconditions=pb.Preconditions(uid=uid, resource_version=resource_version),
            dry_run=dry_run,
        )
        answer = await self._calls.unary(self._stub.Delete, request, idempotent=False)
        has_object = answer.object.WhichOneof("content") is not None
        return Answer(object=_document(answer.object) if has_object else {}, warnings=tuple(answer.warnings))

    async def delete_collection(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        grace_period_s: int | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
        dry_run: bool = False,
    ) -> tuple[Document, ...]:
        """Delete all that the selectors choose; returns what these were."""
        request = pb.DeleteCollectionRequest(
            type=resource_type(kind),
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            grace_period_seconds=grace_period_s,
            propagation=PROPAGATIONS[propagation],
            dry_run=dry_run,
        )
        answer = await self._calls.unary(self._stub.DeleteCollection, request, idempotent=False)
        return tuple(_document(item) for item in answer.items)

    async def evict(
        self,
        name: str,
        namespace: str,
        *,
        grace_period_s: int | None = None,
        uid: str = "",
        dry_run: bool = False,
    ) -> None:
        """Delete a pod as its disruption budget allows. Raises ResourceExhausted where it does not now."""
        request = pb.EvictRequest(
            namespace=namespace,
            name=name,
            grace_period_seconds=grace_period_s,
            preconditions=pb.Preconditions(uid=uid),
            dry_run=dry_run,
        )
        await self._calls.unary(self._stub.Evict, request, idempotent=False)

    async def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> AsyncIterator[tuple[Event[Document], ...]]:
        """As ``Client.watch``."""
        request = pb.WatchRequest(
            type=resource_type(kind),
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            resource_version=resource_version,
            allow_bookmarks=True,
        )
        async for batch in self._calls.stream(self._stub.Watch, request):
            yield tuple(
                Event(
                    type=EVENT_TYPES[event.type],
                    object=_document(event.object) if event.type != pb.WatchEvent.BOOKMARK else None,
                    resource_version=event.resource_version,
                )
                for event in batch.events
                if event.type in EVENT_TYPES
            )
        raise errors.Unavailable("the API ended the watch")


def kind_of(document: Mapping[str, Any]) -> Kind:
    """Raises Invalid where the document does not say its kind, NotFound where there is no such kind."""
    api_version, kind = document.get("apiVersion"), document.get("kind")
    if not isinstance(api_version, str) or not api_version:
        raise errors.Invalid("apiVersion: Required value")
    if not isinstance(kind, str) or not kind:
        raise errors.Invalid("kind: Required value")
    return kinds.by_kind(api_version, kind)


_VALIDATIONS = {Validation.STRICT: pb.STRICT, Validation.WARN: pb.WARN, Validation.IGNORE: pb.IGNORE}


def _object(document: Mapping[str, Any]) -> pb.Object:
    return pb.Object(json=msgspec.json.encode(document))


def _document(obj: pb.Object) -> Document:
    if obj.WhichOneof("content") != "json":
        raise errors.Internal("the API answered without a JSON object")
    document = msgspec.json.decode(obj.json)
    if not isinstance(document, dict):
        raise errors.Internal("the API answered with JSON that is no object")
    return document


def _answer(answer: pb.ObjectResponse) -> Answer:
    return Answer(object=_document(answer.object), warnings=tuple(answer.warnings))
