"""The informers that all controllers share: one list and one watch per kind, however many look at it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec

from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import Client, T, meta_of
from knarr_client.clock import Clock
from knarr_client.informer import Informer, wait_synced


class SharedInformers:
    """Ask for all that is needed with ``of`` before ``run``."""

    def __init__(self, client: Client, clock: Clock, *, uniform: Callable[[], float] | None = None) -> None:
        self._client = client
        self._clock = clock
        self._uniform = uniform
        self._informers: dict[type[msgspec.Struct], Informer[Any]] = {}

    def of(self, type_: type[T]) -> Informer[T]:
        informer = self._informers.get(type_)
        if informer is None:
            informer = Informer(self._client, type_, clock=self._clock, uniform=self._uniform)
            self._informers[type_] = informer
        return cast("Informer[T]", informer)

    def metadata_of(self, type_: type[T]) -> Informer[T]:
        """As ``of``, but where nobody else asks for this kind its objects are kept without their content. Call it
        after all calls of ``of``."""
        informer = self._informers.get(type_)
        if informer is None:
            informer = Informer(
                self._client, type_, clock=self._clock, uniform=self._uniform, keep=cast("Callable[[T], T]", slim)
            )
            self._informers[type_] = informer
        return cast("Informer[T]", informer)

    async def run(self) -> None:
        """Whoever asked for an informer must have done so by now."""
        async with asyncio.TaskGroup() as group:
            for type_, informer in self._informers.items():
                group.create_task(informer.run(), name=f"informer/{type_.__name__}")

    async def synced(self) -> None:
        """Until every one has listed once."""
        await wait_synced(*self._informers.values())


def slim(obj: msgspec.Struct) -> msgspec.Struct:
    """An object of which nothing but name, ownership and deletion is left."""
    metadata = meta_of(obj)
    kept = ObjectMeta(
        name=metadata.name,
        namespace=metadata.namespace,
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        owner_references=metadata.owner_references,
        finalizers=metadata.finalizers,
        deletion_timestamp=metadata.deletion_timestamp,
    )
    return type(obj)(metadata=kept)
