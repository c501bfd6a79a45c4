"""A cluster in memory and virtual time: the real controllers, and nodes and a scheduler that are only simulated."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol, cast

import msgspec
import pytest

from knarr_api import defaults, errors, kinds
from knarr_api.quantity import Quantity
from knarr_api.types.apps_v1 import Deployment, DeploymentSpec, ReplicaSet
from knarr_api.types.coordination_v1 import Lease, LeaseSpec
from knarr_api.types.core_v1 import (
    Container,
    ContainerState,
    ContainerStateTerminated,
    ContainerStatus,
    Node,
    NodeCondition,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
    Toleration,
)
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_api.types.metrics_v1beta1 import ContainerMetrics, PodMetrics
from knarr_client import virtual_time
from knarr_client.client import Client, T, key_of
from knarr_client.memory import MemoryApi, MemoryClient
from knarr_client.virtual_time import VirtualClock, eventually
from knarr_controlplane import controllers
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.controllers import ControllerSettings
from knarr_controlplane.controllers.daemonset import placing
from knarr_controlplane.registry.local_client import LocalClient
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.scheduler.tolerations import first_untolerated
from knarr_controlplane.store.memory import MemoryStore
from knarr_proto.v1 import agent_pb2

HEARTBEAT_S = 2.0
START_S = 1.0
RUN_S = 2.0
STOP_S = 0.5
replace = msgspec.structs.replace


def names_of(pod: Pod) -> dict[str, str]:
    return {"namespace": pod.metadata.namespace, "name": pod.metadata.name}


class Link:
    """A Client whose connection can be cut, or made unreliable: ``fault`` is asked before and after each call and may
    raise; it may wait, too."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._connected = True
        self._cuts: set[asyncio.Future[None]] = set()
        self.writes: dict[str, int] = {}
        self.fault: Callable[[], Coroutine[Any, Any, None]] | None = None

    @property
    def connected(self) -> bool:
        return self._connected

    @connected.setter
    def connected(self, value: bool) -> None:
        self._connected = value
        if not value:
            self.break_watches()

    def lose_every(self, number: int) -> None:
        """One of so many messages is lost, there or back: a call has two."""
        calls = itertools.count(1)

        async def fault() -> None:
            if next(calls) % number == 0:
                raise errors.Unavailable("this one is lost")

        self.fault = fault

    def break_watches(self) -> None:
        for cut in self._cuts:
            if not cut.done():
                cut.set_result(None)
        self._cuts.clear()

    def __getattr__(self, verb: str) -> Any:
        method = getattr(self._client, verb)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._reach()
            if self.fault is not None:
                await self.fault()
            if verb not in ("get", "list"):
                self.writes[verb] = self.writes.get(verb, 0) + 1
            result = await method(*args, **kwargs)
            if self.fault is not None:
                await self.fault()
            self._reach()
            return result

        return call

    async def watch(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        self._reach()
        batches = self._client.watch(*args, **kwargs)
        cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._cuts.add(cut)
        try:
            while True:
                coming = asyncio.ensure_future(anext(batches))
                try:
                    await asyncio.wait({coming, cut}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not coming.done():
                        coming.cancel()
                        await asyncio.wait({coming})
                if cut.done():
                    raise errors.Unavailable("the watch broke off")
                yield coming.result()
        finally:
            self._cuts.discard(cut)
            await batches.aclose()

    def _reach(self) -> None:
        if not self._connected:
            raise errors.Unavailable("the API cannot be reached")


class Api(Protocol):
    """What a scenario runs on."""

    def client(self) -> Client: ...

    def all(self, type_: type[T]) -> tuple[T, ...]: ...

    async def uses(self, pod: Pod, cpu_milli: int) -> None:
        """The pod's agent says so."""
        ...


class InMemory:
    def __init__(self, clock: VirtualClock) -> None:
        self._api = MemoryApi(clock=clock, admit=tolerate)

    def client(self) -> Client:
        return MemoryClient(self._api)

    def all(self, type_: type[T]) -> tuple[T, ...]:
        return cast("tuple[T, ...]", tuple(self._api.table(kinds.of(type_)).objects.values()))

    async def uses(self, pod: Pod, cpu_milli: int) -> None:
        client, metadata = self.client(), ObjectMeta(**names_of(pod), labels=pod.metadata.labels)
        with contextlib.suppress(errors.NotFound):
            await client.delete(PodMetrics, metadata.name, metadata.namespace)
        used = (ContainerMetrics(name="web", usage={"cpu": Quantity(f"{cpu_milli}m")}),)
        now = self._api.clock.now()
        await client.create(PodMetrics(metadata=metadata, timestamp=now, window="15s", containers=used))


class RealRegistry:
    """The registry of the control plane, on a store in memory."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._usage: list[Any] = []

    def client(self) -> Client:
        return LocalClient(self._registry)

    def all(self, type_: type[T]) -> tuple[T, ...]:
        entries = self._registry.cache.of(kinds.of(type_)).entries
        return cast("tuple[T, ...]", tuple(entry.value() for _, entry in sorted(entries.items())))

    async def uses(self, pod: Pod, cpu_milli: int) -> None:
        amounts = agent_pb2.Amounts(cpu_nano_cores=cpu_milli * 10**6)
        used = agent_pb2.PodUsage(
            **names_of(pod),
            uid=pod.metadata.uid,
            containers=[agent_pb2.ContainerUsage(name="web", amounts=amounts)],
        )
        self._usage = [each for each in self._usage if each.uid != pod.metadata.uid] + [used]
        for node in {each.spec.node_name for each in self.all(Pod)}:
            self._registry.usages.report(node, agent_pb2.Usage(window_ms=15_000, pods=self._usage))


@contextlib.asynccontextmanager
async def in_memory(clock: VirtualClock) -> AsyncIterator[Api]:
    yield InMemory(clock)


@contextlib.asynccontextmanager
async def real_registry(clock: VirtualClock) -> AsyncIterator[Api]:
    store = MemoryStore()
    storage = Storage(bytes(32))
    cache = WatchCache(store, storage.decode)
    running = asyncio.create_task(cache.run())
    await cache.ready.wait()
    randomness = random.Random(1)
    registry = Registry(store, cache, storage, admission=Admission(), now=clock.now, randomness=randomness)
    await registry.make_system_objects()
    try:
        yield RealRegistry(registry)
    finally:
        running.cancel()
        await asyncio.wait({running})
        await store.close()


APIS = {"memory": in_memory, "registry": real_registry}


class SimulatedNode:
    """Renews its lease, runs what is bound to it, stops what is deleted."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.name = name
        self.client = Link(cluster.api.client())
        self.clock = cluster.clock
        self._cluster = cluster
        self._running: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"node {self.name}")

    async def kill(self) -> None:
        """The machine loses power."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})
        self._running.clear()

    def cut(self) -> None:
        """The machine goes on, but nobody hears it."""
        self.client.connected = False

    def join(self) -> None:
        self.client.connected = True

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(errors.Unavailable, errors.Conflict, errors.NotFound):
                await self._beat()
            with contextlib.suppress(errors.Unavailable, errors.Conflict, errors.NotFound):
                await self._pods()
            await self.clock.sleep(0.5)

    async def _beat(self) -> None:
        await self._report()
        now = self.clock.now()
        try:
            lease = await self.client.get(Lease, self.name, "kube-node-lease")
        except errors.NotFound:
            metadata = ObjectMeta(name=self.name, namespace="kube-node-lease")
            await self.client.create(Lease(metadata=metadata, spec=LeaseSpec(renew_time=now)))
            return
        last = lease.spec.renew_time
        if last is None or (now - last).total_seconds() >= HEARTBEAT_S:
            await self.client.update(replace(lease, spec=replace(lease.spec, renew_time=now)))

    async def _report(self) -> None:
        try:
            node = await self.client.get(Node, self.name)
        except errors.NotFound:
            node = await self.client.create(Node(metadata=ObjectMeta(name=self.name)))
        if not any(each.type == "Ready" and each.status == "True" for each in node.status.conditions):
            ready = NodeCondition(
                type="Ready", status="True", reason="AgentReady", last_transition_time=self.clock.now()
            )
            await self.client.update_status(replace(node, status=replace(node.status, conditions=(ready,))))

    async def _pods(self) -> None:
        page = await self.client.list(Pod, field_selector=f"spec.nodeName={self.name}")
        present = {pod.metadata.uid for pod in page.items}
        for uid in [uid for uid in self._running if uid not in present]:
            del self._running[uid]
        now_s = self.clock.monotonic()
        for pod in page.items:
            uid, key = pod.metadata.uid, key_of(pod)
            if pod.metadata.deletion_timestamp is not None:
                self._running.pop(uid, None)
                await self.client.delete(Pod, key.name, key.namespace, uid=uid, grace_period_s=0)
            elif uid not in self._running:
                self._running[uid] = str(now_s)
            elif pod.status.phase in ("Succeeded", "Failed"):
                continue
            elif now_s - float(self._running[uid]) >= RUN_S and (code := self._cluster.exit_code(pod)) is not None:
                await self.client.update_status(replace(pod, status=self._ended(pod, code)))
            elif now_s - float(self._running[uid]) >= START_S and not _is_ready(pod):
                if not self._cluster.becomes_ready(pod):
                    continue
                condition = PodCondition(type="Ready", status="True", last_transition_time=self.clock.now())
                status = PodStatus(phase="Running", start_time=self.clock.now(), conditions=(condition,))
                await self.client.update_status(replace(pod, status=status))

    def _ended(self, pod: Pod, code: int) -> PodStatus:
        terminated = ContainerStateTerminated(exit_code=code, finished_at=self.clock.now())
        statuses = tuple(
            ContainerStatus(name=container.name, state=ContainerState(terminated=terminated))
            for container in pod.spec.containers
        )
        return PodStatus(phase="Failed" if code else "Succeeded", container_statuses=statuses)

    @property
    def running(self) -> int:
        return len(self._running)


class Cluster:
    def __init__(self, clock: VirtualClock, settings: ControllerSettings, api: Api) -> None:
        self.clock = clock
        self.settings = settings
        self.api = api
        self.client = api.client()
        self.controllers = Link(api.client())
        self.exit_code: Callable[[Pod], int | None] = lambda _: None
        """How a pod that ran for RUN_S ends; None: it runs on."""
        self.becomes_ready: Callable[[Pod], bool] = lambda _: True
        self.nodes: dict[str, SimulatedNode] = {}
        self.started: set[str] = set()
        self._manager: asyncio.Task[None] | None = None

    async def add_nodes(self, *names: str) -> None:
        for name in names:
            node = self.nodes[name] = SimulatedNode(self, name)
            node.start()
        await self.until(lambda: all(self._node_ready(name) for name in names), within_s=5)

    def _node_ready(self, name: str) -> bool:
        found = [node for node in self.all(Node) if node.metadata.name == name]
        return bool(found) and any(
            each.type == "Ready" and each.status == "True" for each in found[0].status.conditions
        )

    def start_controllers(self) -> None:
        run = controllers.run(self.controllers, settings=self.settings, clock=self.clock, identity="one")
        self._manager = asyncio.get_running_loop().create_task(run)

    async def stop_controllers(self) -> None:
        assert self._manager is not None
        self._manager.cancel()
        await asyncio.wait({self._manager})
        if not self._manager.cancelled():
            self._manager.result()

    async def schedule(self) -> None:
        """Bind pods to the node with the fewest, among those without taints."""
        while True:
            for pod in self.all(Pod):
                if pod.spec.node_name or pod.metadata.deletion_timestamp is not None:
                    continue
                pin = placing.node_of(pod)
                free = [
                    node
                    for node in self.all(Node)
                    if not first_untolerated(node.spec.taints, pod.spec.tolerations)
                    and self._node_ready(node.metadata.name)
                    and pin in ("", node.metadata.name)
                ]
                if free:
                    loads = {node.metadata.name: len(self.pods(node=node.metadata.name)) for node in free}
                    chosen = min(sorted(loads), key=lambda name: loads[name])
                    key = key_of(pod)
                    with contextlib.suppress(errors.NotFound, errors.Conflict):
                        await self.client.bind(
                            namespace=key.namespace, name=key.name, uid=pod.metadata.uid, node=chosen
                        )
            await self.clock.sleep(0.1)

    def all(self, type_: type[T]) -> tuple[T, ...]:
        return self.api.all(type_)

    def pods(self, *, node: str = "", active: bool = True) -> tuple[Pod, ...]:
        return tuple(
            pod
            for pod in self.all(Pod)
            if (not node or pod.spec.node_name == node) and (not active or pod.metadata.deletion_timestamp is None)
        )

    def ready(self, **labels: str) -> int:
        return sum(
            _is_ready(pod) and all(pod.metadata.labels.get(name) == value for name, value in labels.items())
            for pod in self.pods()
        )

    def deployment(self, name: str = "web") -> Deployment:
        return next(each for each in self.all(Deployment) if each.metadata.name == name)

    def replicasets(self) -> tuple[ReplicaSet, ...]:
        return self.all(ReplicaSet)

    async def writes_nothing(self, *, after_s: float = 20, for_s: float = 600) -> None:
        """From then on, for so long: all is as it should be."""
        await self.clock.sleep(after_s)
        before = dict(self.controllers.writes)
        await self.clock.sleep(for_s)
        assert self.controllers.writes == before, "at rest nothing is written"

    async def until(self, condition: Callable[[], bool], *, within_s: float) -> float:
        return await eventually(condition, within_s=within_s)


def _is_ready(pod: Pod) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions)


def tolerate(obj: msgspec.Struct) -> msgspec.Struct:
    """What admission does for pods, and the defaults."""
    obj = defaults.apply(obj)
    if not isinstance(obj, Pod) or obj.spec.tolerations:
        return obj
    tolerations = tuple(
        Toleration(key=f"node.kubernetes.io/{name}", operator="Exists", effect="NoExecute", toleration_seconds=30)
        for name in ("not-ready", "unreachable")
    )
    return replace(obj, spec=replace(obj.spec, tolerations=tolerations))


def web(replicas: int = 3, *, image: str = "web:1", **spec: Any) -> Deployment:
    """A Deployment named web."""
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": "web"}), spec=PodSpec(containers=(Container(name="web", image=image),))
    )
    return Deployment(
        metadata=ObjectMeta(name="web", namespace="default"),
        spec=DeploymentSpec(
            replicas=replicas, selector=LabelSelector(match_labels={"app": "web"}), template=template, **spec
        ),
    )


def with_image(deployment: Deployment, image: str) -> Deployment:
    template = deployment.spec.template
    containers = (replace(template.spec.containers[0], image=image),)
    template = replace(template, spec=replace(template.spec, containers=containers))
    return replace(deployment, spec=replace(deployment.spec, template=template))


Scenario = Callable[[Cluster], Coroutine[Any, Any, None]]
Play = Callable[..., None]


@pytest.fixture(params=sorted(APIS))
def play(request: pytest.FixtureRequest) -> Play:
    """Run a scenario on a cluster of named nodes whose controllers and scheduler run."""

    def play(scenario: Scenario, *, nodes: tuple[str, ...] = ("n1", "n2", "n3"), **settings: Any) -> None:
        async def run(clock: VirtualClock) -> None:
            async with APIS[request.param](clock) as api:
                await on(Cluster(clock, ControllerSettings(**settings), api))

        async def on(cluster: Cluster) -> None:
            cluster.start_controllers()
            await cluster.add_nodes(*nodes)
            scheduler = asyncio.get_running_loop().create_task(cluster.schedule())
            try:
                await scenario(cluster)
                assert not scheduler.done(), scheduler.result()
            finally:
                scheduler.cancel()
                for node in cluster.nodes.values():
                    await node.kill()
                await cluster.stop_controllers()

        virtual_time.run(run)

    return play


@pytest.fixture
def deployment() -> Callable[..., Deployment]:
    return web


@pytest.fixture
def image() -> Callable[[Deployment, str], Deployment]:
    return with_image
