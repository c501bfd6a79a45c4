"""Who owns whom: the little of each object that garbage collection needs, by uid."""

from __future__ import annotations

import msgspec

from knarr_api import kinds
from knarr_api.kinds import Kind
from knarr_api.types.meta_v1 import OwnerReference
from knarr_client.client import Key, key_of, meta_of

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class Item(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One object."""

    uid: str
    kind: Kind
    key: Key
    owners: tuple[OwnerReference, ...]
    finalizers: tuple[str, ...]
    deleting: bool

    def __str__(self) -> str:
        return f"{self.kind.qualified} {self.key}"

    @property
    def ends_in_foreground(self) -> bool:
        """It is being deleted and stays until what it owns, and what blocks, is gone."""
        return self.deleting and FOREGROUND in self.finalizers

    @property
    def ends_orphaning(self) -> bool:
        """It is being deleted and stays until what it owned is released."""
        return self.deleting and ORPHAN in self.finalizers


def item_of(obj: msgspec.Struct) -> Item:
    metadata = meta_of(obj)
    return Item(
        uid=metadata.uid,
        kind=kinds.of(obj),
        key=key_of(obj),
        owners=metadata.owner_references,
        finalizers=metadata.finalizers,
        deleting=metadata.deletion_timestamp is not None,
    )


def same_item(old: msgspec.Struct, new: msgspec.Struct) -> bool:
    """Whether two states of one name are the same to garbage collection, as after most changes."""
    before, after = meta_of(old), meta_of(new)
    return (
        before.uid == after.uid
        and before.owner_references == after.owner_references
        and before.finalizers == after.finalizers
        and (before.deletion_timestamp is None) == (after.deletion_timestamp is None)
    )


class Graph:
    """Items and the way from owners to what they own."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._dependents: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, uid: str) -> Item | None:
        return self._items.get(uid)

    def dependents(self, uid: str) -> tuple[Item, ...]:
        """What refers to this uid as an owner now, whatever goes while it is looked at."""
        return tuple(self._items[each] for each in self._dependents.get(uid, ()))

    def put(self, item: Item) -> None:
        self.remove(item.uid)
        self._items[item.uid] = item
        for owner in item.owners:
            self._dependents.setdefault(owner.uid, {})[item.uid] = None

    def remove(self, uid: str) -> None:
        item = self._items.pop(uid, None)
        for owner in item.owners if item is not None else ():
            dependents = self._dependents.get(owner.uid)
            if dependents is not None:
                dependents.pop(uid, None)
                if not dependents:
                    del self._dependents[owner.uid]
