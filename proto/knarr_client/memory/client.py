"""A Client of the API in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from knarr_api import errors, json, kinds
from knarr_api.errors import KnarrError
from knarr_api.kinds import Kind
from knarr_api.merge_patch import merge_patch
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
from knarr_client.memory.api import MemoryApi
from knarr_client.memory.filter import Filter

_replace = msgspec.structs.replace


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
        self.api.wake()

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
        chosen = Filter.parse(namespace, label_selector, field_selector)
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
        chosen = Filter.parse(namespace, label_selector, field_selector)
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
            news = table.since(revision)
            if news:
                revision = news[-1].revision
                batch = tuple(event for record in news if (event := chosen.event(record)) is not None)
                if batch:
                    yield cast(tuple[Event[T], ...], batch)
                continue
            await table.changed()

    def _reach(self) -> None:
        if not self._connected:
            raise errors.Unavailable("the API cannot be reached")

    def _write(self, verb: str) -> None:
        self._reach()
        self.writes[verb] = self.writes.get(verb, 0) + 1


def _key(kind: Kind, namespace: str, name: str) -> Key:
    return Key(namespace if kind.namespaced else "", name)


def _parse_continue(token: str) -> tuple[int, Key]:
    revision, _, path = token.partition(":")
    namespace, separator, name = path.partition("/")
    if not revision.isdecimal() or not separator:
        raise errors.Invalid(f'continue: invalid value "{token}"')
    return int(revision), Key(namespace, name)
