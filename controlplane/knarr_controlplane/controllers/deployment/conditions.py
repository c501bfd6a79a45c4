"""What a Deployment's status says: counts and conditions, with Kubernetes' types and reasons. Pure.

Progressing
    True NewReplicaSetCreated, FoundNewReplicaSet, ReplicaSetUpdated while pods come up, NewReplicaSetAvailable at the
    end; False ProgressDeadlineExceeded when nothing got better for progressDeadlineSeconds; Unknown DeploymentPaused
    and DeploymentResumed.
Available
    at least the asked number without maxUnavailable are available.
ReplicaFailure
    as its ReplicaSets report it.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import msgspec

from knarr_api.types.apps_v1 import Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet
from knarr_controlplane.controllers.deployment import limits, scaling

PROGRESSING = "Progressing"
AVAILABLE = "Available"
REPLICA_FAILURE = "ReplicaFailure"
NEW_AVAILABLE = "NewReplicaSetAvailable"
NEW_CREATED = "NewReplicaSetCreated"
NEW_FOUND = "FoundNewReplicaSet"
UPDATED = "ReplicaSetUpdated"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"
RESUMED = "DeploymentResumed"
PROGRESS_DEADLINE_DEFAULT_S = 600
NO_DEADLINE = 2**31 - 1

Conditions = tuple[DeploymentCondition, ...]


def find(conditions: Conditions, type_: str) -> DeploymentCondition | None:
    return next((each for each in conditions if each.type == type_), None)


def put(conditions: Conditions, condition: DeploymentCondition) -> Conditions:
    """Replace the one of this type. The same status and reason change nothing; the same status keeps its transition."""
    present = find(conditions, condition.type)
    if present is None:
        return (*conditions, condition)
    if present.status == condition.status and present.reason == condition.reason:
        return conditions
    if present.status == condition.status:
        condition = msgspec.structs.replace(condition, last_transition_time=present.last_transition_time)
    return tuple(condition if each.type == condition.type else each for each in conditions)


def make(type_: str, status: str, reason: str, message: str, now: datetime.datetime) -> DeploymentCondition:
    return DeploymentCondition(
        type=type_, status=status, reason=reason, message=message, last_update_time=now, last_transition_time=now
    )


def counts(
    deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet], now: datetime.datetime
) -> DeploymentStatus:
    """The numbers, and the Available condition; the other conditions as they were."""
    everything = (*old, new) if new is not None else tuple(old)
    available = sum(each.status.available_replicas or 0 for each in everything)
    status = DeploymentStatus(
        observed_generation=deployment.metadata.generation,
        replicas=sum(each.status.replicas or 0 for each in everything) or None,
        updated_replicas=(new.status.replicas if new is not None else None) or None,
        ready_replicas=sum(each.status.ready_replicas or 0 for each in everything) or None,
        available_replicas=available or None,
        unavailable_replicas=max(0, scaling.total(everything) - available) or None,
        terminating_replicas=sum(each.status.terminating_replicas or 0 for each in everything) or None,
        collision_count=deployment.status.collision_count,
        conditions=deployment.status.conditions,
    )
    if available >= limits.desired(deployment) - limits.max_unavailable(deployment):
        condition = make(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    else:
        condition = make(
            AVAILABLE, "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", now
        )
    return _with(status, put(status.conditions, condition))


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """All replicas are of the newest template and available, and no others are left."""
    desired = limits.desired(deployment)
    return (
        (status.updated_replicas or 0) == desired
        and (status.replicas or 0) == desired
        and (status.available_replicas or 0) == desired
        and (status.observed_generation or 0) >= (deployment.metadata.generation or 0)
    )


def with_progress(
    deployment: Deployment,
    status: DeploymentStatus,
    new: ReplicaSet | None,
    old: Sequence[ReplicaSet],
    now: datetime.datetime,
) -> DeploymentStatus:
    """``status`` with Progressing and ReplicaFailure as a rollout that goes on."""
    conditions = status.conditions
    present = find(conditions, PROGRESSING)
    if deadline_s(deployment) is None:
        conditions = tuple(each for each in conditions if each.type != PROGRESSING)
    elif not _was_complete(status, present):
        conditions = _progress(deployment, status, new, now)
    return _with(status, _with_failure(conditions, new, old, now))


def with_pause(deployment: Deployment, conditions: Conditions, now: datetime.datetime) -> Conditions:
    """Progressing while paused is Unknown; resuming starts the deadline anew."""
    present = find(conditions, PROGRESSING)
    if deadline_s(deployment) is None or (present is not None and present.reason == TIMED_OUT):
        return conditions
    is_paused = present is not None and present.reason == PAUSED
    if deployment.spec.paused and not is_paused:
        return put(conditions, make(PROGRESSING, "Unknown", PAUSED, "Deployment is paused", now))
    if not deployment.spec.paused and is_paused:
        return put(conditions, make(PROGRESSING, "Unknown", RESUMED, "Deployment is resumed", now))
    return conditions


def deadline_s(deployment: Deployment) -> int | None:
    """Seconds without progress after which a rollout has failed; None for never."""
    given = deployment.spec.progress_deadline_seconds
    if given is None:
        return PROGRESS_DEADLINE_DEFAULT_S
    return None if given >= NO_DEADLINE else given


def until_deadline_s(deployment: Deployment, status: DeploymentStatus, now: datetime.datetime) -> float | None:
    """When to look at progress again, in seconds; None when the deadline means nothing now."""
    limit_s = deadline_s(deployment)
    present = find(status.conditions, PROGRESSING)
    if limit_s is None or present is None or deployment.spec.paused or present.last_update_time is None:
        return None
    if present.reason in (NEW_AVAILABLE, TIMED_OUT) or is_complete(deployment, status):
        return None
    passed_s = (now - present.last_update_time).total_seconds()
    return max(0.0, limit_s - passed_s) + 1.0


def _was_complete(status: DeploymentStatus, present: DeploymentCondition | None) -> bool:
    """Nothing to tell: the rollout ended some time ago, pods that die since then are no lack of progress."""
    return (
        present is not None
        and present.reason == NEW_AVAILABLE
        and (status.replicas or 0) == (status.updated_replicas or 0)
    )


def _progress(
    deployment: Deployment, status: DeploymentStatus, new: ReplicaSet | None, now: datetime.datetime
) -> Conditions:
    conditions = status.conditions
    present = find(conditions, PROGRESSING)
    subject = f'ReplicaSet "{new.metadata.name}"' if new is not None else f'Deployment "{deployment.metadata.name}"'
    if is_complete(deployment, status):
        done = f"{subject} has successfully progressed."
        return put(conditions, make(PROGRESSING, "True", NEW_AVAILABLE, done, now))
    if _is_better(deployment.status, status):
        condition = make(PROGRESSING, "True", UPDATED, f"{subject} is progressing.", now)
        if present is not None and present.status == "True":
            condition = msgspec.structs.replace(condition, last_transition_time=present.last_transition_time)
        return (*(each for each in conditions if each.type != PROGRESSING), condition)
    if _timed_out(deployment, present, now):
        late = f"{subject} has timed out progressing."
        return put(conditions, make(PROGRESSING, "False", TIMED_OUT, late, now))
    return conditions


def _is_better(before: DeploymentStatus, after: DeploymentStatus) -> bool:
    """More new pods, fewer old ones, more ready or more available."""
    old_before = (before.replicas or 0) - (before.updated_replicas or 0)
    old_after = (after.replicas or 0) - (after.updated_replicas or 0)
    return (
        (after.updated_replicas or 0) > (before.updated_replicas or 0)
        or old_after < old_before
        or (after.ready_replicas or 0) > (before.ready_replicas or 0)
        or (after.available_replicas or 0) > (before.available_replicas or 0)
    )


def _timed_out(deployment: Deployment, present: DeploymentCondition | None, now: datetime.datetime) -> bool:
    limit_s = deadline_s(deployment)
    if present is None or limit_s is None or present.last_update_time is None or present.reason == NEW_AVAILABLE:
        return False
    return present.reason == TIMED_OUT or (now - present.last_update_time).total_seconds() > limit_s


def _with_failure(
    conditions: Conditions, new: ReplicaSet | None, old: Sequence[ReplicaSet], now: datetime.datetime
) -> Conditions:
    for each in (*((new,) if new is not None else ()), *old):
        for failure in each.status.conditions:
            if failure.type == REPLICA_FAILURE and failure.status == "True":
                return put(conditions, make(REPLICA_FAILURE, "True", failure.reason, failure.message, now))
    return tuple(each for each in conditions if each.type != REPLICA_FAILURE)


def _with(status: DeploymentStatus, conditions: Conditions) -> DeploymentStatus:
    return msgspec.structs.replace(status, conditions=conditions)
