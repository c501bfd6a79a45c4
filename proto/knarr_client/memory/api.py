"""The server in memory: objects, revisions, history."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import cast

import msgspec

from knarr_api import binding, deletion, errors, kinds
from knarr_api.kinds import Kind
from knarr_api.types.core_v1 import Namespace, NamespaceSpec, NamespaceStatus, Node, Pod
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import Key, Propagation, T, meta_of
from knarr_client.clock import Clock, SystemClock
from knarr_client.memory.table import Record, Table

NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"

Admit = Callable[[msgspec.Struct], msgspec.Struct]
_replace = msgspec.structs.replace


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
        self._tables: dict[Kind, Table] = {}
        for name in namespaces:
            self.create(Namespace(metadata=ObjectMeta(name=name)))

    def table(self, kind: Kind) -> Table:
        return self._tables.setdefault(kind, Table())

    def wake(self) -> None:
        """All watches look again."""
        for table in self._tables.values():
            table.wake()

    @property
    def compacted(self) -> int:
        return self._compacted

    def compact(self) -> None:
        """Forget all history: watches from older revisions expire."""
        self._compacted = self.revision
        for table in self._tables.values():
            table.history.clear()
            table.wake()

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
        if deletion.may_go(changed):
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
        changed = deletion.deleted(present, now=self.clock.now(), grace_s=grace_period_s, propagation=propagation.value)
        if deletion.may_go(changed):
            self._remove(kind, key, changed)
        elif changed != present:
            self._store(kind, key, changed)

    def bind(self, key: Key, uid: str, node: str) -> None:
        kind = kinds.of(Pod)
        pod = cast(Pod, self.get(kind, key))
        binding.check(pod, uid)
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

    def _store(self, kind: Kind, key: Key, obj: msgspec.Struct) -> msgspec.Struct:
        self.revision += 1
        obj = _replace(obj, metadata=_replace(meta_of(obj), resource_version=str(self.revision)))
        table = self.table(kind)
        table.history.append(Record(revision=self.revision, old=table.objects.get(key), new=obj))
        table.objects[key] = obj
        table.wake()
        return obj

    def _remove(self, kind: Kind, key: Key, last: msgspec.Struct) -> msgspec.Struct:
        self.revision += 1
        last = _replace(last, metadata=_replace(meta_of(last), resource_version=str(self.revision)))
        table = self.table(kind)
        table.objects.pop(key)
        table.history.append(Record(revision=self.revision, old=last, new=None))
        table.wake()
        return last


def _resource(kind: Kind) -> str:
    return f"{kind.resource}.{kind.group}" if kind.group else kind.resource


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
        spec = NamespaceSpec(finalizers=(deletion.NAMESPACE_FINALIZER,))
        return cast(T, _replace(obj, spec=spec, status=NamespaceStatus(phase="Active")))
    if _has(obj, "status") and not isinstance(obj, Node):
        return _replace(obj, status=type(obj.status)())  # type: ignore[attr-defined]
    return obj
