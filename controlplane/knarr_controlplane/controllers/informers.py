"""The informers that all controllers share: one list and one watch per kind, however many look at it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, cast

import msgspec

from knarr_api.types.core_v1 import Pod
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
            keep = cast("Callable[[T], T]", Siblings().keep) if issubclass(type_, Pod) else None
            informer = Informer(self._client, type_, clock=self._clock, uniform=self._uniform, keep=keep)
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


SIBLINGS_MAX = 10_000
SHARED = ("containers", "init_containers", "volumes", "tolerations")
"""Of a pod's spec: what its template determines."""


class Siblings:
    """Makes pods of one owner share what is equal in them: most of a decoded pod is what its template says."""

    def __init__(self) -> None:
        self._latest: OrderedDict[str, Pod] = OrderedDict()
        """By the first owner's uid."""

    def keep(self, pod: Pod) -> Pod:
        """An equal pod that holds the parts of an earlier sibling wherever they are equal."""
        owners = pod.metadata.owner_references
        if not owners:
            return pod
        sibling = self._latest.get(owners[0].uid)
        if sibling is None:
            self._latest[owners[0].uid] = pod
            if len(self._latest) > SIBLINGS_MAX:
                self._latest.popitem(last=False)
            return pod
        metadata, shared = pod.metadata, sibling.metadata
        if (
            all(getattr(pod.spec, name) is getattr(sibling.spec, name) for name in SHARED)
            and metadata.owner_references is shared.owner_references
            and metadata.labels is shared.labels
        ):
            return pod  # written by this process, from one template
        parts = {name: getattr(sibling.spec, name) for name in SHARED}
        if any(getattr(pod.spec, name) != part for name, part in parts.items()):
            self._latest[owners[0].uid] = pod
            return pod
        if shared.owner_references == owners:
            metadata = msgspec.structs.replace(metadata, owner_references=shared.owner_references)
        if shared.labels == metadata.labels:
            metadata = msgspec.structs.replace(metadata, labels=shared.labels)
        return msgspec.structs.replace(pod, metadata=metadata, spec=msgspec.structs.replace(pod.spec, **parts))


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
