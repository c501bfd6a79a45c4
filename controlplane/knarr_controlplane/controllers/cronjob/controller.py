"""Carries out what ``decide`` plans for a CronJob."""

from __future__ import annotations

import msgspec

from knarr_api import errors
from knarr_api.types.batch_v1 import CronJob, CronJobStatus, Job
from knarr_client.client import Client, Key
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder
from knarr_client.informer import Change
from knarr_client.reconcile import Again
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers import notes, ownership
from knarr_controlplane.controllers.cronjob.decide import Plan, World, decide, with_active
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.own_writes import OwnWrites

LOOK_AGAIN_S = 1.0


class CronJobController:
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
        self._cron_jobs = informers.of(CronJob)
        self._jobs = informers.of(Job)
        self._jobs.add_index("controller", ownership.controller_uid)
        self._own: OwnWrites[Key, Job] = OwnWrites(self._jobs, clock)
        self._own_status: OwnWrites[Key, CronJob] = OwnWrites(self._cron_jobs, clock)
        self._cron_jobs.enqueue_to(queue)
        self._jobs.add_handler(self._job_changed)

    async def reconcile(self, key: Key) -> Again | None:
        cron_job = self._cron_jobs.by_key(key)
        if cron_job is None:
            self._own.forget(key)
            self._own_status.forget(key)
            return None
        await self._own.settle(key, self._client)
        if not self._own.seen(key) or not self._own_status.seen(key):
            return Again(LOOK_AGAIN_S)
        jobs = self._jobs.by_index("controller", cron_job.metadata.uid)
        plan = decide(World(cron_job=cron_job, jobs=jobs, now=self._clock.now()))
        await self._apply(key, cron_job, plan)
        return Again(plan.again_after_s) if plan.again_after_s is not None else None

    async def _apply(self, key: Key, cron_job: CronJob, plan: Plan) -> None:
        notes.record(self._recorder, cron_job, plan.notes)
        for job in plan.delete:
            await self._delete(key, cron_job, job)
        status = plan.status
        if plan.create is not None:
            status = await self._create(key, cron_job, plan.create, status)
        if status != cron_job.status:
            written = await self._client.update_status(msgspec.structs.replace(cron_job, status=status))
            self._own_status.wrote(key, written)

    async def _create(self, key: Key, cron_job: CronJob, job: Job, status: CronJobStatus) -> CronJobStatus:
        """The status with the new Job in it."""
        self._own.attempt(key, job)
        try:
            created = await self._client.create(job)
        except errors.AlreadyExists:
            present = await self._client.get(Job, job.metadata.name, job.metadata.namespace)
            controller = ownership.controller_of(present)
            if controller is None or controller.uid != cron_job.metadata.uid:
                self._own.refused(key, job)
                text = f'Error creating job: job "{job.metadata.name}" belongs to another'
                self._recorder.warning(cron_job, "FailedCreate", text)
                return status
            self._own.wrote(key, present)
            return with_active(status, present)
        except errors.KnarrError as error:
            if isinstance(error, errors.Invalid | errors.Forbidden | errors.NotFound):
                self._own.refused(key, job)
            self._recorder.warning(cron_job, "FailedCreate", f"Error creating job: {error}")
            raise
        self._own.wrote(key, created)
        self._recorder.normal(cron_job, "SuccessfulCreate", f"Created job {job.metadata.name}")
        return with_active(status, created)

    async def _delete(self, key: Key, cron_job: CronJob, job: Job) -> None:
        metadata = job.metadata
        self._own.deleting(key, job)
        try:
            await self._client.delete(Job, metadata.name, metadata.namespace, uid=metadata.uid)
        except (errors.NotFound, errors.Conflict):
            self._own.not_deleting(key, job)
            return
        except errors.KnarrError as error:
            self._own.doubt_deletion(key, job)
            self._recorder.warning(cron_job, "FailedDelete", f"Deleted job: {error}")
            raise
        self._recorder.normal(cron_job, "SuccessfulDelete", f"Deleted job {metadata.name}")

    def _job_changed(self, change: Change[Job]) -> None:
        for job in (change.old, change.new):
            controller = ownership.controller_of(job) if job is not None else None
            if controller is not None and controller.kind == "CronJob":
                self.queue.add(Key(change.key.namespace, controller.name))
