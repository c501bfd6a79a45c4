"""What a namespace that is being deleted says about it. Pure.

Types and reasons are Kubernetes'. A condition is True while something stands in the way.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from knarr_api.types.core_v1 import NamespaceCondition

CONTENT_FAILURE = "NamespaceDeletionContentFailure"
CONTENT_REMAINING = "NamespaceContentRemaining"
FINALIZERS_REMAINING = "NamespaceFinalizersRemaining"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What is left in a namespace. objects: how many by ``pods``, ``deployments.apps``. finalizers: how many objects
    wait for each. failures: why something could not be deleted."""

    objects: Mapping[str, int] = field(default_factory=dict)
    finalizers: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.objects and not self.failures


def conditions(
    present: tuple[NamespaceCondition, ...], remains: Remains, now: datetime.datetime
) -> tuple[NamespaceCondition, ...]:
    """The present ones where nothing changed."""
    failure = "; ".join(remains.failures)
    counts = ", ".join(f"{name} has {count} resource instances" for name, count in sorted(remains.objects.items()))
    waits = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(remains.finalizers.items()))
    wanted = (
        _condition(CONTENT_FAILURE, failure, "ContentDeletionFailed", "ContentDeleted", "all content deleted"),
        _condition(
            CONTENT_REMAINING,
            f"some resources are remaining: {counts}" if counts else "",
            "SomeResourcesRemain",
            "ContentRemoved",
            "all content is gone",
        ),
        _condition(
            FINALIZERS_REMAINING,
            f"some content has finalizers remaining: {waits}" if waits else "",
            "SomeFinalizersRemain",
            "ContentHasNoFinalizers",
            "no finalizer is left in the content",
        ),
    )
    known = {each.type: each for each in present}
    kept = tuple(each for each in present if each.type not in {condition.type for condition in wanted})
    return (*kept, *(_since(condition, known.get(condition.type), now) for condition in wanted))


def _condition(type_: str, trouble: str, reason: str, fine: str, fine_message: str) -> NamespaceCondition:
    return NamespaceCondition(
        type=type_,
        status="True" if trouble else "False",
        reason=reason if trouble else fine,
        message=trouble or fine_message,
    )


def _since(
    wanted: NamespaceCondition, present: NamespaceCondition | None, now: datetime.datetime
) -> NamespaceCondition:
    same = present is not None and present.status == wanted.status
    time = present.last_transition_time if same and present is not None else now
    return NamespaceCondition(
        type=wanted.type,
        status=wanted.status,
        reason=wanted.reason,
        message=wanted.message,
        last_transition_time=time,
    )
