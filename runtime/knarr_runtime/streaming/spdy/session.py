"""A SPDY/3.1 session on asyncio: streams to read and write, over any pipe of bytes.

Memory is bounded by not reading from the peer while one of its streams has much waiting here (Inbox).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import structlog

from knarr_runtime.streaming.inbox import Inbox, StreamGone
from knarr_runtime.streaming.pipe import Pipe
from knarr_runtime.streaming.spdy import connection
from knarr_runtime.streaming.spdy.connection import Connection
from knarr_runtime.streaming.spdy.frames import Headers, Limits, ProtocolError, Status

_WRITE_BYTES = 256 << 10


class Stream:
    """One of the session's."""

    def __init__(self, session: Session, stream_id: int, headers: Headers) -> None:
        self.id = stream_id
        self.headers: Mapping[str, str] = dict(headers)
        self.inbox = Inbox()
        self._session = session
        self._gone = False
        self._credit = asyncio.Event()

    async def read(self) -> bytes:
        """Some bytes, or b"" after the peer's last. Raises StreamGone."""
        data = await self.inbox.read()
        if data:
            await self._session.consumed(self.id, len(data))
        return data

    async def write(self, data: bytes) -> None:
        """Returns when the peer takes data fast enough. Raises StreamGone."""
        view = memoryview(data)
        while view:
            if self._gone:
                raise StreamGone("the client's stream has gone")
            count = min(len(view), _WRITE_BYTES, self._session.sendable(self.id))
            if not count:
                self._credit.clear()
                await self._credit.wait()
                continue
            part = data if count == len(data) else bytes(view[:count])
            view = view[count:]
            await self._session.send(self.id, part)

    async def end(self) -> None:
        """No more will be written. A stream or session that has gone is no error."""
        with contextlib.suppress(ConnectionError):
            await self._session.send(self.id, b"", fin=True)

    async def reset(self, status: Status = Status.CANCEL) -> None:
        """Give it up, both ways."""
        self.lost()
        with contextlib.suppress(ConnectionError):
            await self._session.reset(self.id, status)

    def lost(self) -> None:
        """Told by the session: reset, or the session is over."""
        self._gone = True
        self.inbox.lose()
        self._credit.set()

    def credited(self) -> None:
        """Told by the session: more may be written."""
        self._credit.set()


class Session:
    """``run`` does the reading; nothing moves without it. streams: opened by the peer, None after the last."""

    def __init__(self, pipe: Pipe, *, client: bool = False, max_streams: int = 256) -> None:
        self._pipe = pipe
        self._connection = Connection(client=client, max_streams=max_streams, limits=Limits())
        self._streams: dict[int, Stream] = {}
        self._max_streams = max_streams
        self._accepting = True
        self._over = False
        self.streams: asyncio.Queue[Stream | None] = asyncio.Queue()
        self.gone = asyncio.Event()

    async def run(self) -> None:
        """Until the peer ends the connection, says goodbye or breaks the protocol. Then ``gone`` is set."""
        try:
            while data := await self._pipe.read():
                try:
                    events = self._connection.receive(data)
                except ProtocolError as error:
                    structlog.get_logger("knarr.streaming").info("protocol error", error=str(error))
                    await self._flush()
                    return
                full = [stream for event in events if (stream := self._take(event)) is not None]
                await self._flush()
                if any(isinstance(event, connection.GoneAway) for event in events):
                    return
                for stream in full:
                    await stream.inbox.room()
        except ConnectionError:
            return
        finally:
            self._over = True
            for stream in self._streams.values():
                stream.lost()
            self._streams.clear()
            self.streams.put_nowait(None)
            self.gone.set()

    def _take(self, event: connection.Event) -> Stream | None:
        """Returns the stream that has got data."""
        match event:
            case connection.Opened(stream_id) if not self._accepting or self.streams.qsize() >= self._max_streams:
                self._connection.reset(stream_id, Status.REFUSED_STREAM)
            case connection.Opened(stream_id, headers):
                stream = Stream(self, stream_id, headers)
                self._streams[stream_id] = stream
                self._connection.reply(stream_id)
                self.streams.put_nowait(stream)
            case connection.Received(stream_id, data):
                if (found := self._streams.get(stream_id)) is not None:
                    found.inbox.put(data)
                    return found
            case connection.Ended(stream_id):
                if (found := self._streams.get(stream_id)) is not None:
                    found.inbox.end()
                    self._forget_if_over(stream_id)
            case connection.Reset(stream_id):
                if (found := self._streams.pop(stream_id, None)) is not None:
                    found.lost()
            case connection.Credited(stream_id):
                for found in self._streams.values() if not stream_id else [self._streams[stream_id]]:
                    found.credited()
            case connection.Replied() | connection.GoneAway():
                pass
        return None

    async def open(self, headers: Headers) -> Stream:
        """A stream of ours."""
        stream = Stream(self, self._connection.open(headers), headers)
        self._streams[stream.id] = stream
        await self._flush()
        return stream

    def sendable(self, stream_id: int) -> int:
        if self._over:
            raise StreamGone("the session has ended")
        if stream_id not in self._streams:
            raise StreamGone("the stream has ended")
        return self._connection.sendable(stream_id)

    async def send(self, stream_id: int, data: bytes, *, fin: bool = False) -> None:
        if self._over:
            raise StreamGone("the session has ended")
        self._connection.send(stream_id, data, fin=fin)
        if fin:
            self._forget_if_over(stream_id)
        await self._flush()

    async def consumed(self, stream_id: int, count: int) -> None:
        if self._over:
            return
        self._connection.consumed(stream_id, count)
        with contextlib.suppress(ConnectionError):
            await self._flush()

    async def reset(self, stream_id: int, status: Status) -> None:
        self._streams.pop(stream_id, None)
        if not self._over:
            self._connection.reset(stream_id, status)
            await self._flush()

    def refuse(self) -> None:
        """No streams of the peer's beyond those that are open."""
        self._accepting = False

    async def close(self, wait_s: float) -> None:
        """The farewell: waits for the client to leave first, as it may still be reading, and then says goodbye."""
        self.refuse()
        for stream in self._streams.values():
            stream.inbox.discard()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self.gone.wait()
        self._connection.go_away()
        with contextlib.suppress(ConnectionError):
            await self._flush()
        await self._pipe.end()

    async def _flush(self) -> None:
        """Writes what the connection has to say; in order, whoever calls."""
        parts = self._connection.outgoing()
        if parts:
            await self._pipe.write(parts)

    def _forget_if_over(self, stream_id: int) -> None:
        if stream_id not in self._connection.streams():
            self._streams.pop(stream_id, None)
