"""Which pods a node's NoExecute taints drive away, and when. Pure.

A pod stays on a tainted node for as long as it tolerates the taint: for ever, for ``tolerationSeconds`` since both it
and the taint are there, or not at all. Of several taints the shortest time counts, of several tolerations of one
taint the first.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from knarr_api.types.core_v1 import Pod, Taint
from knarr_controlplane.controllers.nodes import taints
from knarr_controlplane.controllers.pods import state
from knarr_controlplane.scheduler.tolerations import tolerates

NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Eviction:
    pod: Pod
    in_s: float
    """0 or less: now."""
    taint: Taint


def evictions(
    pods: Sequence[Pod], present: Sequence[Taint], now: datetime.datetime, *, not_before: datetime.datetime
) -> tuple[Eviction, ...]:
    """Of the pods of one node, those that must go. ``not_before``: no toleration of an unreachable or not-ready node
    starts to run out before this time."""
    executing = tuple(taint for taint in present if taint.effect == taints.NO_EXECUTE)
    if not executing:
        return ()
    found: list[Eviction] = []
    for pod in pods:
        if pod.metadata.deletion_timestamp is not None or state.is_ended(pod):
            continue
        ends = [(end, taint) for taint in executing if (end := _end(pod, taint, now, not_before)) is not None]
        if ends:
            end, taint = min(ends, key=lambda each: each[0])
            found.append(Eviction(pod=pod, in_s=(end - now).total_seconds(), taint=taint))
    return tuple(found)


def _arrived(pod: Pod) -> datetime.datetime | None:
    """When the pod came to its node, as far as it says."""
    scheduled = next((each for each in pod.status.conditions if each.type == "PodScheduled"), None)
    said = scheduled.last_transition_time if scheduled is not None else pod.status.start_time
    return said or pod.metadata.creation_timestamp


def _end(pod: Pod, taint: Taint, now: datetime.datetime, not_before: datetime.datetime) -> datetime.datetime | None:
    """When the pod's patience with this taint ends; None for never."""
    toleration = next((each for each in pod.spec.tolerations if tolerates(each, taint)), None)
    begin = max(taint.time_added or now, _arrived(pod) or NEVER)
    if taint.key in (taints.UNREACHABLE, taints.NOT_READY):
        begin = max(begin, not_before)
    if toleration is None:
        return begin
    if toleration.toleration_seconds is None:
        return None
    return begin + datetime.timedelta(seconds=max(0, toleration.toleration_seconds))
