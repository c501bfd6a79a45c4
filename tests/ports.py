"""Ports of 127.0.0.1 for servers of tests: below those that the kernel gives to outgoing connections meanwhile."""

from __future__ import annotations

import contextlib
import random
import socket


def free_port() -> int:
    """A port that is free now, and so is the next."""
    for _ in range(500):
        port = random.randrange(16_000, 32_000, 2)
        with contextlib.suppress(OSError), socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", port))
            second.bind(("127.0.0.1", port + 1))
            return port
    raise OSError("no two free ports")


def free_ports(count: int) -> list[int]:
    """Different ones, each with the next one."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return sorted(found)
