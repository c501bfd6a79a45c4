"""The agent's process: reads the settings, gets its credentials, wires the objects, runs until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import gc
import os
import signal
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import structlog

from knarr_api.errors import KnarrError, Unavailable
from knarr_api.types.core_v1 import Node, Pod
from knarr_client.channel import open_channel
from knarr_client.clock import Clock, SystemClock
from knarr_client.event_recorder import EventRecorder
from knarr_client.grpc import GrpcClient
from knarr_client.informer import Change, Informer
from knarr_client.kubeconfig import Access
from knarr_node_agent import credentials as credential_module
from knarr_node_agent import machine
from knarr_node_agent import settings as settings_module
from knarr_node_agent.assignments import AssignmentStore, ObjectCache
from knarr_node_agent.credentials import CredentialFiles
from knarr_node_agent.log_rotation import LogRotation
from knarr_node_agent.log_sessions import LogSessions
from knarr_node_agent.meter import Meter, NoMeter
from knarr_node_agent.node_network import NodeNetwork
from knarr_node_agent.pod_files import PodFiles
from knarr_node_agent.pods import PodManager
from knarr_node_agent.runtime import Runtime
from knarr_node_agent.settings import Settings
from knarr_node_agent.starting import NodeFacts, Starter
from knarr_node_agent.stream import Stream
from knarr_node_agent.tokens import Ask, PodTokens, asking
from knarr_node_agent.usage import UsageReporter
from knarr_node_agent.user_ranges import UserRanges
from knarr_node_agent.volumes import Volumes
from knarr_telemetry import logs, tracing

STATUS_S = 5.0
NOT_READY_POLL_S = 0.1
REPEAT_S = 60.0
M_ARENA_MAX = -8
"""Of mallopt(3): gRPC's threads need no heaps of their own, Python runs one thread at a time anyway."""


def main() -> None:
    """Exit status 1 with one message on standard error when it can't start."""
    settings = settings_module.parse(sys.argv[1:])
    logs.configure(settings.log_level, settings.log_format, first=[_Repeats(SystemClock())])
    ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
    try:
        tracing.start("knarr-node-agent", settings.tracing_endpoint, **{"k8s.node.name": settings.node_name})
        with _locked(settings.data_dir):
            restart = asyncio.run(_run(settings))
    except (KnarrError, OSError, tracing.NotInstalled) as error:
        sys.stderr.write(f"knarr-node-agent: {error}\n")
        raise SystemExit(1) from None
    finally:
        tracing.stop()
    if restart:  # under the same process id; a certificate can't be changed in a channel
        os.execv(sys.executable, sys.orig_argv)


async def _run(settings: Settings) -> bool:
    """Until SIGTERM or SIGINT (False), or until a new certificate has come (True). Containers go on."""
    stopped, renewed = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    tasks = {
        asyncio.create_task(_Agent(settings, SystemClock(), renewed).run(), name="agent"),
        asyncio.create_task(stopped.wait(), name="stopped"),
        asyncio.create_task(renewed.wait(), name="renewed"),
    }
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    for task in done:
        task.result()
    return renewed.is_set() and not stopped.is_set()


class _Agent:
    """Everything of one agent, wired."""

    def __init__(self, settings: Settings, clock: Clock, renewed: asyncio.Event) -> None:
        self._settings = settings
        self._clock = clock
        self._renewed = renewed
        self._meter = _meter(settings)
        self._runtime = Runtime.dial(settings.runtime, self._meter)
        self._runtime_name = ""
        self._problems = ["container runtime has not been asked yet"]
        self._ip = settings.node_ip
        self._look_again = asyncio.Event()

    async def run(self) -> None:
        settings, clock = self._settings, self._clock
        files = CredentialFiles(settings.data_dir)
        got = await credential_module.obtain(settings, files, clock)
        self._ip = self._ip or machine.address_towards(settings.servers[0])
        self._status = machine.status(settings, self._ip, "", self._problems, None, clock.now())
        access = Access(endpoints=settings.servers, ca_pem=got.ca, certificate_pem=got.certificate, key_pem=got.key)
        channel = open_channel(access, keepalive_s=settings.keepalive_s)
        client = GrpcClient(channel)
        recorder = EventRecorder(client, component="knarr-node-agent", clock=clock, instance=settings.node_name)
        store = self._wire_pods(client, recorder, asking(channel))
        sessions = LogSessions(self._pods, settings.data_dir / "logs", clock)
        self._stream = Stream(
            channel,
            settings.node_name,
            clock,
            node=self._node,
            serve=sessions.serve,
            refused=lambda uid, _: self._pods.report_again(uid),
        )
        for pod in store.load().values():
            self._pods.assign(pod)
        pods = Informer(client, Pod, field_selector=f"spec.nodeName={settings.node_name}", clock=clock)
        pods.add_handler(self._pod_changed)
        nodes = Informer(client, Node, clock=clock)
        self._network = NodeNetwork(
            self._runtime,
            clock,
            node_name=settings.node_name,
            address=self._ip,
            overlay=settings.overlay,
            nodes=nodes.items,
            changed=self._look_again.set,
        )
        nodes.add_handler(self._node_changed)
        await self._look_at_runtime()
        rotation = LogRotation(self._runtime, self._pods, settings.data_dir / "logs", clock)
        observing = self._observe(got.ca)
        usage = UsageReporter(self._runtime.samples, clock, self._stream.usage)
        _settle_memory()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._stream.run(), name="stream")
                group.create_task(pods.run(), name="pods informer")
                group.create_task(nodes.run(), name="nodes informer")
                group.create_task(self._after_sync(pods), name="sync")
                group.create_task(self._pods.run(), name="pods")
                group.create_task(recorder.run(), name="events")
                group.create_task(self._watch_machine(), name="machine")
                group.create_task(self._network.run(), name="network")
                group.create_task(rotation.run(), name="log rotation")
                group.create_task(usage.run(), name="usage")
                renewing = credential_module.keep_fresh(channel, settings, files, clock, self._renewed)
                group.create_task(renewing, name="certificate")
        finally:
            observing.close()
            await self._runtime.close()
            await client.close()

    def _wire_pods(self, client: GrpcClient, recorder: EventRecorder, ask: Ask) -> AssignmentStore:
        settings, clock = self._settings, self._clock
        root, memory = settings.data_dir / "pods", settings.data_dir / "secrets"
        volumes = Volumes(root, memory)
        volumes.open()
        store = AssignmentStore(root, memory)
        objects = ObjectCache(client, store, clock)
        facts = NodeFacts(
            host_ip=self._ip,
            memory_bytes=machine.memory_bytes(),
            log_root=settings.data_dir / "logs",
            allocatable=machine.capacity(settings),
        )
        tokens = PodTokens(ask, memory, clock)
        starter = Starter(
            self._runtime, objects, volumes, PodFiles(root), UserRanges(root), recorder, clock, facts, tokens
        )
        self._pods = PodManager(
            self._runtime,
            store,
            objects,
            starter,
            recorder,
            clock,
            host_ip=self._ip,
            report=lambda report: self._stream.report(report),
            meter=self._meter,
        )
        return store

    def _pod_changed(self, change: Change[Pod]) -> None:
        if change.old is not None and (change.new is None or change.old.metadata.uid != change.new.metadata.uid):
            self._pods.withdraw(change.old.metadata.uid)
        if change.new is not None:
            self._pods.assign(change.new)

    async def _after_sync(self, pods: Informer[Pod]) -> None:
        """What the disk remembers and the first list does not show has been taken away meanwhile."""
        await pods.synced.wait()
        present = {pod.metadata.uid for pod in pods.items()}
        for uid in [uid for uid in self._pods.pods if uid not in present]:
            self._pods.withdraw(uid)
        self._pods.synced = True

    def _node_changed(self, change: Change[Node]) -> None:
        if change.key.name == self._settings.node_name:
            if change.new is not None and machine.is_taken_for_lost(change.new):
                self._stream.node_status_again()
            if machine.must_tell_pods_again(change.old, change.new):
                self._pods.resend()
        self._network.node_changed(change.new)

    async def _watch_machine(self) -> None:
        """The node's status, when it changes; sooner while it is not ready."""
        while True:
            try:
                async with asyncio.timeout(NOT_READY_POLL_S if self._problems else STATUS_S):
                    await self._look_again.wait()
            except TimeoutError:
                pass
            self._look_again.clear()
            await self._look_at_runtime()

    async def _look_at_runtime(self) -> None:
        try:
            if not self._runtime_name:
                name, version = await self._runtime.version()
                self._runtime_name = f"{name}://{version}"
            problems = await self._runtime.problems()
            if any(problem.startswith("NetworkReady") for problem in problems):
                self._network.runtime_forgot()
        except KnarrError as error:
            problems = [f"container runtime is down: {error}"]
        if self._network.problem:
            problems.append(self._network.problem)
        self._problems = problems
        status = machine.status(self._settings, self._ip, self._runtime_name, problems, self._status, self._clock.now())
        if status != self._status:
            self._status = status
            self._stream.node_status(status)

    def _observe(self, ca_pem: bytes) -> contextlib.ExitStack:
        """Serve metrics and health, if that is wanted, until what is returned is closed."""
        stack, data_dir = contextlib.ExitStack(), self._settings.data_dir
        ready_file = data_dir / "metrics.ready"
        ready_file.unlink(missing_ok=True)
        if not self._settings.metrics:
            return stack
        from prometheus_client import REGISTRY

        from knarr_client.observing import Address, Observing, only_holders
        from knarr_node_agent import metrics

        census = metrics.Census(self._pods.worlds)
        REGISTRY.register(census)
        stack.callback(REGISTRY.unregister, census)
        address = Address.parse(self._settings.metrics)
        tls = only_holders(data_dir / "node.crt", data_dir / "node.key", ca_pem)
        pages = {"/metrics/resource": lambda: metrics.resources(self._runtime, self._clock)}
        checks = {"runtime": self._runtime_health, "api": self._api_health}
        observing = Observing(address, checks, tls, pages)
        stack.callback(observing.stop)
        ready_file.write_text(f"{address.host}:{observing.port}\n")
        return stack

    async def _runtime_health(self) -> str:
        if problems := await self._runtime.problems():
            raise Unavailable("; ".join(problems))
        return self._runtime_name

    async def _api_health(self) -> str:
        if not self._pods.synced:
            raise Unavailable("the node's pods have not been read from the API yet")
        if not self._stream.connected:
            raise Unavailable("the API does not answer: pods go on as they are")
        return "connected"

    def _node(self) -> Node:
        return machine.node(self._settings, self._status)


def _meter(settings: Settings) -> Meter:
    """What measures is loaded only if it is wanted: it takes memory."""
    if not settings.metrics:
        return NoMeter()
    from knarr_node_agent.metrics import PrometheusMeter

    return PrometheusMeter()


@contextlib.contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Hold the data directory. Raises Unavailable when another agent has it."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(data_dir / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"data directory {data_dir} is in use by another agent") from None
        yield
    finally:
        os.close(descriptor)


def _settle_memory() -> None:
    """What was allocated until now stays: the collector need not look at it; what was freed goes back to the system."""
    gc.collect()
    gc.freeze()
    ctypes.CDLL(None).malloc_trim(0)


class _Repeats:
    """Drops what was said a moment ago in the same words: of a server that is away one hears once a minute.

    A processor of structlog. What differs in counters and waiting times alone is the same.
    """

    LEFT_OUT = frozenset({"failures", "retry_in_s", "waiting", "revision"})

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[tuple[tuple[str, str], ...], float] = {}

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        words = tuple((key, str(value)) for key, value in event.items() if key not in self.LEFT_OUT)
        now_s = self._clock.monotonic()
        if method != "error" and now_s - self._said.get(words, -REPEAT_S) < REPEAT_S:
            raise structlog.DropEvent
        self._said = {key: at_s for key, at_s in self._said.items() if now_s - at_s < REPEAT_S}
        self._said[words] = now_s
        return event


if __name__ == "__main__":
    main()
