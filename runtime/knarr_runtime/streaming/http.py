"""The one HTTP request that begins a streaming session: read within limits, and answered or upgraded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import h11
from wsproto.utilities import generate_accept_token

from knarr_runtime.streaming.protocols import STREAM_VERSION_HEADER

MAX_HEADER_BYTES = 16 << 10
HEADER_TIMEOUT_S = 10.0
_READ_BYTES = 16 << 10


class Refused(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Head:
    """headers: names in lower case."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> tuple[str, ...]:
        """All, also those of a list with commas."""
        found = (value for key, value in self.headers if key == name)
        return tuple(part.strip() for value in found for part in value.split(","))

    def value(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    @property
    def upgrade(self) -> str:
        """What the client wants to go on with, in lower case; "" is HTTP."""
        if "upgrade" not in (token.lower() for token in self.values("connection")):
            return ""
        return self.value("upgrade").strip().lower()


class Exchange:
    """Of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER_BYTES)

    async def receive(self) -> Head | None:
        """None: the client left. Raises Refused, TimeoutError."""
        async with asyncio.timeout(HEADER_TIMEOUT_S):
            try:
                request = await self._next()
                if not isinstance(request, h11.Request):
                    return None
                while (event := await self._next()) is not h11.PAUSED and not isinstance(event, h11.EndOfMessage):
                    if isinstance(event, h11.ConnectionClosed):
                        return None
                    raise Refused(400, "a request without a body is expected")
            except h11.RemoteProtocolError as error:
                raise Refused(error.error_status_hint, str(error)) from error
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
        path = request.target.decode("latin-1").partition("?")[0]
        return Head(request.method.decode("latin-1"), path, headers)

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._connection.next_event()
            if event is not h11.NEED_DATA:
                return cast("h11.Event | type[h11.PAUSED]", event)
            self._connection.receive_data(await self._reader.read(_READ_BYTES))

    def refuse(self, refused: Refused) -> None:
        """Answer with text, and close afterwards."""
        body = f"{refused}\n".encode()
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("X-Content-Type-Options", "nosniff"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            *refused.headers,
        ]
        try:
            self._send(h11.Response(status_code=refused.status, headers=headers))
            self._send(h11.Data(data=body))
            self._send(h11.EndOfMessage())
        except h11.LocalProtocolError:  # the request was such that nothing can be answered
            return

    def switch_to_spdy(self, version: str) -> bytes:
        """Returns what came after the request."""
        headers = [("Upgrade", "SPDY/3.1"), ("Connection", "Upgrade")]
        if version:
            headers.append((STREAM_VERSION_HEADER, version))
        return self._switch(headers)

    def switch_to_websocket(self, key: str, protocol: str) -> bytes:
        headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", generate_accept_token(key.encode("latin-1")).decode()),
        ]
        if protocol:
            headers.append(("Sec-WebSocket-Protocol", protocol))
        return self._switch(headers)

    def _switch(self, headers: list[tuple[str, str]]) -> bytes:
        self._send(h11.InformationalResponse(status_code=101, headers=headers, reason="Switching Protocols"))
        return bytes(self._connection.trailing_data[0])

    def _send(self, event: h11.Event) -> None:
        self._writer.write(self._connection.send(event) or b"")
