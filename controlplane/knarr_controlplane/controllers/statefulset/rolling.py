"""Which pods of an old template go next: from the highest ordinal down to the partition. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from knarr_api.types.apps_v1 import StatefulSet
from knarr_api.types.core_v1 import Pod
from knarr_controlplane.controllers.deployment.limits import absolute
from knarr_controlplane.controllers.statefulset import identity

Test = Callable[[Pod], bool]


def is_rolling(stateful: StatefulSet) -> bool:
    strategy = stateful.spec.update_strategy
    return strategy is None or strategy.type != "OnDelete"


def partition(stateful: StatefulSet) -> int:
    """The lowest ordinal that gets the new template; those below keep the one they have."""
    strategy = stateful.spec.update_strategy
    rolling = strategy.rolling_update if strategy is not None else None
    return identity.start(stateful) + ((rolling.partition or 0) if rolling is not None else 0)


def max_unavailable(stateful: StatefulSet) -> int:
    strategy = stateful.spec.update_strategy
    rolling = strategy.rolling_update if strategy is not None else None
    given = rolling.max_unavailable if rolling is not None else None
    return max(1, absolute(1 if given is None else given, identity.desired(stateful), round_up=False))


def outdated(stateful: StatefulSet, replicas: Mapping[int, Pod], revision: str, is_available: Test) -> tuple[Pod, ...]:
    """Those that may go now. What serves nobody goes whatever the limit, and counts: it is missing already."""
    first = partition(stateful)

    def may_go(ordinal: int, pod: Pod) -> bool:
        deleting = pod.metadata.deletion_timestamp is not None
        return ordinal >= first and identity.revision_of(pod) != revision and not deleting

    down = sum(not is_available(pod) for pod in replicas.values())
    going: list[Pod] = []
    for ordinal in sorted(replicas, reverse=True):
        pod = replicas[ordinal]
        if not may_go(ordinal, pod):
            continue
        if is_available(pod):
            if down >= max_unavailable(stateful):
                break
            down += 1
        going.append(pod)
    return tuple(going)
