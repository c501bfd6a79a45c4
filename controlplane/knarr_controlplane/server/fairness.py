"""Who is served when: one client that floods the server leaves room for the others.

gRPC hands calls over one by one, in the order in which they came; whoever sends thousands at once would have everybody
wait for all of them. So a connection that sends more than ``FLOOD`` calls in a second is *held back*: each of its calls
waits for a turn while more calls are being taken over, those of others among them, which start at once. Turns go round
the connections that are held back. What is more than ``MAX_CALLS_OF_ONE`` on one connection is refused, which costs
next to nothing, with a hint when to try again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from knarr_api.errors import ResourceExhausted

MAX_CALLS = 2000
"""Under way at a time, of all together."""
MAX_CALLS_OF_ONE = 256
FLOOD = 200
"""Calls of one connection in a second from which on it is held back."""
TAKEN_OVER_FIRST = 8
"""Turns of the event loop, in each of which a call may be taken over, before one that is held back starts."""
RETRY_AFTER_S = 1.0
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
        self._ticks = 0
        self._ticking = False

    def begin(self, peer: str) -> Connection:
        """Raises ResourceExhausted when that is too much."""
        one = self._connections.get(peer)
        if one is None:
            if len(self._connections) > MAX_SILENT:
                self._forget_silent()
            one = self._connections[peer] = Connection()
        now = int(asyncio.get_running_loop().time())
        if one.second != now:
            one.second, one.calls = now, 0
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
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_soon(self._tick)
        await turn

    def end(self, one: Connection) -> None:
        one.under_way -= 1
        self.under_way -= 1

    def _tick(self) -> None:
        self._ticks += 1
        if self._ticks % TAKEN_OVER_FIRST == 0:
            self._give_turn()
        self._ticking = bool(self._round)
        if self._ticking:
            asyncio.get_running_loop().call_soon(self._tick)

    def _give_turn(self) -> None:
        """To the next connection's oldest call that still waits."""
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
