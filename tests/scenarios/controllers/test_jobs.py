"""Jobs from the first pod to the last condition."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from knarr_api.types.batch_v1 import (
    Job,
    JobSpec,
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
    SuccessPolicy,
    SuccessPolicyRule,
)
from knarr_api.types.core_v1 import Container, Event, Node, Pod, PodSpec, PodTemplateSpec, Taint
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import Propagation

INDEX = "batch.kubernetes.io/job-completion-index"
replace = msgspec.structs.replace


def work(**spec: Any) -> Job:
    pod = PodSpec(restart_policy="Never", containers=(Container(name="main", image="work:1"),))
    return Job(
        metadata=ObjectMeta(name="work", namespace="default"), spec=JobSpec(template=PodTemplateSpec(spec=pod), **spec)
    )


def the_job(cluster: Any) -> Job:
    return next(each for each in cluster.all(Job) if each.metadata.name == "work")


def conditions(cluster: Any) -> dict[str, str]:
    return {each.type: each.reason for each in the_job(cluster).status.conditions if each.status == "True"}


async def finished(cluster: Any, *, within_s: float = 30) -> Job:
    await cluster.until(lambda: not conditions(cluster).keys().isdisjoint({"Complete", "Failed"}), within_s=within_s)
    return the_job(cluster)


def index(pod: Pod) -> int:
    return int(pod.metadata.labels[INDEX])


def test_a_job_completes_and_says_so(play):
    async def scenario(cluster):
        cluster.exit_code = lambda pod: 0
        await cluster.client.create(work(completions=5, parallelism=2))
        most = 0
        while "Complete" not in conditions(cluster):
            most = max(most, sum(pod.status.phase not in ("Succeeded", "Failed") for pod in cluster.pods()))
            await cluster.clock.sleep(0.05)
        assert most == 2
        status = the_job(cluster).status
        assert (status.succeeded, status.failed, status.active, status.ready) == (5, None, None, 0)
        assert conditions(cluster) == {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"}
        assert status.completion_time is not None and status.start_time is not None
        assert len(cluster.pods()) == 5
        assert all(pod.metadata.finalizers == () for pod in cluster.pods())
        assert all(pod.metadata.labels["job-name"] == "work" for pod in cluster.pods())
        await cluster.clock.sleep(1)
        reasons = [each.reason for each in cluster.all(Event) if each.involved_object.kind == "Job"]
        assert reasons.count("SuccessfulCreate") == 5 and reasons.count("Completed") == 1

    play(scenario)


def test_failures_are_tried_again_ever_more_slowly_until_the_limit(play):
    async def scenario(cluster):
        cluster.exit_code = lambda pod: 1
        await cluster.client.create(work(backoff_limit=2))
        job = await finished(cluster, within_s=120)
        assert conditions(cluster) == {"FailureTarget": "BackoffLimitExceeded", "Failed": "BackoffLimitExceeded"}
        assert (job.status.failed, job.status.succeeded, job.status.completion_time) == (3, None, None)
        made = sorted(pod.metadata.creation_timestamp for pod in cluster.pods())
        gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(made)]
        assert 10 <= gaps[0] <= 20 and 20 <= gaps[1] <= 30

    play(scenario)


def test_indexed_pods_know_their_index(play):
    async def scenario(cluster):
        cluster.exit_code = lambda pod: 0
        await cluster.client.create(work(completions=4, parallelism=3, completion_mode="Indexed"))
        job = await finished(cluster)
        assert job.status.completed_indexes == "0-3"
        assert sorted(index(pod) for pod in cluster.pods()) == [0, 1, 2, 3]
        for pod in cluster.pods():
            assert pod.spec.hostname == f"work-{index(pod)}"
            assert pod.metadata.name.startswith(f"work-{index(pod)}-")
            variable = pod.spec.containers[0].env[0]
            assert variable.name == "JOB_COMPLETION_INDEX"
            assert variable.value_from.field_ref.field_path == f"metadata.labels['{INDEX}']"

    play(scenario)


def test_each_index_has_failures_of_its_own(play):
    async def scenario(cluster):
        cluster.exit_code = lambda pod: 1 if index(pod) == 1 else 0
        job = work(completions=3, parallelism=3, completion_mode="Indexed", backoff_limit_per_index=1)
        await cluster.client.create(job)
        job = await finished(cluster, within_s=60)
        assert conditions(cluster) == {"FailureTarget": "FailedIndexes", "Failed": "FailedIndexes"}
        assert (job.status.completed_indexes, job.status.failed_indexes, job.status.failed) == ("0,2", "1", 2)
        counts = [pod.metadata.annotations["batch.kubernetes.io/job-index-failure-count"] for pod in cluster.pods()]
        assert sorted(counts) == ["0", "0", "0", "1"]

    play(scenario)


def test_a_rule_ends_the_job_at_once(play):
    async def scenario(cluster):
        cluster.exit_code = lambda pod: 42 if pod.metadata.name == cluster.pods()[0].metadata.name else None
        rule = PodFailurePolicyRule(
            action="FailJob", on_exit_codes=PodFailurePolicyOnExitCodesRequirement(operator="In", values=(42,))
        )
        policy = PodFailurePolicy(rules=(rule,))
        await cluster.client.create(work(completions=4, parallelism=3, pod_failure_policy=policy))
        job = await finished(cluster)
        assert conditions(cluster) == {"FailureTarget": "PodFailurePolicy", "Failed": "PodFailurePolicy"}
        assert job.status.conditions[-1].message.endswith("failed with exit code 42 matching FailJob rule at index 0")
        await cluster.until(lambda: len(cluster.pods(active=False)) == 1, within_s=5)

    play(scenario)


def test_ignored_failures_do_not_count(play):
    async def scenario(cluster):
        cluster.exit_code = lambda pod: 7 if cluster.clock.monotonic() < 20 else 0
        rule = PodFailurePolicyRule(
            action="Ignore", on_exit_codes=PodFailurePolicyOnExitCodesRequirement(operator="In", values=(7,))
        )
        await cluster.client.create(work(backoff_limit=0, pod_failure_policy=PodFailurePolicy(rules=(rule,))))
        job = await finished(cluster, within_s=60)
        assert (job.status.succeeded, job.status.failed) == (1, None)
        assert len(cluster.pods()) > 2

    play(scenario)


def test_enough_indexes_are_a_success(play):
    async def scenario(cluster):
        cluster.exit_code = lambda pod: 0 if index(pod) == 2 else None
        policy = SuccessPolicy(rules=(SuccessPolicyRule(succeeded_indexes="2-3", succeeded_count=1),))
        await cluster.client.create(
            work(completions=4, parallelism=4, completion_mode="Indexed", success_policy=policy)
        )
        job = await finished(cluster)
        assert conditions(cluster) == {"SuccessCriteriaMet": "SuccessPolicy", "Complete": "SuccessPolicy"}
        assert (job.status.completed_indexes, job.status.succeeded) == ("2", 1)
        await cluster.until(lambda: len(cluster.pods(active=False)) == 1, within_s=5)

    play(scenario)


def test_a_deadline_ends_it(play):
    async def scenario(cluster):
        await cluster.client.create(work(active_deadline_seconds=5))
        await finished(cluster, within_s=15)
        assert conditions(cluster) == {"FailureTarget": "DeadlineExceeded", "Failed": "DeadlineExceeded"}
        assert the_job(cluster).status.failed == 1
        await cluster.until(lambda: cluster.pods(active=False) == (), within_s=5)

    play(scenario)


def test_suspended_jobs_have_no_pods_and_lose_no_tries(play):
    async def scenario(cluster):
        await cluster.client.create(work(completions=3, parallelism=3, backoff_limit=0, suspend=True))
        await cluster.until(lambda: conditions(cluster) == {"Suspended": "JobSuspended"}, within_s=2)
        assert cluster.pods() == () and the_job(cluster).status.start_time is None
        await cluster.client.patch(Job, "work", "default", patch={"spec": {"suspend": False}})
        await cluster.until(lambda: cluster.ready() == 3, within_s=5)
        await cluster.client.patch(Job, "work", "default", patch={"spec": {"suspend": True}})
        await cluster.until(lambda: cluster.pods(active=False) == (), within_s=5)
        assert the_job(cluster).status.failed is None
        cluster.exit_code = lambda pod: 0
        await cluster.client.patch(Job, "work", "default", patch={"spec": {"suspend": False}})
        assert (await finished(cluster)).status.succeeded == 3

    play(scenario)


def test_the_deadline_of_a_suspended_job_begins_anew_when_it_goes_on(play):
    async def scenario(cluster):
        await cluster.client.create(work(active_deadline_seconds=60))
        await cluster.until(lambda: cluster.ready() == 1, within_s=5)
        await cluster.client.patch(Job, "work", "default", patch={"spec": {"suspend": True}})
        await cluster.clock.sleep(100)
        assert conditions(cluster) == {"Suspended": "JobSuspended"}
        await cluster.client.patch(Job, "work", "default", patch={"spec": {"suspend": False}})
        await cluster.clock.sleep(50)
        assert cluster.ready() == 1
        await cluster.until(lambda: "Failed" in conditions(cluster), within_s=60)

    play(scenario)


def test_finished_jobs_go_after_their_time(play):
    async def scenario(cluster):
        cluster.exit_code = lambda pod: 0
        await cluster.client.create(work(ttl_seconds_after_finished=30))
        await finished(cluster)
        await cluster.clock.sleep(20)
        assert cluster.all(Job) != ()
        await cluster.until(lambda: cluster.all(Job) == () and cluster.all(Pod) == (), within_s=20)

    play(scenario)


def test_pods_outlive_no_deleted_job(play):
    async def scenario(cluster):
        await cluster.client.create(work(completions=3, parallelism=3))
        await cluster.until(lambda: cluster.ready() == 3, within_s=5)
        await cluster.client.delete(Job, "work", "default")
        await cluster.until(lambda: cluster.pods(active=False) == (), within_s=20)

    play(scenario)


def test_orphaned_pods_lose_the_finalizer(play):
    async def scenario(cluster):
        await cluster.client.create(work(completions=3, parallelism=3))
        await cluster.until(lambda: cluster.ready() == 3, within_s=5)
        await cluster.client.delete(Job, "work", "default", propagation=Propagation.ORPHAN)
        await cluster.until(lambda: all(pod.metadata.finalizers == () for pod in cluster.pods()), within_s=20)
        assert len(cluster.pods()) == 3

    play(scenario)


def test_a_job_at_rest_writes_nothing(play):
    async def scenario(cluster):
        await cluster.client.create(work(completions=3, parallelism=3))
        await cluster.until(lambda: the_job(cluster).status.ready == 3, within_s=5)
        await cluster.writes_nothing()

    play(scenario)


def test_every_end_is_counted_once_whatever_fails(play):
    async def scenario(cluster):
        cluster.exit_code = lambda pod: 0
        cluster.controllers.lose_every(7)
        await cluster.client.create(work(completions=20, parallelism=5))
        await cluster.clock.sleep(6)
        await cluster.stop_controllers()
        cluster.start_controllers()
        job = await finished(cluster, within_s=300)
        assert job.status.succeeded == 20 and job.status.failed is None
        assert len(cluster.pods()) == 20

    play(scenario)


IGNORE_DISRUPTIONS = PodFailurePolicy(
    rules=(
        PodFailurePolicyRule(
            action="Ignore",
            on_pod_conditions=(PodFailurePolicyOnPodConditionsPattern(type="DisruptionTarget", status="True"),),
        ),
    )
)


def test_pods_that_a_taint_drives_away_are_no_failures(play):
    async def scenario(cluster):
        await cluster.client.create(work(backoff_limit=0, pod_failure_policy=IGNORE_DISRUPTIONS))
        await cluster.until(lambda: cluster.ready() == 1, within_s=5)
        first = cluster.pods()[0].spec.node_name
        node = next(node for node in cluster.all(Node) if node.metadata.name == first)
        taint = Taint(key="mine", effect="NoExecute")
        await cluster.client.update(replace(node, spec=replace(node.spec, taints=(taint,))))
        await cluster.until(lambda: cluster.pods(node=first) == () and cluster.ready() == 1, within_s=10)
        cluster.exit_code = lambda pod: 0
        status = (await finished(cluster)).status
        assert (status.succeeded, status.failed) == (1, None)

    play(scenario)


def test_pods_of_a_node_that_is_gone_are_no_failures(play):
    async def scenario(cluster):
        await cluster.client.create(work(backoff_limit=0, pod_failure_policy=IGNORE_DISRUPTIONS))
        await cluster.until(lambda: cluster.ready() == 1, within_s=5)
        first = cluster.pods()[0].spec.node_name
        await cluster.nodes[first].kill()
        await cluster.client.delete(Node, first)
        await cluster.until(lambda: cluster.pods(node=first) == () and cluster.ready() == 1, within_s=300)
        cluster.exit_code = lambda pod: 0
        status = (await finished(cluster)).status
        assert (status.succeeded, status.failed) == (1, None)

    play(scenario)
