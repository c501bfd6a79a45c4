"""What a pod's status says, in the words the controllers use. Pure.

active
    not ended and not being deleted: it counts as a replica.
ready
    its Ready condition is True.
available
    ready for at least minReadySeconds.
"""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.types.core_v1 import Pod, PodCondition, PodStatus

ENDED = ("Succeeded", "Failed")
DISRUPTION_TARGET = "DisruptionTarget"


def is_ended(pod: Pod) -> bool:
    return pod.status.phase in ENDED


def is_active(pod: Pod) -> bool:
    return pod.status.phase not in ENDED and pod.metadata.deletion_timestamp is None


def condition(pod: Pod, type_: str) -> PodCondition | None:
    for each in pod.status.conditions:  # asked of thousands of pods at a time: no generator
        if each.type == type_:
            return each
    return None


def is_ready(pod: Pod) -> bool:
    ready = condition(pod, "Ready")
    return ready is not None and ready.status == "True"


def available_in_s(pod: Pod, min_ready_s: int, now: datetime.datetime) -> float | None:
    """Seconds until it is available: 0 when it is, None when it is not even ready."""
    ready = condition(pod, "Ready")
    if ready is None or ready.status != "True":
        return None
    if min_ready_s <= 0 or ready.last_transition_time is None:
        return 0.0
    since_s = (now - ready.last_transition_time).total_seconds()
    return max(0.0, min_ready_s - since_s)


def restarts(pod: Pod) -> int:
    """The highest restart count of its containers."""
    return max((status.restart_count or 0 for status in pod.status.container_statuses), default=0)


def unready(pod: Pod, reason: str, now: datetime.datetime) -> PodStatus:
    """The status with its Ready condition False, by somebody else than its node; itself where it was not True."""
    if not is_ready(pod):
        return pod.status
    conditions = tuple(
        msgspec.structs.replace(each, status="False", reason=reason, message="", last_transition_time=now)
        if each.type == "Ready"
        else each
        for each in pod.status.conditions
    )
    return msgspec.structs.replace(pod.status, conditions=conditions)


def disrupted(pod: Pod, reason: str, message: str, now: datetime.datetime) -> PodStatus:
    """The status that says why a pod with which nothing is wrong is about to be deleted; itself where it does."""
    present = condition(pod, DISRUPTION_TARGET)
    if present is not None and (present.status, present.reason) == ("True", reason):
        return pod.status
    told = PodCondition(type=DISRUPTION_TARGET, status="True", reason=reason, message=message, last_transition_time=now)
    others = tuple(each for each in pod.status.conditions if each.type != DISRUPTION_TARGET)
    return msgspec.structs.replace(pod.status, conditions=(*others, told))
