"""Ports of the node that lead to pods, and the address pods have outside: one nf_tables table.

    map ports      protocol . port            → pod's address . port     any address of the node
    map addressed  address . protocol . port  → pod's address . port     one address of the node (hostIP)
    prerouting     packets from outside to 127.0.0.0/8 are dropped; to the node's own addresses: looked up, redirected
    output         the same for what the node itself sends, loopback included
    postrouting    pods' packets leave with the node's address, but not to pods (bridge) or through a tunnel; so do
                   packets from 127.0.0.0/8, and those that were redirected from a pod to a pod of this node

Source: nft(8); Kubernetes' hostPort and CNI's portmap behave so.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from knarr_runtime.errors import AlreadyExists, Invalid
from knarr_runtime.kernel import nftables as nft
from knarr_runtime.network import conntrack

TABLE = "knarr-pods"
ANY, ADDRESSED = "ports", "addressed"
PROTOCOLS = {"TCP": socket.IPPROTO_TCP, "UDP": socket.IPPROTO_UDP, "SCTP": socket.IPPROTO_SCTP}
LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")


@dataclass(frozen=True, slots=True, kw_only=True)
class PortMapping:
    """protocol: TCP, UDP or SCTP. host_ip: an IPv4 address of the node; empty for all of them."""

    protocol: str = "TCP"
    host_port: int
    container_port: int
    host_ip: str = ""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise Invalid(f"port mapping: protocol {self.protocol!r} must be one of {', '.join(PROTOCOLS)}")
        for name, port in (("host_port", self.host_port), ("container_port", self.container_port)):
            if not 0 < port < 65536:
                raise Invalid(f"port mapping: {name} {port} must be from 1 to 65535")
        if self.host_ip:
            try:
                ipaddress.IPv4Address(self.host_ip)
            except ValueError:
                raise Invalid(f"port mapping: host_ip {self.host_ip!r} is no IPv4 address") from None

    @property
    def anywhere(self) -> bool:
        return self.host_ip in ("", "0.0.0.0")

    def __str__(self) -> str:
        return f"{'' if self.anywhere else self.host_ip + ':'}{self.host_port}/{self.protocol.lower()}"


def rules(bridge: str, network: ipaddress.IPv4Network) -> tuple[nft.Message, ...]:
    """The whole table, without mappings, in place of what is there. Pure."""
    table = nft.Table(TABLE)
    target = (nft.TYPE_ADDRESS, nft.TYPE_PORT)
    read_protocol = nft.meta(nft.L4PROTO)
    read_port = nft.payload(2, 2, nft.SECOND, transport=True)
    by_port = read_protocol + read_port
    by_address = nft.payload(16, 4) + nft.meta(nft.L4PROTO, nft.SECOND) + nft.payload(2, 2, nft.THIRD, transport=True)
    redirecting = [
        table.rule(chain, nft.destination_is_local(), reading, nft.lookup(name), nft.redirect())
        for chain in ("prerouting", "output")
        for name, reading in ((ADDRESSED, by_address), (ANY, by_port))
    ]
    from_pods = nft.in_network(network, source=True)
    return (
        *table.replace(),
        table.map(ANY, 1, (nft.TYPE_PROTOCOL, nft.TYPE_PORT), target),
        table.map(ADDRESSED, 2, (nft.TYPE_ADDRESS, nft.TYPE_PROTOCOL, nft.TYPE_PORT), target),
        table.chain("martians", "filter", nft.PREROUTING, nft.RAW),
        table.chain("prerouting", "nat", nft.PREROUTING, nft.DESTINATION_NAT),
        table.chain("output", "nat", nft.OUTPUT, nft.DESTINATION_NAT),
        table.chain("postrouting", "nat", nft.POSTROUTING, nft.SOURCE_NAT),
        table.rule(
            "martians",
            nft.interface(nft.IIFNAME, "lo", equal=False),
            nft.in_network(LOOPBACK, source=False),
            nft.drop(),
        ),
        *redirecting,
        table.rule(
            "postrouting",
            from_pods,
            nft.interface(nft.OIFNAME, bridge, equal=False),
            nft.interface(nft.OIFKIND, "vxlan", equal=False),
            nft.masquerade(),
        ),
        table.rule(
            "postrouting",
            nft.in_network(LOOPBACK, source=True),
            nft.interface(nft.OIFNAME, bridge),
            nft.masquerade(),
        ),
        table.rule(
            "postrouting",
            from_pods,
            nft.in_network(network, source=False),
            nft.was_redirected(),
            nft.masquerade(),
        ),
    )


class Ports:
    """Which of the node's ports lead where. Blocking for moments; not for several threads at once."""

    def __init__(self, bridge: str, network: ipaddress.IPv4Network) -> None:
        self._table = nft.Table(TABLE)
        self._taken: dict[str, tuple[str, tuple[PortMapping, ...]]] = {}
        self._socket = nft.Nftables()
        self._socket.commit(rules(bridge, network))

    def close(self) -> None:
        self._socket.close()

    def open(self, sandbox_id: str, address: str, mappings: Iterable[PortMapping]) -> None:
        """Raises AlreadyExists when another pod has one of the ports, Invalid for one that leads to two, OSError."""
        wanted = tuple(dict.fromkeys(mappings))
        if not wanted:
            return
        names = [str(mapping) for mapping in wanted]
        for name in names:
            if names.count(name) > 1:
                raise Invalid(f"port mapping: host port {name} is to lead to several ports")
        for other, (_, taken) in self._taken.items():
            for mapping in wanted:
                if any(_collide(mapping, have) for have in taken):
                    raise AlreadyExists(f"host port {mapping} is in use by sandbox {other}")
        self._socket.commit(
            self._table.put(name, elements) for name, elements in _elements(address, wanted).items() if elements
        )
        self._taken[sandbox_id] = (address, wanted)
        _forget_flows(wanted)

    def shut(self, sandbox_id: str) -> None:
        """Give the ports back. Raises OSError."""
        taken = self._taken.get(sandbox_id)
        if taken is None:
            return
        self._socket.commit(
            self._table.take(name, [key for key, _ in elements])
            for name, elements in _elements(*taken).items()
            if elements
        )
        del self._taken[sandbox_id]
        _forget_flows(taken[1])


def _forget_flows(mappings: Iterable[PortMapping]) -> None:
    for mapping in mappings:
        if mapping.protocol == "UDP":
            conntrack.forget(mapping.host_port)


def _collide(one: PortMapping, other: PortMapping) -> bool:
    if (one.protocol, one.host_port) != (other.protocol, other.host_port):
        return False
    return one.anywhere or other.anywhere or one.host_ip == other.host_ip


def _elements(address: str, mappings: Iterable[PortMapping]) -> dict[str, list[tuple[bytes, bytes]]]:
    """Elements by map. Every part of a concatenation takes four bytes."""
    found: dict[str, list[tuple[bytes, bytes]]] = {ANY: [], ADDRESSED: []}
    for mapping in mappings:
        key = struct.pack(">B3xH2x", PROTOCOLS[mapping.protocol], mapping.host_port)
        value = socket.inet_aton(address) + struct.pack(">H2x", mapping.container_port)
        if mapping.anywhere:
            found[ANY].append((key, value))
        else:
            found[ADDRESSED].append((socket.inet_aton(mapping.host_ip) + key, value))
    return found
