"""The API in memory: a small one that keeps the real one's promises, for tests and simulations.

``MemoryApi`` is the server: objects, revisions, history. Any number of ``MemoryClient`` talk to it; each can be
cut off alone (``connected = False``). Nothing here waits, so a call takes no time.

Kept: resourceVersion, uid, generation, generateName, creationTimestamp; conflicts; the status apart from the rest;
writes that change nothing leave no trace; watches that resume, know selectors, and expire after ``compact``; deletion
with finalizers, grace periods of pods that have a node, propagation policies, namespaces that end.

Left out: defaulting and validation (``admit`` may do it), authorisation, the three-way merge of ``apply``.
"""

from __future__ import annotations

import asyncio
import bisect
import datetime
import functools
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from knarr_api import errors, json, kinds
from knarr_api.errors import KnarrError
from knarr_api.fields import FieldSelector
from knarr_api.kinds import Kind
from knarr_api.labels import Selector
from knarr_api.types.core_v1 import Namespace, NamespaceSpec, NamespaceStatus, Node, Pod
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import (
    Applied,
    Binding,
    Event,
    EventType,
    Key,
    Outcome,
    Page,
    Propagation,
    T,
    meta_of,
    outcomes,
)
from knarr_client.clock import Clock, SystemClock

FOREGROUND_FINALIZER = "foregroundDeletion"
ORPHAN_FINALIZER = "orphan"
NAMESPACE_FINALIZER = "kubernetes"
POD_GRACE_DEFAULT_S = 30
NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"

Admit = Callable[[msgspec.Struct], msgspec.Struct]
_replace = msgspec.structs.replace


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """One line of a kind's history."""

    revision: int
    old: msgspec.Struct | None
    new: msgspec.Struct | None


@dataclass(slots=True)
class _Table:
    """All that is known of one kind."""

    objects: dict[Key, msgspec.Struct] = field(default_factory=dict)
    history: list[_Record] = field(default_factory=list)
    waiters: list[asyncio.Future[None]] = field(default_factory=list)


class MemoryApi:
    """The server's state. Single-threaded; every change is one revision."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        admit: Admit | None = None,
        namespaces: tuple[str, ...] = ("default", "kube-system", "kube-node-lease"),
    ) -> None:
        self.clock = clock or SystemClock()
        self.revision = 0
        """The newest; also how many writes there have been."""
        self._admit = admit
        self._compacted = 0
        self._names = 0
        self._tables: dict[Kind, _Table] = {}
        for name in namespaces:
            self.create(Namespace(metadata=ObjectMeta(name=name)))

    def table(self, kind: Kind) -> _Table:
        return self._tables.setdefault(kind, _Table())

    @property
    def compacted(self) -> int:
        return self._compacted

    def compact(self) -> None:
        """Forget all history: watches from older revisions expire."""
        self._compacted = self.revision
        for table in self._tables.values():
            table.history.clear()
            _wake(table)

    def get(self, kind: Kind, key: Key) -> msgspec.Struct:
        obj = self.table(kind).objects.get(key)
        if obj is None:
            raise errors.not_found(kind.resource, key.name, kind.group)
        return obj

    def create(self, obj: T) -> T:
        kind = kinds.of(obj)
        metadata = meta_of(obj)
        namespace = (metadata.namespace or "default") if kind.namespaced else ""
        if kind.namespaced:
            self._check_namespace(kind, namespace, metadata)
        name = metadata.name or self._generate_name(kind, namespace, metadata.generate_name)
        key = Key(namespace, name)
        if key in self.table(kind).objects:
            raise errors.already_exists(kind.resource, name, kind.group)
        made = _initial(obj)
        metadata = _replace(
            metadata,
            name=name,
            namespace=namespace,
            uid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind.resource}/{key}/{self.revision}")),
            creation_timestamp=_seconds(self.clock.now()),
            deletion_timestamp=None,
            deletion_grace_period_seconds=None,
            generation=1 if _has(obj, "spec") else None,
        )
        made = _replace(made, metadata=metadata)
        if self._admit is not None:
            made = cast(T, self._admit(made))
        return cast(T, self._store(kind, key, made))

    def update(self, obj: T, *, status: bool) -> T:
        kind = kinds.of(obj)
        given = meta_of(obj)
        key = Key((given.namespace or "default") if kind.namespaced else "", given.name)
        present = cast(T, self.get(kind, key))
        stored = meta_of(present)
        if given.resource_version and given.resource_version != stored.resource_version:
            raise errors.conflict(kind.resource, key.name, kind.group)
        if given.uid and given.uid != stored.uid:
            raise errors.Conflict(f'{_resource(kind)} "{key.name}": uid is {stored.uid}, not {given.uid}')
        if status:
            return cast(T, self._replace_status(kind, key, present, obj))
        metadata = _replace(
            given,
            namespace=key.namespace,
            uid=stored.uid,
            resource_version=stored.resource_version,
            creation_timestamp=stored.creation_timestamp,
            deletion_timestamp=stored.deletion_timestamp,
            deletion_grace_period_seconds=stored.deletion_grace_period_seconds,
            generation=stored.generation,
            generate_name=stored.generate_name,
        )
        changed = _replace(obj, metadata=metadata)
        if _has(obj, "status"):
            changed = _replace(changed, status=present.status)  # type: ignore[attr-defined]
        if self._admit is not None:
            changed = cast(T, self._admit(changed))
        if changed == present:
            return present
        if _has(obj, "spec") and changed.spec != present.spec:  # type: ignore[attr-defined]
            metadata = _replace(metadata, generation=(stored.generation or 0) + 1)
            changed = _replace(changed, metadata=metadata)
        if metadata.deletion_timestamp is not None and self._may_go(changed):
            return cast(T, self._remove(kind, key, changed))
        return cast(T, self._store(kind, key, changed))

    def delete(
        self,
        kind: Kind,
        key: Key,
        *,
        grace_period_s: int | None,
        propagation: Propagation,
        uid: str,
        resource_version: str,
    ) -> None:
        present = self.get(kind, key)
        metadata = meta_of(present)
        if uid and uid != metadata.uid:
            raise errors.Conflict(f'{_resource(kind)} "{key.name}": uid is {metadata.uid}, not {uid}')
        if resource_version and resource_version != metadata.resource_version:
            raise errors.Conflict(
                f'{_resource(kind)} "{key.name}": revision is {metadata.resource_version}, not {resource_version}'
            )
        grace_s = _grace_s(present, grace_period_s)
        finalizers = tuple(name for name in metadata.finalizers if name not in (FOREGROUND_FINALIZER, ORPHAN_FINALIZER))
        if propagation is Propagation.FOREGROUND:
            finalizers = (*finalizers, FOREGROUND_FINALIZER)
        elif propagation is Propagation.ORPHAN:
            finalizers = (*finalizers, ORPHAN_FINALIZER)
        elif metadata.deletion_timestamp is not None:
            finalizers = metadata.finalizers
        previous_s = metadata.deletion_grace_period_seconds
        if metadata.deletion_timestamp is not None and previous_s is not None:
            grace_s = min(grace_s, previous_s)
        if metadata.deletion_timestamp is None or grace_s != previous_s:
            metadata = _replace(
                metadata,
                deletion_timestamp=_seconds(self.clock.now()) + datetime.timedelta(seconds=grace_s),
                deletion_grace_period_seconds=grace_s,
                generation=None if metadata.generation is None else metadata.generation + 1,
            )
        changed = _replace(present, metadata=_replace(metadata, finalizers=finalizers))
        if isinstance(changed, Namespace):
            changed = _replace(changed, status=_replace(changed.status, phase="Terminating"))
        if self._may_go(changed):
            self._remove(kind, key, changed)
        elif changed != present:
            self._store(kind, key, changed)

    def bind(self, key: Key, uid: str, node: str) -> None:
        kind = kinds.of(Pod)
        pod = cast(Pod, self.get(kind, key))
        if uid and uid != pod.metadata.uid:
            raise errors.Conflict(f'pods "{key.name}": uid is {pod.metadata.uid}, not {uid}')
        if pod.spec.node_name:
            raise errors.Conflict(f'pods "{key.name}" is already assigned to node "{pod.spec.node_name}"')
        if pod.metadata.deletion_timestamp is not None:
            raise errors.Conflict(f'pods "{key.name}" is being deleted')
        self._store(kind, key, _replace(pod, spec=_replace(pod.spec, node_name=node)))

    # Inside

    def _check_namespace(self, kind: Kind, namespace: str, metadata: ObjectMeta) -> None:
        present = cast(Namespace, self.get(kinds.of(Namespace), Key("", namespace)))
        if present.metadata.deletion_timestamp is not None:
            raise errors.Forbidden(
                f'{_resource(kind)} "{metadata.name or metadata.generate_name}" is forbidden: unable to create new '
                f"content in namespace {namespace} because it is being terminated"
            )

    def _generate_name(self, kind: Kind, namespace: str, prefix: str) -> str:
        if not prefix:
            raise errors.Invalid(f"{kind.kind} is invalid: metadata.name: Required value: name or generateName")
        objects = self.table(kind).objects
        while True:
            self._names += 1
            number, suffix = self._names * 7_654_321, ""
            for _ in range(5):
                number, digit = divmod(number, len(NAME_ALPHABET))
                suffix += NAME_ALPHABET[digit]
            if Key(namespace, prefix + suffix) not in objects:
                return prefix + suffix

    def _replace_status(self, kind: Kind, key: Key, present: msgspec.Struct, given: msgspec.Struct) -> msgspec.Struct:
        changed = _replace(present, status=given.status)  # type: ignore[attr-defined]
        return present if changed == present else self._store(kind, key, changed)

    def _may_go(self, obj: msgspec.Struct) -> bool:
        metadata = meta_of(obj)
        if metadata.finalizers or (isinstance(obj, Namespace) and obj.spec.finalizers):
            return False
        return not isinstance(obj, Pod) or not metadata.deletion_grace_period_seconds

    def _store(self, kind: Kind, key: Key, obj: msgspec.Struct) -> msgspec.Struct:
        self.revision += 1
        obj = _replace(obj, metadata=_replace(meta_of(obj), resource_version=str(self.revision)))
        table = self.table(kind)
        table.history.append(_Record(revision=self.revision, old=table.objects.get(key), new=obj))
        table.objects[key] = obj
        _wake(table)
        return obj

    def _remove(self, kind: Kind, key: Key, last: msgspec.Struct) -> msgspec.Struct:
        self.revision += 1
        last = _replace(last, metadata=_replace(meta_of(last), resource_version=str(self.revision)))
        table = self.table(kind)
        table.objects.pop(key)
        table.history.append(_Record(revision=self.revision, old=last, new=None))
        _wake(table)
        return last


@dataclass(frozen=True, slots=True)
class _Filter:
    namespace: str
    labels: Selector | None
    fields: FieldSelector | None

    def selects(self, obj: msgspec.Struct | None) -> bool:
        if obj is None:
            return False
        metadata = meta_of(obj)
        if self.namespace and metadata.namespace != self.namespace:
            return False
        if self.labels is not None and not self.labels.matches(metadata.labels):
            return False
        return self.fields is None or self.fields.matches(functools.partial(field_of, obj))


class MemoryClient:
    """A Client of a MemoryApi."""

    def __init__(self, api: MemoryApi) -> None:
        self.api = api
        self.writes: dict[str, int] = {}
        """How many writes were asked of this client, by verb."""
        self._connected = True

    @property
    def connected(self) -> bool:
        """False: every call raises Unavailable and open watches break off."""
        return self._connected

    @connected.setter
    def connected(self, value: bool) -> None:
        self._connected = value
        for table in self.api._tables.values():
            _wake(table)

    async def get(self, type_: type[T], name: str, namespace: str = "") -> T:
        self._reach()
        kind = kinds.of(type_)
        return cast(T, self.api.get(kind, _key(kind, namespace, name)))

    async def list(
        self,
        type_: type[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
    ) -> Page[T]:
        self._reach()
        chosen = _filter(namespace, label_selector, field_selector)
        objects = self.api.table(kinds.of(type_)).objects
        revision, after = _parse_continue(continue_) if continue_ else (self.api.revision, None)
        if revision != self.api.revision:
            raise errors.Expired(f"continue is of revision {revision}, the objects have changed since: list again")
        keys = sorted(key for key, obj in objects.items() if chosen.selects(obj) and (after is None or key > after))
        taken = keys[:limit] if limit else keys
        token = f"{revision}:{taken[-1].namespace}/{taken[-1].name}" if len(taken) < len(keys) else ""
        items = tuple(cast(T, objects[key]) for key in taken)
        return Page(items=items, resource_version=str(revision), continue_=token)

    async def create(self, obj: T, *, field_manager: str = "") -> T:
        self._write("create")
        return self.api.create(obj)

    async def create_all(self, objs: Sequence[T]) -> Sequence[T | KnarrError]:
        return await outcomes(self.create(obj) for obj in objs)

    async def update(self, obj: T, *, field_manager: str = "") -> T:
        self._write("update")
        return self.api.update(obj, status=False)

    async def update_status(self, obj: T, *, field_manager: str = "") -> T:
        self._write("update_status")
        return self.api.update(obj, status=True)

    async def patch(
        self,
        type_: type[T],
        name: str,
        namespace: str = "",
        *,
        patch: Mapping[str, Any],
        subresource: str = "",
        field_manager: str = "",
    ) -> T:
        self._write("patch")
        kind = kinds.of(type_)
        present = json.to_builtins(self.api.get(kind, _key(kind, namespace, name)))
        patched = json.from_builtins(merge_patch(present, patch), type_)
        metadata = meta_of(patched)
        if "resourceVersion" not in (patch.get("metadata") or {}):
            patched = _replace(patched, metadata=_replace(metadata, resource_version=""))
        return self.api.update(patched, status=subresource == "status")

    async def apply(self, obj: T, *, field_manager: str = "") -> Applied[T]:
        self._write("apply")
        kind = kinds.of(obj)
        metadata = meta_of(obj)
        key = _key(kind, metadata.namespace or "default", metadata.name)
        if key not in self.api.table(kind).objects:
            return Applied(object=self.api.create(obj), outcome=Outcome.CREATED)
        before = cast(T, self.api.get(kind, key))
        merged = json.from_builtins(merge_patch(json.to_builtins(before), json.to_builtins(obj)), type(obj))
        after = self.api.update(merged, status=False)
        return Applied(object=after, outcome=Outcome.UNCHANGED if after == before else Outcome.CONFIGURED)

    async def delete(
        self,
        type_: type[T],
        name: str,
        namespace: str = "",
        *,
        grace_period_s: int | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
        uid: str = "",
        resource_version: str = "",
    ) -> None:
        self._write("delete")
        kind = kinds.of(type_)
        self.api.delete(
            kind,
            _key(kind, namespace, name),
            grace_period_s=grace_period_s,
            propagation=propagation,
            uid=uid,
            resource_version=resource_version,
        )

    async def bind(self, *, namespace: str, name: str, uid: str, node: str) -> None:
        self._write("bind")
        self.api.bind(Key(namespace, name), uid, node)

    async def bind_all(self, bindings: Sequence[Binding]) -> Sequence[KnarrError | None]:
        return await outcomes(
            self.bind(namespace=each.namespace, name=each.name, uid=each.uid, node=each.node) for each in bindings
        )

    async def watch(
        self,
        type_: type[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> AsyncIterator[tuple[Event[T], ...]]:
        self._reach()
        table = self.api.table(kinds.of(type_))
        chosen = _filter(namespace, label_selector, field_selector)
        if resource_version in ("", "0"):
            revision = self.api.revision
            yield (
                *(
                    Event(type=EventType.ADDED, object=cast(T, obj), resource_version=meta_of(obj).resource_version)
                    for _, obj in sorted(table.objects.items())
                    if chosen.selects(obj)
                ),
                Event(type=EventType.BOOKMARK, object=None, resource_version=str(revision)),
            )
        else:
            revision = int(resource_version)
        while True:
            self._reach()
            if revision < self.api.compacted:
                raise errors.Expired(f"revision {revision} has been compacted: list again")
            news = _since(table.history, revision)
            if news:
                revision = news[-1].revision
                batch = tuple(event for record in news if (event := _event(record, chosen)) is not None)
                if batch:
                    yield cast(tuple[Event[T], ...], batch)
                continue
            await _changed(table)

    def _reach(self) -> None:
        if not self._connected:
            raise errors.Unavailable("the API cannot be reached")

    def _write(self, verb: str) -> None:
        self._reach()
        self.writes[verb] = self.writes.get(verb, 0) + 1


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2; neither argument is changed."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def field_of(obj: msgspec.Struct, path: str) -> str:
    """The value of a field selector's path (``spec.nodeName``) as text; empty where there is none."""
    value: Any = json.to_builtins(obj)
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _resource(kind: Kind) -> str:
    return f"{kind.resource}.{kind.group}" if kind.group else kind.resource


def _key(kind: Kind, namespace: str, name: str) -> Key:
    return Key(namespace if kind.namespaced else "", name)


def _has(obj: msgspec.Struct, name: str) -> bool:
    return name in obj.__struct_fields__


def _seconds(time: datetime.datetime) -> datetime.datetime:
    """metav1.Time has no fractions."""
    return time.replace(microsecond=0)


def _initial(obj: T) -> T:
    """As a newborn: what the API sets itself."""
    if isinstance(obj, Pod):
        return cast(T, _replace(obj, status=_replace(type(obj.status)(), phase="Pending")))
    if isinstance(obj, Namespace):
        spec = NamespaceSpec(finalizers=(NAMESPACE_FINALIZER,))
        return cast(T, _replace(obj, spec=spec, status=NamespaceStatus(phase="Active")))
    if _has(obj, "status") and not isinstance(obj, Node):
        return _replace(obj, status=type(obj.status)())  # type: ignore[attr-defined]
    return obj


def _grace_s(obj: msgspec.Struct, asked_s: int | None) -> int:
    """Only pods on a node take their time; those that were never assigned or have ended go at once."""
    if not isinstance(obj, Pod) or not obj.spec.node_name or obj.status.phase in ("Succeeded", "Failed"):
        return 0
    if asked_s is not None:
        return asked_s
    given_s = obj.spec.termination_grace_period_seconds
    return POD_GRACE_DEFAULT_S if given_s is None else given_s


def _filter(namespace: str, label_selector: str, field_selector: str) -> _Filter:
    return _Filter(
        namespace=namespace,
        labels=Selector.parse(label_selector) if label_selector else None,
        fields=FieldSelector.parse(field_selector) if field_selector else None,
    )


def _parse_continue(token: str) -> tuple[int, Key]:
    revision, _, path = token.partition(":")
    namespace, separator, name = path.partition("/")
    if not revision.isdecimal() or not separator:
        raise errors.Invalid(f'continue: invalid value "{token}"')
    return int(revision), Key(namespace, name)


def _since(history: list[_Record], revision: int) -> list[_Record]:
    first = bisect.bisect_right(history, revision, key=lambda record: record.revision)
    return history[first:]


def _event(record: _Record, chosen: _Filter) -> Event[Any] | None:
    """How a watcher with this filter sees a change: leaving its selection is a deletion to it."""
    was, is_ = chosen.selects(record.old), chosen.selects(record.new)
    revision = str(record.revision)
    if is_:
        type_ = EventType.MODIFIED if was else EventType.ADDED
        return Event(type=type_, object=record.new, resource_version=revision)
    if was:
        return Event(type=EventType.DELETED, object=record.old, resource_version=revision)
    return None


def _wake(table: _Table) -> None:
    waiters, table.waiters = table.waiters, []
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


async def _changed(table: _Table) -> None:
    waiter = asyncio.get_running_loop().create_future()
    table.waiters.append(waiter)
    await waiter
