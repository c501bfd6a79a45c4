"""Which objects belong to which controller.

An object has at most one owner reference with ``controller: true``. A controller owns what refers to it by uid, adopts
what its selector matches and nobody controls, and releases what it controls but no longer matches.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic

import msgspec

from knarr_api import kinds
from knarr_api.labels import Selector
from knarr_api.types.meta_v1 import ObjectMeta, OwnerReference
from knarr_client.client import T, meta_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Generic[T]):
    """owned: matched and controlled already, or about to be (those in ``adopt`` are among them)."""

    owned: tuple[T, ...]
    adopt: tuple[T, ...]
    release: tuple[T, ...]


def controller_of(obj: msgspec.Struct) -> OwnerReference | None:
    """The owner reference with ``controller: true``."""
    metadata: ObjectMeta = obj.metadata  # type: ignore[attr-defined]  # asked many times for each change of a pod:
    for reference in metadata.owner_references:  # no calls, no generator
        if reference.controller:
            return reference
    return None


def controller_uid(obj: msgspec.Struct) -> tuple[str, ...]:
    """Index function: the uid of the controlling owner."""
    controller = controller_of(obj)
    return (controller.uid,) if controller is not None else ()


def orphan_namespace(obj: msgspec.Struct) -> tuple[str, ...]:
    """Index function: the namespace, for objects that nobody controls."""
    return () if controller_of(obj) is not None else (meta_of(obj).namespace,)


def controller_reference(owner: msgspec.Struct) -> OwnerReference:
    kind = kinds.of(owner)
    metadata = meta_of(owner)
    return OwnerReference(
        api_version=kind.api_version,
        kind=kind.kind,
        name=metadata.name,
        uid=metadata.uid,
        controller=True,
        block_owner_deletion=True,
    )


def claim(owner: msgspec.Struct, selector: Selector, objects: Iterable[T]) -> Claim[T]:
    """Sort out the objects of the owner's namespace. What is being deleted neither adopts nor is adopted."""
    uid = meta_of(owner).uid
    may_adopt = meta_of(owner).deletion_timestamp is None
    owned: list[T] = []
    adopt: list[T] = []
    release: list[T] = []
    labels: Mapping[str, str] | None = None
    matches = False
    for obj in objects:
        metadata = meta_of(obj)
        controller = controller_of(obj)
        if metadata.labels is not labels:  # those of one template share them
            labels = metadata.labels
            matches = selector.matches(labels)
        if controller is not None:
            if controller.uid == uid:
                if matches or metadata.deletion_timestamp is not None:
                    owned.append(obj)
                elif may_adopt:
                    release.append(obj)
        elif matches and may_adopt and metadata.deletion_timestamp is None:
            adopt.append(obj)
            owned.append(obj)
    return Claim(owned=tuple(owned), adopt=tuple(adopt), release=tuple(release))


def with_controller(obj: T, owner: msgspec.Struct) -> T:
    metadata = meta_of(obj)
    references = (*metadata.owner_references, controller_reference(owner))
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(metadata, owner_references=references))


def without_owner(obj: T, uids: Iterable[str]) -> T:
    """The object without its references to these owners."""
    gone = frozenset(uids)
    metadata = meta_of(obj)
    references = tuple(reference for reference in metadata.owner_references if reference.uid not in gone)
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(metadata, owner_references=references))
