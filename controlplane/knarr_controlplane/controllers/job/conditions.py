"""Conditions of a Job, in Kubernetes' words. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

import msgspec

from knarr_api.types.batch_v1 import Job, JobCondition

COMPLETE, FAILED, SUSPENDED = "Complete", "Failed", "Suspended"
FAILURE_TARGET, SUCCESS_CRITERIA_MET = "FailureTarget", "SuccessCriteriaMet"
Conditions = tuple[JobCondition, ...]


def make(type_: str, status: str, reason: str, message: str, now: datetime.datetime) -> JobCondition:
    return JobCondition(
        type=type_, status=status, last_probe_time=now, last_transition_time=now, reason=reason, message=message
    )


def find(conditions: Iterable[JobCondition], type_: str) -> JobCondition | None:
    """The condition, where it is True."""
    return next((each for each in conditions if each.type == type_ and each.status == "True"), None)


def finished(job: Job) -> JobCondition | None:
    """Complete or Failed; such a Job does nothing any more."""
    return find(job.status.conditions, COMPLETE) or find(job.status.conditions, FAILED)


def put(conditions: Conditions, condition: JobCondition) -> Conditions:
    """With this one; as they are where it says nothing new."""
    present = next((each for each in conditions if each.type == condition.type), None)
    if present is None:
        return (*conditions, condition)
    same = (present.status, present.reason, present.message) == (condition.status, condition.reason, condition.message)
    return conditions if same else tuple(condition if each is present else each for each in conditions)


def terminal(interim: JobCondition, now: datetime.datetime) -> JobCondition:
    """Failed or Complete, for the reason the interim one gives."""
    type_ = FAILED if interim.type == FAILURE_TARGET else COMPLETE
    return msgspec.structs.replace(interim, type=type_, last_probe_time=now, last_transition_time=now)
