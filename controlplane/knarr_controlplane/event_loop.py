"""The control plane's event loop: asyncio's, which gRPC wakes once for what has come, not once for each event."""

from __future__ import annotations

import array
import asyncio
import fcntl
import socket
import termios
from collections.abc import Callable
from typing import Any, TypeVarTuple

GRPC_QUEUE = "PollerCompletionQueue"
"""What gRPC looks at its events with is of this class, which is not public: of another name it is left as it is."""
Arguments = TypeVarTuple("Arguments")


class ControlPlaneLoop(asyncio.SelectorEventLoop):
    """Looks at gRPC's events once, however many there are."""

    def add_reader(self, fd: Any, callback: Callable[[*Arguments], Any], *args: *Arguments) -> None:
        if not isinstance(fd, socket.socket) or type(_owner(callback)).__name__ != GRPC_QUEUE:
            super().add_reader(fd, callback, *args)
            return

        def look(*given: *Arguments) -> None:
            leave_one(fd)
            callback(*given)

        super().add_reader(fd, look, *args)


def leave_one(bell: socket.socket) -> None:
    """Take all but one of the bytes that have come.

    gRPC's thread writes one for each event. Its callback takes one and then looks at all the events: those it has seen
    would wake the loop once more each, for nothing. One that comes meanwhile has a byte that is left.
    """
    count = array.array("i", [0])
    fcntl.ioctl(bell, termios.FIONREAD, count)
    if count[0] > 1:
        bell.recv(count[0] - 1)


def _owner(callback: Any) -> object:
    return getattr(getattr(callback, "func", callback), "__self__", None)
