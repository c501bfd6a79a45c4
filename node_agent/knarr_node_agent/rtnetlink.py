"""The few rtnetlink messages that the overlay needs, packed by hand.

pyroute2 speaks all of them, at 8 MB of memory in a process that should have 45 in all. Of answers only what is needed
here is read. Source: rtnetlink(7), netlink(7), Linux ``include/uapi/linux/{netlink,rtnetlink,neighbour,if_link}.h``.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

ERROR, DONE = 2, 3
NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, GETADDR = 20, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWNEIGH, DELNEIGH, GETNEIGH = 28, 29, 30
F_REQUEST, F_ACK, F_DUMP = 0x1, 0x4, 0x300
F_REPLACE, F_EXCLUSIVE, F_CREATE, F_APPEND = 0x100, 0x200, 0x400, 0x800

IFF_UP = 0x1
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO = 1, 3, 4, 18
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
VXLAN_ID, VXLAN_LINK, VXLAN_LOCAL, VXLAN_LEARNING, VXLAN_PORT = 1, 3, 4, 7, 15
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5
NDA_DST, NDA_LLADDR = 1, 2
TABLE_MAIN, PROTOCOL_STATIC, TYPE_UNICAST, ONLINK = 254, 4, 1, 0x04
PERMANENT, NTF_SELF, AF_BRIDGE = 0x80, 0x02, 7
NESTED = 0x8000
TYPE_MASK = 0x3FFF
TIMEOUT_S = 5.0
BUFFER_BYTES = 1 << 20
DATAGRAM_BYTES = 1 << 16

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")

Attributes = dict[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vxlan:
    """A VXLAN device. under: the index of the interface it sends over."""

    name: str
    vni: int
    port: int
    under: int
    local: str
    mac: str
    mtu: int


@dataclass(frozen=True, slots=True)
class Address:
    index: int
    address: str


class RouteSocket:
    """A socket to the kernel, in the network namespace of the thread that opens it. Every method raises OSError."""

    def __enter__(self) -> Self:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._socket.settimeout(TIMEOUT_S)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._sequence = 0
        return self

    def __exit__(
        self, type_: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    # Links and addresses

    def index(self, name: str) -> int | None:
        try:
            return socket.if_nametoindex(name)
        except OSError:
            return None

    def mtu(self, index: int) -> int:
        return _number(self._link(index)[1].get(IFLA_MTU, b""))

    def vxlan(self, name: str) -> Vxlan | None:
        """The device of that name if it is a VXLAN device and up."""
        index = self.index(name)
        if index is None:
            return None
        flags, attributes = self._link(index)
        info = _attributes(attributes.get(IFLA_LINKINFO, b""))
        if info.get(IFLA_INFO_KIND, b"").rstrip(b"\0") != b"vxlan" or not flags & IFF_UP:
            return None
        data = _attributes(info.get(IFLA_INFO_DATA, b""))
        return Vxlan(
            name=name,
            vni=_number(data.get(VXLAN_ID, b"")),
            port=int.from_bytes(data.get(VXLAN_PORT, b""), "big"),
            under=_number(data.get(VXLAN_LINK, b"")),
            local=_ipv4(data.get(VXLAN_LOCAL, b"")),
            mac=_mac(attributes.get(IFLA_ADDRESS, b"")),
            mtu=_number(attributes.get(IFLA_MTU, b"")),
        )

    def add_vxlan(self, device: Vxlan) -> int:
        """Make it, not up yet; its index."""
        data = b"".join(
            (
                _packed(VXLAN_ID, struct.pack("=I", device.vni)),
                _packed(VXLAN_LINK, struct.pack("=I", device.under)),
                _packed(VXLAN_LOCAL, socket.inet_aton(device.local)),
                _packed(VXLAN_LEARNING, b"\0"),
                _packed(VXLAN_PORT, struct.pack(">H", device.port)),
            )
        )
        info = _packed(IFLA_INFO_KIND, b"vxlan\0") + _packed(IFLA_INFO_DATA | NESTED, data)
        body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + b"".join(
            (
                _packed(IFLA_IFNAME, device.name.encode() + b"\0"),
                _packed(IFLA_MTU, struct.pack("=I", device.mtu)),
                _packed(IFLA_ADDRESS, bytes.fromhex(device.mac.replace(":", ""))),
                _packed(IFLA_LINKINFO | NESTED, info),
            )
        )
        self._do(NEWLINK, F_CREATE | F_EXCLUSIVE, body)
        return socket.if_nametoindex(device.name)

    def set_up(self, index: int) -> None:
        self._do(NEWLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, IFF_UP, IFF_UP))

    def remove_link(self, index: int) -> None:
        self._do(DELLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0))

    def addresses(self) -> list[Address]:
        """All IPv4 addresses."""
        found: list[Address] = []
        for _, body in self._dump(GETADDR, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)):
            attributes = _attributes(body[_ADDRESS.size :])
            raw = attributes.get(IFA_LOCAL) or attributes.get(IFA_ADDRESS, b"")
            found.append(Address(_ADDRESS.unpack_from(body)[4], _ipv4(raw)))
        return found

    def add_address(self, index: int, address: str) -> None:
        """With a prefix of 32 bits."""
        raw = socket.inet_aton(address)
        body = _ADDRESS.pack(socket.AF_INET, 32, 0, 0, index) + _packed(IFA_LOCAL, raw) + _packed(IFA_ADDRESS, raw)
        self._do(NEWADDR, F_CREATE | F_REPLACE, body)

    # Routes

    def routes(self, index: int) -> set[tuple[str, str]]:
        """(CIDR, gateway) of the IPv4 routes over an interface, in the main table."""
        found: set[tuple[str, str]] = set()
        for _, body in self._dump(GETROUTE, _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)):
            _, bits, _, _, table, *_ = _ROUTE.unpack_from(body)
            attributes = _attributes(body[_ROUTE.size :])
            if table == TABLE_MAIN and _number(attributes.get(RTA_OIF, b"")) == index and RTA_GATEWAY in attributes:
                target = _ipv4(attributes.get(RTA_DST, bytes(4)))
                found.add((f"{target}/{bits}", _ipv4(attributes[RTA_GATEWAY])))
        return found

    def replace_route(self, index: int, cidr: str, gateway: str) -> None:
        self._do(NEWROUTE, F_CREATE | F_REPLACE, _route(index, cidr, gateway))

    def remove_route(self, index: int, cidr: str, gateway: str) -> None:
        self._do(DELROUTE, 0, _route(index, cidr, gateway))

    # Neighbours and forwarding entries

    def neighbours(self, index: int) -> set[tuple[str, str]]:
        """(address, MAC) of the permanent IPv4 neighbours of an interface."""
        return {
            (_ipv4(attributes.get(NDA_DST, b"")), _mac(attributes.get(NDA_LLADDR, b"")))
            for attributes in self._neighbours(socket.AF_INET, index)
        }

    def forwards(self, index: int) -> set[tuple[str, str]]:
        """(MAC, IPv4 address) of the forwarding entries of a VXLAN device."""
        return {
            (_mac(attributes.get(NDA_LLADDR, b"")), _ipv4(attributes[NDA_DST]))
            for attributes in self._neighbours(AF_BRIDGE, index)
            if NDA_DST in attributes
        }

    def replace_neighbour(self, index: int, address: str, mac: str) -> None:
        self._do(NEWNEIGH, F_CREATE | F_REPLACE, _neighbour(socket.AF_INET, index, 0, address, mac))

    def remove_neighbour(self, index: int, address: str, mac: str) -> None:
        self._do(DELNEIGH, 0, _neighbour(socket.AF_INET, index, 0, address, mac))

    def add_forward(self, index: int, mac: str, address: str) -> None:
        self._do(NEWNEIGH, F_CREATE | F_APPEND, _neighbour(AF_BRIDGE, index, NTF_SELF, address, mac))

    def remove_forward(self, index: int, mac: str, address: str) -> None:
        self._do(DELNEIGH, 0, _neighbour(AF_BRIDGE, index, NTF_SELF, address, mac))

    # Messages

    def _link(self, index: int) -> tuple[int, Attributes]:
        """Flags and attributes."""
        for _, body in self._ask(GETLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0)):
            return _LINK.unpack_from(body)[3], _attributes(body[_LINK.size :])
        raise OSError(f"the kernel said nothing about interface {index}")

    def _neighbours(self, family: int, index: int) -> Iterator[Attributes]:
        for _, body in self._dump(GETNEIGH, _NEIGHBOUR.pack(family, 0, 0, 0, 0)):
            _, found, state, *_ = _NEIGHBOUR.unpack_from(body)
            if found == index and state & PERMANENT:
                yield _attributes(body[_NEIGHBOUR.size :])

    def _do(self, kind: int, flags: int, body: bytes) -> None:
        for _ in self._ask(kind, flags | F_ACK, body):
            continue

    def _dump(self, kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
        return self._ask(kind, F_DUMP, body)

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[tuple[int, bytes]]:
        """Send one request; the messages of its answer as (type, body)."""
        self._sequence += 1
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, F_REQUEST | flags, self._sequence, 0) + body)
        answers: list[tuple[int, bytes]] = []
        while self._receive(flags, answers):
            continue
        return iter(answers)

    def _receive(self, flags: int, answers: list[tuple[int, bytes]]) -> bool:
        """Read one datagram; whether more will come."""
        data = self._socket.recv(DATAGRAM_BYTES)
        offset = 0
        while offset + _HEADER.size <= len(data):
            size, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
            body = data[offset + _HEADER.size : offset + size]
            offset += max(_aligned(size), _HEADER.size)
            if sequence != self._sequence:
                continue
            if kind == DONE:
                return False
            if kind == ERROR:
                number = -struct.unpack_from("=i", body)[0]
                if number:
                    raise OSError(number, os.strerror(number))
                return False
            answers.append((kind, body))
            if not flags & (F_ACK | F_DUMP):
                return False
        return True


def _route(index: int, cidr: str, gateway: str) -> bytes:
    target, _, bits = cidr.partition("/")
    header = _ROUTE.pack(socket.AF_INET, int(bits), 0, 0, TABLE_MAIN, PROTOCOL_STATIC, 0, TYPE_UNICAST, ONLINK)
    return header + b"".join(
        (
            _packed(RTA_DST, socket.inet_aton(target)),
            _packed(RTA_OIF, struct.pack("=I", index)),
            _packed(RTA_GATEWAY, socket.inet_aton(gateway)),
        )
    )


def _neighbour(family: int, index: int, flags: int, address: str, mac: str) -> bytes:
    header = _NEIGHBOUR.pack(family, index, PERMANENT, flags, 0)
    link = _packed(NDA_LLADDR, bytes.fromhex(mac.replace(":", "")))
    return header + _packed(NDA_DST, socket.inet_aton(address)) + link


def _packed(kind: int, value: bytes) -> bytes:
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + bytes(_aligned(size) - size)


def _attributes(data: bytes) -> Attributes:
    found: Attributes = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, offset)
        if size < _ATTRIBUTE.size:
            break
        found[kind & TYPE_MASK] = data[offset + _ATTRIBUTE.size : offset + size]
        offset += _aligned(size)
    return found


def _aligned(size: int) -> int:
    return (size + 3) & ~3


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "little" if struct.pack("=H", 1) == b"\1\0" else "big")


def _ipv4(raw: bytes) -> str:
    return socket.inet_ntoa(raw) if len(raw) == 4 else ""


def _mac(raw: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in raw)
