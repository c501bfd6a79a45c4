"""The agents that are connected now, and the sessions opened through them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from knarr_api import grpc_status
from knarr_api.errors import Unavailable
from knarr_controlplane.spreading import fractions
from knarr_proto.v1 import agent_pb2

OPEN_TIMEOUT_S = 10.0
MAX_FRAMES = 64
MAX_OUTGOING = 1024
ACKNOWLEDGE_S = 10.0
"""How long what is stored may stay unacknowledged, at least half of it: what comes meanwhile shares the message, and
what is due after a burst on thousands of nodes comes over so long a time that others are not held up."""


@dataclass(eq=False, slots=True)
class Connection:
    """One agent's stream; what is put into ``outgoing`` is sent to it. None ends it."""

    node: str
    acknowledge_s: float = ACKNOWLEDGE_S
    outgoing: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    _stored: int = 0
    _alarm: asyncio.TimerHandle | None = None

    def stored(self, sequence: int) -> None:
        """Everything up to there is; the agent is told soon."""
        self._stored = sequence
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(self.acknowledge_s, self._acknowledge)

    def acknowledge(self, sequence: int, refused: Sequence[Any] = ()) -> None:
        """At once. Raises Unavailable as ``send``."""
        self._forget_alarm()
        self.send(agent_pb2.ServerMessage(ack=agent_pb2.Ack(sequence=sequence, refused=refused)))

    def _acknowledge(self) -> None:
        self._alarm = None
        with contextlib.suppress(Unavailable):  # it does not read: it is told when it connects anew
            self.acknowledge(self._stored)

    def _forget_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def send(self, message: Any) -> None:
        """Raises Unavailable when the agent does not keep up."""
        if self.outgoing.qsize() >= MAX_OUTGOING:
            raise Unavailable(f'the agent of node "{self.node}" does not read what it is sent')
        self.outgoing.put_nowait(message)

    def end(self) -> None:
        """The stream ends after what was sent before."""
        self._forget_alarm()
        self.outgoing.put_nowait(None)


@dataclass(eq=False, slots=True)
class Session:
    """What an agent was asked for, and what it answers: bounded, so that a slow client slows the agent.

    opened: the agent answers. closed: nobody reads any more.
    """

    node: str
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    _frames: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_FRAMES))

    async def put(self, frame: Any) -> None:
        """Waits while the reader is behind."""
        await self._room.acquire()
        self._frames.put_nowait(frame)

    def end(self) -> None:
        """The agent says no more; what it said before is still read."""
        self._frames.put_nowait(None)

    async def get(self) -> Any:
        """The next frame, None after the last."""
        frame = await self._frames.get()
        if frame is not None:
            self._room.release()
        return frame


class AgentHub:
    """All connections of this control plane."""

    def __init__(self) -> None:
        self.connections: dict[str, Connection] = {}
        self.sessions: dict[str, Session] = {}
        self._fractions = fractions()

    def connect(self, node: str) -> Connection:
        """A newer connection of a node ends the older one."""
        older = self.connections.pop(node, None)
        if older is not None:
            older.end()
            self._give_up(node)
        acknowledge_s = ACKNOWLEDGE_S * (1 + next(self._fractions)) / 2
        connection = self.connections[node] = Connection(node, acknowledge_s)
        return connection

    def disconnect(self, connection: Connection) -> None:
        if self.connections.get(connection.node) is connection:
            del self.connections[connection.node]
            self._give_up(connection.node)

    def _give_up(self, node: str) -> None:
        """Sessions that were announced on a stream that has ended will not be opened."""
        for session in self.sessions.values():
            if session.node == node and not session.opened.is_set():
                session.end()
                session.opened.set()

    async def stream(self, node: str, request: agent_pb2.PodLogs) -> AsyncIterator[bytes]:
        """Ask the node's agent for a pod's log. Raises Unavailable, and what the agent answers."""
        connection = self.connections.get(node)
        if connection is None:
            raise Unavailable(f'the agent of node "{node}" is not connected', retry_after_s=2.0)
        identifier = secrets.token_urlsafe(16)
        connection.send(
            agent_pb2.ServerMessage(open_session=agent_pb2.OpenSession(session_id=identifier, logs=request))
        )
        session = self.sessions[identifier] = Session(node)
        try:
            try:
                async with asyncio.timeout(OPEN_TIMEOUT_S):
                    await session.opened.wait()
            except TimeoutError:
                raise Unavailable(f'the agent of node "{node}" does not answer', retry_after_s=2.0) from None
            while True:
                frame = await session.get()
                if frame is None:
                    raise Unavailable(f'the agent of node "{node}" has gone away')
                if frame.WhichOneof("content") == "data":
                    yield frame.data
                elif frame.end.code:
                    raise grpc_status.from_code(frame.end.code, frame.end.message)
                else:
                    return
        finally:
            del self.sessions[identifier]
            session.closed.set()
