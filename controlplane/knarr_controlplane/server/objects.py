"""``knarr.v1.Objects``: the verbs for every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from knarr_api import conventions, json, kinds, validation, wire
from knarr_api.errors import Invalid, Unimplemented
from knarr_api.kinds import Kind
from knarr_controlplane.authz import Authorizer
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.cache.watch_cache import Change, ChangeType, Filter
from knarr_controlplane.pki import identity
from knarr_controlplane.registry.registry import Registry, filter_of
from knarr_controlplane.server.calls import streaming, unary
from knarr_proto.v1 import objects_pb2, objects_pb2_grpc

PROTOBUF = objects_pb2.PROTOBUF
PROPAGATION = {
    objects_pb2.PROPAGATION_POLICY_UNSPECIFIED: "Background",
    objects_pb2.BACKGROUND: "Background",
    objects_pb2.FOREGROUND: "Foreground",
    objects_pb2.ORPHAN: "Orphan",
}
EVENT_TYPES = {
    ChangeType.ADDED: objects_pb2.WatchEvent.ADDED,
    ChangeType.MODIFIED: objects_pb2.WatchEvent.MODIFIED,
    ChangeType.DELETED: objects_pb2.WatchEvent.DELETED,
    ChangeType.BOOKMARK: objects_pb2.WatchEvent.BOOKMARK,
}
OUTCOMES = {
    "created": objects_pb2.ApplyResponse.CREATED,
    "configured": objects_pb2.ApplyResponse.CONFIGURED,
    "unchanged": objects_pb2.ApplyResponse.UNCHANGED,
}


class Objects(objects_pb2_grpc.ObjectsServicer):
    def __init__(self, registry: Registry, authorizer: Authorizer) -> None:
        self._registry = registry
        self._authorizer = authorizer

    @unary
    async def Get(self, request: Any, context: Any) -> Any:
        kind = _kind(request.type)
        await self._registry.catch_up()
        self._allow(context, "get", kind, request.namespace, request.name)
        return _response(self._registry.get(kind, request.namespace, request.name), request.encoding)

    @unary
    async def List(self, request: Any, context: Any) -> Any:
        kind = _kind(request.type)
        filter_ = filter_of(kind, request.namespace, request.label_selector, request.field_selector)
        await self._registry.catch_up()
        self._allow(context, "list", kind, request.namespace, filter_=filter_)
        page = self._registry.list(kind, filter_, limit=request.limit, continue_=getattr(request, "continue"))
        answer = objects_pb2.ObjectList(
            items=[_object(entry, request.encoding) for entry in page.entries],
            resource_version=str(page.revision),
            remaining_item_count=page.remaining,
        )
        setattr(answer, "continue", page.continue_)
        return answer

    @unary
    async def Create(self, request: Any, context: Any) -> Any:
        kind, obj, warnings = _given(request)
        namespace, obj = _placed(kind, obj, request.namespace)
        self._allow(context, "create", kind, namespace, obj.metadata.name, obj=obj)
        entry = await self._registry.create(obj, dry_run=request.dry_run)
        return _response(entry, request.encoding, (*warnings, *validation.warnings(obj)))

    @unary
    async def Update(self, request: Any, context: Any) -> Any:
        kind, obj, warnings = _given(request)
        namespace, obj = _placed(kind, obj, request.namespace)
        self._allow(context, "update", kind, namespace, obj.metadata.name, request.subresource, obj=obj)
        entry = await self._registry.update(obj, subresource=request.subresource, dry_run=request.dry_run)
        return _response(entry, request.encoding, (*warnings, *validation.warnings(obj)))

    @unary
    async def Patch(self, request: Any, context: Any) -> Any:
        kind = _kind(request.type)
        self._allow(context, "patch", kind, request.namespace, request.name, request.subresource)
        if request.patch_type not in (objects_pb2.PATCH_TYPE_UNSPECIFIED, objects_pb2.MERGE):
            raise Unimplemented("patch_type: only MERGE (JSON merge patch, RFC 7396) is served")
        reading = _Reading(request.field_validation)
        entry = await self._registry.patch(
            kind,
            request.namespace,
            request.name,
            json.load(request.patch),
            subresource=request.subresource,
            dry_run=request.dry_run,
            decode=reading.decode,
        )
        return _response(entry, request.encoding, reading.warnings)

    @unary
    async def Apply(self, request: Any, context: Any) -> Any:
        kind, obj, warnings = _given(request)
        namespace, obj = _placed(kind, obj, request.namespace)
        self._allow(context, "update", kind, namespace, obj.metadata.name, obj=obj)
        document = json.load(request.object.json) if request.object.json else json.to_builtins(obj)
        document.update(apiVersion=kind.api_version, kind=kind.kind)
        entry, outcome = await self._registry.apply(
            kind, namespace, document, dry_run=request.dry_run, decode=_Reading(request.field_validation).decode
        )
        return objects_pb2.ApplyResponse(
            object=_object(entry, request.encoding),
            warnings=[*warnings, *validation.warnings(obj)],
            outcome=OUTCOMES[outcome],
        )

    @unary
    async def Delete(self, request: Any, context: Any) -> Any:
        kind = _kind(request.type)
        self._allow(context, "delete", kind, request.namespace, request.name)
        entry = await self._registry.delete(
            kind,
            request.namespace,
            request.name,
            grace_s=request.grace_period_seconds if request.HasField("grace_period_seconds") else None,
            propagation=PROPAGATION[request.propagation],
            uid=request.preconditions.uid,
            resource_version=request.preconditions.resource_version,
            dry_run=request.dry_run,
        )
        return _response(entry, request.encoding)

    @streaming
    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        kind = _kind(request.type)
        filter_ = filter_of(kind, request.namespace, request.label_selector, request.field_selector)
        initial = request.resource_version in ("", "0")
        if initial:
            await self._registry.catch_up()
        self._allow(context, "watch", kind, request.namespace, filter_=filter_)
        async for batch in self._registry.watch(kind, filter_, request.resource_version):
            events = [
                _event(change, request.encoding)
                for change in batch
                if change.type is not ChangeType.BOOKMARK or request.allow_bookmarks or initial
            ]
            initial = False
            if events:
                yield objects_pb2.WatchResponse(events=events)

    @unary
    async def Bind(self, request: Any, context: Any) -> Any:
        self._authorizer.check_admin(identity.of_call(context), "bind pods")
        entry = await self._registry.bind(request.namespace, request.name, request.uid, request.node)
        return _response(entry, objects_pb2.JSON)

    @unary
    async def Kinds(self, request: Any, context: Any) -> Any:
        identity.of_call(context)
        return objects_pb2.KindsResponse(
            kinds=[
                objects_pb2.KindInfo(
                    group=kind.group,
                    version=kind.version,
                    kind=kind.kind,
                    resource=kind.resource,
                    singular=kind.singular,
                    short_names=kind.short_names,
                    namespaced=kind.namespaced,
                    acting=kind.acting,
                )
                for kind in kinds.KINDS
                if self._registry.cache.serves(kind)
            ]
        )

    def _allow(
        self,
        context: Any,
        verb: str,
        kind: Kind,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
        *,
        filter_: Filter | None = None,
        obj: Any = None,
    ) -> None:
        self._authorizer.check(
            identity.of_call(context),
            verb,
            kind,
            namespace=namespace,
            name=name,
            subresource=subresource,
            filter_=filter_,
            obj=obj,
        )


class _Reading:
    """Reads documents as strictly as a request asks for, and keeps what it warns of."""

    def __init__(self, field_validation: int) -> None:
        self._field_validation = field_validation
        self.warnings: tuple[str, ...] = ()

    def decode(self, document: Any, type_: type[Any]) -> Any:
        """Raises Invalid."""
        if self._field_validation not in (objects_pb2.WARN, objects_pb2.IGNORE):
            return json.decode_strict(document, type_)
        obj, unknown = json.decode_lenient(document, type_)
        if self._field_validation == objects_pb2.WARN:
            self.warnings = tuple(str(problem) for problem in unknown)
        return obj


def _kind(given: Any) -> Kind:
    if not given.resource:
        raise Invalid("type.resource: Required value: which kind is meant")
    return kinds.find(given.group, given.version, given.resource)


def _given(request: Any) -> tuple[Kind, Any, tuple[str, ...]]:
    """The request's object with its kind, and warnings for what was dropped of it."""
    which = request.object.WhichOneof("content")
    if which == "typed":
        kind = _kind_of_message(request)
        return kind, wire.from_any(request.object.typed, kind.type), ()
    if which != "json":
        raise Invalid("object: Required value: json or typed")
    document = json.load(request.object.json)
    if not isinstance(document, dict):
        raise Invalid("object: expected a JSON object")
    if request.type.resource:
        kind = _kind(request.type)
        for field, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
            if document.get(field, wanted) != wanted:
                raise Invalid(f'{field}: Invalid value: "{document[field]}": the request is for {wanted}')
    else:
        kind = kinds.by_kind(str(document.get("apiVersion", "")), str(document.get("kind", "")))
    reading = _Reading(request.field_validation)
    # From the text, not from the document: only the text shows names that stand twice.
    return kind, reading.decode(request.object.json, kind.type), reading.warnings


def _kind_of_message(request: Any) -> Kind:
    name = request.object.typed.TypeName()
    package, _, word = name.rpartition(".")
    module = conventions.module_of(package) if package else ""
    kind = next((kind for kind in kinds.KINDS if (kind.module, kind.kind) == (module, word)), None)
    if kind is None:
        raise Invalid(f'object.typed: "{name}" is no kind of the API')
    if request.type.resource and _kind(request.type) is not kind:
        raise Invalid(f'object.typed: "{name}" is not what the request is for: {_kind(request.type).qualified}')
    return kind


def _placed(kind: Kind, obj: Any, namespace: str) -> tuple[str, Any]:
    """The object in its namespace: its own, else the request's, else ``default``."""
    metadata = obj.metadata
    if not kind.namespaced:
        return "", obj
    if namespace and metadata.namespace and metadata.namespace != namespace:
        raise Invalid(
            f"the namespace of the provided object does not match the namespace sent on the request: "
            f'"{metadata.namespace}" and "{namespace}"'
        )
    chosen = metadata.namespace or namespace or "default"
    return chosen, msgspec.structs.replace(obj, metadata=msgspec.structs.replace(metadata, namespace=chosen))


def _object(entry: CacheEntry, encoding: int) -> Any:
    if encoding == PROTOBUF:
        return objects_pb2.Object(typed=entry.any())
    return objects_pb2.Object(json=entry.json)


def _response(entry: CacheEntry, encoding: int, warnings: tuple[str, ...] = ()) -> Any:
    return objects_pb2.ObjectResponse(object=_object(entry, encoding), warnings=warnings)


def _event(change: Change, encoding: int) -> Any:
    return objects_pb2.WatchEvent(
        type=EVENT_TYPES[change.type],
        object=_object(change.entry, encoding) if change.entry is not None else None,
        resource_version=str(change.revision),
    )
