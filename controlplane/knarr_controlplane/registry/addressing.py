"""How requests name objects, select them, and name their revisions and their identity."""

from __future__ import annotations

from typing import Any

import msgspec

from knarr_api import errors
from knarr_api.fields import FieldSelector
from knarr_api.kinds import Kind
from knarr_api.labels import Selector
from knarr_controlplane.cache import entries
from knarr_controlplane.cache.changes import Filter
from knarr_controlplane.store import revision


def key_of(kind: Kind, namespace: str, name: str) -> str:
    if kind.namespaced and not namespace:
        raise errors.Invalid(f"metadata.namespace: Required value: {kind.qualified} are in namespaces")
    if not name or "/" in name or "/" in namespace:
        raise errors.Invalid(f'metadata.name: Invalid value: "{name}": a name must be given, without "/"')
    return kind.key(namespace, name)


def filter_of(kind: Kind, namespace: str, label_selector: str, field_selector: str) -> Filter:
    """Raises Invalid for selectors that are none or name a field that can't be selected by."""
    return Filter(
        namespace=namespace if kind.namespaced else "",
        labels=Selector.parse(label_selector) if label_selector else None,
        fields=FieldSelector.parse(field_selector, entries.supported_fields(kind)) if field_selector else None,
    )


def names_write(given: str, packed: int) -> bool:
    """Whether a resourceVersion given by a client names that write."""
    return given.isdecimal() and len(given) < 20 and revision.same_write(int(given), packed)


def without_revision(obj: Any) -> Any:
    """The object as it is stored."""
    if not obj.metadata.resource_version:
        return obj
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, resource_version=""))


def check_uid(kind: Kind, obj: Any, uid: str) -> None:
    """Raises Conflict where the object is another one of the same name."""
    if uid and uid != obj.metadata.uid:
        raise errors.Conflict(
            f'Operation cannot be fulfilled on {kind.qualified} "{obj.metadata.name}": Precondition failed: '
            f"UID in precondition: {uid}, UID in object meta: {obj.metadata.uid}"
        )
