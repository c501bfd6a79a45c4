"""What a ReplicaSet needs: a pure function from what is to a plan.

Pods that have ended or are being deleted don't count: a replacement is made as soon as a deletion begins.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from knarr_api.labels import Selector
from knarr_api.types.apps_v1 import ReplicaSet, ReplicaSetCondition, ReplicaSetStatus
from knarr_api.types.core_v1 import Pod
from knarr_api.types.meta_v1 import ObjectMeta, OwnerReference
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.pods import state
from knarr_controlplane.controllers.replicaset import naming

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
REPLICA_FAILURE = "ReplicaFailure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why the last attempt to create or delete did not succeed."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """pods: all of the namespace that this ReplicaSet controls or might adopt. floor: the highest slot known to have
    been used, -1 for none. owner: whom pods refer to where that is no ReplicaSet."""

    replicaset: ReplicaSet
    owner: msgspec.Struct | None = None
    pods: tuple[Pod, ...]
    floor: int
    now: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    adopt: tuple[Pod, ...] = ()
    release: tuple[Pod, ...] = ()
    create: tuple[Pod, ...] = ()
    delete: tuple[Pod, ...] = ()
    active: tuple[Pod, ...] = ()
    """What the status is about."""
    terminating: int = 0
    again_after_s: float | None = None


def decide(world: World) -> Plan:
    replicaset = world.replicaset
    selector = Selector.from_label_selector(replicaset.spec.selector)
    if replicaset.spec.selector is None or not str(selector):
        return Plan()
    relevant = [pod for pod in world.pods if ownership.controller_of(pod) is not None or state.is_active(pod)]
    claim = ownership.claim(replicaset, selector, relevant)
    active = tuple([pod for pod in claim.owned if state.is_active(pod)])
    terminating = 0
    if len(active) < len(claim.owned):
        terminating = sum(
            pod.metadata.deletion_timestamp is not None and not state.is_ended(pod) for pod in claim.owned
        )
    create: tuple[Pod, ...] = ()
    delete: tuple[Pod, ...] = ()
    if replicaset.metadata.deletion_timestamp is None:
        missing = desired(replicaset) - len(active)
        if missing > 0:
            owner = world.owner or replicaset
            create = new_pods(replicaset, missing, world.floor, world.pods, ownership.controller_reference(owner))
        elif missing < 0:
            delete = deletion_order(active, world.now)[:-missing]
    return Plan(
        adopt=claim.adopt,
        release=tuple(pod for pod in claim.release if state.is_active(pod)),
        create=create,
        delete=delete,
        active=active,
        terminating=terminating,
        again_after_s=_next_available_s(replicaset, active, world.now),
    )


def desired(replicaset: ReplicaSet) -> int:
    return 1 if replicaset.spec.replicas is None else replicaset.spec.replicas


def highest_slot(replicaset: ReplicaSet, pods: Sequence[Pod]) -> int:
    """The highest slot among the names of the pods it controls; -1 for none."""
    uid = replicaset.metadata.uid
    slots = (
        naming.slot_of(pod.metadata.name, replicaset.metadata.name, uid)
        for pod in pods
        if (controller := ownership.controller_of(pod)) is not None and controller.uid == uid
    )
    return max((slot for slot in slots if slot is not None), default=-1)


def new_pods(
    replicaset: ReplicaSet, count: int, floor: int, pods: Sequence[Pod], owner: OwnerReference
) -> tuple[Pod, ...]:
    """Pods in the slots after the highest used one."""
    first = max(floor, highest_slot(replicaset, pods)) + 1
    taken = {pod.metadata.name for pod in pods}
    made: list[Pod] = []
    slot = first
    while len(made) < count:
        name = naming.pod_name(replicaset.metadata.name, replicaset.metadata.uid, slot % naming.SLOTS)
        if name not in taken:
            made.append(_pod(replicaset, name, owner))
        slot += 1
    return tuple(made)


def deletion_order(active: Sequence[Pod], now: datetime.datetime) -> tuple[Pod, ...]:
    """Whom to delete first: what serves least, then what makes the nodes more even, then the newest.

    Source: Kubernetes documentation, "ReplicaSet", "Scaling down", and pod deletion cost.
    """
    per_node = Counter(pod.spec.node_name for pod in active if pod.spec.node_name)

    def rank(pod: Pod) -> tuple[object, ...]:
        ready = state.condition(pod, "Ready")
        is_ready = ready is not None and ready.status == "True"
        ready_s = 0.0
        if is_ready and ready is not None and ready.last_transition_time is not None:
            ready_s = (now - ready.last_transition_time).total_seconds()
        created = pod.metadata.creation_timestamp
        return (
            bool(pod.spec.node_name),
            {"Pending": 0, "Unknown": 1}.get(pod.status.phase or "Pending", 2),
            is_ready,
            deletion_cost(pod),
            -per_node[pod.spec.node_name] if pod.spec.node_name else 0,
            ready_s,
            -state.restarts(pod),
            (now - created).total_seconds() if created is not None else 0.0,
            pod.metadata.name,
        )

    return tuple(sorted(active, key=rank))


def deletion_cost(pod: Pod) -> int:
    """The annotation's value; 0 where it is absent or no number."""
    text = pod.metadata.annotations.get(DELETION_COST, "0")
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= 10 else 0


def status(replicaset: ReplicaSet, plan: Plan, failure: Failure | None, now: datetime.datetime) -> ReplicaSetStatus:
    """The status that the pods observed amount to; equal to the present one when nothing changed."""
    wanted = replicaset.spec.template.metadata.labels.items()
    min_ready_s = replicaset.spec.min_ready_seconds or 0
    ready = [pod for pod in plan.active if state.is_ready(pod)]
    available = sum(state.available_in_s(pod, min_ready_s, now) == 0.0 for pod in ready) if min_ready_s else len(ready)
    return ReplicaSetStatus(
        replicas=len(plan.active),
        fully_labeled_replicas=sum([wanted <= pod.metadata.labels.items() for pod in plan.active]) or None,
        ready_replicas=len(ready) or None,
        available_replicas=available or None,
        terminating_replicas=plan.terminating or None,
        observed_generation=replicaset.metadata.generation,
        conditions=_conditions(replicaset.status.conditions, failure, now),
    )


def _conditions(
    present: tuple[ReplicaSetCondition, ...], failure: Failure | None, now: datetime.datetime
) -> tuple[ReplicaSetCondition, ...]:
    others = tuple(condition for condition in present if condition.type != REPLICA_FAILURE)
    if failure is None:
        return others
    same = next((each for each in present if each.type == REPLICA_FAILURE and each.status == "True"), None)
    since = same.last_transition_time if same is not None and same.reason == failure.reason else now
    condition = ReplicaSetCondition(
        type=REPLICA_FAILURE,
        status="True",
        reason=failure.reason,
        message=failure.message,
        last_transition_time=since,
    )
    return (*others, condition)


def _pod(replicaset: ReplicaSet, name: str, owner: OwnerReference) -> Pod:
    template = replicaset.spec.template
    metadata = ObjectMeta(
        name=name,
        generate_name=f"{replicaset.metadata.name}-",
        namespace=replicaset.metadata.namespace,
        labels=template.metadata.labels,
        annotations=template.metadata.annotations,
        finalizers=template.metadata.finalizers,
        owner_references=(owner,),
    )
    return Pod(metadata=metadata, spec=template.spec)


def _next_available_s(replicaset: ReplicaSet, active: Sequence[Pod], now: datetime.datetime) -> float | None:
    min_ready_s = replicaset.spec.min_ready_seconds or 0
    if min_ready_s <= 0:
        return None  # what is ready is available
    waits = [seconds for pod in active if (seconds := state.available_in_s(pod, min_ready_s, now))]
    return min(waits, default=None)
