"""How fast proposals are followed: stabilisation windows, policies, and the least and most replicas.

Source: Kubernetes "Horizontal Pod Autoscaling", configurable scaling behavior; without ``spec.behavior``, scaling down
waits for five minutes of lower proposals, and scaling up at most doubles, or goes to four.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from knarr_api.types.autoscaling_v2 import HorizontalPodAutoscalerBehavior, HPAScalingPolicy, HPAScalingRules

DOWN_STABILIZATION_S = 300
UP_FACTOR, UP_LEAST = 2, 4
LONGEST_S = 3600
Choice = Callable[[list[int]], int]


@dataclass(frozen=True, slots=True)
class At:
    """A proposal of so many replicas, or a change by so many, at a moment (monotonic seconds)."""

    at_s: float
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was proposed and done lately; kept in memory, as in Kubernetes."""

    proposals: tuple[At, ...] = ()
    ups: tuple[At, ...] = ()
    downs: tuple[At, ...] = ()

    def proposed(self, replicas: int, now_s: float) -> History:
        kept = (*_since(self.proposals, now_s - LONGEST_S), At(now_s, replicas))
        return History(proposals=kept, ups=self.ups, downs=self.downs)

    def scaled(self, old: int, new: int, now_s: float) -> History:
        ups, downs = _since(self.ups, now_s - LONGEST_S), _since(self.downs, now_s - LONGEST_S)
        if new > old:
            ups = (*ups, At(now_s, new - old))
        else:
            downs = (*downs, At(now_s, old - new))
        return History(proposals=self.proposals, ups=ups, downs=downs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """stabilized, limited: (reason, message) of conditions. is_limited: the proposal was cut."""

    replicas: int
    stabilized: tuple[str, str]
    limited: tuple[str, str]
    is_limited: bool


READY = ("ReadyForNewScale", "recommended size matches current size")
UP_STABILIZED = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
DOWN_STABILIZED = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
UP_LIMIT = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
DOWN_LIMIT = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    current: int
    least: int
    most: int
    behavior: HorizontalPodAutoscalerBehavior | None
    history: History = field(default_factory=History)


def follow(proposed: int, bounds: Bounds, now_s: float) -> Verdict:
    """What becomes of a proposal. The history has the proposals before this one."""
    steady = _stabilized(proposed, bounds, now_s)
    down = proposed < bounds.current
    stabilized = READY if steady == proposed else DOWN_STABILIZED if down else UP_STABILIZED
    replicas, limited = _limited(steady, bounds, now_s)
    return Verdict(replicas=replicas, stabilized=stabilized, limited=limited, is_limited=replicas != steady)


def _stabilized(proposed: int, bounds: Bounds, now_s: float) -> int:
    """As far from the present number as all recent proposals agree."""
    up_s, down_s = _windows(bounds.behavior)
    low = min((proposed, *(each.replicas for each in _since(bounds.history.proposals, now_s - up_s))))
    high = max((proposed, *(each.replicas for each in _since(bounds.history.proposals, now_s - down_s))))
    if bounds.behavior is None:
        return high
    return min(max(bounds.current, low), high)


def _windows(behavior: HorizontalPodAutoscalerBehavior | None) -> tuple[float, float]:
    up = behavior.scale_up if behavior is not None else None
    down = behavior.scale_down if behavior is not None else None
    up_s = up.stabilization_window_seconds if up is not None else None
    down_s = down.stabilization_window_seconds if down is not None else None
    return up_s or 0, DOWN_STABILIZATION_S if down_s is None else down_s


def _limited(wanted: int, bounds: Bounds, now_s: float) -> tuple[int, tuple[str, str]]:
    current = bounds.current
    if bounds.behavior is None:
        most = max(UP_FACTOR * current, UP_LEAST)
        fewest = bounds.least
    else:
        most = max(_up_limit(bounds.behavior.scale_up, bounds, now_s), current)
        fewest = min(_down_limit(bounds.behavior.scale_down, bounds, now_s), current)
    if wanted > min(most, bounds.most):
        return min(most, bounds.most), UP_LIMIT if most < bounds.most else TOO_MANY
    if wanted < max(fewest, bounds.least):
        return max(fewest, bounds.least), DOWN_LIMIT if fewest > bounds.least else TOO_FEW
    return wanted, WITHIN


def _up_limit(rules: HPAScalingRules | None, bounds: Bounds, now_s: float) -> int:
    if rules is None or rules.select_policy == "Disabled":
        return bounds.current
    found = []
    for policy in rules.policies:
        before = _at_start(policy, bounds, now_s)
        value = policy.value or 0
        found.append(before + value if policy.type == "Pods" else math.ceil(round(before * (1 + value / 100), 9)))
    return _selected(found, rules, bounds.current, min, max)


def _down_limit(rules: HPAScalingRules | None, bounds: Bounds, now_s: float) -> int:
    if rules is None or rules.select_policy == "Disabled":
        return bounds.current
    found = []
    for policy in rules.policies:
        before = _at_start(policy, bounds, now_s)
        value = policy.value or 0
        found.append(before - value if policy.type == "Pods" else int(round(before * (1 - value / 100), 9)))
    return _selected(found, rules, bounds.current, max, min)


def _at_start(policy: HPAScalingPolicy, bounds: Bounds, now_s: float) -> int:
    """How many there were when the policy's period began."""
    since_s = now_s - (policy.period_seconds or 0)
    added = sum(each.replicas for each in _since(bounds.history.ups, since_s))
    removed = sum(each.replicas for each in _since(bounds.history.downs, since_s))
    return bounds.current - added + removed


def _selected(found: list[int], rules: HPAScalingRules, current: int, least_change: Choice, most_change: Choice) -> int:
    if not found:
        return current
    return least_change(found) if rules.select_policy == "Min" else most_change(found)


def _since(events: Iterable[At], since_s: float) -> tuple[At, ...]:
    return tuple(event for event in events if event.at_s > since_s)
