"""Jobs and CronJobs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from knarr_api.errors import FieldError, Invalid
from knarr_api.labels import Selector
from knarr_api.schedule import Schedule, zone
from knarr_api.types.batch_v1 import (
    CronJob,
    Job,
    JobSpec,
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyRule,
    SuccessPolicy,
)
from knarr_api.types.core_v1 import PodTemplateSpec
from knarr_api.validation import names, placement, workloads
from knarr_api.validation.names import immutable, invalid, not_negative, one_of, required

INDEXED = "Indexed"
MODES = (INDEXED, "NonIndexed")
REPLACEMENTS = ("Failed", "TerminatingOrFailed")
ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
MAX_INDEXED_PARALLELISM = 100_000
MAX_SEVERE = 10_000
MAX_RULES, MAX_EXIT_CODES = 20, 255
OF_INDEXES = "(the number of indexes in the specified succeededIndexes field)"
MAX_CRON_JOB_NAME = 52
"""A Job's name is eleven characters longer."""


def job(obj: Job) -> Iterator[FieldError]:
    spec = obj.spec
    yield from _job_spec(spec, "spec")
    if not spec.manual_selector:
        yield from _generated(obj)
    yield from workloads.selecting(spec.selector, spec.template)
    name = obj.metadata.name
    if spec.completion_mode == INDEXED and spec.completions and name:
        last = f"{name}-{spec.completions - 1}"
        if any(names.dns_label("metadata.name", last)):
            yield invalid("metadata.name", name, f"will not able to create pod with invalid DNS label: {last}")


def _generated(obj: Job) -> Iterator[FieldError]:
    """The selector and the labels that the API makes for each Job."""
    uid = obj.metadata.uid
    selector = obj.spec.selector
    if selector is None or not uid:
        return
    parsed = placement.parsed(selector)
    if parsed is not None and not parsed.matches({CONTROLLER_UID: uid}):
        yield invalid("spec.selector", str(Selector.from_label_selector(selector)), "`selector` not auto-generated")


def _job_spec(spec: JobSpec, path: str) -> Iterator[FieldError]:
    for field, value in (
        ("parallelism", spec.parallelism),
        ("completions", spec.completions),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index),
        ("maxFailedIndexes", spec.max_failed_indexes),
    ):
        yield from not_negative(f"{path}.{field}", value)
    if spec.managed_by:
        yield from _managed_by(spec.managed_by, f"{path}.managedBy")
    yield from one_of(f"{path}.completionMode", spec.completion_mode, MODES)
    yield from _indexing(spec, path)
    if spec.pod_failure_policy is not None:
        yield from _failure_policy(spec, spec.pod_failure_policy, f"{path}.podFailurePolicy")
    if spec.success_policy is not None:
        yield from _success_policy(spec, spec.success_policy, f"{path}.successPolicy")
    replacements = REPLACEMENTS if spec.pod_failure_policy is None else ("Failed",)
    yield from one_of(f"{path}.podReplacementPolicy", spec.pod_replacement_policy, replacements, may_be_empty=True)
    yield from workloads.template(spec.template, f"{path}.template")
    yield from _restarts(spec, f"{path}.template.spec.restartPolicy")


def _managed_by(value: str, path: str) -> Iterator[FieldError]:
    prefix, separator, rest = value.partition("/")
    if not separator or not prefix or not rest:
        yield invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')
    else:
        yield from names.dns_subdomain(path, prefix)
    if len(value) > 63:
        yield FieldError(path, "may not be more than 63 bytes", "Too long")


def _restarts(spec: JobSpec, path: str) -> Iterator[FieldError]:
    policy = spec.template.spec.restart_policy
    if policy == "Always":
        yield required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield names.unsupported(path, policy, ("OnFailure", "Never"))
    elif spec.pod_failure_policy is not None and policy != "Never":
        yield invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _indexing(spec: JobSpec, path: str) -> Iterator[FieldError]:
    limit, most = spec.backoff_limit_per_index, spec.max_failed_indexes
    indexed = spec.completion_mode == INDEXED
    if limit is not None and not indexed:
        yield invalid(f"{path}.backoffLimitPerIndex", limit, "requires indexed completion mode")
    if most is not None and limit is None:
        yield required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if not indexed:
        return
    parallelism, completions = spec.parallelism or 0, spec.completions
    if completions is None:
        yield required(f"{path}.completions", "when completion mode is Indexed")
        return
    if parallelism > MAX_INDEXED_PARALLELISM:
        text = f"must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed"
        yield invalid(f"{path}.parallelism", parallelism, text)
    if most is not None and most > completions:
        yield invalid(f"{path}.maxFailedIndexes", most, "must be less than or equal to completions")
    if most is not None and most > MAX_INDEXED_PARALLELISM:
        yield invalid(f"{path}.maxFailedIndexes", most, f"must be less than or equal to {MAX_INDEXED_PARALLELISM}")
    if limit is None or completions <= MAX_INDEXED_PARALLELISM:
        return
    if most is None:
        text = f"must be specified when completions is above {MAX_INDEXED_PARALLELISM}"
        yield required(f"{path}.maxFailedIndexes", text)
    text = (
        f"must be less than or equal to {MAX_SEVERE} when completions are above {MAX_INDEXED_PARALLELISM} and used "
        "with backoff limit per index"
    )
    if most is not None and most > MAX_SEVERE:
        yield invalid(f"{path}.maxFailedIndexes", most, text)
    if parallelism > MAX_SEVERE:
        yield invalid(f"{path}.parallelism", parallelism, text)


def _failure_policy(spec: JobSpec, policy: PodFailurePolicy, path: str) -> Iterator[FieldError]:
    if len(policy.rules) > MAX_RULES:
        yield _too_many(f"{path}.rules", len(policy.rules), MAX_RULES)
    containers = {each.name for each in (*spec.template.spec.containers, *spec.template.spec.init_containers)}
    for index, rule in enumerate(policy.rules):
        at = f"{path}.rules[{index}]"
        yield from one_of(f"{at}.action", rule.action, ACTIONS)
        if rule.action == "FailIndex" and spec.backoff_limit_per_index is None:
            yield invalid(f"{at}.action", rule.action, "requires the backoffLimitPerIndex to be set")
        if rule.on_exit_codes is not None:
            yield from _exit_codes(rule.on_exit_codes, containers, f"{at}.onExitCodes")
        yield from _patterns(rule, f"{at}.onPodConditions")
        if rule.on_exit_codes is not None and rule.on_pod_conditions:
            yield invalid(at, None, "specifying both OnExitCodes and OnPodConditions is not supported")
        elif rule.on_exit_codes is None and not rule.on_pod_conditions:
            yield invalid(at, None, "specifying one of OnExitCodes and OnPodConditions is required")


def _exit_codes(rule: PodFailurePolicyOnExitCodesRequirement, containers: set[str], path: str) -> Iterator[FieldError]:
    yield from one_of(f"{path}.operator", rule.operator, ("In", "NotIn"))
    if rule.container_name and rule.container_name not in containers:
        text = "must be one of the container or initContainer names in the pod template"
        yield invalid(f"{path}.containerName", rule.container_name, text)
    values = rule.values
    if not values:
        yield invalid(f"{path}.values", "[]", "at least one value is required")
    elif len(values) > MAX_EXIT_CODES:
        yield _too_many(f"{path}.values", len(values), MAX_EXIT_CODES)
    for index, value in enumerate(values):
        at = f"{path}.values[{index}]"
        if rule.operator == "In" and value == 0:
            yield invalid(at, value, "must not be 0 for the In operator")
        if value in values[:index]:
            yield names.duplicate(at, value)
    if list(values) != sorted(values):
        yield invalid(f"{path}.values", list(values), "must be ordered")


def _patterns(rule: PodFailurePolicyRule, path: str) -> Iterator[FieldError]:
    if len(rule.on_pod_conditions) > MAX_RULES:
        yield _too_many(path, len(rule.on_pod_conditions), MAX_RULES)
    for index, pattern in enumerate(rule.on_pod_conditions):
        at = f"{path}[{index}]"
        yield from names.qualified_name(f"{at}.type", pattern.type)
        yield from one_of(f"{at}.status", pattern.status, ("False", "True", "Unknown"))


def _success_policy(spec: JobSpec, policy: SuccessPolicy, path: str) -> Iterator[FieldError]:
    if spec.completion_mode != INDEXED:
        yield invalid(path, None, "requires indexed completion mode")
        return
    if not policy.rules:
        yield required(f"{path}.rules", "at least one rules must be specified when the successPolicy is specified")
    if len(policy.rules) > MAX_RULES:
        yield _too_many(f"{path}.rules", len(policy.rules), MAX_RULES)
    completions = spec.completions or 0
    for index, rule in enumerate(policy.rules):
        at = f"{path}.rules[{index}]"
        if rule.succeeded_count is None and not rule.succeeded_indexes:
            yield required(at, "at least one of succeededCount or succeededIndexes must be specified")
        listed: int | None = None
        if rule.succeeded_indexes:
            listed, problem = _intervals(rule.succeeded_indexes, completions)
            if problem:
                text = f"error parsing succeededIndexes: {problem}"
                yield invalid(f"{at}.succeededIndexes", rule.succeeded_indexes, text)
        yield from not_negative(f"{at}.succeededCount", rule.succeeded_count)
        count = rule.succeeded_count or 0
        if count > completions:
            text = f"must be less than or equal to {completions} (the number of specified completions)"
            yield invalid(f"{at}.succeededCount", count, text)
        elif listed is not None and count > listed:
            text = f"must be less than or equal to {listed} {OF_INDEXES}"
            yield invalid(f"{at}.succeededCount", count, text)


def _intervals(text: str, completions: int) -> tuple[int | None, str]:
    """How many indexes are listed ("0-3,7"), and what is wrong with the list."""
    total, previous = 0, -1
    for part in text.split(","):
        first, dash, last = part.partition("-")
        numbers: Sequence[str] = (first, last) if dash else (first, first)
        if not all(number.isascii() and number.isdecimal() and len(number) < 12 for number in numbers):
            return None, f'cannot convert string to integer for index: "{part}"'
        low, high = (int(number) for number in numbers)
        if high >= completions:
            return None, f'too large index: "{max(low, high)}"'
        if low > high or low <= previous:
            return None, f"non-increasing order, previous: {max(previous, 0)}, current: {low}"
        total, previous = total + high - low + 1, high
    return total, ""


def _too_many(path: str, count: int, most: int) -> FieldError:
    return FieldError(path, f"must have at most {most} items", "Too many", count)


def update_job(old: Job, new: Job) -> Iterator[FieldError]:
    before, after = old.spec, new.spec
    if before.completions != after.completions:
        tandem = before.completion_mode == INDEXED and after.completions == after.parallelism
        if before.completion_mode == INDEXED and not tandem:
            text = "can only be modified in tandem with spec.parallelism"
            yield invalid("spec.completions", after.completions, text)
        elif before.completion_mode != INDEXED:
            yield from immutable("spec.completions", before.completions, after.completions)
    yield from immutable("spec.selector", before.selector, after.selector)
    admitted = (
        _with_mutable(old, after.template) if before.suspend and old.status.start_time is None else before.template
    )
    yield from immutable("spec.template", admitted, after.template)
    yield from immutable("spec.completionMode", before.completion_mode, after.completion_mode)
    yield from immutable("spec.podFailurePolicy", before.pod_failure_policy, after.pod_failure_policy)
    yield from immutable("spec.backoffLimitPerIndex", before.backoff_limit_per_index, after.backoff_limit_per_index)
    yield from immutable("spec.managedBy", before.managed_by, after.managed_by)
    yield from immutable("spec.successPolicy", before.success_policy, after.success_policy)


def _with_mutable(old: Job, template: PodTemplateSpec) -> PodTemplateSpec:
    """The old template with what may change before the first pod: where pods go, and how they are labelled."""
    spec = msgspec.structs.replace(
        old.spec.template.spec,
        node_selector=template.spec.node_selector,
        affinity=template.spec.affinity,
        tolerations=template.spec.tolerations,
        scheduling_gates=template.spec.scheduling_gates,
    )
    metadata = msgspec.structs.replace(
        old.spec.template.metadata, labels=template.metadata.labels, annotations=template.metadata.annotations
    )
    return msgspec.structs.replace(template, metadata=metadata, spec=spec)


def cron_job(obj: CronJob) -> Iterator[FieldError]:
    spec = obj.spec
    if len(obj.metadata.name) > MAX_CRON_JOB_NAME:
        yield invalid("metadata.name", obj.metadata.name, f"must be no more than {MAX_CRON_JOB_NAME} characters")
    if not spec.schedule:
        yield required("spec.schedule")
    elif "TZ" in spec.schedule:
        text = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        yield invalid("spec.schedule", spec.schedule, text)
    else:
        yield from _parsed("spec.schedule", spec.schedule, Schedule.parse)
    if spec.time_zone.lower() == "local":
        text = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        yield invalid("spec.timeZone", spec.time_zone, text)
    elif spec.time_zone:
        yield from _parsed("spec.timeZone", spec.time_zone, zone)
    yield from not_negative("spec.startingDeadlineSeconds", spec.starting_deadline_seconds)
    yield from one_of("spec.concurrencyPolicy", spec.concurrency_policy, ("Allow", "Forbid", "Replace"))
    yield from not_negative("spec.successfulJobsHistoryLimit", spec.successful_jobs_history_limit)
    yield from not_negative("spec.failedJobsHistoryLimit", spec.failed_jobs_history_limit)
    if spec.job_template is None:
        yield required("spec.jobTemplate")
        return
    if spec.job_template.spec.manual_selector:
        yield names.unsupported("spec.jobTemplate.spec.manualSelector", True, ("false",))
    yield from names.label_map("spec.jobTemplate.metadata.labels", spec.job_template.metadata.labels)
    yield from names.annotation_map("spec.jobTemplate.metadata.annotations", spec.job_template.metadata.annotations)
    yield from _job_spec(spec.job_template.spec, "spec.jobTemplate.spec")


def _parsed(path: str, text: str, parse: Any) -> Iterator[FieldError]:
    try:
        parse(text)
    except Invalid as error:
        yield invalid(path, text, str(error))
