"""Carries out what ``decide`` plans for a Deployment."""

from __future__ import annotations

import msgspec

from knarr_api import errors
from knarr_api.labels import Selector
from knarr_api.types.apps_v1 import Deployment, DeploymentStatus, ReplicaSet
from knarr_api.types.core_v1 import Pod
from knarr_client.client import Client, Key, key_of
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder
from knarr_client.informer import Change
from knarr_client.reconcile import Again
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers import notes, ownership
from knarr_controlplane.controllers.deployment import revisions
from knarr_controlplane.controllers.deployment.decide import Plan, World, decide
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.own_writes import OwnWrites
from knarr_controlplane.controllers.pods import state

LOOK_AGAIN_S = 1.0


class DeploymentController:
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
        self._deployments = informers.of(Deployment)
        self._replicasets = informers.of(ReplicaSet)
        self._pods = informers.of(Pod)
        self._pods.add_index("controller", ownership.controller_uid)
        self._replicasets.add_index("controller", ownership.controller_uid)
        self._replicasets.add_index("orphans", ownership.orphan_namespace)
        self._own: OwnWrites[Key, ReplicaSet] = OwnWrites(self._replicasets, clock)
        self._own_status: OwnWrites[Key, Deployment] = OwnWrites(self._deployments, clock)
        self._deployments.enqueue_to(queue)
        self._replicasets.add_handler(self._replicaset_changed)
        self._pods.add_handler(self._pod_changed)

    async def reconcile(self, key: Key) -> Again | None:
        deployment = self._deployments.by_key(key)
        if deployment is None:
            self._own.forget(key)
            self._own_status.forget(key)
            return None
        await self._own.settle(key, self._client)
        if not self._own.seen(key) or not self._own_status.seen(key):
            return Again(LOOK_AGAIN_S)
        plan = decide(self._observe(deployment))
        await self._apply(key, deployment, plan)
        return Again(plan.again_after_s) if plan.again_after_s is not None else None

    def _observe(self, deployment: Deployment) -> World:
        metadata = deployment.metadata
        owned = self._replicasets.by_index("controller", metadata.uid)
        orphans = self._replicasets.by_index("orphans", metadata.namespace)
        left = frozenset(
            each.metadata.uid
            for each in owned
            if any(not state.is_ended(pod) for pod in self._pods.by_index("controller", each.metadata.uid))
        )
        return World(deployment=deployment, replicasets=(*owned, *orphans), pods_left=left, now=self._clock.now())

    async def _apply(self, key: Key, deployment: Deployment, plan: Plan) -> None:
        await self._apply_owners(key, deployment, plan)
        collided = False
        if plan.create is not None:
            collided = not await self._create(key, deployment, plan.create)
        for replicaset in plan.update:
            self._own.attempt(key, replicaset)
            self._own.wrote(key, await self._client.update(replicaset))
        for replicaset in plan.delete:
            await self._delete(key, replicaset)
        if not collided:
            notes.record(self._recorder, deployment, plan.notes)
        await self._apply_status(key, deployment, plan, collided=collided)

    async def _apply_owners(self, key: Key, deployment: Deployment, plan: Plan) -> None:
        if plan.adopt:
            metadata = deployment.metadata
            live = await self._client.get(Deployment, metadata.name, metadata.namespace)
            if live.metadata.uid != metadata.uid or live.metadata.deletion_timestamp is not None:
                raise errors.Conflict(f'deployments.apps "{metadata.name}" has been deleted')
        for replicaset in plan.adopt:
            self._own.attempt(key, replicaset)
            self._own.wrote(key, await self._client.update(ownership.with_controller(replicaset, deployment)))
        for replicaset in plan.release:
            released = ownership.without_owner(replicaset, (deployment.metadata.uid,))
            self._own.attempt(key, replicaset)
            self._own.wrote(key, await self._client.update(released))

    async def _create(self, key: Key, deployment: Deployment, replicaset: ReplicaSet) -> bool:
        """False: another template has this name, the collision count must go up."""
        self._own.attempt(key, replicaset)
        try:
            self._own.wrote(key, await self._client.create(replicaset))
        except errors.AlreadyExists:
            metadata = replicaset.metadata
            present = await self._client.get(ReplicaSet, metadata.name, metadata.namespace)
            controller = ownership.controller_of(present)
            ours = controller is not None and controller.uid == deployment.metadata.uid
            if not ours or not revisions.same_template(present.spec.template, replicaset.spec.template):
                self._own.refused(key, replicaset)
                return False
            self._own.wrote(key, present)
        return True

    async def _delete(self, key: Key, replicaset: ReplicaSet) -> None:
        metadata = replicaset.metadata
        self._own.deleting(key, replicaset)
        try:
            await self._client.delete(
                ReplicaSet,
                metadata.name,
                metadata.namespace,
                uid=metadata.uid,
                resource_version=metadata.resource_version,
            )
        except (errors.NotFound, errors.Conflict):
            self._own.not_deleting(key, replicaset)
        except errors.KnarrError:
            self._own.doubt_deletion(key, replicaset)
            raise

    async def _apply_status(self, key: Key, deployment: Deployment, plan: Plan, *, collided: bool) -> None:
        metadata = deployment.metadata
        revision = metadata.resource_version
        if plan.revision and not collided:
            patch = {"metadata": {"resourceVersion": revision, "annotations": {revisions.REVISION: plan.revision}}}
            written = await self._client.patch(Deployment, metadata.name, metadata.namespace, patch=patch)
            self._own_status.wrote(key, written)
            revision = written.metadata.resource_version
        status = _with_collision(deployment.status) if collided else plan.status
        if status is None or status == deployment.status:
            return
        changed = msgspec.structs.replace(
            deployment, status=status, metadata=msgspec.structs.replace(metadata, resource_version=revision)
        )
        self._own_status.wrote(key, await self._client.update_status(changed))

    # What concerns whom

    def _replicaset_changed(self, change: Change[ReplicaSet]) -> None:
        for replicaset in (change.old, change.new):
            controller = ownership.controller_of(replicaset) if replicaset is not None else None
            if controller is not None and controller.kind == "Deployment":
                self.queue.add(Key(change.key.namespace, controller.name))
        replicaset = change.new
        if replicaset is not None and ownership.controller_of(replicaset) is None:
            for deployment in self._deployments.items(change.key.namespace):
                selector = Selector.from_label_selector(deployment.spec.selector)
                if str(selector) and selector.matches(replicaset.metadata.labels):
                    self.queue.add(key_of(deployment))

    def _pod_changed(self, change: Change[Pod]) -> None:
        """Recreate waits for the last pod to go; everything else shows in the ReplicaSets' status."""
        old = change.old
        if old is None or (change.new is not None and not state.is_ended(change.new)):
            return
        controller = ownership.controller_of(old)
        if controller is None or controller.kind != "ReplicaSet":
            return
        replicaset = self._replicasets.get(controller.name, change.key.namespace)
        owner = ownership.controller_of(replicaset) if replicaset is not None else None
        if owner is not None and owner.kind == "Deployment":
            self.queue.add(Key(change.key.namespace, owner.name))


def _with_collision(status: DeploymentStatus) -> DeploymentStatus:
    return msgspec.structs.replace(status, collision_count=(status.collision_count or 0) + 1)
