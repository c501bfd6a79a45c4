"""The writes that controllers make to their ControllerRevisions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from knarr_api import errors
from knarr_api.types.apps_v1 import ControllerRevision
from knarr_client.client import Client, Key, meta_of
from knarr_client.clock import Clock
from knarr_client.informer import Informer
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.history import History
from knarr_controlplane.controllers.own_writes import OwnWrites
from knarr_controlplane.controllers.pods.writes import check_not_deleted


class HistoryWrites:
    def __init__(self, client: Client, informer: Informer[ControllerRevision], clock: Clock) -> None:
        self._client = client
        self._own: OwnWrites[Key, ControllerRevision] = OwnWrites(informer, clock)

    async def caught_up(self, key: Key) -> bool:
        """Whether the cache shows all that was written for this key. Raises what a read raises."""
        await self._own.settle(key, self._client)
        return self._own.seen(key)

    def forget(self, key: Key) -> None:
        self._own.forget(key)

    async def adopt(self, key: Key, owner: msgspec.Struct, revisions: Sequence[ControllerRevision]) -> None:
        if revisions:
            await check_not_deleted(self._client, owner)
        for revision in revisions:
            await self._update(key, ownership.with_controller(revision, owner))

    async def write(self, key: Key, owner: msgspec.Struct, history: History) -> bool:
        """Make or renumber the current revision. False: another template's has its name, the collision count must go
        up."""
        if history.renumber:
            await self._update(key, history.current)
        if not history.create:
            return True
        revision = history.current
        self._own.attempt(key, revision)
        try:
            self._own.wrote(key, await self._client.create(revision))
        except errors.AlreadyExists:
            metadata = revision.metadata
            present = await self._client.get(ControllerRevision, metadata.name, metadata.namespace)
            controller = ownership.controller_of(present)
            if controller is None or controller.uid != meta_of(owner).uid or present.data != revision.data:
                self._own.refused(key, revision)
                return False
            self._own.wrote(key, present)
        return True

    async def delete(self, key: Key, revisions: Sequence[ControllerRevision]) -> None:
        for revision in revisions:
            metadata = revision.metadata
            self._own.deleting(key, revision)
            try:
                await self._client.delete(ControllerRevision, metadata.name, metadata.namespace, uid=metadata.uid)
            except (errors.NotFound, errors.Conflict):
                self._own.not_deleting(key, revision)

    async def _update(self, key: Key, revision: ControllerRevision) -> None:
        self._own.attempt(key, revision)
        self._own.wrote(key, await self._client.update(revision))
