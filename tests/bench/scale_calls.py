"""gRPC calls that cost the one who makes them little: thousands of simulated agents share a machine with what they
measure.

HTTP/2 with the least that a server of gRPC asks for, each connection with TLS and a certificate of its own. What goes
over the wire is what gRPC's own client sends: the same frames, messages, pings and limits of flow.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from knarr_client.channel import KEEPALIVE_S
from knarr_client.kubeconfig import Access

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
TABLE_SIZE, PUSH, STREAM_WINDOW, FRAME_SIZE = 1, 2, 4, 5
"""Settings. Without a table headers are written out, so that none need be remembered."""
WINDOW, FIRST_WINDOW = 2**31 - 1, 65_535
MAX_FRAME = 16_384
READ_BYTES = 256 * 1024
CANCEL = struct.pack(">I", 8)
SUCCESS = b"\x0bgrpc-status\x010"
CONNECT_S = 30.0


class Lost(Exception):
    """The connection, or one call on it, has ended."""


@dataclass(slots=True, eq=False)
class Call:
    """One call on a connection. heard: gets each message; ended: None, or why."""

    connection: Connection
    number: int
    heard: Callable[[bytes], None]
    ended: Callable[[Lost | None], None]
    window: int
    received: bytearray = field(default_factory=bytearray)

    def send(self, message: bytes, *, last: bool = False) -> None:
        self.connection.write_message(self, message, last=last)

    def cancel(self) -> None:
        self.connection.cancel(self)

    def take(self, data: bytes) -> None:
        """What came; a message may come in parts."""
        received = self.received
        if received or len(data) < 5 or len(data) != 5 + int.from_bytes(data[1:5], "big"):
            received += data
            while len(received) >= 5 and len(received) >= (end := 5 + int.from_bytes(received[1:5], "big")):
                message = bytes(received[5:end])
                del received[:end]
                self.heard(message)
        else:
            self.heard(data[5:])


class Connection:
    """Open with :meth:`open`; belongs to that event loop."""

    def __init__(self, sock: ssl.SSLSocket, authority: str, keepalive_s: float) -> None:
        self._sock = sock
        self._keepalive_s = keepalive_s
        self._loop = asyncio.get_running_loop()
        self._authority = authority
        self._calls: dict[int, Call] = {}
        self._next = 1
        self._window = FIRST_WINDOW
        self._stream_window = FIRST_WINDOW
        self._taken_bytes = 0
        self._partial = b""
        self._unsent = b""
        self._blocked: deque[tuple[Call, bytes, int]] = deque()
        """Frames of data for which the server has no room yet."""
        self._heard_s = time.monotonic()
        self.lost = False
        settings = b"".join(struct.pack(">HI", *each) for each in ((TABLE_SIZE, 0), (PUSH, 0), (STREAM_WINDOW, WINDOW)))
        window = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - FIRST_WINDOW))
        self._write(PREFACE + frame(SETTINGS, 0, 0, settings) + window)
        self._loop.add_reader(sock, self._readable)
        self._alarm = self._loop.call_later(keepalive_s, self._keep_alive)

    @classmethod
    async def open(cls, access: Access, *, keepalive_s: float = KEEPALIVE_S) -> Connection:
        """Raises OSError."""
        return cls(await asyncio.to_thread(connect, access), access.endpoints[0], keepalive_s)

    def call(
        self, path: str, heard: Callable[[bytes], None], ended: Callable[[Lost | None], None], *, timeout_s: int = 0
    ) -> Call:
        """Begin a call. timeout_s: told to the server; 0 for none."""
        if self.lost:
            raise Lost("the connection is lost")
        call = Call(self, self._next, heard, ended, self._stream_window)
        self._calls[call.number] = call
        self._next += 2
        headers = [b"\x83\x87", literal(b"\x04", path), literal(b"\x01", self._authority)]
        headers += [field_of("te", "trailers"), literal(b"\x0f\x10", "application/grpc")]
        headers += [literal(b"\x0f\x2b", "knarr-bench/1")]
        if timeout_s:
            headers.append(field_of("grpc-timeout", f"{timeout_s}S"))
        self._write(frame(HEADERS, END_HEADERS, call.number, b"".join(headers)))
        return call

    async def unary(self, path: str, request: bytes, *, timeout_s: int = 30) -> bytes:
        """The answer's bytes. Raises Lost."""
        answers: list[bytes] = []
        done: asyncio.Future[None] = self._loop.create_future()

        def ended(error: Lost | None) -> None:
            if not done.done():
                if error is not None:
                    done.set_exception(error)
                else:
                    done.set_result(None)

        self.call(path, answers.append, ended, timeout_s=timeout_s).send(request, last=True)
        await done
        return answers[0]

    def write_message(self, call: Call, message: bytes, *, last: bool) -> None:
        data = b"\0" + len(message).to_bytes(4, "big") + message
        for start in range(0, len(data), MAX_FRAME):
            part = data[start : start + MAX_FRAME]
            flags = END_STREAM if last and start + MAX_FRAME >= len(data) else 0
            self._blocked.append((call, part, flags))
        self._unblock()

    def cancel(self, call: Call) -> None:
        if self._calls.pop(call.number, None) is not None:
            self._write(frame(RST_STREAM, 0, call.number, CANCEL))

    def close(self) -> None:
        self._lose("closed")

    def _unblock(self) -> None:
        """Send what the server has room for, in order."""
        while self._blocked and not self.lost:
            call, part, flags = self._blocked[0]
            if min(self._window, call.window) < len(part):
                return
            self._blocked.popleft()
            self._window -= len(part)
            call.window -= len(part)
            self._write(frame(DATA, flags, call.number, part))

    def _write(self, data: bytes) -> None:
        if self.lost:
            return
        if self._unsent:
            self._unsent += data
            return
        self._send(data)

    def _send(self, data: bytes) -> None:
        try:
            sent = self._sock.send(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            sent = 0
        except OSError as error:
            self._loop.call_soon(self._lose, str(error))
            return
        was, self._unsent = self._unsent, data[sent:]
        if self._unsent:
            self._loop.add_writer(self._sock, self._writable)
        elif was:
            self._loop.remove_writer(self._sock)

    def _writable(self) -> None:
        self._send(self._unsent)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
            while self._sock.pending():
                data += self._sock.recv(READ_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._lose(str(error))
            return
        if not data:
            self._lose("the server has closed it")
            return
        self._heard_s = time.monotonic()
        data = self._partial + data
        at, end = 0, len(data)
        while end - at >= 9:
            size = int.from_bytes(data[at : at + 3], "big")
            if end - at < 9 + size:
                break
            number = int.from_bytes(data[at + 5 : at + 9], "big")
            self._take(data[at + 3], data[at + 4], number, data[at + 9 : at + 9 + size])
            at += 9 + size
        self._partial = data[at:]

    def _take(self, type_: int, flags: int, number: int, payload: bytes) -> None:
        call = self._calls.get(number)
        if type_ == DATA:
            self._taken_bytes += len(payload)
            if self._taken_bytes > WINDOW // 2:
                self._write(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._taken_bytes)))
                self._taken_bytes = 0
            if call is not None:
                call.take(payload)
        elif type_ == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if number == 0:
                self._window += more
            elif call is not None:
                call.window += more
            self._unblock()
        elif type_ == PING and not flags & ACK:
            self._write(frame(PING, ACK, 0, payload))
        elif type_ == SETTINGS and not flags & ACK:
            self._set(dict(struct.iter_unpack(">HI", payload)))
        elif type_ == GOAWAY:
            self._lose("the server goes away")
        if type_ in (DATA, HEADERS) and flags & END_STREAM:
            self._end(number, None if type_ == HEADERS and SUCCESS in payload else Lost(repr(payload)))
        elif type_ == RST_STREAM:
            self._end(number, Lost("the server has broken off the call"))

    def _set(self, settings: dict[int, int]) -> None:
        window = settings.get(STREAM_WINDOW, self._stream_window)
        for call in self._calls.values():
            call.window += window - self._stream_window
        self._stream_window = window
        self._write(frame(SETTINGS, ACK, 0, b""))
        self._unblock()

    def _end(self, number: int, error: Lost | None) -> None:
        call = self._calls.pop(number, None)
        if call is not None:
            call.ended(error)

    def _keep_alive(self) -> None:
        silent_s = time.monotonic() - self._heard_s
        if silent_s >= self._keepalive_s:
            self._write(frame(PING, 0, 0, bytes(8)))
        due_s = max(self._keepalive_s - silent_s, 0.0) or self._keepalive_s
        self._alarm = self._loop.call_later(due_s, self._keep_alive)

    def _lose(self, why: str) -> None:
        if self.lost:
            return
        self.lost = True
        self._alarm.cancel()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for number in tuple(self._calls):
            self._end(number, Lost(f"the connection is lost: {why}"))


def connect(access: Access) -> ssl.SSLSocket:
    """A socket whose server is verified and that has shown its certificate. Raises OSError."""
    host, _, port = access.endpoints[0].rpartition(":")
    # First, as it costs nothing where nobody listens: while a server starts thousands try again and again.
    plain = socket.create_connection((host, int(port)), timeout=CONNECT_S)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=access.ca_pem.decode())
    context.set_alpn_protocols(["h2"])
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(access.certificate_pem + b"\n" + access.key_pem)
        pair.flush()
        context.load_cert_chain(pair.name)
    sock = context.wrap_socket(plain, server_hostname=access.server_name or host)
    sock.setblocking(False)
    return sock


def frame(type_: int, flags: int, number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((type_, flags)) + number.to_bytes(4, "big") + payload


def literal(name: bytes, value: str) -> bytes:
    """A header that nobody is to remember; ``name`` as HPACK writes it."""
    return name + integer(len(value)) + value.encode()


def field_of(name: str, value: str) -> bytes:
    return literal(b"\0" + integer(len(name)) + name.encode(), value)


def integer(number: int) -> bytes:
    """With a prefix of seven bits. Source: RFC 7541, 5.1."""
    if number < 127:
        return bytes((number,))
    rest, found = number - 127, [127]
    while rest >= 128:
        found.append(rest % 128 + 128)
        rest //= 128
    return bytes((*found, rest))
