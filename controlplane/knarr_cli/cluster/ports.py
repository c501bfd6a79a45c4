"""Which ports of 127.0.0.1 a new cluster listens on.

They are looked for upwards from the usual ones, so that they lie below those that the kernel gives to outgoing
connections, one of which could have a port while the cluster is stopped. A port is only ours once somebody listens on
it: who looks for some does so in its turn, and keeps the turn until then.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator

from knarr_cli.cluster.state import ClusterStateError

_TURNS = "/run"
"""A lock on this directory is a turn: nothing has to be made for it, nor removed after a crash."""


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """Waits for other clusters of this machine that are being started and do not listen yet."""
    descriptor = os.open(_TURNS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def free(count: int, preferred: int, *, exactly: bool = False) -> tuple[int, ...]:
    """Ports that are free now, each together with the next one: from the preferred one upwards.

    exactly: the first must be the preferred one, whether it is free or not. Raises ClusterStateError.
    """
    found = [preferred] if exactly else []
    for port in range(preferred + 2 * len(found), 0xFFFF, 2):
        if len(found) >= count:
            break
        if _is_free(port) and _is_free(port + 1):
            found.append(port)
    if len(found) < count:
        raise ClusterStateError(
            f"127.0.0.1 has no {count} pairs of free ports from {preferred} on: name one with --port"
        )
    return tuple(found)


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
