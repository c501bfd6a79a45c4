"""Reaching pods on other nodes: one VXLAN device, and for every other node a route, a neighbour and a forwarding entry.

Everything follows from Node objects: a node's pod CIDR and address. Its VXLAN device has the first address of its CIDR
and a MAC made of its node address, so that nothing else has to be exchanged; no multicast, no learning.

    10.244.2.0/24 ──route──► 10.244.2.0 on knarr.vx ──neighbour──► 0a:6e:<node ip> ──fdb──► 10.240.0.11

What the kernel has is read and compared each time: only differences are written, a device that fits stays, so an agent
that restarts interrupts nothing. Source: Documentation/networking/vxlan.rst; rtnetlink(7). By pyroute2, on a thread.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from knarr_api.types.core_v1 import Node

DEVICE, VNI, PORT = "knarr.vx", 1, 8472
OVERHEAD_BYTES = 50
PERMANENT = 0x80
ONLINK = 0x04
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
        from pyroute2 import IPRoute
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            with IPRoute() as route:
                index = self._device(route)
                todo = changes(_present(route, index), wanted_entries(wanted))
                _remove(route, index, todo.removed)
                _add(route, index, todo.added)
                return todo
        except NetlinkError as error:
            raise OSError(error.code, f"the overlay network: {error}") from error

    def remove(self) -> None:
        """Take the device away, and all that leads over it."""
        from pyroute2 import IPRoute

        with IPRoute() as route:
            for index in route.link_lookup(ifname=DEVICE):
                route.link("del", index=index)

    def _device(self, route: Any) -> int:
        """The index of the device, made anew when there is none that fits."""
        under, mtu = self._underlay(route)
        address = str(ipaddress.IPv4Network(self._cidr)[0])
        for index in route.link_lookup(ifname=DEVICE):
            if self._fits(route.get_links(index)[0], under, mtu) and _addresses(route, index) == {address}:
                return int(index)
            route.link("del", index=index)
        route.link(
            "add",
            ifname=DEVICE,
            kind="vxlan",
            vxlan_id=VNI,
            vxlan_port=PORT,
            vxlan_link=under,
            vxlan_local=self._address,
            vxlan_learning=0,
            address=mac_of(self._address),
            mtu=mtu,
        )
        index = int(route.link_lookup(ifname=DEVICE)[0])
        route.addr("add", index=index, address=address, prefixlen=32)
        route.link("set", index=index, state="up")
        return index

    def _fits(self, link: Any, under: int, mtu: int) -> bool:
        attributes = dict(link["attrs"])
        data = dict(
            dict(attributes.get("IFLA_LINKINFO", {}).get("attrs", ())).get("IFLA_INFO_DATA", {}).get("attrs", ())
        )
        return (
            attributes.get("IFLA_ADDRESS") == mac_of(self._address)
            and attributes.get("IFLA_MTU") == mtu
            and link["state"] == "up"
            and data.get("IFLA_VXLAN_ID") == VNI
            and data.get("IFLA_VXLAN_LINK") == under
            and data.get("IFLA_VXLAN_LOCAL") == self._address
            and data.get("IFLA_VXLAN_PORT") == PORT
        )

    def _underlay(self, route: Any) -> tuple[int, int]:
        """The interface that has the node's address, and the MTU that is left on it."""
        for message in route.get_addr(family=socket.AF_INET):
            if message.get_attr("IFA_LOCAL") == self._address or message.get_attr("IFA_ADDRESS") == self._address:
                index = int(message["index"])
                return index, int(route.get_links(index)[0].get_attr("IFLA_MTU")) - OVERHEAD_BYTES
        raise OSError(errno.EADDRNOTAVAIL, f"no interface has the node's address {self._address}: see --node-ip")


def _present(route: Any, index: int) -> Entries:
    routes = {
        (f"{message.get_attr('RTA_DST')}/{message['dst_len']}", str(message.get_attr("RTA_GATEWAY")))
        for message in route.get_routes(family=socket.AF_INET, oif=index)
        if message.get_attr("RTA_OIF") == index and message.get_attr("RTA_GATEWAY")
    }
    neighbours = {
        (str(message.get_attr("NDA_DST")), str(message.get_attr("NDA_LLADDR")))
        for message in route.get_neighbours(family=socket.AF_INET, ifindex=index)
        if message["ifindex"] == index and message["state"] & PERMANENT
    }
    forwards = {
        (str(message.get_attr("NDA_LLADDR")), str(message.get_attr("NDA_DST")))
        for message in route.fdb("dump", ifindex=index)
        if message["ifindex"] == index and message.get_attr("NDA_DST")
    }
    return Entries(frozenset(routes), frozenset(neighbours), frozenset(forwards))


def _remove(route: Any, index: int, entries: Entries) -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    steps: list[Any] = []
    for cidr, gateway in entries.routes:
        steps.append(lambda c=cidr, g=gateway: route.route("del", dst=c, gateway=g, oif=index))
    for address, mac in entries.neighbours:
        steps.append(lambda a=address, m=mac: route.neigh("del", dst=a, ifindex=index, lladdr=m))
    for mac, address in entries.forwards:
        steps.append(lambda a=address, m=mac: route.fdb("del", ifindex=index, lladdr=m, dst=a))
    for step in steps:
        try:
            step()
        except NetlinkError as error:
            if error.code not in GONE:
                raise


def _add(route: Any, index: int, entries: Entries) -> None:
    """The way before the routes: no packet is sent where nothing leads on."""
    for mac, address in sorted(entries.forwards):
        route.fdb("append", ifindex=index, lladdr=mac, dst=address)
    for address, mac in sorted(entries.neighbours):
        route.neigh("replace", dst=address, ifindex=index, lladdr=mac, state=PERMANENT)
    for cidr, gateway in sorted(entries.routes):
        route.route("replace", dst=cidr, gateway=gateway, oif=index, flags=ONLINK)


def _addresses(route: Any, index: int) -> set[str]:
    return {
        str(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS"))
        for message in route.get_addr(family=socket.AF_INET, index=index)
        if message["index"] == index
    }


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
