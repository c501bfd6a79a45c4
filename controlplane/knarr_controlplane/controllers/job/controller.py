"""Carries out what ``decide`` plans for a Job."""

from __future__ import annotations

import msgspec

from knarr_api import errors
from knarr_api.labels import Selector
from knarr_api.types.batch_v1 import Job
from knarr_api.types.core_v1 import Pod
from knarr_client.client import Client, Key, Propagation, key_of
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder
from knarr_client.informer import Change
from knarr_client.reconcile import Again
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers import notes, ownership
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.job import indexes, template, tracking
from knarr_controlplane.controllers.job.decide import Plan, World, decide
from knarr_controlplane.controllers.own_writes import OwnWrites
from knarr_controlplane.controllers.pods.controlled import Controller
from knarr_controlplane.controllers.pods.writes import PodWrites
from knarr_controlplane.controllers.replicaset import naming

LOOK_AGAIN_S = 1.0
JOB_NAME = "batch.kubernetes.io/job-name"


class JobController:
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
        self._jobs = informers.of(Job)
        self._pods = informers.of(Pod)
        self._pods.add_index("controller", ownership.controller_uid)
        self._pods.add_index("orphans", ownership.orphan_namespace)
        self._pods.add_index("tracked", tracked_job)
        self._writes = PodWrites(client, self._pods, recorder, clock, taken=self._taken)
        self._own_status: OwnWrites[Key, Job] = OwnWrites(self._jobs, clock)
        self._floors: dict[str, int] = {}
        """The lowest number for names of new pods, by the Job's uid: above names that strangers have."""
        self._jobs.add_handler(self._job_changed)
        informers.controlled.tell("Job", self._pod_changed, self._orphan_changed)

    async def reconcile(self, key: Key) -> Again | None:
        job = self._jobs.by_key(key)
        if not await self._writes.caught_up(key):
            return Again(LOOK_AGAIN_S)
        await self._let_go(key, job)
        if job is None:
            self._writes.forget(key)
            self._own_status.forget(key)
            return None
        if not self._own_status.seen(key):
            return Again(LOOK_AGAIN_S)
        floor = self._floors.get(job.metadata.uid, 0)
        plan = decide(World(job=job, pods=await self._pods_of(job), now=self._clock.now(), floor=floor))
        await self._apply(key, job, plan)
        return Again(plan.again_after_s) if plan.again_after_s is not None else None

    async def _pods_of(self, job: Job) -> tuple[Pod, ...]:
        """What the cache shows; but where a pod that is to be counted is not in it, what the API says: a cache older
        than the status would make it count twice."""
        uid, namespace = job.metadata.uid, job.metadata.namespace
        owned = self._pods.by_index("controller", uid)
        listed = job.status.uncounted_terminated_pods
        if listed is not None and not {*listed.succeeded, *listed.failed} <= {pod.metadata.uid for pod in owned}:
            page = await self._client.list(Pod, namespace)
            owned = tuple(pod for pod in page.items if uid in ownership.controller_uid(pod))
        return (*owned, *self._pods.by_index("orphans", namespace))

    async def _apply(self, key: Key, job: Job, plan: Plan) -> None:
        await self._writes.adopt(key, job, plan.adopt)
        await self._writes.release(key, job, plan.release)
        if plan.status is not None and plan.status != job.status:
            written = await self._client.update_status(msgspec.structs.replace(job, status=plan.status))
            self._own_status.wrote(key, written)
        notes.record(self._recorder, job, plan.notes)
        await self._writes.remove_finalizer(key, plan.finalize, tracking.FINALIZER)
        failures = await self._writes.delete(key, job, plan.delete)
        failures += await self._writes.create(key, job, plan.create)
        if failures:
            raise failures[0][1]
        if plan.expire:
            await self._expire(job)

    async def _expire(self, job: Job) -> None:
        metadata = job.metadata
        await self._client.delete(
            Job,
            metadata.name,
            metadata.namespace,
            uid=metadata.uid,
            resource_version=metadata.resource_version,
            propagation=Propagation.FOREGROUND,
        )

    async def _let_go(self, key: Key, job: Job | None) -> None:
        """Pods of a Job of this name that is gone must not be kept by our finalizer."""
        left = [pod for pod in self._pods.by_index("tracked", str(key)) if job is None or not _is_of(pod, job)]
        if not left:
            return
        try:
            live: Job | None = await self._client.get(Job, key.name, key.namespace)
        except errors.NotFound:
            live = None
        gone = [pod for pod in left if live is None or not _is_of(pod, live)]
        await self._writes.remove_finalizer(key, gone, tracking.FINALIZER)

    # What concerns whom

    def _job_changed(self, change: Change[Job]) -> None:
        if change.new is None and change.old is not None:
            self._floors.pop(change.old.metadata.uid, None)
        self.queue.add(change.key)

    def _pod_changed(self, change: Change[Pod], before: Controller, after: Controller) -> None:
        for controller in (before, after):
            if controller is not None and controller.kind == "Job":
                self.queue.add(Key(change.key.namespace, controller.name))

    def _orphan_changed(self, pod: Pod) -> None:
        if tracking.is_tracked(pod) and JOB_NAME in pod.metadata.labels:
            self.queue.add(Key(pod.metadata.namespace, pod.metadata.labels[JOB_NAME]))
        for job in self._jobs.items(pod.metadata.namespace):
            if _selects(job, pod):
                self.queue.add(key_of(job))

    def _taken(self, owner: msgspec.Struct, pod: Pod) -> None:
        assert isinstance(owner, Job)
        uid = owner.metadata.uid
        slot = naming.slot_of(pod.metadata.name, template.prefix(owner, indexes.of(pod)), uid)
        self._floors[uid] = max(self._floors.get(uid, 0), (slot or 0) + 1)


def tracked_job(pod: Pod) -> tuple[str, ...]:
    """Index function: the key of the Job whose finalizer the pod has."""
    if not tracking.is_tracked(pod):
        return ()
    controller = ownership.controller_of(pod)
    name = controller.name if controller is not None else pod.metadata.labels.get(JOB_NAME, "")
    return (str(Key(pod.metadata.namespace, name)),)


def _is_of(pod: Pod, job: Job) -> bool:
    """Controlled by this very Job, or about to be adopted by it."""
    controller = ownership.controller_of(pod)
    return controller.uid == job.metadata.uid if controller is not None else _selects(job, pod)


def _selects(job: Job, pod: Pod) -> bool:
    selector = Selector.from_label_selector(job.spec.selector)
    return bool(str(selector)) and selector.matches(pod.metadata.labels)
