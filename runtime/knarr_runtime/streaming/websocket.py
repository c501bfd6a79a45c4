"""A WebSocket (RFC 6455) on asyncio, after its handshake. Messages come in pieces, so that none needs to fit memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable

import wsproto
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

from knarr_runtime.streaming.pipe import Pipe

NORMAL, PROTOCOL_ERROR = 1000, 1002


class WebSocket:
    """The server's side. One reader."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._connection = Connection(ConnectionType.SERVER)
        self._events: deque[Event] = deque()
        self.heard = asyncio.Event()
        """The client has sent something."""

    async def receive(self) -> TextMessage | BytesMessage | None:
        """A message or a piece of one; None when the client has closed, gone, or broken the protocol."""
        while True:
            while self._events:
                event = self._events.popleft()
                match event:
                    case TextMessage() | BytesMessage():
                        return event
                    case Ping() | CloseConnection():
                        with contextlib.suppress(wsproto.utilities.LocalProtocolError, ConnectionError):
                            await self._pipe.write([self._connection.send(event.response())])
                        if isinstance(event, CloseConnection):
                            return None
                    case Pong() | _:
                        pass
            data = await self._pipe.read()
            if not data:
                return None
            self.heard.set()
            try:
                self._connection.receive_data(data)
                self._events.extend(self._connection.events())
            except wsproto.utilities.RemoteProtocolError:
                await self.close(PROTOCOL_ERROR, "protocol error")
                return None

    async def send(self, data: bytes | str) -> None:
        """One message. Raises ConnectionError."""
        message: Event = TextMessage(data=data) if isinstance(data, str) else BytesMessage(data=data)
        try:
            part = self._connection.send(message)
        except wsproto.utilities.LocalProtocolError as error:
            raise ConnectionResetError("the WebSocket is closed") from error
        await self._pipe.write([part])

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Say goodbye; idempotent."""
        with contextlib.suppress(wsproto.utilities.LocalProtocolError, ConnectionError):
            await self._pipe.write([self._connection.send(CloseConnection(code=code, reason=reason))])


class Tunnel:
    """A pipe of bytes in the binary messages of a WebSocket, as SPDY goes through proxies that know no SPDY."""

    def __init__(self, socket: WebSocket, pipe: Pipe) -> None:
        self._socket = socket
        self._pipe = pipe

    async def read(self) -> bytes:
        while (message := await self._socket.receive()) is not None:
            if isinstance(message, TextMessage):
                await self._socket.close(PROTOCOL_ERROR, "the tunnel takes binary messages")
                return b""
            if message.data:
                return bytes(message.data)
        return b""

    async def write(self, parts: Iterable[bytes]) -> None:
        await self._socket.send(b"".join(parts))

    async def end(self) -> None:
        await self._socket.close()
        await self._pipe.end()

    def abort(self) -> None:
        self._pipe.abort()
