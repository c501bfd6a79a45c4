"""What keeps events few: similar ones become one, and who says too much about one object is not heard for a while.

Both forget whom they have not heard of for longest. Source: client-go's event correlator.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

import msgspec

from knarr_client.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(OrderedDict[K, V], Generic[K, V]):
    """The keys used last, ``limit`` of them."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def use(self, key: K, value: V) -> V:
        """Keep the value as the newest."""
        self[key] = value
        self.move_to_end(key)
        while len(self) > self._limit:
            self.popitem(last=False)
        return value


class _Similar(msgspec.Struct, eq=False, gc=False):
    heard_s: float
    messages: dict[str, None] = msgspec.field(default_factory=dict)


class Similar:
    """Events about one subject that differ in their message alone.

    Fewer than ``limit`` different messages stand for themselves, until nothing was heard for ``window_s``; with more,
    those that are not among the last ones are combined.
    """

    def __init__(self, limit: int, window_s: float, remembered: int) -> None:
        self._limit = limit
        self._window_s = window_s
        self._subjects: Remembered[Hashable, _Similar] = Remembered(remembered)

    def is_one_too_many(self, subject: Hashable, message: str, now_s: float) -> bool:
        """Whether this one is to be combined with others."""
        similar = self._subjects.get(subject)
        if similar is None or now_s - similar.heard_s > self._window_s:
            similar = _Similar(now_s)
        self._subjects.use(subject, similar)
        similar.heard_s = now_s
        similar.messages.pop(message, None)
        similar.messages[message] = None
        if len(similar.messages) < self._limit:
            return False
        del similar.messages[next(iter(similar.messages))]
        return True


class _Bucket(msgspec.Struct, eq=False, gc=False):
    tokens: float
    at_s: float


class TokenBuckets:
    """For each key ``burst`` tokens, and one more every ``interval_s`` until they are as many again."""

    def __init__(self, burst: int, interval_s: float, remembered: int) -> None:
        self._burst = burst
        self._interval_s = interval_s
        self._buckets: Remembered[Hashable, _Bucket] = Remembered(remembered)

    def wait_s(self, key: Hashable, now_s: float) -> float:
        """How long until there is a token."""
        return max(0.0, 1.0 - self._filled(key, now_s).tokens) * self._interval_s

    def take(self, key: Hashable, now_s: float) -> bool:
        """Take a token; False if there is none."""
        bucket = self._buckets.use(key, self._filled(key, now_s))
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True

    def _filled(self, key: Hashable, now_s: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            return _Bucket(float(self._burst), now_s)
        gained = (now_s - bucket.at_s) / self._interval_s
        return _Bucket(min(float(self._burst), bucket.tokens + gained), now_s)


class Pace:
    """So many at once, then so many a second."""

    def __init__(self, at_once: int, per_s: float, clock: Clock) -> None:
        self._most, self._per_s, self._clock = float(at_once), per_s, clock
        self._left, self._at_s = float(at_once), clock.monotonic()

    async def turn(self) -> None:
        """Returns when the next may go."""
        now_s = self._clock.monotonic()
        self._left = min(self._left + (now_s - self._at_s) * self._per_s, self._most)
        self._at_s = now_s
        self._left -= 1
        if self._left < 0:
            await self._clock.sleep(-self._left / self._per_s)
