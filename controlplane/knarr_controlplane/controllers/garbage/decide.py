"""What an object's owners mean for it. Pure.

An object without owner references lives. With some, it lives as long as one owner does; owners that are gone are struck
from it. An owner that is being deleted in the foreground counts as gone to what it owns.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from knarr_api.types.meta_v1 import OwnerReference
from knarr_client.client import Propagation
from knarr_controlplane.controllers.garbage.graph import FOREGROUND, ORPHAN, Item


class Owner(enum.Enum):
    """What is known of an owner."""

    PRESENT = "present"
    ENDING = "ending"
    """It waits, in the foreground, for what it owns to go."""
    GONE = "gone"
    """A live read said so: nothing of that name, or of another uid."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing to do."""


@dataclass(frozen=True, slots=True)
class Disown:
    """Strike these owners, it has others."""

    owners: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    propagation: Propagation


Verdict = Keep | Disown | Delete


def verdict(
    references: Sequence[OwnerReference],
    finalizers: Iterable[str],
    owners: Mapping[str, Owner],
    *,
    has_dependents: bool,
) -> Verdict:
    """owners: by uid, of every reference."""
    if not references:
        return Keep()
    states = [owners[reference.uid] for reference in references]
    if Owner.PRESENT in states:
        others = tuple(reference.uid for reference in references if owners[reference.uid] is not Owner.PRESENT)
        return Disown(others) if others else Keep()
    if ORPHAN in finalizers:
        return Delete(Propagation.ORPHAN)
    if FOREGROUND in finalizers or (Owner.ENDING in states and has_dependents):
        return Delete(Propagation.FOREGROUND)
    return Delete(Propagation.BACKGROUND)


def blockers(item: Item, dependents: Iterable[Item]) -> tuple[Item, ...]:
    """Those that an object ending in the foreground waits for."""
    return tuple(
        each
        for each in dependents
        if any(owner.uid == item.uid and owner.block_owner_deletion for owner in each.owners)
    )
