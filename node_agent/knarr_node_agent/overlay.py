"""Reaching pods on other nodes: one VXLAN device, and for every other node a route, a neighbour and a forwarding entry.

Everything follows from Node objects: a node's pod CIDR and address. Its VXLAN device has the first address of its CIDR
and a MAC made of its node address, so that nothing else has to be exchanged; no multicast, no learning.

    10.244.2.0/24 ──route──► 10.244.2.0 on knarr.vx ──neighbour──► 0a:6e:<node ip> ──fdb──► 10.240.0.11

What the kernel has is read and compared each time: only differences are written, a device that fits stays, so an agent
that restarts interrupts nothing. Blocking for moments; on a thread.
Source: Linux Documentation/networking/vxlan.rst; rtnetlink(7).
"""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from knarr_api.types.core_v1 import Node
from knarr_node_agent.rtnetlink import RouteSocket, Vxlan

DEVICE, VNI, PORT = "knarr.vx", 1, 8472
OVERHEAD_BYTES = 50
GONE = (errno.ENOENT, errno.ESRCH, errno.ENODEV)


@dataclass(frozen=True, slots=True, order=True)
class Peer:
    """Another node."""

    address: str
    cidr: str

    @property
    def mac(self) -> str:
        return mac_of(self.address)

    @property
    def gateway(self) -> str:
        return str(ipaddress.IPv4Network(self.cidr)[0])


@dataclass(frozen=True, slots=True)
class Entries:
    """What leads to other nodes. routes: (CIDR, gateway). neighbours: (gateway, MAC). forwards: (MAC, node address)."""

    routes: frozenset[tuple[str, str]] = frozenset()
    neighbours: frozenset[tuple[str, str]] = frozenset()
    forwards: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Changes:
    """removed is taken away first, then added."""

    removed: Entries
    added: Entries


def mac_of(address: str) -> str:
    """A locally administered MAC made of an IPv4 address."""
    return ":".join(f"{byte:02x}" for byte in (0x0A, 0x6E, *ipaddress.IPv4Address(address).packed))


def peers(nodes: Iterable[Node], own: str) -> frozenset[Peer]:
    """The other nodes that have an IPv4 address and a CIDR. Pure."""
    found: set[Peer] = set()
    for node in nodes:
        address = next((a.address for a in node.status.addresses if a.type == "InternalIP"), "")
        if node.metadata.name != own and _is_ipv4(address) and _is_network(node.spec.pod_cidr):
            found.add(Peer(address, node.spec.pod_cidr))
    return frozenset(found)


def wanted_entries(wanted: Iterable[Peer]) -> Entries:
    """Pure. Of two nodes that claim one CIDR the lower address gets it."""
    by_cidr: dict[str, Peer] = {}
    for peer in sorted(wanted):
        by_cidr.setdefault(peer.cidr, peer)
    chosen = by_cidr.values()
    return Entries(
        routes=frozenset((peer.cidr, peer.gateway) for peer in chosen),
        neighbours=frozenset((peer.gateway, peer.mac) for peer in chosen),
        forwards=frozenset((peer.mac, peer.address) for peer in chosen),
    )


def changes(have: Entries, want: Entries) -> Changes:
    """Pure."""
    return Changes(
        removed=Entries(have.routes - want.routes, have.neighbours - want.neighbours, have.forwards - want.forwards),
        added=Entries(want.routes - have.routes, want.neighbours - have.neighbours, want.forwards - have.forwards),
    )


class Overlay:
    """address, cidr: of this node. Works in the network namespace of the thread that calls it."""

    def __init__(self, address: str, cidr: str) -> None:
        self._address = address
        self._cidr = cidr

    def apply(self, wanted: frozenset[Peer]) -> Changes:
        """Make it so; returns what was done. Raises OSError."""
        with RouteSocket() as route:
            index = self._device(route)
            present = Entries(
                frozenset(route.routes(index)), frozenset(route.neighbours(index)), frozenset(route.forwards(index))
            )
            todo = changes(present, wanted_entries(wanted))
            _remove(route, index, todo.removed)
            _add(route, index, todo.added)
            return todo

    def remove(self) -> None:
        """Take the device away, and all that leads over it. Raises OSError."""
        with RouteSocket() as route:
            index = route.index(DEVICE)
            if index is not None:
                route.remove_link(index)

    def _device(self, route: RouteSocket) -> int:
        """The index of the device, made anew when there is none that fits."""
        wanted = self._wanted(route)
        address = str(ipaddress.IPv4Network(self._cidr)[0])
        index = route.index(DEVICE)
        if index is not None:
            own = {each.address for each in route.addresses() if each.index == index}
            if route.vxlan(DEVICE) == wanted and own == {address}:
                return index
            route.remove_link(index)
        index = route.add_vxlan(wanted)
        route.add_address(index, address)
        route.set_up(index)
        return index

    def _wanted(self, route: RouteSocket) -> Vxlan:
        for each in route.addresses():
            if each.address == self._address:
                return Vxlan(
                    name=DEVICE,
                    vni=VNI,
                    port=PORT,
                    under=each.index,
                    local=self._address,
                    mac=mac_of(self._address),
                    mtu=route.mtu(each.index) - OVERHEAD_BYTES,
                )
        raise OSError(errno.EADDRNOTAVAIL, f"no interface has the node's address {self._address}: see --node-ip")


def _remove(route: RouteSocket, index: int, entries: Entries) -> None:
    steps = (
        *((route.remove_route, cidr, gateway) for cidr, gateway in sorted(entries.routes)),
        *((route.remove_neighbour, address, mac) for address, mac in sorted(entries.neighbours)),
        *((route.remove_forward, mac, address) for mac, address in sorted(entries.forwards)),
    )
    for step, first, second in steps:
        try:
            step(index, first, second)
        except OSError as error:
            if error.errno not in GONE:
                raise


def _add(route: RouteSocket, index: int, entries: Entries) -> None:
    """The way before the routes: no packet is sent where nothing leads on."""
    for mac, address in sorted(entries.forwards):
        route.add_forward(index, mac, address)
    for address, mac in sorted(entries.neighbours):
        route.replace_neighbour(index, address, mac)
    for cidr, gateway in sorted(entries.routes):
        route.replace_route(index, cidr, gateway)


def _is_ipv4(text: str) -> bool:
    try:
        return bool(ipaddress.IPv4Address(text))
    except ValueError:
        return False


def _is_network(text: str) -> bool:
    try:
        return bool(ipaddress.IPv4Network(text))
    except ValueError:
        return False
