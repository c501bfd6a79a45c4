"""Requests' messages to values and back: which kind and object is meant, who writes, how an answer is encoded."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import msgspec

from knarr_api import conventions, json, kinds, wire
from knarr_api.errors import FieldError, Invalid, KnarrError, ResourceExhausted, invalid
from knarr_api.kinds import Kind
from knarr_api.types import meta_v1
from knarr_api.types.autoscaling_v1 import Scale
from knarr_controlplane.cache.changes import Change, ChangeType
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.pki import identity
from knarr_controlplane.registry import conversion, managed_fields
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
MAX_LIST_BYTES = 48 * 1024 * 1024
"""Of JSON in one answer: gRPC's clients take messages of 64 MiB here."""
MAX_FORMS = 1024
"""Remembered, of what requests say over and over."""
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Reading:
    """Reads documents as strictly as a request asks for, and keeps what it warns of."""

    def __init__(self, field_validation: int) -> None:
        self._field_validation = field_validation
        self._doubled: tuple[FieldError, ...] = ()
        self.warnings: tuple[str, ...] = ()

    def decode(self, document: Any, type_: type[Any]) -> Any:
        """Raises Invalid, in Kubernetes' words where fields are unknown or doubled."""
        obj, odd = json.decode_lenient(document, type_)
        self._mind(odd)
        return obj

    def patch(self, text: bytes) -> Any:
        """A patch of any type. Raises Invalid for none, and for fields that are doubled."""
        patch = json.load(text)
        if self._field_validation != objects_pb2.IGNORE:
            self._doubled = tuple(FieldError(path, "duplicate field") for path in json.doubled_names(text))
            self._mind(())
        return patch

    def _mind(self, odd: tuple[FieldError, ...]) -> None:
        odd = (*self._doubled, *odd)
        said = [f'{problem.message.partition(" (")[0]} "{problem.path}"' for problem in odd[: json.MAX_SHOWN]]
        if self._field_validation == objects_pb2.WARN:
            self.warnings = tuple(said)
        elif odd and self._field_validation != objects_pb2.IGNORE:
            raise Invalid(f"strict decoding error: {', '.join(said)}", details=odd[: json.MAX_SHOWN])


@dataclass(frozen=True, slots=True)
class Form:
    """How objects are answered. version: the kind as which they are shown, where that is not the stored one."""

    encoding: int = objects_pb2.JSON
    version: Kind | None = None


def form_of(request: Any) -> Form:
    """As the request wants it."""
    asked = request.type
    return _form(request.encoding, asked.group, asked.version, asked.resource)


@functools.lru_cache(maxsize=MAX_FORMS)
def _form(encoding: int, group: str, version: str, resource: str) -> Form:
    kind = kinds.find(group, version, resource) if resource else None
    other = kind is not None and conversion.stored_kind(kind) is not kind
    return Form(encoding, kind if other else None)


def kind_of(given: Any) -> Kind:
    """In the version that is stored."""
    return conversion.stored_kind(asked_kind(given))


def asked_kind(given: Any) -> Kind:
    """In the version that is named."""
    if not given.resource:
        raise Invalid("type.resource: Required value: which kind is meant")
    return kinds.find(given.group, given.version, given.resource)


def given(request: Any) -> tuple[Kind, Any, tuple[str, ...]]:
    """The request's object with its kind, both in the stored version, and warnings for what was dropped of it."""
    kind, obj, warnings = _given(request)
    return conversion.stored_kind(kind), conversion.stored(obj), warnings


def _given(request: Any) -> tuple[Kind, Any, tuple[str, ...]]:
    which = request.object.WhichOneof("content")
    if which == "typed":
        kind = _kind_of_message(request)
        return kind, wire.from_any(request.object.typed, kind.type), ()
    if which != "json":
        raise Invalid("object: Required value: json or typed")
    if (exact := _exactly(request)) is not None:
        return *exact, ()
    document = json.load(request.object.json)
    if not isinstance(document, dict):
        raise Invalid("object: expected a JSON object")
    if request.type.resource:
        kind = asked_kind(request.type)
        for field, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
            if document.get(field, wanted) != wanted:
                raise Invalid(f'{field}: Invalid value: "{document[field]}": the request is for {wanted}')
    else:
        kind = kinds.by_kind(str(document.get("apiVersion", "")), str(document.get("kind", "")))
    reading = Reading(request.field_validation)
    # From the text, not from the document: only the text shows names that stand twice.
    return kind, reading.decode(request.object.json, kind.type), reading.warnings


def _exactly(request: Any) -> tuple[Kind, Any] | None:
    """What our own clients send: the kind that is named, written as we write it; None for all else."""
    try:
        kind = asked_kind(request.type)
    except KnarrError:
        return None
    obj: Any = json.as_written_here(request.object.json, kind.type)
    if obj is None or (obj.api_version, obj.kind) != (kind.api_version, kind.kind):
        return None
    return kind, obj


def _kind_of_message(request: Any) -> Kind:
    name = request.object.typed.TypeName()
    package, _, word = name.rpartition(".")
    module = conventions.module_of(package) if package else ""
    kind = next((kind for kind in kinds.KINDS if (kind.module, kind.kind) == (module, word)), None)
    if kind is None:
        raise Invalid(f'object.typed: "{name}" is no kind of the API')
    if request.type.resource and asked_kind(request.type) is not kind:
        raise Invalid(f'object.typed: "{name}" is not what the request is for: {asked_kind(request.type).qualified}')
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


def object_of(entry: CacheEntry, form: Form) -> Any:
    if form.version is not None:
        return _value(conversion.shown(form.version, entry.value()), form.encoding)
    if form.encoding == PROTOBUF:
        return objects_pb2.Object(typed=entry.any())
    return objects_pb2.Object(json=entry.json)


def response(entry: CacheEntry, form: Form, warnings: tuple[str, ...] = ()) -> Any:
    return objects_pb2.ObjectResponse(object=object_of(entry, form), warnings=warnings)


def scale_response(scale: Scale, encoding: int) -> Any:
    return objects_pb2.ObjectResponse(object=_value(scale, encoding))


def _value(obj: Any, encoding: int) -> Any:
    typed = encoding == PROTOBUF
    return objects_pb2.Object(typed=wire.to_any(obj)) if typed else objects_pb2.Object(json=json.encode(obj))


def check_size(page: Page) -> None:
    """Raises ResourceExhausted for a list that clients would refuse to take."""
    size_bytes = sum(entry.size_bytes for entry in page.entries)
    if size_bytes > MAX_LIST_BYTES:
        raise ResourceExhausted(
            f"the list has {size_bytes >> 20} MiB in {len(page.entries)} objects, more than the {MAX_LIST_BYTES >> 20} "
            "MiB that go into one answer: ask for it in pages, with a limit"
        )


def list_of(page: Page, form: Form) -> Any:
    answer = objects_pb2.ObjectList(
        items=[object_of(entry, form) for entry in page.entries],
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
        metadata = context.invocation_metadata()
        manager = next((str(value).partition("/")[0] for key, value in metadata if key == "user-agent"), "")
    return _writer(manager, subresource)


@functools.lru_cache(maxsize=MAX_FORMS)
def _writer(manager: str, subresource: str) -> Writer:
    return Writer(manager=manager or "unknown", subresource=subresource)


def config(request: Any, patch: Any, reading: Reading) -> dict[str, Any]:
    """What is applied, in the stored version, with the name and namespace of the request.

    Raises Invalid where it has others.
    """
    kind = asked_kind(request.type)
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
    document = {**patch, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": {**metadata, **names}}
    if conversion.stored_kind(kind) is not kind:
        document = conversion.stored_document(json.to_builtins(reading.decode(document, kind.type)))
    return document


def scale_config(kind: Kind, request: Any, patch: Any) -> dict[str, Any]:
    """What applying a Scale says of the object itself. Raises Invalid."""
    if not isinstance(patch, dict):
        raise Invalid("an apply patch must be a JSON object with metadata")
    wanted = json.decode_strict(patch, Scale)
    if (wanted.spec.replicas or 0) < 0:
        detail = FieldError(
            "spec.replicas", "must be greater than or equal to 0", "Invalid value", wanted.spec.replicas
        )
        raise invalid("Scale", request.name, (detail,), "autoscaling")
    metadata = {"name": request.name, "namespace": request.namespace}
    if wanted.metadata.resource_version:
        metadata["resourceVersion"] = wanted.metadata.resource_version
    spec = {} if wanted.spec.replicas is None else {"replicas": wanted.spec.replicas}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}


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


def watch_response(kind: Kind, change: Change, form: Form, *, initial: bool) -> Any:
    """With this one event."""
    if change.entry is not None:
        obj = object_of(change.entry, form)
    else:
        annotations = {INITIAL_EVENTS_END: "true"} if initial else {}
        metadata = meta_v1.ObjectMeta(resource_version=str(change.revision), annotations=annotations)
        obj = _value((form.version or kind).type(metadata=metadata), form.encoding)
    response = objects_pb2.WatchResponse()
    response.events.add(type=EVENT_TYPES[change.type], object=obj, resource_version=str(change.revision))
    return response
