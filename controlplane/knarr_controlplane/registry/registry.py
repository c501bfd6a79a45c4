"""The verbs. Every write is a compare-and-swap on the revision it was decided on; where the caller gave no revision
it is decided again on what is there now."""

from __future__ import annotations

import base64
import builtins
import datetime
import random
import secrets
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from knarr_api import errors, json, kinds
from knarr_api.fields import FieldSelector
from knarr_api.kinds import Kind
from knarr_api.labels import Selector
from knarr_api.types.core_v1 import Namespace, Pod
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_api.types.scheduling_v1 import PriorityClass
from knarr_controlplane.cache import entries
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.cache.watch_cache import Change, ChangeType, Filter, WatchCache
from knarr_controlplane.registry import merging, priorities, rules
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store import revision
from knarr_controlplane.store.protocol import Delete, KeyConflict, Put, Store

Decode = Callable[[Any, type[Any]], Any]
ATTEMPTS = 20
MAX_LIST_LIMIT = 10_000
MAX_TOKEN = 2048
SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True, slots=True)
class Page:
    """Entries of one revision. continue_ is empty on the last page."""

    entries: tuple[CacheEntry, ...]
    revision: int
    continue_: str = ""
    remaining: int = 0


class Registry:
    """All objects. now: the wall clock; randomness: for generated names."""

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
        self._store = store
        self.cache = cache
        self._storage = storage
        self._admission = admission
        self._now = now
        self._random = randomness or secrets.SystemRandom()
        self._classes: tuple[tuple[int, ...], dict[str, PriorityClass]] = ((), {})

    async def make_system_objects(self) -> None:
        """The namespaces and priority classes that are always there."""
        namespaces = [Namespace(metadata=ObjectMeta(name=name)) for name in SYSTEM_NAMESPACES]
        for obj in (*namespaces, *priorities.SYSTEM.values()):
            try:
                await self.create(obj)
            except errors.AlreadyExists:
                continue

    def get(self, kind: Kind, namespace: str, name: str) -> CacheEntry:
        """Raises NotFound, Invalid when the namespace is missing."""
        entry = self.cache.get(kind, _key(kind, namespace, name))
        if entry is None:
            raise errors.not_found(kind.resource, name, kind.group)
        return entry

    def list(self, kind: Kind, filter_: Filter, *, limit: int = 0, continue_: str = "") -> Page:
        """Raises Expired when the objects have changed too much since the page before, Invalid for a bad limit."""
        if limit < 0:
            raise errors.Invalid(f"limit: Invalid value: {limit}: must be greater than or equal to 0")
        at, after = _parse_continue(continue_) if continue_ else (self.cache.revision, "")
        entries_ = self._at(kind, filter_, at)
        if after:
            entries_ = [entry for entry in entries_ if entry.key > after]
        limit = min(limit, MAX_LIST_LIMIT)
        if not limit or len(entries_) <= limit:
            return Page(tuple(entries_), at)
        taken = entries_[:limit]
        token = base64.urlsafe_b64encode(f"{at} {taken[-1].key}".encode()).decode()
        return Page(tuple(taken), at, token, len(entries_) - limit)

    def _at(self, kind: Kind, filter_: Filter, at: int) -> builtins.list[CacheEntry]:
        """The matching entries at a revision: today's with what was logged since taken back."""
        cache = self.cache.of(kind)
        if at < cache.forgotten:
            raise errors.Expired(
                "The provided continue parameter is too old to display a consistent list result: list again"
            )
        if not cache.log or cache.log[-1].revision <= at:
            return list(self.cache.select(kind, filter_))
        present = dict(cache.entries)
        for logged in reversed(cache.log):
            if logged.revision <= at:
                break
            if logged.new is not None:
                present.pop(logged.new.key, None)
            if logged.old is not None:
                present[logged.old.key] = logged.old
        return [present[key] for key in sorted(present) if filter_.admits(present[key])]

    async def catch_up(self) -> None:
        """Before a read that must see every write that was acknowledged, also by other processes."""
        await self.cache.catch_up()

    async def watch(self, kind: Kind, filter_: Filter, resource_version: str) -> AsyncIterator[tuple[Change, ...]]:
        """As ``Objects.Watch``. Raises Expired, Invalid for what is no revision."""
        if resource_version in ("", "0"):
            after = self.cache.revision
            present = tuple(
                Change(ChangeType.ADDED, entry, entry.revision) for entry in self.cache.select(kind, filter_)
            )
            yield (*present, Change(ChangeType.BOOKMARK, None, after))
        elif resource_version.isdecimal() and len(resource_version) < 20:
            after = int(resource_version)
        else:
            raise errors.Invalid(f'resourceVersion: Invalid value: "{resource_version}": must be a revision')
        async for batch in self.cache.follow(kind, filter_, after):
            yield batch

    async def create(self, obj: Any, *, dry_run: bool = False) -> CacheEntry:
        """Raises AlreadyExists, Invalid, Forbidden (the namespace is being deleted), NotFound (it is missing)."""
        kind = kinds.of(obj)
        metadata: ObjectMeta = obj.metadata
        self.cache.of(kind)
        if metadata.resource_version:
            raise errors.Invalid("resourceVersion should not be set on objects to be created")
        self._check_namespace(kind, metadata)
        for _ in range(ATTEMPTS):
            named = obj
            if not metadata.name and metadata.generate_name:
                name = rules.generated_name(metadata.generate_name, self._random.getrandbits(64))
                named = msgspec.structs.replace(obj, metadata=msgspec.structs.replace(metadata, name=name))
            if isinstance(named, Pod):
                named = priorities.prioritised(named, self._priority_classes())
            elif isinstance(named, PriorityClass):
                priorities.check(named)
            new = rules.created(named, now=self._now(), uid=str(uuid.uuid4()), admission=self._admission)
            key = _key(kind, new.metadata.namespace, new.metadata.name)
            if dry_run:
                if self.cache.get(kind, key) is not None:
                    raise errors.already_exists(kind.resource, new.metadata.name, kind.group)
                return entries.make(kind, key, new, 0)
            try:
                return await self._put(kind, key, new, 0)
            except KeyConflict:
                if metadata.name:
                    raise errors.already_exists(kind.resource, metadata.name, kind.group) from None
        raise errors.AlreadyExists(f"no free name with the prefix {metadata.generate_name} was found")

    def _priority_classes(self) -> dict[str, PriorityClass]:
        """By name; read again only when one has changed."""
        stored = self.cache.of(kinds.of(PriorityClass)).entries
        seen = tuple(entry.revision for entry in stored.values())
        if seen != self._classes[0]:
            self._classes = (seen, {entry.name: entry.value() for entry in stored.values()})
        return self._classes[1]

    async def update(self, obj: Any, *, subresource: str = "", dry_run: bool = False) -> CacheEntry:
        """Replace, or with subresource ``status`` the status alone. Raises Conflict, NotFound, Invalid."""
        kind = kinds.of(obj)
        given = obj.metadata.resource_version
        prepare = _preparation(subresource)

        def decide(old: Any) -> Any:
            if obj.metadata.uid and obj.metadata.uid != old.metadata.uid:
                raise errors.Conflict(
                    f'Operation cannot be fulfilled on {kind.qualified} "{old.metadata.name}": Precondition failed: '
                    f"UID in precondition: {obj.metadata.uid}, UID in object meta: {old.metadata.uid}"
                )
            return prepare(old, obj, self._admission)

        name = obj.metadata.name
        return (await self._change(kind, obj.metadata.namespace, name, decide, given, dry_run=dry_run))[0]

    async def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Any,
        *,
        subresource: str = "",
        dry_run: bool = False,
        decode: Decode = json.decode_strict,
    ) -> CacheEntry:
        """JSON merge patch (RFC 7396). Raises Invalid for a result that is none, Conflict for a given old revision.

        decode: how strictly the result is read.
        """
        if not isinstance(patch, dict):
            raise errors.Invalid("a merge patch must be a JSON object")
        metadata = patch.get("metadata")
        given = str(metadata.get("resourceVersion") or "") if isinstance(metadata, dict) else ""
        prepare = _preparation(subresource)

        def decide(old: Any) -> Any:
            patched = merging.merge_patch(json.to_builtins(old), patch)
            _check_type(kind, patched)
            new = decode(patched, kind.type)
            _check_names(kind, old, new)
            return prepare(old, new, self._admission)

        return (await self._change(kind, namespace, name, decide, given, dry_run=dry_run))[0]

    async def apply(
        self,
        kind: Kind,
        namespace: str,
        document: dict[str, Any],
        *,
        dry_run: bool = False,
        decode: Decode = json.decode_strict,
    ) -> tuple[CacheEntry, str]:
        """Create, or merge what changed since this was applied last.

        Returns the outcome as well: created, configured, unchanged. decode: how strictly the result is read.
        """
        wanted = merging.to_apply(document, (namespace or "default") if kind.namespaced else "")
        metadata = wanted["metadata"]
        name, namespace = str(metadata.get("name") or ""), str(metadata.get("namespace") or "")
        if not name:
            raise errors.Invalid("metadata.name: Required value: apply needs a name")
        given = str(metadata.pop("resourceVersion", "") or "")
        key = _key(kind, namespace, name)
        if self.cache.get(kind, key) is None:
            try:
                return await self.create(decode(wanted, kind.type), dry_run=dry_run), "created"
            except errors.AlreadyExists:
                await self.catch_up()

        def decide(old: Any) -> Any:
            return rules.updated(
                old, decode(merging.applied(json.to_builtins(old), wanted), kind.type), self._admission
            )

        entry, changed = await self._change(kind, namespace, name, decide, given, dry_run=dry_run)
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
        if kind.kind == "Namespace" and name in SYSTEM_NAMESPACES:
            raise errors.Forbidden(f'namespaces "{name}" is forbidden: this namespace may not be deleted')
        if grace_s is not None and grace_s < 0:
            raise errors.Invalid(f"gracePeriodSeconds: Invalid value: {grace_s}: must be greater than or equal to 0")
        if grace_s is not None:
            grace_s = min(grace_s, rules.MAX_GRACE_S)

        def decide(old: Any) -> Any:
            if uid and uid != old.metadata.uid:
                raise errors.Conflict(
                    f'Operation cannot be fulfilled on {kind.qualified} "{name}": Precondition failed: '
                    f"UID in precondition: {uid}, UID in object meta: {old.metadata.uid}"
                )
            return rules.deleted(old, now=self._now(), grace_s=grace_s, propagation=propagation)

        return (await self._change(kind, namespace, name, decide, resource_version, dry_run=dry_run))[0]

    async def bind(self, namespace: str, name: str, uid: str, node: str) -> CacheEntry:
        """Give a pod its node. Raises Conflict where it has one, is another or is being deleted."""

        def decide(pod: Pod) -> Pod:
            if uid and uid != pod.metadata.uid:
                raise errors.Conflict(f'pods "{name}": uid is {pod.metadata.uid}, not {uid}')
            if pod.spec.node_name:
                raise errors.Conflict(f'pods "{name}" is already assigned to node "{pod.spec.node_name}"')
            if pod.metadata.deletion_timestamp is not None:
                raise errors.Conflict(f'pods "{name}" is being deleted')
            return rules.bound(pod, node, self._now())

        return (await self._change(kinds.of(Pod), namespace, name, decide, ""))[0]

    async def change(self, kind: Kind, namespace: str, name: str, decide: Callable[[Any], Any]) -> CacheEntry:
        """What ``decide`` makes of the stored object, tried again where somebody else was faster.

        For writers of this process that know what they may change: nothing is checked.
        """
        return (await self._change(kind, namespace, name, decide, ""))[0]

    # Inside

    async def _change(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        decide: Callable[[Any], Any],
        given_revision: str,
        *,
        dry_run: bool = False,
    ) -> tuple[CacheEntry, bool]:
        """Read, decide, compare-and-swap. Without a revision given it is tried again on what is there now.

        Says as well whether there was anything to change.
        """
        key = _key(kind, namespace, name)
        for _ in range(ATTEMPTS):
            entry = self.get(kind, namespace, name)
            if given_revision and not _names(given_revision, entry.revision):
                raise errors.conflict(kind.resource, name, kind.group)
            old = _without_revision(entry.value())
            new = _without_revision(decide(old))
            gone = rules.may_go(new)
            if new == old and not gone:
                return entry, False
            if dry_run:
                return entries.make(kind, key, new, entry.revision), True
            try:
                if gone:
                    (at,) = await self._store.commit([Delete(key, entry.revision)])
                    await self.cache.wait_for(at)
                    return entries.make(kind, key, new, at), True
                return await self._put(kind, key, new, entry.revision), True
            except KeyConflict as error:
                if given_revision:
                    raise errors.conflict(kind.resource, name, kind.group) from None
                if error.actual:
                    await self.cache.wait_for(error.actual)
                else:
                    await self.cache.catch_up()
        raise errors.conflict(kind.resource, name, kind.group)

    async def _put(self, kind: Kind, key: str, obj: Any, expected: int) -> CacheEntry:
        value = self._storage.encode(kind, key, obj)
        with self.cache.expect(key, value, obj):
            (at,) = await self._store.commit([Put(key, value, expected)])
            await self.cache.wait_for(at)
        entry = self.cache.get(kind, key)
        if entry is not None and revision.same_write(entry.revision, at):
            return entry
        return entries.make(kind, key, obj, at)

    def _check_namespace(self, kind: Kind, metadata: ObjectMeta) -> None:
        if not kind.namespaced or not metadata.namespace:
            return
        entry = self.cache.get(NAMESPACE, NAMESPACE.key("", metadata.namespace))
        if entry is None:
            raise errors.not_found("namespaces", metadata.namespace)
        if entry.fields["status.phase"] == "Terminating":
            raise errors.Forbidden(
                f'{kind.qualified} "{metadata.name or metadata.generate_name}" is forbidden: unable to create new '
                f"content in namespace {metadata.namespace} because it is being terminated"
            )


NAMESPACE = kinds.of(Namespace)
Prepare = Callable[[Any, Any, Admission], Any]


def _preparation(subresource: str) -> Prepare:
    if subresource not in PREPARATIONS:
        raise errors.Invalid(f'subresource "{subresource}" is not known: use "" or "status"')
    return PREPARATIONS[subresource]


PREPARATIONS: dict[str, Prepare] = {"": rules.updated, "status": rules.status_updated}


def filter_of(kind: Kind, namespace: str, label_selector: str, field_selector: str) -> Filter:
    """Raises Invalid for selectors that are none or name a field that can't be selected by."""
    return Filter(
        namespace=namespace if kind.namespaced else "",
        labels=Selector.parse(label_selector) if label_selector else None,
        fields=FieldSelector.parse(field_selector, entries.supported_fields(kind)) if field_selector else None,
    )


def _key(kind: Kind, namespace: str, name: str) -> str:
    if kind.namespaced and not namespace:
        raise errors.Invalid(f"metadata.namespace: Required value: {kind.qualified} are in namespaces")
    if not name or "/" in name or "/" in namespace:
        raise errors.Invalid(f'metadata.name: Invalid value: "{name}": a name must be given, without "/"')
    return kind.key(namespace, name)


def _names(given: str, packed: int) -> bool:
    """Whether a resourceVersion given by a client names that write."""
    return given.isdecimal() and len(given) < 20 and revision.same_write(int(given), packed)


def _without_revision(obj: Any) -> Any:
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, resource_version=""))


def _check_names(kind: Kind, old: Any, new: Any) -> None:
    if (new.metadata.name, new.metadata.namespace) != (old.metadata.name, old.metadata.namespace):
        detail = errors.FieldError("metadata.name", "field is immutable", "Invalid value", new.metadata.name)
        raise errors.invalid(kind.kind, old.metadata.name, (detail,), kind.group)


def _check_type(kind: Kind, document: dict[str, Any]) -> None:
    for field, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        if document.get(field, wanted) != wanted:
            raise errors.Invalid(f'{field}: Invalid value: "{document[field]}": the object is of {wanted}')


def _parse_continue(token: str) -> tuple[int, str]:
    try:
        number, _, key = base64.urlsafe_b64decode(token[:MAX_TOKEN].encode()).decode().partition(" ")
        return int(number[:20]), key
    except ValueError as error:
        raise errors.Invalid("continue: Invalid value: not one of this server's") from error
