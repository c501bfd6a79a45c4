"""Connections of a client to ports in a pod, many in one session.

SPDY: for each connection the client opens two streams with the same ``requestID``, ``error`` and ``data``, and names
the port in both. WebSocket: two channels for each port of the request, each begun by a message with the port's number.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

from knarr_runtime.errors import RuntimeFailure
from knarr_runtime.streaming.channels_websocket import Messages
from knarr_runtime.streaming.inbox import Inbox
from knarr_runtime.streaming.pipe import READ_BYTES
from knarr_runtime.streaming.protocols import WebSocketProtocol
from knarr_runtime.streaming.spdy.frames import Status
from knarr_runtime.streaming.spdy.session import Session, Stream
from knarr_runtime.streaming.websocket import WebSocket

Connect = Callable[[int], Awaitable[socket.socket]]


class Client(Protocol):
    """The client's side of one connection. All raise ConnectionError when it has gone."""

    async def read(self) -> bytes: ...
    async def write(self, data: bytes) -> None: ...
    async def end(self) -> None: ...


async def forward(client: Client, port: int, connect: Connect) -> str:
    """Until both directions are through or the client has gone. Returns what went wrong in the pod, or ""."""
    try:
        own = await connect(port)
    except (RuntimeFailure, OSError) as error:
        return str(error)
    problem = ""
    reader, writer = await asyncio.open_connection(sock=own, limit=READ_BYTES)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_to_pod(client, writer))
            group.create_task(_to_client(client, reader))
    except* _ClientGone:
        pass
    except* OSError as errors:
        problem = str(errors.exceptions[0])
    finally:
        writer.close()
    return problem


class _ClientGone(Exception):
    pass


async def _to_pod(client: Client, writer: asyncio.StreamWriter) -> None:
    while True:
        try:
            data = await client.read()
        except ConnectionError as error:
            writer.transport.abort()
            raise _ClientGone from error
        if not data:
            break
        try:
            writer.write(data)
            await writer.drain()
        except OSError:  # the pod closed: what it still had to say comes the other way
            while data:
                data = await client.read()
            return
    with contextlib.suppress(OSError):
        if not writer.transport.is_closing():
            writer.write_eof()


async def _to_client(client: Client, reader: asyncio.StreamReader) -> None:
    while data := await reader.read(READ_BYTES):
        try:
            await client.write(data)
        except ConnectionError as error:
            raise _ClientGone from error
    await client.end()


class SpdyForwarder:
    """timeout_s: between the two streams of a connection."""

    def __init__(self, session: Session, connect: Connect, timeout_s: float, pod: str) -> None:
        self._session = session
        self._connect = connect
        self._timeout_s = timeout_s
        self._pod = pod
        self._pairs: dict[str, dict[str, Stream]] = {}
        self._complete: dict[str, asyncio.Event] = {}

    async def run(self) -> None:
        """Until the client leaves."""
        async with asyncio.TaskGroup() as group:
            tasks = set()
            while (stream := await self._session.streams.get()) is not None:
                request = self._add(stream)
                if request is None:
                    await stream.reset(Status.REFUSED_STREAM)
                elif len(self._pairs[request]) == 1:
                    self._complete[request] = asyncio.Event()
                    task = group.create_task(self._serve(request))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                else:
                    self._complete[request].set()
            for task in tasks:
                task.cancel()

    def _add(self, stream: Stream) -> str | None:
        """The connection it belongs to. None: it is of no use."""
        kind, port = stream.headers.get("streamtype", ""), stream.headers.get("port", "")
        if kind not in ("data", "error") or _port(port) is None:
            return None
        # clients that send no requestID open the error stream first and the data stream next
        request = stream.headers.get("requestid") or f"stream {stream.id - 2 * (kind == 'data')}"
        pair = self._pairs.setdefault(request, {})
        if kind in pair or len(pair) == 2:
            return None
        pair[kind] = stream
        return request

    async def _serve(self, request: str) -> None:
        pair = self._pairs[request]
        try:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._complete[request].wait()
            except TimeoutError:
                for stream in pair.values():
                    await stream.reset()
                return
            port = _port(pair["data"].headers["port"]) or 0
            problem = await forward(pair["data"], port, self._connect)
            if problem:
                with contextlib.suppress(ConnectionError):
                    await pair["error"].write(_error(port, self._pod, problem))
        finally:
            for stream in pair.values():
                stream.inbox.discard()
            del self._pairs[request], self._complete[request]
        for stream in pair.values():
            await stream.end()


def _error(port: int, pod: str, problem: str) -> bytes:
    return f"error forwarding port {port} to pod {pod}, uid : {problem}".encode()


def _port(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 1 << 16 else None


class _Channel:
    """One port's data channel. A WebSocket has no half-close: its client's end is that of all."""

    def __init__(self, messages: Messages, number: int) -> None:
        self.inbox = Inbox()
        self._messages = messages
        self._number = number

    async def read(self) -> bytes:
        return await self.inbox.read()

    async def write(self, data: bytes) -> None:
        await self._messages.send(self._number, data)

    async def end(self) -> None:
        self.inbox.discard()
        self.inbox.end()


async def forward_websocket(
    socket: WebSocket, protocol: WebSocketProtocol, ports: tuple[int, ...], connect: Connect, pod: str
) -> None:
    """Until the client leaves, or every connection has ended."""
    messages = Messages(socket, protocol)
    channels = [_Channel(messages, 2 * index) for index in range(len(ports))]

    async def one(channel: _Channel, index: int, port: int) -> None:
        problem = await forward(channel, port, connect)
        if problem:
            with contextlib.suppress(ConnectionError):
                await messages.send(2 * index + 1, _error(port, pod, problem))

    async def receive() -> None:
        while (message := await messages.receive()) is not None:
            number, data = message
            if number % 2 == 0 and number // 2 < len(channels):
                channels[number // 2].inbox.put(data)
                await channels[number // 2].inbox.room()
        for channel in channels:
            channel.inbox.lose()

    async with asyncio.TaskGroup() as group:
        for index, port in enumerate(ports):
            for number in (2 * index, 2 * index + 1):
                await messages.send(number, port.to_bytes(2, "little"))
        reading = group.create_task(receive())
        forwards = [
            group.create_task(one(channel, index, port))
            for index, (channel, port) in enumerate(zip(channels, ports, strict=True))
        ]
        await asyncio.wait(forwards)
        reading.cancel()
    await socket.close()
