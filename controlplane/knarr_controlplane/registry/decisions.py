"""What verbs make of the object that they find, as functions of it. Raise what refuses it."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import msgspec

from knarr_api import deletion, errors
from knarr_api.binding import check as check_binding
from knarr_api.kinds import Kind
from knarr_api.types.core_v1 import Pod
from knarr_controlplane.registry import rules
from knarr_controlplane.registry.addressing import check_uid
from knarr_controlplane.registry.rules import Admission

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
Now = Callable[[], datetime.datetime]
Prepare = Callable[[Any, Any, Admission], Any]
PREPARATIONS: dict[str, Prepare] = {"": rules.updated, "status": rules.status_updated, "scale": rules.updated}


def preparation(subresource: str) -> Prepare:
    """How a new object replaces an old one there. Raises Invalid for a subresource that there is not."""
    if subresource not in PREPARATIONS:
        raise errors.Invalid(f'subresource "{subresource}" is not known: use "" or "status"')
    return PREPARATIONS[subresource]


class Bound(msgspec.Struct, frozen=True, gc=False):
    """What ``bind`` makes of a pod; raises Conflict as it does. One for each of many pods: it is not a closure, of
    whose cells and functions the garbage collector would look at thousands."""

    uid: str
    node: str
    now: Now

    def __call__(self, pod: Pod) -> Pod:
        check_binding(pod, self.uid)
        return rules.bound(pod, self.node, self.now())


def deleting(
    kind: Kind, name: str, *, grace_s: int | None, propagation: str, uid: str, now: Now
) -> Callable[[Any], Any]:
    """What ``delete`` makes of an object; raises Invalid, Forbidden where it is not to be asked at all."""
    if kind.kind == "Namespace" and name in SYSTEM_NAMESPACES:
        raise errors.Forbidden(f'namespaces "{name}" is forbidden: this namespace may not be deleted')
    if grace_s is not None and grace_s < 0:
        raise errors.Invalid(f"gracePeriodSeconds: Invalid value: {grace_s}: must be greater than or equal to 0")
    if propagation not in rules.PROPAGATIONS:
        raise errors.Invalid(
            f'propagationPolicy: Unsupported value: "{propagation}": supported values: "Background", "Foreground", '
            '"Orphan"'
        )
    given_s = min(grace_s, rules.MAX_GRACE_S) if grace_s is not None else None

    def decide(old: Any) -> Any:
        check_uid(kind, old, uid)
        return deletion.deleted(old, now=now(), grace_s=given_s, propagation=propagation)

    return decide
