"""Reaching pods on other nodes: one VXLAN device, and for every other node a route, a neighbour and a forwarding entry.

Everything follows from Node objects: a node's pod CIDR and address. Its VXLAN device has the first address of its CIDR
and a MAC made of its node address, so that nothing else has to be exchanged; no multicast, no learning.

    10.244.2.0/24 ──route──► 10.244.2.0 on knarr.vx ──neighbour──► 0a:6e:<node ip> ──fdb──► 10.240.0.11

Source: Documentation/networking/vxlan.rst; rtnetlink(7). By pyroute2, on a thread.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from knarr_api.types.core_v1 import Node

DEVICE, VNI, PORT = "knarr.vx", 1, 8472
OVERHEAD_BYTES = 50


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


def peers(nodes: Iterable[Node], own: str) -> frozenset[Peer]:
    """The other nodes that have an address and a CIDR. Pure."""
    found: set[Peer] = set()
    for node in nodes:
        address = next((a.address for a in node.status.addresses if a.type == "InternalIP"), "")
        if node.metadata.name != own and address and node.spec.pod_cidr:
            found.add(Peer(address, node.spec.pod_cidr))
    return frozenset(found)


def mac_of(address: str) -> str:
    """A locally administered MAC of an IPv4 address."""
    return ":".join(f"{byte:02x}" for byte in (0x0A, 0x6E, *ipaddress.IPv4Address(address).packed))


class Overlay:
    """own: this node's address and CIDR. ``apply`` is blocking."""

    def __init__(self, address: str, cidr: str) -> None:
        self._address = address
        self._cidr = cidr
        self._applied: frozenset[Peer] = frozenset()
        self._index = 0

    def apply(self, wanted: frozenset[Peer]) -> None:
        """Make the device if needed, then add and remove what differs. Raises OSError."""
        from pyroute2 import IPRoute
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            with IPRoute() as route:
                if not self._index:
                    self._index = self._device(route)
                for peer in self._applied - wanted:
                    with contextlib.suppress(NetlinkError):
                        route.route("del", dst=peer.cidr, oif=self._index)
                    with contextlib.suppress(NetlinkError):
                        route.neigh("del", dst=peer.gateway, ifindex=self._index, lladdr=peer.mac)
                    with contextlib.suppress(NetlinkError):
                        self._fdb(route, "del", peer)
                for peer in wanted - self._applied:
                    self._fdb(route, "append", peer)
                    route.neigh("replace", dst=peer.gateway, ifindex=self._index, lladdr=peer.mac, state=128)
                    route.route("replace", dst=peer.cidr, gateway=peer.gateway, oif=self._index, flags=["onlink"])
                self._applied = wanted
        except NetlinkError as error:
            raise OSError(error.code, f"the overlay network: {error}") from error

    def _device(self, route) -> int:  # type: ignore[no-untyped-def]
        found = route.link_lookup(ifname=DEVICE)
        if found:
            route.link("del", index=found[0])
        under = self._interface(route)
        mtu = dict(route.get_links(under)[0]["attrs"])["IFLA_MTU"] - OVERHEAD_BYTES
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
        route.addr("add", index=index, address=str(ipaddress.IPv4Network(self._cidr)[0]), prefixlen=32)
        route.link("set", index=index, state="up")
        return index

    def _interface(self, route) -> int:  # type: ignore[no-untyped-def]
        for message in route.get_addr(family=socket.AF_INET):
            if dict(message["attrs"]).get("IFA_ADDRESS") == self._address:
                return int(message["index"])
        raise OSError(f"no interface has the node's address {self._address}")

    def _fdb(self, route, verb: str, peer: Peer) -> None:  # type: ignore[no-untyped-def]
        route.fdb(verb, ifindex=self._index, lladdr=peer.mac, dst=peer.address)
