"""At most one of several processes does the work, by a Lease that it keeps renewing.

.. code-block:: text

             nobody holds it, or it was not renewed for its duration
    STANDBY ─────────────────────────────────────────────────────────► LEADING ── run() ends ──► returns
       ▲                                                                  │
       └──────── stopped: not renewed for stop_after_s, or taken ─────────┘

Safety does not rest on equal wall clocks. A standby measures on its own monotonic clock how long the Lease has not
changed under its eyes, and takes it with a compare-and-swap on its revision. A leader measures from before it sent the
last renewal that was accepted, and has stopped its work ``stop_after_s`` later: before the Lease's duration is over.

A leader whose renewals take long, because it has much to do or gets little processor time, claims the Lease for longer:
were it to lose it, it would read everything anew, be slower still and lose it again, without an end. The standbys go by
the duration that stands in the Lease.

Where the store offers a keeper, a thread of its own renews instead, however much this process has to do: then nothing
has to be claimed for longer.

A process that was frozen (a stopped container, a machine asleep) finds itself leading past that time, with writes on
the way. These come to nothing: whoever takes the Lease then writes a second one, its term, and each write of a leader
is committed only while its own term is the newest (see ``FencedStore``). Renewals leave the term as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import enum
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
import structlog

from knarr_api import errors, json, kinds
from knarr_api.types.coordination_v1 import Lease, LeaseSpec
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import Client
from knarr_client.clock import Clock
from knarr_controlplane import metrics
from knarr_controlplane.store.keeping import Keeper, Keeping

NAMESPACE = "kube-system"
NAME = "knarr-controller-manager"
"""Of the Lease of whom schedules and controls."""
TERM = "-term"
LONGEST_S = 20
"""The Lease's duration at most, however slow its holder is."""
SLOWER = 4
"""So many times as long as a renewal took is claimed at least."""
FADING = 0.95
"""What a slow renewal counts for with each one after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderSettings:
    """stop_after_s + call_deadline_s must be less than duration_s; duration_s is whole seconds."""

    duration_s: int = 2
    renew_s: float = 0.5
    stop_after_s: float = 1.4
    call_deadline_s: float = 0.5
    look_s: float = 0.25
    """How often a standby looks."""

    def __post_init__(self) -> None:
        if not 0 < self.renew_s < self.stop_after_s < self.duration_s - self.call_deadline_s + 1e-9:
            raise errors.Invalid(
                "leader election: renew_s < stop_after_s < duration_s - call_deadline_s must hold, "
                f"not {self.renew_s} < {self.stop_after_s} < {self.duration_s} - {self.call_deadline_s}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One leadership. key, revision: what is stored as long as no other has begun. over: to be set by whoever finds
    that one has."""

    key: str
    revision: str
    over: asyncio.Event


Work = Callable[[Term], Awaitable[None]]


class _Pace:
    """How long the Lease is claimed for, by how long its renewals took."""

    def __init__(self, settings: LeaderSettings) -> None:
        self._settings = settings
        self._slowest_s = 0.0

    def took(self, seconds: float) -> None:
        self._slowest_s = max(seconds, self._slowest_s * FADING)

    @property
    def duration_s(self) -> int:
        needed_s = math.ceil(SLOWER * self._slowest_s)
        return max(self._settings.duration_s, min(needed_s, LONGEST_S))

    def stop_after_s(self, duration_s: int) -> float:
        return self._settings.stop_after_s * duration_s / self._settings.duration_s

    @property
    def call_deadline_s(self) -> float:
        return self._settings.call_deadline_s * self.duration_s / self._settings.duration_s


class _End(enum.Enum):
    DONE = "done"
    LOST = "lost"


async def lead(
    client: Client,
    clock: Clock,
    name: str,
    identity: str,
    run: Work,
    *,
    settings: LeaderSettings | None = None,
    uniform: Callable[[], float] | None = None,
    afterwards: Callable[[], object] = lambda: None,
    keeper: Keeper | None = None,
) -> None:
    """Call ``run`` whenever this process leads, cancel it when it no longer does; returns when ``run`` returns.

    name: of the Lease in kube-system; with ``-term`` after it, that of its term. identity: of this process, different
    from every other's and from its own before a restart. What ``run`` raises is raised after the Lease is given back.
    afterwards: called when it was lost and is given back; may take its time. keeper: renews in this process's place.
    """
    settings = settings or LeaderSettings()
    candidate = _Candidate(client, clock, name, identity, settings, uniform or random.random, keeper)
    await candidate.lead(run, afterwards)


class _Candidate:
    def __init__(
        self,
        client: Client,
        clock: Clock,
        name: str,
        identity: str,
        settings: LeaderSettings,
        uniform: Callable[[], float],
        keeper: Keeper | None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._name = name
        self._identity = identity
        self._settings = settings
        self._uniform = uniform
        self._keeper = keeper
        self._pace = _Pace(settings)
        self._lease: Lease | None = None
        """As we wrote it last, while leading."""
        self._seen: tuple[str, float] = ("", 0.0)
        """The Lease's revision and since when it has been that, on our own clock."""
        self._log = structlog.get_logger("knarr.leader").bind(object=f"Lease/{NAMESPACE}/{name}", identity=identity)

    async def lead(self, run: Work, afterwards: Callable[[], object]) -> None:
        while True:
            until_s, term = await self._acquire()
            self._log.info("leading")
            metrics.LEADING.labels(self._name).set(1)
            try:
                end = await self._hold(run, until_s, term)
            finally:
                metrics.LEADING.labels(self._name).set(0)
                await self._release()
            if end is _End.DONE:
                return
            self._log.warning("no longer leading")
            afterwards()

    # Standby

    async def _acquire(self) -> tuple[float, Term]:
        """Wait until Lease and term are ours; returns until when, reckoned from before the write of the Lease."""
        while True:
            started_s = self._clock.monotonic()
            try:
                async with asyncio.timeout(self._pace.call_deadline_s):
                    before = await self._present_term()
                    self._lease = await self._try_to_take()
                if self._lease is not None:
                    async with asyncio.timeout(self._pace.call_deadline_s):
                        term = await self._begin(before)
                    return started_s + self._pace.stop_after_s(self._pace.duration_s), term
            except (errors.KnarrError, TimeoutError) as error:
                self._log.debug("could not take the lease", error=str(error) or type(error).__name__)
                await self._release()
            await self._clock.sleep(self._settings.look_s * (0.8 + 0.4 * self._uniform()))

    async def _try_to_take(self) -> Lease | None:
        try:
            present = await self._client.get(Lease, self._name, NAMESPACE)
        except errors.NotFound:
            metadata = ObjectMeta(name=self._name, namespace=NAMESPACE)
            return await self._client.create(Lease(metadata=metadata, spec=self._spec(transitions=0)))
        now_s = self._clock.monotonic()
        revision = present.metadata.resource_version
        if self._seen[0] != revision:
            self._seen = (revision, now_s)
        duration_s = present.spec.lease_duration_seconds or self._settings.duration_s
        if present.spec.holder_identity and now_s - self._seen[1] < duration_s:
            return None
        transitions = (present.spec.lease_transitions or 0) + 1
        return await self._client.update(msgspec.structs.replace(present, spec=self._spec(transitions=transitions)))

    async def _present_term(self) -> Lease | None:
        try:
            return await self._client.get(Lease, self._name + TERM, NAMESPACE)
        except errors.NotFound:
            return None

    async def _begin(self, before: Lease | None) -> Term:
        """The term is ours from here on, and no longer whose it was. Raises Conflict when another was faster."""
        if before is None:
            metadata = ObjectMeta(name=self._name + TERM, namespace=NAMESPACE)
            term = await self._client.create(Lease(metadata=metadata, spec=self._spec(transitions=0)))
        else:
            spec = self._spec(transitions=(before.spec.lease_transitions or 0) + 1)
            term = await self._client.update(msgspec.structs.replace(before, spec=spec))
        key = kinds.of(Lease).key(NAMESPACE, self._name + TERM)
        return Term(key=key, revision=term.metadata.resource_version, over=asyncio.Event())

    def _spec(self, *, transitions: int) -> LeaseSpec:
        now = self._clock.now()
        return LeaseSpec(
            holder_identity=self._identity,
            lease_duration_seconds=self._pace.duration_s,
            acquire_time=now,
            renew_time=now,
            lease_transitions=transitions,
        )

    # Leading

    async def _hold(self, run: Work, until_s: float, term: Term) -> _End:
        work = asyncio.ensure_future(run(term))
        keeping = self._keep(until_s, term) if self._keeper is None else self._let_keep(self._keeper, until_s, term)
        keep = asyncio.create_task(keeping, name=f"leader/{self._name}")
        try:
            await asyncio.wait({work, keep}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(keep)
            ended = work.done()
            if not ended:
                await _cancel(work)
        if ended:
            work.result()
            return _End.DONE
        keep.result()
        return _End.LOST

    async def _keep(self, until_s: float, term: Term) -> None:
        """Renew; returns when the Lease or the term is lost, or may be by the time the work has stopped."""
        while True:
            due_s = self._clock.monotonic() + self._settings.renew_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.renew_s):
                    await term.over.wait()
                self._log.warning("another's term has begun")
                return
            renewed = await self._renew(until_s)
            self._pace.took(self._clock.monotonic() - due_s)
            if renewed is None:
                return
            until_s = renewed

    async def _let_keep(self, keeper: Keeper, until_s: float, term: Term) -> None:
        """As ``_keep``, where a thread renews."""
        assert self._lease is not None
        keeper.start(self._keeping(self._lease), int(self._lease.metadata.resource_version), until_s)
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.renew_s):
                        await term.over.wait()
                    self._log.warning("another's term has begun")
                    return
                kept = keeper.look()
                if kept.lost or self._clock.monotonic() >= kept.until_s:
                    self._log.warning("the lease was lost", error=kept.lost or "it could not be renewed in time")
                    return
        finally:
            kept = await asyncio.to_thread(keeper.stop)
            metadata = msgspec.structs.replace(self._lease.metadata, resource_version=str(kept.revision))
            self._lease = msgspec.structs.replace(self._lease, metadata=metadata)

    def _keeping(self, lease: Lease) -> Keeping:
        """What the thread does: it writes the Lease as it is, renewed."""
        stored = msgspec.structs.replace(lease, metadata=msgspec.structs.replace(lease.metadata, resource_version=""))
        last = [stored]

        def renewed() -> bytes:
            spec = msgspec.structs.replace(
                stored.spec,
                renew_time=_later(last[0], self._clock.now()),
                lease_duration_seconds=self._settings.duration_s,
            )
            last[0] = msgspec.structs.replace(stored, spec=spec)
            return json.encode(last[0])

        def is_own(value: bytes) -> bool:
            return json.decode(value, Lease).spec.holder_identity == self._identity

        return Keeping(
            key=kinds.of(Lease).key(NAMESPACE, self._name),
            value=renewed,
            is_own=is_own,
            every_s=self._settings.renew_s,
            within_s=self._settings.call_deadline_s,
            stays_s=self._settings.stop_after_s,
        )

    async def _renew(self, until_s: float) -> float | None:
        """Try until accepted; returns until when it is ours, or None when it is time to stop."""
        while True:
            started_s = self._clock.monotonic()
            duration_s = self._pace.duration_s
            claimed_s = started_s + self._pace.stop_after_s(duration_s)
            until_s = min(until_s, claimed_s)  # a shorter claim may be stored and its answer be lost
            try:
                async with asyncio.timeout(self._patience_s(until_s)):
                    await self._renew_once(duration_s)
            except errors.Conflict as error:
                if not await self._is_still_ours(until_s):
                    self._log.warning("the lease was taken", error=str(error))
                    return None
            except errors.NotFound:
                self._log.warning("the lease was deleted")
                return None
            except (errors.KnarrError, TimeoutError) as error:
                self._log.warning("could not renew the lease", error=str(error) or type(error).__name__)
            else:
                return claimed_s
            left_s = until_s - self._clock.monotonic()
            if left_s <= 0:
                return None
            await self._clock.sleep(min(self._settings.renew_s / 5, left_s))

    async def _renew_once(self, duration_s: int) -> None:
        assert self._lease is not None
        renewed = msgspec.structs.replace(
            self._lease.spec,
            renew_time=_later(self._lease, self._clock.now()),
            lease_duration_seconds=duration_s,
        )
        self._lease = await self._client.update(msgspec.structs.replace(self._lease, spec=renewed))

    def _patience_s(self, until_s: float) -> float:
        """For one call: however much longer the next claim is to be, the Lease is ours by the last one."""
        return min(self._pace.call_deadline_s, until_s + self._settings.call_deadline_s - self._clock.monotonic())

    async def _is_still_ours(self, until_s: float) -> bool:
        """After a Conflict: an earlier renewal whose answer was lost, or somebody else?"""
        try:
            async with asyncio.timeout(self._patience_s(until_s)):
                present = await self._client.get(Lease, self._name, NAMESPACE)
        except (errors.KnarrError, TimeoutError):
            return True
        if present.spec.holder_identity != self._identity:
            return False
        self._lease = present
        return True

    async def _release(self) -> None:
        """Let the next one take it at once. Best effort: without it, the next waits for the duration."""
        lease, self._lease = self._lease, None
        self._seen = ("", 0.0)
        if lease is None:
            return
        spec = msgspec.structs.replace(lease.spec, holder_identity="", lease_duration_seconds=1)
        try:
            async with asyncio.timeout(self._pace.call_deadline_s):
                await self._client.update(msgspec.structs.replace(lease, spec=spec))
        except (errors.KnarrError, TimeoutError) as error:
            self._log.info("could not release the lease", error=str(error) or type(error).__name__)


def _later(lease: Lease, now: datetime.datetime) -> datetime.datetime:
    """Always another value than before, whatever the wall clock does: a renewal must be seen as a change."""
    last = lease.spec.renew_time
    if last is not None and now <= last:
        return last + datetime.timedelta(microseconds=1)
    return now


async def _cancel(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
