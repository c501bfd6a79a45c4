"""What becomes of an object by a patch of any kind, or by an apply. Pure: values in, values out."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from knarr_api import defaults, errors, json, shapes, strict
from knarr_api.kinds import Kind
from knarr_api.merge_patch import merge_patch
from knarr_api.shapes import Form, Shape
from knarr_client.client import PatchType
from knarr_controlplane.registry import (
    field_sets,
    json_patch,
    managed_fields,
    merging,
    server_side_apply,
    strategic_patch,
)
from knarr_controlplane.registry.managed_fields import NOBODYS, Owned, Writer

replace = msgspec.structs.replace
Decode = Callable[[Any, type[Any]], Any]


def patched(old: Any, kind: Kind, patch: Any, type_: PatchType, decode: Decode, given: str = "") -> Any:
    """The object after a patch that is no apply. Raises Invalid for a result that is none of the kind.

    given: as for ``changed_document``.
    """
    document = changed_document(old, patch, type_, given)
    _check_type(kind, document)
    new = decode(document, kind.type)
    was, now = old.metadata, new.metadata
    for field, before, after in (
        ("name", was.name, now.name),
        ("namespace", was.namespace, now.namespace),
        ("uid", was.uid, now.uid or was.uid),
    ):
        if before != after:
            detail = errors.FieldError(f"metadata.{field}", "field is immutable", "Invalid value", after)
            raise errors.invalid(kind.kind, was.name, (detail,), kind.group)
    return new


def changed_document(old: Any, patch: Any, type_: PatchType, given: str = "") -> dict[str, Any]:
    """The document of a value after a patch that is no apply. Raises Invalid for a patch that does not fit.

    given: the revision that the patch names, which is the value's: a JSON patch may test it.
    """
    before = json.to_builtins(old)
    if given:
        before["metadata"]["resourceVersion"] = given
    match type_:
        case PatchType.JSON:
            after = json_patch.patched(before, patch)
        case PatchType.STRATEGIC:
            after = strategic_patch.patched(before, patch, shapes.of(type(old)))
        case PatchType.MERGE:
            after = merge_patch(before, patch)
        case PatchType.APPLY:
            raise errors.Invalid("this can't be applied: use another patch")
    if not isinstance(after, dict):
        raise errors.Invalid("the patch leaves no object")
    return after


def check_patch(patch: Any, type_: PatchType) -> str:
    """The revision that a patch names, if it does. Raises Invalid for what can't be a patch of the type."""
    _check_depth(patch)
    if type_ is PatchType.JSON:
        if not isinstance(patch, list):
            raise errors.Invalid("a JSON patch must be an array of operations")
        return next(filter(None, map(_named_revision, patch)), "")
    if not isinstance(patch, dict):
        raise errors.Invalid(f"a patch of type {type_.value} must be a JSON object")
    metadata = patch.get("metadata")
    return str(metadata.get("resourceVersion") or "") if isinstance(metadata, dict) else ""


def _named_revision(operation: Any) -> str:
    """What an operation of a JSON patch says that the revision is."""
    if not isinstance(operation, dict) or operation.get("path") != "/metadata/resourceVersion":
        return ""
    value = operation.get("value") if operation.get("op") in ("test", "add", "replace") else None
    return value if isinstance(value, str) else ""


def _check_depth(patch: Any) -> None:
    """Raises Invalid for what can't be part of any object: walking it would go too deep as well."""
    waiting = [(patch, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > strict.MAX_DEPTH:
            raise errors.Invalid(f"nested deeper than {strict.MAX_DEPTH} levels")
        if isinstance(value, dict):
            waiting += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            waiting += [(item, depth + 1) for item in value]


class Config:
    """What a client applies: its document, cleaned, and the fields that it says."""

    def __init__(self, document: Mapping[str, Any], kind: Kind, subresource: str, decode: Decode) -> None:
        """Raises Invalid."""
        metadata = document.get("metadata")
        if isinstance(metadata, dict) and metadata.get("managedFields"):
            raise errors.Invalid("metadata.managedFields must be nil")
        self.kind = kind
        self.shape = shapes.of(kind.type)
        self.value = decode(document, kind.type)
        whole = _known(strict.check(dict(document), kind.type)[0], self.shape)
        if subresource:
            part = "spec" if subresource == "scale" else "status"
            whole = {name: value for name, value in whole.items() if name in ("apiVersion", "kind", "metadata", part)}
            whole["metadata"] = {"name": self.value.metadata.name}
        else:
            whole.pop("status", None)
        metadata = whole.get("metadata", {})
        self.revision = str(metadata.get("resourceVersion") or "")
        kept = {name: value for name, value in metadata.items() if name not in managed_fields.SET_BY_API}
        self.document = _readable({**whole, "metadata": kept})

    def created(self, obj: Any, writer: Writer, now: datetime.datetime) -> Any:
        """A new object with the fields that were applied recorded as the writer's."""
        paths = field_sets.of_document(self.document, self.shape) - NOBODYS
        owned = Owned(paths=paths, api_version=self.kind.api_version, time=now.replace(microsecond=0))
        managers = {managed_fields.manager_of(writer, self.kind.api_version): owned}
        return _managed(obj, managers)

    def applied(
        self,
        old: Any,
        writer: Writer,
        now: datetime.datetime,
        *,
        force: bool,
        prepare: Callable[[Any, Any], Any],
    ) -> Any:
        """Raises Conflict. prepare: what the API makes of the object that results."""
        version = self.kind.api_version
        live = json.to_builtins(_managed(old, {}))
        manager = managed_fields.manager_of(writer, version)
        managers = managed_fields.read(old.metadata.managed_fields)
        managers = server_side_apply.first_managers(managers, live, self.shape, version)
        recorded = merging.last_applied(live)
        if recorded and not writer.subresource:
            managers = server_side_apply.migrated(managers, manager, live, recorded, self.shape, version)
        result = server_side_apply.apply(
            live,
            self.document,
            self.shape,
            managers,
            manager,
            # With defaults, so that leaving one out is no change of what somebody else owns.
            decode=lambda document: defaults.apply(json.from_builtins(document, self.kind.type)),
            api_version=version,
            now=now,
            force=force,
        )
        document = result.document
        if recorded and not writer.subresource and writer.manager in server_side_apply.MIGRATES:
            document = merging.with_record(document, self.document)
        new = prepare(_managed(old, {}), json.from_builtins(document, self.kind.type))
        return _managed(new, result.managers)


def _readable(document: dict[str, Any]) -> dict[str, Any]:
    """``stringData`` of a Secret can only be written: it is what ``data`` becomes."""
    if document.get("kind") != "Secret" or not document.get("stringData"):
        return document
    given = {name: base64.b64encode(str(text).encode()).decode() for name, text in document["stringData"].items()}
    rest = {name: value for name, value in document.items() if name != "stringData"}
    return {**rest, "data": {**(document.get("data") or {}), **given}}


def _managed(obj: Any, managers: managed_fields.Managers) -> Any:
    entries = managed_fields.written(managers)
    return replace(obj, metadata=replace(obj.metadata, managed_fields=entries))


def _known(value: Any, shape: Shape) -> Any:
    """Without fields that the schema does not know. What has no schema is left as it is."""
    if shape is shapes.WHOLE:
        return value
    if isinstance(value, Mapping):
        fields = shape.struct.by_name if shape.form is Form.STRUCT and shape.struct is not None else value
        return {name: _known(item, shape.child(name) or shapes.WHOLE) for name, item in value.items() if name in fields}
    if isinstance(value, list | tuple):
        return [_known(item, shape.inner or shapes.WHOLE) for item in value]
    return value


def _check_type(kind: Kind, document: dict[str, Any]) -> None:
    for field, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        if document.get(field, wanted) != wanted:
            raise errors.Invalid(f'{field}: Invalid value: "{document[field]}": the object is of {wanted}')
