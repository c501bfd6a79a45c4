"""The event loop of zygote, shim and log reader: epoll and callbacks. One thread, no timers unless asked, no garbage.

Not asyncio: that costs 4 MB and 40 ms in every one of these processes.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
from collections.abc import Callable

from knarr_runtime import channel, errors
from knarr_runtime.channel import Message
from knarr_runtime.errors import RuntimeFailure, Unsupported
from knarr_runtime.kernel import syscalls

Handler = Callable[[int], object]
_SIGNALFD_SIZE = 128


class Loop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._running = True

    def add(self, fd: int, handler: Handler, events: int = select.EPOLLIN) -> None:
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def remove(self, fd: int) -> None:
        """Before the descriptor is closed."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def stop(self) -> None:
        self._running = False

    def run(self, idle: Callable[[], float | None]) -> None:
        """Until :meth:`stop`. ``idle`` is called before each wait; its result is the longest to wait, in seconds."""
        while self._running:
            timeout_s = idle()
            if not self._running:
                break
            for fd, events in self._epoll.poll(-1 if timeout_s is None else timeout_s, 32):
                handler = self._handlers.get(fd)  # gone if an earlier event of this round removed it
                if handler is not None:
                    handler(events)

    def on_children(self, handler: Callable[[], None]) -> None:
        """Calls ``handler`` when children may have ended. Blocks SIGCHLD; descendants must unblock it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
        fd = syscalls.signalfd({signal.SIGCHLD})

        def read(_: int) -> None:
            try:
                os.read(fd, _SIGNALFD_SIZE * 8)
            except BlockingIOError:
                return
            handler()

        self.add(fd, read)


class Connection:
    """One client. Answers that cannot be delivered close it: the client comes back and asks what it missed."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self._server = server
        self._sock = sock
        self.open = True

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        if not self.open:
            return
        try:
            channel.send(self._sock, message, descriptors)
        except OSError:
            self.close()

    def receive(self) -> None:
        try:
            received = channel.receive(self._sock)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            received = None
        if received is None:
            self.close()
        else:
            self._server.dispatch(self, *received)

    def close(self) -> None:
        if self.open:
            self.open = False
            self._server.forget(self)
            self._sock.close()


Operation = Callable[[Connection, Message, list[int]], Message | None]
"""Returns the reply; None if it replies later (:func:`Server.reply`). Owns the descriptors. Raises RuntimeFailure."""


class Server:
    """Serves operations by name on a listening socket."""

    def __init__(self, loop: Loop, listener: socket.socket, operations: dict[str, Operation]) -> None:
        self._loop = loop
        self._listener = listener
        self._operations = operations
        self._connections: set[Connection] = set()
        loop.add(listener.fileno(), self._accept)

    @property
    def connections(self) -> int:
        return len(self._connections)

    def _accept(self, _: int) -> None:
        sock = channel.accept(self._listener)
        if sock is None:
            return
        connection = Connection(self, sock)
        self._connections.add(connection)
        self._loop.add(sock.fileno(), lambda _: connection.receive())

    def forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._loop.remove(connection.fileno())

    def dispatch(self, connection: Connection, message: Message, descriptors: list[int]) -> None:
        operation = self._operations.get(str(message.get("op")))
        try:
            if operation is None:
                for fd in descriptors:
                    os.close(fd)
                raise Unsupported(f"process {os.getpid()}, of an earlier version, does not know {message.get('op')!r}")
            reply = operation(connection, message, descriptors)
        except RuntimeFailure as error:
            self.fail(connection, message, error)
        except OSError as error:
            self.fail(connection, message, RuntimeFailure(f"{error.filename or message.get('op')}: {error.strerror}"))
        except (KeyError, TypeError, ValueError) as error:
            self.fail(connection, message, RuntimeFailure(f"malformed request {message.get('op')!r}: {error!r}"))
        else:
            if reply is not None:
                self.reply(connection, message, reply)

    def reply(
        self, connection: Connection, request: Message, reply: Message, descriptors: tuple[int, ...] = ()
    ) -> None:
        connection.send({"id": request.get("id"), **reply}, descriptors)

    def fail(self, connection: Connection, request: Message, error: RuntimeFailure) -> None:
        connection.send({"id": request.get("id"), "error": errors.to_json(error)})

    def broadcast(self, event: Message) -> None:
        for connection in tuple(self._connections):
            connection.send(event)

    def close(self) -> None:
        for connection in tuple(self._connections):
            connection.close()
        self._loop.remove(self._listener.fileno())
        self._listener.close()


def pack_window(rows: int, columns: int) -> bytes:
    """``struct winsize`` for TIOCSWINSZ."""
    return struct.pack("4H", rows, columns, 0, 0)
