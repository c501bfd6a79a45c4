"""What a Job does next, and that it counts every pod exactly once."""

from __future__ import annotations

import datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api import defaults
from knarr_api.types.batch_v1 import Job, JobSpec, JobStatus, PodFailurePolicy, UncountedTerminatedPods
from knarr_api.types.batch_v1 import PodFailurePolicyOnExitCodesRequirement as ExitCodes
from knarr_api.types.batch_v1 import PodFailurePolicyOnPodConditionsPattern as Pattern
from knarr_api.types.batch_v1 import PodFailurePolicyRule as Rule
from knarr_api.types.core_v1 import (
    Container,
    ContainerState,
    ContainerStateTerminated,
    ContainerStatus,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
)
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.controllers.job import conditions, failures, indexes, tracking
from knarr_controlplane.controllers.job.decide import World, decide
from knarr_controlplane.controllers.pods import state

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
replace = msgspec.structs.replace


def job(status=None, **spec):
    template = PodTemplateSpec(spec=PodSpec(restart_policy="Never", containers=(Container(name="c", image="i:1"),)))
    made = Job(
        metadata=ObjectMeta(name="work", namespace="default", uid="job-uid"), spec=JobSpec(template=template, **spec)
    )
    return replace(defaults.apply(made), status=status or JobStatus())


def ended(pod, code, at=NOW):
    terminated = ContainerStateTerminated(exit_code=code, finished_at=at)
    status = PodStatus(
        phase="Failed" if code else "Succeeded",
        container_statuses=(ContainerStatus(name="c", state=ContainerState(terminated=terminated)),),
    )
    return replace(pod, status=status)


def decided(owner, *pods, now=NOW):
    return decide(World(job=owner, pods=pods, now=now))


def made(owner, now=NOW, *pods):
    """The pods of a plan, as the API would have them."""
    return [stored(pod, now) for pod in decided(owner, *pods, now=now).create]


def stored(pod, now):
    return replace(pod, metadata=replace(pod.metadata, uid=f"uid-{pod.metadata.name}", creation_timestamp=now))


def after(seconds):
    return NOW + datetime.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("", []), ("0", [0]), ("0,1", [0, 1]), ("0-2", [0, 1, 2]), ("1,3-5,7", [1, 3, 4, 5, 7])],
)
def test_indexes_as_text(text, numbers):
    assert indexes.show(numbers) == text
    assert sorted(indexes.parse(text, 100)) == numbers


@given(st.sets(st.integers(0, 200)))
def test_indexes_come_back_from_their_text(numbers):
    assert indexes.parse(indexes.show(numbers), 1000) == numbers


def test_indexes_above_completions_are_left_out():
    assert indexes.parse("1-1000000000000,3-5", 5) == {3, 4}


def test_pods_are_tracked_from_their_birth():
    for pod in made(job(completions=3, parallelism=3)):
        assert tracking.FINALIZER in pod.metadata.finalizers


def test_a_failure_waits_for_its_backoff():
    owner = job(completions=1)
    (first,) = made(owner)
    first = ended(first, 1)
    plan = decided(owner, first, now=after(3))
    assert plan.create == () and plan.again_after_s == 7
    assert len(decided(owner, first, now=after(10)).create) == 1


def test_a_success_forgets_the_failures_before_it():
    owner = job(completions=3, parallelism=1)
    (first,) = made(owner)
    failed = ended(first, 1)
    (second,) = made(owner, after(10), failed)
    succeeded = ended(second, 0, after(12))
    assert len(decided(owner, failed, succeeded, now=after(12)).create) == 1


def test_the_status_is_written_before_a_finalizer_goes():
    owner = job(completions=2, parallelism=2)
    one, two = made(owner)
    plan = decided(owner, ended(one, 0), two)
    assert plan.status.uncounted_terminated_pods == UncountedTerminatedPods(succeeded=(one.metadata.uid,))
    assert plan.status.succeeded is None
    assert [pod.metadata.uid for pod in plan.finalize] == [one.metadata.uid]


def test_a_pod_without_its_finalizer_moves_from_the_list_to_the_count():
    listed = UncountedTerminatedPods(succeeded=("gone",), failed=("also",))
    owner = job(JobStatus(succeeded=1, uncounted_terminated_pods=listed), completions=5, parallelism=1)
    status = decided(owner, now=after(100)).status
    assert (status.succeeded, status.failed) == (2, 1)
    assert status.uncounted_terminated_pods == UncountedTerminatedPods()


def test_a_deleted_pod_counts_as_failed_unless_its_end_is_awaited():
    for policy, failed, made_ in (("TerminatingOrFailed", 1, 0), ("Failed", 0, 0)):
        owner = job(completions=1, backoff_limit=5, pod_replacement_policy=policy)
        (pod,) = made(owner)
        pod = replace(pod, metadata=replace(pod.metadata, deletion_timestamp=NOW, deletion_grace_period_seconds=30))
        plan = decided(owner, pod)
        assert len(plan.status.uncounted_terminated_pods.failed) == failed
        assert len(plan.create) == made_
        assert plan.status.terminating == 1
    gone = replace(pod, metadata=replace(pod.metadata, deletion_grace_period_seconds=0))
    assert len(decided(owner, gone).status.uncounted_terminated_pods.failed) == 1


def test_superfluous_pods_are_not_counted():
    owner = job(completions=5, parallelism=3)
    pods = made(owner)
    fewer = replace(owner, spec=replace(owner.spec, parallelism=1))
    plan = decided(fewer, *pods)
    assert len(plan.delete) == 2
    assert {pod.metadata.uid for pod in plan.finalize} == {pod.metadata.uid for pod in plan.delete}
    assert plan.status.uncounted_terminated_pods == UncountedTerminatedPods()


def test_two_pods_of_one_index_are_one_too_many():
    owner = job(completions=2, parallelism=2, completion_mode="Indexed")
    one, two = made(owner)
    double = replace(one, metadata=replace(one.metadata, name="double", uid="double"))
    assert len(decided(owner, one, two, double).delete) == 1


def test_without_completions_one_success_is_enough_and_the_rest_may_finish():
    owner = job(parallelism=3)
    one, two, three = made(owner)
    plan = decided(owner, ended(one, 0), two, three)
    assert plan.create == () and plan.delete == () and plan.status.conditions == ()
    plan = decided(owner, ended(one, 0), ended(two, 1), ended(three, 1))
    assert [each.type for each in plan.status.conditions] == ["SuccessCriteriaMet"]


def test_a_foreign_job_is_left_alone():
    assert decided(job(managed_by="acme.io/other")) == decided(job(managed_by="acme.io/other"))
    assert decided(job(managed_by="acme.io/other")).create == ()


def test_no_completions_are_complete_at_once():
    plan = decided(job(completions=0))
    assert [each.type for each in plan.status.conditions] == ["SuccessCriteriaMet", "Complete"]
    assert plan.create == ()


POLICY = PodFailurePolicy(
    rules=(
        Rule(action="Ignore", on_pod_conditions=(Pattern(type="DisruptionTarget", status="True"),)),
        Rule(action="FailJob", on_exit_codes=ExitCodes(container_name="c", operator="In", values=(42,))),
        Rule(action="Count", on_exit_codes=ExitCodes(operator="In", values=(1,))),
        Rule(action="FailJob", on_exit_codes=ExitCodes(operator="NotIn", values=(2, 3))),
    )
)


FAILED = "Container c for pod default/p failed with exit code"


@pytest.mark.parametrize(
    ("code", "disrupted", "action", "message"),
    [
        (42, True, "Ignore", "Pod default/p has condition DisruptionTarget matching Ignore rule at index 0"),
        (42, False, "FailJob", f"{FAILED} 42 matching FailJob rule at index 1"),
        (1, False, "Count", f"{FAILED} 1 matching Count rule at index 2"),
        (9, False, "FailJob", f"{FAILED} 9 matching FailJob rule at index 3"),
        (3, False, "Count", ""),
    ],
)
def test_the_first_rule_that_matches_decides(code, disrupted, action, message):
    pod = ended(Pod(metadata=ObjectMeta(name="p", namespace="default")), code)
    if disrupted:
        condition = PodCondition(type="DisruptionTarget", status="True")
        pod = replace(pod, status=replace(pod.status, conditions=(condition,)))
    found = failures.verdict(job(pod_failure_policy=POLICY), pod)
    assert (found.action, found.message) == (action, message)


class Life:
    """A Job and its pods; plans are carried out, nodes end pods as they like."""

    def __init__(self, owner):
        self.job = owner
        self.pods = {}
        self.now = NOW
        self.names = set()
        self.succeeded = set()
        self.failed = set()

    def step(self, *, crash=False):
        """crash: after the status was written."""
        plan = decided(self.job, *self.pods.values(), now=self.now)
        again = decided(self.job, *self.pods.values(), now=self.now)
        assert plan == again
        if plan.status is not None:
            self.job = replace(self.job, status=plan.status)
        if crash:
            return
        for pod in plan.finalize:
            present = self.pods.pop(pod.metadata.name)
            if present.metadata.deletion_timestamp is not None:
                continue
            self.pods[pod.metadata.name] = replace(present, metadata=replace(present.metadata, finalizers=()))
        for pod in plan.delete:
            self.delete(pod.metadata.name)
        for pod in plan.create:
            assert pod.metadata.name not in self.pods
            self.pods[pod.metadata.name] = stored(pod, self.now)
            assert pod.metadata.name not in self.names
            self.names.add(pod.metadata.name)
        assert len(self.running) <= self.job.spec.parallelism

    def delete(self, name):
        pod = self.pods[name]
        if not pod.metadata.finalizers:
            del self.pods[name]
        elif pod.metadata.deletion_timestamp is None:
            metadata = replace(pod.metadata, deletion_timestamp=self.now, deletion_grace_period_seconds=0)
            self.pods[name] = replace(pod, metadata=metadata)
            if pod.status.phase not in ("Succeeded", "Failed"):
                self.failed.add(pod.metadata.uid)

    @property
    def running(self):
        return [pod for pod in self.pods.values() if state.is_active(pod)]

    def end(self, number, code):
        if self.running:
            pod = self.running[number % len(self.running)]
            self.pods[pod.metadata.name] = ended(pod, code, self.now)
            (self.failed if code else self.succeeded).add(pod.metadata.uid)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("end"), st.integers(0, 5), st.sampled_from([0, 0, 0, 1])),
        st.tuples(st.just("delete"), st.integers(0, 5)),
        st.tuples(st.just("crash")),
        st.tuples(st.just("wait")),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.integers(1, 4), st.integers(0, 8), st.booleans(), st.integers(0, 3))
def test_every_pod_is_counted_once_whatever_happens(events, parallelism, completions, indexed, backoff_limit):
    life = Life(
        job(
            parallelism=parallelism,
            completions=completions,
            completion_mode="Indexed" if indexed else "NonIndexed",
            backoff_limit=backoff_limit,
        )
    )
    for event in events:
        match event:
            case ("end", number, code):
                life.end(number, code)
            case ("delete", number) if life.pods:
                life.delete(sorted(life.pods)[number % len(life.pods)])
            case ("wait",):
                life.now += datetime.timedelta(seconds=700)
        life.step(crash=event[0] == "crash")
    for _ in range(60):
        if conditions.finished(life.job):
            break
        life.now += datetime.timedelta(seconds=700)
        life.end(0, 0)
        life.step()
    status = life.job.status
    end = conditions.finished(life.job)
    assert end is not None
    assert not any(tracking.is_tracked(pod) for pod in life.pods.values())
    assert (status.succeeded or 0) == len(life.succeeded)
    assert (status.failed or 0) == len(life.failed)
    assert (end.type == "Complete") == (
        (status.failed or 0) <= backoff_limit and (status.succeeded or 0) >= completions
    )
