"""A cache of one kind that follows the API by list and watch.

.. code-block:: text

              list ok                       Unavailable, stream over
    LISTING ──────────► WATCHING ─────────────────────────────────────┐
     ▲  ▲                │  ▲                                         │
     │  └─ list failed   │  └──── resume after the last revision ◄────┘
     │     (back-off)    │                      (back-off)
     └───────────────────┘
       Expired, or a revision older than one already seen

What the cache promises:
- before ``synced`` is set it must not be asked; afterwards it is the state of some revision, and newer ones follow;
- a read that failed never shows: the cache keeps what it had;
- handlers see each object's changes in order, and after a relist the difference to what they were told before.

What it does not: it may lag behind the caller's own writes. Reconcilers therefore name what they create so that a
repeated create is refused (AlreadyExists), or remember what they expect to see.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Set
from typing import Any, Generic

import msgspec
import structlog

from knarr_api import errors, kinds
from knarr_client.client import Client, Event, EventType, Key, T, key_of, meta_of
from knarr_client.clock import Clock, SystemClock
from knarr_client.workqueue import Backoff, WorkQueue

AT_A_TIME = 20
STALE_LISTS_BEFORE_BELIEF = 10
"""A list older than what was seen comes from a server that lags. After so many in a row the store was restored."""


class Change(msgspec.Struct, Generic[T], frozen=True, kw_only=True, gc=False):
    """An object appeared (old is None), changed, or is gone (new is None)."""

    key: Key
    old: T | None
    new: T | None

    @property
    def newest(self) -> T:
        """The object as it is, or was last."""
        obj = self.new if self.new is not None else self.old
        assert obj is not None
        return obj


Handler = Callable[[Change[T]], None]
IndexFunction = Callable[[T], tuple[str, ...]]


class Informer(Generic[T]):
    """Follows the objects of one kind. ``run`` does the work; everything else reads memory."""

    def __init__(
        self,
        client: Client,
        type_: type[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        indexes: Mapping[str, IndexFunction[T]] | None = None,
        clock: Clock | None = None,
        uniform: Callable[[], float] | None = None,
        backoff: Backoff | None = None,
        page_size: int = 5000,
        keep: Callable[[T], T] | None = None,
    ) -> None:
        """keep: what of an object to remember and hand to handlers; its names, uid and revision must stay."""
        self.type = type_
        self.synced = asyncio.Event()
        """Set after the first complete list, never cleared."""
        self._client = client
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._clock = clock or SystemClock()
        self._uniform = uniform or random.random
        self._backoff = backoff or Backoff(first_s=0.05, max_s=5.0, jitter=0.5)
        self._page_size = page_size
        self._keep = keep
        self._objects: dict[Key, T] = {}
        self._namespaces: dict[str, dict[Key, None]] = {}
        self._index_functions: dict[str, IndexFunction[T]] = dict(indexes or {})
        self._indexes: dict[str, dict[str, dict[Key, None]]] = {name: {} for name in self._index_functions}
        self._handlers: list[Handler[T]] = []
        self._revision = ""
        self._failures = 0
        self._stale_lists = 0
        self._last_failure_s: float | None = None
        self._log = structlog.get_logger("knarr.informer").bind(kind=kinds.of(type_).kind)

    # What it knows

    @property
    def revision(self) -> str:
        """The newest revision seen; empty before the first list."""
        return self._revision

    def is_older(self, revision: str) -> bool:
        """Whether it may lack what was written up to that revision."""
        return not self.synced.is_set() or _older(self.revision, revision)

    @property
    def last_failure_s(self) -> float | None:
        """When a list or watch failed last, on the clock's monotonic scale: what is known may have been old then."""
        return self._last_failure_s

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, name: str, namespace: str = "") -> T | None:
        return self._objects.get(Key(namespace, name))

    def by_key(self, key: Key) -> T | None:
        return self._objects.get(key)

    def keys(self) -> tuple[Key, ...]:
        return tuple(self._objects)

    def items(self, namespace: str = "") -> tuple[T, ...]:
        """All objects, or those of one namespace."""
        if not namespace:
            return tuple(self._objects.values())
        return tuple(self._objects[key] for key in self._namespaces.get(namespace, ()))

    def count(self, index: str, value: str) -> int:
        """How many ``by_index`` would give."""
        return len(self._indexes[index].get(value, ()))

    def by_index(self, index: str, value: str) -> tuple[T, ...]:
        """The objects for which the index's function gave this value."""
        return tuple(map(self._objects.__getitem__, self._indexes[index].get(value, ())))

    def values(self, index: str) -> Set[str]:
        """All values that the index's function gives at present."""
        return self._indexes[index].keys()

    # Who is told

    def add_index(self, name: str, function: IndexFunction[T]) -> None:
        """May be called at any time before the index is asked; a second one of the same name is ignored."""
        if name in self._index_functions:
            return
        self._index_functions[name] = function
        index: dict[str, dict[Key, None]] = {}
        self._indexes[name] = index
        for key, obj in self._objects.items():
            for value in function(obj):
                index.setdefault(value, {})[key] = None

    def add_handler(self, handler: Handler[T]) -> None:
        """Call ``handler`` for every change from now on, first for every present object; it must not raise."""
        self._handlers.append(handler)
        for key, obj in tuple(self._objects.items()):
            handler(Change(key=key, old=None, new=obj))

    def follow(self, handler: Handler[T]) -> None:
        """As ``add_handler``, but of present objects it is not told."""
        self._handlers.append(handler)

    def unfollow(self, handler: Handler[T]) -> None:
        """Tell that handler no more, if it was told."""
        if handler in self._handlers:
            self._handlers.remove(handler)

    def enqueue_to(self, queue: WorkQueue[Key]) -> None:
        """Add the key of every changed object to the queue."""
        self.add_handler(lambda change: queue.add(change.key))

    # What it does

    async def run(self) -> None:
        """Follow the API until cancelled. Raises what list or watch raise only for requests that can never succeed."""
        while True:
            try:
                await self._list()
                await self._follow()
            except errors.Expired as error:
                self._log.info("the watch is too old, listing again", error=str(error))
                await self._pause()
            except (errors.Invalid, errors.Unimplemented):
                raise
            except errors.KnarrError as error:
                self._log.warning("list failed", error=str(error), failures=self._failures + 1)
                await self._pause()

    async def _list(self) -> None:
        objects: dict[Key, T] = {}
        continue_ = ""
        while True:
            page = await self._client.list(
                self.type,
                self._namespace,
                label_selector=self._label_selector,
                field_selector=self._field_selector,
                limit=self._page_size,
                continue_=continue_,
            )
            for obj in page.items:
                objects[key_of(obj)] = obj if self._keep is None else self._keep(obj)
            continue_ = page.continue_
            if not continue_:
                break
        if _older(page.resource_version, self._revision):
            self._stale_lists += 1
            if self._stale_lists < STALE_LISTS_BEFORE_BELIEF:
                raise errors.Unavailable(
                    f"the list is of revision {page.resource_version}, older than {self._revision} seen before"
                )
            self._log.warning("the store went back", seen=self._revision, now=page.resource_version)
        self._stale_lists = 0
        await self._replace(objects)
        self._revision = page.resource_version
        self._contact()
        self.synced.set()

    async def _follow(self) -> None:
        """Watch and resume. Raises Expired when only a list helps."""
        while True:
            watch = self._client.watch(
                self.type,
                self._namespace,
                label_selector=self._label_selector,
                field_selector=self._field_selector,
                resource_version=self._revision,
            )
            try:
                async for batch in watch:
                    self._contact()
                    for event in batch:
                        self._take(event)
            except (errors.Expired, errors.Invalid, errors.Unimplemented):
                raise
            except errors.KnarrError as error:
                self._log.info("the watch broke off, resuming", error=str(error), revision=self._revision)
            finally:
                if isinstance(watch, AsyncGenerator):
                    await watch.aclose()
            await self._pause()

    def _take(self, event: Event[T]) -> None:
        if event.type is EventType.BOOKMARK or event.object is None:
            if not _older(event.resource_version, self._revision):
                self._revision = event.resource_version or self._revision
            return
        if _older(event.resource_version, self._revision):
            raise errors.Expired(f"event of revision {event.resource_version} came after {self._revision}")
        self._put(key_of(event.object), None if event.type is EventType.DELETED else event.object)
        self._revision = event.resource_version

    async def _replace(self, objects: Mapping[Key, T]) -> None:
        """A part at a time: others of the process get their turn in between."""
        for key in [key for key in self._objects if key not in objects]:
            self._put(key, None)
        for number, (key, obj) in enumerate(objects.items(), 1):
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
            present = self._objects.get(key)
            if present is None or _identity(present) != _identity(obj):
                self._put(key, obj)

    def _put(self, key: Key, obj: T | None) -> None:
        old = self._objects.get(key)
        if old is None and obj is None:
            return
        if obj is not None and self._keep is not None:
            obj = self._keep(obj)
        for name, function in self._index_functions.items():
            before = function(old) if old is not None else ()
            after = function(obj) if obj is not None else ()
            if before != after:  # which it is not with most changes
                _reindex(self._indexes[name], key, before, after)
        if obj is None:
            del self._objects[key]
        else:
            self._objects[key] = obj
        if old is None or obj is None:
            _move(self._namespaces, key, key.namespace if obj is None else None, key.namespace if old is None else None)
        change = Change(key=key, old=old, new=obj)
        for handler in self._handlers:
            handler(change)

    def _contact(self) -> None:
        self._failures = 0

    async def _pause(self) -> None:
        self._failures += 1
        self._last_failure_s = self._clock.monotonic()
        await self._clock.sleep(self._backoff.delay_s(self._failures, self._uniform()))


async def wait_synced(*informers: Informer[Any]) -> None:
    """Until all of them have listed once. The caller bounds it with ``asyncio.timeout``."""
    for informer in informers:
        await informer.synced.wait()


def _identity(obj: T) -> tuple[str, str]:
    metadata = meta_of(obj)
    return metadata.uid, metadata.resource_version


def _older(revision: str, than: str) -> bool:
    """Knarr's revisions are integers; of others nothing is assumed."""
    if revision.isdecimal() and than.isdecimal():
        return int(revision) < int(than)
    return False


def _reindex(index: dict[str, dict[Key, None]], key: Key, before: tuple[str, ...], after: tuple[str, ...]) -> None:
    for value in set(before) - set(after):
        _move(index, key, value, None)
    for value in set(after) - set(before):
        _move(index, key, None, value)


def _move(index: dict[str, dict[Key, None]], key: Key, source: str | None, target: str | None) -> None:
    if source == target:
        return
    if source is not None:
        keys = index.get(source)
        if keys is not None:
            keys.pop(key, None)
            if not keys:
                del index[source]
    if target is not None:
        index.setdefault(target, {})[key] = None
