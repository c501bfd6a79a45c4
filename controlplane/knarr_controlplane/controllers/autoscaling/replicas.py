"""How many replicas one metric of pods asks for.

Pods that are on their way out or have failed don't count. Pods that are not ready yet, or of which nothing is known,
are set aside; where the others alone would change the number, they are counted so that the change becomes smaller: as
using all of what is aimed at when scaling down, as using nothing when scaling up. Source: Kubernetes "Horizontal Pod
Autoscaling", algorithm details.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from knarr_api.types.core_v1 import Pod, PodCondition
from knarr_api.types.metrics_v1beta1 import PodMetrics

NANOS = 10**9
CPU = "cpu"
CPU_INITIALIZATION_S = 300.0
"""So long after a pod's start its processor time counts only when it was measured while the pod was ready."""
INITIAL_READINESS_S = 30.0
TOLERANCE = 0.1


class NotKnown(Exception):
    """The metric can't be computed now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is aimed at: utilization is a percentage of requests, average_nanos an amount per pod; one of them.

    container: of which alone; empty for all of the pod.
    """

    resource: str
    container: str = ""
    utilization: int | None = None
    average_nanos: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Within which the ratio of use to target changes nothing."""

    up: float = TOLERANCE
    down: float = TOLERANCE

    def covers(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """average_nanos: use per pod; utilization: of the requests, in percent, where that is aimed at."""

    replicas: int
    average_nanos: int
    utilization: int | None = None


@dataclass(frozen=True, slots=True)
class _Groups:
    """Names. ready: how many count fully."""

    ready: int
    missing: frozenset[str]
    unready: frozenset[str]
    leaving: frozenset[str]


def propose(
    target: Target,
    pods: Iterable[Pod],
    metrics: Iterable[PodMetrics],
    current: int,
    now: datetime.datetime,
    tolerance: Tolerance,
) -> Proposal:
    """Raises NotKnown, saying why."""
    pods = tuple(pods)
    by_name = {each.metadata.name: each for each in metrics}
    used = {name: use for name, each in by_name.items() if (use := _use(target, each)) is not None}
    if not used:
        raise NotKnown(
            f"unable to get metrics for resource {target.resource}: no metrics returned from resource metrics API"
        )
    if not pods:
        raise NotKnown("no pods returned by selector while calculating replica count")
    groups = _grouped(target, pods, by_name, used, now)
    aims = _aims(target, pods)
    for name in groups.unready | groups.leaving | (used.keys() - {pod.metadata.name for pod in pods}):
        used.pop(name, None)
    if not used:
        raise NotKnown("did not receive metrics for any ready pods")
    ratio = _ratio(used, aims)
    average = sum(used.values()) // len(used)
    shown = None
    if target.utilization is not None:
        shown = int(ratio * target.utilization)
    return Proposal(
        replicas=_replicas(used, aims, ratio, groups, current, tolerance), average_nanos=average, utilization=shown
    )


def _replicas(
    used: Mapping[str, int],
    aims: Mapping[str, float],
    ratio: float,
    groups: _Groups,
    current: int,
    tolerance: Tolerance,
) -> int:
    rebalance = bool(groups.unready) and ratio > 1.0
    if not rebalance and not groups.missing:
        return current if tolerance.covers(ratio) else _ceil(ratio * groups.ready)
    assumed: dict[str, float] = dict(used)
    for name in groups.missing:
        if ratio < 1.0:
            assumed[name] = aims[name]
        elif ratio > 1.0:
            assumed[name] = 0
    if rebalance:
        assumed.update(dict.fromkeys(groups.unready, 0))
    anew = _ratio(assumed, aims)
    if tolerance.covers(anew) or (ratio < 1.0 < anew) or (anew < 1.0 < ratio):
        return current
    proposed = _ceil(anew * len(assumed))
    turned = (anew < 1.0 and proposed > current) or (anew > 1.0 and proposed < current)
    return current if turned else proposed


def _ratio(used: Mapping[str, float], aims: Mapping[str, float]) -> float:
    """Use to target, over all of these pods."""
    aimed = sum(aims.get(name, 0) for name in used)
    if not aimed:
        raise NotKnown("no metrics returned matched known pods")
    return sum(used.values()) / aimed


def _ceil(value: float) -> int:
    """Up, but for what floating point adds."""
    return math.ceil(round(value, 9))


def _aims(target: Target, pods: Iterable[Pod]) -> dict[str, float]:
    """What each pod should use, in billionths."""
    if target.utilization is None:
        return {pod.metadata.name: target.average_nanos for pod in pods}
    return {pod.metadata.name: _request(target, pod) * target.utilization / 100 for pod in pods}


def _request(target: Target, pod: Pod) -> int:
    """What it requests as a whole, else its containers and sidecars together; or one of them. Raises NotKnown where one
    requests nothing."""
    whole = pod.spec.resources.requests.get(target.resource)
    if whole is not None and not target.container:
        return whole.nanos()
    sidecars = (one for one in pod.spec.init_containers if one.restart_policy == "Always")
    total = 0
    for container in (*pod.spec.containers, *sidecars):
        if target.container and container.name != target.container:
            continue
        quantity = container.resources.requests.get(target.resource)
        if quantity is None:
            where = f"container {container.name} of Pod {pod.metadata.name}"
            raise NotKnown(f"missing request for {target.resource} in {where}")
        total += quantity.nanos()
    return total


def _use(target: Target, metrics: PodMetrics) -> int | None:
    """None where a container says nothing of the resource."""
    total, found = 0, False
    for container in metrics.containers:
        if target.container and container.name != target.container:
            continue
        quantity = container.usage.get(target.resource)
        if quantity is None:
            return None
        total, found = total + quantity.nanos(), True
    return total if found else None


def _grouped(
    target: Target,
    pods: Iterable[Pod],
    metrics: Mapping[str, PodMetrics],
    used: Mapping[str, int],
    now: datetime.datetime,
) -> _Groups:
    ready = 0
    missing: set[str] = set()
    unready: set[str] = set()
    leaving: set[str] = set()
    for pod in pods:
        name = pod.metadata.name
        if pod.metadata.deletion_timestamp is not None or pod.status.phase in ("Failed", "Succeeded"):
            leaving.add(name)
        elif pod.status.phase == "Pending":
            unready.add(name)
        elif name not in used:
            missing.add(name)
        elif target.resource == CPU and _starts(pod, metrics[name], now):
            unready.add(name)
        else:
            ready += 1
    return _Groups(ready, frozenset(missing), frozenset(unready), frozenset(leaving))


def _starts(pod: Pod, metrics: PodMetrics, now: datetime.datetime) -> bool:
    """Whether its processor time is still that of its start."""
    condition = _readiness(pod)
    started, changed = pod.status.start_time, condition.last_transition_time if condition is not None else None
    if condition is None or started is None or changed is None:
        return True
    if now < started + datetime.timedelta(seconds=CPU_INITIALIZATION_S):
        measured = metrics.timestamp or now
        window = datetime.timedelta(seconds=_seconds(metrics.window or ""))
        return condition.status == "False" or measured < changed + window
    first = started + datetime.timedelta(seconds=INITIAL_READINESS_S)
    return condition.status == "False" and first > changed


def _readiness(pod: Pod) -> PodCondition | None:
    return next((condition for condition in pod.status.conditions if condition.type == "Ready"), None)


def _seconds(window: str) -> float:
    try:
        return float(window.removesuffix("s"))
    except ValueError:
        return 0.0
