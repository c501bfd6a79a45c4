"""Who looks at another's informer for a while is told of everything once, in order, and costs no reading."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest

from knarr_api.types.core_v1 import ConfigMap
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import virtual_time
from knarr_client.branch import Branch
from knarr_client.informer import AT_A_TIME, Informer
from knarr_client.memory import MemoryApi, MemoryClient

replace = msgspec.structs.replace
MANY = 3 * AT_A_TIME


class World:
    def __init__(self, clock):
        self.clock = clock
        self.client = MemoryClient(MemoryApi(clock=clock))
        self.trunk = Informer(self.client, ConfigMap, clock=clock, uniform=lambda: 0.5)
        self.group = asyncio.TaskGroup()
        self.running = []

    def start(self, informer):
        self.running.append(asyncio.ensure_future(informer.run()))
        return self.running[-1]

    async def write(self, name, **data):
        metadata = ObjectMeta(name=name, namespace="default")
        return await self.client.create(ConfigMap(metadata=metadata, data=data))

    def branch(self):
        """With what its handler was told: name and data before and after."""
        branch, told = Branch(self.trunk), []

        def note(change):
            old, new = (each and dict(each.data) for each in (change.old, change.new))
            told.append((change.key.name, old, new))

        branch.add_handler(note)
        return branch, told


def play(scenario):
    async def run(clock):
        world = World(clock)
        try:
            await scenario(world)
        finally:
            for task in world.running:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    virtual_time.run(run)


def test_it_is_told_of_what_is_there_and_then_of_changes():
    async def scenario(world):
        made = await world.write("a", k="1")
        world.start(world.trunk)
        await world.trunk.synced.wait()
        branch, told = world.branch()
        world.start(branch)
        await branch.synced.wait()
        assert told == [("a", None, {"k": "1"})]
        await world.client.update(replace(made, data={"k": "2"}))
        await world.client.delete(ConfigMap, "a", "default")
        await world.clock.sleep(0.1)
        assert told[1:] == [("a", {"k": "1"}, {"k": "2"}), ("a", {"k": "2"}, None)]

    play(scenario)


def test_it_has_synced_no_sooner_than_what_it_looks_at():
    async def scenario(world):
        await world.write("a")
        branch, told = world.branch()
        world.start(branch)
        await world.clock.sleep(1.0)
        assert not branch.synced.is_set()
        world.start(world.trunk)
        await branch.synced.wait()
        assert [name for name, _, _ in told] == ["a"]

    play(scenario)


def test_what_changes_before_it_is_told_of_is_told_as_it_then_is():
    async def scenario(world):
        made = [await world.write(f"c{number:03}", k="1") for number in range(MANY)]
        world.start(world.trunk)
        await world.trunk.synced.wait()
        branch, told = world.branch()
        world.start(branch)
        await asyncio.sleep(0)  # it has begun, and told of no more than one part
        assert 0 < len(told) < AT_A_TIME
        (changed, gone, again), keys = made[-3:], world.trunk.keys()[-3:]
        known = world.trunk.by_key(keys[2])
        world.trunk._put(keys[0], replace(changed, data={"k": "2"}))
        world.trunk._put(keys[1], None)
        world.trunk._put(keys[2], None)
        assert not {name for name, _, _ in told} & {key.name for key in keys}
        world.trunk._put(keys[2], replace(known, data={"k": "new"}))
        await branch.synced.wait()
        of = {name: (old, new) for name, old, new in told}
        assert of[changed.metadata.name] == (None, {"k": "2"})
        assert of[again.metadata.name] == (None, {"k": "new"})
        assert gone.metadata.name not in of
        assert len(told) == len(of) == MANY - 1

    play(scenario)


def test_it_leaves_nothing_behind_when_it_ends():
    async def scenario(world):
        await world.write("a")
        world.start(world.trunk)
        await world.trunk.synced.wait()
        for _ in range(3):
            branch, told = world.branch()
            running = world.start(branch)
            await branch.synced.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        await world.write("b")
        await world.clock.sleep(0.1)
        assert [name for name, _, _ in told] == ["a"]
        assert world.trunk._handlers == []

    play(scenario)


def test_indexes_are_shared():
    async def scenario(world):
        await world.write("a", owner="x")
        world.start(world.trunk)
        await world.trunk.synced.wait()
        branch, _ = world.branch()
        branch.add_index("owner", lambda obj: (obj.data["owner"],))
        await world.write("b", owner="x")
        await world.clock.sleep(0.1)
        assert [obj.metadata.name for obj in branch.by_index("owner", "x")] == ["a", "b"]

    play(scenario)
