"""A process between clone and execve, as the shim sees it: what it says on its status socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from knarr_runtime import channel, errors
from knarr_runtime.errors import RuntimeFailure, StartFailed


class Starting:
    """``finished`` is called once, when all is said: the error, or that the program runs."""

    def __init__(self, pid: int, status: socket.socket, finished: Callable[[Starting], None]) -> None:
        self.pid = pid
        self.status = status
        self.finished = finished
        self.program = pid
        """The process that executes the program: itself, unless it said that a child will, or spawned it."""
        self.reached_exec = False
        self.reaped = False
        self.error: RuntimeFailure | None = None
        self.terminal = -1

    def read(self) -> bool:
        """Takes what it says; True when it has said all (execve or its death closed the socket)."""
        while True:
            try:
                received = channel.receive(self.status)
            except BlockingIOError:
                return False
            except (OSError, ValueError):
                received = None
            if received is None:
                break
            message, descriptors = received
            if message.get("exec"):
                self.reached_exec = True
            if message.get("terminal") and descriptors:
                self.terminal = descriptors.pop()
            if "error" in message:
                self.error = errors.from_json(message["error"])
            for fd in descriptors:
                os.close(fd)
            if "child" in message:
                self.program = int(message["child"])
            if "program" in message:
                self.program = int(message["program"])
                break
        if self.error is None and not self.reached_exec:
            self.error = StartFailed("the process died before it could execute the program")
        if self.error is not None and self.terminal >= 0:
            os.close(self.terminal)
            self.terminal = -1
        return True
