"""The cluster: the real control planes as processes, wired as their own main module wires them, and all machines."""

from __future__ import annotations

import asyncio
import contextvars
import datetime
import random
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from knarr_api import kinds
from knarr_api.errors import KnarrError
from knarr_api.types.coordination_v1 import Lease
from knarr_api.types.core_v1 import ConfigMap
from knarr_controlplane import acting, controllers, leader, scheduler
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.controllers.garbage.collector import followed_kinds
from knarr_controlplane.controllers.informers import StandingInformers
from knarr_controlplane.registry import subresources
from knarr_controlplane.registry.applying import apply_fields
from knarr_controlplane.registry.local_client import LocalClient
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.server.agents import Agents
from knarr_controlplane.server.hub import AgentHub
from knarr_controlplane.store.memory import MemoryStore
from tests.simulation import load
from tests.simulation.faults import FaultyStore, Trouble
from tests.simulation.loop import Process
from tests.simulation.machine import Machine
from tests.simulation.part import Part
from tests.simulation.plan import Plan
from tests.simulation.remote import Endpoints, Server

CONFIG_MAP = kinds.of(ConfigMap)
LEADER = "knarr-controller-manager"
LEASE_KEY = kinds.of(Lease).key(leader.NAMESPACE, LEADER)
TERM_KEY = LEASE_KEY + leader.TERM
HEARTBEAT_S, GRACE_S = 2.0, 10.0
RETENTION_S, COMPACTION_S = 60.0, 20.0
RESTART_S = 1.0
LEADING: contextvars.ContextVar[bool] = contextvars.ContextVar("leading", default=False)
"""Whether a task does the leader's work."""


class Api(LocalClient):
    """What users call: two verbs more than the process itself has a use for."""

    async def evict(self, name: str, namespace: str, *, uid: str) -> None:
        await subresources.evict(self._registry, namespace, name, uid=uid)

    async def apply_fields(self, document: dict[str, Any], *, manager: str, force: bool) -> None:
        """Of a ConfigMap."""
        metadata = document["metadata"]
        where = CONFIG_MAP, metadata["namespace"], metadata["name"]
        await apply_fields(self._registry, *where, document, manager=manager, force=force)


class ControlPlane(Part):
    """One machine with a control plane on it."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        super().__init__(cluster, f"cp{number}")
        self.trouble = Trouble()
        self.store: FaultyStore | None = None
        self.cache: WatchCache | None = None
        self._number = number

    def leads(self, holder: str) -> bool:
        """holder: of the leader's term."""
        return self.process is not None and self.process.name == holder

    def kill(self) -> None:
        self._cluster.endpoints.servers[self._number] = None
        super().kill()

    def _others(self) -> list[Any]:
        """What the other control planes know of usage."""
        servers = self._cluster.endpoints.servers
        return [server.usages for number, server in servers.items() if server is not None and number != self._number]

    async def _run(self, process: Process) -> None:
        chance = self._cluster.chance(process.name)
        store = self.store = FaultyStore(self._cluster.truth, process, self.trouble, chance, self._cluster.fired)
        store.issued, store.committed = self._cluster.issued, self._cluster.committed
        cache = self.cache = WatchCache(store, self._cluster.storage.decode)
        registry = Registry(
            store,
            cache,
            self._cluster.storage,
            admission=Admission(),
            now=self.clock.now,
            randomness=self._cluster.chance(f"registry {process.name}"),
        )
        await _until_done(cache.load)  # else the service manager starts it again until the store answers
        process.spawn(cache.run(), "cache", vital=True)
        await _until_done(registry.make_system_objects)
        hub = AgentHub()
        agents = Agents(registry, hub, now=self.clock.now, heartbeat_s=HEARTBEAT_S, lease_s=GRACE_S)
        process.spawn(agents.run(), "leases", vital=True)
        client = Api(registry)
        self._cluster.endpoints.servers[self._number] = Server(process, client, agents, registry)
        if self._cluster.autoscales:
            process.spawn(load.share(registry.usages, self._others), "usages", vital=True)

        standing = StandingInformers(client, self.clock, followed_kinds())
        process.spawn(standing.run(), "informers", vital=True)

        async def act(term: leader.Term) -> None:
            LEADING.set(True)
            scheduling = scheduler.SchedulerSettings()
            controlling = controllers.ControllerSettings(node_grace_s=GRACE_S, ca_pem="certificate")
            writing = client.fenced(term)
            await acting.act(
                writing,
                self.clock,
                process.name,
                standing=standing,
                scheduling=scheduling,
                controlling=controlling,
            )

        leading = leader.lead(client, self.clock, LEADER, process.name, act, uniform=chance.random)
        process.spawn(leading, "leader", vital=True)
        process.spawn(_compact(store, cache), "compaction", vital=True)
        await asyncio.Event().wait()


async def _until_done(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            return await work()
        except KnarrError:
            await asyncio.sleep(RESTART_S)


async def _compact(store: FaultyStore, cache: WatchCache) -> None:
    """As the control plane's main does, with a shorter memory."""
    seen: deque[tuple[float, int]] = deque()
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(COMPACTION_S)
        try:
            seen.append((loop.time(), await store.revision()))
            old = 0
            while seen and seen[0][0] <= loop.time() - RETENTION_S:
                old = seen.popleft()[1]
            if old:
                cache.forget(old)
                await store.compact(old)
        except KnarrError:
            continue


class Cluster:
    """Everything. The callbacks are the invariants'."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        self.plan = plan
        self.truth = MemoryStore()
        self.access = Trouble()
        """Of all users' networks."""
        self.fired: Counter[str] = Counter()
        """How often what can break did."""
        self.storage = Storage(bytes(32))
        self.endpoints = Endpoints(dict.fromkeys(range(plan.control_planes)))
        self.issued: Callable[..., None] = lambda *_: None
        self.committed: Callable[..., None] = lambda *_: None
        self.started: Callable[[Machine, Any], None] = lambda *_: None
        self.claims: Callable[[str], set[str]] = lambda _: set()
        self.failed: Callable[[Process, str, BaseException], None] = lambda *_: None
        self.control_planes = [ControlPlane(self, number) for number in range(plan.control_planes)]
        self.machines = [Machine(self, number, directory / f"n{number}") for number in range(plan.nodes)]
        self.autoscales = any(isinstance(event, load.CreateAutoscaler) for event in plan.events)
        self.demand_m = 0
        """What all pods that an autoscaler keeps use together."""
        self._later: list[asyncio.TimerHandle] = []

    def chance(self, name: str) -> random.Random:
        """One source of randomness per part, so that what one does less leaves the others as they were."""
        return random.Random(f"{self.plan.seed} {name}")

    def share_m(self) -> float:
        """What each of those pods uses."""
        return self.demand_m / max(1, sum(len(machine.loaded()) for machine in self.machines))

    def start(self) -> None:
        for part in (*self.control_planes, *self.machines):
            part.start()

    def stop(self) -> None:
        for part in (*self.control_planes, *self.machines):
            part.kill()

    def mend(self) -> None:
        """Whatever is broken works again; clocks that were wrong are right."""
        for handle in self._later:
            handle.cancel()
        self.endpoints.isolated.clear()
        self.access.calm()
        for control_plane in self.control_planes:
            control_plane.trouble.calm()
            control_plane.clock.skew = datetime.timedelta()
            control_plane.go_on()
        for machine in self.machines:
            machine.network.trouble.calm()
            machine.network.mend()
            machine.cri.is_down = False
            machine.clock.skew = datetime.timedelta()
            machine.go_on()
        self.start()

    def later(self, after_s: float, what: Callable[..., None], *args: Any) -> None:
        self._later.append(asyncio.get_running_loop().call_later(after_s, what, *args))
