"""ControllerRevisions: what the templates of DaemonSets and StatefulSets looked like, to tell old pods from new ones
and to go back. Pure.

A revision holds the template as a patch, ``{"spec": {"template": {…, "$patch": "replace"}}}``. Its name is made of a
hash of that; numbers count up, and one that is used again gets the next number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from knarr_api import json as api_json
from knarr_api.types.apps_v1 import ControllerRevision
from knarr_api.types.core_v1 import PodTemplateSpec
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import meta_of
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.deployment.revisions import LAST_APPLIED
from knarr_controlplane.controllers.replicaset.naming import ALPHABET

REVISION_HASH = "controller-revision-hash"
"""Label of a pod: which revision it was made from."""
HASH = "controller.kubernetes.io/hash"
LIMIT_DEFAULT = 10
HASH_LENGTH = 10
NAME_MAX = 63
_replace = msgspec.structs.replace


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """current: of the present template; it may be one that is yet to be made, or to get another number."""

    current: ControllerRevision
    create: bool = False
    renumber: bool = False
    old: tuple[ControllerRevision, ...] = ()


def history(
    owner: msgspec.Struct, template: PodTemplateSpec, revisions: Iterable[ControllerRevision], *, collisions: int
) -> History:
    """revisions: those that the owner controls."""
    ordered = sorted(revisions, key=_order)
    data = patch(template)
    equal = [each for each in ordered if each.data == data]
    if not equal:
        number = (ordered[-1].revision or 0) + 1 if ordered else 1
        return History(current=_revision(owner, template, data, number, collisions), create=True, old=tuple(ordered))
    current = equal[-1]
    old = tuple(each for each in ordered if each is not current)
    newest = max((each.revision or 0 for each in old), default=0)
    if (current.revision or 0) > newest:
        return History(current=current, old=old)
    return History(current=_replace(current, revision=newest + 1), renumber=True, old=old)


def superfluous(
    old: Sequence[ControllerRevision], used: Collection[str], limit: int | None
) -> tuple[ControllerRevision, ...]:
    """The oldest revisions beyond the limit, but none that pods were made from. used: names."""
    free = [each for each in old if each.metadata.name not in used]
    excess = len(free) - (LIMIT_DEFAULT if limit is None else limit)
    return tuple(free[:excess]) if excess > 0 else ()


def patch(template: PodTemplateSpec) -> dict[str, Any]:
    return {"spec": {"template": {**api_json.to_builtins(template), "$patch": "replace"}}}


def template_of(revision: ControllerRevision) -> PodTemplateSpec:
    document = {key: value for key, value in revision.data["spec"]["template"].items() if key != "$patch"}
    return api_json.from_builtins(document, PodTemplateSpec)


def hash_of(revision: ControllerRevision) -> str:
    return revision.metadata.labels.get(HASH, "") or revision.metadata.labels.get(REVISION_HASH, "")


def _revision(
    owner: msgspec.Struct, template: PodTemplateSpec, data: dict[str, Any], number: int, collisions: int
) -> ControllerRevision:
    metadata = meta_of(owner)
    digest = _digest(data, collisions)
    return ControllerRevision(
        metadata=ObjectMeta(
            name=f"{metadata.name[: NAME_MAX - HASH_LENGTH - 1]}-{digest}",
            namespace=metadata.namespace,
            labels={**template.metadata.labels, HASH: digest},
            annotations={name: value for name, value in metadata.annotations.items() if name != LAST_APPLIED},
            owner_references=(ownership.controller_reference(owner),),
        ),
        data=data,
        revision=number,
    )


def _digest(data: dict[str, Any], collisions: int) -> str:
    text = msgspec.json.encode(data, order="sorted")
    number = int.from_bytes(hashlib.sha256(text + b"/%d" % collisions).digest(), "big")
    characters = []
    for _ in range(HASH_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        characters.append(ALPHABET[digit])
    return "".join(characters)


def _order(revision: ControllerRevision) -> tuple[int, float, str]:
    created = revision.metadata.creation_timestamp
    return (revision.revision or 0, created.timestamp() if created is not None else 0.0, revision.metadata.name)
