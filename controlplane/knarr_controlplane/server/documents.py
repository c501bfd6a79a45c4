"""Requests' messages to values and back: which kind and object is meant, who writes, how an answer is encoded."""

from __future__ import annotations

from typing import Any

import msgspec

from knarr_api import conventions, json, kinds, wire
from knarr_api.errors import Invalid
from knarr_api.kinds import Kind
from knarr_api.types import meta_v1
from knarr_api.types.autoscaling_v1 import Scale
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.cache.watch_cache import Change, ChangeType
from knarr_controlplane.pki import identity
from knarr_controlplane.registry import managed_fields
from knarr_controlplane.registry.managed_fields import Writer
from knarr_controlplane.registry.pages import Page
from knarr_proto.v1 import objects_pb2

PROTOBUF = objects_pb2.PROTOBUF
EVENT_TYPES = {
    ChangeType.ADDED: objects_pb2.WatchEvent.ADDED,
    ChangeType.MODIFIED: objects_pb2.WatchEvent.MODIFIED,
    ChangeType.DELETED: objects_pb2.WatchEvent.DELETED,
    ChangeType.BOOKMARK: objects_pb2.WatchEvent.BOOKMARK,
}
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Reading:
    """Reads documents as strictly as a request asks for, and keeps what it warns of."""

    def __init__(self, field_validation: int) -> None:
        self._field_validation = field_validation
        self.warnings: tuple[str, ...] = ()

    def decode(self, document: Any, type_: type[Any]) -> Any:
        """Raises Invalid, in Kubernetes' words where fields are unknown or doubled."""
        obj, odd = json.decode_lenient(document, type_)
        said = [f'{problem.message.partition(" (")[0]} "{problem.path}"' for problem in odd[: json.MAX_SHOWN]]
        if self._field_validation == objects_pb2.WARN:
            self.warnings = tuple(said)
        elif odd and self._field_validation != objects_pb2.IGNORE:
            raise Invalid(f"strict decoding error: {', '.join(said)}", details=odd[: json.MAX_SHOWN])
        return obj


def kind_of(given: Any) -> Kind:
    if not given.resource:
        raise Invalid("type.resource: Required value: which kind is meant")
    return kinds.find(given.group, given.version, given.resource)


def given(request: Any) -> tuple[Kind, Any, tuple[str, ...]]:
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
        kind = kind_of(request.type)
        for field, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
            if document.get(field, wanted) != wanted:
                raise Invalid(f'{field}: Invalid value: "{document[field]}": the request is for {wanted}')
    else:
        kind = kinds.by_kind(str(document.get("apiVersion", "")), str(document.get("kind", "")))
    reading = Reading(request.field_validation)
    # From the text, not from the document: only the text shows names that stand twice.
    return kind, reading.decode(request.object.json, kind.type), reading.warnings


def _kind_of_message(request: Any) -> Kind:
    name = request.object.typed.TypeName()
    package, _, word = name.rpartition(".")
    module = conventions.module_of(package) if package else ""
    kind = next((kind for kind in kinds.KINDS if (kind.module, kind.kind) == (module, word)), None)
    if kind is None:
        raise Invalid(f'object.typed: "{name}" is no kind of the API')
    if request.type.resource and kind_of(request.type) is not kind:
        raise Invalid(f'object.typed: "{name}" is not what the request is for: {kind_of(request.type).qualified}')
    return kind


def placed(kind: Kind, obj: Any, namespace: str) -> tuple[str, Any]:
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


def object_of(entry: CacheEntry, encoding: int) -> Any:
    if encoding == PROTOBUF:
        return objects_pb2.Object(typed=entry.any())
    return objects_pb2.Object(json=entry.json)


def response(entry: CacheEntry, encoding: int, warnings: tuple[str, ...] = ()) -> Any:
    return objects_pb2.ObjectResponse(object=object_of(entry, encoding), warnings=warnings)


def scale_response(scale: Scale, encoding: int) -> Any:
    if encoding == PROTOBUF:
        return objects_pb2.ObjectResponse(object=objects_pb2.Object(typed=wire.to_any(scale)))
    return objects_pb2.ObjectResponse(object=objects_pb2.Object(json=json.encode(scale)))


def list_of(page: Page, encoding: int) -> Any:
    answer = objects_pb2.ObjectList(
        items=[object_of(entry, encoding) for entry in page.entries],
        resource_version=str(page.revision),
        remaining_item_count=page.remaining,
    )
    setattr(answer, "continue", page.continue_)
    return answer


def writer_of(context: Any, request: Any, subresource: str = "") -> Writer:
    """Who writes: the field manager that is named, else the program that calls. Agents write quietly."""
    manager = request.field_manager
    if not manager and identity.of_call(context).node_name:
        return Writer(manager="knarr-agent", subresource=subresource, quiet=True)
    managed_fields.check_name(manager)
    if not manager:
        agent = next((value for key, value in context.invocation_metadata() if key == "user-agent"), "")
        manager = str(agent).partition("/")[0] or "unknown"
    return Writer(manager=manager, subresource=subresource)


def config(kind: Kind, request: Any, patch: Any) -> dict[str, Any]:
    """What is applied, with the name and namespace of the request. Raises Invalid where it has others."""
    if not isinstance(patch, dict) or not isinstance(patch.get("metadata") or {}, dict):
        raise Invalid("an apply patch must be a JSON object with metadata")
    metadata = dict(patch.get("metadata") or {})
    names = {"name": request.name, **({"namespace": request.namespace} if kind.namespaced else {})}
    for field, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        if patch.get(field, wanted) != wanted:
            raise Invalid(f'{field}: Invalid value: "{patch[field]}": the request is for {wanted}')
    for field, wanted in names.items():
        if metadata.get(field, wanted) != wanted:
            raise Invalid(f'metadata.{field}: Invalid value: "{metadata[field]}": the request is for "{wanted}"')
    return {**patch, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": {**metadata, **names}}


def check_initial(asked: bool | None, match: str) -> None:
    """Kubernetes' rules for ``sendInitialEvents``."""
    if asked is not None and match != "NotOlderThan":
        raise Invalid(
            'resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to "NotOlderThan"'
        )
    if asked is None and match:
        raise Invalid(
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is "
            "provided"
        )


def event(kind: Kind, change: Change, encoding: int, *, initial: bool) -> Any:
    if change.entry is not None:
        obj = object_of(change.entry, encoding)
    else:
        annotations = {INITIAL_EVENTS_END: "true"} if initial else {}
        metadata = meta_v1.ObjectMeta(resource_version=str(change.revision), annotations=annotations)
        bare = kind.type(metadata=metadata)
        typed = encoding == PROTOBUF
        obj = objects_pb2.Object(typed=wire.to_any(bare)) if typed else objects_pb2.Object(json=json.encode(bare))
    return objects_pb2.WatchEvent(type=EVENT_TYPES[change.type], object=obj, resource_version=str(change.revision))
