"""Keeps quotas' status true when objects go or end; when they come, the API has counted them with the same write.

Counted is what a list shows that was made after the quota was read. So whatever was admitted before that revision of
the quota is in it, and what is admitted later makes the status' compare-and-swap fail: the count is never too low.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from knarr_api import errors
from knarr_api.kinds import Kind
from knarr_api.types.core_v1 import Pod, ResourceQuota
from knarr_client.client import Client, Key, key_of
from knarr_client.clock import Clock
from knarr_client.informer import Change, Informer
from knarr_client.reconcile import Again
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.resourcequota.decide import frees, kinds_of, status
from knarr_controlplane.quota import usage

FREED_S = 0.2
"""Many objects that go together are counted once."""
ADDED_S = 5.0
"""What came is counted already, unless the quota came at the same time."""
RESYNC_S = 300.0


class ResourceQuotaController:
    def __init__(self, client: Client, informers: SharedInformers, clock: Clock, queue: WorkQueue[Key]) -> None:
        self.queue = queue
        self._client = client
        self._clock = clock
        self._quotas: Informer[ResourceQuota] = informers.of(ResourceQuota)
        self._quotas.add_handler(self._quota_changed)
        informers.of(Pod).add_handler(self._pod_changed)

    async def reconcile(self, key: Key) -> Again | None:
        if self._quotas.by_key(key) is None:
            return None
        try:
            quota = await self._client.get(ResourceQuota, key.name, key.namespace)
        except errors.NotFound:
            return None
        objects: list[msgspec.Struct] = []
        for kind in kinds_of(quota):
            objects += (await self._client.list(kind.type, key.namespace)).items
        wanted = status(quota, objects, self._clock.now())
        if wanted != quota.status:
            await self._client.update_status(msgspec.structs.replace(quota, status=wanted))
        return Again(RESYNC_S)

    def follow(self, informers: SharedInformers, followed: Iterable[Kind]) -> None:
        """Look again when objects of these kinds come or go. To be called when all informers that others need whole
        are asked for: these are kept without content."""
        for kind in followed:
            if kind.namespaced and kind.type is not Pod and kind.kind not in usage.UNCOUNTED:
                informers.metadata_of(kind.type).add_handler(self._object_changed)

    def _quota_changed(self, change: Change[ResourceQuota]) -> None:
        new, old = change.new, change.old
        if new is not None and (old is None or new.spec != old.spec or new.status.hard != new.spec.hard):
            self.queue.add(change.key)

    def _pod_changed(self, change: Change[Pod]) -> None:
        if not len(self._quotas):
            return
        if change.old is None:
            self._look(change.key.namespace, ADDED_S)
        elif frees(change.old, change.new, self._clock.now()):
            self._look(change.key.namespace, FREED_S)

    def _object_changed(self, change: Change[Any]) -> None:
        if change.old is None:
            self._look(change.key.namespace, ADDED_S)
        elif change.new is None:
            self._look(change.key.namespace, FREED_S)

    def _look(self, namespace: str, after_s: float) -> None:
        for quota in self._quotas.items(namespace):
            self.queue.add_after(key_of(quota), after_s)
