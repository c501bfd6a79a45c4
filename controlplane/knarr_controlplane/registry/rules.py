"""What a write may change, and what the API sets itself. Pure: time, identifiers and random names are arguments."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from knarr_api import defaults, deletion, errors, kinds, validation
from knarr_api.kinds import Kind
from knarr_api.types import core_v1
from knarr_api.types.core_v1 import Namespace, Node, Pod, Toleration
from knarr_controlplane.registry import room

replace = msgspec.structs.replace

PROPAGATIONS = frozenset({"Background", "Foreground", "Orphan"})
MAX_GRACE_S = 10 * 365 * 24 * 3600
EVICTING_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
GATED = core_v1.PodCondition(
    type="PodScheduled",
    status="False",
    reason="SchedulingGated",
    message="Scheduling is blocked due to non-empty scheduling gates",
)
MAX_GENERATED_PREFIX = 58


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Settings that change what is written. eviction_s: how long pods stay on a node that is not ready."""

    eviction_s: int = 30


def created(obj: Any, *, now: datetime.datetime, uid: str, admission: Admission) -> Any:
    """The object as it is first stored, defaults filled in. Raises Invalid."""
    kind = kinds.of(obj)
    metadata = replace(
        obj.metadata,
        uid=uid,
        resource_version="",
        creation_timestamp=now.replace(microsecond=0),
        deletion_timestamp=None,
        deletion_grace_period_seconds=None,
        self_link="",
        generation=1 if has(obj, "spec") else None,
    )
    obj = _newborn(replace(obj, metadata=metadata))
    if isinstance(obj, Pod):
        obj = replace(obj, spec=replace(obj.spec, tolerations=_tolerations(obj.spec, admission)))
    room.check_number(obj)
    obj = defaults.apply(obj)
    room.check_size(obj)
    check(kind, obj, validation.validate_create(obj))
    return obj


def updated(old: Any, new: Any, admission: Admission) -> Any:
    """``old`` with all of ``new`` but the status. Raises Invalid."""
    kind = kinds.of(new)
    new = replace(new, metadata=_kept_metadata(old.metadata, new.metadata))
    if has(new, "status"):
        new = replace(new, status=old.status)
    if isinstance(new, Pod):
        new = replace(new, spec=replace(new.spec, tolerations=_tolerations(new.spec, admission)))
    room.check_number(new)
    new = defaults.apply(new)
    room.check_size(new)
    if has(new, "spec") and new.spec != old.spec:
        new = replace(new, metadata=replace(new.metadata, generation=(old.metadata.generation or 0) + 1))
    if new != old:
        check(kind, new, (*_finalizers_added(old, new), *validation.validate_update(old, new)))
    return new


def status_updated(old: Any, new: Any, admission: Admission) -> Any:
    """``old`` with the status of ``new``. Raises Invalid for kinds that have none."""
    if not has(new, "status"):
        raise errors.Invalid(f"{kinds.of(new).qualified} have no status")
    return replace(old, status=new.status)


def _finalizers_added(old: Any, new: Any) -> Iterator[errors.FieldError]:
    """An object on its way out takes no new finalizers: its end would never come."""
    added = [name for name in new.metadata.finalizers if name not in old.metadata.finalizers]
    if old.metadata.deletion_timestamp is not None and added:
        text = f"no new finalizers can be added if the object is being deleted, found new finalizers {added}"
        yield errors.FieldError("metadata.finalizers", text, "Forbidden")


def bound(pod: Pod, node: str, now: datetime.datetime) -> Pod:
    """The pod assigned to a node, its condition saying so."""
    condition = core_v1.PodCondition(
        type="PodScheduled", status="True", last_transition_time=now.replace(microsecond=0)
    )
    others = tuple(c for c in pod.status.conditions if c.type != "PodScheduled")
    status = replace(pod.status, conditions=(*others, condition), nominated_node_name="")
    return replace(pod, spec=replace(pod.spec, node_name=node), status=status)


def check(kind: Kind, obj: Any, more: tuple[errors.FieldError, ...]) -> None:
    """Raises Invalid with everything that is wrong."""
    problems = (*validation.validate(obj), *more)
    if problems:
        raise errors.invalid(kind.kind, obj.metadata.name or obj.metadata.generate_name, problems, kind.group)


def generated_name(prefix: str, number: int) -> str:
    """A prefix and five characters that stand for a random number (of 64 bits)."""
    suffix = ""
    for _ in range(SUFFIX_LENGTH):
        number, digit = divmod(number, len(NAME_ALPHABET))
        suffix += NAME_ALPHABET[digit]
    return prefix[:MAX_GENERATED_PREFIX] + suffix


def has(obj: Any, attribute: str) -> bool:
    return attribute in obj.__struct_fields__


def _kept_metadata(old: Any, new: Any) -> Any:
    """What a client can't change is as before."""
    return replace(
        new,
        uid=old.uid,
        resource_version="",
        creation_timestamp=old.creation_timestamp,
        deletion_timestamp=old.deletion_timestamp,
        deletion_grace_period_seconds=old.deletion_grace_period_seconds,
        generation=old.generation,
        generate_name=old.generate_name,
        self_link="",
    )


def _newborn(obj: Any) -> Any:
    """Status as at birth. A node's may come with it: the agent that registers it knows."""
    if isinstance(obj, Pod):
        conditions = (GATED,) if obj.spec.scheduling_gates else ()
        return replace(
            obj, status=core_v1.PodStatus(phase="Pending", qos_class=qos_class(obj.spec), conditions=conditions)
        )
    if isinstance(obj, Namespace):
        spec = replace(obj.spec, finalizers=(deletion.NAMESPACE_FINALIZER,))
        return replace(obj, spec=spec, status=core_v1.NamespaceStatus(phase="Active"))
    if has(obj, "status") and not isinstance(obj, Node) and isinstance(obj.status, msgspec.Struct):
        return replace(obj, status=type(obj.status)())
    return obj


def qos_class(spec: core_v1.PodSpec) -> str:
    """Guaranteed, Burstable or BestEffort. Source: Kubernetes "Pod Quality of Service Classes"."""
    containers = (*spec.containers, *spec.init_containers)
    relevant = ("cpu", "memory")
    if not any(name in (*c.resources.requests, *c.resources.limits) for c in containers for name in relevant):
        return "BestEffort"
    for container in containers:
        for name in relevant:
            limit = container.resources.limits.get(name)
            if limit is None or container.resources.requests.get(name, limit) != limit:
                return "Burstable"
    return "Guaranteed"


def _tolerations(spec: core_v1.PodSpec, admission: Admission) -> tuple[Toleration, ...]:
    added: list[Toleration] = []
    for key in EVICTING_TAINTS:
        if not any(_covers(toleration, key) for toleration in spec.tolerations):
            added.append(
                Toleration(key=key, operator="Exists", effect="NoExecute", toleration_seconds=admission.eviction_s)
            )
    return (*spec.tolerations, *added)


def _covers(toleration: Toleration, key: str) -> bool:
    return toleration.key in ("", key) and toleration.effect in ("", "NoExecute")
