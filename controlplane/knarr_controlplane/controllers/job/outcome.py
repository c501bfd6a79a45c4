"""Whether it is known how a Job ends: the interim condition, FailureTarget or SuccessCriteriaMet. Pure."""

from __future__ import annotations

import datetime

from knarr_api.types.batch_v1 import Job, JobCondition
from knarr_controlplane.controllers.job import conditions, failures, indexes, tracking
from knarr_controlplane.controllers.job.observed import Observed


def interim(job: Job, seen: Observed, now: datetime.datetime) -> JobCondition | None:
    """What was decided before, else what follows from the pods; None while the Job goes on."""
    for type_ in (conditions.SUCCESS_CRITERIA_MET, conditions.FAILURE_TARGET):
        known = conditions.find(job.status.conditions, type_)
        if known is not None:
            return known
    failure = _failure(job, seen, now)
    if failure is not None:
        return conditions.make(conditions.FAILURE_TARGET, "True", *failure, now)
    success = _success(job, seen)
    if success is not None:
        return conditions.make(conditions.SUCCESS_CRITERIA_MET, "True", *success, now)
    return None


def deadline_in_s(job: Job, start: datetime.datetime | None, now: datetime.datetime) -> float | None:
    """Seconds left of activeDeadlineSeconds, 0 when there are none; None where no time runs."""
    limit_s = job.spec.active_deadline_seconds
    if limit_s is None or start is None or job.spec.suspend:
        return None
    return max(0.0, limit_s - (now - start).total_seconds())


def _failure(job: Job, seen: Observed, now: datetime.datetime) -> tuple[str, str] | None:
    """Reason and message."""
    for pod in seen.pods:
        if tracking.has_failed(job, pod):
            verdict = failures.verdict(job, pod)
            if verdict.action == failures.FAIL_JOB:
                return "PodFailurePolicy", verdict.message
    limit = job.spec.backoff_limit
    if (limit is not None and seen.failed > limit) or failures.restarts_exhausted(job, seen.active):
        return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    is_resumed = not job.spec.suspend and conditions.find(job.status.conditions, conditions.SUSPENDED) is not None
    if not is_resumed and deadline_in_s(job, job.status.start_time, now) == 0.0:
        return "DeadlineExceeded", "Job was active longer than specified deadline"
    failed = len(seen.failed_indexes)
    if job.spec.max_failed_indexes is not None and failed > job.spec.max_failed_indexes:
        return "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"
    if failed and failed + len(seen.done) >= (job.spec.completions or 0):
        return "FailedIndexes", "Job has failed indexes"
    return None


def _success(job: Job, seen: Observed) -> tuple[str, str] | None:
    completions = job.spec.completions
    policy = job.spec.success_policy
    for index, rule in enumerate(policy.rules if policy is not None else ()):
        matching = seen.done
        needed = rule.succeeded_count
        if rule.succeeded_indexes:
            among = indexes.parse(rule.succeeded_indexes, completions or 0)
            matching = seen.done & among
            needed = len(among) if needed is None else needed
        if needed is not None and len(matching) >= needed:
            return "SuccessPolicy", f"Matched rules at index {index}"
    enough = seen.succeeded > 0 if completions is None else seen.succeeded >= completions
    if enough and not seen.active:
        return "CompletionsReached", "Reached expected number of succeeded pods"
    return None
