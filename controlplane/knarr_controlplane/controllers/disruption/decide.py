"""What a budget's status should say. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from knarr_api.types.core_v1 import Pod
from knarr_api.types.meta_v1 import Condition
from knarr_api.types.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetStatus
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.deployment.limits import absolute
from knarr_controlplane.controllers.pods import state

DELETION_TIMEOUT_S = 120.0
"""An evicted pod that is not being deleted after this time counts again. By the time that the controller has seen it
noted: whoever noted it may have another clock, and by one that is behind two could go for one."""
ALLOWED = "DisruptionAllowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How many pods somebody keeps: a Deployment, StatefulSet or whatever else stands behind a pod."""

    uid: str
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """pods: those that the budget selects. scales: by the uid of the pods' controller, where it has replicas.

    waited_s: for how long pods that the budget notes as evicted have been seen there, by name; of others it is 0.
    """

    budget: PodDisruptionBudget
    pods: tuple[Pod, ...]
    scales: Mapping[str, Scale]
    waited_s: Mapping[str, float]
    now: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """not_deleted: pods that were evicted long ago and are still there. unmanaged: pods that no count includes."""

    status: PodDisruptionBudgetStatus
    not_deleted: tuple[Pod, ...] = ()
    unmanaged: tuple[Pod, ...] = ()
    again_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """pods: how many there should be. healthy: how many of these must stay."""

    pods: int
    healthy: int
    unmanaged: tuple[Pod, ...] = ()


def decide(world: World) -> Plan:
    budget = world.budget
    expected = expectation(world)
    disrupted, not_deleted, again_after_s = _disrupted(world)
    healthy = sum(
        state.is_ready(pod) and pod.metadata.deletion_timestamp is None and pod.metadata.name not in disrupted
        for pod in world.pods
    )
    allowed = max(0, healthy - expected.healthy) if expected.pods > 0 else 0
    status = PodDisruptionBudgetStatus(
        observed_generation=budget.metadata.generation,
        disrupted_pods=disrupted,
        disruptions_allowed=allowed,
        current_healthy=healthy,
        desired_healthy=expected.healthy,
        expected_pods=expected.pods,
        conditions=_conditions(budget, allowed, world.now),
    )
    return Plan(status=status, not_deleted=not_deleted, unmanaged=expected.unmanaged, again_after_s=again_after_s)


def expectation(world: World) -> Expected:
    """Numbers of pods count those there are; percentages, and what may be missing, those that there should be."""
    spec = world.budget.spec
    if spec.max_unavailable is None and isinstance(spec.min_available, int):
        return Expected(pods=len(world.pods), healthy=spec.min_available)
    scales: dict[str, Scale] = {}
    unmanaged: list[Pod] = []
    for pod in world.pods:
        controller = ownership.controller_of(pod)
        scale = world.scales.get(controller.uid) if controller is not None else None
        if scale is not None:
            scales[scale.uid] = scale
        else:
            unmanaged.append(pod)
    total = sum(scale.replicas for scale in scales.values())
    if spec.max_unavailable is not None:
        healthy = max(0, total - absolute(spec.max_unavailable, total, round_up=True))
    else:
        healthy = absolute(spec.min_available or 0, total, round_up=True)
    return Expected(pods=total, healthy=healthy, unmanaged=tuple(unmanaged))


def _disrupted(world: World) -> tuple[dict[str, datetime.datetime], tuple[Pod, ...], float | None]:
    """Evicted pods that are to go yet; those that should have long ago; when the next of these is due."""
    waiting: dict[str, datetime.datetime] = {}
    late: list[Pod] = []
    due_s: list[float] = []
    present = {pod.metadata.name: pod for pod in world.pods}
    for name, since in world.budget.status.disrupted_pods.items():
        pod = present.get(name)
        if pod is None or pod.metadata.deletion_timestamp is not None:
            continue
        left_s = DELETION_TIMEOUT_S - world.waited_s.get(name, 0.0)
        if left_s > 0:
            waiting[name] = since
            due_s.append(left_s)
        else:
            late.append(pod)
    return waiting, tuple(late), min(due_s, default=None)


def _conditions(budget: PodDisruptionBudget, allowed: int, now: datetime.datetime) -> tuple[Condition, ...]:
    status, reason = ("True", "SufficientPods") if allowed > 0 else ("False", "InsufficientPods")
    present = next((each for each in budget.status.conditions if each.type == ALLOWED), None)
    since = present.last_transition_time if present is not None and present.status == status else now
    condition = Condition(
        type=ALLOWED,
        status=status,
        reason=reason,
        last_transition_time=since.replace(microsecond=0) if since is not None else None,
        observed_generation=budget.metadata.generation,
    )
    others = tuple(each for each in budget.status.conditions if each.type != ALLOWED)
    return (*others, condition)


def changed(budget: PodDisruptionBudget, status: PodDisruptionBudgetStatus) -> PodDisruptionBudget | None:
    """The budget with another status; None where it is the same."""
    return None if budget.status == status else msgspec.structs.replace(budget, status=status)
