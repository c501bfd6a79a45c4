"""An agent is shown what it has reported itself with what comes next or a moment later; everybody else, at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from knarr_api import kinds
from knarr_api.types.core_v1 import Container, Pod, PodSpec
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import virtual_time
from knarr_client.virtual_time import VirtualClock
from knarr_controlplane.cache.kind_cache import ECHO_S
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry.addressing import filter_of
from knarr_controlplane.registry.bulk import Wanted
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.server.pod_statuses import PodStatuses
from knarr_controlplane.store.memory import MemoryStore

POD = kinds.of(Pod)
replace = msgspec.structs.replace
Seen = list[tuple[float, str, str]]
"""When, in seconds, whom, and in which phase."""


class Cluster:
    """Pods ``a`` and ``b`` of node ``n1``, the statuses of its agent, and two who watch its pods from the start."""

    def __init__(self, registry: Registry, statuses: PodStatuses, clock: VirtualClock) -> None:
        self.registry = registry
        self._statuses = statuses
        self._clock = clock
        self.agent: Seen = []
        self.other: Seen = []

    async def report(self, name: str, phase: str) -> None:
        wanted = Wanted("default", name, lambda pod: replace(pod, status=replace(pod.status, phase=phase)))
        await self._statuses.store([wanted])

    async def watch(self, seen: Seen, *, reporter: bool) -> None:
        pods = filter_of(POD, "", "", "spec.nodeName=n1")
        async for batch in self.registry.watch(POD, pods, "", initial=False, reporter=reporter):
            for change in batch:
                if change.entry is not None:
                    pod = change.entry.value()
                    seen.append((self._clock.monotonic(), pod.metadata.name, pod.status.phase))


@asynccontextmanager
async def cluster(clock: VirtualClock, path: Path) -> AsyncIterator[Cluster]:
    store, storage = MemoryStore(), Storage.open(path)
    cache = WatchCache(store, storage.decode)
    await cache.load()
    registry = Registry(store, cache, storage, admission=Admission(), now=clock.now)
    statuses = PodStatuses(registry)
    made = Cluster(registry, statuses, clock)
    running = [asyncio.create_task(cache.run()), asyncio.create_task(statuses.run())]
    await registry.make_system_objects()
    for name in ("a", "b"):
        spec = PodSpec(containers=(Container(name="c", image="a:1"),), node_name="n1")
        await registry.create(Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=spec))
    running.append(asyncio.create_task(made.watch(made.agent, reporter=True)))
    running.append(asyncio.create_task(made.watch(made.other, reporter=False)))
    await clock.sleep(1.0)
    try:
        yield made
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        await store.close()


def test_reports_are_shown_to_their_agent_together(tmp_path: Path) -> None:
    async def scenario(clock: VirtualClock) -> None:
        async with cluster(clock, tmp_path / "key") as made:
            began_s = clock.monotonic()
            await made.report("a", "Running")
            await clock.sleep(ECHO_S / 4)
            await made.report("b", "Running")
            assert not made.agent
            assert [(name, phase) for _, name, phase in made.other] == [("a", "Running"), ("b", "Running")]
            await clock.sleep(ECHO_S)
            assert [(name, phase) for _, name, phase in made.agent] == [("a", "Running"), ("b", "Running")]
            (shown_s,) = {at_s for at_s, _, _ in made.agent}
            assert began_s + ECHO_S / 2 <= shown_s <= began_s + ECHO_S

    virtual_time.run(scenario)


def test_what_others_change_is_shown_at_once_after_what_was_reported(tmp_path: Path) -> None:
    async def scenario(clock: VirtualClock) -> None:
        async with cluster(clock, tmp_path / "key") as made:
            await made.report("a", "Running")
            began_s = clock.monotonic()
            await made.registry.delete(POD, "default", "a")
            await clock.sleep(ECHO_S / 2)
            assert made.agent == [(began_s, "a", "Running"), (began_s, "a", "Running")]
            await clock.sleep(2 * ECHO_S)
            assert len(made.agent) == 2

    virtual_time.run(scenario)


def test_a_status_that_somebody_else_writes_is_shown_at_once(tmp_path: Path) -> None:
    async def scenario(clock: VirtualClock) -> None:
        async with cluster(clock, tmp_path / "key") as made:
            began_s = clock.monotonic()
            patch = {"status": {"phase": "Failed"}}
            await made.registry.patch(POD, "default", "a", patch, subresource="status")
            await clock.sleep(ECHO_S / 2)
            assert made.agent == [(began_s, "a", "Failed")]

    virtual_time.run(scenario)


def test_reports_that_wait_are_shown_when_the_log_forgets_them(tmp_path: Path) -> None:
    async def scenario(clock: VirtualClock) -> None:
        async with cluster(clock, tmp_path / "key") as made:
            began_s = clock.monotonic()
            await made.report("a", "Running")
            cache = made.registry.cache
            cache.forget(cache.revision)
            await clock.sleep(ECHO_S / 4)
            assert made.agent == [(began_s, "a", "Running")]

    virtual_time.run(scenario)
