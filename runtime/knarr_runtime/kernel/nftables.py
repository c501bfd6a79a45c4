"""The few nf_tables messages that port mappings and masquerading need, packed by hand.

Everything of one :meth:`Nftables.commit` happens at once or not at all. Registers: 1 holds up to 16 bytes and overlaps
the four-byte registers 8 to 11, so that a concatenation starts at 1 and goes on at 9.
Source: Linux include/uapi/linux/netfilter/nf_tables.h, nfnetlink.h; ``nft --debug=netlink`` shows the same.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_NETFILTER, _SUBSYSTEM, _IPV4 = 12, 10, 2
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE, _NEWSET, _NEWELEMENT, _DELELEMENT = 0, 2, 3, 6, 9, 12, 14
_REQUEST, _ACK, _CREATE, _EXCLUSIVE, _APPEND = 0x01, 0x04, 0x400, 0x200, 0x800
_GETGEN = 16
_ERROR = 2
_NESTED = 0x8000
_MAP = 8
ANSWER_TIMEOUT_S = 5.0

PREROUTING, OUTPUT, POSTROUTING = 0, 3, 4
RAW, DESTINATION_NAT, SOURCE_NAT = -300, -100, 100
REGISTER, SECOND, THIRD, VERDICT = 1, 9, 10, 0
IIFNAME, OIFNAME, L4PROTO, OIFKIND = 6, 7, 16, 27
TYPE_ADDRESS, TYPE_PROTOCOL, TYPE_PORT = 7, 12, 13


def available() -> bool:
    """Whether this kernel, and these privileges, have it: asks for the number of the rules' generation."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER) as asking:
            asking.settimeout(ANSWER_TIMEOUT_S)
            header = struct.pack("=IHHII", 20, _SUBSYSTEM << 8 | _GETGEN, _REQUEST, 1, 0)
            asking.send(header + struct.pack(">BBH", 0, 0, 0))
            return bool(struct.unpack_from("=IH", asking.recv(1 << 12))[1] != _ERROR)
    except OSError:
        return False


def attribute(kind: int, data: bytes) -> bytes:
    """One netlink attribute, padded."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _nested(kind: int, *parts: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(parts))


def _text(kind: int, text: str) -> bytes:
    return attribute(kind, text.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def _expression(name: str, *parts: bytes) -> bytes:
    return _nested(1, _text(1, name), _nested(2, *parts))


def meta(key: int, register: int = REGISTER) -> bytes:
    return _expression("meta", _number(1, register), _number(2, key))


def payload(offset: int, length: int, register: int = REGISTER, *, transport: bool = False) -> bytes:
    """Bytes of the network header, or of the transport header."""
    base = 2 if transport else 1
    return _expression("payload", _number(1, register), _number(2, base), _number(3, offset), _number(4, length))


def compare(data: bytes, *, equal: bool = True) -> bytes:
    return _expression("cmp", _number(1, REGISTER), _number(2, 0 if equal else 1), _nested(3, attribute(1, data)))


def mask(value: bytes) -> bytes:
    """Register 1 & value."""
    parts = _number(1, REGISTER), _number(2, REGISTER), _number(3, len(value))
    return _expression("bitwise", *parts, _nested(4, attribute(1, value)), _nested(5, attribute(1, bytes(len(value)))))


def destination_is_local() -> bytes:
    """``fib daddr type local``."""
    return _expression("fib", _number(1, REGISTER), _number(2, 3), _number(3, 2)) + compare(struct.pack("=I", 2))


def was_redirected() -> bytes:
    """``ct status dnat``."""
    loaded = _expression("ct", _number(1, REGISTER), _number(2, 2))
    bit = struct.pack("=I", 0x20)
    return loaded + mask(bit) + compare(bytes(4), equal=False)


def in_network(network: ipaddress.IPv4Network, *, source: bool, equal: bool = True) -> bytes:
    """``ip saddr NETWORK`` or ``ip daddr NETWORK``."""
    loaded = payload(12 if source else 16, 4)
    return loaded + mask(network.netmask.packed) + compare(network.network_address.packed, equal=equal)


def interface(key: int, name: str, *, equal: bool = True) -> bytes:
    """``iifname``, ``oifname`` or ``oifkind``."""
    return meta(key) + compare(name.encode().ljust(16, b"\0"), equal=equal)


def lookup(map_name: str) -> bytes:
    """Register 1 (and those after it) := the map's value for what is there; ends the rule when there is none."""
    return _expression("lookup", _text(1, map_name), _number(2, REGISTER), _number(3, REGISTER))


def redirect() -> bytes:
    """``dnat`` to the address in register 1 and the port after it."""
    parts = _number(1, 1), _number(2, _IPV4), _number(3, REGISTER), _number(4, REGISTER)
    return _expression("nat", *parts, _number(5, SECOND), _number(6, SECOND), _number(7, 0x3))


def masquerade() -> bytes:
    return _expression("masq")


def drop() -> bytes:
    return _expression("immediate", _number(1, VERDICT), _nested(2, _nested(2, _number(1, 0))))


@dataclass(frozen=True, slots=True)
class Message:
    """One step of a transaction."""

    kind: int
    flags: int
    body: bytes


class Table:
    """Makes the messages for one IPv4 table."""

    def __init__(self, name: str) -> None:
        self.name = name

    def replace(self) -> tuple[Message, ...]:
        """The table, empty, whatever was there."""
        named = _text(1, self.name)
        made = Message(_NEWTABLE, _CREATE, named)
        return made, Message(_DELTABLE, 0, named), made

    def remove(self) -> tuple[Message, ...]:
        named = _text(1, self.name)
        return Message(_NEWTABLE, _CREATE, named), Message(_DELTABLE, 0, named)

    def chain(self, name: str, kind: str, hook: int, priority: int) -> Message:
        """A base chain. kind: nat or filter."""
        hooked = _nested(4, _number(1, hook), _number(2, priority))
        return Message(_NEWCHAIN, _CREATE, _text(1, self.name) + _text(3, name) + hooked + _text(7, kind))

    def rule(self, chain: str, *expressions: bytes) -> Message:
        body = _text(1, self.name) + _text(2, chain) + _nested(4, *expressions)
        return Message(_NEWRULE, _CREATE | _APPEND, body)

    def map(self, name: str, identifier: int, key: tuple[int, ...], value: tuple[int, ...]) -> Message:
        """A map whose keys and values are concatenations of the types given, four bytes each."""
        body = _text(1, self.name) + _text(2, name) + _number(3, _MAP)
        body += _number(4, _concatenated(key)) + _number(5, 4 * len(key))
        body += _number(6, _concatenated(value)) + _number(7, 4 * len(value)) + _number(10, identifier)
        return Message(_NEWSET, _CREATE, body)

    def put(self, map_name: str, elements: Iterable[tuple[bytes, bytes]]) -> Message:
        """Raises OSError EEXIST at commit where the key has another value."""
        listed = [_nested(1, _nested(1, attribute(1, key)), _nested(2, attribute(1, value))) for key, value in elements]
        return Message(_NEWELEMENT, _CREATE | _EXCLUSIVE, self._elements(map_name, listed))

    def take(self, map_name: str, keys: Iterable[bytes]) -> Message:
        return Message(
            _DELELEMENT, 0, self._elements(map_name, [_nested(1, _nested(1, attribute(1, k))) for k in keys])
        )

    def _elements(self, map_name: str, listed: list[bytes]) -> bytes:
        return _text(1, self.name) + _text(2, map_name) + _nested(3, *listed)


def _concatenated(types: tuple[int, ...]) -> int:
    number = 0
    for each in types:
        number = number << 6 | each
    return number


class Nftables:
    """A socket to nf_tables in the network namespace of the process that makes it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
        self._socket.bind((0, 0))
        self._socket.settimeout(ANSWER_TIMEOUT_S)
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def commit(self, messages: Iterable[Message]) -> None:
        """All of it or nothing. Raises OSError with the kernel's reason for the first step it refused."""
        steps = list(messages)
        packets = [self._packet(_BATCH_BEGIN, 0, b"", subsystem=0, resource=_SUBSYSTEM)]
        first = self._sequence + 1
        packets += [self._packet(step.kind, step.flags | _ACK, step.body) for step in steps]
        last = self._sequence
        packets.append(self._packet(_BATCH_END, 0, b"", subsystem=0, resource=_SUBSYSTEM))
        self._socket.send(b"".join(packets))
        self._answers(first, last)

    def _answers(self, first: int, last: int) -> None:
        refused: tuple[int, int] | None = None
        while True:
            data = self._socket.recv(1 << 16)
            while len(data) >= 16:
                length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data)
                if kind == _ERROR and first <= sequence <= last + 1:
                    (error,) = struct.unpack_from("=i", data, 16)
                    if error and refused is None:
                        refused = -error, sequence - first
                    if sequence >= last:
                        if refused is not None:
                            raise OSError(refused[0], os.strerror(refused[0]), f"nf_tables step {refused[1]}")
                        return
                data = data[(length + 3) & ~3 :]

    def _packet(self, kind: int, flags: int, body: bytes, *, subsystem: int = _SUBSYSTEM, resource: int = 0) -> bytes:
        self._sequence += 1
        family = _IPV4 if subsystem else 0
        content = struct.pack(">BBH", family, 0, resource) + body
        number = kind | subsystem << 8
        return struct.pack("=IHHII", 16 + len(content), number, _REQUEST | flags, self._sequence, 0) + content
