"""What a CronJob needs: a pure function from what is to a plan.

A Job's name is made of the minute it is due, so none is made twice. Of times that were missed only the last counts.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from knarr_api.errors import Invalid
from knarr_api.schedule import Schedule, zone
from knarr_api.types.batch_v1 import CronJob, CronJobStatus, Job, JobTemplateSpec
from knarr_api.types.core_v1 import ObjectReference
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.job import conditions
from knarr_controlplane.controllers.notes import Note

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MISSED_MAX = 100
LOOK_AGAIN_MAX_S = 60.0
"""The wall clock may be set: it is looked at so often even if nothing is due for long."""
SLACK_S = 0.1
SUCCESSFUL_KEPT, FAILED_KEPT = 3, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """jobs: all that this CronJob controls."""

    cron_job: CronJob
    jobs: tuple[Job, ...]
    now: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """In the order of its fields. status: without the Job that is to be made."""

    delete: tuple[Job, ...] = ()
    create: Job | None = None
    status: CronJobStatus
    notes: tuple[Note, ...] = ()
    again_after_s: float | None = None


def decide(world: World) -> Plan:
    cron_job = world.cron_job
    status, notes = _status(world)
    delete = _history(cron_job, world.jobs)
    if cron_job.metadata.deletion_timestamp is not None or cron_job.spec.suspend:
        return Plan(delete=delete, status=status, notes=notes)
    try:
        place = zone(cron_job.spec.time_zone)
    except Invalid as error:
        text = f'invalid timeZone: "{cron_job.spec.time_zone}": {error}'
        return Plan(delete=delete, status=status, notes=(*notes, _warning("UnknownTimeZone", text)))
    try:
        schedule = Schedule.parse(cron_job.spec.schedule)
    except Invalid as error:
        text = f'unparseable schedule: "{cron_job.spec.schedule}" : {error}'
        return Plan(delete=delete, status=status, notes=(*notes, _warning("UnparseableSchedule", text)))
    again_after_s = _next_look_s(schedule, world.now, place)
    due, missed = _due(cron_job, schedule, world.now, place)
    notes += missed
    if due is None:
        return Plan(delete=delete, status=status, notes=notes, again_after_s=again_after_s)
    made = job_for(cron_job, due, place)
    present = next((each for each in world.jobs if each.metadata.name == made.metadata.name), None)
    if present is not None:
        # Made before, but what was to be written afterwards was lost.
        status = msgspec.structs.replace(status, last_schedule_time=due)
        return Plan(delete=delete, status=status, notes=notes, again_after_s=again_after_s)
    active = [each for each in world.jobs if _is_active(cron_job, each)]
    if active and cron_job.spec.concurrency_policy == "Forbid":
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        notes = (*notes, Note(reason="JobAlreadyActive", message=text))
        return Plan(delete=delete, status=status, notes=notes, again_after_s=again_after_s)
    if cron_job.spec.concurrency_policy == "Replace":
        delete = (*delete, *active)
        status = msgspec.structs.replace(status, active=())
    status = msgspec.structs.replace(status, last_schedule_time=due)
    return Plan(delete=delete, create=made, status=status, notes=notes, again_after_s=again_after_s)


def job_for(cron_job: CronJob, due: datetime.datetime, place: datetime.tzinfo) -> Job:
    template = cron_job.spec.job_template or JobTemplateSpec()
    at = due.astimezone(place).isoformat(timespec="seconds").replace("+00:00", "Z")
    metadata = ObjectMeta(
        name=f"{cron_job.metadata.name}-{int(due.timestamp()) // 60}",
        namespace=cron_job.metadata.namespace,
        labels=template.metadata.labels,
        annotations={**template.metadata.annotations, SCHEDULED: at},
        owner_references=(ownership.controller_reference(cron_job),),
    )
    return Job(metadata=metadata, spec=template.spec)


def with_active(status: CronJobStatus, job: Job) -> CronJobStatus:
    return msgspec.structs.replace(status, active=(*status.active, _reference(job)))


def _due(
    cron_job: CronJob, schedule: Schedule, now: datetime.datetime, place: datetime.tzinfo
) -> tuple[datetime.datetime | None, tuple[Note, ...]]:
    """The last time that has come and was not served."""
    since = cron_job.status.last_schedule_time or cron_job.metadata.creation_timestamp or now
    deadline_s = cron_job.spec.starting_deadline_seconds
    due = schedule.latest(since, now, place)
    if due is None:
        return None, ()
    if deadline_s is not None and due + datetime.timedelta(seconds=deadline_s) < now:
        text = f"Missed scheduled time to start a job: {due.astimezone(place).strftime('%a, %d %b %Y %H:%M:%S %z')}"
        return None, (_warning("MissSchedule", text),)
    if deadline_s is not None:
        since = max(since, now - datetime.timedelta(seconds=deadline_s))
    if _missed(schedule, since, now, place) > MISSED_MAX:
        text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        return due, (_warning("TooManyMissedTimes", text),)
    return due, ()


def _missed(schedule: Schedule, since: datetime.datetime, now: datetime.datetime, place: datetime.tzinfo) -> int:
    """How many times lie between, as far as it matters."""

    count, at = 0, schedule.after(since, place)
    while at is not None and at <= now and count <= MISSED_MAX:
        count, at = count + 1, schedule.after(at, place)
    return count


def _next_look_s(schedule: Schedule, now: datetime.datetime, place: datetime.tzinfo) -> float:
    coming = schedule.after(now, place)
    if coming is None:
        return LOOK_AGAIN_MAX_S
    return min((coming - now).total_seconds() + SLACK_S, LOOK_AGAIN_MAX_S)


def _warning(reason: str, message: str) -> Note:
    return Note(reason=reason, message=message, warning=True)


def _is_active(cron_job: CronJob, job: Job) -> bool:
    """Made by the schedule (not by hand from the template) and not finished."""
    listed = any(each.uid == job.metadata.uid for each in cron_job.status.active)
    return (listed or SCHEDULED in job.metadata.annotations) and conditions.finished(job) is None


def _status(world: World) -> tuple[CronJobStatus, tuple[Note, ...]]:
    cron_job = world.cron_job
    present = {each.metadata.uid: each for each in world.jobs}
    notes: list[Note] = []
    kept: list[ObjectReference] = []
    for reference in cron_job.status.active:
        job = present.get(reference.uid)
        if job is None:
            notes.append(Note(reason="MissingJob", message=f"Active job went missing: {reference.name}"))
        elif (end := conditions.finished(job)) is not None:
            text = f"Saw completed job: {reference.name}, condition: {end.type}"
            notes.append(Note(reason="SawCompletedJob", message=text))
        else:
            kept.append(reference)
    known = {reference.uid for reference in kept}
    kept += [
        _reference(job)
        for job in sorted(world.jobs, key=_age)
        if _is_active(cron_job, job) and job.metadata.uid not in known
    ]
    ends = [cron_job.status.last_successful_time, *(job.status.completion_time for job in world.jobs)]
    last = max((end for end in ends if end is not None), default=None)
    return msgspec.structs.replace(cron_job.status, active=tuple(kept), last_successful_time=last), tuple(notes)


def _history(cron_job: CronJob, jobs: Sequence[Job]) -> tuple[Job, ...]:
    """Finished Jobs beyond the limits, the oldest first."""
    superfluous: list[Job] = []
    spec = cron_job.spec
    for type_, given, default in (
        (conditions.COMPLETE, spec.successful_jobs_history_limit, SUCCESSFUL_KEPT),
        (conditions.FAILED, spec.failed_jobs_history_limit, FAILED_KEPT),
    ):
        ended = sorted((job for job in jobs if conditions.find(job.status.conditions, type_) is not None), key=_age)
        limit = default if given is None else given
        superfluous += ended[: max(0, len(ended) - limit)]
    return tuple(job for job in superfluous if job.metadata.deletion_timestamp is None)


def _age(job: Job) -> tuple[float, str]:
    start = job.status.start_time or job.metadata.creation_timestamp
    return (start.timestamp() if start is not None else 0.0, job.metadata.name)


def _reference(job: Job) -> ObjectReference:
    metadata = job.metadata
    return ObjectReference(
        api_version=job.api_version,
        kind=job.kind,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        resource_version=metadata.resource_version,
    )
