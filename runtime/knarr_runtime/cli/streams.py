"""The user's terminal at the end of an exec or attach: a WebSocket client of the daemon's streaming server.

Channels are Kubernetes': 0 stdin, 1 stdout, 2 stderr, 3 the result, 4 the terminal's size, 255 closes one (v5).
One thread and one selector: standard input is read only while little waits to be sent, so neither side can block the
other. Source: RFC 6455; Kubernetes' remotecommand protocol v4 and v5.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)

from knarr_runtime.errors import Unavailable

STDIN, STDOUT, STDERR, RESULT, SIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
CONNECT_S = 10.0
CHUNK_BYTES = 1 << 15
MAX_WAITING_BYTES = 1 << 18
PROXIED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2]


@dataclass(frozen=True, slots=True)
class Result:
    """exit_code: None when the session ended without one. detached: by the keys that do so."""

    exit_code: int | None
    message: str = ""
    detached: bool = False


class Streams:
    """One session. url: as CRI's Exec or Attach answers it."""

    def __init__(
        self,
        url: str,
        *,
        tty: bool,
        stdin: bool,
        detach_keys: bytes = b"\x10\x11",
        on_signal: Callable[[int], None] | None = None,
    ) -> None:
        self._url = urlsplit(url)
        self._tty = tty
        self._stdin = stdin
        self._keys = Keys(detach_keys) if tty else None
        self._on_signal = on_signal
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._socket = socket.create_connection((self._url.hostname or "", self._url.port or 80), CONNECT_S)
        self._waiting = bytearray()
        self._partial = bytearray()
        self._result: Result | None = None
        self._closing = self._v5 = False

    def open(self) -> None:
        """Returns when the server has accepted. Raises Unavailable."""
        request = Request(
            host=self._url.netloc,
            target=self._url.path + ("?" + self._url.query if self._url.query else ""),
            subprotocols=list(PROTOCOLS),
        )
        self._socket.sendall(self._connection.send(request))
        while True:
            data = self._socket.recv(CHUNK_BYTES)
            if not data:
                raise Unavailable("the runtime closed the session before it began")
            self._connection.receive_data(data)
            for event in self._connection.events():
                if isinstance(event, AcceptConnection):
                    self._v5 = event.subprotocol == PROTOCOLS[0]
                    self._socket.sendall(self._connection.send(Ping()))  # says that we are ready to read
                    self._socket.setblocking(False)
                    return
                if isinstance(event, RejectConnection):
                    raise Unavailable(f"the runtime refused the session: HTTP {event.status_code}")

    def run(self) -> Result:
        """Until the other side ends it."""
        raw = self._tty and self._stdin
        with self._socket, _terminal(raw=raw), selectors.DefaultSelector() as selector, self._signals(selector):
            self._loop(selector)
        return self._result or Result(None)

    def _loop(self, selector: selectors.BaseSelector) -> None:
        selector.register(self._socket, selectors.EVENT_READ)
        reading = False
        self._receive()  # what came together with the acceptance
        while not self._closing or self._waiting:
            wanted = self._stdin and len(self._waiting) < MAX_WAITING_BYTES and not self._closing
            if wanted != reading:
                reading = self._watch_input(selector, wanted)
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._waiting else 0)
            selector.modify(self._socket, events)
            for key, ready in selector.select():
                if key.fileobj is self._socket:
                    if ready & selectors.EVENT_WRITE:
                        self._flush()
                    if ready & selectors.EVENT_READ and not self._read_socket():
                        return
                elif key.data == "signals":
                    self._take_signals(os.read(key.fd, 64))
                elif reading:
                    self._read_input()
                    if self._result is not None and self._result.detached:
                        return

    def _watch_input(self, selector: selectors.BaseSelector, wanted: bool) -> bool:
        """Regular files can't be polled: they are read at once each time."""
        if not wanted:
            with contextlib.suppress(KeyError):
                selector.unregister(0)
            return False
        try:
            selector.register(0, selectors.EVENT_READ, "input")
        except PermissionError:
            while self._stdin and len(self._waiting) < MAX_WAITING_BYTES:
                self._read_input()
            return False
        return True

    def _read_input(self) -> None:
        data = os.read(0, CHUNK_BYTES)
        if not data:
            self._stdin = False
            if self._v5:
                self._send(CLOSE, bytes([STDIN]))
            return
        if self._keys is not None:
            data, detached = self._keys.take(data)
            if detached:
                self._result = Result(None, detached=True)
                return
        if data:
            self._send(STDIN, data)

    def _read_socket(self) -> bool:
        try:
            data = self._socket.recv(CHUNK_BYTES)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            data = b""
        if not data:
            return False
        self._connection.receive_data(data)
        self._receive()
        return True

    def _receive(self) -> None:
        for event in self._connection.events():
            if isinstance(event, BytesMessage | TextMessage):
                self._partial += event.data.encode() if isinstance(event.data, str) else event.data
                if event.message_finished:
                    message, self._partial = bytes(self._partial), bytearray()
                    self._take(message)
            elif isinstance(event, Ping):
                self._waiting += self._connection.send(event.response())
            elif isinstance(event, CloseConnection):
                if not self._closing:
                    self._waiting += self._connection.send(event.response())
                self._closing = True

    def _take(self, message: bytes) -> None:
        if not message:
            return
        channel, data = message[0], message[1:]
        if channel in (STDOUT, STDERR):
            _write(channel, data)
        elif channel == RESULT and data:
            self._result = result_of(data)

    def _send(self, channel: int, data: bytes) -> None:
        self._waiting += self._connection.send(BytesMessage(data=bytes([channel]) + data))
        self._flush()

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._waiting:
                sent = self._socket.send(self._waiting[: 1 << 16])
                del self._waiting[:sent]

    def _send_size(self) -> None:
        columns, lines = shutil.get_terminal_size()
        self._send(SIZE, json.dumps({"Width": columns, "Height": lines}).encode())

    def _take_signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGWINCH:
                self._send_size()
            elif self._on_signal is not None:
                self._on_signal(number)

    @contextlib.contextmanager
    def _signals(self, selector: selectors.BaseSelector) -> Iterator[None]:
        """The terminal's size is told now and whenever it changes; other signals go to ``on_signal``."""
        wanted = ([signal.SIGWINCH] if self._tty else []) + (PROXIED if self._on_signal is not None else [])
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = {number: signal.signal(number, lambda number, _: _poke(writer, number)) for number in wanted}
        try:
            selector.register(reader, selectors.EVENT_READ, "signals")
            if self._tty:
                self._send_size()
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reader)
            os.close(writer)


class Keys:
    """Finds the keys that detach (Ctrl-P Ctrl-Q) in what is typed; holds their beginning back until it is clear."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._seen = 0

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """What is to be sent, and whether to detach."""
        passed = bytearray()
        for byte in data:
            if self._keys and byte == self._keys[self._seen]:
                self._seen += 1
                if self._seen == len(self._keys):
                    return bytes(passed), True
                continue
            passed += self._keys[: self._seen]
            self._seen = 1 if self._keys and byte == self._keys[0] else 0
            if not self._seen:
                passed.append(byte)
        return bytes(passed), False


def result_of(data: bytes) -> Result:
    """The metav1.Status at the end of a session."""
    try:
        status: dict[str, Any] = json.loads(data)
        if status.get("status") == "Success":
            return Result(0)
        for cause in (status.get("details") or {}).get("causes") or ():
            if cause.get("reason") == "ExitCode":
                return Result(int(cause["message"]), str(status.get("message", "")))
        return Result(None, str(status.get("message", "")))
    except (ValueError, AttributeError, TypeError, KeyError):
        return Result(None, data.decode(errors="replace"))


def _write(descriptor: int, data: bytes) -> None:
    (sys.stdout if descriptor == STDOUT else sys.stderr).flush()
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _poke(descriptor: int, number: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.write(descriptor, bytes([number]))


@contextlib.contextmanager
def _terminal(*, raw: bool) -> Iterator[None]:
    if not raw or not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSADRAIN)  # what has been typed already is not lost
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
