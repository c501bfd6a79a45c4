"""What deletion makes of an object, and when it may go. Pure."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from knarr_api.types.core_v1 import Namespace, Pod

replace = msgspec.structs.replace

FOREGROUND_FINALIZER, ORPHAN_FINALIZER, NAMESPACE_FINALIZER = "foregroundDeletion", "orphan", "kubernetes"
DEFAULT_GRACE_S = 30


def deleted(obj: Any, *, now: datetime.datetime, grace_s: int | None, propagation: str) -> Any:
    """The object marked for deletion; ``may_go`` tells whether it may be removed at once."""
    metadata = obj.metadata
    grace = _grace_s(obj, grace_s)
    finalizers = tuple(name for name in metadata.finalizers if name not in (FOREGROUND_FINALIZER, ORPHAN_FINALIZER))
    if propagation == "Foreground":
        finalizers = (*finalizers, FOREGROUND_FINALIZER)
    elif propagation == "Orphan":
        finalizers = (*finalizers, ORPHAN_FINALIZER)
    elif metadata.deletion_timestamp is not None:
        finalizers = metadata.finalizers
    previous = metadata.deletion_grace_period_seconds
    if metadata.deletion_timestamp is not None and previous is not None:
        grace = min(grace, previous)
    if metadata.deletion_timestamp is None or grace != previous:
        metadata = replace(
            metadata,
            deletion_timestamp=now.replace(microsecond=0) + datetime.timedelta(seconds=grace),
            deletion_grace_period_seconds=grace,
            generation=None if metadata.generation is None else metadata.generation + 1,
        )
    obj = replace(obj, metadata=replace(metadata, finalizers=finalizers))
    if isinstance(obj, Namespace):
        obj = replace(obj, status=replace(obj.status, phase="Terminating"))
    return obj


def may_go(obj: Any) -> bool:
    """Whether an object that is marked for deletion may be removed from the store."""
    metadata = obj.metadata
    if metadata.deletion_timestamp is None or metadata.finalizers:
        return False
    if isinstance(obj, Namespace) and obj.spec.finalizers:
        return False
    return not isinstance(obj, Pod) or not metadata.deletion_grace_period_seconds


def _grace_s(obj: Any, asked_s: int | None) -> int:
    """Only pods on a node take their time; those that were never assigned or have ended go at once."""
    if not isinstance(obj, Pod) or not obj.spec.node_name or obj.status.phase in ("Succeeded", "Failed"):
        return 0
    if asked_s is not None:
        return asked_s
    given_s = obj.spec.termination_grace_period_seconds
    return DEFAULT_GRACE_S if given_s is None else given_s
