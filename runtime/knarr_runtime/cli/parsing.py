"""What users write after options, read into values. Pure. Everything raises Invalid with what was expected.

The forms are Docker's: ``64m``, ``8080:80/tcp``, ``/host:/inside:ro``, ``NAME=VALUE``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from knarr_runtime.errors import Invalid

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE)
FACTORS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
MAX_PORTS = 1024
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
ULIMITS = (
    *("as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss"),
    *("rtprio", "rttime", "sigpending", "stack"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    host_ip: str
    host_port: int
    container_port: int
    protocol: str

    def __str__(self) -> str:
        return f"{self.host_ip or '0.0.0.0'}:{self.host_port}->{self.container_port}/{self.protocol}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """source: a directory of the host, or the name of a volume, "" for one that is the container's own."""

    source: str
    target: str
    readonly: bool = False
    propagation: str = "private"

    @property
    def named(self) -> bool:
        return not self.source.startswith("/")


def size(text: str) -> int:
    """Bytes: ``64m``, ``1.5g``, ``1024``."""
    match = SIZE.fullmatch(text.strip())
    if match is None:
        raise Invalid(f"{text!r} is no size: write a number and b, k, m or g, as in 64m")
    return int(float(match[1]) * FACTORS[match[2].lower()])


def cpus(text: str) -> float:
    """Cores: ``.5``, ``2``."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 4096:
        raise Invalid(f"{text!r} is no number of CPUs: write 0.01 or more, as in .5")
    return value


def port(text: str) -> tuple[Port, ...]:
    """``[[IP:]HOST:]CONTAINER[/PROTOCOL]``, both as a range of equal length if wanted.

    Without a port of the host it is the same as the container's.
    """
    rest, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in ("tcp", "udp", "sctp"):
        raise Invalid(f"port {text!r}: {protocol!r} is no protocol, write tcp, udp or sctp")
    parts = rest.split(":")
    if len(parts) > 3:
        raise Invalid(f"port {text!r}: write [[IP:]HOST:]CONTAINER[/PROTOCOL]")
    inside = _range(parts[-1], text)
    outside = _range(parts[-2], text) if len(parts) > 1 and parts[-2] else inside
    if len(inside) != len(outside):
        raise Invalid(f"port {text!r}: the ranges have different lengths")
    host_ip = parts[0] if len(parts) == 3 else ""
    return tuple(
        Port(host_ip=host_ip, host_port=host, container_port=container, protocol=protocol)
        for host, container in zip(outside, inside, strict=True)
    )


def _range(text: str, whole: str) -> range:
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise Invalid(f"port {whole!r}: {text!r} is no port")
    low, high = int(first), int(last or first)
    if not 0 < low <= high < 65536 or high - low >= MAX_PORTS:
        raise Invalid(f"port {whole!r}: ports are numbers from 1 to 65535, at most {MAX_PORTS} in a range")
    return range(low, high + 1)


def environment(given: Iterable[str], files: Iterable[str], own: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """given: ``NAME=VALUE``, or ``NAME`` to take it from ``own``. files: contents of env files, read first."""
    found: dict[str, str] = {}
    lines = [line.strip() for text in files for line in text.splitlines()]
    for entry in (*(line for line in lines if line and not line.startswith("#")), *given):
        name, equals, value = entry.partition("=")
        if not name or name != name.strip():
            raise Invalid(f"environment {entry!r}: write NAME=VALUE")
        if equals:
            found[name] = value
        elif name in own:
            found[name] = own[name]
    return tuple(found.items())


def pairs(given: Iterable[str], what: str) -> dict[str, str]:
    """``KEY=VALUE``; the value may be missing."""
    found = {}
    for entry in given:
        key, _, value = entry.partition("=")
        if not key:
            raise Invalid(f"{what} {entry!r}: write KEY=VALUE")
        found[key] = value
    return found


def duration_s(text: str) -> float:
    """``10``, ``1.5s``, ``2h30m``."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    found = DURATION.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise Invalid(f"{text!r} is no duration: write 10, 30s or 2h30m")
    return sum(float(number) * SECONDS[unit] for number, unit in found)


def container_name(text: str) -> str:
    if not NAME.fullmatch(text) or len(text) > 63:
        raise Invalid(f"container name {text!r}: letters, digits, _ . and - are allowed, 2 to 63 characters")
    return text


def ulimit(text: str) -> tuple[str, int, int]:
    """``nofile=1024:2048``, ``core=-1``: name as setrlimit(2) has it, soft, hard."""
    name, equals, value = text.partition("=")
    soft, colon, hard = value.partition(":")
    numbers = [-1 if part in ("-1", "unlimited") else int(part) for part in (soft, hard) if _limit(part)]
    if name not in ULIMITS or not equals or len(numbers) != 1 + bool(colon):
        raise Invalid(f"ulimit {text!r}: write NAME=SOFT or NAME=SOFT:HARD, with one of {', '.join(ULIMITS)}")
    if len(numbers) == 2 and numbers[1] >= 0 and not 0 <= numbers[0] <= numbers[1]:
        raise Invalid(f"ulimit {text!r}: the soft limit is higher than the hard one")
    return f"RLIMIT_{name.upper()}", numbers[0], numbers[-1]


def _limit(text: str) -> bool:
    return text.isdecimal() or text in ("-1", "unlimited")


def host_entry(text: str) -> str:
    """``NAME:ADDRESS`` or ``NAME=ADDRESS`` as a line of /etc/hosts; a ``host-gateway`` is no address here."""
    name, _, address = text.partition("=") if "=" in text else text.partition(":")
    try:
        shown = str(ipaddress.ip_address(address.strip("[]")))
    except ValueError:
        raise Invalid(f"add-host {text!r}: write NAME:ADDRESS, with an IP address") from None
    if not name or any(character.isspace() for character in name):
        raise Invalid(f"add-host {text!r}: write NAME:ADDRESS")
    return f"{shown}\t{name}\n"
