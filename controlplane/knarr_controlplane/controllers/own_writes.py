"""A cache lags behind the controller's own writes; this says when it has caught up.

A decision made from a cache that does not show the last decision's writes would make them again, or worse: others.
So a controller notes what it wrote per key and decides again only when its informer has seen it.

- ``attempt`` before a write, ``wrote`` or ``deleting`` with its result. A write that ended in an error may have been
  done all the same: ``settle`` asks the API itself, before the next decision.
- ``seen`` says whether the informer shows all of it. What never shows (an object removed meanwhile, a watch broken for
  long) is given up after ``patience_s``: by then the informer has listed again, and names and revisions still refuse a
  doubled write.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from knarr_api import errors
from knarr_client.client import Client, Key, T, key_of, meta_of
from knarr_client.clock import Clock
from knarr_client.informer import Informer

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Awaited:
    until_s: float
    revision: int = 0
    deleting: dict[str, Key] = field(default_factory=dict)
    """Objects by uid that must be gone or marked."""
    attempted: dict[Key, None] = field(default_factory=dict)
    """Objects whose write has no known outcome."""


class OwnWrites(Generic[K, T]):
    """Writes to the objects of one informer, by the key of the reconciler that made them."""

    def __init__(self, informer: Informer[T], clock: Clock, *, patience_s: float = 10.0) -> None:
        self._informer = informer
        self._clock = clock
        self._patience_s = patience_s
        self._awaited: dict[K, _Awaited] = {}

    def attempt(self, key: K, obj: T) -> None:
        """``obj`` is about to be created or changed."""
        self._entry(key).attempted[key_of(obj)] = None

    def wrote(self, key: K, obj: msgspec.Struct) -> None:
        """``obj`` is what the API returned."""
        awaited = self._entry(key)
        awaited.attempted.pop(key_of(obj), None)
        revision = meta_of(obj).resource_version
        if revision.isdecimal():
            awaited.revision = max(awaited.revision, int(revision))

    def refused(self, key: K, obj: T) -> None:
        """The write of ``obj`` has certainly not happened."""
        self._entry(key).attempted.pop(key_of(obj), None)

    def deleting(self, key: K, obj: T) -> None:
        """Before the deletion of ``obj`` is asked for."""
        self._entry(key).deleting[meta_of(obj).uid] = key_of(obj)

    def not_deleting(self, key: K, obj: T) -> None:
        """The deletion was certainly refused."""
        self._entry(key).deleting.pop(meta_of(obj).uid, None)

    def doubt_deletion(self, key: K, obj: T) -> None:
        """The deletion has no known outcome."""
        self._entry(key).attempted[key_of(obj)] = None

    async def settle(self, key: K, client: Client) -> None:
        """Find out what became of writes without a known outcome. Raises what the read raises."""
        awaited = self._awaited.get(key)
        if awaited is None:
            return
        for attempted in tuple(awaited.attempted):
            try:
                present = await client.get(self._informer.type, attempted.name, attempted.namespace)
            except errors.NotFound:
                awaited.attempted.pop(attempted, None)
                continue
            metadata = meta_of(present)
            if metadata.deletion_timestamp is None:
                awaited.deleting.pop(metadata.uid, None)
            self.wrote(key, present)

    def forget(self, key: K) -> None:
        self._awaited.pop(key, None)

    def seen(self, key: K) -> bool:
        """The informer shows everything that was written for this key."""
        awaited = self._awaited.get(key)
        if awaited is None:
            return True
        if self._clock.monotonic() < awaited.until_s and not self._shows(awaited):
            return False
        del self._awaited[key]
        return True

    def _entry(self, key: K) -> _Awaited:
        until_s = self._clock.monotonic() + self._patience_s
        awaited = self._awaited.setdefault(key, _Awaited(until_s=until_s))
        awaited.until_s = until_s
        return awaited

    def _shows(self, awaited: _Awaited) -> bool:
        revision = self._informer.revision
        if revision.isdecimal() and int(revision) < awaited.revision:
            return False
        return all(self._marked(uid, key) for uid, key in awaited.deleting.items())

    def _marked(self, uid: str, key: Key) -> bool:
        obj = self._informer.by_key(key)
        if obj is None:
            return True
        metadata = meta_of(obj)
        return metadata.uid != uid or metadata.deletion_timestamp is not None
