"""Carries out what ``decide`` plans for a ReplicaSet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

import msgspec

from knarr_api import kinds
from knarr_api.labels import Selector
from knarr_api.types.apps_v1 import ReplicaSet, ReplicaSetStatus
from knarr_api.types.core_v1 import Pod
from knarr_api.types.meta_v1 import OwnerReference
from knarr_client.client import Client, Key, T, key_of, meta_of
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder
from knarr_client.informer import Change
from knarr_client.reconcile import Again
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.own_writes import OwnWrites
from knarr_controlplane.controllers.pods.controlled import Controller
from knarr_controlplane.controllers.pods.writes import Failures, PodWrites
from knarr_controlplane.controllers.replicaset import naming
from knarr_controlplane.controllers.replicaset.decide import Failure, Plan, World, decide, status

LOOK_AGAIN_S = 1.0
COUNTED_S = 60e-6
"""For each pod of an owner, how long a change of one may wait for others: all are counted anew, which takes time."""


@dataclass(frozen=True, slots=True)
class Face(Generic[T]):
    """A kind that is a ReplicaSet by another name. view: the object as one. with_status: the object with its status."""

    type: type[T]
    view: Callable[[T], ReplicaSet]
    with_status: Callable[[T, ReplicaSetStatus], T]


REPLICA_SET = Face(ReplicaSet, lambda obj: obj, lambda obj, wanted: msgspec.structs.replace(obj, status=wanted))


class ReplicaSetController(Generic[T]):
    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        recorder: ComponentRecorder,
        clock: Clock,
        queue: WorkQueue[Key],
        face: Face[T],
    ) -> None:
        self.queue = queue
        self._client = client
        self._clock = clock
        self._face = face
        self._kind = kinds.of(face.type).kind
        self._owners = informers.of(face.type)
        self._pods = informers.of(Pod)
        self._pods.add_index("controller", ownership.controller_uid)
        self._pods.add_index("orphans", ownership.orphan_namespace)
        self._writes = PodWrites(client, self._pods, recorder, clock, taken=self._taken)
        self._own_status: OwnWrites[Key, T] = OwnWrites(self._owners, clock)
        self._floors: dict[str, int] = {}
        """The highest slot ever seen, by the owner's uid."""
        self._owners.add_handler(self._owner_changed)
        informers.controlled.tell(self._kind, self._pod_changed, self._orphan_changed)

    async def reconcile(self, key: Key) -> Again | None:
        owner = self._owners.by_key(key)
        if owner is None:
            self._writes.forget(key)
            self._own_status.forget(key)
            return None
        if not await self._writes.caught_up(key) or not self._own_status.seen(key):
            return Again(LOOK_AGAIN_S)
        uid = meta_of(owner).uid
        pods = (*self._pods.by_index("controller", uid), *self._pods.by_index("orphans", key.namespace))
        replicaset, now = self._face.view(owner), self._clock.now()
        plan = decide(World(replicaset=replicaset, owner=owner, pods=pods, floor=self._floors.get(uid, -1), now=now))
        failures = await self._apply(key, owner, plan)
        failure = Failure(reason=failures[0][0], message=str(failures[0][1])) if failures else None
        wanted = self._face.with_status(owner, status(replicaset, plan, failure, now))
        if wanted != owner:
            self._own_status.wrote(key, await self._client.update_status(wanted))
        if failures:
            raise failures[0][1]
        return Again(plan.again_after_s) if plan.again_after_s else None

    async def _apply(self, key: Key, owner: T, plan: Plan) -> Failures:
        await self._writes.adopt(key, owner, plan.adopt)
        await self._writes.release(key, owner, plan.release)
        failures = await self._writes.create(key, owner, plan.create)
        return failures or await self._writes.delete(key, owner, plan.delete)

    # What concerns whom

    def _owner_changed(self, change: Change[T]) -> None:
        if change.new is None and change.old is not None:
            self._floors.pop(meta_of(change.old).uid, None)
        self.queue.add(change.key)

    def _pod_changed(self, change: Change[Pod], before: Controller, after: Controller) -> None:
        same = before == after  # then its slot was noted when it came, and is again when it goes
        for controller in (after,) if same else (before, after):
            if controller is not None and controller.kind == self._kind:
                if not same and self._known(controller, change.key.namespace):
                    self._note_slot(change.key.name, controller.name, controller.uid)
                pause_s = self._pods.count("controller", controller.uid) * COUNTED_S if same else 0.0
                self.queue.add_after(Key(change.key.namespace, controller.name), pause_s)

    def _orphan_changed(self, pod: Pod) -> None:
        if pod.metadata.labels:
            for owner in self._owners.items(pod.metadata.namespace):
                if selects(self._face.view(owner), pod):
                    self.queue.add(key_of(owner))

    def _taken(self, owner: msgspec.Struct, pod: Pod) -> None:
        self._note_slot(pod.metadata.name, meta_of(owner).name, meta_of(owner).uid)

    def _note_slot(self, name: str, owner: str, uid: str) -> None:
        slot = naming.slot_of(name, owner, uid)
        if slot is not None and slot > self._floors.get(uid, -1):
            self._floors[uid] = slot

    def _known(self, controller: OwnerReference, namespace: str) -> bool:
        present = self._owners.get(controller.name, namespace)
        return present is not None and meta_of(present).uid == controller.uid


def selects(owner: ReplicaSet, pod: Pod) -> bool:
    selector = Selector.from_label_selector(owner.spec.selector)
    return bool(str(selector)) and selector.matches(pod.metadata.labels)
