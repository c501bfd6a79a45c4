"""Merging concurrent commits into batches, so that round trips and disk flushes are shared.

Every commit keeps its own compares and its own outcome: a conflict fails one commit, not its batch. A key stands in a
batch at most once, and not in two batches at a time, so that the order of two writes of a key is the order in which
they were asked for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from knarr_api.errors import Invalid, KnarrError, Unavailable
from knarr_controlplane.store.protocol import MAX_OPERATIONS, MAX_VALUE_BYTES, Delete, Operation, Put

Outcome = tuple[int, ...] | KnarrError
MAX_COMMITS, MAX_BATCH_OPERATIONS, MAX_BATCH_BYTES = 128, 254, 1024 * 1024
WORTH_A_SECOND = 64
"""So many commits wait before another batch goes while one is under way: small batches cost more than they gain."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """One commit and who waits for it."""

    operations: tuple[Operation, ...]
    future: asyncio.Future[tuple[int, ...]]

    @property
    def size_bytes(self) -> int:
        return sum(len(operation.value) for operation in self.operations if isinstance(operation, Put))


def check(operations: Sequence[Operation]) -> None:
    """Raises Invalid for what no store takes."""
    if not operations or len(operations) > MAX_OPERATIONS:
        raise Invalid(f"a commit has 1 to {MAX_OPERATIONS} operations, not {len(operations)}")
    if len({operation.key for operation in operations}) != len(operations):
        raise Invalid("a commit holds each key at most once")
    for operation in operations:
        if isinstance(operation, Put) and len(operation.value) > MAX_VALUE_BYTES:
            raise Invalid(
                f"{operation.key}: the object has {len(operation.value)} bytes, more than the limit of "
                f"{MAX_VALUE_BYTES}"
            )


def take_batch(waiting: deque[Waiting], busy: set[str]) -> list[Waiting]:
    """Remove from ``waiting`` what may go together now, oldest first; what shares a key with it or ``busy`` stays."""
    batch: list[Waiting] = []
    kept: list[Waiting] = []
    keys = set(busy)
    operations = size_bytes = 0
    while waiting and len(batch) < MAX_COMMITS:
        commit = waiting.popleft()
        own = {operation.key for operation in commit.operations}
        fits = operations + len(commit.operations) <= MAX_BATCH_OPERATIONS
        fits = fits and (not batch or size_bytes + commit.size_bytes <= MAX_BATCH_BYTES)
        if fits and not own & keys:
            batch.append(commit)
            operations += len(commit.operations)
            size_bytes += commit.size_bytes
        else:
            kept.append(commit)
            if not fits:
                break
        keys |= own
    waiting.extendleft(reversed(kept))
    return batch


class GroupCommitter:
    """Feeds ``apply`` with batches, at most ``in_flight`` at a time.

    apply: gets the operations of each commit of a batch, returns an outcome for each; an error that it raises is the
    outcome of all.
    """

    def __init__(
        self, apply: Callable[[Sequence[tuple[Operation, ...]]], Awaitable[Sequence[Outcome]]], *, in_flight: int
    ) -> None:
        self._apply = apply
        self._in_flight = in_flight
        self._waiting: deque[Waiting] = deque()
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._closed = False

    async def commit(self, operations: Sequence[Operation]) -> tuple[int, ...]:
        """As ``Store.commit``."""
        check(operations)
        if self._closed:
            raise Unavailable("the store is closed")
        loop = asyncio.get_running_loop()
        commit = Waiting(tuple(operations), loop.create_future())
        self._waiting.append(commit)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._dispatch)
        return await commit.future

    async def close(self) -> None:
        """Waits for what is under way; what still waits fails."""
        self._closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        while self._waiting:
            commit = self._waiting.popleft()
            if not commit.future.done():
                commit.future.set_exception(Unavailable("the store was closed before the write: it has not happened"))

    def _dispatch(self) -> None:
        self._scheduled = False
        while self._waiting and len(self._tasks) < self._in_flight:
            if self._tasks and len(self._waiting) < WORTH_A_SECOND:
                return
            abandoned = [commit for commit in self._waiting if commit.future.cancelled()]
            for commit in abandoned:
                self._waiting.remove(commit)
            batch = take_batch(self._waiting, self._busy)
            if not batch:
                return
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._tasks.add(task)

    async def _run(self, batch: list[Waiting]) -> None:
        keys = {operation.key for commit in batch for operation in commit.operations}
        self._busy |= keys
        outcomes: Sequence[Outcome]
        try:
            outcomes = await self._apply([commit.operations for commit in batch])
        except KnarrError as error:
            outcomes = [error] * len(batch)
        finally:
            self._busy -= keys
            task = asyncio.current_task()
            assert task is not None
            self._tasks.discard(task)
        for commit, outcome in zip(batch, outcomes, strict=True):
            if commit.future.done():
                continue
            if isinstance(outcome, KnarrError):
                commit.future.set_exception(outcome)
            else:
                commit.future.set_result(outcome)
        self._dispatch()


def changed_keys(operations: Sequence[Operation]) -> list[str]:
    """Keys that the operations write."""
    return [operation.key for operation in operations if isinstance(operation, Put | Delete)]
