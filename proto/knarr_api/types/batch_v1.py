"""Values of k8s.io.api.batch.v1.

Generated from knarr_proto/k8s/batch_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.numbers import Int32, Int64
from knarr_api.time import keep_seconds
from knarr_api.types import core_v1, meta_v1, scheduling_v1alpha3


class CronJobSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.batch.v1.CronJobSpec"""

    schedule: str = ""
    """Five fields: minute, hour, day of month, month, day of week."""
    starting_deadline_seconds: Int64 | None = None
    concurrency_policy: str = ""
    suspend: bool | None = None
    job_template: JobTemplateSpec | None = None
    successful_jobs_history_limit: Int32 | None = None
    failed_jobs_history_limit: Int32 | None = None
    time_zone: str = ""


class CronJobStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.batch.v1.CronJobStatus"""

    active: tuple[core_v1.ObjectReference, ...] = ()
    last_schedule_time: datetime.datetime | None = None
    last_successful_time: datetime.datetime | None = None

    def __post_init__(self) -> None:
        if self.last_schedule_time is not None:
            keep_seconds(self, "last_schedule_time", self.last_schedule_time)
        if self.last_successful_time is not None:
            keep_seconds(self, "last_successful_time", self.last_successful_time)


class CronJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Makes Jobs at times."""

    api_version: str = msgspec.field(default_factory=lambda: "batch/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CronJob")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: CronJobSpec = CronJobSpec()
    status: CronJobStatus = CronJobStatus()


class CronJobList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.batch.v1.CronJobList"""

    api_version: str = msgspec.field(default_factory=lambda: "batch/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CronJobList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[CronJob, ...] = ()


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.batch.v1.JobSpec"""

    parallelism: Int32 | None = None
    completions: Int32 | None = None
    active_deadline_seconds: Int64 | None = None
    selector: meta_v1.LabelSelector | None = None
    manual_selector: bool | None = None
    template: core_v1.PodTemplateSpec = core_v1.PodTemplateSpec()
    backoff_limit: Int32 | None = None
    """Failures before the job is given up; absent means 6."""
    ttl_seconds_after_finished: Int32 | None = None
    completion_mode: str = ""
    suspend: bool | None = None
    pod_failure_policy: PodFailurePolicy | None = None
    backoff_limit_per_index: Int32 | None = None
    max_failed_indexes: Int32 | None = None
    pod_replacement_policy: str = ""
    managed_by: str = ""
    success_policy: SuccessPolicy | None = None
    scheduling: JobSchedulingConfiguration | None = None


class JobStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.batch.v1.JobStatus"""

    conditions: tuple[JobCondition, ...] = ()
    start_time: datetime.datetime | None = None
    completion_time: datetime.datetime | None = None
    active: Int32 | None = None
    succeeded: Int32 | None = None
    failed: Int32 | None = None
    completed_indexes: str = ""
    uncounted_terminated_pods: UncountedTerminatedPods | None = None
    ready: Int32 | None = None
    failed_indexes: str = ""
    terminating: Int32 | None = None

    def __post_init__(self) -> None:
        if self.start_time is not None:
            keep_seconds(self, "start_time", self.start_time)
        if self.completion_time is not None:
            keep_seconds(self, "completion_time", self.completion_time)


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Runs pods until enough of them succeed."""

    api_version: str = msgspec.field(default_factory=lambda: "batch/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Job")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class JobCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.batch.v1.JobCondition"""

    type: str = ""
    status: str = ""
    last_probe_time: datetime.datetime | None = None
    last_transition_time: datetime.datetime | None = None
    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if self.last_probe_time is not None:
            keep_seconds(self, "last_probe_time", self.last_probe_time)
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class JobList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.batch.v1.JobList"""

    api_version: str = msgspec.field(default_factory=lambda: "batch/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "JobList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Job, ...] = ()


class JobSchedulingConfiguration(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.batch.v1.JobSchedulingConfiguration"""

    scheduling_policy: scheduling_v1alpha3.WorkloadPodGroupSchedulingPolicy | None = None
    scheduling_constraints: scheduling_v1alpha3.WorkloadPodGroupSchedulingConstraints | None = None
    disruption_mode: scheduling_v1alpha3.WorkloadPodGroupDisruptionMode | None = None
    resource_claims: tuple[scheduling_v1alpha3.WorkloadPodGroupResourceClaim, ...] = ()


class JobTemplateSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.batch.v1.JobTemplateSpec"""

    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: JobSpec = JobSpec()


class PodFailurePolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.batch.v1.PodFailurePolicy"""

    rules: tuple[PodFailurePolicyRule, ...] = ()


class PodFailurePolicyOnExitCodesRequirement(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.batch.v1.PodFailurePolicyOnExitCodesRequirement"""

    container_name: str = ""
    operator: str = ""
    values: tuple[Int32, ...] = ()


class PodFailurePolicyOnPodConditionsPattern(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.batch.v1.PodFailurePolicyOnPodConditionsPattern"""

    type: str = ""
    status: str = ""


class PodFailurePolicyRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.batch.v1.PodFailurePolicyRule"""

    action: str = ""
    on_exit_codes: PodFailurePolicyOnExitCodesRequirement | None = None
    on_pod_conditions: tuple[PodFailurePolicyOnPodConditionsPattern, ...] = ()


class SuccessPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.batch.v1.SuccessPolicy"""

    rules: tuple[SuccessPolicyRule, ...] = ()


class SuccessPolicyRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.batch.v1.SuccessPolicyRule"""

    succeeded_indexes: str = ""
    succeeded_count: Int32 | None = None


class UncountedTerminatedPods(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.batch.v1.UncountedTerminatedPods"""

    succeeded: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
