"""The verbs. Every write is a compare-and-swap on the revision it was decided on; where the caller gave no revision
it is decided again on what is there now."""

from __future__ import annotations

import copy
import datetime
import hashlib
import random
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from knarr_api import errors, json, kinds, shapes
from knarr_api.fields import FieldSelector
from knarr_api.kinds import Kind
from knarr_api.labels import Selector
from knarr_api.types.core_v1 import Namespace, Pod, ServiceAccount
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_api.types.scheduling_v1 import PriorityClass
from knarr_client.client import PatchType
from knarr_controlplane.cache import entries
from knarr_controlplane.cache.changes import Change, ChangeType, Filter, in_messages
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.cache.watch_cache import Expected, WatchCache
from knarr_controlplane.registry import (
    accounts,
    conversion,
    managed_fields,
    merging,
    pages,
    patching,
    priorities,
    rules,
)
from knarr_controlplane.registry.addressing import check_uid, key_of, names_write, without_revision
from knarr_controlplane.registry.managed_fields import Writer
from knarr_controlplane.registry.pages import Page, Wanted
from knarr_controlplane.registry.patching import Config, Decode
from knarr_controlplane.registry.policies import Policies
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.siblings import Sibling, Siblings, template_of
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.registry.usages import Usages
from knarr_controlplane.store import revision
from knarr_controlplane.store.fenced import FencedStore
from knarr_controlplane.store.protocol import Check, Delete, KeyConflict, Put, Store
from knarr_telemetry import tracing

ATTEMPTS = 20
SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
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
        self._store = store
        self.cache = cache
        self._storage = storage
        self.admission = admission
        self.now = now
        self._random = randomness or secrets.SystemRandom()
        self.usages = Usages(cache, now)
        self._lists = pages.Lists()
        self._policies = Policies(cache, storage, now)
        self._classes: tuple[tuple[int, ...], dict[str, PriorityClass]] = ((), {})
        self._siblings = Siblings()

    def fenced(self, key: str, expected: int, lost: Callable[[], None]) -> Registry:
        """The same objects, written only while that key has that revision. lost: called when it has another."""
        other = copy.copy(self)
        other._store = FencedStore(self._store, Check(key, expected), lost)
        return other

    async def make_system_objects(self) -> None:
        """The namespaces and priority classes that are always there."""
        namespaces = [Namespace(metadata=ObjectMeta(name=name)) for name in SYSTEM_NAMESPACES]
        accounts_ = [_default_account(name) for name in SYSTEM_NAMESPACES]
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
        self, kind: Kind, filter_: Filter, resource_version: str, *, initial: bool | None = None
    ) -> AsyncIterator[tuple[Change, ...]]:
        """As ``Objects.Watch``. initial: whether present objects come first; None: where no revision is given.

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
        async for batch in self.cache.follow(kind, filter_, after or self.cache.revision):
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
                new = self.newborn(obj, writer, config)
            except (errors.NotFound, errors.Forbidden):  # by its namespace, account, limits, which may be as new
                await self.catch_up()
                new = self.newborn(obj, writer, config)
            key = key_of(kind, new.metadata.namespace, new.metadata.name)
            if dry_run:
                if self.cache.get(kind, key) is not None:
                    raise errors.already_exists(kind.resource, new.metadata.name, kind.group)
                await self._charges(kind, None, new)
                return entries.make(kind, key, new, 0)
            try:
                async with self._policies.turn(kind, new.metadata.namespace, creation=True):
                    others: list[Put | Check] = [*await self._charges(kind, None, new), *self._belongings(new)]
                    others += self.place(kind, new.metadata.namespace)
                    return await self._put(kind, key, new, 0, others)
            except KeyConflict as error:
                if error.key != key:  # a quota that other writers have used meanwhile, its namespace, or an account
                    await self._seen(error)
                elif metadata.name:
                    raise errors.already_exists(kind.resource, metadata.name, kind.group) from None
        if metadata.name:
            raise errors.Conflict(f"the namespace's quotas change faster than {kind.qualified} can be created")
        raise errors.AlreadyExists(f"no free name with the prefix {metadata.generate_name} was found")

    def check_creatable(self, kind: Kind, metadata: ObjectMeta) -> None:
        """Raises what ``create`` raises before it looks at the object."""
        self.cache.of(kind)
        if metadata.resource_version:
            raise errors.Invalid("resourceVersion should not be set on objects to be created")
        self._check_namespace(kind, metadata)

    def newborn(self, obj: Any, writer: Writer, config: Config | None = None) -> Any:
        """The object as it is to be stored: named, admitted, with its defaults, checked."""
        metadata: ObjectMeta = obj.metadata
        self.check_creatable(kinds.of(obj), metadata)
        if not metadata.name and metadata.generate_name:
            name = rules.generated_name(metadata.generate_name, self._random.getrandbits(64))
            obj = msgspec.structs.replace(obj, metadata=msgspec.structs.replace(metadata, name=name))
        if isinstance(obj, PriorityClass):
            priorities.check(obj)
        if config is not None:
            return _traced(config.created(self._admitted(obj), writer, self.now()))
        if not isinstance(obj, Pod):
            return _traced(managed_fields.created(self._admitted(obj), writer, self.now()))
        document = template_of(obj)
        template = (document, writer, self._circumstances(obj))
        sibling = self._siblings.of(template)
        if sibling is not None:
            return _traced(sibling.born(obj.metadata.name, self.uid(), self.now()))
        new = managed_fields.created(self._admitted(obj), writer, self.now())
        if document is not None:
            self._siblings.remember(template, Sibling(obj, new))
        return _traced(new)

    def _admitted(self, obj: Any) -> Any:
        if isinstance(obj, Pod):
            obj = self._accounted(priorities.prioritised(obj, self._priority_classes()))
        obj = self._policies.limited(obj)
        return rules.created(obj, now=self.now(), uid=self.uid(), admission=self.admission)

    def _circumstances(self, pod: Pod) -> tuple[Any, ...]:
        """All that ``_admitted`` looks at besides the pod."""
        self._priority_classes()
        entry = self.cache.get(ACCOUNT, ACCOUNT.key(pod.metadata.namespace, accounts.named(pod)))
        account = (entry.uid, entry.revision) if entry is not None else ()
        return self._classes[0], account, self._policies.ranges(pod.metadata.namespace), self.admission

    def place(self, kind: Kind, namespace: str) -> tuple[Check, ...]:
        """What a new object is stored upon: its namespace is there and is not being deleted, as it was found."""
        if not kind.namespaced:
            return ()
        key = NAMESPACE.key("", namespace)
        entry = self.cache.get(NAMESPACE, key)
        return (Check(key, entry.revision if entry is not None else 0),)

    async def _charges(self, kind: Kind, old: Any | None, new: Any) -> tuple[Put, ...]:
        """Raises Forbidden where the quotas do not admit it, as they are stored now."""
        try:
            return self._policies.charges(kind, old, new)
        except errors.Forbidden:
            await self.catch_up()
            return self._policies.charges(kind, old, new)

    def _belongings(self, new: Any) -> tuple[Put, ...]:
        """What is stored with a new object: a namespace has its account from the first moment."""
        if not isinstance(new, Namespace):
            return ()
        key = ACCOUNT.key(new.metadata.name, accounts.DEFAULT)
        if self.cache.get(ACCOUNT, key) is not None:
            return ()
        account = _default_account(new.metadata.name)
        account = rules.created(account, now=self.now(), uid=self.uid(), admission=self.admission)
        return (Put(key, self._storage.encode(ACCOUNT, key, account), 0),)

    def _accounted(self, pod: Pod) -> Pod:
        entry = self.cache.get(ACCOUNT, ACCOUNT.key(pod.metadata.namespace, accounts.named(pod)))
        # The same for all pods of an account, so that they can share in memory what is the same of them.
        digest = hashlib.sha256(entry.uid.encode() if entry is not None else b"").digest()
        suffix = rules.generated_name("", int.from_bytes(digest[:8], "big"))
        return accounts.accounted(pod, entry.value() if entry is not None else None, suffix)

    def uid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _priority_classes(self) -> dict[str, PriorityClass]:
        """By name; read again only when one has changed."""
        stored = self.cache.of(kinds.of(PriorityClass)).entries
        seen = tuple(entry.revision for entry in stored.values())
        if seen != self._classes[0]:
            self._classes = (seen, {entry.name: entry.value() for entry in stored.values()})
        return self._classes[1]

    async def update(
        self, obj: Any, *, subresource: str = "", writer: Writer = QUIET, dry_run: bool = False
    ) -> CacheEntry:
        """Replace, or with subresource ``status`` the status alone. Raises Conflict, NotFound, Invalid."""
        kind = kinds.of(obj)
        given = obj.metadata.resource_version
        prepare = preparation(subresource)

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
        prepare = preparation(subresource)

        def decide(old: Any) -> Any:
            shown = conversion.shown(version or kind, old)
            new = patching.patched(shown, version or kind, patch, type_, decode)
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
        if kind.kind == "Namespace" and name in SYSTEM_NAMESPACES:
            raise errors.Forbidden(f'namespaces "{name}" is forbidden: this namespace may not be deleted')
        if grace_s is not None and grace_s < 0:
            raise errors.Invalid(f"gracePeriodSeconds: Invalid value: {grace_s}: must be greater than or equal to 0")
        if grace_s is not None:
            grace_s = min(grace_s, rules.MAX_GRACE_S)
        if propagation not in rules.PROPAGATIONS:
            raise errors.Invalid(
                f'propagationPolicy: Unsupported value: "{propagation}": supported values: "Background", "Foreground", '
                '"Orphan"'
            )
        present = (await self.newest(kind, namespace, name, resource_version)).revision
        if resource_version and not names_write(resource_version, present):
            raise errors.Conflict(
                f'Operation cannot be fulfilled on {kind.qualified} "{name}": Precondition failed: the ResourceVersion '
                f"in the precondition ({resource_version}) does not match the ResourceVersion in record ({present}). "
                "The object might have been modified"
            )

        def decide(old: Any) -> Any:
            check_uid(kind, old, uid)
            return rules.deleted(old, now=self.now(), grace_s=grace_s, propagation=propagation)

        return (await self.changed(kind, namespace, name, decide, resource_version, dry_run=dry_run))[0]

    async def bind(self, namespace: str, name: str, uid: str, node: str, *, dry_run: bool = False) -> CacheEntry:
        """Give a pod its node. Raises Conflict where it has one, is another or is being deleted."""

        decide = binding(uid, node, self.now)
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

    # Inside

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
                if await self._is_newest(entry):
                    raise
                continue
            if writer is not None:
                new = managed_fields.updated(old, new, writer, self.now())
            gone = rules.may_go(new)
            if new == old and not gone:
                if await self._is_newest(entry):
                    return entry, False
                continue
            if dry_run:
                return entries.make(kind, key, new, entry.revision), True
            try:
                if gone:
                    (at,) = await self._store.commit([Delete(key, entry.revision)])
                    await self.cache.wait_for(at)
                    return entries.make(kind, key, new, at), True
                async with self._policies.turn(kind, namespace, creation=False):
                    charges = await self._charges(kind, old, new)
                    return await self._put(kind, key, new, entry.revision, charges), True
            except KeyConflict as error:
                if given_revision and error.key == key:
                    raise errors.conflict(kind.resource, name, kind.group) from None
                await self._seen(error)
        raise errors.conflict(kind.resource, name, kind.group)

    async def _is_newest(self, entry: CacheEntry) -> bool:
        """Whether a write may be refused, or found to change nothing, for what the cache had: no store says so then."""
        await self.catch_up()
        return not entry.replaced

    async def _seen(self, error: KeyConflict) -> None:
        """Until the cache has what this write was too late for."""
        if error.actual:
            await self.cache.wait_for(error.actual)
        else:
            await self.cache.catch_up()

    async def _put(
        self, kind: Kind, key: str, obj: Any, expected: int, others: Sequence[Put | Check] = ()
    ) -> CacheEntry:
        """others: what is stored, or must be so, with it, or nothing of all."""
        value, coming = self._encoded(kind, key, obj, expected)
        with self.cache.expect(coming):
            revisions = await self._store.commit([Put(key, value, expected), *others])
            await self.cache.wait_for(max(revisions))
        return self._stored(kind, key, obj, revisions[0])

    async def put_all(
        self, kind: Kind, puts: Sequence[tuple[str, Any, int]]
    ) -> Sequence[CacheEntry | errors.KnarrError]:
        """Keys, objects, and the revisions they must have now: each by itself, with one wait for all."""
        coming: dict[str, Expected] = {}
        commits: list[tuple[Put | Check, ...]] = []
        for key, obj, expected in puts:
            value, own = self._encoded(kind, key, obj, expected)
            coming.update(own)
            place = () if expected else self.place(kind, obj.metadata.namespace)
            commits.append((Put(key, value, expected), *place))
        with self.cache.expect(coming):
            outcomes = await self._store.commit_each(commits)
            await self.cache.wait_for(max((each[0] for each in outcomes if isinstance(each, tuple)), default=0))
        return [
            self._stored(kind, key, obj, outcome[0]) if isinstance(outcome, tuple) else outcome
            for (key, obj, _), outcome in zip(puts, outcomes, strict=True)
        ]

    def _encoded(self, kind: Kind, key: str, obj: Any, expected: int) -> tuple[bytes, dict[str, Expected]]:
        """The value to store, and what the cache may expect: not where a newer version's fields are kept with it."""
        replaced = self.cache.get(kind, key) if expected else None
        unknown = replaced.unknown if replaced is not None else None
        value = self._storage.encode(kind, key, obj, unknown)
        return value, {key: Expected(value, obj, not self._storage.seals(kind))} if unknown is None else {}

    def _stored(self, kind: Kind, key: str, obj: Any, at: int) -> CacheEntry:
        """The cache's entry of a write of our own, unless it has gone on since."""
        entry = self.cache.get(kind, key)
        if entry is not None and revision.same_write(entry.revision, at):
            return entry
        return entries.make(kind, key, obj, at)

    def is_charged(self, kind: Kind, namespace: str, *, creation: bool) -> bool:
        """Whether a write may have to wait its turn: see ``policies``."""
        return self._policies.may_charge(kind, namespace, creation=creation)

    def is_missing(self, kind: Kind, namespace: str, name: str) -> bool:
        """Whether there is no such object. Raises Invalid for a missing name."""
        if not name:
            raise errors.Invalid("metadata.name: Required value: apply needs a name")
        return self.cache.get(kind, key_of(kind, namespace, name)) is None

    def _check_namespace(self, kind: Kind, metadata: ObjectMeta) -> None:
        if not kind.namespaced or not metadata.namespace:
            return
        entry = self.cache.get(NAMESPACE, NAMESPACE.key("", metadata.namespace))
        if entry is None:
            raise errors.not_found("namespaces", metadata.namespace)
        if entry.read("status.phase") == "Terminating":
            raise errors.Forbidden(
                f'{kind.qualified} "{metadata.name or metadata.generate_name}" is forbidden: unable to create new '
                f"content in namespace {metadata.namespace} because it is being terminated"
            )


def binding(uid: str, node: str, now: Callable[[], datetime.datetime]) -> Callable[[Pod], Pod]:
    """What ``bind`` makes of a pod; raises Conflict as it does."""

    def decide(pod: Pod) -> Pod:
        name = pod.metadata.name
        if uid and uid != pod.metadata.uid:
            raise errors.Conflict(f'pods "{name}": uid is {pod.metadata.uid}, not {uid}')
        if pod.spec.node_name:
            raise errors.Conflict(f'pods "{name}" is already assigned to node "{pod.spec.node_name}"')
        if pod.metadata.deletion_timestamp is not None:
            raise errors.Conflict(f'pods "{name}" is being deleted')
        if pod.spec.scheduling_gates:
            raise errors.Conflict(f'pods "{name}" has non-empty .spec.schedulingGates')
        return rules.bound(pod, node, now())

    return decide


ACCOUNT, NAMESPACE, POD = kinds.of(ServiceAccount), kinds.of(Namespace), kinds.of(Pod)
Prepare = Callable[[Any, Any, Admission], Any]


def _default_account(namespace: str) -> ServiceAccount:
    return ServiceAccount(metadata=ObjectMeta(name=accounts.DEFAULT, namespace=namespace))


def preparation(subresource: str) -> Prepare:
    if subresource not in PREPARATIONS:
        raise errors.Invalid(f'subresource "{subresource}" is not known: use "" or "status"')
    return PREPARATIONS[subresource]


PREPARATIONS: dict[str, Prepare] = {"": rules.updated, "status": rules.status_updated, "scale": rules.updated}


def filter_of(kind: Kind, namespace: str, label_selector: str, field_selector: str) -> Filter:
    """Raises Invalid for selectors that are none or name a field that can't be selected by."""
    return Filter(
        namespace=namespace if kind.namespaced else "",
        labels=Selector.parse(label_selector) if label_selector else None,
        fields=FieldSelector.parse(field_selector, entries.supported_fields(kind)) if field_selector else None,
    )


def _traced(obj: Any) -> Any:
    """A pod with the trace of what makes it, for scheduler and agent to go on with; nobody's field."""
    if not isinstance(obj, Pod) or not (traceparent := tracing.traceparent()):
        return obj
    annotations = {**obj.metadata.annotations, tracing.ANNOTATION: traceparent}
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, annotations=annotations))
