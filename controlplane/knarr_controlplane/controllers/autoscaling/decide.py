"""Observe → decide for one HorizontalPodAutoscaler."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

import msgspec

from knarr_api.quantity import Quantity
from knarr_api.types.autoscaling_v1 import Scale
from knarr_api.types.autoscaling_v2 import (
    ContainerResourceMetricStatus,
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerCondition,
    HPAScalingRules,
    MetricSpec,
    MetricStatus,
    MetricTarget,
    MetricValueStatus,
    ResourceMetricStatus,
)
from knarr_api.types.core_v1 import Pod
from knarr_api.types.metrics_v1beta1 import PodMetrics
from knarr_controlplane.controllers.autoscaling import behaviour
from knarr_controlplane.controllers.autoscaling.behaviour import Bounds, History
from knarr_controlplane.controllers.autoscaling.replicas import (
    TOLERANCE,
    NotKnown,
    Proposal,
    Target,
    Tolerance,
    propose,
)
from knarr_controlplane.controllers.notes import Note

replace = msgspec.structs.replace
Condition = HorizontalPodAutoscalerCondition
ABLE, ACTIVE, LIMITED = "AbleToScale", "ScalingActive", "ScalingLimited"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """scale: of the target, None where it can't be had; problem says why. now_s: monotonic, as the history is."""

    autoscaler: HorizontalPodAutoscaler
    scale: Scale | None
    problem: str = ""
    pods: tuple[Pod, ...] = ()
    metrics: tuple[PodMetrics, ...] = ()
    history: History = field(default_factory=History)
    now: datetime.datetime
    now_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """replicas: to set on the target, None to leave it; reason: of that. autoscaler: with the status as it should be,
    had the target been scaled."""

    autoscaler: HorizontalPodAutoscaler
    replicas: int | None = None
    reason: str = ""
    history: History
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the metrics say together."""

    replicas: int
    name: str
    statuses: tuple[MetricStatus, ...]
    notes: tuple[Note, ...]


class _UnknownError(Exception):
    def __init__(self, reason: str, first: str, message: str, notes: tuple[Note, ...]) -> None:
        super().__init__(message)
        self.reason, self.first, self.notes = reason, first, notes


def decide(world: World) -> Plan:
    spec, scale = world.autoscaler.spec, world.scale
    if scale is None:
        text = f"the HPA controller was unable to get the target's current scale: {world.problem}"
        changed = condition(world, world.autoscaler, ABLE, "False", "FailedGetScale", text)
        note = Note(warning=True, reason="FailedGetScale", message=world.problem)
        return Plan(autoscaler=changed, history=world.history, notes=(note,))
    current = scale.spec.replicas or 0
    text = "the HPA controller was able to get the target's current scale"
    changed = condition(world, world.autoscaler, ABLE, "True", "SucceededGetScale", text)
    history = world.history if world.history.proposals else world.history.proposed(current, world.now_s)
    least, most = 1 if spec.min_replicas is None else spec.min_replicas, spec.max_replicas or 1
    if current == 0 and least != 0:
        text = "scaling is disabled since the replica count of the target is zero"
        changed = condition(world, changed, ACTIVE, "False", "ScalingDisabled", text)
        return Plan(autoscaler=_counted(world, changed, current, 0), history=history)
    if current > most:
        return _rescaled(world, changed, most, "Current number of replicas above Spec.MaxReplicas", history)
    if current < least:
        return _rescaled(world, changed, least, "Current number of replicas below Spec.MinReplicas", history)
    try:
        found = _metrics(world, scale, current)
    except _UnknownError as unknown:
        text = f"the HPA was unable to compute the replica count: {unknown.first}"
        changed = condition(world, changed, ACTIVE, "False", unknown.reason, text)
        changed = replace(changed, status=replace(changed.status, current_replicas=current))
        note = Note(warning=True, reason="FailedComputeMetricsReplicas", message=str(unknown))
        return Plan(autoscaler=changed, history=history, notes=(*unknown.notes, note))
    text = f"the HPA was able to successfully calculate a replica count from {found.name}"
    changed = condition(world, changed, ACTIVE, "True", "ValidMetricFound", text)
    bounds = Bounds(current=current, least=least, most=most, behavior=spec.behavior, history=history)
    verdict = behaviour.follow(found.replicas, bounds, world.now_s)
    history = history.proposed(found.replicas, world.now_s)
    changed = condition(world, changed, ABLE, "True", *verdict.stabilized)
    changed = condition(world, changed, LIMITED, str(verdict.is_limited), *verdict.limited)
    changed = replace(changed, status=replace(changed.status, current_metrics=found.statuses))
    if verdict.replicas == current:
        return Plan(autoscaler=_counted(world, changed, current, current), history=history, notes=found.notes)
    reason = f"{found.name} above target" if found.replicas > current else "All metrics below target"
    plan = _rescaled(world, changed, verdict.replicas, reason, history)
    return replace_plan(plan, notes=(*found.notes, *plan.notes))


def replace_plan(plan: Plan, *, notes: tuple[Note, ...]) -> Plan:
    return Plan(
        autoscaler=plan.autoscaler, replicas=plan.replicas, reason=plan.reason, history=plan.history, notes=notes
    )


def failed(world: World, plan: Plan, problem: str) -> Plan:
    """The plan when its scaling was refused."""
    text = f"the HPA controller was unable to update the target scale: {problem}"
    changed = condition(world, plan.autoscaler, ABLE, "False", "FailedUpdateScale", text)
    current = (world.scale.spec.replicas or 0) if world.scale is not None else 0
    before = world.autoscaler.status
    status = replace(changed.status, current_replicas=current, last_scale_time=before.last_scale_time)
    message = f"New size: {plan.replicas}; reason: {plan.reason}; error: {problem}"
    note = Note(warning=True, reason="FailedRescale", message=message)
    return Plan(
        autoscaler=replace(changed, status=replace(status, desired_replicas=before.desired_replicas)),
        history=History(proposals=plan.history.proposals, ups=world.history.ups, downs=world.history.downs),
        notes=(note,),
    )


def _rescaled(world: World, changed: HorizontalPodAutoscaler, to: int, reason: str, history: History) -> Plan:
    current = (world.scale.spec.replicas or 0) if world.scale is not None else 0
    text = f"the HPA controller was able to update the target scale to {to}"
    changed = _counted(world, condition(world, changed, ABLE, "True", "SucceededRescale", text), current, to)
    changed = replace(changed, status=replace(changed.status, last_scale_time=world.now.replace(microsecond=0)))
    note = Note(reason="SuccessfulRescale", message=f"New size: {to}; reason: {reason}")
    return Plan(
        autoscaler=changed, replicas=to, reason=reason, history=history.scaled(current, to, world.now_s), notes=(note,)
    )


def _counted(world: World, changed: HorizontalPodAutoscaler, current: int, desired: int) -> HorizontalPodAutoscaler:
    status = replace(
        changed.status,
        current_replicas=current,
        desired_replicas=desired,
        observed_generation=world.autoscaler.metadata.generation,
    )
    return replace(changed, status=status)


def _metrics(world: World, scale: Scale, current: int) -> _Found:
    """The most that any metric asks for. Raises _UnknownError where none is known, or scaling down would ignore one."""
    if not scale.status.selector:
        text = "the HPA target's scale is missing a selector"
        note = Note(warning=True, reason="InvalidSelector", message="selector is required")
        raise _UnknownError("InvalidSelector", text, "selector is required", (note,))
    best: Proposal | None = None
    name, statuses = "", []
    notes: list[Note] = []
    for metric in world.autoscaler.spec.metrics:
        try:
            proposal = _proposal(world, metric, current)
        except NotKnown as problem:
            reason, what = _failure(metric)
            notes.append(Note(warning=True, reason=reason, message=f"failed to get {what}: {problem}"))
            continue
        statuses.append(_status(metric, proposal))
        if best is None or proposal.replicas > best.replicas:
            best, name = proposal, _name(metric)
    count = len(world.autoscaler.spec.metrics)
    if best is None or (notes and best.replicas < current):
        first = notes[0] if notes else Note(warning=True, reason="FailedGetMetric", message="no metrics are given")
        text = f"invalid metrics ({len(notes)} invalid out of {count}), first error is: {first.message}"
        raise _UnknownError(first.reason, first.message, text, tuple(notes))
    return _Found(replicas=best.replicas, name=name, statuses=tuple(statuses), notes=tuple(notes))


def _proposal(world: World, metric: MetricSpec, current: int) -> Proposal:
    target = _target(metric)
    behavior = world.autoscaler.spec.behavior
    tolerance = Tolerance(
        up=_tolerated(behavior.scale_up if behavior is not None else None),
        down=_tolerated(behavior.scale_down if behavior is not None else None),
    )
    return propose(target, world.pods, world.metrics, current, world.now, tolerance)


def _tolerated(rules: HPAScalingRules | None) -> float:
    given = rules.tolerance if rules is not None else None
    return TOLERANCE if given is None else given.nanos() / 10**9


def _target(metric: MetricSpec) -> Target:
    source = metric.resource or metric.container_resource
    if source is None:
        raise NotKnown(f"metrics of type {metric.type} are not supported: there is no source of them")
    aim = source.target or MetricTarget()
    container = metric.container_resource.container if metric.container_resource is not None else ""
    if aim.average_value is not None:
        return Target(resource=source.name, container=container, average_nanos=aim.average_value.nanos())
    if aim.average_utilization is None:
        raise NotKnown("invalid resource metric source: neither a utilization target nor a value target was set")
    return Target(resource=source.name, container=container, utilization=aim.average_utilization)


def _failure(metric: MetricSpec) -> tuple[str, str]:
    if metric.container_resource is not None:
        return "FailedGetContainerResourceMetric", f"{metric.container_resource.name} container metric"
    if metric.resource is not None:
        return "FailedGetResourceMetric", f"{metric.resource.name} utilization"
    return f"FailedGet{metric.type}Metric", f"{metric.type} metric"


def _name(metric: MetricSpec) -> str:
    source = metric.resource or metric.container_resource
    if source is None or source.target is None:
        return metric.type
    what = "resource" if metric.resource is not None else "container resource"
    share = "" if source.target.average_value is not None else " utilization (percentage of request)"
    return f"{source.name} {what}{share}"


def _status(metric: MetricSpec, proposal: Proposal) -> MetricStatus:
    average = Quantity(f"{-(-proposal.average_nanos // 10**6)}m")
    current = MetricValueStatus(average_value=average, average_utilization=proposal.utilization)
    if metric.container_resource is not None:
        source = metric.container_resource
        status = ContainerResourceMetricStatus(name=source.name, container=source.container, current=current)
        return MetricStatus(type=metric.type, container_resource=status)
    name = metric.resource.name if metric.resource is not None else ""
    return MetricStatus(type=metric.type, resource=ResourceMetricStatus(name=name, current=current))


def condition(
    world: World, changed: HorizontalPodAutoscaler, type_: str, status: str, reason: str, message: str
) -> HorizontalPodAutoscaler:
    """With this condition; its time is that of the last change of its status."""
    present = {each.type: each for each in changed.status.conditions}
    stored = next((each for each in world.autoscaler.status.conditions if each.type == type_), None)
    same = stored is not None and stored.status == status
    since = stored.last_transition_time if same and stored is not None else world.now.replace(microsecond=0)
    present[type_] = Condition(type=type_, status=status, reason=reason, message=message, last_transition_time=since)
    return replace(changed, status=replace(changed.status, conditions=tuple(present.values())))
