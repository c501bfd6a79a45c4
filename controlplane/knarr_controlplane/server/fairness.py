"""Who is served when: one client that floods the server leaves room for the others.

gRPC hands calls over one by one, in the order in which they came; whoever sends thousands at once would have everybody
wait for all of them. So a connection that sends more than ``FLOOD`` calls in a second is *held back*: each of its calls
waits for a turn, which comes when no more calls are being taken over, or several have been: those of others are among
them, and start at once. Turns go round the connections that are held back. What is more than ``MAX_CALLS_OF_ONE`` on
one connection is refused, which costs next to nothing, with a hint when to try again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field

from knarr_api.errors import NOT_BEGUN, ResourceExhausted, Unavailable

MAX_CALLS = 2000
"""Under way at a time, of all together."""
MAX_CALLS_OF_ONE = 256
FLOOD = 200
"""Calls of one connection in a second from which on it is held back."""
TAKEN_OVER_FIRST = 8
"""Calls, before one that is held back starts."""
CALM_S, CROWD_CALM_S = 0.001, 0.02
"""When no call was taken over for so long, none waits to be; the latter where several are held back already: one who
waits for each answer has one at a time, and is not to wait longer than it must."""
RETRY_AFTER_S = 1.0
QUIET_S = 0.05
"""So long nobody calls before a server that closes is closed."""
CLOSED_RETRY_S = 0.25
"""After a call was not begun for that: the connection is at an end by then."""
MAX_SILENT = 10_000


@dataclass(slots=True)
class Connection:
    second: int = -1
    calls: int = 0
    """In that second."""
    under_way: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Fairness:
    """Of one event loop: ``begin``, then ``turn``, then ``end``, for each call."""

    def __init__(self) -> None:
        self.under_way = 0
        self._connections: dict[str, Connection] = {}
        self._round: deque[Connection] = deque()
        """Connections with calls that wait."""
        self._taken = 0
        """Calls, since the last turn."""
        self._taken_s = 0.0
        self._alarm: asyncio.TimerHandle | asyncio.Handle | None = None
        """Set while calls wait."""
        self._called = asyncio.Event()
        self._idle: asyncio.Event | None = None
        """There once no call may begin any more."""

    def open(self) -> None:
        self._idle = None

    async def close(self) -> None:
        """No call begins any more; returns when all have ended, and those who call seem to have heard."""
        self._idle, self._called = asyncio.Event(), asyncio.Event()
        if self.under_way:
            await self._idle.wait()
        with contextlib.suppress(TimeoutError):
            while True:
                self._called.clear()
                await asyncio.wait_for(self._called.wait(), QUIET_S)

    def begin(self, peer: str) -> Connection:
        """Raises ResourceExhausted when that is too much, Unavailable after ``close``."""
        if self._idle is not None:
            self._called.set()
            raise Unavailable(NOT_BEGUN, retry_after_s=CLOSED_RETRY_S)
        one = self._connections.get(peer)
        if one is None:
            if len(self._connections) > MAX_SILENT:
                self._forget_silent()
            one = self._connections[peer] = Connection()
        self._taken_s = asyncio.get_running_loop().time()
        self._taken += 1
        if self._taken >= TAKEN_OVER_FIRST:
            self._give_turn()
        second = int(self._taken_s)
        if one.second != second:
            one.second, one.calls = second, 0
        one.calls += 1
        if one.under_way >= MAX_CALLS_OF_ONE:
            text = f"this connection has {one.under_way} calls under way: wait for some of them"
            raise ResourceExhausted(text, retry_after_s=RETRY_AFTER_S)
        if self.under_way >= MAX_CALLS:
            text = f"the server has {self.under_way} calls under way: try again"
            raise ResourceExhausted(text, retry_after_s=RETRY_AFTER_S)
        one.under_way += 1
        self.under_way += 1
        return one

    async def turn(self, one: Connection) -> None:
        """Returns when the call may start: at once, unless its connection is held back."""
        if one.calls <= FLOOD and not one.waiting:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not one.waiting:
            self._round.append(one)
        one.waiting.append(turn)
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(CALM_S, self._look)
        await turn

    def end(self, one: Connection) -> None:
        one.under_way -= 1
        self.under_way -= 1
        if self._idle is not None and not self.under_way:
            self._idle.set()

    def _look(self) -> None:
        """Whether it is calm: then one starts in each turn of the loop, so that what comes meanwhile is taken over."""
        loop = asyncio.get_running_loop()
        held = sum(len(one.waiting) for one in self._round)
        busy_s = self._taken_s + (CALM_S if held == 1 else CROWD_CALM_S) - loop.time()
        if busy_s <= 0:
            self._give_turn()
        if not self._round:
            self._alarm = None
        elif busy_s <= 0:
            self._alarm = loop.call_soon(self._look)
        else:
            self._alarm = loop.call_later(busy_s, self._look)

    def _give_turn(self) -> None:
        """To the next connection's oldest call that still waits."""
        self._taken = 0
        while self._round:
            one = self._round.popleft()
            turn = one.waiting.popleft()
            if one.waiting:
                self._round.append(one)
            if not turn.done():
                turn.set_result(None)
                return

    def _forget_silent(self) -> None:
        self._connections = {peer: one for peer, one in self._connections.items() if one.under_way}
