"""When a CronJob makes a Job, and which of its Jobs it forgets."""

from __future__ import annotations

import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api.types.batch_v1 import CronJob, CronJobSpec, CronJobStatus, Job, JobCondition, JobStatus, JobTemplateSpec
from knarr_api.types.core_v1 import ObjectReference
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.controllers.cronjob.decide import SCHEDULED, World, decide

NOW = datetime.datetime(2030, 1, 1, 12, 0, 30, tzinfo=datetime.UTC)
replace = msgspec.structs.replace


def ago(**span):
    return NOW - datetime.timedelta(**span)


def cron(last=None, active=(), **spec):
    return CronJob(
        metadata=ObjectMeta(name="nightly", namespace="default", uid="cron-uid", creation_timestamp=ago(days=1)),
        spec=CronJobSpec(**{"schedule": "*/5 * * * *", "job_template": JobTemplateSpec(), **spec}),
        status=CronJobStatus(last_schedule_time=last, active=active),
    )


def job(name, *, end="", age_s=100, scheduled=True):
    conditions = (JobCondition(type=end, status="True"),) if end else ()
    return Job(
        metadata=ObjectMeta(
            name=name,
            namespace="default",
            uid=f"uid-{name}",
            annotations={SCHEDULED: "2030"} if scheduled else {},
            creation_timestamp=ago(seconds=age_s),
        ),
        status=JobStatus(conditions=conditions, start_time=ago(seconds=age_s)),
    )


def plan(cron_job, *jobs, now=NOW):
    return decide(World(cron_job=cron_job, jobs=jobs, now=now))


def reasons(decided):
    return [note.reason for note in decided.notes]


def test_of_missed_times_the_last_counts():
    decided = plan(cron(last=ago(minutes=23)))
    assert decided.create.metadata.name == f"nightly-{int(NOW.timestamp()) // 60}"
    assert decided.status.last_schedule_time == NOW.replace(second=0)
    assert decided.again_after_s == 60


def test_nothing_is_made_twice():
    decided = plan(cron(last=NOW.replace(second=0)))
    assert decided.create is None
    made = plan(cron(last=ago(minutes=10))).create
    again = plan(cron(last=ago(minutes=10)), replace(made, metadata=replace(made.metadata, uid="u")))
    assert again.create is None and again.status.last_schedule_time == NOW.replace(second=0)


def test_many_missed_times_are_told_of():
    decided = plan(cron(last=ago(days=2)))
    assert "TooManyMissedTimes" in reasons(decided) and decided.create is not None
    assert "TooManyMissedTimes" not in reasons(plan(cron(last=ago(days=2), starting_deadline_seconds=3600)))


@pytest.mark.parametrize(("deadline_s", "made"), [(10, False), (29, False), (30, True), (100, True)])
def test_too_late_is_not_made(deadline_s, made):
    decided = plan(cron(last=ago(minutes=10), starting_deadline_seconds=deadline_s))
    assert (decided.create is not None) == made
    assert ("MissSchedule" in reasons(decided)) != made


def test_jobs_made_by_hand_do_not_stand_in_the_way():
    running = job("by-hand", scheduled=False)
    assert plan(cron(last=ago(minutes=10), concurrency_policy="Forbid"), running).create is not None
    assert plan(cron(last=ago(minutes=10), concurrency_policy="Forbid"), job("own")).create is None
    assert plan(cron(last=ago(minutes=10), concurrency_policy="Replace"), running).delete == ()


def test_the_list_of_active_jobs_follows_the_jobs():
    active = tuple(ObjectReference(name=name, uid=f"uid-{name}") for name in ("gone", "done", "runs"))
    decided = plan(cron(last=NOW, active=active), job("done", end="Complete"), job("runs"), job("new"))
    assert [each.name for each in decided.status.active] == ["runs", "new"]
    assert reasons(decided) == ["MissingJob", "SawCompletedJob"]


def test_what_cannot_be_read_is_told_of():
    assert reasons(plan(cron(schedule="bad"))) == ["UnparseableSchedule"]
    assert reasons(plan(cron(time_zone="Mars/Base"))) == ["UnknownTimeZone"]


@given(
    st.lists(st.tuples(st.sampled_from(["", "Complete", "Failed"]), st.integers(0, 9))),
    st.integers(0, 4),
    st.integers(0, 4),
)
def test_history_keeps_the_newest(ends, successful, failed):
    jobs = [job(f"j{number}", end=end, age_s=age_s) for number, (end, age_s) in enumerate(ends)]
    owner = cron(last=NOW, successful_jobs_history_limit=successful, failed_jobs_history_limit=failed)
    gone = {each.metadata.name for each in plan(owner, *jobs).delete}
    for end, limit in (("Complete", successful), ("Failed", failed)):
        all_ = [each for each in jobs if each.status.conditions and each.status.conditions[0].type == end]
        kept = [each for each in all_ if each.metadata.name not in gone]
        assert len(kept) == min(limit, len(all_))
        removed = [each.status.start_time for each in all_ if each.metadata.name in gone]
        assert not removed or not kept or max(removed) <= min(each.status.start_time for each in kept)
    assert not gone & {each.metadata.name for each in jobs if not each.status.conditions}
