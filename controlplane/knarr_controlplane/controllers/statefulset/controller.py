"""Carries out what ``decide`` plans for a StatefulSet."""

from __future__ import annotations

import msgspec

from knarr_api import errors
from knarr_api.types.apps_v1 import ControllerRevision, StatefulSet, StatefulSetStatus
from knarr_api.types.core_v1 import PersistentVolumeClaim, Pod
from knarr_client.client import Client, Key
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder
from knarr_client.informer import Change
from knarr_client.reconcile import Again
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers import notes, ownership
from knarr_controlplane.controllers.history_writes import HistoryWrites
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.own_writes import OwnWrites
from knarr_controlplane.controllers.pods.controlled import Controller
from knarr_controlplane.controllers.pods.writes import PodWrites, Wording
from knarr_controlplane.controllers.statefulset import identity
from knarr_controlplane.controllers.statefulset.decide import Plan, World, decide

LOOK_AGAIN_S = 1.0
WORDING = Wording(
    created="create Pod {pod} in StatefulSet {owner} successful",
    not_created="create Pod {pod} in StatefulSet {owner} failed error: {error}",
    deleted="delete Pod {pod} in StatefulSet {owner} successful",
    not_deleted="delete Pod {pod} in StatefulSet {owner} failed error: {error}",
)


class StatefulSetController:
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
        self._stateful_sets = informers.of(StatefulSet)
        self._pods = informers.of(Pod)
        self._revisions = informers.of(ControllerRevision)
        self._claims = informers.of(PersistentVolumeClaim)
        self._pods.add_index("controller", ownership.controller_uid)
        self._pods.add_index("orphans", ownership.orphan_namespace)
        self._revisions.add_index("controller", ownership.controller_uid)
        self._revisions.add_index("orphans", ownership.orphan_namespace)
        self._writes = PodWrites(client, self._pods, recorder, clock, wording=WORDING)
        self._history = HistoryWrites(client, self._revisions, clock)
        self._own_claims: OwnWrites[Key, PersistentVolumeClaim] = OwnWrites(self._claims, clock)
        self._own_status: OwnWrites[Key, StatefulSet] = OwnWrites(self._stateful_sets, clock)
        self._stateful_sets.enqueue_to(queue)
        informers.controlled.tell("StatefulSet", self._pod_changed, self._orphan_changed)

    async def reconcile(self, key: Key) -> Again | None:
        stateful = self._stateful_sets.by_key(key)
        if stateful is None:
            self._writes.forget(key)
            self._history.forget(key)
            self._own_claims.forget(key)
            self._own_status.forget(key)
            return None
        await self._own_claims.settle(key, self._client)
        caught_up = await self._writes.caught_up(key) and await self._history.caught_up(key)
        if not caught_up or not self._own_claims.seen(key) or not self._own_status.seen(key):
            return Again(LOOK_AGAIN_S)
        plan = decide(self._observe(stateful))
        await self._apply(key, stateful, plan)
        return Again(plan.again_after_s) if plan.again_after_s is not None else None

    def _observe(self, stateful: StatefulSet) -> World:
        uid, namespace = stateful.metadata.uid, stateful.metadata.namespace
        claims = self._claims.items(namespace) if stateful.spec.volume_claim_templates else ()
        return World(
            stateful=stateful,
            pods=(*self._pods.by_index("controller", uid), *self._pods.by_index("orphans", namespace)),
            revisions=(*self._revisions.by_index("controller", uid), *self._revisions.by_index("orphans", namespace)),
            claims={claim.metadata.name: claim for claim in claims},
            now=self._clock.now(),
        )

    async def _apply(self, key: Key, stateful: StatefulSet, plan: Plan) -> None:
        await self._writes.adopt(key, stateful, plan.adopt)
        await self._writes.release(key, stateful, plan.release)
        await self._history.adopt(key, stateful, plan.adopt_revisions)
        if plan.history is not None and not await self._history.write(key, stateful, plan.history):
            await self._write_status(key, stateful, _with_collision(stateful.status))
            return
        notes.record(self._recorder, stateful, plan.notes)
        for pod in plan.identify:
            await self._writes.change_metadata(key, pod)
        for claim in plan.own_claims:
            self._own_claims.attempt(key, claim)
            self._own_claims.wrote(key, await self._client.update(claim))
        for claim in plan.create_claims:
            await self._create_claim(key, stateful, claim)
        failures = await self._writes.delete(key, stateful, plan.delete)
        failures += await self._writes.create(key, stateful, plan.create)
        if plan.status is not None:
            await self._write_status(key, stateful, plan.status)
        if failures:
            raise failures[0][1]
        await self._history.delete(key, plan.forget)

    async def _create_claim(self, key: Key, stateful: StatefulSet, claim: PersistentVolumeClaim) -> None:
        text = f"create Claim {claim.metadata.name} in StatefulSet {stateful.metadata.name}"
        self._own_claims.attempt(key, claim)
        try:
            self._own_claims.wrote(key, await self._client.create(claim))
        except errors.AlreadyExists:
            return
        except errors.KnarrError as error:
            self._recorder.warning(stateful, "FailedCreate", f"{text} failed error: {error}")
            raise
        self._recorder.normal(stateful, "SuccessfulCreate", f"{text} success")

    async def _write_status(self, key: Key, stateful: StatefulSet, status: StatefulSetStatus) -> None:
        if status != stateful.status:
            written = await self._client.update_status(msgspec.structs.replace(stateful, status=status))
            self._own_status.wrote(key, written)

    # What concerns whom

    def _pod_changed(self, change: Change[Pod], before: Controller, after: Controller) -> None:
        for controller in (before, after):
            if controller is not None and controller.kind == "StatefulSet":
                self.queue.add(Key(change.key.namespace, controller.name))

    def _orphan_changed(self, pod: Pod) -> None:
        namespace, name = pod.metadata.namespace, pod.metadata.name.rpartition("-")[0]
        stateful = self._stateful_sets.get(name, namespace) if name else None
        if stateful is not None and identity.ordinal_of(pod, stateful) is not None:
            self.queue.add(Key(namespace, name))


def _with_collision(status: StatefulSetStatus) -> StatefulSetStatus:
    return msgspec.structs.replace(status, collision_count=(status.collision_count or 0) + 1)
