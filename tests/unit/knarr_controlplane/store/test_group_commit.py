"""What may go into one batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import pytest

from knarr_api.errors import Internal
from knarr_controlplane.store.group_commit import FIRST, Asked, Busy, GroupCommitter, Waiting, take_batch
from knarr_controlplane.store.protocol import Check, Operation, Outcome, Put


def batches(*commits: tuple[Operation, ...]) -> list[list[tuple[Operation, ...]]]:
    """As they go, each when the one before is done."""
    waiting = deque(alone(*commit) for commit in commits)
    taken = []
    while waiting:
        taken.append([commit.operations for commit in take_batch(waiting, Busy())])
    return taken


def alone(*operations: Operation) -> Waiting:
    """A commit for which nobody waits."""
    loop = asyncio.new_event_loop()
    asked = Asked(loop.create_future(), [()], 1)
    loop.close()
    return Waiting(operations, asked)


def test_writes_of_one_key_go_one_after_the_other() -> None:
    first, second, other = (Put("a", b"1"),), (Put("a", b"2"),), (Put("b", b"3"),)
    assert batches(first, second, other) == [[first, other], [second]]


def test_what_only_compares_a_key_goes_together() -> None:
    fence = Check("term", 7)
    commits = [(Put(f"key {number}", b""), fence) for number in range(20)]
    assert batches(*commits) == [commits]


def test_a_write_of_a_key_waits_for_those_that_compare_it_and_they_for_it() -> None:
    before, write, after = (Put("a", b""), Check("term", 7)), (Put("term", b""),), (Put("b", b""), Check("term", 8))
    assert batches(before, write, after) == [[before], [write], [after]]


def test_a_key_is_free_again_when_the_last_that_compares_it_is_done() -> None:
    busy, first, second = Busy(), alone(Put("a", b""), Check("term", 7)), alone(Put("b", b""), Check("term", 7))
    busy.add(first)
    busy.add(second)
    busy.remove(first)
    assert busy.meets(alone(Put("term", b""))) and not busy.meets(alone(Put("a", b"")))
    busy.remove(second)
    assert not busy.meets(alone(Put("term", b"")))


async def test_leases_go_before_what_waits_and_no_key_is_in_two_batches_at_a_time() -> None:
    applied: list[list[str]] = []
    under_way: set[str] = set()
    began = asyncio.Event()

    async def apply(batch: Sequence[tuple[Operation, ...]]) -> Sequence[Outcome]:
        keys = [operation.key for operations in batch for operation in operations]
        assert not under_way & set(keys)
        under_way.update(keys)
        applied.append(keys)
        began.set()
        await asyncio.sleep(0.001)
        under_way.difference_update(keys)
        return [(len(applied),) for _ in batch]

    committer = GroupCommitter(apply, in_flight=2)
    pods = asyncio.create_task(committer.commit_each([(Put(f"pod-{number % 300}", b""),) for number in range(1000)]))
    await began.wait()
    before = len(applied)
    first = await committer.commit((Put(FIRST + "a", b"1"),))
    assert first[0] <= before + 2
    assert not pods.done()
    await pods
    assert sum(len(keys) for keys in applied) == 1001
    await committer.close()


async def test_those_who_write_at_the_same_time_are_gathered() -> None:
    sizes: list[int] = []

    async def apply(batch: Sequence[tuple[Operation, ...]]) -> Sequence[Outcome]:
        sizes.append(len(batch))
        return [(len(sizes),)] * len(batch)

    committer = GroupCommitter(apply, in_flight=2)

    async def write(name: str) -> None:
        await committer.commit([Put(name, b"")])

    await asyncio.gather(*(write(f"first {number}") for number in range(3)))
    late = []
    for number in range(5):  # one at a time, as they come from the network
        late.append(asyncio.create_task(write(f"late {number}")))
        await asyncio.sleep(0)
    await asyncio.gather(*late)
    assert sizes == [3, 5]
    await write("alone")
    await write("again")
    assert sizes == [3, 5, 1, 1]
    await committer.close()


@pytest.mark.parametrize("prefix", ["pod-", FIRST])
async def test_what_nobody_waits_for_any_more_is_not_written(prefix: str) -> None:
    applied: list[str] = []
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def apply(batch: Sequence[tuple[Operation, ...]]) -> Sequence[Outcome]:
        applied.extend(operation.key for operations in batch for operation in operations)
        began.set()
        await goes_on.wait()
        return [(len(applied),)] * len(batch)

    committer = GroupCommitter(apply, in_flight=1)
    under_way = asyncio.create_task(committer.commit([Put(f"{prefix}first", b"")]))
    await began.wait()
    given_up = asyncio.create_task(committer.commit([Put(f"{prefix}second", b"")]))
    last = asyncio.create_task(committer.commit([Put(f"{prefix}third", b"")]))
    await asyncio.sleep(0)
    given_up.cancel()
    goes_on.set()
    await asyncio.gather(under_way, last)
    assert applied == [f"{prefix}first", f"{prefix}third"]
    await committer.close()


async def test_a_failure_that_nobody_has_thought_of_is_an_outcome_and_frees_the_keys() -> None:
    failing = True

    async def apply(batch: Sequence[tuple[Operation, ...]]) -> Sequence[Outcome]:
        if failing:
            raise ValueError("no such thing")
        return [(1,) for _ in batch]

    committer = GroupCommitter(apply, in_flight=1)
    async with asyncio.timeout(30):
        with pytest.raises(Internal, match=r"no such thing.*may have happened"):
            await committer.commit((Put("a", b""),))
        failing = False
        assert await committer.commit((Put("a", b""),)) == (1,)
