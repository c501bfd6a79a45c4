"""Carries out what ``decide`` plans for a ReplicaSet."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec

from knarr_api import errors
from knarr_api import json as api_json
from knarr_api.labels import Selector
from knarr_api.types.apps_v1 import ReplicaSet
from knarr_api.types.core_v1 import Pod
from knarr_api.types.meta_v1 import OwnerReference
from knarr_client.client import Client, Key, key_of
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder
from knarr_client.informer import Change
from knarr_client.reconcile import Again
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.own_writes import OwnWrites
from knarr_controlplane.controllers.replicaset import naming
from knarr_controlplane.controllers.replicaset.decide import Failure, Plan, World, decide, status

CREATES_AT_ONCE = 64
"""Writes in flight for one ReplicaSet; after a batch with a failure the rest waits for the next attempt."""
LOOK_AGAIN_S = 1.0


class ReplicaSetController:
    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        recorder: ComponentRecorder,
        clock: Clock,
        queue: WorkQueue[Key],
    ) -> None:
        self.queue = queue
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._replicasets = informers.of(ReplicaSet)
        self._pods = informers.of(Pod)
        self._pods.add_index("controller", controller_uid)
        self._pods.add_index("orphans", orphan_namespace)
        self._own: OwnWrites[Key, Pod] = OwnWrites(self._pods, clock)
        self._own_status: OwnWrites[Key, ReplicaSet] = OwnWrites(self._replicasets, clock)
        self._floors: dict[str, int] = {}
        """The highest slot ever seen, by the ReplicaSet's uid."""
        self._replicasets.add_handler(self._replicaset_changed)
        self._pods.add_handler(self._pod_changed)

    async def reconcile(self, key: Key) -> Again | None:
        replicaset = self._replicasets.by_key(key)
        if replicaset is None:
            self._own.forget(key)
            self._own_status.forget(key)
            return None
        await self._own.settle(key, self._client)
        if not self._own.seen(key) or not self._own_status.seen(key):
            return Again(LOOK_AGAIN_S)
        uid = replicaset.metadata.uid
        pods = (*self._pods.by_index("controller", uid), *self._pods.by_index("orphans", key.namespace))
        floor = self._floors.get(uid, -1)
        plan = decide(World(replicaset=replicaset, pods=pods, floor=floor, now=self._clock.now()))
        failures = await self._apply(key, replicaset, plan)
        await self._update_status(key, replicaset, plan, failures)
        if failures:
            raise failures[0][1]
        return Again(plan.again_after_s) if plan.again_after_s else None

    async def _apply(self, key: Key, replicaset: ReplicaSet, plan: Plan) -> list[tuple[str, errors.KnarrError]]:
        if plan.adopt:
            await self._check_not_deleted(replicaset)
        for pod in plan.adopt:
            self._own.attempt(key, pod)
            self._own.wrote(key, await self._write_owners(ownership.with_controller(pod, replicaset)))
        for pod in plan.release:
            self._own.attempt(key, pod)
            self._own.wrote(key, await self._write_owners(ownership.without_owner(pod, (replicaset.metadata.uid,))))
        failures: list[tuple[str, errors.KnarrError]] = []
        for start in range(0, len(plan.create), CREATES_AT_ONCE):
            batch = plan.create[start : start + CREATES_AT_ONCE]
            results = await _together([self._create(key, replicaset, pod) for pod in batch])
            failures += [("FailedCreate", error) for error in results if error is not None]
            if failures:
                return failures
        for start in range(0, len(plan.delete), CREATES_AT_ONCE):
            doomed = plan.delete[start : start + CREATES_AT_ONCE]
            results = await _together([self._delete(key, replicaset, pod) for pod in doomed])
            failures += [("FailedDelete", error) for error in results if error is not None]
        return failures

    async def _create(self, key: Key, replicaset: ReplicaSet, pod: Pod) -> errors.KnarrError | None:
        self._own.attempt(key, pod)
        try:
            created = await self._client.create(pod)
        except errors.AlreadyExists:
            return await self._already_exists(key, replicaset, pod)
        except errors.KnarrError as error:
            if isinstance(error, errors.Invalid | errors.Forbidden | errors.NotFound):
                self._own.refused(key, pod)
            self._recorder.warning(replicaset, "FailedCreate", f"Error creating: {error}")
            return error
        self._own.wrote(key, created)
        self._recorder.normal(replicaset, "SuccessfulCreate", f"Created pod: {pod.metadata.name}")
        return None

    async def _already_exists(self, key: Key, replicaset: ReplicaSet, pod: Pod) -> errors.KnarrError | None:
        """An earlier create of ours that the cache does not show yet, or a stranger's: then its slot is taken."""
        try:
            present = await self._client.get(Pod, pod.metadata.name, pod.metadata.namespace)
        except errors.NotFound:
            return errors.Conflict(f'pod "{pod.metadata.name}" was there and is gone')
        except errors.KnarrError as error:
            return error
        controller = ownership.controller_of(present)
        uid = replicaset.metadata.uid
        if controller is not None and controller.uid == uid:
            self._own.wrote(key, present)
            return None
        self._own.refused(key, pod)
        self._note_slot(pod.metadata.name, replicaset.metadata.name, uid)
        return errors.Conflict(f'pod "{pod.metadata.name}" belongs to another')

    async def _delete(self, key: Key, replicaset: ReplicaSet, pod: Pod) -> errors.KnarrError | None:
        name = pod.metadata.name
        self._own.deleting(key, pod)
        try:
            await self._client.delete(Pod, name, pod.metadata.namespace, uid=pod.metadata.uid)
        except (errors.NotFound, errors.Conflict):
            return None
        except errors.KnarrError as error:
            self._own.doubt_deletion(key, pod)
            self._recorder.warning(replicaset, "FailedDelete", f"Error deleting: {error}")
            return error
        self._recorder.normal(replicaset, "SuccessfulDelete", f"Deleted pod: {name}")
        return None

    async def _check_not_deleted(self, replicaset: ReplicaSet) -> None:
        """Before adopting: the cache may not show yet that it is being deleted or was replaced."""
        metadata = replicaset.metadata
        live = await self._client.get(ReplicaSet, metadata.name, metadata.namespace)
        if live.metadata.uid != metadata.uid or live.metadata.deletion_timestamp is not None:
            raise errors.Conflict(f'replicasets.apps "{metadata.name}" has been deleted')

    async def _write_owners(self, pod: Pod) -> Pod:
        metadata = pod.metadata
        references = [api_json.to_builtins(reference) for reference in metadata.owner_references]
        patch = {"metadata": {"resourceVersion": metadata.resource_version, "ownerReferences": references}}
        return await self._client.patch(Pod, metadata.name, metadata.namespace, patch=patch)

    async def _update_status(
        self, key: Key, replicaset: ReplicaSet, plan: Plan, failures: Sequence[tuple[str, errors.KnarrError]]
    ) -> None:
        failure = Failure(reason=failures[0][0], message=str(failures[0][1])) if failures else None
        wanted = status(replicaset, plan, failure, self._clock.now())
        if wanted != replicaset.status:
            written = await self._client.update_status(msgspec.structs.replace(replicaset, status=wanted))
            self._own_status.wrote(key, written)

    # What concerns whom

    def _replicaset_changed(self, change: Change[ReplicaSet]) -> None:
        if change.new is None and change.old is not None:
            self._floors.pop(change.old.metadata.uid, None)
        self.queue.add(change.key)

    def _pod_changed(self, change: Change[Pod]) -> None:
        for pod in (change.old, change.new):
            if pod is None:
                continue
            controller = ownership.controller_of(pod)
            if controller is not None and controller.kind == "ReplicaSet":
                if self._known(controller, pod.metadata.namespace):
                    self._note_slot(pod.metadata.name, controller.name, controller.uid)
                self.queue.add(Key(pod.metadata.namespace, controller.name))
        pod = change.new
        if pod is not None and ownership.controller_of(pod) is None and pod.metadata.labels:
            for replicaset in self._replicasets.items(pod.metadata.namespace):
                if selects(replicaset, pod):
                    self.queue.add(key_of(replicaset))

    def _note_slot(self, name: str, replicaset: str, uid: str) -> None:
        slot = naming.slot_of(name, replicaset, uid)
        if slot is not None and slot > self._floors.get(uid, -1):
            self._floors[uid] = slot

    def _known(self, controller: OwnerReference, namespace: str) -> bool:
        present = self._replicasets.get(controller.name, namespace)
        return present is not None and present.metadata.uid == controller.uid


def controller_uid(obj: msgspec.Struct) -> tuple[str, ...]:
    """Index function: the uid of the controlling owner."""
    controller = ownership.controller_of(obj)
    return (controller.uid,) if controller is not None else ()


def orphan_namespace(obj: msgspec.Struct) -> tuple[str, ...]:
    """Index function: the namespace, for objects that nobody controls."""
    return () if ownership.controller_of(obj) is not None else (key_of(obj).namespace,)


def selects(owner: ReplicaSet, pod: Pod) -> bool:
    selector = Selector.from_label_selector(owner.spec.selector)
    return bool(str(selector)) and selector.matches(pod.metadata.labels)


async def _together(calls: Sequence[Coroutine[Any, Any, errors.KnarrError | None]]) -> list[errors.KnarrError | None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call) for call in calls]
    return [task.result() for task in tasks]
