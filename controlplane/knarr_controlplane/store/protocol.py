"""What a store is.

Lifecycle: a store is opened (``opening.open_store``), used from one event loop, and closed; it is not reopened.

- Keys are text like ``/registry/apps/deployments/default/web``; values are bytes, JSON documents in practice.
- Revisions only grow. Every successful commit makes one; see :mod:`knarr_controlplane.store.revision`.
- A commit is all or nothing and durable when it returns. One that raises ``Unavailable``, ``DeadlineExceeded`` or
  ``Internal`` may have happened: the message says so and the caller must read before it repeats anything.
- A read sees every commit that returned before the read began.
- A watch delivers every change of its prefix after its revision, in order, each once, or says why it can't.

Errors are those of :mod:`knarr_api.errors`: Conflict (a compare failed), Expired (compacted), Unavailable,
ResourceExhausted (full), DeadlineExceeded, Invalid (too large).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from knarr_api.errors import Conflict, KnarrError

MAX_VALUE_BYTES = 1536 * 1024
"""As etcd's default limit of a request, 1.5 MiB."""
MAX_OPERATIONS = 64
"""In one commit."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One key as it is at some revision. Revisions are packed."""

    key: str
    value: bytes
    revision: int
    create_revision: int


class Put(msgspec.Struct, frozen=True, gc=False):
    """expected: the packed revision the key must have now; 0 must not exist; None whatever is there."""

    key: str
    value: bytes
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """expected as for Put. Deleting what is not there changes nothing, unless a revision is expected."""

    key: str
    expected: int | None = None


class Check(msgspec.Struct, frozen=True, gc=False):
    """Only compares: the commit fails unless the key has this revision (0: is not there)."""

    key: str
    expected: int


Operation = Put | Delete | Check
Outcome = tuple[int, ...] | KnarrError
"""Of one commit: what it returns or raises."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Entries in key order, all of one revision. more: continue after the last key."""

    entries: tuple[Entry, ...]
    revision: int
    more: bool = False


class StoreEvent(msgspec.Struct, frozen=True, gc=False):
    """One change. value is None for a deletion; previous is what was there before, if anything."""

    key: str
    value: bytes | None
    revision: int
    previous: bytes | None = None
    create_revision: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """No change, but everything of the watched prefix up to this revision has been delivered."""

    revision: int


class Store(Protocol):
    """See the module's text."""

    async def get(self, key: str) -> Entry | None: ...

    async def list(self, prefix: str, *, limit: int = 0, after: str = "", at_revision: int = 0) -> Listing:
        """Entries whose keys start with the prefix, after the key ``after``, at a revision or the newest one.

        Raises Expired when that revision has been compacted.
        """
        ...

    async def commit(self, operations: Sequence[Operation]) -> tuple[int, ...]:
        """All or nothing. Returns the packed revision of each Put and Delete, 0 for a Check, in order.

        Each key at most once. Raises Conflict (a ``KeyConflict``), Invalid for too large a value.
        """
        ...

    async def commit_each(self, commits: Sequence[Sequence[Operation]]) -> Sequence[Outcome]:
        """Several commits, each all or nothing for itself: its revisions, or the error that it would have raised."""
        ...

    def watch(
        self, prefix: str, *, after: int, previous: bool = True
    ) -> AsyncIterator[tuple[StoreEvent | Progress, ...]]:
        """Batches of changes after the packed revision. Never ends by itself.

        previous: whether events need what was there before; without it they may have it all the same.

        Raises Expired when changes after ``after`` were compacted or the consumer was too slow, Unavailable when the
        connection broke off.
        """
        ...

    async def revision(self) -> int:
        """The newest packed revision."""
        ...

    async def compact(self, before: int) -> None:
        """Forget history before a packed revision; newest values stay. Repeating it does nothing."""
        ...

    async def close(self) -> None:
        """Release everything; commits under way finish or fail."""
        ...


class KeyConflict(Conflict):
    """A compare failed. key: which; actual: its packed revision (position may be 0), 0 when it is not there."""

    def __init__(self, key: str, actual: int) -> None:
        super().__init__(f"{key} has changed: it is at revision {actual}" if actual else f"{key} does not exist")
        self.key = key
        self.actual = actual
