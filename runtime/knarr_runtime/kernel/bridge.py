"""The node's side of the pods' network by rtnetlink: bridge, veth pairs, what they have carried.

Acts on the network namespace of the calling process. Source: Linux rtnetlink(7), veth(4), if_link.h, if_bridge.h.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from knarr_runtime.kernel.rtnetlink import RtNetlink, _attribute

_NEWLINK, _DELLINK, _GETLINK, _SETLINK, _GETROUTE = 16, 17, 18, 19, 26
_CREATE, _EXCLUSIVE, _DUMP = 0x400, 0x200, 0x300
_NESTED = 0x8000
_ADDRESS, _NAME, _MTU, _MASTER, _PROTINFO, _LINKINFO, _STATS64, _NAMESPACE_FD = 1, 3, 4, 10, 12, 18, 23, 28
_KIND, _DATA, _PEER, _HAIRPIN = 1, 2, 1, 4
_ROUTE_OUT = 4
_UP = 1
_AF_BRIDGE = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An interface. master: index of its bridge, 0 for none."""

    index: int
    name: str
    mtu: int
    address: bytes
    master: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What an interface has carried since it was made, seen from its own side."""

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int

    def from_the_other_side(self) -> Traffic:
        """What the other end of a pair has seen."""
        return Traffic(
            rx_bytes=self.tx_bytes,
            rx_packets=self.tx_packets,
            rx_errors=self.tx_errors,
            rx_dropped=self.tx_dropped,
            tx_bytes=self.rx_bytes,
            tx_packets=self.rx_packets,
            tx_errors=self.rx_errors,
            tx_dropped=self.rx_dropped,
        )


class BridgeNetlink(RtNetlink):
    """Every call raises OSError with the kernel's reason."""

    def find(self, name: str) -> Link | None:
        try:
            answer = self._call(_GETLINK, 0, _header() + _attribute(_NAME, name.encode() + b"\0"), f"link {name}")
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return _link(answer)

    def links(self) -> list[Link]:
        return [_link(message) for message in self._dump(_GETLINK, _header())]

    def add_bridge(self, name: str, address: bytes) -> None:
        """address: its MAC, given so that it does not change with the ports."""
        body = _header() + _attribute(_NAME, name.encode() + b"\0") + _attribute(_ADDRESS, address)
        body += _attribute(_LINKINFO | _NESTED, _attribute(_KIND, b"bridge"))
        self._call(_NEWLINK, _CREATE | _EXCLUSIVE, body, f"bridge {name}")

    def set_address(self, index: int, address: bytes) -> None:
        """The MAC of a link that is there."""
        self._call(_NEWLINK, 0, _header(index) + _attribute(_ADDRESS, address), f"link {index}")

    def add_pair(self, name: str, *, master: int, mtu: int, peer: str, namespace: int) -> None:
        """A veth pair: ``name`` up on the bridge ``master``, ``peer`` made inside the namespace of the descriptor."""
        size = _attribute(_MTU, struct.pack("=I", mtu))
        inner = _header() + _attribute(_NAME, peer.encode() + b"\0") + size
        inner += _attribute(_NAMESPACE_FD, struct.pack("=I", namespace))
        data = _attribute(_DATA | _NESTED, _attribute(_PEER | _NESTED, inner))
        body = struct.pack("=BxHiII", 0, 0, 0, _UP, _UP) + _attribute(_NAME, name.encode() + b"\0") + size
        body += _attribute(_MASTER, struct.pack("=I", master))
        body += _attribute(_LINKINFO | _NESTED, _attribute(_KIND, b"veth") + data)
        self._call(_NEWLINK, _CREATE | _EXCLUSIVE, body, f"veth {name}")

    def set_hairpin(self, index: int) -> None:
        """Let a port of a bridge get back what it has sent: a pod reaches itself through a redirected address."""
        body = struct.pack("=BxHiII", _AF_BRIDGE, 0, index, 0, 0)
        body += _attribute(_PROTINFO | _NESTED, _attribute(_HAIRPIN, b"\1"))
        self._call(_SETLINK, 0, body, f"bridge port {index}")

    def remove(self, name: str) -> None:
        """Of a pair both ends go. A link that is not there is no error."""
        try:
            self._call(_DELLINK, 0, _header() + _attribute(_NAME, name.encode() + b"\0"), f"link {name}")
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    def traffic(self, name: str) -> Traffic | None:
        """None for a link that is not there."""
        try:
            answer = self._call(_GETLINK, 0, _header() + _attribute(_NAME, name.encode() + b"\0"), f"link {name}")
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        counters = struct.unpack_from("=8Q", dict(_attributes(answer[16:]))[_STATS64])
        return Traffic(
            rx_packets=counters[0],
            tx_packets=counters[1],
            rx_bytes=counters[2],
            tx_bytes=counters[3],
            rx_errors=counters[4],
            tx_errors=counters[5],
            rx_dropped=counters[6],
            tx_dropped=counters[7],
        )

    def default_link_mtu(self) -> int | None:
        """MTU of the interface that the IPv4 default route leaves by; None without one."""
        body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
        for message in self._dump(_GETROUTE, body):
            found = dict(_attributes(message[12:]))
            if message[1] == 0 and _ROUTE_OUT in found:
                (index,) = struct.unpack("=i", found[_ROUTE_OUT])
                return next((link.mtu for link in self.links() if link.index == index), None)
        return None

    def _dump(self, kind: int, body: bytes) -> Sequence[bytes]:
        """The bodies of all messages of an answer. Raises OSError EINTR when it changed meanwhile, five times."""
        for _ in range(5):
            answers, whole = self._dump_once(kind, _DUMP, body)
            if whole:
                return answers
        raise InterruptedError(errno.EINTR, "the list changed while it was read")


def mac_of(address: str) -> bytes:
    """A locally administered MAC made of an IPv4 address."""
    return b"\x0a\x58" + ipaddress.IPv4Address(address).packed


def _header(index: int = 0) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, 0, 0)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]


def _link(message: bytes) -> Link:
    (index,) = struct.unpack_from("=i", message, 4)
    found = dict(_attributes(message[16:]))
    return Link(
        index=index,
        name=found.get(_NAME, b"").rstrip(b"\0").decode(errors="replace"),
        mtu=_number(found, _MTU),
        address=found.get(_ADDRESS, b""),
        master=_number(found, _MASTER),
    )


def _number(found: dict[int, bytes], kind: int) -> int:
    return int.from_bytes(found[kind], "little") if kind in found else 0
