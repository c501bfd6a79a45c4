"""How requests name objects, their revisions and their identity."""

from __future__ import annotations

from typing import Any

import msgspec

from knarr_api import errors
from knarr_api.kinds import Kind
from knarr_controlplane.store import revision


def key_of(kind: Kind, namespace: str, name: str) -> str:
    if kind.namespaced and not namespace:
        raise errors.Invalid(f"metadata.namespace: Required value: {kind.qualified} are in namespaces")
    if not name or "/" in name or "/" in namespace:
        raise errors.Invalid(f'metadata.name: Invalid value: "{name}": a name must be given, without "/"')
    return kind.key(namespace, name)


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
