"""Carries out what ``decide`` plans for a ReplicaSet."""

from __future__ import annotations

import msgspec

from knarr_api.labels import Selector
from knarr_api.types.apps_v1 import ReplicaSet
from knarr_api.types.core_v1 import Pod
from knarr_api.types.meta_v1 import OwnerReference
from knarr_client.client import Client, Key, key_of, meta_of
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder
from knarr_client.informer import Change
from knarr_client.reconcile import Again
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.own_writes import OwnWrites
from knarr_controlplane.controllers.pods.writes import Failures, PodWrites
from knarr_controlplane.controllers.replicaset import naming
from knarr_controlplane.controllers.replicaset.decide import Failure, Plan, World, decide, status

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
        self._clock = clock
        self._replicasets = informers.of(ReplicaSet)
        self._pods = informers.of(Pod)
        self._pods.add_index("controller", controller_uid)
        self._pods.add_index("orphans", orphan_namespace)
        self._writes = PodWrites(client, self._pods, recorder, clock, taken=self._taken)
        self._own_status: OwnWrites[Key, ReplicaSet] = OwnWrites(self._replicasets, clock)
        self._floors: dict[str, int] = {}
        """The highest slot ever seen, by the ReplicaSet's uid."""
        self._replicasets.add_handler(self._replicaset_changed)
        self._pods.add_handler(self._pod_changed)

    async def reconcile(self, key: Key) -> Again | None:
        replicaset = self._replicasets.by_key(key)
        if replicaset is None:
            self._writes.forget(key)
            self._own_status.forget(key)
            return None
        if not await self._writes.caught_up(key) or not self._own_status.seen(key):
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

    async def _apply(self, key: Key, replicaset: ReplicaSet, plan: Plan) -> Failures:
        await self._writes.adopt(key, replicaset, plan.adopt)
        await self._writes.release(key, replicaset, plan.release)
        failures = await self._writes.create(key, replicaset, plan.create)
        return failures or await self._writes.delete(key, replicaset, plan.delete)

    async def _update_status(self, key: Key, replicaset: ReplicaSet, plan: Plan, failures: Failures) -> None:
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

    def _taken(self, owner: msgspec.Struct, pod: Pod) -> None:
        self._note_slot(pod.metadata.name, meta_of(owner).name, meta_of(owner).uid)

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
