"""The registry as a ``knarr_client.Client``: what the scheduler and the controllers of this process use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from knarr_api import json, kinds
from knarr_api.errors import KnarrError
from knarr_client.client import Applied, Binding, Event, EventType, Outcome, Page, Propagation
from knarr_controlplane.cache.changes import ChangeType
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.leader import Term
from knarr_controlplane.registry import bulk, pages
from knarr_controlplane.registry.addressing import filter_of
from knarr_controlplane.registry.bulk import Wanted
from knarr_controlplane.registry.decisions import Bound
from knarr_controlplane.registry.managed_fields import Writer
from knarr_controlplane.registry.registry import POD, QUIET, Registry

T = TypeVar("T", bound=msgspec.Struct)
EVENT_TYPES = {type_: EventType(type_.value) for type_ in ChangeType}
AT_A_TIME = 100
"""Objects of a list to decode before others of the process get their turn."""


class LocalClient:
    """See ``knarr_client.client.Client``. Values are decoded from the cache's bytes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def fenced(self, term: Term) -> LocalClient:
        """The leader's: it writes nothing once another's term has begun."""
        return LocalClient(self._registry.fenced(term.key, int(term.revision), term.over.set))

    async def get(self, type_: type[T], name: str, namespace: str = "") -> T:
        return cast(T, self._registry.get(kinds.of(type_), namespace, name).value())

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
        kind = kinds.of(type_)
        filter_ = filter_of(kind, namespace, label_selector, field_selector)
        page = self._registry.list(kind, filter_, pages.Wanted(limit=limit, continue_=continue_))
        items: list[T] = []
        for number, entry in enumerate(page.entries, 1):
            items.append(cast(T, entry.value()))
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
        return Page(items=tuple(items), resource_version=str(page.revision), continue_=page.continue_)

    async def create(self, obj: T, *, field_manager: str = "") -> T:
        return cast(T, (await self._registry.create(obj, writer=_writer(field_manager))).value())

    async def create_all(self, objs: Sequence[T]) -> Sequence[T | KnarrError]:
        return [_value(each) for each in await bulk.create_all(self._registry, objs)]

    async def update(self, obj: T, *, field_manager: str = "") -> T:
        return cast(T, (await self._registry.update(obj, writer=_writer(field_manager))).value())

    async def update_status(self, obj: T, *, field_manager: str = "") -> T:
        writer = _writer(field_manager, "status")
        return cast(T, (await self._registry.update(obj, subresource="status", writer=writer)).value())

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
        plain = json.load(json.encode(patch))
        entry = await self._registry.patch(
            kinds.of(type_),
            namespace,
            name,
            plain,
            subresource=subresource,
            writer=_writer(field_manager, subresource),
        )
        return cast(T, entry.value())

    async def apply(self, obj: T, *, field_manager: str = "") -> Applied[T]:
        kind = kinds.of(obj)
        entry, outcome = await self._registry.apply(kind, "", json.to_builtins(obj), writer=_writer(field_manager))
        return Applied(object=cast(T, entry.value()), outcome=Outcome(outcome))

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
        await self._registry.delete(
            kinds.of(type_),
            namespace,
            name,
            grace_s=grace_period_s,
            propagation=propagation.value,
            uid=uid,
            resource_version=resource_version,
        )

    async def bind(self, *, namespace: str, name: str, uid: str, node: str) -> None:
        await self._registry.bind(namespace, name, uid, node)

    async def bind_all(self, bindings: Sequence[Binding]) -> Sequence[KnarrError | None]:
        now = self._registry.now
        changes = [Wanted(each.namespace, each.name, Bound(each.uid, each.node, now)) for each in bindings]
        done = await bulk.change_all(self._registry, POD, changes)
        return [each if isinstance(each, KnarrError) else None for each in done]

    async def watch(
        self,
        type_: type[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> AsyncIterator[tuple[Event[T], ...]]:
        kind = kinds.of(type_)
        filter_ = filter_of(kind, namespace, label_selector, field_selector)
        async for batch in self._registry.watch(kind, filter_, resource_version):
            yield tuple(
                [
                    Event(
                        type=EVENT_TYPES[change.type],
                        object=cast(T, change.entry.value()) if change.entry is not None else None,
                        resource_version=str(change.revision),
                    )
                    for change in batch
                ]
            )

    def request_bookmarks(self) -> str:
        """Watches say at once how far they are, once they have told of everything; returns how far that is at least."""
        return str(self._registry.cache.request_bookmarks())


def _value(outcome: CacheEntry | KnarrError) -> Any:
    return outcome if isinstance(outcome, KnarrError) else outcome.value()


def _writer(manager: str, subresource: str = "") -> Writer:
    """A part of the control plane: quiet, whatever it is called. See ``managed_fields``."""
    return Writer(manager=manager or QUIET.manager, subresource=subresource, quiet=True)
