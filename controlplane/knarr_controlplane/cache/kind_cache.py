"""One kind's objects in the cache, the log of their recent changes, and those who follow them."""

from __future__ import annotations

import asyncio
import bisect
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from knarr_api.errors import Expired
from knarr_api.kinds import Kind
from knarr_controlplane.cache.changes import ALL, MAX_DELIVERY_BYTES, Filter, Interest, Logged
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.spreading import fractions

MAX_LOG, MAX_LOG_BYTES = 20_000, 64 * 1024 * 1024
"""Changes of one kind that are kept, and the JSON in them."""
MAX_BACKLOG = 15_000
ECHO_S = 10.0
"""How long an agent's own reports may wait until it is shown them, at least half of it: not all agents are shown theirs
at once. Each message to thousands of them counts."""


@dataclass(slots=True, eq=False)
class Follower:
    """One watch: the changes that may concern it and that it was not told of yet."""

    interest: Interest
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    pending: deque[Logged] = field(default_factory=deque)
    lost: bool = False
    """Too much was pending: it has to list again."""
    asked: bool = False
    """For a bookmark, as soon as nothing is pending."""
    echo_s: float = 0.0
    """Of a node's agent: within that time it is shown what it has reported itself, or with what comes before."""
    alarm: asyncio.TimerHandle | None = None

    def wake_later(self) -> None:
        if self.alarm is None:
            self.alarm = asyncio.get_running_loop().call_later(self.echo_s, self.wake.set)

    def awake(self) -> None:
        """What is pending is told now."""
        self.wake.clear()
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def take(self, logged: Logged) -> None:
        if len(self.pending) >= MAX_BACKLOG:
            self.lose()
        if not self.lost:
            self.pending.append(logged)

    def forget(self, before: int) -> None:
        """Nothing up to that packed revision is told any more, but for what waits as it need not be told at once."""
        if self.pending and self.pending[0].revision <= before:
            if self.alarm is not None:
                self.wake.set()
            else:
                self.lose()

    def lose(self) -> None:
        self.lost = True
        self.pending.clear()
        self.wake.set()

    def next(self, count: int) -> list[Logged]:
        """The oldest, no more than that. Raises Expired when some were lost."""
        if self.lost:
            raise Expired("too old resource version: the watch fell too far behind, list again")
        found: list[Logged] = []
        size_bytes = 0
        while self.pending and len(found) < count and size_bytes < MAX_DELIVERY_BYTES:
            found.append(self.pending.popleft())
            size_bytes += found[-1].size_bytes
        return found


@dataclass(slots=True, eq=False)
class KindCache:
    """One kind's objects and log. ``start`` is the absolute index of the log's first change."""

    kind: Kind
    entries: dict[str, CacheEntry] = field(default_factory=dict)
    log: list[Logged] = field(default_factory=list)
    start: int = 0
    log_bytes: int = 0
    forgotten: int = 0
    """Packed; a watch from before it is refused."""
    followers: dict[Interest, dict[Follower, None]] = field(default_factory=dict)
    """In the order in which they came, so that a run repeats exactly."""
    touched: dict[Follower, None] = field(default_factory=dict)
    """Whom the changes since the last wake concern."""
    by_node: dict[str, dict[str, CacheEntry]] = field(default_factory=dict)
    """Pods only: those of each node."""
    _fractions: Iterator[float] = field(default_factory=fractions)

    def put(self, key: str, entry: CacheEntry | None, at: int) -> None:
        old = self.entries.get(key)
        newest = entry or old
        if newest is None:
            return
        if old is not None:
            old.replaced = True
        if entry is None:
            del self.entries[key]
        else:
            self.entries[key] = entry
        if self.kind.kind == "Pod":
            self._index(key, old, entry)
        logged = Logged(at, old, entry, newest.size_bytes)
        self.log.append(logged)
        self.log_bytes += logged.size_bytes
        if self.followers:
            for interest in logged.interests():
                for follower in self.followers.get(interest, ()):
                    follower.take(logged)
                    if follower.echo_s and entry is not None and entry.reported:
                        follower.wake_later()
                    else:
                        self.touched[follower] = None
        if len(self.log) > MAX_LOG or (self.log_bytes > MAX_LOG_BYTES and len(self.log) > 1):
            self.forget(self.log[len(self.log) // 4].revision)

    def forget(self, before: int) -> None:
        """Drop the log up to a packed revision; watches and lists from before it are refused from now on."""
        count = bisect.bisect_right(self.log, before, key=lambda change: change.revision)
        self.log_bytes -= sum(logged.size_bytes for logged in self.log[:count])
        del self.log[:count]
        self.start += count
        self.forgotten = max(self.forgotten, before)
        for followers in self.followers.values():
            for follower in followers:
                follower.forget(before)

    def restart(self, at: int) -> None:
        """The log begins anew after a packed revision; every watch is refused, also one that had seen everything."""
        self.start += len(self.log)
        self.log.clear()
        self.log_bytes = 0
        self.forgotten = max(self.forgotten, at)
        for followers in self.followers.values():
            for follower in followers:
                follower.lose()

    def _index(self, key: str, old: CacheEntry | None, new: CacheEntry | None) -> None:
        before = old.read("spec.nodeName") if old is not None else ""
        node = new.read("spec.nodeName") if new is not None else ""
        if before and before != node:
            del self.by_node[before][key]
            if not self.by_node[before]:
                del self.by_node[before]
        if new is not None and node:
            self.by_node.setdefault(node, {})[key] = new

    def wake(self) -> None:
        """Wake whom the changes concern."""
        for follower in self.touched:
            follower.wake.set()
        self.touched.clear()

    def subscribe(self, filter_: Filter, after: int, *, reporter: bool = False) -> Follower:
        """Somebody who is told of changes from now on, and at once of those after a packed revision."""
        interest = filter_.interest()
        follower = Follower(interest, echo_s=ECHO_S * (1 + next(self._fractions)) / 2 if reporter else 0.0)
        first = bisect.bisect_right(self.log, after, key=lambda change: change.revision)
        for logged in self.log[first:]:
            if interest == ALL or interest in logged.interests():
                follower.take(logged)
        self.followers.setdefault(interest, {})[follower] = None
        return follower

    def unsubscribe(self, follower: Follower) -> None:
        follower.awake()
        followers = self.followers[follower.interest]
        followers.pop(follower, None)
        self.touched.pop(follower, None)
        if not followers:
            del self.followers[follower.interest]
