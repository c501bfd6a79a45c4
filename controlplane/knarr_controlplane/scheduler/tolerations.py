"""Whether a pod tolerates a taint. Pure. Source: Kubernetes "Taints and Tolerations"."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from knarr_api.types.core_v1 import Taint, Toleration

KEEPS_OUT = ("NoSchedule", "NoExecute")
COMPARES: Mapping[str, Callable[[int, int], bool]] = {"Lt": operator.lt, "Gt": operator.gt}
WHOLE = re.compile(r"-?[0-9]{1,19}")


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """An empty effect tolerates all effects; an empty key with Exists tolerates everything. Lt and Gt tolerate taints
    with a lesser or greater number."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.operator == "Exists":
        return not toleration.key or toleration.key == taint.key
    if not toleration.key or toleration.key != taint.key:
        return False
    if toleration.operator not in COMPARES:
        return toleration.value == taint.value
    if not (WHOLE.fullmatch(toleration.value) and WHOLE.fullmatch(taint.value)):
        return False
    return COMPARES[toleration.operator](int(taint.value), int(toleration.value))


def tolerated(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    return any(tolerates(toleration, taint) for toleration in tolerations)


def first_untolerated(taints: Iterable[Taint], tolerations: Sequence[Toleration]) -> Taint | None:
    """The first taint that keeps the pod out."""
    for taint in taints:
        if taint.effect in KEEPS_OUT and not tolerated(taint, tolerations):
            return taint
    return None


def to_avoid(taints: Iterable[Taint], tolerations: Sequence[Toleration]) -> int:
    """How many PreferNoSchedule taints are not tolerated."""
    return sum(taint.effect == "PreferNoSchedule" and not tolerated(taint, tolerations) for taint in taints)
