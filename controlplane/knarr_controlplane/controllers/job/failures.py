"""What a failed pod means for its Job, and when to try again. Pure.

A failure is matched against the rules of podFailurePolicy, the first that matches decides. Where none does it counts
against backoffLimit. Each failure since the last success doubles the time until new pods are made.

Source: Kubernetes documentation, "Jobs", "Pod failure policy" and "Pod backoff failure policy".
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from knarr_api.types.batch_v1 import Job, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule
from knarr_api.types.core_v1 import ContainerStatus, Pod
from knarr_controlplane.controllers.job import tracking

FAIL_JOB, FAIL_INDEX, IGNORE, COUNT = "FailJob", "FailIndex", "Ignore", "Count"
INDEX_FAILURES = "batch.kubernetes.io/job-index-failure-count"
INDEX_IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
BACKOFF_FIRST_S = 10.0
BACKOFF_MAX_S = 600.0


@dataclass(frozen=True, slots=True)
class Verdict:
    action: str
    message: str = ""
    """Why the whole Job fails, for FailJob."""


def verdict(job: Job, pod: Pod) -> Verdict:
    """What the policy says about a pod that has failed."""
    policy = job.spec.pod_failure_policy
    for index, rule in enumerate(policy.rules if policy is not None else ()):
        cause = _matching(rule, pod)
        if cause:
            return Verdict(rule.action, f"{cause} matching {rule.action} rule at index {index}")
    return Verdict(COUNT)


def _matching(rule: PodFailurePolicyRule, pod: Pod) -> str:
    """What of the pod matches; empty where nothing does."""
    at = f"{pod.metadata.namespace}/{pod.metadata.name}"
    if rule.on_exit_codes is not None:
        for status in (*pod.status.container_statuses, *pod.status.init_container_statuses):
            code = _matching_code(rule.on_exit_codes, status)
            if code is not None:
                return f"Container {status.name} for pod {at} failed with exit code {code}"
        return ""
    for pattern in rule.on_pod_conditions:
        for condition in pod.status.conditions:
            if condition.type == pattern.type and condition.status == pattern.status:
                return f"Pod {at} has condition {condition.type}"
    return ""


def _matching_code(rule: PodFailurePolicyOnExitCodesRequirement, status: ContainerStatus) -> int | None:
    ended = status.state.terminated if status.state is not None else None
    if ended is None or not ended.exit_code or rule.container_name not in ("", status.name):
        return None
    listed = ended.exit_code in rule.values
    return ended.exit_code if listed == (rule.operator == "In") else None


def index_failures(pod: Pod) -> tuple[int, int]:
    """How often its index had failed before it, counted and ignored."""
    return _number(pod, INDEX_FAILURES), _number(pod, INDEX_IGNORED)


def fails_index(job: Job, pod: Pod) -> bool:
    """Whether this failed pod is the last that its index had."""
    limit = job.spec.backoff_limit_per_index
    if limit is None:
        return False
    action = verdict(job, pod).action
    return action == FAIL_INDEX or (action != IGNORE and index_failures(pod)[0] >= limit)


def restarts_exhausted(job: Job, active: Iterable[Pod]) -> bool:
    """Containers restarted in place (restartPolicy OnFailure) as often as backoffLimit allows."""
    limit = job.spec.backoff_limit
    if limit is None or job.spec.template.spec.restart_policy != "OnFailure":
        return False
    restarts = sum(
        status.restart_count or 0
        for pod in active
        for status in (*pod.status.init_container_statuses, *pod.status.container_statuses)
    )
    return restarts >= max(1, limit)


def backoff_s(job: Job, pods: Iterable[Pod], now: datetime.datetime) -> float:
    """Seconds until new pods may be made: after failures that no success followed."""
    succeeded_at: datetime.datetime | None = None
    failed_at: list[datetime.datetime] = []
    for pod in pods:
        if tracking.has_succeeded(pod):
            at = ended_at(pod, now)
            succeeded_at = at if succeeded_at is None else max(succeeded_at, at)
        elif tracking.has_failed(job, pod) and verdict(job, pod).action != IGNORE:
            failed_at.append(ended_at(pod, now))
    recent = [at for at in failed_at if succeeded_at is None or at > succeeded_at]
    return _remaining_s(len(recent), max(recent), now) if recent else 0.0


def index_backoff_s(last: Pod, now: datetime.datetime) -> float:
    """Seconds until the index of this failed pod, the index's last, may get another."""
    return _remaining_s(sum(index_failures(last)) + 1, ended_at(last, now), now)


def ended_at(pod: Pod, now: datetime.datetime) -> datetime.datetime:
    """When the last container ended; else when the pod ceased to be ready or was deleted."""
    ends = [
        status.state.terminated.finished_at
        for status in pod.status.container_statuses
        if status.state is not None and status.state.terminated is not None
    ]
    known = [end for end in ends if end is not None]
    if known:
        return max(known)
    for condition in pod.status.conditions:
        if condition.type == "Ready" and condition.status == "False" and condition.last_transition_time is not None:
            return condition.last_transition_time
    return pod.metadata.deletion_timestamp or pod.metadata.creation_timestamp or now


def _remaining_s(failures: int, last: datetime.datetime, now: datetime.datetime) -> float:
    delay_s = min(BACKOFF_FIRST_S * 2.0 ** min(failures - 1, 20), BACKOFF_MAX_S)
    return max(0.0, delay_s - (now - last).total_seconds())


def _number(pod: Pod, annotation: str) -> int:
    text = pod.metadata.annotations.get(annotation, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0
