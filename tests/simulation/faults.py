"""What can go wrong between a control plane and its store, between anybody and a control plane, and in a runtime."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from knarr_api.errors import DeadlineExceeded, Expired, KnarrError, ResourceExhausted, Unavailable
from knarr_controlplane.store.memory import MemoryStore
from knarr_controlplane.store.protocol import (
    Check,
    Entry,
    KeyConflict,
    Listing,
    Operation,
    Outcome,
    Progress,
    StoreEvent,
)
from tests.simulation.loop import CURRENT, Process

WIRE = contextvars.Context()
"""Of no process: what was sent arrives, whatever becomes of the sender."""
LATE_S = 6.0
GIVE_UP_S = 5.0
"""When whoever waits for an answer over a dead connection gives up."""


@dataclass(slots=True)
class Trouble:
    """How bad it is now; ``calm`` when it is over. Probabilities are per request."""

    longest_delay_s: float = 0.004
    lost_request: float = 0.0
    lost_answer: float = 0.0
    late_request: float = 0.0
    """Of a store: it is done when whoever asked has given up."""
    late_copy: float = 0.0
    """A request is done a second time, later, as when a client repeats one that was only slow."""
    down: bool = False
    full: bool = False
    unwritable: str = ""
    """A key whose writes do not arrive."""

    def calm(self) -> None:
        self.longest_delay_s = 0.004
        self.lost_request = self.lost_answer = self.late_request = self.late_copy = 0.0
        self.down = self.full = False
        self.unwritable = ""


class Breaker:
    """Ends what lasts: watches and streams."""

    def __init__(self) -> None:
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def broken(self) -> asyncio.Future[None]:
        return self._broken

    def trip(self) -> None:
        self._broken.set_result(None)
        self._broken = asyncio.get_running_loop().create_future()


def _is_change(operation: Operation) -> bool:
    """Of something that is there. What is made late is one more, whoever makes it."""
    return isinstance(operation, Check) or bool(operation.expected)


Commit = Callable[[Process, Sequence[Operation]], None]


class FaultyStore:
    """One control plane's connection to the store that all share.

    issued: told of every write when it leaves the process; committed: with the revisions, in the moment it happens.
    fired: how often what can break did.
    """

    def __init__(
        self, truth: MemoryStore, process: Process, trouble: Trouble, chance: random.Random, fired: Counter[str]
    ) -> None:
        self._fired = fired
        self.trouble = trouble
        self.breaker = Breaker()
        self.issued: Commit = lambda process, operations: None
        self.committed: Callable[[Process, Sequence[Operation], Sequence[int]], None] = lambda *_: None
        self._late: set[asyncio.Task[None]] = set()
        self._truth = truth
        self._process = process
        self._chance = chance

    async def get(self, key: str) -> Entry | None:
        await self._there()
        found = await self._truth.get(key)
        await self._back()
        return found

    async def list(self, prefix: str, *, limit: int = 0, after: str = "", at_revision: int = 0) -> Listing:
        await self._there()
        found = await self._truth.list(prefix, limit=limit, after=after, at_revision=at_revision)
        await self._back()
        return found

    async def revision(self) -> int:
        await self._there()
        found = await self._truth.revision()
        await self._back()
        return found

    async def compact(self, before: int) -> None:
        await self._there()
        await self._truth.compact(before)
        await self._back()

    async def commit(self, operations: Sequence[Operation]) -> tuple[int, ...]:
        self._process.check()
        self.issued(self._process, operations)
        await self._there()
        if any(operation.key == self.trouble.unwritable for operation in operations):
            self._fired["lease not renewed"] += 1
            await asyncio.sleep(GIVE_UP_S * self._chance.random())
            raise Unavailable("the store does not answer; the write may have happened")
        if self.trouble.full:
            self._fired["store full"] += 1
            raise ResourceExhausted("mvcc: database space exceeded")
        late = self.trouble.late_request and all(map(_is_change, operations))
        if late and self._chance.random() < self.trouble.late_request:
            self._fired["store request late"] += 1
            context = contextvars.copy_context()
            context.run(CURRENT.set, None)  # it is on its way, whatever becomes of who sent it
            sent = asyncio.get_running_loop().create_task(self._later(operations), context=context)
            self._late.add(sent)
            sent.add_done_callback(self._late.discard)
            await asyncio.sleep(GIVE_UP_S * self._chance.random())
            raise DeadlineExceeded("the store did not answer in time; the write may have happened")
        try:
            revisions = await self._truth.commit(operations)
        except KeyConflict:
            self._fired["writers in conflict"] += 1
            raise
        self.committed(self._process, operations, revisions)
        await self._back()
        return revisions

    async def _later(self, operations: Sequence[Operation]) -> None:
        await asyncio.sleep(LATE_S * self._chance.random())
        with contextlib.suppress(KeyConflict):
            revisions = await self._truth.commit(operations)
            self.committed(self._process, operations, revisions)

    async def commit_each(self, commits: Sequence[Sequence[Operation]]) -> Sequence[Outcome]:
        return await asyncio.gather(*map(self._outcome, commits))

    async def _outcome(self, operations: Sequence[Operation]) -> Outcome:
        try:
            return await self.commit(operations)
        except KnarrError as error:
            return error

    async def watch(
        self, prefix: str, *, after: int, previous: bool = True
    ) -> AsyncIterator[tuple[StoreEvent | Progress, ...]]:
        await self._there()
        source = self._truth.watch(prefix, after=after, previous=previous)
        broken = self.breaker.broken
        coming: asyncio.Future[Any] | None = None
        try:
            while True:
                coming = asyncio.ensure_future(anext(source))  # type: ignore[arg-type]
                await asyncio.wait({coming, broken}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    self._fired["store watch broken off"] += 1
                    raise Unavailable("the watch broke off")
                try:
                    batch = coming.result()
                except Expired:
                    self._fired["compacted before it was seen"] += 1
                    raise
                await self._pause()
                if broken.done() or self.trouble.down:
                    raise Unavailable("the watch broke off")
                self._process.check()
                yield batch
        finally:
            if coming is not None and not coming.done():
                coming.cancel()
                await asyncio.wait({coming})
            await source.aclose()  # type: ignore[attr-defined]

    async def close(self) -> None:
        return

    async def _there(self) -> None:
        self._process.check()
        await self._pause()
        if self.trouble.down or self._chance.random() < self.trouble.lost_request:
            self._fired["store down" if self.trouble.down else "store request lost"] += 1
            await asyncio.sleep(GIVE_UP_S * self._chance.random())
            raise Unavailable("the store does not answer; the write may have happened")
        self._process.check()

    async def _back(self) -> None:
        await self._pause()
        if self.trouble.down or self._chance.random() < self.trouble.lost_answer:
            self._fired["store answer lost"] += 1
            await asyncio.sleep(GIVE_UP_S * self._chance.random())
            raise DeadlineExceeded("the store did not answer in time; the write may have happened")
        self._process.check()

    async def _pause(self) -> None:
        await asyncio.sleep(self.trouble.longest_delay_s * self._chance.random())


@dataclass(eq=False)
class Network:
    """One machine's way to the control planes."""

    name: str
    chance: random.Random
    fired: Counter[str]
    trouble: Trouble = field(default_factory=Trouble)
    cut: bool = False
    streams: dict[Any, None] = field(default_factory=dict)
    _held: list[tuple[Pipe, Any]] = field(default_factory=list)
    _mended: asyncio.Event = field(default_factory=asyncio.Event)
    _cuts: int = 0

    def delay_s(self) -> float:
        return self.trouble.longest_delay_s * self.chance.random()

    async def travel(self) -> None:
        """One message's way. Raises Unavailable for one that is lost."""
        await asyncio.sleep(self.delay_s())
        if not self.cut:
            return
        try:
            async with asyncio.timeout(GIVE_UP_S):
                while self.cut:
                    await self._mended.wait()
        except TimeoutError:
            self.fired["call cut off"] += 1
            raise Unavailable(f"{self.name} does not reach the control plane") from None

    def part(self) -> None:
        """Nothing passes any more; who has a connection open notices later."""
        if self.cut:
            return
        self.cut = True
        self._cuts += 1
        self._mended.clear()
        asyncio.get_running_loop().call_later(GIVE_UP_S, self._notice, self._cuts)

    def mend(self) -> None:
        self.cut = False
        self._mended.set()
        held, self._held = self._held, []
        for pipe, item in held:
            pipe.arrive(item)
        for stream in [stream for stream in self.streams if stream.lost]:
            stream.break_off()

    def break_streams(self) -> None:
        for stream in list(self.streams):
            self.fired["stream broken off"] += 1
            stream.break_off()

    def hold(self, pipe: Pipe, item: Any) -> None:
        self.fired["message held back"] += 1
        self._held.append((pipe, item))

    def _notice(self, cut: int) -> None:
        if self.cut and self._cuts == cut:
            self.fired["message lost"] += len(self._held)
            self._held.clear()
            self.break_streams()


class Pipe:
    """One direction of a connection: in order, each once, later."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._last_s = 0.0

    def send(self, item: Any) -> None:
        loop = asyncio.get_running_loop()
        self._last_s = max(loop.time() + self._network.delay_s(), self._last_s + 1e-6)
        loop.call_at(self._last_s, self.arrive, item, context=WIRE)

    def arrive(self, item: Any) -> None:
        if self._network.cut:
            self._network.hold(self, item)
        else:
            self._queue.put_nowait(item)

    def now(self, item: Any) -> None:
        """What the machine itself says: the connection is broken."""
        self._queue.put_nowait(item)

    async def receive(self) -> Any:
        return await self._queue.get()


class FaultyRuntime:
    """A CRI service as one life of an agent reaches it."""

    def __init__(self, service: Any, process: Process, chance: random.Random) -> None:
        self._service = service
        self._process = process
        self._chance = chance

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._service, name)
        if name == "GetContainerEvents":
            return method

        async def call(request: Any, timeout: float | None = None) -> Any:
            self._process.check()
            await asyncio.sleep(0.002 * self._chance.random())
            self._process.check()
            answer = await method(request, timeout=timeout)
            self._process.check()
            return answer

        return call
