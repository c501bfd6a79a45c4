"""Replacing pods of an old template, a few nodes at a time. Pure.

Without surge the old pod goes first and the new one follows; with it, the new one comes first and the old one goes when
the new one is available.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from knarr_api.types.apps_v1 import DaemonSet
from knarr_api.types.core_v1 import Pod
from knarr_controlplane.controllers.deployment.limits import absolute

Pods = Mapping[str, Sequence[Pod]]
"""Pods by their node, of all nodes that should run one."""
Test = Callable[[Pod], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    delete: tuple[Pod, ...] = ()
    create: tuple[str, ...] = ()
    """Nodes that get a second pod."""


def max_surge(daemonset: DaemonSet, nodes: int) -> int:
    strategy = daemonset.spec.update_strategy
    rolling = strategy.rolling_update if strategy is not None and strategy.type == "RollingUpdate" else None
    if rolling is None or rolling.max_surge is None:
        return 0
    return absolute(rolling.max_surge, nodes, round_up=True)


def max_unavailable(daemonset: DaemonSet, nodes: int) -> int:
    """At least one where there is no surge: else nothing would move."""
    strategy = daemonset.spec.update_strategy
    rolling = strategy.rolling_update if strategy is not None else None
    given = rolling.max_unavailable if rolling is not None else None
    most = absolute(1 if given is None else given, nodes, round_up=True)
    return most if most or max_surge(daemonset, nodes) else 1


def step(daemonset: DaemonSet, pods: Pods, is_new: Test, is_available: Test) -> Step:
    strategy = daemonset.spec.update_strategy
    if strategy is not None and strategy.type == "OnDelete":
        return Step()
    surge = max_surge(daemonset, len(pods))
    if surge:
        return _surging(pods, surge, is_new, is_available)
    return _replacing(pods, max_unavailable(daemonset, len(pods)), is_new, is_available)


def _replacing(pods: Pods, limit: int, is_new: Test, is_available: Test) -> Step:
    unavailable = 0
    broken: list[Pod] = []
    candidates: list[Pod] = []
    for node in sorted(pods):
        there = [pod for pod in pods[node] if pod.metadata.deletion_timestamp is None]
        if len(there) != 1:
            unavailable += 1
        elif is_new(there[0]):
            unavailable += not is_available(there[0])
        elif is_available(there[0]):
            candidates.append(there[0])
        else:
            # It serves nobody as it is: it may go whatever the limit.
            unavailable += 1
            broken.append(there[0])
    return Step(delete=(*broken, *candidates[: max(0, limit - unavailable)]))


def _surging(pods: Pods, limit: int, is_new: Test, is_available: Test) -> Step:
    surging = 0
    free: list[str] = []
    candidates: list[str] = []
    delete: list[Pod] = []
    for node in sorted(pods):
        there = [pod for pod in pods[node] if pod.metadata.deletion_timestamp is None]
        new = [pod for pod in there if is_new(pod)]
        old = [pod for pod in there if not is_new(pod)]
        if len(new) > 1 or len(old) > 1:
            surging += 1
        elif old and not new:
            (candidates if is_available(old[0]) else free).append(node)
        elif old and is_available(new[0]):
            delete.append(old[0])
        elif old:
            surging += 1
    return Step(delete=tuple(delete), create=(*free, *candidates[: max(0, limit - surging)]))
