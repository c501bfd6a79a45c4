"""Connections to a pod's loopback, made by the daemon without entering the pod: the shim, which lives in the pod's
network namespace, makes the socket; a socket stays in the namespace it was made in, whoever connects it."""

from __future__ import annotations

import asyncio
import os
import socket

from knarr_runtime.errors import KernelRefused, Unavailable
from knarr_runtime.peer import Peer

_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


async def connect(shim: Peer, port: int, *, timeout_s: float) -> socket.socket:
    """Connected and non-blocking, by IPv4 or else IPv6. Raises Unavailable, with what IPv4 said."""
    failures: list[str] = []
    for family, address in _LOOPBACK:
        try:
            return await _connect(shim, family, (address, port), timeout_s)
        except KernelRefused as error:  # no such family here
            failures.append(str(error))
        except OSError as error:
            failures.append(os.strerror(error.errno).lower() if error.errno else "no answer in time")
    raise Unavailable(f"failed to connect to localhost:{port} inside the pod: {failures[0]}")


async def _connect(shim: Peer, family: int, address: tuple[str, int], timeout_s: float) -> socket.socket:
    _, received = await shim.request_descriptors("tcp_socket", family=int(family), timeout_s=timeout_s)
    if len(received) != 1:
        for fd in received:
            os.close(fd)
        raise Unavailable("the shim sent no socket")
    own = socket.socket(fileno=received[0])
    try:
        own.setblocking(False)
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(own, address)
    except BaseException:
        own.close()
        raise
    return own
