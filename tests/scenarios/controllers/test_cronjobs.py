"""CronJobs over hours of virtual time."""

from __future__ import annotations

from typing import Any

from knarr_api.types.batch_v1 import CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec
from knarr_api.types.core_v1 import Container, Event, PodSpec, PodTemplateSpec
from knarr_api.types.meta_v1 import ObjectMeta

MINUTE_S = 60.0
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


def nightly(**spec: Any) -> CronJob:
    pod = PodSpec(restart_policy="Never", containers=(Container(name="main", image="work:1"),))
    template = JobTemplateSpec(
        metadata=ObjectMeta(labels={"app": "nightly"}),
        spec=JobSpec(template=PodTemplateSpec(spec=pod), backoff_limit=0),
    )
    return CronJob(
        metadata=ObjectMeta(name="nightly", namespace="default"),
        spec=CronJobSpec(**{"schedule": "* * * * *", "job_template": template, **spec}),
    )


def the_cron_job(cluster: Any) -> CronJob:
    return next(iter(cluster.all(CronJob)))


def reasons(cluster: Any) -> list[str]:
    return [each.reason for each in cluster.all(Event) if each.involved_object.kind == "CronJob"]


def test_jobs_come_in_time_and_old_ones_go(play):
    async def scenario(cluster):
        cluster.exit_code = lambda pod: 0
        start = cluster.clock.now()
        await cluster.client.create(nightly())
        await cluster.clock.until(7.05 * MINUTE_S)
        jobs = sorted(cluster.all(Job), key=lambda job: job.metadata.name)
        due = [start.timestamp() // 60 + minutes for minutes in (5, 6, 7)]
        assert [job.metadata.name for job in jobs] == [f"nightly-{int(minute)}" for minute in due]
        status = the_cron_job(cluster).status
        assert status.last_schedule_time.timestamp() // 60 == due[-1]
        assert jobs[0].metadata.annotations[SCHEDULED] == "2030-01-01T00:05:00Z"
        assert jobs[0].metadata.labels == {"app": "nightly"}
        await cluster.clock.sleep(10)
        status = the_cron_job(cluster).status
        assert status.active == () and status.last_successful_time is not None
        assert {"SuccessfulCreate", "SawCompletedJob", "SuccessfulDelete"} <= set(reasons(cluster))
        assert len(cluster.pods()) == 3

    play(scenario)


def test_forbid_waits_for_the_one_that_runs(play):
    async def scenario(cluster):
        await cluster.client.create(nightly(concurrency_policy="Forbid"))
        await cluster.clock.until(3.5 * MINUTE_S)
        assert len(cluster.all(Job)) == 1 and len(the_cron_job(cluster).status.active) == 1
        assert "JobAlreadyActive" in reasons(cluster)
        first = cluster.all(Job)[0].metadata.name
        cluster.exit_code = lambda pod: 0 if pod.metadata.name.startswith(first) else None
        # The one that was missed last is made up for.
        await cluster.until(lambda: len(cluster.all(Job)) == 2, within_s=20)

    play(scenario)


def test_replace_ends_the_one_that_runs(play):
    async def scenario(cluster):
        await cluster.client.create(nightly(concurrency_policy="Replace"))
        await cluster.clock.until(3.5 * MINUTE_S)
        assert [job.metadata.name[-1] for job in cluster.all(Job)] == ["3"]
        assert len(cluster.pods(active=False)) == 1
        assert the_cron_job(cluster).status.active[0].name == cluster.all(Job)[0].metadata.name

    play(scenario)


def test_allow_runs_beside(play):
    async def scenario(cluster):
        await cluster.client.create(nightly())
        await cluster.clock.until(3.5 * MINUTE_S)
        assert len(cluster.all(Job)) == 3 == len(the_cron_job(cluster).status.active)

    play(scenario)


def test_suspended_ones_make_nothing(play):
    async def scenario(cluster):
        await cluster.client.create(nightly(suspend=True))
        await cluster.clock.until(3.5 * MINUTE_S)
        assert cluster.all(Job) == ()
        await cluster.client.patch(CronJob, "nightly", "default", patch={"spec": {"suspend": False}})
        # All but the last are too late.
        await cluster.until(lambda: len(cluster.all(Job)) == 1, within_s=2)

    play(scenario)


def test_what_is_too_late_is_not_made(play):
    async def scenario(cluster):
        await cluster.client.create(nightly(starting_deadline_seconds=20))
        await cluster.stop_controllers()
        await cluster.clock.until(1.5 * MINUTE_S)
        cluster.start_controllers()
        await cluster.clock.sleep(10)
        assert cluster.all(Job) == () and "MissSchedule" in reasons(cluster)
        await cluster.clock.until(2.1 * MINUTE_S)
        assert len(cluster.all(Job)) == 1

    play(scenario)


def test_failed_ones_have_a_limit_of_their_own(play):
    async def scenario(cluster):
        cluster.exit_code = lambda pod: 1
        await cluster.client.create(nightly())
        await cluster.clock.until(4.5 * MINUTE_S)
        assert len(cluster.all(Job)) == 1

    play(scenario)


def test_time_zones(play):
    async def scenario(cluster):
        # The clock starts at midnight UTC, which is 01:00 in Berlin.
        await cluster.client.create(nightly(schedule="2 1 * * *", time_zone="Europe/Berlin"))
        await cluster.clock.until(2.1 * MINUTE_S)
        (job,) = cluster.all(Job)
        assert (
            job.metadata.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"] == "2030-01-01T01:02:00+01:00"
        )

    play(scenario)


def test_a_lost_status_makes_no_second_job(play):
    async def scenario(cluster):
        cluster.exit_code = lambda pod: 0
        cluster.controllers.lose_every(5)
        await cluster.client.create(nightly(successful_jobs_history_limit=10))
        await cluster.clock.until(6.2 * MINUTE_S)
        assert len(cluster.all(Job)) == 6 == len({job.metadata.name for job in cluster.all(Job)})

    play(scenario)
