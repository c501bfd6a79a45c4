"""What a pod asks of a node, as whole numbers. Pure.

Units: cpu in thousandths of a core, everything else in its own unit (bytes, pieces). Source: Kubernetes "Resource
Management for Pods and Containers" and "Init containers", sharing of resources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import Container, Pod

CPU, MEMORY, PODS = "cpu", "memory", "pods"

DEFAULT_CPU_MILLI = 100
DEFAULT_MEMORY_BYTES = 200 * 1024 * 1024
"""What scores assume of a container that asks for nothing, so that such pods spread as well."""


def amount(resource: str, quantity: Quantity) -> int:
    """A quantity in the scheduler's unit for that resource, rounded up."""
    return quantity.milli() if resource == CPU else quantity.value()


def insufficient(resource: str) -> str:
    """What is said of nodes that have too little of it left."""
    return "Too many pods" if resource == PODS else f"Insufficient {resource}"


def of_pod(pod: Pod) -> dict[str, int]:
    """All resources the pod needs at the same time at most, ``pods`` among them.

    That is the larger of the sum of its containers and the largest init container, where a restartable init container
    (a sidecar) counts for everything that starts after it; plus the overhead.
    """
    needed = _of_containers(pod, _requests)
    for resource, quantity in pod.spec.resources.requests.items():
        if resource in (CPU, MEMORY) or resource.startswith("hugepages-"):
            needed[resource] = amount(resource, quantity)
    for resource, quantity in pod.spec.overhead.items():
        needed[resource] = needed.get(resource, 0) + amount(resource, quantity)
    needed[PODS] = 1
    return {resource: number for resource, number in needed.items() if number > 0}


def nonzero_of_pod(pod: Pod) -> tuple[int, int]:
    """(cpu in milli, memory in bytes) with the defaults for containers that don't say: for scores only."""
    needed = _of_containers(pod, _assumed)
    for resource in (CPU, MEMORY):
        if resource in pod.spec.resources.requests:
            needed[resource] = amount(resource, pod.spec.resources.requests[resource])
        if resource in pod.spec.overhead:
            needed[resource] = needed.get(resource, 0) + amount(resource, pod.spec.overhead[resource])
    return needed.get(CPU, 0), needed.get(MEMORY, 0)


def _of_containers(pod: Pod, of: Callable[[Container], dict[str, int]]) -> dict[str, int]:
    running = _total(of(container) for container in pod.spec.containers)
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in pod.spec.init_containers:
        own = of(container)
        if container.restart_policy == "Always":
            sidecars = _total((sidecars, own))
            peak = _largest(peak, sidecars)
        else:
            peak = _largest(peak, _total((sidecars, own)))
    return _largest(_total((running, sidecars)), peak)


@dataclass(frozen=True, slots=True)
class HostPort:
    protocol: str
    ip: str
    port: int

    def excludes(self, other: HostPort) -> bool:
        """Whether one node can't have both: an empty address is all of them."""
        return (self.protocol, self.port) == (other.protocol, other.port) and (
            self.ip == other.ip or not self.ip or not other.ip
        )


def host_ports(pod: Pod) -> tuple[HostPort, ...]:
    """Ports of its node that the pod takes, each once."""
    every = ("", "0.0.0.0")
    return tuple(
        dict.fromkeys(
            HostPort(port.protocol or "TCP", "" if port.host_ip in every else port.host_ip, port.host_port)
            for container in (
                *pod.spec.containers,
                *(one for one in pod.spec.init_containers if one.restart_policy == "Always"),
            )
            for port in container.ports
            if port.host_port
        )
    )


def _requests(container: Container) -> dict[str, int]:
    return {resource: amount(resource, quantity) for resource, quantity in container.resources.requests.items()}


def _assumed(container: Container) -> dict[str, int]:
    return {CPU: DEFAULT_CPU_MILLI, MEMORY: DEFAULT_MEMORY_BYTES} | _requests(container)


def _total(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for resource, number in part.items():
            total[resource] = total.get(resource, 0) + number
    return total


def _largest(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {resource: max(one.get(resource, 0), other.get(resource, 0)) for resource in one.keys() | other.keys()}
