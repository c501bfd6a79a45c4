"""Whoever lists and then watches, with any filter, from any place, ends up with what is there.

Random writes by several writers at a time; watchers that break off and resume at random; a cache that forgets at
random. The oracle is a list at the end.
"""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest

from knarr_api import errors, kinds
from knarr_api.types.core_v1 import Container, Pod, PodSpec
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.clock import SystemClock
from knarr_controlplane.cache.changes import ChangeType
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry.addressing import filter_of
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store.memory import MemoryStore
from knarr_controlplane.store.sqlite import SqliteStore

POD = kinds.of(Pod)
FILTERS = (
    ("", "", ""),
    ("default", "", ""),
    ("default", "tier=a", ""),
    ("", "tier!=a", ""),
    ("", "", "spec.nodeName=n1"),
    ("", "", "spec.nodeName="),
    ("", "", "metadata.name=p3"),
    ("", "tier=a", "spec.nodeName=n2"),
)
WRITES = 150
DEADLINE_S = 30
replace = msgspec.structs.replace


@pytest.fixture(params=["memory", "sqlite"])
async def registry(request, tmp_path):
    store = MemoryStore() if request.param == "memory" else await SqliteStore.open(tmp_path / "store")
    storage = Storage.open(tmp_path / "key")
    cache = WatchCache(store, storage.decode)
    await cache.load()
    following = asyncio.create_task(cache.run())
    made = Registry(store, cache, storage, admission=Admission(), now=SystemClock().now)
    await made.make_system_objects()
    yield made
    following.cancel()
    await asyncio.wait({following})
    await store.close()


async def write(registry, chance):
    """Something that may well be refused."""
    name = f"p{chance.randrange(8)}"
    try:
        match chance.randrange(6):
            case 0 | 1:
                spec = PodSpec(containers=(Container(name="c", image="a:1"),))
                metadata = ObjectMeta(name=name, namespace="default", labels={"tier": chance.choice("ab")})
                await registry.create(Pod(metadata=metadata, spec=spec))
            case 2:
                await registry.patch(POD, "default", name, {"metadata": {"labels": {"tier": chance.choice("ab")}}})
            case 3:
                await registry.bind("default", name, "", chance.choice(("n1", "n2")))
            case 4:
                await registry.delete(POD, "default", name, grace_s=chance.choice((0, None)))
            case 5:
                await registry.patch(POD, "default", name, {"status": {"phase": "Running"}}, subresource="status")
    except (errors.NotFound, errors.AlreadyExists, errors.Conflict):
        pass


class Follower:
    """Keeps a copy by watching; breaks off now and then."""

    def __init__(self, registry, filter_, chance):
        self.registry = registry
        self.filter = filter_
        self.chance = chance
        self.copy = {}
        self.revision = ""
        self.seen = []

    async def run(self):
        while True:
            batches = self.registry.watch(POD, self.filter, self.revision)
            try:
                async for batch in batches:
                    for change in batch:
                        self._take(change)
                        if self.revision and self.chance.random() < 0.1:
                            break
                    else:
                        continue
                    break
            except errors.Expired:
                self.copy, self.revision = {}, ""
            finally:
                await batches.aclose()

    def _take(self, change):
        if change.type is not ChangeType.BOOKMARK:
            key = change.entry.key
            if change.type is ChangeType.ADDED:
                assert key not in self.copy
            else:
                assert key in self.copy
            if change.type is ChangeType.DELETED:
                del self.copy[key]
            else:
                self.copy[key] = change.entry.json
        if self.revision or change.type is ChangeType.BOOKMARK:
            assert change.revision >= int(self.revision or 0)
            self.revision = str(change.revision)


@pytest.mark.parametrize("seed", range(4))
async def test_a_copy_kept_by_watching_is_what_is_there(registry, seed):
    chance = random.Random(seed)
    followers = [
        Follower(registry, filter_of(POD, *arguments), random.Random(f"{seed}{number}"))
        for number, arguments in enumerate(FILTERS * 2)
    ]
    async with asyncio.timeout(DEADLINE_S):
        tasks = [asyncio.create_task(follower.run()) for follower in followers]
        for _ in range(WRITES // 5):
            await asyncio.gather(*(write(registry, chance) for _ in range(5)))
            if chance.random() < 0.1:
                registry.cache.forget(registry.cache.revision)
        wanted = [
            {entry.key: entry.json for entry in registry.list(POD, follower.filter).entries} for follower in followers
        ]
        while [follower.copy for follower in followers] != wanted:
            assert not any(task.done() for task in tasks), tasks
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_a_reader_sees_what_was_written_before_it_asked(registry):
    chance = random.Random(7)
    for _ in range(100):
        await write(registry, chance)
        await registry.catch_up()
        newest = await registry.writes.store.revision()
        assert newest >> 8 == registry.cache.revision >> 8


async def test_a_change_reaches_only_the_watchers_it_may_concern(registry):
    cache = registry.cache.of(POD)
    selectors = ("spec.nodeName=n1", "spec.nodeName=n2", "metadata.name=other", "")
    agent, stranger, by_name, everything = (
        cache.subscribe(filter_of(POD, "", "", selector), registry.cache.revision) for selector in selectors
    )
    spec = PodSpec(containers=(Container(name="c", image="a:1"),))
    await registry.create(Pod(metadata=ObjectMeta(name="p", namespace="default"), spec=spec))
    await registry.bind("default", "p", "", "n1")
    assert [len(one.pending) for one in (agent, stranger, by_name, everything)] == [1, 0, 0, 2]
    assert agent.wake.is_set() and not stranger.wake.is_set()
    late = cache.subscribe(filter_of(POD, "", "", "spec.nodeName=n1"), 0)
    assert [change.new.name for change in late.next(10)] == ["p"]


async def test_nodes_whose_pods_are_gone_take_no_room(registry):
    spec = PodSpec(containers=(Container(name="c", image="a:1"),))
    for name, node in (("p1", "n1"), ("p2", "n1"), ("p3", "n2")):
        await registry.create(Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=spec))
        await registry.bind("default", name, "", node)
    await registry.delete(POD, "default", "p1", grace_s=0)
    await registry.delete(POD, "default", "p3", grace_s=0)
    of_node = {node: sorted(pods) for node, pods in registry.cache.of(POD).by_node.items()}
    assert of_node == {"n1": [POD.key("default", "p2")]}
