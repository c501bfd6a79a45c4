"""Defaults of Jobs and CronJobs, with the selector and the labels that the API makes for each Job."""

from __future__ import annotations

from knarr_api.defaults.fill import change, each, fill, template
from knarr_api.types.batch_v1 import (
    CronJob,
    Job,
    JobSpec,
    JobTemplateSpec,
    PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
)
from knarr_api.types.meta_v1 import LabelSelector

BACKOFF_LIMIT = 6
UNLIMITED = 2**31 - 1
UID_LABELS = ("batch.kubernetes.io/controller-uid", "controller-uid")
NAME_LABELS = ("batch.kubernetes.io/job-name", "job-name")


def job(given: Job) -> Job:
    return _labelled(change(given, spec=_spec(given.spec)))


def _spec(given: JobSpec) -> JobSpec:
    if given.parallelism is None and given.completions is None:
        given = fill(given, completions=1)
    given = fill(
        given,
        parallelism=1,
        backoff_limit=BACKOFF_LIMIT if given.backoff_limit_per_index is None else UNLIMITED,
        completion_mode="NonIndexed",
        suspend=False,
        pod_replacement_policy="TerminatingOrFailed" if given.pod_failure_policy is None else "Failed",
    )
    policy = given.pod_failure_policy
    if policy is not None:
        given = change(given, pod_failure_policy=change(policy, rules=each(policy.rules, _rule)))
    return change(given, template=template(given.template))


def _rule(given: PodFailurePolicyRule) -> PodFailurePolicyRule:
    def pattern(one: PodFailurePolicyOnPodConditionsPattern) -> PodFailurePolicyOnPodConditionsPattern:
        return fill(one, status="True")

    return change(given, on_pod_conditions=each(given.on_pod_conditions, pattern))


def _labelled(given: Job) -> Job:
    """Its pods are told from others by its uid, unless the user sees to that."""
    uid, name = given.metadata.uid, given.metadata.name
    if given.spec.manual_selector or not uid:
        return given
    made = dict.fromkeys(UID_LABELS, uid) | (dict.fromkeys(NAME_LABELS, name) if len(name) <= 63 else {})
    inner = given.spec.template
    labels = {**inner.metadata.labels, **made}
    if labels != inner.metadata.labels:
        inner = change(inner, metadata=change(inner.metadata, labels=labels))
    selector = given.spec.selector or LabelSelector(match_labels={UID_LABELS[0]: uid})
    return change(given, spec=change(given.spec, selector=selector, template=inner))


def cron_job(given: CronJob) -> CronJob:
    spec = fill(
        given.spec,
        concurrency_policy="Allow",
        suspend=False,
        successful_jobs_history_limit=3,
        failed_jobs_history_limit=1,
    )
    if spec.job_template is not None:
        spec = change(spec, job_template=_job_template(spec.job_template))
    return change(given, spec=spec)


def _job_template(given: JobTemplateSpec) -> JobTemplateSpec:
    return change(given, spec=_spec(given.spec))
