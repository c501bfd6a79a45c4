"""Follows all kinds and deletes what has lost its owners.

Caches lag behind each other: an owner that is not in the graph may have been created a moment ago. So an owner is taken
for gone when its deletion was seen; one that was never seen, when a live read does not find it and another one does
not ``ABSENT_FOR_S`` later. A deletion is tied to the uid and revision that were read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import msgspec
import structlog

from knarr_api import errors, kinds
from knarr_api import json as api_json
from knarr_api.kinds import Kind
from knarr_api.types.meta_v1 import ObjectMeta, OwnerReference
from knarr_client.client import Client, Propagation, meta_of
from knarr_client.clock import Clock
from knarr_client.informer import Change
from knarr_client.reconcile import Again
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers.garbage.decide import Delete, Disown, Keep, Owner, blockers, verdict
from knarr_controlplane.controllers.garbage.graph import FOREGROUND, ORPHAN, Graph, Item, item_of, same_item
from knarr_controlplane.controllers.informers import SharedInformers

ABSENT_FOR_S = 2.0
REMEMBERED_MAX = 20_000
"""How many uids of deleted objects are remembered."""


class GarbageCollector:
    """Its queue's keys are uids."""

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        clock: Clock,
        queue: WorkQueue[str],
        followed: Iterable[Kind],
    ) -> None:
        self.queue = queue
        self._client = client
        self._clock = clock
        self._deleted: OrderedDict[str, None] = OrderedDict()
        """The uids whose deletion was seen last."""
        self._missed_since_s: OrderedDict[str, float] = OrderedDict()
        """Uids of owners that were never seen, since when they are missed."""
        self._graph = Graph()
        self._log = structlog.get_logger("knarr.garbage")
        for kind in followed:
            informers.metadata_of(kind.type).add_handler(self._changed)

    async def reconcile(self, uid: str) -> Again | None:
        item = self._graph.get(uid)
        if item is None:
            return None
        if item.ends_orphaning:
            for dependent in self._graph.dependents(uid):
                await self._disown(dependent, (uid,))
            await self._remove_finalizer(item, ORPHAN)
        elif item.ends_in_foreground:
            waiting = blockers(item, self._graph.dependents(uid))
            for dependent in self._graph.dependents(uid):
                self.queue.add(dependent.uid)
            if not waiting:
                await self._remove_finalizer(item, FOREGROUND)
        elif item.owners and not item.deleting:
            return await self._judge(item)
        return None

    async def _judge(self, item: Item) -> Again | None:
        owners = {owner.uid: await self._owner(item, owner) for owner in item.owners}
        if all(state is Owner.PRESENT for state in owners.values()):
            return None
        doubtful = [owner for owner, state in owners.items() if state is Owner.GONE and not self._is_sure(owner)]
        if doubtful:
            return Again(ABSENT_FOR_S)
        live = await self._live(item)
        if live is None:
            return None
        if any(owner.uid not in owners for owner in live.owner_references):
            raise errors.Conflict(f"{item} has got other owners meanwhile")
        has_dependents = any(True for _ in self._graph.dependents(item.uid))
        match verdict(live.owner_references, live.finalizers, owners, has_dependents=has_dependents):
            case Keep():
                return None
            case Disown(uids):
                await self._disown(item, uids)
            case Delete(propagation):
                await self._delete(item, live, propagation)
        return None

    async def _owner(self, item: Item, reference: OwnerReference) -> Owner:
        """Raises Terminal where the reference says nothing that can be looked up."""
        known = self._graph.get(reference.uid)
        if known is not None:
            return Owner.ENDING if known.ends_in_foreground else Owner.PRESENT
        try:
            kind = kinds.by_kind(reference.api_version, reference.kind)
        except errors.NotFound as error:
            raise errors.Terminal(f"{item}: owner of an unknown kind: {error}") from error
        if kind.namespaced and not item.key.namespace:
            raise errors.Terminal(f"{item}: an object of the cluster can't be owned by the namespaced {kind.kind}")
        try:
            owner = await self._client.get(kind.type, reference.name, item.key.namespace if kind.namespaced else "")
        except errors.NotFound:
            return Owner.GONE
        metadata = meta_of(owner)
        if metadata.uid != reference.uid:
            return Owner.GONE
        ending = metadata.deletion_timestamp is not None and FOREGROUND in metadata.finalizers
        return Owner.ENDING if ending else Owner.PRESENT

    def _is_sure(self, owner: str) -> bool:
        """A live read has just not found this owner."""
        if owner in self._deleted:
            return True
        now_s = self._clock.monotonic()
        since_s = self._missed_since_s.setdefault(owner, now_s)
        _trim(self._missed_since_s)
        return now_s - since_s >= ABSENT_FOR_S

    async def _live(self, item: Item) -> ObjectMeta | None:
        """The object's metadata as it is now; None when that object is gone."""
        try:
            obj = await self._client.get(item.kind.type, item.key.name, item.key.namespace)
        except errors.NotFound:
            return None
        metadata = meta_of(obj)
        return metadata if metadata.uid == item.uid else None

    async def _delete(self, item: Item, live: ObjectMeta, propagation: Propagation) -> None:
        if live.deletion_timestamp is not None:
            return
        self._log.debug("deleting, its owners are gone", object=str(item), propagation=propagation.value)
        try:
            await self._client.delete(
                item.kind.type,
                item.key.name,
                item.key.namespace,
                propagation=propagation,
                uid=item.uid,
                resource_version=live.resource_version,
            )
        except errors.NotFound:
            return

    async def _disown(self, item: Item, uids: Iterable[str]) -> None:
        live = await self._live(item)
        if live is None:
            return
        gone = frozenset(uids)
        kept = [api_json.to_builtins(owner) for owner in live.owner_references if owner.uid not in gone]
        if len(kept) < len(live.owner_references):
            await self._patch_metadata(item, live, {"ownerReferences": kept or None})

    async def _remove_finalizer(self, item: Item, finalizer: str) -> None:
        live = await self._live(item)
        if live is None or finalizer not in live.finalizers:
            return
        kept = [name for name in live.finalizers if name != finalizer]
        await self._patch_metadata(item, live, {"finalizers": kept or None})

    async def _patch_metadata(self, item: Item, live: ObjectMeta, patch: dict[str, object]) -> None:
        body = {"metadata": {"resourceVersion": live.resource_version, **patch}}
        try:
            await self._client.patch(item.kind.type, item.key.name, item.key.namespace, patch=body)
        except errors.NotFound:
            return

    def _changed(self, change: Change[msgspec.Struct]) -> None:
        if change.old is not None and change.new is not None and same_item(change.old, change.new):
            return
        old = item_of(change.old) if change.old is not None else None
        new = item_of(change.new) if change.new is not None else None
        if old is not None and (new is None or new.uid != old.uid):
            self._gone(old)
        if new is None or new == self._graph.get(new.uid):
            return
        self._graph.put(new)
        if new.ends_in_foreground or new.ends_orphaning or self._may_have_lost_owners(new):
            self.queue.add(new.uid)
        if new.deleting:
            for dependent in self._graph.dependents(new.uid):
                self.queue.add(dependent.uid)

    def _may_have_lost_owners(self, item: Item) -> bool:
        """False for most: what becomes of an owner that is there is told to what it owns."""
        for owner in item.owners:
            present = self._graph.get(owner.uid)
            if present is None or present.ends_in_foreground:
                return True
        return False

    def _gone(self, item: Item) -> None:
        self._graph.remove(item.uid)
        self._deleted[item.uid] = None
        _trim(self._deleted)
        for dependent in self._graph.dependents(item.uid):
            self.queue.add(dependent.uid)
        for owner in item.owners:
            present = self._graph.get(owner.uid)
            if present is not None and present.ends_in_foreground:
                self.queue.add(owner.uid)


def _trim(remembered: OrderedDict[str, Any]) -> None:
    while len(remembered) > REMEMBERED_MAX:
        remembered.popitem(last=False)


def followed_kinds() -> tuple[Kind, ...]:
    """Every kind once; without Events, which own nothing and go by themselves."""
    found: dict[str, Kind] = {}
    for kind in kinds.KINDS:
        if kind.kind != "Event":
            found.setdefault(kind.key_prefix, kind)
    return tuple(found.values())
