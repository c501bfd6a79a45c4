"""A copy of the store's objects, per kind, and the log of their recent changes.

    LOADING ── everything listed ──► FOLLOWING ── watch broke off ──► FOLLOWING (resumed)
       ▲                                  │ compacted
       └──────────────────────────────────┘ watchers must list again: nobody knows what they have missed

One watch on the store feeds all kinds, so that the cache as a whole is at one revision at any time: lists of any kinds
fit together. ``wait_for`` makes a process see its own writes; a writer announces the object behind the bytes it is
about to commit (``expect``), so that its own events need no decoding.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import msgspec
import structlog

from knarr_api.errors import DeadlineExceeded, Expired, Internal, KnarrError, Unimplemented
from knarr_api.kinds import KINDS, Kind
from knarr_controlplane.cache import entries
from knarr_controlplane.cache.changes import ALL, MAX_DELIVERY, Change, ChangeType, Filter, Logged
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.cache.kind_cache import KindCache
from knarr_controlplane.store import revision
from knarr_controlplane.store.protocol import Listing, Progress, Store, StoreEvent

ROOT = "/registry/"
RETRY_S = 0.5
WAIT_S = 10.0
CLOCK_SLACK_S = 0.01
"""A timer may ring this much early."""
BOOKMARK_S = 30.0
FIRST_PAGE, MAX_PAGE, PAGE_BYTES = 500, 5_000, 16 * 1024 * 1024
"""Of objects that are asked for at a time. For each page etcd 3.4 goes over all keys that are left: 160,000 objects in
pages of 1,000 cost it 5.4 s of processor time, in pages of 5,000 2.1."""
AT_A_TIME = 100
"""Of these that are decoded before others get their turn, and the next page is asked for."""

Decode = Callable[[Kind, str, bytes, int], CacheEntry]


class Expected(msgspec.Struct, frozen=True, gc=False):
    """A value that is being written, and the object that it is. plain: the value is the object's document. reported:
    it is a pod as it was, with the status that its node's agent has reported."""

    value: bytes
    obj: Any
    plain: bool
    reported: bool = False


class WatchCache:
    """See the module's text. decode makes an entry of a stored value; raises a KnarrError for a damaged one."""

    def __init__(self, store: Store, decode: Decode) -> None:
        self._store = store
        self._decode = decode
        self._kinds = {kind.key_prefix: KindCache(kind) for kind in reversed(KINDS)}
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        """A heap by revision; the number in the middle makes each unique."""
        self._numbers = itertools.count()
        self._expected: dict[str, Expected] = {}
        self.revision = 0
        """Packed: everything up to it is here."""
        self.ready = asyncio.Event()
        self.bookmark_s = BOOKMARK_S
        """How long a watcher may be without a word."""

    async def load(self) -> None:
        """Read everything. Raises what the store raises, and Internal for a value that can't be read."""
        await self._load(strict=True)
        self.ready.set()

    async def run(self) -> None:
        """Follow the store until cancelled; reads everything first where ``load`` was not called."""
        log = structlog.get_logger("knarr.cache")
        loaded = self.ready.is_set()
        while True:
            try:
                if not loaded:
                    await self._load(strict=False)
                    loaded = True
                    self.ready.set()
                async for batch in self._store.watch(ROOT, after=self.revision, previous=False):
                    self._take(batch)
            except Expired as error:
                log.warning("the store has compacted what was not seen yet, loading again", error=str(error))
                loaded = False
            except KnarrError as error:
                log.warning("the store's watch broke off", error=str(error), revision=self.revision)
                await asyncio.sleep(RETRY_S)

    def of(self, kind: Kind) -> KindCache:
        """Raises Unimplemented for a version of a kind that is kept in another version only, or that is not kept."""
        cache = self._kinds.get(kind.key_prefix)
        if cache is None:
            raise Unimplemented(f"{kind.qualified} is computed: it can be read, but neither written nor watched")
        if cache.kind is not kind:
            raise Unimplemented(f"{kind.api_version} {kind.kind} is not served: use {cache.kind.api_version}")
        return cache

    def sizes(self) -> Iterator[tuple[Kind, int]]:
        """How many objects there are of each kind that has any."""
        for cache in self._kinds.values():
            if cache.entries:
                yield cache.kind, len(cache.entries)

    def serves(self, kind: Kind) -> bool:
        return self._kinds[kind.key_prefix].kind is kind

    def get(self, kind: Kind, key: str) -> CacheEntry | None:
        return self.of(kind).entries.get(key)

    def select(self, kind: Kind, filter_: Filter) -> Iterator[CacheEntry]:
        """Matching entries in key order."""
        cache = self.of(kind)
        node = filter_.fields.exact("spec.nodeName") if filter_.fields is not None and kind.kind == "Pod" else None
        found = cache.by_node.get(node, {}) if node else cache.entries
        for key in sorted(found):
            if filter_.admits(found[key]):
                yield found[key]

    @contextlib.contextmanager
    def expect(self, coming: Mapping[str, Expected]) -> Iterator[None]:
        """While a commit is under way: the values that it writes, by key, and the objects that they are."""
        self._expected.update(coming)
        try:
            yield
        finally:
            for key in coming:
                self._expected.pop(key, None)

    def forget(self, before: int) -> None:
        """Drop the logs up to a packed revision: they are kept for as long as the store keeps history."""
        for cache in self._kinds.values():
            cache.forget(min(before, self.revision))

    async def catch_up(self, *, timeout_s: float = WAIT_S) -> None:
        """Until everything is here that was committed before the call, by whichever process."""
        newest = revision.store_revision(await self._store.revision())
        if revision.store_revision(self.revision) < newest:
            await self.wait_for(revision.pack(newest, 0), timeout_s=timeout_s)

    async def wait_for(self, wanted: int, *, timeout_s: float = WAIT_S) -> None:
        """Until the cache has seen that packed revision. Raises DeadlineExceeded."""
        if self.revision >= wanted:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._waiters, (wanted, next(self._numbers), future))
        alarm = loop.call_later(timeout_s, _too_late, future, timeout_s)
        try:
            await future
        finally:
            alarm.cancel()

    def request_bookmarks(self) -> int:
        """Whoever watches all of a kind is told soon that everything up to the revision, which it returns, was told."""
        for cache in self._kinds.values():
            for follower in cache.followers.get(ALL, ()):
                follower.asked = True
                follower.wake.set()
        return self.revision

    async def follow(
        self, kind: Kind, filter_: Filter, after: int, *, reporter: bool = False
    ) -> AsyncIterator[tuple[Change, ...]]:
        """Changes after a packed revision, in batches. Raises Expired when they are not all here any more.

        reporter: see ``Follower``.
        """
        cache = self.of(kind)
        if revision.store_revision(after) > revision.store_revision(self.revision):
            newest = await self._store.revision()
            if revision.store_revision(after) > revision.store_revision(newest):
                raise Expired(f"resource version {after} is newer than the store ({newest}): it was restored")
            await self.wait_for(revision.pack(revision.store_revision(after), 0))
        if after < cache.forgotten:
            until = cache.forgotten
            async for batch in self._replay(kind, filter_, after, until):
                yield batch
            after = until
        if after < cache.forgotten:
            raise Expired(f"too old resource version: {after} ({cache.forgotten})")
        follower = cache.subscribe(filter_, after, reporter=reporter)
        loop = asyncio.get_running_loop()
        bookmark_due_s = loop.time() + self.bookmark_s
        alarm = loop.call_at(bookmark_due_s, follower.wake.set)
        try:
            while True:
                follower.awake()
                held = follower.next(MAX_DELIVERY)
                seen = self.revision
                changes = tuple(change for logged in held if (change := logged.as_told(filter_)) is not None)
                now_s = loop.time()
                if changes:
                    yield changes
                    bookmark_due_s = now_s + self.bookmark_s
                elif not held:
                    if (
                        follower.asked or now_s >= bookmark_due_s
                    ):  # also where only changes came that do not concern this watcher
                        follower.asked = False
                        yield (Change(ChangeType.BOOKMARK, None, seen),)
                        bookmark_due_s = now_s + self.bookmark_s
                    if now_s + CLOCK_SLACK_S >= alarm.when():  # it has rung: one alarm serves many changes
                        alarm = loop.call_at(bookmark_due_s, follower.wake.set)
                    await follower.wake.wait()
        finally:
            alarm.cancel()
            cache.unsubscribe(follower)

    async def _replay(self, kind: Kind, filter_: Filter, after: int, until: int) -> AsyncIterator[tuple[Change, ...]]:
        """Changes that the log does not have, as those before this process started, from the store's history.

        Everything is watched, not only the kind: the end of the past shows in any change. Raises Expired.
        """
        async for batch in self._store.watch(ROOT, after=after):
            changes: list[Change] = []
            for event in batch:
                if event.revision > until or not isinstance(event, StoreEvent) or self._kind_of(event.key) is None:
                    continue
                if not event.key.startswith(kind.key_prefix):
                    continue
                old, new = (
                    self._entry(kind, event.key, value, event.revision, strict=False) if value is not None else None
                    for value in (event.previous, event.value)
                )
                change = Logged(event.revision, old, new).as_told(filter_)
                if change is not None:
                    changes.append(change)
            if changes:
                yield tuple(changes)
            if batch[-1].revision >= until:
                return

    async def _pages(self) -> AsyncGenerator[Listing, None]:
        """Everything at one revision. The next page is on its way while one is looked at."""
        limit = FIRST_PAGE
        page = await self._store.list(ROOT, limit=limit)
        while page.more:
            size_bytes = sum(len(entry.value) for entry in page.entries)
            limit = max(min(2 * limit, MAX_PAGE, PAGE_BYTES * len(page.entries) // (size_bytes + 1)), 1)
            after = page.entries[-1].key
            coming = asyncio.create_task(self._store.list(ROOT, limit=limit, after=after, at_revision=page.revision))
            try:
                yield page
                page = await coming
            finally:
                coming.cancel()
                await asyncio.wait({coming})
        yield page

    async def _load(self, *, strict: bool) -> None:
        """All at once, at one revision. What happened between the last change seen and a second load nobody knows any
        more: whoever watches must list again."""
        seen: set[str] = set()
        changed: list[tuple[KindCache, CacheEntry]] = []
        at = 0
        async with contextlib.aclosing(self._pages()) as pages:
            async for listing in pages:
                at = listing.revision
                for number, entry in enumerate(listing.entries):
                    if number % AT_A_TIME == 0:
                        await asyncio.sleep(0)
                    cache = self._kind_of(entry.key)
                    if cache is None:
                        continue
                    present = cache.entries.get(entry.key)
                    if present is None or not revision.same_write(present.revision, entry.revision):
                        made = self._entry(cache.kind, entry.key, entry.value, entry.revision, strict=strict)
                        if made is None:
                            seen.add(entry.key)  # as in _take
                            continue
                        changed.append((cache, made))
                    seen.add(entry.key)
        for cache, made in changed:
            cache.put(made.key, made, at)
        for cache in self._kinds.values():
            for key in [key for key in cache.entries if key not in seen]:
                cache.put(key, None, at)
            cache.restart(at)
        self._advance(at)

    def _take(self, batch: tuple[StoreEvent | Progress, ...]) -> None:
        touched: set[str] = set()
        for event in batch:
            if isinstance(event, StoreEvent):
                cache = self._kind_of(event.key)
                if cache is not None:
                    entry = None
                    if event.value is not None:
                        entry = self._entry(cache.kind, event.key, event.value, event.revision, strict=False)
                        if entry is None:  # what can't be read is not gone: what was known of it stays, and is refused
                            continue  # to be written, as it is not the newest
                    cache.put(event.key, entry, event.revision)
                    touched.add(cache.kind.key_prefix)
        self._advance(batch[-1].revision)
        for prefix in touched:
            self._kinds[prefix].wake()

    def _advance(self, to: int) -> None:
        self.revision = max(self.revision, to)
        while self._waiters and self._waiters[0][0] <= self.revision:
            future = heapq.heappop(self._waiters)[2]
            if not future.done():
                future.set_result(None)

    def _entry(self, kind: Kind, key: str, value: bytes, at: int, *, strict: bool) -> CacheEntry | None:
        """None for a value that can't be read, which is logged: one damaged object must not hold up all others."""
        expected = self._expected.get(key)
        if expected is not None and expected.value == value:
            document = value if expected.plain else None
            entry = entries.make(kind, key, expected.obj, at, remember=True, document=document)
            entry.reported = expected.reported
            return entry
        try:
            return self._decode(kind, key, value, at)
        except KnarrError as error:
            if strict:
                raise Internal(f"the stored object {key} can't be read: {error}") from error
            structlog.get_logger("knarr.cache").error("a stored object can't be read", object=key, error=str(error))
            return None

    def _kind_of(self, key: str) -> KindCache | None:
        parts = key.split("/", 4)
        if len(parts) < 5:
            return None
        return self._kinds.get(f"/registry/{parts[2]}/{parts[3]}/")


def _too_late(future: asyncio.Future[None], after_s: float) -> None:
    if not future.done():
        text = f"the write is stored, but this server has not seen it within {after_s:.0f} s: the store is slow"
        future.set_exception(DeadlineExceeded(text))
