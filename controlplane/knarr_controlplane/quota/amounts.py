"""Sums of resources, and what a pod asks for and is limited to in all.

Source: Kubernetes "Resource Management for Pods and Containers" and "Init containers", sharing of resources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import Container, PodSpec

Amounts = Mapping[str, Quantity]
ZERO = Quantity(0)


def total(parts: Iterable[Amounts]) -> dict[str, Quantity]:
    result: dict[str, Quantity] = {}
    for part in parts:
        for resource, quantity in part.items():
            result[resource] = result[resource] + quantity if resource in result else quantity
    return result


def difference(one: Amounts, other: Amounts) -> dict[str, Quantity]:
    """What is in neither counts as nothing."""
    return {name: one.get(name, ZERO) - other.get(name, ZERO) for name in one.keys() | other.keys()}


def largest(one: Amounts, other: Amounts) -> dict[str, Quantity]:
    return {name: max(one.get(name, ZERO), other.get(name, ZERO)) for name in (*one, *other)}


def requests(spec: PodSpec) -> dict[str, Quantity]:
    """What the pod needs at the same time at most, with its overhead."""
    return total((_at_once(spec, lambda container: container.resources.requests), spec.overhead))


def limits(spec: PodSpec) -> dict[str, Quantity]:
    """The overhead adds to what is limited; it limits nothing by itself."""
    found = _at_once(spec, lambda container: container.resources.limits)
    return total((found, {name: quantity for name, quantity in spec.overhead.items() if found.get(name)}))


def _at_once(spec: PodSpec, of: Callable[[Container], Amounts]) -> dict[str, Quantity]:
    """The larger of all containers together and each init container with the sidecars started before it."""
    sidecars: dict[str, Quantity] = {}
    peak: dict[str, Quantity] = {}
    for container in spec.init_containers:
        if container.restart_policy == "Always":
            sidecars = total((sidecars, of(container)))
            peak = largest(peak, sidecars)
        else:
            peak = largest(peak, total((sidecars, of(container))))
    return largest(total((*(of(container) for container in spec.containers), sidecars)), peak)
