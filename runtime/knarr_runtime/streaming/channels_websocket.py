"""A remote command over WebSocket: each message is for the channel that its first byte (base64: digit) names."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib

from wsproto.events import TextMessage

from knarr_runtime.streaming import status
from knarr_runtime.streaming.channels import Output
from knarr_runtime.streaming.inbox import Inbox
from knarr_runtime.streaming.protocols import Version, WebSocketProtocol
from knarr_runtime.streaming.status import Outcome
from knarr_runtime.streaming.websocket import PROTOCOL_ERROR, WebSocket

STDIN, ERROR, RESIZE, CLOSE = 0, 3, 4, 255
_BASE64_MESSAGE_CHARACTERS = 1 << 20
_CLIENT_READY_S = 0.02


class Messages:
    """Messages of a WebSocket as (channel, data). A binary one may come in several pieces, one of base64 is whole."""

    def __init__(self, socket: WebSocket, protocol: WebSocketProtocol) -> None:
        self._socket = socket
        self._base64 = protocol.base64
        self._channel: int | None = None  # of the binary message under way
        self._text = ""

    async def receive(self) -> tuple[int, bytes] | None:
        """None: the client has left, or does not keep to the protocol."""
        while (message := await self._socket.receive()) is not None:
            if self._base64:
                if not isinstance(message, TextMessage):
                    break
                self._text += message.data
                if len(self._text) > _BASE64_MESSAGE_CHARACTERS:
                    break
                if not message.message_finished:
                    continue
                text, self._text = self._text, ""
                try:
                    return int(text[:1]), base64.b64decode(text[1:], validate=True)
                except (ValueError, binascii.Error):
                    break
            data = message.data.encode() if isinstance(message, TextMessage) else bytes(message.data)
            if self._channel is None:
                if not data:
                    continue
                self._channel, data = data[0], data[1:]
            channel = self._channel
            if message.message_finished:
                self._channel = None
            return channel, data
        if message is not None:
            await self._socket.close(PROTOCOL_ERROR, "not a message of this protocol")
        return None

    async def send(self, channel: int, data: bytes) -> None:
        """Raises ConnectionError."""
        if self._base64:
            await self._socket.send(str(channel) + base64.b64encode(data).decode())
        else:
            await self._socket.send(bytes((channel,)) + data)


class WebSocketChannels:
    """``run`` does the reading."""

    def __init__(self, socket: WebSocket, protocol: WebSocketProtocol) -> None:
        self._socket = socket
        self._version = protocol.version
        self._messages = Messages(socket, protocol)
        self._stdin = Inbox()
        self._resize = Inbox()
        self._accepted_at = asyncio.get_running_loop().time()
        self.gone = asyncio.Event()

    async def run(self) -> None:
        """Until the client leaves."""
        try:
            while (message := await self._messages.receive()) is not None:
                channel, data = message
                if channel == STDIN:
                    self._stdin.put(data)
                    await self._stdin.room()
                elif channel == RESIZE:
                    self._resize.put(data)
                    await self._resize.room()
                elif channel == CLOSE and self._version >= Version.V5 and data[:1] == bytes((STDIN,)):
                    self._stdin.end()
        except ConnectionError:
            return
        finally:
            self._stdin.lose()
            self._resize.lose()
            self.gone.set()

    async def open(self, first: int) -> None:
        """Tell the client that all is well by an empty message on a channel that it reads.

        client-go begins to read before it has made its streams, and drops what comes too early: so not before it has
        sent something, or has had time.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._accepted_at + _CLIENT_READY_S):
                await self._socket.heard.wait()
        await self._messages.send(first, b"")

    async def read_stdin(self) -> bytes:
        return await self._stdin.read()

    async def read_resize(self) -> bytes:
        return await self._resize.read()

    async def write(self, output: Output, data: bytes) -> None:
        await self._messages.send(int(output), data)

    async def finish(self, outcome: Outcome) -> None:
        last = status.document(outcome) if self._version >= Version.V4 else status.sentence(outcome).encode()
        try:
            if last:
                await self._messages.send(ERROR, last)
        except ConnectionError:
            return
        self._stdin.discard()
        self._resize.discard()
        await self._socket.close()
