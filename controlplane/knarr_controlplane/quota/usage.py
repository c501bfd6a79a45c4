"""What one object uses of a quota, and what all of them use together.

Source: Kubernetes "Resource Quotas". Names are those of ``spec.hard``: ``pods``, ``requests.cpu``, ``limits.memory``,
``count/deployments.apps``, ``gold.storageclass.storage.k8s.io/requests.storage``.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from knarr_api import kinds
from knarr_api.kinds import KINDS, Kind
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import PersistentVolumeClaim, Pod, ResourceQuota, Service
from knarr_controlplane.quota import amounts, scopes
from knarr_controlplane.quota.amounts import Amounts

ONE = Quantity(1)
PLAIN_COUNTS = frozenset(
    {"pods", "services", "persistentvolumeclaims", "configmaps", "secrets", "replicationcontrollers", "resourcequotas"}
)
"""Kinds that have a name of their own beside ``count/…``."""
STORAGE_CLASS = ".storageclass.storage.k8s.io/"
BASIC = ("cpu", "memory", "ephemeral-storage")
UNCOUNTED = frozenset({"Event", "Lease"})
MUST_SPECIFY = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
"""A quota on one of these makes every container of every pod name it."""


def of(obj: Any, now: datetime.datetime) -> dict[str, Quantity]:
    """Everything that the object could count as."""
    kind = kinds.of(obj)
    used = {f"count/{kind.qualified}": ONE}
    if isinstance(obj, Pod):
        return used if has_ended(obj, now) else {**used, "pods": ONE, **compute(obj)}
    if kind.group == "" and kind.resource in PLAIN_COUNTS:
        used[kind.resource] = ONE
    if isinstance(obj, Service):
        used |= _service(obj)
    elif isinstance(obj, PersistentVolumeClaim):
        used |= _claim(obj)
    return used


def compute(pod: Pod) -> dict[str, Quantity]:
    return _named(amounts.requests(pod.spec), amounts.limits(pod.spec))


def has_ended(pod: Pod, now: datetime.datetime) -> bool:
    """Nothing of it runs any more, or it should have gone a whole grace period ago."""
    if pod.status.phase in ("Succeeded", "Failed"):
        return True
    metadata = pod.metadata
    if metadata.deletion_timestamp is None or metadata.deletion_grace_period_seconds is None:
        return False
    return now > metadata.deletion_timestamp + datetime.timedelta(seconds=metadata.deletion_grace_period_seconds)


def charge(quota: ResourceQuota, obj: Any, now: datetime.datetime) -> dict[str, Quantity]:
    """What the object uses of this quota's resources."""
    if not scopes.concerns(quota, obj):
        return {}
    hard = quota.status.hard or quota.spec.hard
    return {name: quantity for name, quantity in of(obj, now).items() if name in hard}


def recount(quota: ResourceQuota, objects: Iterable[Any], now: datetime.datetime) -> dict[str, Quantity]:
    """``status.used``, counted anew: each resource that is limited and that Knarr can count."""
    counted = ResourceQuota(metadata=quota.metadata, spec=quota.spec)
    found = amounts.total(charge(counted, obj, now) for obj in objects)
    return {name: found.get(name, amounts.ZERO) for name in sorted(quota.spec.hard) if kind_of(name) is not None}


def kind_of(name: str) -> Kind | None:
    """The kind whose objects count as this resource; None for a name that nothing counts as."""
    if name.startswith("count/"):
        return _BY_QUALIFIED.get(name.removeprefix("count/"))
    if name in PLAIN_COUNTS:
        return _BY_QUALIFIED[name]
    if name.startswith("services."):
        return _BY_QUALIFIED["services"]
    if STORAGE_CLASS in name or name == "requests.storage":
        return _BY_QUALIFIED["persistentvolumeclaims"]
    bare = name.removeprefix("requests.").removeprefix("limits.")
    if bare in BASIC or bare.startswith("hugepages-") or (name.startswith("requests.") and "/" in bare):
        return _BY_QUALIFIED["pods"]
    return None


def unspecified(pod: Pod, hard: Iterable[str]) -> str:
    """``limits.cpu for: c1,c2; …``: what containers must say because a quota is about it, and don't; or empty."""
    missing: dict[str, set[str]] = {}
    for container in (*pod.spec.containers, *pod.spec.init_containers):
        given = _named(container.resources.requests, container.resources.limits)
        for name in MUST_SPECIFY.intersection(hard) - given.keys():
            missing.setdefault(name, set()).add(container.name)
    return "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


def _named(requests: Amounts, limits: Amounts) -> dict[str, Quantity]:
    used: dict[str, Quantity] = {}
    for name, quantity in requests.items():
        if name in BASIC or name.startswith("hugepages-"):
            used[name] = quantity
            used[f"requests.{name}"] = quantity
        elif "/" in name:
            used[f"requests.{name}"] = quantity
    for name, quantity in limits.items():
        if name in BASIC:
            used[f"limits.{name}"] = quantity
    return used


def _service(service: Service) -> dict[str, Quantity]:
    spec = service.spec
    if spec.type == "NodePort":
        return {"services.nodeports": Quantity(len(spec.ports))}
    if spec.type == "LoadBalancer":
        given = spec.allocate_load_balancer_node_ports is False
        ports = sum(1 for port in spec.ports if port.node_port) if given else len(spec.ports)
        return {"services.loadbalancers": ONE, "services.nodeports": Quantity(ports)}
    return {}


def _claim(claim: PersistentVolumeClaim) -> dict[str, Quantity]:
    resources = claim.spec.resources
    asked = resources.requests.get("storage", amounts.ZERO) if resources is not None else amounts.ZERO
    used = {"requests.storage": asked}
    if claim.spec.storage_class_name:
        class_ = claim.spec.storage_class_name + STORAGE_CLASS
        used |= {f"{class_}persistentvolumeclaims": ONE, f"{class_}requests.storage": asked}
    return used


_BY_QUALIFIED = {kind.qualified: kind for kind in reversed(KINDS) if kind.namespaced and kind.kind not in UNCOUNTED}
