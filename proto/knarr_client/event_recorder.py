"""Tells users what was done to an object and why, as Event objects.

Recording never waits and never fails: events are kept in memory until ``run`` has written them, the newest are dropped
when too many wait. The same event again bumps the count of the one written before, at most every few seconds; from the
tenth on, events that differ in their message alone become one "(combined from similar events)". About one object a
component writes 25 times at once and then every five minutes: counts go on meanwhile, what is new is dropped.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import structlog

from knarr_api import errors, kinds
from knarr_api import json as api_json
from knarr_api.types.core_v1 import Event, EventSource, ObjectReference
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import Client, meta_of
from knarr_client.clock import Clock
from knarr_client.event_limits import Pace, Remembered, Similar, TokenBuckets
from knarr_client.workqueue import Backoff

NORMAL = "Normal"
WARNING = "Warning"
COMBINED = "(combined from similar events)"
NAME_MAX = 253 - 17
MESSAGE_MAX = 1024
"""Characters; the API refuses longer ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderSettings:
    pending_max: int = 20_000
    remembered_max: int = 4096
    bump_interval_s: float = 5.0
    """The count of one event is written at most this often."""
    similar_max: int = 10
    """So many different messages of one reason about one object are combined."""
    similar_window_s: float = 600.0
    burst: int = 25
    """Writes by one component about one object; one more comes back every ``refill_s``."""
    refill_s: float = 300.0
    deadline_s: float = 10.0
    at_once: int = 500
    """So many are written as fast as it goes, further ones ``per_s``: work that is not about telling goes first."""
    per_s: float = 250.0


class _Topic(NamedTuple):
    """What makes two events the same. message: COMBINED for those that differ in it."""

    component: str
    kind: str
    api_version: str
    namespace: str
    name: str
    uid: str
    type: str
    reason: str
    message: str

    @property
    def source(self) -> Hashable:
        """Who speaks about what."""
        return self[:-3]


class _Pending(msgspec.Struct, eq=False, gc=False):
    """message: as it was said last."""

    message: str
    first: datetime.datetime
    last: datetime.datetime
    count: int = 1


@dataclass(slots=True)
class _Written:
    name: str
    count: int
    at_s: float


class EventRecorder:
    """One per process; ``run`` it in a task beside what records. ``named`` gives its components faces of their own."""

    def __init__(
        self,
        client: Client,
        *,
        component: str,
        clock: Clock,
        instance: str = "",
        settings: RecorderSettings | None = None,
    ) -> None:
        """component: who speaks, "replicaset-controller". instance: which one, a host name."""
        self._client = client
        self._component = component
        self._instance = instance
        self._clock = clock
        self._settings = settings or RecorderSettings()
        self._pending: OrderedDict[_Topic, _Pending] = OrderedDict()
        limits = self._settings
        self._written: Remembered[_Topic, _Written] = Remembered(limits.remembered_max)
        self._similar = Similar(limits.similar_max, limits.similar_window_s, limits.remembered_max)
        self._tokens = TokenBuckets(limits.burst, limits.refill_s, limits.remembered_max)
        self._pace = Pace(limits.at_once, limits.per_s, clock)
        self._wake = asyncio.Event()
        self._dropped = 0
        self._log = structlog.get_logger("knarr.events").bind(component=component)

    def named(self, component: str) -> ComponentRecorder:
        """The same recorder, speaking for another component."""
        return ComponentRecorder(self, component)

    @property
    def dropped(self) -> int:
        """How many events were not recorded because too many waited or one source said too much."""
        return self._dropped

    def normal(self, about: msgspec.Struct, reason: str, message: str) -> None:
        self.record(about, NORMAL, reason, message)

    def warning(self, about: msgspec.Struct, reason: str, message: str) -> None:
        self.record(about, WARNING, reason, message)

    def record(self, about: msgspec.Struct, type_: str, reason: str, message: str, *, component: str = "") -> None:
        """reason: one word in CamelCase. message: a sentence for people. component: empty for the recorder's own."""
        kind = kinds.of(about)
        metadata = meta_of(about)
        source = (component or self._component, kind.kind, kind.api_version)
        subject = (*source, metadata.namespace, metadata.name, metadata.uid, type_, reason)  # all but the message
        told = message[:MESSAGE_MAX]
        if self._similar.is_one_too_many(subject, told, self._clock.monotonic()):
            told, message = COMBINED, f"{COMBINED}: {message}"
        self._keep(_Topic(*subject, told), message[:MESSAGE_MAX])

    def _keep(self, topic: _Topic, message: str) -> None:
        present = self._pending.get(topic)
        if present is not None:
            present.count += 1
            present.last, present.message = self._clock.now(), message
        elif len(self._pending) >= self._settings.pending_max or not self._may_begin(topic):
            self._dropped += 1
        else:
            now = self._clock.now()
            self._pending[topic] = _Pending(message, first=now, last=now)
            self._wake.set()

    def _may_begin(self, topic: _Topic) -> bool:
        """What was written before waits for its turn; what is new needs one now."""
        return topic in self._written or self._tokens.take(topic.source, self._clock.monotonic())

    async def run(self) -> None:
        """Write what was recorded, until cancelled."""
        backoff = Backoff(first_s=0.2, max_s=10.0, jitter=0.0)
        failures = 0
        while True:
            wait_s = self._next_due_s()
            self._wake.clear()
            if wait_s is None or wait_s > 0:
                await self._wait(wait_s)
                continue
            try:
                await self.flush()
                failures = 0
            except (errors.KnarrError, TimeoutError) as error:
                failures += 1
                self._log.info("events could not be written yet", error=str(error), waiting=len(self._pending))
                await self._clock.sleep(backoff.delay_s(failures, 0.0))

    async def flush(self) -> None:
        """Write what is due now. Raises what the client raises; what was not written stays pending."""
        for topic in [topic for topic in self._pending if self._due_in_s(topic) <= 0]:
            await self._pace.turn()
            pending = self._pending.pop(topic)
            try:
                async with asyncio.timeout(self._settings.deadline_s):
                    await self._write(topic, pending)
            except (errors.NotFound, errors.Forbidden, errors.Invalid) as error:
                self._log.debug("event refused", reason=topic.reason, about=topic.name, error=str(error))
            except BaseException:
                self._put_back(topic, pending)
                raise

    async def _wait(self, duration_s: float | None) -> None:
        try:
            async with asyncio.timeout(duration_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _next_due_s(self) -> float | None:
        soonest_s = None
        for topic in self._pending:
            due_s = self._due_in_s(topic)
            if due_s <= 0:
                return due_s  # what is new is due at once, and there may be many
            soonest_s = due_s if soonest_s is None else min(soonest_s, due_s)
        return soonest_s

    def _due_in_s(self, topic: _Topic) -> float:
        written = self._written.get(topic)
        if written is None:
            return 0.0
        now_s = self._clock.monotonic()
        return max(written.at_s + self._settings.bump_interval_s - now_s, self._tokens.wait_s(topic.source, now_s))

    def _put_back(self, topic: _Topic, pending: _Pending) -> None:
        newer = self._pending.get(topic)
        if newer is not None:
            newer.first = pending.first
            newer.count += pending.count
        else:
            self._pending[topic] = pending
            self._pending.move_to_end(topic, last=False)

    async def _write(self, topic: _Topic, pending: _Pending) -> None:
        written = self._written.get(topic)
        if written is None or not await self._bump(topic, written, pending):
            await self._create(topic, pending)
        if written is not None:
            self._tokens.take(topic.source, self._clock.monotonic())

    async def _create(self, topic: _Topic, pending: _Pending) -> None:
        event = self._event(topic, pending)
        try:
            await self._client.create(event)
        except errors.AlreadyExists:
            pass
        written = _Written(name=event.metadata.name, count=pending.count, at_s=self._clock.monotonic())
        self._written.use(topic, written)

    async def _bump(self, topic: _Topic, written: _Written, pending: _Pending) -> bool:
        count = written.count + pending.count
        last = api_json.to_builtins(Event(last_timestamp=pending.last))["lastTimestamp"]
        try:
            await self._client.patch(
                Event,
                written.name,
                topic.namespace or "default",
                patch={"count": count, "lastTimestamp": last, "message": pending.message},
            )
        except errors.NotFound:
            self._written.pop(topic, None)
            return False
        self._written.use(topic, _Written(name=written.name, count=count, at_s=self._clock.monotonic()))
        return True

    def _event(self, topic: _Topic, pending: _Pending) -> Event:
        digest = hashlib.sha256(repr((topic, pending.first)).encode()).hexdigest()[:16]
        return Event(
            metadata=ObjectMeta(name=f"{topic.name[:NAME_MAX]}.{digest}", namespace=topic.namespace or "default"),
            involved_object=ObjectReference(
                kind=topic.kind,
                api_version=topic.api_version,
                namespace=topic.namespace,
                name=topic.name,
                uid=topic.uid,
            ),
            type=topic.type,
            reason=topic.reason,
            message=pending.message,
            source=EventSource(component=topic.component, host=self._instance),
            reporting_component=topic.component,
            reporting_instance=self._instance,
            first_timestamp=pending.first,
            last_timestamp=pending.last,
            count=pending.count,
        )


@dataclass(frozen=True, slots=True)
class ComponentRecorder:
    """A face of an EventRecorder for one component."""

    recorder: EventRecorder
    component: str

    def normal(self, about: msgspec.Struct, reason: str, message: str) -> None:
        self.recorder.record(about, NORMAL, reason, message, component=self.component)

    def warning(self, about: msgspec.Struct, reason: str, message: str) -> None:
        self.recorder.record(about, WARNING, reason, message, component=self.component)
