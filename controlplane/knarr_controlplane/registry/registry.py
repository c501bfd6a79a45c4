"""The verbs. Every write is a compare-and-swap on the revision it was decided on; where the caller gave no revision
it is decided again on what is there now."""

from __future__ import annotations

import copy
import datetime
import random
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

from knarr_api import deletion, errors, json, kinds, shapes
from knarr_api.kinds import Kind
from knarr_api.types.core_v1 import Namespace, Pod, ServiceAccount
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import PatchType
from knarr_controlplane.cache import entries
from knarr_controlplane.cache.changes import Change, ChangeType, Filter, in_messages
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry import (
    accounts,
    conversion,
    decisions,
    managed_fields,
    merging,
    pages,
    patching,
    priorities,
    rules,
)
from knarr_controlplane.registry.addressing import check_uid, key_of, names_write, without_revision
from knarr_controlplane.registry.managed_fields import Writer
from knarr_controlplane.registry.newborns import Newborns
from knarr_controlplane.registry.pages import Page, Wanted
from knarr_controlplane.registry.patching import Config, Decode
from knarr_controlplane.registry.policies import Policies
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.registry.usages import Usages
from knarr_controlplane.registry.writes import Writes
from knarr_controlplane.store import revision
from knarr_controlplane.store.protocol import Check, KeyConflict, Put, Store

ACCOUNT, POD = kinds.of(ServiceAccount), kinds.of(Pod)
ATTEMPTS = 20
QUIET = Writer(manager="knarr-controlplane", quiet=True)
"""Knarr's own components, where they don't say otherwise."""

EVERYTHING = Wanted()


class Registry:
    """All objects. now: the wall clock; randomness: for uids and generated names."""

    def __init__(
        self,
        store: Store,
        cache: WatchCache,
        storage: Storage,
        *,
        admission: Admission,
        now: Callable[[], datetime.datetime],
        randomness: random.Random | None = None,
    ) -> None:
        self.cache = cache
        self.writes = Writes(store, cache, storage)
        self.admission = admission
        self.now = now
        self.usages = Usages(cache, now)
        self._lists = pages.Lists()
        self._policies = Policies(cache, storage, now)
        randomness = randomness or secrets.SystemRandom()
        self.newborns = Newborns(cache, self._policies, admission, now=now, randomness=randomness)

    def fenced(self, key: str, expected: int, lost: Callable[[], None]) -> Registry:
        """The same objects, written only while that key has that revision. lost: called when it has another."""
        other = copy.copy(self)
        other.writes = self.writes.fenced(key, expected, lost)
        return other

    async def make_system_objects(self) -> None:
        """The namespaces and priority classes that are always there."""
        namespaces = [Namespace(metadata=ObjectMeta(name=name)) for name in decisions.SYSTEM_NAMESPACES]
        accounts_ = [accounts.default(name) for name in decisions.SYSTEM_NAMESPACES]
        for obj in (*namespaces, *accounts_, *priorities.SYSTEM.values()):
            try:
                await self.create(obj)
            except errors.AlreadyExists:
                continue

    def get(self, kind: Kind, namespace: str, name: str) -> CacheEntry:
        """Raises NotFound, Invalid when the namespace is missing."""
        key = key_of(kind, namespace, name)
        entry = self.usages.get(kind, key) if kind in kinds.COMPUTED else self.cache.get(kind, key)
        if entry is None:
            raise errors.not_found(kind.resource, name, kind.group)
        return entry

    async def newest(self, kind: Kind, namespace: str, name: str, given_revision: str = "") -> CacheEntry:
        """As ``get``, for writes: what is not here, or not as the writer has seen it, may not have arrived yet."""
        try:
            entry = self.get(kind, namespace, name)
            if not given_revision or names_write(given_revision, entry.revision):
                return entry
        except errors.NotFound:
            pass
        await self.catch_up()
        return self.get(kind, namespace, name)

    def list(self, kind: Kind, filter_: Filter, wanted: Wanted = EVERYTHING) -> Page:
        """Raises Expired when the objects have changed too much since the page before, Invalid for a bad request."""
        wanted.check()
        if kind in kinds.COMPUTED:
            return Page(self.usages.select(kind, filter_), self.cache.revision)
        return self._lists.page(self.cache, kind, filter_, wanted)

    async def ready_for(self, wanted: Wanted) -> None:
        """Until the cache has all that the list must have."""
        if wanted.newest:
            await self.catch_up()
        else:
            await self.not_older(wanted.not_older)

    async def not_older(self, resource_version: str) -> None:
        """Until the cache has seen that revision. Raises DeadlineExceeded for one that is not there yet."""
        at = pages.number(resource_version)
        if revision.store_revision(at) > revision.store_revision(self.cache.revision):
            await self.catch_up()
        if revision.store_revision(at) > revision.store_revision(self.cache.revision):
            raise errors.DeadlineExceeded(
                f"Too large resource version: {at}, current: {self.cache.revision}", retry_after_s=1.0
            )

    async def catch_up(self) -> None:
        """Before a read that must see every write that was acknowledged, also by other processes."""
        await self.cache.catch_up()

    async def watch(
        self,
        kind: Kind,
        filter_: Filter,
        resource_version: str,
        *,
        initial: bool | None = None,
        reporter: bool = False,
    ) -> AsyncIterator[tuple[Change, ...]]:
        """As ``Objects.Watch``. initial: whether present objects come first; None: where no revision is given.
        reporter: see ``kind_cache.Follower``.

        Raises Expired, Invalid for what is no revision.
        """
        after = pages.number(resource_version)
        if initial:
            await self.not_older(resource_version)
        if initial or (initial is None and not after):
            after = self.cache.revision
            present = [Change(ChangeType.ADDED, entry, entry.revision) for entry in self.cache.select(kind, filter_)]
            for part in in_messages([*present, Change(ChangeType.BOOKMARK, None, after)]):
                yield part
        async for batch in self.cache.follow(kind, filter_, after or self.cache.revision, reporter=reporter):
            yield batch

    async def create(
        self, obj: Any, *, writer: Writer = QUIET, dry_run: bool = False, config: Config | None = None
    ) -> CacheEntry:
        """Raises AlreadyExists, Invalid, Forbidden (the namespace is being deleted), NotFound (it is missing).

        config: what was applied, where the object is of an apply.
        """
        kind = kinds.of(obj)
        metadata: ObjectMeta = obj.metadata
        for _ in range(ATTEMPTS):
            try:
                new = self.newborns.make(obj, writer, config)
            except (errors.NotFound, errors.Forbidden):  # by its namespace, account, limits, which may be as new
                await self.catch_up()
                new = self.newborns.make(obj, writer, config)
            key = key_of(kind, new.metadata.namespace, new.metadata.name)
            if dry_run:
                if self.cache.get(kind, key) is not None:
                    raise errors.already_exists(kind.resource, new.metadata.name, kind.group)
                await self._charges(kind, None, new)
                return entries.make(kind, key, new, 0)
            try:
                async with self._policies.turn(kind, new.metadata.namespace, creation=True):
                    others: list[Put | Check] = [*await self._charges(kind, None, new), *self._belongings(new)]
                    others += self.writes.place(kind, new.metadata.namespace)
                    return await self.writes.put(kind, key, new, 0, others)
            except KeyConflict as error:
                if error.key != key:  # a quota that other writers have used meanwhile, its namespace, or an account
                    await self.writes.seen(error)
                elif metadata.name:
                    raise errors.already_exists(kind.resource, metadata.name, kind.group) from None
        if metadata.name:
            raise errors.Conflict(f"the namespace's quotas change faster than {kind.qualified} can be created")
        raise errors.AlreadyExists(f"no free name with the prefix {metadata.generate_name} was found")

    def _belongings(self, new: Any) -> tuple[Put, ...]:
        return tuple(self.writes.first(ACCOUNT, account) for account in self.newborns.belongings(new))

    async def _charges(self, kind: Kind, old: Any | None, new: Any) -> tuple[Put, ...]:
        """Raises Forbidden where the quotas do not admit it, as they are stored now."""
        try:
            return self._policies.charges(kind, old, new)
        except errors.Forbidden:
            await self.catch_up()
            return self._policies.charges(kind, old, new)

    async def update(
        self, obj: Any, *, subresource: str = "", writer: Writer = QUIET, dry_run: bool = False
    ) -> CacheEntry:
        """Replace, or with subresource ``status`` the status alone. Raises Conflict, NotFound, Invalid."""
        kind = kinds.of(obj)
        given = obj.metadata.resource_version
        prepare = decisions.preparation(subresource)

        def decide(old: Any) -> Any:
            check_uid(kind, old, obj.metadata.uid)
            return prepare(old, obj, self.admission)

        name = obj.metadata.name
        changed = self.changed(kind, obj.metadata.namespace, name, decide, given, writer=writer, dry_run=dry_run)
        return (await changed)[0]

    async def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Any,
        *,
        type_: PatchType = PatchType.MERGE,
        subresource: str = "",
        writer: Writer = QUIET,
        dry_run: bool = False,
        decode: Decode = json.decode_strict,
        version: Kind | None = None,
    ) -> CacheEntry:
        """Raises Invalid for a result that is none, Conflict for a given old revision.

        decode: how strictly the result is read. version: of the kind that the patch is for; default: the stored one.
        """
        given = patching.check_patch(patch, type_)
        prepare = decisions.preparation(subresource)

        def decide(old: Any) -> Any:
            shown = conversion.shown(version or kind, old)
            new = patching.patched(shown, version or kind, patch, type_, decode, given)
            return prepare(old, conversion.stored(new), self.admission)

        return (await self.changed(kind, namespace, name, decide, given, writer=writer, dry_run=dry_run))[0]

    async def apply(
        self,
        kind: Kind,
        namespace: str,
        document: dict[str, Any],
        *,
        writer: Writer = QUIET,
        dry_run: bool = False,
        decode: Decode = json.decode_strict,
    ) -> tuple[CacheEntry, str]:
        """Create, or merge what changed since this was applied last, by the record of it in the object itself.

        Returns the outcome as well: created, configured, unchanged. decode: how strictly the result is read.
        """
        wanted = merging.to_apply(document, (namespace or "default") if kind.namespaced else "")
        metadata = wanted["metadata"]
        name, namespace = str(metadata.get("name") or ""), str(metadata.get("namespace") or "")
        given = str(metadata.pop("resourceVersion", "") or "")
        if self.is_missing(kind, namespace, name):
            try:
                obj = decode(wanted, kind.type)
                return await self.create(obj, writer=writer, dry_run=dry_run), "created"
            except errors.AlreadyExists:
                await self.catch_up()
        shape = shapes.of(kind.type)

        def decide(old: Any) -> Any:
            merged = merging.applied(json.to_builtins(old), wanted, shape)
            return rules.updated(old, decode(merged, kind.type), self.admission)

        try:
            entry, changed = await self.changed(kind, namespace, name, decide, given, writer=writer, dry_run=dry_run)
        except errors.NotFound:  # gone meanwhile, or before this cache has seen it go
            if given:
                raise
            return await self.apply(kind, namespace, document, writer=writer, dry_run=dry_run, decode=decode)
        return entry, "configured" if changed else "unchanged"

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        grace_s: int | None = None,
        propagation: str = "Background",
        uid: str = "",
        resource_version: str = "",
        dry_run: bool = False,
    ) -> CacheEntry:
        """Mark for deletion, or remove where nothing has to be waited for. Raises NotFound, Conflict."""
        decision = decisions.deleting(kind, name, grace_s=grace_s, propagation=propagation, uid=uid, now=self.now)
        present = (await self.newest(kind, namespace, name, resource_version)).revision
        if resource_version and not names_write(resource_version, present):
            raise errors.Conflict(
                f'Operation cannot be fulfilled on {kind.qualified} "{name}": Precondition failed: the ResourceVersion '
                f"in the precondition ({resource_version}) does not match the ResourceVersion in record ({present}). "
                "The object might have been modified"
            )

        return (await self.changed(kind, namespace, name, decision, resource_version, dry_run=dry_run))[0]

    async def bind(self, namespace: str, name: str, uid: str, node: str, *, dry_run: bool = False) -> CacheEntry:
        """Give a pod its node. Raises Conflict where it has one, is another or is being deleted."""
        decide = decisions.Bound(uid, node, self.now)
        return (await self.changed(POD, namespace, name, decide, "", dry_run=dry_run))[0]

    async def change(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        decide: Callable[[Any], Any],
        *,
        given_revision: str = "",
        writer: Writer | None = None,
        dry_run: bool = False,
    ) -> CacheEntry:
        """What ``decide`` makes of the stored object, tried again where somebody else was faster.

        For writers of this process that know what they may change: nothing is checked.
        """
        return (await self.changed(kind, namespace, name, decide, given_revision, writer=writer, dry_run=dry_run))[0]

    async def changed(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        decide: Callable[[Any], Any],
        given_revision: str,
        *,
        writer: Writer | None = None,
        dry_run: bool = False,
    ) -> tuple[CacheEntry, bool]:
        """Read, decide, compare-and-swap. Without a revision given it is tried again on what is there now.

        Says as well whether there was anything to change. writer: whose fields are those that change; None where the
        decision has recorded that, or where nobody owns them.
        """
        key = key_of(kind, namespace, name)
        for _ in range(ATTEMPTS):
            entry = await self.newest(kind, namespace, name, given_revision)
            if given_revision and not names_write(given_revision, entry.revision):
                raise errors.conflict(kind.resource, name, kind.group)
            old = without_revision(entry.value())
            try:
                new = without_revision(decide(old))
            except errors.KnarrError:
                if await self.writes.is_newest(entry):
                    raise
                continue
            if writer is not None:
                new = managed_fields.updated(old, new, writer, self.now())
            gone = deletion.may_go(new)
            if new == old and not gone:
                if await self.writes.is_newest(entry):
                    return entry, False
                continue
            if dry_run:
                return entries.make(kind, key, new, entry.revision), True
            try:
                if gone:
                    return await self.writes.remove(kind, key, new, entry.revision), True
                async with self._policies.turn(kind, namespace, creation=False):
                    charges = await self._charges(kind, old, new)
                    return await self.writes.put(kind, key, new, entry.revision, charges), True
            except KeyConflict as error:
                if given_revision and error.key == key:
                    raise errors.conflict(kind.resource, name, kind.group) from None
                await self.writes.seen(error)
        raise errors.conflict(kind.resource, name, kind.group)

    def is_charged(self, kind: Kind, namespace: str, *, creation: bool) -> bool:
        """Whether a write may have to wait its turn: see ``policies``."""
        return self._policies.may_charge(kind, namespace, creation=creation)

    def is_missing(self, kind: Kind, namespace: str, name: str) -> bool:
        """Whether there is no such object. Raises Invalid for a missing name."""
        if not name:
            raise errors.Invalid("metadata.name: Required value: apply needs a name")
        return self.cache.get(kind, key_of(kind, namespace, name)) is None
