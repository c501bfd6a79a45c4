"""The writes that controllers make to their pods, with the events that tell of them.

Each is noted per key, so that nothing is decided again before the cache shows it: see ``own_writes``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from knarr_api import errors
from knarr_api import json as api_json
from knarr_api.types.core_v1 import Pod
from knarr_client.client import Client, Key, key_of, meta_of
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder
from knarr_client.informer import Informer
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.own_writes import OwnWrites

AT_ONCE, AT_MOST = 64, 1024
"""Writes in flight for one owner; after a batch with a failure the rest waits for the next attempt. Batches of new pods
double as long as nothing fails, as Kubernetes' do: large ones cost less, and a quota is not asked a thousand times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Messages of events; ``{pod}`` and ``{owner}`` are names, ``{error}`` is what went wrong."""

    created: str = "Created pod: {pod}"
    not_created: str = "Error creating: {error}"
    deleted: str = "Deleted pod: {pod}"
    not_deleted: str = "Error deleting: {error}"


Failures = list[tuple[str, errors.KnarrError]]
"""Reasons (of events and conditions) and errors."""
Taken = Callable[[msgspec.Struct, Pod], None]


class PodWrites:
    """For one controller. Lifecycle: as long as the informer.

    taken: told of a pod that could not be made because another's has its name.
    """

    def __init__(
        self,
        client: Client,
        informer: Informer[Pod],
        recorder: ComponentRecorder,
        clock: Clock,
        *,
        wording: Wording | None = None,
        taken: Taken = lambda owner, pod: None,
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._wording = wording or Wording()
        self._taken = taken
        self._own: OwnWrites[Key, Pod] = OwnWrites(informer, clock)

    async def caught_up(self, key: Key) -> bool:
        """Whether the cache shows all that was written for this key. Raises what a read raises."""
        await self._own.settle(key, self._client)
        return self._own.seen(key)

    def forget(self, key: Key) -> None:
        self._own.forget(key)

    async def adopt(self, key: Key, owner: msgspec.Struct, pods: Sequence[Pod]) -> None:
        """Become the controller of pods that have none. Raises Conflict when the owner was deleted meanwhile."""
        if pods:
            await check_not_deleted(self._client, owner)
        for pod in pods:
            self._own.attempt(key, pod)
            self._own.wrote(key, await self._write_metadata(ownership.with_controller(pod, owner)))

    async def release(self, key: Key, owner: msgspec.Struct, pods: Sequence[Pod]) -> None:
        for pod in pods:
            self._own.attempt(key, pod)
            released = ownership.without_owner(pod, (meta_of(owner).uid,))
            self._own.wrote(key, await self._write_metadata(released))

    async def create(self, key: Key, owner: msgspec.Struct, pods: Sequence[Pod]) -> Failures:
        failures: Failures = []
        done, size = 0, AT_ONCE
        while done < len(pods) and not failures:
            batch = pods[done : done + size]
            for pod in batch:
                self._own.attempt(key, pod)
            for pod, outcome in zip(batch, await self._client.create_all(batch), strict=True):
                error = await self._created(key, owner, pod, outcome)
                if error is not None:
                    failures.append(("FailedCreate", error))
            done, size = done + size, min(2 * size, AT_MOST)
        return failures

    async def delete(self, key: Key, owner: msgspec.Struct, pods: Sequence[Pod]) -> Failures:
        failures: Failures = []
        for batch in _batches(pods):
            results = await together([self._delete(key, owner, pod) for pod in batch])
            failures += [("FailedDelete", error) for error in results if error is not None]
        return failures

    async def remove_finalizer(self, key: Key, pods: Sequence[Pod], finalizer: str) -> None:
        """Raises the first error; the others are tried all the same."""
        for batch in _batches(pods):
            results = await together([self._remove_finalizer(key, pod, finalizer) for pod in batch])
            for error in results:
                if error is not None:
                    raise error

    async def change_metadata(self, key: Key, pod: Pod) -> None:
        """Write the pod's labels, annotations, finalizers and owners as they are in this value."""
        self._own.attempt(key, pod)
        self._own.wrote(key, await self._write_metadata(pod))

    async def _created(
        self, key: Key, owner: msgspec.Struct, pod: Pod, outcome: Pod | errors.KnarrError
    ) -> errors.KnarrError | None:
        if isinstance(outcome, errors.AlreadyExists):
            return await self._already_exists(key, owner, pod)
        if isinstance(outcome, errors.KnarrError):
            if isinstance(outcome, errors.Invalid | errors.Forbidden | errors.NotFound):
                self._own.refused(key, pod)
            self._recorder.warning(owner, "FailedCreate", self._say(self._wording.not_created, owner, pod, outcome))
            return outcome
        self._own.wrote(key, outcome)
        self._recorder.normal(owner, "SuccessfulCreate", self._say(self._wording.created, owner, pod))
        return None

    async def _already_exists(self, key: Key, owner: msgspec.Struct, pod: Pod) -> errors.KnarrError | None:
        """An earlier create of ours that the cache does not show yet, or a stranger's."""
        try:
            present = await self._client.get(Pod, pod.metadata.name, pod.metadata.namespace)
        except errors.NotFound:
            return errors.Conflict(f'pod "{pod.metadata.name}" was there and is gone')
        except errors.KnarrError as error:
            return error
        controller = ownership.controller_of(present)
        if controller is not None and controller.uid == meta_of(owner).uid:
            self._own.wrote(key, present)
            return None
        self._own.refused(key, pod)
        self._taken(owner, pod)
        return errors.Conflict(f'pod "{pod.metadata.name}" belongs to another')

    async def _delete(self, key: Key, owner: msgspec.Struct, pod: Pod) -> errors.KnarrError | None:
        self._own.deleting(key, pod)
        try:
            await self._client.delete(Pod, pod.metadata.name, pod.metadata.namespace, uid=pod.metadata.uid)
        except (errors.NotFound, errors.Conflict):
            return None
        except errors.KnarrError as error:
            self._own.doubt_deletion(key, pod)
            self._recorder.warning(owner, "FailedDelete", self._say(self._wording.not_deleted, owner, pod, error))
            return error
        self._recorder.normal(owner, "SuccessfulDelete", self._say(self._wording.deleted, owner, pod))
        return None

    async def _remove_finalizer(self, key: Key, pod: Pod, finalizer: str) -> errors.KnarrError | None:
        finalizers = tuple(name for name in pod.metadata.finalizers if name != finalizer)
        if finalizers == pod.metadata.finalizers:
            return None
        self._own.attempt(key, pod)
        metadata = msgspec.structs.replace(pod.metadata, finalizers=finalizers)
        try:
            self._own.wrote(key, await self._write_metadata(msgspec.structs.replace(pod, metadata=metadata)))
        except errors.NotFound:
            self._own.refused(key, pod)
        except errors.KnarrError as error:
            return error
        return None

    async def _write_metadata(self, pod: Pod) -> Pod:
        metadata = pod.metadata
        patch = {
            "metadata": {
                "resourceVersion": metadata.resource_version,
                "labels": metadata.labels,
                "annotations": metadata.annotations,
                "finalizers": list(metadata.finalizers),
                "ownerReferences": [api_json.to_builtins(reference) for reference in metadata.owner_references],
            }
        }
        return await self._client.patch(Pod, metadata.name, metadata.namespace, patch=patch)

    def _say(self, text: str, owner: msgspec.Struct, pod: Pod, error: errors.KnarrError | None = None) -> str:
        return text.format(pod=pod.metadata.name, owner=meta_of(owner).name, error=error)


async def check_not_deleted(client: Client, owner: msgspec.Struct) -> None:
    """Before adopting: the cache may not show yet that it is being deleted or was replaced. Raises Conflict."""
    key, metadata = key_of(owner), meta_of(owner)
    live = meta_of(await client.get(type(owner), key.name, key.namespace))
    if live.uid != metadata.uid or live.deletion_timestamp is not None:
        raise errors.Conflict(f'{type(owner).__name__} "{key.name}" has been deleted')


async def together(calls: Sequence[Coroutine[Any, Any, errors.KnarrError | None]]) -> list[errors.KnarrError | None]:
    """All at once; the errors that they return, in their order."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call) for call in calls]
    return [task.result() for task in tasks]


def _batches(pods: Sequence[Pod]) -> Iterable[Sequence[Pod]]:
    return (pods[start : start + AT_ONCE] for start in range(0, len(pods), AT_ONCE))
