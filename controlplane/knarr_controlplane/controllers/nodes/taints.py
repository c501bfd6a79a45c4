"""Which taints and conditions a node must have, from what it reports and whether it is heard of. Pure.

=====================================  ============================================  =====================
condition                              taint                                         effects
=====================================  ============================================  =====================
Ready is False                         node.kubernetes.io/not-ready                  NoSchedule, NoExecute
Ready is Unknown                       node.kubernetes.io/unreachable                NoSchedule, NoExecute
MemoryPressure, DiskPressure,          node.kubernetes.io/memory-pressure, …         NoSchedule
PIDPressure, NetworkUnavailable True
spec.unschedulable                     node.kubernetes.io/unschedulable              NoSchedule
=====================================  ============================================  =====================

Taints of other names are their makers' and stay as they are; those that drive pods away get the time at which they
were seen first, where they have none: tolerations run from there.
"""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.types.core_v1 import Node, NodeCondition, NodeStatus, Taint

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
NO_SCHEDULE = "NoSchedule"
NO_EXECUTE = "NoExecute"
PRESSURES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
OURS = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE, *PRESSURES.values()})
REPORTED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
"""Conditions that mean nothing once the node is silent."""
STATUS_UNKNOWN = "NodeStatusUnknown"
NEVER_UPDATED = "NodeStatusNeverUpdated"


def ready_status(node: Node) -> str:
    """ "True", "False", "Unknown"; empty when the node never said."""
    return next((each.status for each in node.status.conditions if each.type == "Ready"), "")


def silenced(node: Node, now: datetime.datetime) -> NodeStatus:
    """The status of a node that is not heard of: what it reported is Unknown. Itself where it is so already."""
    present = {each.type: each for each in node.status.conditions}
    if all(type_ in present and present[type_].status == "Unknown" for type_ in REPORTED):
        return node.status
    unknown = {type_: _unknown(present.get(type_), type_, now) for type_ in REPORTED}
    kept = tuple(unknown.pop(each.type, each) for each in node.status.conditions)
    return msgspec.structs.replace(node.status, conditions=(*kept, *unknown.values()))


def wanted(node: Node, now: datetime.datetime) -> tuple[Taint, ...]:
    """All taints of the node as they must be; the present tuple when nothing changes."""
    asked: dict[tuple[str, str], Taint] = {}
    reason = {"False": NOT_READY, "Unknown": UNREACHABLE}.get(ready_status(node))
    if reason is not None:
        asked[reason, NO_SCHEDULE] = Taint(key=reason, effect=NO_SCHEDULE)
        asked[reason, NO_EXECUTE] = Taint(key=reason, effect=NO_EXECUTE, time_added=now)
    for condition in node.status.conditions:
        key = PRESSURES.get(condition.type)
        if key is not None and condition.status == "True":
            asked[key, NO_SCHEDULE] = Taint(key=key, effect=NO_SCHEDULE)
    if node.spec.unschedulable:
        asked[UNSCHEDULABLE, NO_SCHEDULE] = Taint(key=UNSCHEDULABLE, effect=NO_SCHEDULE)
    kept = tuple(
        _timed(taint, now)
        for taint in node.spec.taints
        if taint.key not in OURS or asked.pop((taint.key, taint.effect), None) is not None
    )
    if not asked and kept == node.spec.taints:
        return node.spec.taints
    return (*kept, *asked.values())


def _timed(taint: Taint, now: datetime.datetime) -> Taint:
    if taint.effect != NO_EXECUTE or taint.time_added is not None:
        return taint
    return msgspec.structs.replace(taint, time_added=now)


def _unknown(present: NodeCondition | None, type_: str, now: datetime.datetime) -> NodeCondition:
    if present is None:
        return NodeCondition(
            type=type_,
            status="Unknown",
            reason=NEVER_UPDATED,
            message="the node's agent has never posted its status",
            last_transition_time=now,
        )
    if present.status == "Unknown":
        return present
    return NodeCondition(
        type=type_,
        status="Unknown",
        reason=STATUS_UNKNOWN,
        message="the node's agent stopped posting its status",
        last_heartbeat_time=present.last_heartbeat_time,
        last_transition_time=now,
    )
