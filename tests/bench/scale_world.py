"""What ``./dev bench scale`` measures: a control plane's process, its etcd, and processes of simulated agents."""

from __future__ import annotations

import asyncio
import collections
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from knarr_api.types.core_v1 import Node
from knarr_client.channel import KEEPALIVE_S
from knarr_client.grpc import GrpcClient
from knarr_client.kubeconfig import load
from knarr_controlplane.store import revision
from knarr_controlplane.store.etcd import EtcdStore
from knarr_controlplane.store.etcd_process import EtcdTls
from knarr_controlplane.store.protocol import StoreEvent

HERE = Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")
PORT = int(os.environ.get("KNARR_BENCH_PORT", "17443"))
START_S = 180.0
AGENTS_PER_PROCESS = 1250


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """heartbeat_s: of each agent. profile: a file for cProfile's figures of the control plane, or None."""

    nodes: int
    pods: int
    store: str
    heartbeat_s: float
    profile: Path | None
    keep: bool


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, 0 for one that is not there."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def main_thread_s(pid: int) -> float:
    """Of that, the main thread's: where the Python code runs; gRPC's own work is in other threads."""
    fields = Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory_mb(pid: int, field_name: str = "VmRSS:") -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field_name):
            return int(line.split()[1]) / 1024
    return 0.0


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass(slots=True)
class AgentProcess:
    """Some hundreds of agents; ``said`` is what they counted last."""

    process: asyncio.subprocess.Process
    said: dict[str, int] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            said = json.loads(line)
            if said != self.said:
                self.said = said
                self.changed.set()


@dataclass(slots=True)
class World:
    """A cluster under measurement. Use with :func:`world`."""

    options: Options
    base: Path
    group: asyncio.TaskGroup
    control_plane: asyncio.subprocess.Process | None = None
    agents: list[AgentProcess] = field(default_factory=list)

    @property
    def data_dir(self) -> Path:
        return self.base / "data"

    @property
    def pid(self) -> int:
        assert self.control_plane is not None
        return self.control_plane.pid

    @property
    def etcd_pid(self) -> int:
        return next(iter(children(self.pid)), 0)

    def agents_cpu_s(self) -> float:
        return sum(cpu_s(agent.process.pid) for agent in self.agents)

    def client(self) -> GrpcClient:
        return GrpcClient.connect(load(self.data_dir / "admin.kubeconfig"))

    async def start(self) -> float:
        """Start the control plane; returns how long it took until it served."""
        options = self.options
        began = time.monotonic()
        ready = self.data_dir / "controlplane.ready"
        ready.unlink(missing_ok=True)
        profiling = ["-m", "cProfile", "-o", str(options.profile)] if options.profile is not None else []
        with open(self.base / "controlplane.log", "ab") as log:
            self.control_plane = await asyncio.create_subprocess_exec(
                *(sys.executable, *profiling, "-m", "knarr_controlplane", "--data-dir", str(self.data_dir)),
                *("--store", options.store, "--listen", f"127.0.0.1:{PORT}", "--cluster-cidr", "10.0.0.0/8"),
                *("--heartbeat", str(options.heartbeat_s), "--node-grace", str(4 * options.heartbeat_s)),
                *("--log-level", "warning"),
                stderr=log,
            )
        async with asyncio.timeout(START_S):
            while not ready.exists():
                if self.control_plane.returncode is not None:
                    raise SystemExit((self.base / "controlplane.log").read_text()[-2000:])
                await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def stop(self, number: int = signal.SIGTERM) -> None:
        if self.control_plane is not None and self.control_plane.returncode is None:
            self.control_plane.send_signal(number)
            await self.control_plane.wait()

    async def join(self) -> None:
        """Start the agents and wait until all are connected and take pods."""
        first = 0
        while first < self.options.nodes:
            count = min(max(self.options.nodes // 2, 1), AGENTS_PER_PROCESS, self.options.nodes - first)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, HERE / "scale_agents.py", "--data-dir", self.data_dir),
                *("--server", f"127.0.0.1:{PORT}", "--first", str(first), "--count", str(count)),
                *("--keepalive", str(max(self.options.heartbeat_s, KEEPALIVE_S))),
                stdout=asyncio.subprocess.PIPE,
            )
            agent = AgentProcess(process)
            self.agents.append(agent)
            self.group.create_task(agent.listen())
            first += count
        await self.until(lambda: self.total("connected") == self.options.nodes, "agents to connect")
        await self._schedulable()

    async def _schedulable(self) -> None:
        """Until pods may be placed on every node: a node that has just joined has a taint for a moment."""
        free: set[str] = set()
        async with self.client() as client, asyncio.timeout(START_S):
            async for batch in client.watch(Node):
                for event in batch:
                    node = event.object
                    if node is not None and node.spec.pod_cidr and not node.spec.taints:
                        free.add(node.metadata.name)
                if len(free) == self.options.nodes:
                    return

    def total(self, name: str) -> int:
        """What all agents together have counted."""
        return sum(agent.said.get(name, 0) for agent in self.agents)

    async def until(self, done: Callable[[], bool], what: str, *, timeout_s: float = 900.0) -> None:
        """Raises SystemExit, with the end of the control plane's log, when it takes too long."""
        try:
            async with asyncio.timeout(timeout_s):
                while not done():
                    waits = [asyncio.create_task(agent.changed.wait()) for agent in self.agents]
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED, timeout=1.0)
                    for wait in waits:
                        wait.cancel()
                    for agent in self.agents:
                        agent.changed.clear()
                    if self.control_plane is not None and self.control_plane.returncode is not None:
                        raise SystemExit(f"the control plane has ended: {self.log_end()}")
        except TimeoutError:
            raise SystemExit(f"gave up waiting for {what}: {self.log_end()}") from None

    def log_end(self) -> str:
        return (self.base / "controlplane.log").read_text()[-3000:]

    @asynccontextmanager
    async def etcd(self) -> AsyncIterator[EtcdStore]:
        """The cluster's etcd, by a connection of our own."""
        port = (self.data_dir / "etcd" / "ports").read_text().split()[0]
        pki = self.data_dir / "pki"
        tls = EtcdTls(ca=pki / "ca.crt", certificate=pki / "etcd.crt", key=pki / "etcd.key")
        store = await EtcdStore.open([f"127.0.0.1:{port}"], tls=tls)
        try:
            yield store
        finally:
            await store.close()

    async def writes(self, seconds: float, act: Callable[[], asyncio.Future[object]] | None = None) -> dict[str, int]:
        """Writes to etcd in that time, by resource; ``act`` is called when counting has begun."""
        counts: collections.Counter[str] = collections.Counter()
        async with self.etcd() as store:
            after = revision.pack(revision.store_revision(await store.revision()))

            async def count() -> None:
                async for batch in store.watch("/registry/", after=after):
                    for event in batch:
                        if isinstance(event, StoreEvent):
                            counts[event.key.split("/")[3]] += 1

            counting = asyncio.create_task(count())
            if act is not None:
                await act()
            await asyncio.wait({counting}, timeout=seconds)
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)
        return dict(counts)


@asynccontextmanager
async def world(options: Options) -> AsyncIterator[World]:
    """A control plane with its agents; everything is ended and removed at the end."""
    base = Path(tempfile.mkdtemp(prefix="knarr-scale-"))
    made: World | None = None
    try:
        async with asyncio.TaskGroup() as group:
            made = World(options, base, group)
            try:
                yield made
            finally:
                await made.stop()
                for agent in made.agents:
                    if agent.process.returncode is None:
                        agent.process.kill()
                    await agent.process.wait()
    finally:
        if options.keep:
            print(f"kept: {base}")
        else:
            shutil.rmtree(base, ignore_errors=True)
