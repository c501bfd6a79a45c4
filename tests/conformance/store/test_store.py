"""What every store promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from knarr_api.errors import Expired, Invalid, Unavailable
from knarr_controlplane.store import revision
from knarr_controlplane.store.fenced import FencedStore
from knarr_controlplane.store.protocol import (
    MAX_VALUE_BYTES,
    Check,
    Delete,
    KeyConflict,
    Progress,
    Put,
    Store,
    StoreEvent,
)

A, B, C = "/registry/core/pods/d/a", "/registry/core/pods/d/b", "/registry/core/nodes/c"
PODS = "/registry/core/pods/"


async def take(watch: AsyncIterator[tuple[StoreEvent | Progress, ...]], count: int) -> list[StoreEvent]:
    """The next ``count`` events."""
    events: list[StoreEvent] = []
    async with asyncio.timeout(10):
        async for batch in watch:
            events += [event for event in batch if isinstance(event, StoreEvent)]
            if len(events) >= count:
                break
    return events


async def test_what_was_put_is_read(store: Store) -> None:
    (put,) = await store.commit([Put(A, b"one", 0)])
    entry = await store.get(A)
    assert entry is not None and entry.value == b"one" and revision.same_write(entry.revision, put)
    assert await store.get(B) is None


async def test_compare_on_revision(store: Store) -> None:
    (first,) = await store.commit([Put(A, b"one", 0)])
    with pytest.raises(KeyConflict) as caught:
        await store.commit([Put(A, b"again", 0)])
    assert revision.same_write(caught.value.actual, first)
    (second,) = await store.commit([Put(A, b"two", first)])
    with pytest.raises(KeyConflict):
        await store.commit([Put(A, b"three", first)])
    with pytest.raises(KeyConflict):
        await store.commit([Delete(A, first)])
    await store.commit([Delete(A, second)])
    with pytest.raises(KeyConflict) as gone:
        await store.commit([Put(A, b"four", second)])
    assert gone.value.actual == 0
    assert await store.get(A) is None


async def test_all_or_nothing(store: Store) -> None:
    await store.commit([Put(B, b"b")])
    with pytest.raises(KeyConflict):
        await store.commit([Put(A, b"a", 0), Put(B, b"x", 0)])
    assert await store.get(A) is None
    with pytest.raises(KeyConflict):
        await store.commit([Put(A, b"a", 0), Check(C, 12345)])
    revisions = await store.commit([Put(A, b"a", 0), Check(C, 0), Delete(B)])
    assert revisions[1] == 0 and revisions[0] < revisions[2]


async def test_deleting_nothing_changes_nothing(store: Store) -> None:
    before = await store.revision()
    assert await store.commit([Delete(A)]) == (0,)
    assert await store.revision() == before


async def test_list_is_of_one_revision_and_in_pages(store: Store) -> None:
    keys = [f"{PODS}d/p{i:03}" for i in range(25)]
    await asyncio.gather(*(store.commit([Put(key, key.encode())]) for key in keys))
    await store.commit([Put(C, b"node")])
    page = await store.list(PODS, limit=10)
    assert page.more and len(page.entries) == 10
    await store.commit([Delete(keys[20]), Put(keys[21], b"changed")])
    found = list(page.entries)
    while page.more:
        page = await store.list(PODS, limit=10, after=found[-1].key, at_revision=page.revision)
        found += page.entries
    assert [entry.key for entry in found] == keys
    assert all(entry.value == entry.key.encode() for entry in found)
    assert len((await store.list(PODS)).entries) == 24


async def test_watch_delivers_in_order_and_resumes_anywhere(store: Store) -> None:
    start = await store.revision()
    await asyncio.gather(
        *(store.commit([Put(f"{PODS}d/p{i}", b"1"), Put(f"/registry/other/{i}", b"x")]) for i in range(40))
    )
    await store.commit([Put(f"{PODS}d/p0", b"2")])
    await store.commit([Delete(f"{PODS}d/p1")])
    events = await take(store.watch(PODS, after=start), 42)
    assert len(events) == 42 and [e.revision for e in events] == sorted({e.revision for e in events})
    assert events[-2].previous == b"1" and events[-2].value == b"2"
    assert events[-1].value is None and events[-1].previous == b"1"
    for index in (0, 3, 17, 39, 40):
        rest = await take(store.watch(PODS, after=events[index].revision), 41 - index)
        assert [e.revision for e in rest] == [e.revision for e in events[index + 1 :]]


async def test_progress_is_not_ahead_of_what_was_delivered(store: Store) -> None:
    """etcd delivers so long a past in parts, of which the first are of other keys only."""
    (start,) = await store.commit([Put(f"{PODS}d/p", b"1")])
    for _ in range(1100):
        await store.commit([Put("/registry/other/o", b"")])
    (gone,) = await store.commit([Delete(f"{PODS}d/p")])
    async with asyncio.timeout(10):
        async for batch in store.watch(PODS, after=start):
            if isinstance(batch[-1], StoreEvent):
                break
            assert batch[-1].revision < gone
        assert batch[-1].revision == gone


async def test_watch_sees_what_comes(store: Store) -> None:
    watch = store.watch(PODS, after=await store.revision())
    task = asyncio.create_task(take(watch, 2))
    (one,) = await store.commit([Put(A, b"1")])
    await store.commit([Put(C, b"not a pod")])
    (two,) = await store.commit([Put(B, b"2")])
    assert [event.revision for event in await task] == [one, two]


async def test_list_then_watch_misses_nothing(store: Store) -> None:
    writers = [asyncio.create_task(store.commit([Put(f"{PODS}d/{i}", str(i).encode())])) for i in range(200)]
    await asyncio.wait(writers, return_when=asyncio.FIRST_COMPLETED)
    listing = await store.list(PODS)
    seen = {entry.key for entry in listing.entries}
    await asyncio.gather(*writers)
    later = await take(store.watch(PODS, after=listing.revision), 200 - len(seen)) if len(seen) < 200 else []
    assert len(seen) + len(later) == 200 and not seen & {event.key for event in later}


async def test_compacted_is_said(store: Store) -> None:
    (first,) = await store.commit([Put(A, b"1")])
    (second,) = await store.commit([Put(A, b"2", first)])
    (third,) = await store.commit([Put(A, b"3", second)])
    await store.compact(third)
    await store.compact(third)
    with pytest.raises(Expired):
        await take(store.watch(PODS, after=first), 1)
    with pytest.raises(Expired):
        await store.list(PODS, at_revision=first)
    entry = await store.get(A)
    assert entry is not None and entry.value == b"3"


async def test_one_conflict_fails_one_commit_of_a_batch(store: Store) -> None:
    await store.commit([Put(A, b"taken")])
    commits = [store.commit([Put(f"{PODS}d/{i}", b"x", 0)]) for i in range(50)] + [store.commit([Put(A, b"y", 0)])]
    results = await asyncio.gather(*commits, return_exceptions=True)
    assert isinstance(results[-1], KeyConflict)
    assert not any(isinstance(result, BaseException) for result in results[:-1])


async def test_concurrent_counters_lose_no_increment(store: Store) -> None:
    await store.commit([Put(A, b"0", 0)])

    async def increment() -> None:
        while True:
            entry = await store.get(A)
            assert entry is not None
            try:
                await store.commit([Put(A, str(int(entry.value) + 1).encode(), entry.revision)])
            except KeyConflict:
                continue
            return

    await asyncio.gather(*(increment() for _ in range(20)))
    entry = await store.get(A)
    assert entry is not None and entry.value == b"20"


async def test_limits(store: Store) -> None:
    with pytest.raises(Invalid, match="Request entity too large"):
        await store.commit([Put(A, b"x" * (MAX_VALUE_BYTES + 1))])
    with pytest.raises(Invalid, match="at most once"):
        await store.commit([Put(A, b"x"), Delete(A)])
    await store.commit([Put(A, b"x" * (1024 * 1024))])


async def test_a_list_at_a_revision_that_is_still_to_come_is_refused(store: Store) -> None:
    await store.commit([Put(A, b"a")])
    with pytest.raises(Expired):
        await store.list(PODS, at_revision=await store.revision() + revision.pack(1000, 0))


async def test_nothing_is_committed_behind_a_fence_that_has_fallen(store: Store) -> None:
    (term,) = await store.commit([Put(C, b"first", 0)])
    lost: list[str] = []
    fenced = FencedStore(store, Check(C, term), lambda: lost.append("lost"))
    keys = [f"{PODS}{number:03}" for number in range(100)]
    revisions = await asyncio.gather(*(fenced.commit([Put(key, b"first", 0)]) for key in keys))
    assert all(len(each) == 1 and each[0] for each in revisions)
    with pytest.raises(KeyConflict):
        await fenced.commit([Put(keys[0], b"old", 0)])
    assert not lost
    await store.commit([Put(C, b"second")])
    late = await asyncio.gather(*(fenced.commit([Put(key, b"late")]) for key in keys), return_exceptions=True)
    assert all(isinstance(error, Unavailable) for error in late), late
    assert len(lost) == len(keys)
    assert {entry.value for entry in (await store.list(PODS)).entries} == {b"first"}


async def test_commits_asked_for_together_have_outcomes_of_their_own(store: Store) -> None:
    await store.commit([Put(A, b"taken", 0)])
    large = b"x" * (MAX_VALUE_BYTES + 1)
    first, refused, both, invalid = await store.commit_each(
        [[Put(B, b"one", 0)], [Put(A, b"again", 0)], [Put(C, b"two"), Check(A, 0)], [Put(C, large)]]
    )
    assert isinstance(first, tuple) and len(first) == 1
    assert isinstance(refused, KeyConflict) and refused.key == A
    assert isinstance(both, KeyConflict)
    assert isinstance(invalid, Invalid)
    entry = await store.get(B)
    assert entry is not None and entry.value == b"one"
    assert await store.get(C) is None


async def test_very_many_commits_together(store: Store) -> None:
    outcomes = await store.commit_each([[Put(f"{PODS}{number}", b"x", 0)] for number in range(600)])
    assert len({outcome[0] for outcome in outcomes if isinstance(outcome, tuple)}) == 600
    assert len((await store.list(PODS)).entries) == 600
