"""The real scheduler and the real registry in virtual time; nodes let go of pods that are deleted."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec
import pytest

from knarr_api import errors, kinds
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import Container, Event, Node, NodeStatus, Pod, PodSpec, ResourceRequirements
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import virtual_time
from knarr_client.virtual_time import VirtualClock, eventually
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry.local_client import LocalClient
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.scheduler.scheduler import Scheduler, SchedulerSettings
from knarr_controlplane.store.memory import MemoryStore
from knarr_controlplane.store.protocol import KeyConflict, Operation

GRACE_S = 3.0
replace = msgspec.structs.replace


class LateStore(MemoryStore):
    """While ``silent`` names keys it says that it does not know whether it will write them, and does when told to;
    what is written to keys that ``held`` names waits until ``go_on``."""

    def __init__(self) -> None:
        super().__init__()
        self.silent = ""
        self.says: errors.KnarrError = errors.DeadlineExceeded("the store did not answer; the write may have happened")
        self.held = ""
        self._free = asyncio.Event()
        self.late: list[tuple[Operation, ...]] = []

    async def commit(self, operations: Sequence[Operation]) -> tuple[int, ...]:
        if self.held and any(operation.key.startswith(self.held) for operation in operations):
            await self._free.wait()
        if self.silent and any(operation.key.startswith(self.silent) for operation in operations):
            self.late.append(tuple(operations))
            raise self.says
        return await super().commit(operations)

    def go_on(self) -> None:
        self.held = ""
        self._free.set()

    async def do_late(self) -> int:
        """How many of the writes could still be done."""
        late, self.late = self.late, []
        done = 0
        for operations in late:
            with contextlib.suppress(KeyConflict):
                await super().commit(operations)
                done += 1
        return done


class World:
    def __init__(self, registry: Registry, store: LateStore, clock: VirtualClock) -> None:
        self.clock = clock
        self.store = store
        self.client = LocalClient(registry)
        self._registry = registry

    async def add_node(self, name: str, *, cpu: str = "4") -> None:
        amounts = {"cpu": Quantity(cpu), "memory": Quantity("8Gi"), "pods": Quantity("110")}
        await self.client.create(Node(metadata=ObjectMeta(name=name), status=NodeStatus(allocatable=amounts)))

    async def add_pod(self, name: str, *, cpu: str = "1", labels: dict[str, str] | None = None, **spec: Any) -> None:
        resources = ResourceRequirements(requests={"cpu": Quantity(cpu)})
        await self.client.create(
            Pod(
                metadata=ObjectMeta(name=name, namespace="default", labels=labels or {}),
                spec=PodSpec(containers=(Container(name="main", image="x", resources=resources),), **spec),
            )
        )

    def all(self, type_: Any) -> list[Any]:
        return [entry.value() for entry in self._registry.cache.of(kinds.of(type_)).entries.values()]

    def pod(self, name: str) -> Pod | None:
        return next((pod for pod in self.all(Pod) if pod.metadata.name == name), None)

    def node_of(self, name: str) -> str:
        pod = self.pod(name)
        return pod.spec.node_name if pod is not None else ""

    def condition(self, name: str, type_: str) -> Any:
        pod = self.pod(name)
        return next((c for c in pod.status.conditions if c.type == type_), None) if pod is not None else None

    def events(self, reason: str) -> list[Event]:
        return [event for event in self.all(Event) if event.reason == reason]

    async def until(self, condition: Callable[[], bool], *, within_s: float = 30) -> float:
        return await eventually(condition, within_s=within_s)

    async def let_go(self) -> None:
        """Every node takes ``GRACE_S`` to end a pod."""
        while True:
            for pod in self.all(Pod):
                since = pod.metadata.deletion_timestamp
                if since is None or not pod.spec.node_name:
                    continue
                asked_s = (self.clock.now() - since).total_seconds() + (pod.metadata.deletion_grace_period_seconds or 0)
                if asked_s >= GRACE_S:
                    with contextlib.suppress(errors.NotFound, errors.Conflict):
                        await self.client.delete(Pod, pod.metadata.name, "default", grace_period_s=0)
            await self.clock.sleep(0.2)


Scenario = Callable[[World], Coroutine[Any, Any, None]]


@pytest.fixture
def play() -> Callable[[Scenario], None]:
    """Run a scenario beside the scheduler."""

    async def run(clock: VirtualClock, scenario: Scenario) -> None:
        store, storage = LateStore(), Storage(bytes(32))
        cache = WatchCache(store, storage.decode)
        randomness = random.Random(1)
        registry = Registry(store, cache, storage, admission=Admission(), now=clock.now, randomness=randomness)
        world = World(registry, store, clock)
        following = asyncio.create_task(cache.run())
        await cache.ready.wait()
        await registry.make_system_objects()
        scheduler = Scheduler(client=world.client, settings=SchedulerSettings(), clock=clock)
        others = [asyncio.create_task(scheduler.run()), asyncio.create_task(world.let_go())]
        try:
            await scenario(world)
            for task in others:
                assert not task.done(), task.result()
        finally:
            for task in (*others, following):
                task.cancel()
            await asyncio.wait({*others, following})
            await store.close()

    return lambda scenario: virtual_time.run(lambda clock: run(clock, scenario))
