"""One control plane under many nodes and pods: throughput, latency, memory, restarts, and that it rests afterwards.

A real control plane over a real store on disk; only the nodes are simulated (``scale_agents``). All share this
machine's processors, so each figure comes with the processor time that each part used, which the others' work does
not change. Nodes and clients, which in earnest have processors of their own, run under SCHED_BATCH as the control plane
does: what is told of something does not push aside who works. Under another policy they keep it: ``chrt -r 1`` measures
beside others' work nearly as on a machine at rest.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scale_plot
from scale_agents import DECODER as SEEN
from scale_agents import PODS
from scale_calls import Connection, Lost
from scale_world import Options, World, cpu_s, main_thread_s, memory_mb, world

from knarr_api import json
from knarr_api.quantity import Quantity
from knarr_api.types.apps_v1 import Deployment, DeploymentSpec
from knarr_api.types.coordination_v1 import Lease
from knarr_api.types.core_v1 import Container, Pod, PodSpec, PodTemplateSpec, ResourceRequirements
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_client.grpc import GrpcClient
from knarr_client.kubeconfig import load
from knarr_proto.v1 import objects_pb2

PHASES = ("idle", "deployment", "list", "clients", "bound", "rest", "hold", "term", "restart")
CLIENTS = 64
LISTED, LISTS = 1000, 50
HELD_STEP = 10_000
SETTLED_S = 900.0
IDLE_S, REST_S = 20.0, 20.0
RATE, RATE_S = 100, 10.0
TERMS, LOST_S, CALM_S = 3, 0.6, 15.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench scale", description=__doc__)
    parser.add_argument("phases", nargs="*", help=f"of {', '.join(PHASES)} (default: all)")
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=5000, help="of the one Deployment, and of the clients together")
    parser.add_argument("--held", type=int, default=0, help="pods held in the end (default: --pods)")
    parser.add_argument("--store", default="etcd", choices=("etcd", "sqlite"))
    parser.add_argument("--heartbeat", type=float, default=10.0)
    parser.add_argument("--profile", type=Path, help="write cProfile's figures of the control plane there")
    parser.add_argument("--plot", type=Path, help="write memory and time per pod over pods held there, as SVG")
    parser.add_argument("--unary", action="store_true", help="the clients make a gRPC call for each pod")
    parser.add_argument("--keep", action="store_true", help="leave data and logs behind")
    given = parser.parse_args()
    unknown = [phase for phase in given.phases if phase not in PHASES]
    if unknown:
        parser.error(f"unknown phase {unknown[0]}: there are {', '.join(PHASES)}")
    options = Options(
        nodes=given.nodes,
        pods=given.pods,
        store=given.store,
        heartbeat_s=given.heartbeat,
        profile=given.profile,
        keep=given.keep,
    )
    phases = given.phases or PHASES
    if os.sched_getscheduler(0) == os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    asyncio.run(measure(options, phases, held=given.held or given.pods, plot=given.plot, is_unary=given.unary))
    return 0


async def measure(options: Options, phases: tuple[str, ...], *, held: int, plot: Path | None, is_unary: bool) -> None:
    async with world(options) as there:
        print(f"{options.nodes} nodes, {options.store}; load average {os.getloadavg()[0]:.1f}", flush=True)
        await there.start()
        with used(there, "nodes joined", options.nodes):
            await there.join()
        print(f"  memory {memory_mb(there.pid):.0f} MB", flush=True)
        async with there.client() as client:
            if "idle" in phases:
                await idle(there)
            if "deployment" in phases:
                await one_deployment(there, client)
            if "list" in phases:
                await lists(client)
            if "clients" in phases:
                await many_clients(there, is_unary=is_unary)
            if "bound" in phases:
                await create_to_bound(client, "rate")
            if "rest" in phases:
                await at_rest(there, client)
            if "hold" in phases:
                points = await hold(there, client, held)
                if plot is not None:
                    scale_plot.write(plot, points)
                if "bound" in phases:
                    await create_to_bound(client, "rate-held")
            if "term" in phases:
                await new_term(there, client)
            if "restart" in phases:
                await restart(there)


@contextmanager
def used(there: World, what: str, count: int = 0) -> Iterator[None]:
    """Print how long it took and whose processor time it used, in all or for each of ``count``."""
    pids = {"control plane": there.pid, "etcd": there.etcd_pid}
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    main_before = main_thread_s(there.pid)
    agents_before, began = there.agents_cpu_s(), time.monotonic()
    yield
    took = time.monotonic() - began
    spent = {name: cpu_s(pid) - before[name] for name, pid in pids.items()}
    spent["control plane's main thread"] = main_thread_s(there.pid) - main_before
    spent["agents"] = there.agents_cpu_s() - agents_before
    rate = f", {count / took:.0f}/s" if count else ""
    unit = f" for each of {count}" if count else ""
    each = ", ".join(f"{name} {1000 * seconds / (count or 1):.2f} ms" for name, seconds in spent.items())
    load = os.getloadavg()[0]
    print(f"{what}: {took:.2f} s{rate}; CPU {each}{unit}; load average {load:.1f}", flush=True)


async def idle(there: World) -> None:
    """Nothing but heartbeats."""
    await asyncio.sleep(there.options.heartbeat_s)
    beats, before, began = there.total("heartbeats"), cpu_s(there.pid), time.monotonic()
    await asyncio.sleep(max(IDLE_S, 2 * there.options.heartbeat_s))
    took = time.monotonic() - began
    beats = there.total("heartbeats") - beats
    spent = cpu_s(there.pid) - before
    print(
        f"idle, {there.options.nodes} heartbeats each {there.options.heartbeat_s:g} s: control plane "
        f"{100 * spent / took:.1f} % of a core, {1000 * spent / max(beats, 1):.2f} ms for each of {beats} heartbeats",
        flush=True,
    )


async def one_deployment(there: World, client: GrpcClient) -> None:
    with used(there, "one Deployment, until every pod's Running status is stored", there.options.pods):
        await client.create(deployment("one", there.options.pods))
        await settled(there, client, "one", there.options.pods)
    page = await client.list(Pod, "default", field_selector="status.phase=Running")
    print(f"  {len(page.items)} pods Running, memory {memory_mb(there.pid):.0f} MB", flush=True)


async def lists(client: GrpcClient) -> None:
    """One page of pods after the other, from the call until the last one is decoded."""
    times: list[float] = []
    for _ in range(LISTS):
        began = time.monotonic()
        page = await client.list(Pod, "default", limit=LISTED)
        times.append(1000 * (time.monotonic() - began))
    times.sort()
    print(
        f"list of {len(page.items)} pods: {statistics.median(times):.0f} ms p50, {times[-1]:.0f} ms at most", flush=True
    )


async def settled(there: World, client: GrpcClient, name: str, replicas: int) -> None:
    """Until the Deployment says that all its pods are available, which it does once each one's status is stored."""
    try:
        async with asyncio.timeout(SETTLED_S):
            async for batch in client.watch(Deployment, "default", field_selector=f"metadata.name={name}"):
                seen = [event.object for event in batch if event.object is not None]
                if seen and (seen[-1].status.available_replicas or 0) == replicas:
                    return
    except TimeoutError:
        raise SystemExit(f"gave up waiting for pods to run: {there.log_end()}") from None


async def many_clients(there: World, *, is_unary: bool) -> None:
    """Each creates one pod after the other, on a connection of its own; their statuses are streamed back.

    Each has one stream for its calls, or makes one of gRPC's for each.
    """
    total = there.options.pods
    numbers = iter(range(total))
    running: set[str] = set()
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    access = load(there.data_dir / "admin.kubeconfig")

    async def create() -> None:
        connection = await Connection.open(access)
        exchange = None if is_unary else Exchange(connection)
        try:
            for number in numbers:
                given = json.encode(pod(f"single-{number}", app="single"))
                request = objects_pb2.CreateRequest(
                    type=PODS, namespace="default", object=objects_pb2.Object(json=given)
                )
                if exchange is None:
                    data = await connection.unary("/knarr.v1.Objects/Create", request.SerializeToString())
                    answer = objects_pb2.ObjectResponse.FromString(data)
                else:
                    answer = (await exchange.call(create=request)).object
                json.decode(answer.object.json, Pod)
        finally:
            connection.close()

    def seen(data: bytes) -> None:
        for event in objects_pb2.WatchResponse.FromString(data).events:
            if event.type in (objects_pb2.WatchEvent.ADDED, objects_pb2.WatchEvent.MODIFIED):
                shown = SEEN.decode(event.object.json)
                if shown.status.phase == "Running":
                    running.add(shown.metadata.name)
        if len(running) >= total and not done.done():
            done.set_result(None)

    def ended(error: Lost | None) -> None:
        if not done.done():
            done.set_exception(error or Lost("the watch has ended"))

    watching = await Connection.open(access)
    request = objects_pb2.WatchRequest(type=PODS, namespace="default", label_selector="app=single")
    watching.call("/knarr.v1.Objects/Watch", seen, ended).send(request.SerializeToString(), last=True)
    try:
        await asyncio.sleep(0.2)
        own = time.process_time()
        how = "a call of gRPC's for each" if is_unary else "a stream of calls each"
        with used(there, f"{CLIENTS} clients creating pods one by one ({how}), until all are seen Running", total):
            async with asyncio.TaskGroup() as group:
                for _ in range(CLIENTS):
                    group.create_task(create())
            await done
        print(f"  clients' own CPU {1000 * (time.process_time() - own) / total:.2f} ms a pod", flush=True)
    finally:
        watching.close()


class Exchange:
    """One client's calls, one after the other."""

    def __init__(self, connection: Connection) -> None:
        self._answer: asyncio.Future[objects_pb2.Answer] = asyncio.get_running_loop().create_future()
        self._call = connection.call("/knarr.v1.Objects/Exchange", self._heard, self._ended)
        self._calls = 0

    async def call(self, **request: Any) -> objects_pb2.Answer:
        """Raises Lost for every error."""
        self._calls += 1
        self._answer = asyncio.get_running_loop().create_future()
        call = objects_pb2.Call(id=self._calls, **request)
        self._call.send(objects_pb2.ExchangeRequest(calls=(call,)).SerializeToString())
        answer = await self._answer
        if answer.HasField("error"):
            raise Lost(str(answer.error))
        return answer

    def _heard(self, data: bytes) -> None:
        (answer,) = objects_pb2.ExchangeResponse.FromString(data).answers
        self._answer.set_result(answer)

    def _ended(self, error: Lost | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(error or Lost("the server has ended the stream"))


async def create_to_bound(client: GrpcClient, app: str) -> None:
    """At a steady rate, from before the call until a watch shows the pod's node."""
    began: dict[str, float] = {}
    times: list[float] = []
    total = int(RATE * RATE_S)
    done = asyncio.Event()

    async def follow() -> None:
        async for batch in client.watch(Pod, "default", label_selector=f"app={app}"):
            for event in batch:
                if event.object is not None and event.object.spec.node_name:
                    since = began.pop(event.object.metadata.name, None)
                    if since is not None:
                        times.append(1000 * (time.monotonic() - since))
            if len(times) == total:
                done.set()

    async with asyncio.TaskGroup() as group:
        following = group.create_task(follow())
        await asyncio.sleep(0.2)
        start = time.monotonic()
        for number in range(total):
            await asyncio.sleep(max(start + number / RATE - time.monotonic(), 0))
            name = f"{app}-{number}"
            began[name] = time.monotonic()
            group.create_task(client.create(pod(name, app=app)))
        async with asyncio.timeout(60):
            await done.wait()
        following.cancel()
    times.sort()
    print(
        f"create to bound at {RATE}/s: {statistics.median(times):.0f} ms p50, {times[int(len(times) * 0.99)]:.0f} ms "
        f"p99, {times[-1]:.0f} ms at most; load average {os.getloadavg()[0]:.1f}",
        flush=True,
    )


async def at_rest(there: World, client: GrpcClient) -> None:
    """A steady cluster writes leases only; one replica more costs few writes, whatever the size."""
    if there.options.store != "etcd":
        print("writes at rest: counted by etcd's watch, so with --store etcd only")
        return
    await client.create(deployment("scaled", 10))
    await settled(there, client, "scaled", 10)
    await asyncio.sleep(5)
    writes = await there.writes(REST_S)
    print(f"at rest, writes in {REST_S:g} s: {shown(writes)}", flush=True)

    async def scale() -> None:
        await client.patch(Deployment, "scaled", "default", patch={"spec": {"replicas": 11}})
        await settled(there, client, "scaled", 11)

    writes = await there.writes(5.0, lambda: asyncio.ensure_future(scale()))
    writes.pop("leases", None)
    print(f"one replica more, writes beside leases: {sum(writes.values())}: {shown(writes)}", flush=True)


def shown(writes: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(writes.items())) or "none"


@dataclass(frozen=True, slots=True)
class Point:
    """What the control plane held and cost when there were so many pods."""

    pods: int
    memory_mb: float
    cpu_ms_per_pod: float


async def hold(there: World, client: GrpcClient, held: int) -> list[Point]:
    """Deployments of up to 10,000 until so many pods run; memory and time of each step."""
    present = there.total("stored")
    points = [Point(present, memory_mb(there.pid), 0.0)]
    number = 0
    while present < held:
        step = min(1000 if present < HELD_STEP else HELD_STEP, held - present)
        before = cpu_s(there.pid)
        name = f"held-{number}"
        with used(there, f"{present} + {step} pods", step):
            await client.create(deployment(name, step))
            await settled(there, client, name, step)
        cost = 1000 * (cpu_s(there.pid) - before) / step
        present, number = present + step, number + 1
        points.append(Point(present, memory_mb(there.pid), cost))
        print(f"  memory {points[-1].memory_mb:.0f} MB, at most {memory_mb(there.pid, 'VmHWM:'):.0f} MB", flush=True)
    return points


async def new_term(there: World, client: GrpcClient) -> None:
    """The leader loses its Lease and takes it again; until it has bound a pod that was made meanwhile."""
    for number in range(TERMS):
        bound = asyncio.Event()

        async def follow(name: str, bound: asyncio.Event) -> None:
            async for batch in client.watch(Pod, "default", field_selector=f"metadata.name={name}"):
                if any(event.object is not None and event.object.spec.node_name for event in batch):
                    bound.set()

        name = f"term-{number}"
        following = asyncio.create_task(follow(name, bound))
        before, memory, began = cpu_s(there.pid), memory_mb(there.pid), time.monotonic()
        await client.delete(Lease, "knarr-controller-manager", "kube-system")
        await asyncio.sleep(LOST_S)  # until the leader has noticed: what it binds before is of its last term
        await client.create(pod(name, app="term"))
        async with asyncio.timeout(120):
            await bound.wait()
        took = time.monotonic() - began
        following.cancel()
        await asyncio.sleep(CALM_S)
        print(
            f"a new term: first pod bound {took:.2f} s after the Lease was lost; CPU "
            f"{cpu_s(there.pid) - before:.1f} s in {CALM_S + took:.0f} s; memory {memory:.0f} MB before, "
            f"{memory_mb(there.pid):.0f} MB after, at most {memory_mb(there.pid, 'VmHWM:'):.0f} MB",
            flush=True,
        )


async def restart(there: World) -> None:
    """kill -9 of the control plane; until it serves a consistent list, until all agents are back."""
    began = time.monotonic()
    await there.stop(signal.SIGKILL)
    await there.start()
    async with there.client() as client:
        await client.list(Pod, "default", limit=1)
        serving = time.monotonic() - began
        await client.create(pod("restarted", app="restarted"))
        async for batch in client.watch(Pod, "default", field_selector="metadata.name=restarted"):
            if any(event.object is not None and event.object.spec.node_name for event in batch):
                break
        bound = time.monotonic() - began
    await there.until(lambda: there.total("connected") == there.options.nodes, "agents to come back")
    back = time.monotonic() - began
    print(
        f"restart after kill -9: serves after {serving:.1f} s, binds after {bound:.1f} s, all agents back after "
        f"{back:.1f} s, CPU {cpu_s(there.pid):.1f} s, memory {memory_mb(there.pid):.0f} MB; load average "
        f"{os.getloadavg()[0]:.1f}",
        flush=True,
    )


def spec() -> PodSpec:
    requests = {"cpu": Quantity("10m"), "memory": Quantity("32Mi")}
    container = Container(
        name="main",
        image="knarr/busybox:1",
        command=("sleep", "100000"),
        resources=ResourceRequirements(requests=requests),
    )
    return PodSpec(containers=(container,))


def pod(name: str, *, app: str) -> Pod:
    return Pod(metadata=ObjectMeta(name=name, namespace="default", labels={"app": app}), spec=spec())


def deployment(name: str, replicas: int) -> Deployment:
    labels = {"app": name}
    template = PodTemplateSpec(metadata=ObjectMeta(labels=labels), spec=spec())
    return Deployment(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=DeploymentSpec(replicas=replicas, selector=LabelSelector(match_labels=labels), template=template),
    )


if __name__ == "__main__":
    sys.exit(main())
