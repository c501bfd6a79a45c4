"""Merging concurrent commits into batches, so that round trips and disk flushes are shared.

Every commit keeps its own compares and its own outcome: a conflict fails one commit, not its batch. A key that is
written stands in a batch at most once, and not in two batches at a time, so that the order of two writes of a key is
the order in which they were asked for. What is only compared (see ``FencedStore``) many may share.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from knarr_api.errors import Internal, Invalid, KnarrError, Unavailable
from knarr_controlplane.store.gathering import Rate, gather_s
from knarr_controlplane.store.protocol import MAX_OPERATIONS, MAX_VALUE_BYTES, Check, Operation, Outcome, Put

MAX_COMMITS, MAX_BATCH_CHANGES, MAX_BATCH_BYTES = 128, 254, 1024 * 1024
FIRST = "/registry/coordination.k8s.io/leases/"
"""What is written there goes before all that waits: behind thousands of pods a renewal would come too late, and nodes
or the leader be taken for lost because there is much to do."""
WORTH_A_SECOND = 64
"""So many commits wait before another batch goes while one is under way: small batches cost more than they gain."""


@dataclass(slots=True, eq=False)
class Asked:
    """Commits that were asked for together: one future for all, however many batches they are done in."""

    future: asyncio.Future[list[Outcome]]
    outcomes: list[Outcome]
    left: int

    def answer(self, place: int, outcome: Outcome) -> None:
        self.outcomes[place] = outcome
        self.left -= 1
        if not self.left and not self.future.done():
            self.future.set_result(self.outcomes)


class Waiting(msgspec.Struct, eq=False, gc=False):
    """One commit and who waits for it: the ``place``-th of those. written, compared: keys, each in one of the two."""

    operations: tuple[Operation, ...]
    asked: Asked
    place: int = 0
    written: list[str] = []
    compared: list[str] = []
    size_bytes: int = 0

    def __post_init__(self) -> None:
        for operation in self.operations:
            if isinstance(operation, Check):
                self.compared.append(operation.key)
                continue
            self.written.append(operation.key)
            if isinstance(operation, Put):
                self.size_bytes += len(operation.value)

    @property
    def goes_first(self) -> bool:
        """Whether it writes Leases and nothing else: so all writes of one key stay in one order."""
        return all(key.startswith(FIRST) for key in self.written)


def check(operations: Sequence[Operation]) -> None:
    """Raises Invalid for what no store takes."""
    if not operations or len(operations) > MAX_OPERATIONS:
        raise Invalid(f"a commit has 1 to {MAX_OPERATIONS} operations, not {len(operations)}")
    if len({operation.key for operation in operations}) != len(operations):
        raise Invalid("a commit holds each key at most once")
    for operation in operations:
        if isinstance(operation, Put) and len(operation.value) > MAX_VALUE_BYTES:
            raise Invalid(
                f"Request entity too large: limit is {MAX_VALUE_BYTES} bytes for a stored object, {operation.key} has "
                f"{len(operation.value)}"
            )


class Busy:
    """Keys of commits under way. written: by one each; compared: and not written, by how many."""

    def __init__(self, written: Iterable[str] = (), compared: Mapping[str, int] | None = None) -> None:
        self._written = set(written)
        self._compared = dict(compared or {})

    def copy(self) -> Busy:
        return Busy(self._written, self._compared)

    def meets(self, commit: Waiting) -> bool:
        """Whether it has to wait."""
        if not self._written.isdisjoint(commit.written) or not self._written.isdisjoint(commit.compared):
            return True
        return any(key in self._compared for key in commit.written)

    def add(self, commit: Waiting) -> None:
        self._written.update(commit.written)
        for key in commit.compared:
            self._compared[key] = self._compared.get(key, 0) + 1

    def remove(self, commit: Waiting) -> None:
        self._written.difference_update(commit.written)
        for key in commit.compared:
            if self._compared[key] > 1:
                self._compared[key] -= 1
            else:
                del self._compared[key]


def take_batch(waiting: deque[Waiting], busy: Busy) -> list[Waiting]:
    """Remove from ``waiting`` what may go together now, oldest first; what shares a key with it or ``busy`` stays.

    What nobody waits for any more is dropped.
    """
    batch: list[Waiting] = []
    kept: list[Waiting] = []
    keys = busy.copy()
    changes = size_bytes = 0
    while waiting and len(batch) < MAX_COMMITS:
        commit = waiting.popleft()
        if commit.asked.future.cancelled():
            continue
        fits = changes + len(commit.written) <= MAX_BATCH_CHANGES
        fits = fits and (not batch or size_bytes + commit.size_bytes <= MAX_BATCH_BYTES)
        if fits and not keys.meets(commit):
            batch.append(commit)
            changes += len(commit.written)
            size_bytes += commit.size_bytes
        else:
            kept.append(commit)
            if not fits:
                break
        keys.add(commit)
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
        self._first: deque[Waiting] = deque()
        self._waiting: deque[Waiting] = deque()
        self._busy = Busy()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._alarm: asyncio.TimerHandle | None = None
        self._sent_s, self._sent = 0.0, 0
        """When the last batch went, and how many commits were in it."""
        self._rate = Rate()
        self._closed = False

    async def commit(self, operations: Sequence[Operation]) -> tuple[int, ...]:
        """As ``Store.commit``."""
        check(operations)
        (outcome,) = await self._ask([operations])
        if isinstance(outcome, KnarrError):
            raise outcome
        return outcome

    async def commit_each(self, commits: Sequence[Sequence[Operation]]) -> Sequence[Outcome]:
        """As ``Store.commit_each``."""
        refused: dict[int, Outcome] = {}
        for place, operations in enumerate(commits):
            try:
                check(operations)
            except Invalid as error:
                refused[place] = error
        good = iter(await self._ask([each for place, each in enumerate(commits) if place not in refused]))
        return [refused.get(place) or next(good) for place in range(len(commits))]

    async def _ask(self, commits: Sequence[Sequence[Operation]]) -> list[Outcome]:
        if self._closed:
            raise Unavailable("the store is closed")
        if not commits:
            return []
        loop = asyncio.get_running_loop()
        asked = Asked(loop.create_future(), [()] * len(commits), len(commits))
        for place, operations in enumerate(commits):
            commit = Waiting(tuple(operations), asked, place)
            queue = self._first if commit.goes_first else self._waiting
            queue.append(commit)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._soon)
        return await asked.future

    async def close(self) -> None:
        """Waits for what is under way; what still waits fails."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        for commit in (*self._first, *self._waiting):
            error = Unavailable("the store was closed before the write: it has not happened")
            commit.asked.answer(commit.place, error)
        self._first.clear()
        self._waiting.clear()

    def _soon(self) -> None:
        self._scheduled = False
        self._dispatch()

    def _dispatch(self) -> None:
        while self._first and len(self._tasks) < self._in_flight:
            if not self._send(take_batch(self._first, self._busy)):
                break
        while self._waiting and len(self._tasks) < self._in_flight:
            if self._gathers() or (self._tasks and len(self._waiting) < WORTH_A_SECOND):
                return
            batch = take_batch(self._waiting, self._busy)
            if not self._send(batch):
                return
            self._sent_s, self._sent = asyncio.get_running_loop().time(), len(batch)
            self._rate.note(self._sent, self._sent_s)

    def _gathers(self) -> bool:
        """Whether more is to come before the next batch goes, which is then seen to. Who writes alone does not wait."""
        if self._sent < 2 or len(self._waiting) >= WORTH_A_SECOND:
            return False
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        due_s = self._sent_s + gather_s(self._rate.per_s(now_s))
        if now_s >= due_s:
            return False
        if self._alarm is None:
            self._alarm = loop.call_at(due_s, self._gathered)
        return True

    def _gathered(self) -> None:
        self._alarm, self._sent = None, 0
        self._dispatch()

    def _send(self, batch: list[Waiting]) -> bool:
        """Whether there was anything to send."""
        for commit in batch:
            self._busy.add(commit)
        if batch:
            self._tasks.add(asyncio.get_running_loop().create_task(self._run(batch)))
        return bool(batch)

    async def _run(self, batch: list[Waiting]) -> None:
        outcomes: Sequence[Outcome]
        try:
            outcomes = await self._apply([commit.operations for commit in batch])
        except KnarrError as error:
            outcomes = [error] * len(batch)
        except Exception as error:  # noqa: BLE001 who waits for an outcome would wait for ever
            structlog.get_logger("knarr.store").exception("a batch of writes failed unexpectedly")
            outcomes = [Internal(f"the store failed: {error!r}; the write may have happened")] * len(batch)
        finally:
            for commit in batch:
                self._busy.remove(commit)
            task = asyncio.current_task()
            assert task is not None
            self._tasks.discard(task)
        for commit, outcome in zip(batch, outcomes, strict=True):
            commit.asked.answer(commit.place, outcome)
        self._dispatch()
