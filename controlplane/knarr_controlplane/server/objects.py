"""``knarr.v1.Objects``: the verbs for every kind."""

from __future__ import annotations

import functools
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

from knarr_api import json, kinds, validation
from knarr_api.errors import Invalid, invalid
from knarr_api.kinds import Kind
from knarr_api.types import meta_v1
from knarr_api.types.autoscaling_v1 import Scale
from knarr_api.types.core_v1 import Pod
from knarr_api.validation import names
from knarr_client.client import PatchType
from knarr_controlplane.authz import Authorizer
from knarr_controlplane.cache.changes import ALL, ChangeType, Filter
from knarr_controlplane.pki import identity
from knarr_controlplane.registry import applying, conversion, patching, scale, subresources
from knarr_controlplane.registry.addressing import filter_of
from knarr_controlplane.registry.pages import Wanted
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.server import documents
from knarr_controlplane.server.calls import raising, read_in_time, streaming, unary
from knarr_controlplane.server.exchange import Exchange
from knarr_controlplane.server.watching import SharedEvents
from knarr_proto.v1 import objects_pb2, objects_pb2_grpc

M = TypeVar("M")
POD = kinds.of(Pod)
PROPAGATION = {
    objects_pb2.PROPAGATION_POLICY_UNSPECIFIED: "Background",
    objects_pb2.BACKGROUND: "Background",
    objects_pb2.FOREGROUND: "Foreground",
    objects_pb2.ORPHAN: "Orphan",
}
OUTCOMES = {
    "created": objects_pb2.ApplyResponse.CREATED,
    "configured": objects_pb2.ApplyResponse.CONFIGURED,
    "unchanged": objects_pb2.ApplyResponse.UNCHANGED,
}
PATCH_TYPES = {
    objects_pb2.PATCH_TYPE_UNSPECIFIED: PatchType.MERGE,
    objects_pb2.MERGE: PatchType.MERGE,
    objects_pb2.JSON_PATCH: PatchType.JSON,
    objects_pb2.STRATEGIC: PatchType.STRATEGIC,
    objects_pb2.APPLY: PatchType.APPLY,
}
SCALE = "scale"


class Objects(objects_pb2_grpc.ObjectsServicer):
    def __init__(self, registry: Registry, authorizer: Authorizer) -> None:
        self._registry = registry
        self._authorizer = authorizer
        self._events = SharedEvents()
        self._exchanges: weakref.WeakSet[Exchange] = weakref.WeakSet()
        self._leaving = False
        self._exchanged = {method.__name__.lower(): functools.partial(raising(method), self) for method in EXCHANGED}

    @unary
    async def Get(self, request: Any, context: Any) -> Any:
        kind = documents.kind_of(request.type)
        await self._registry.catch_up()
        self._allow(context, "get", kind, request.namespace, request.name, request.subresource)
        subresources.check(kind, request.subresource)
        if request.subresource == SCALE:
            found = subresources.get_scale(self._registry, kind, request.namespace, request.name)
            return documents.scale_response(found, request.encoding)
        return documents.response(self._registry.get(kind, request.namespace, request.name), documents.form_of(request))

    @unary
    async def List(self, request: Any, context: Any) -> Any:
        kind = documents.kind_of(request.type)
        filter_ = filter_of(kind, request.namespace, request.label_selector, request.field_selector)
        wanted = Wanted(
            limit=request.limit,
            continue_=getattr(request, "continue"),
            resource_version=request.resource_version,
            match=request.resource_version_match,
        )
        wanted.check()
        await self._registry.ready_for(wanted)
        self._allow(context, "list", kind, request.namespace, filter_=filter_)
        page = self._registry.list(kind, filter_, wanted)
        documents.check_size(page)
        return documents.list_of(page, documents.form_of(request))

    @unary
    async def Create(self, request: Any, context: Any) -> Any:
        kind, obj, warnings = documents.given(request)
        namespace, obj = documents.placed(kind, obj, request.namespace)
        self._allow(context, "create", kind, namespace, obj.metadata.name, obj=obj)
        writer = documents.writer_of(context, request)
        entry = await self._registry.create(obj, writer=writer, dry_run=request.dry_run)
        return documents.response(entry, documents.form_of(request), (*warnings, *validation.warnings(obj)))

    @unary
    async def Update(self, request: Any, context: Any) -> Any:
        if request.subresource == SCALE:
            return await self._update_scale(request, context)
        kind, obj, warnings = documents.given(request)
        namespace, obj = documents.placed(kind, obj, request.namespace)
        self._allow(context, "update", kind, namespace, obj.metadata.name, request.subresource, obj=obj)
        subresources.check(kind, request.subresource)
        writer = documents.writer_of(context, request, request.subresource)
        entry = await self._registry.update(
            obj, subresource=request.subresource, writer=writer, dry_run=request.dry_run
        )
        return documents.response(entry, documents.form_of(request), (*warnings, *validation.warnings(obj)))

    @unary
    async def Patch(self, request: Any, context: Any) -> Any:
        kind = documents.kind_of(request.type)
        self._allow(context, "patch", kind, request.namespace, request.name, request.subresource)
        reading = documents.Reading(request.field_validation)
        type_, patch = _known(PATCH_TYPES, request.patch_type, "patch_type"), reading.patch(request.patch)
        if request.force and type_ is not PatchType.APPLY:
            raise Invalid("force: Forbidden: may not be specified for non-apply patch")
        subresources.check(kind, request.subresource)
        if request.subresource == SCALE and type_ is PatchType.APPLY:
            return await self._apply_scale(request, context, kind, patch)
        if request.subresource == SCALE:
            return await self._patch_scale(request, context, kind, patch, type_)
        if type_ is PatchType.APPLY:
            entry, _ = await applying.apply_fields(
                self._registry,
                kind,
                request.namespace,
                request.name,
                documents.config(request, patch, reading),
                manager=request.field_manager,
                force=request.force,
                subresource=request.subresource,
                dry_run=request.dry_run,
                decode=reading.decode,
            )
            return documents.response(entry, documents.form_of(request), reading.warnings)
        entry = await self._registry.patch(
            kind,
            request.namespace,
            request.name,
            patch,
            type_=type_,
            subresource=request.subresource,
            writer=documents.writer_of(context, request, request.subresource),
            dry_run=request.dry_run,
            decode=reading.decode,
            version=documents.asked_kind(request.type),
        )
        return documents.response(entry, documents.form_of(request), reading.warnings)

    async def _update_scale(self, request: Any, context: Any) -> Any:
        kind = documents.kind_of(request.type)
        wanted = json.decode_strict(request.object.json, Scale)
        return await self._set_scale(request, context, kind, wanted.metadata.name, lambda _: wanted, wanted)

    async def _patch_scale(self, request: Any, context: Any, kind: Kind, patch: Any, type_: PatchType) -> Any:
        given = patching.check_patch(patch, type_)

        def change(present: Scale) -> Scale:
            return json.decode_strict(patching.changed_document(present, patch, type_, given), Scale)

        revision = Scale(metadata=meta_v1.ObjectMeta(resource_version=given))
        return await self._set_scale(request, context, kind, request.name, change, revision)

    async def _apply_scale(self, request: Any, context: Any, kind: Kind, patch: Any) -> Any:
        """Who applies a scale owns the replicas, by that subresource."""
        self._allow(context, "update", kind, request.namespace, request.name, SCALE)
        document = documents.scale_config(kind, request, patch)
        entry, _ = await applying.apply_fields(
            self._registry,
            kind,
            request.namespace,
            request.name,
            document,
            manager=request.field_manager,
            force=request.force,
            subresource=SCALE,
            dry_run=request.dry_run,
        )
        return documents.scale_response(scale.of(entry.value()), request.encoding)

    async def _set_scale(
        self, request: Any, context: Any, kind: Kind, name: str, change: Callable[[Scale], Scale], given: Scale
    ) -> Any:
        self._allow(context, "update", kind, request.namespace, name, SCALE)
        changed = await subresources.update_scale(
            self._registry,
            kind,
            request.namespace,
            name,
            change,
            given_revision=given.metadata.resource_version,
            writer=documents.writer_of(context, request, SCALE),
            dry_run=request.dry_run,
        )
        return documents.scale_response(changed, request.encoding)

    @unary
    async def Apply(self, request: Any, context: Any) -> Any:
        kind, obj, warnings = documents.given(request)
        namespace, obj = documents.placed(kind, obj, request.namespace)
        self._allow(context, "update", kind, namespace, obj.metadata.name, obj=obj)
        document = json.load(request.object.json) if request.object.json else json.to_builtins(obj)
        document = conversion.stored_document({"kind": kind.kind, **document})
        document.update(apiVersion=kind.api_version, kind=kind.kind)
        entry, outcome = await self._registry.apply(
            kind,
            namespace,
            document,
            writer=documents.writer_of(context, request),
            dry_run=request.dry_run,
            decode=documents.Reading(request.field_validation).decode,
        )
        return objects_pb2.ApplyResponse(
            object=documents.object_of(entry, documents.form_of(request)),
            warnings=[*warnings, *validation.warnings(obj)],
            outcome=OUTCOMES[outcome],
        )

    @unary
    async def Delete(self, request: Any, context: Any) -> Any:
        kind = documents.kind_of(request.type)
        self._allow(context, "delete", kind, request.namespace, request.name)
        entry = await self._registry.delete(
            kind,
            request.namespace,
            request.name,
            grace_s=request.grace_period_seconds if request.HasField("grace_period_seconds") else None,
            propagation=_known(PROPAGATION, request.propagation, "propagation"),
            uid=request.preconditions.uid,
            resource_version=request.preconditions.resource_version,
            dry_run=request.dry_run,
        )
        return documents.response(entry, documents.form_of(request))

    @unary
    async def DeleteCollection(self, request: Any, context: Any) -> Any:
        kind = documents.kind_of(request.type)
        filter_ = filter_of(kind, request.namespace, request.label_selector, request.field_selector)
        await self._registry.catch_up()
        self._allow(context, "deletecollection", kind, request.namespace)
        page = await subresources.delete_collection(
            self._registry,
            kind,
            filter_,
            grace_s=request.grace_period_seconds if request.HasField("grace_period_seconds") else None,
            propagation=_known(PROPAGATION, request.propagation, "propagation"),
            dry_run=request.dry_run,
        )
        return documents.list_of(page, documents.form_of(request))

    @unary
    async def Evict(self, request: Any, context: Any) -> Any:
        self._allow(context, "create", POD, request.namespace, request.name, "eviction")
        await subresources.evict(
            self._registry,
            request.namespace,
            request.name,
            grace_s=request.grace_period_seconds if request.HasField("grace_period_seconds") else None,
            uid=request.preconditions.uid,
            resource_version=request.preconditions.resource_version,
            dry_run=request.dry_run,
        )
        return objects_pb2.EvictResponse()

    @read_in_time
    @streaming
    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        kind = documents.kind_of(request.type)
        filter_ = filter_of(kind, request.namespace, request.label_selector, request.field_selector)
        asked = request.send_initial_events if request.HasField("send_initial_events") else None
        documents.check_initial(asked, request.resource_version_match)
        initial = asked or (asked is None and request.resource_version in ("", "0"))
        form, shared = documents.form_of(request), filter_.interest() == ALL
        if initial and request.resource_version != "0":
            await self._registry.catch_up()
        self._allow(context, "watch", kind, request.namespace, filter_=filter_)
        node = identity.of_call(context).node_name
        reporter = kind is POD and filter_.interest() == ("spec.nodeName", node)
        batches = self._registry.watch(kind, filter_, request.resource_version, initial=asked, reporter=reporter)
        async for batch in batches:
            told = [
                change
                for change in batch
                if change.type is not ChangeType.BOOKMARK or request.allow_bookmarks or initial
            ]
            if told:
                yield self._events.response(kind, told, form, initial=initial, shared=shared)
            initial = initial and all(change.type is not ChangeType.BOOKMARK for change in batch)

    @read_in_time
    @streaming
    def Exchange(self, request: Any, context: Any) -> AsyncIterator[Any]:
        exchange = Exchange(self._exchanged, context)
        self._exchanges.add(exchange)
        if self._leaving:
            exchange.leave()
        return exchange.answers()

    def leave(self) -> None:
        """The server stops: who makes calls on a stream is told."""
        self._leaving = True
        for exchange in self._exchanges:
            exchange.leave()

    @unary
    async def Bind(self, request: Any, context: Any) -> Any:
        self._authorizer.check_admin(identity.of_call(context), "bind pods")
        node = request.node
        if wrong := tuple(names.dns_subdomain("target.name", node)) if node else (names.required("target.name"),):
            raise invalid("Binding", request.name, wrong)
        entry = await self._registry.bind(
            request.namespace, request.name, request.uid, request.node, dry_run=request.dry_run
        )
        return documents.response(entry, documents.Form())

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
                for kind in (*kinds.KINDS, *kinds.COMPUTED)
                if kind in kinds.COMPUTED or self._registry.cache.serves(conversion.stored_kind(kind))
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


EXCHANGED: tuple[Any, ...] = (
    Objects.Get,
    Objects.Create,
    Objects.Update,
    Objects.Patch,
    Objects.Apply,
    Objects.Delete,
    Objects.Bind,
    Objects.Evict,
)
"""What goes over Exchange: all that answers with one object, as a large answer would hold up the others."""


def _known(meanings: Mapping[Any, M], number: int, field: str) -> M:
    """Of an enum's number, which a newer client may send without this server knowing it. Raises Invalid."""
    if number not in meanings:
        supported = ", ".join(str(each) for each in meanings)
        raise Invalid(f"{field}: Unsupported value: {number}: supported values: {supported}")
    return meanings[number]
