"""The agent's process: reads the settings, gets its credentials, wires the objects, runs until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import fcntl
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import structlog

from knarr_api.errors import KnarrError, NotFound, Unavailable
from knarr_api.types.core_v1 import Node, Pod
from knarr_client.channel import open_channel
from knarr_client.clock import Clock, SystemClock
from knarr_client.event_recorder import EventRecorder
from knarr_client.grpc import GrpcClient
from knarr_client.informer import Change, Informer
from knarr_client.kubeconfig import Access
from knarr_node_agent import credentials as credential_module
from knarr_node_agent import logs, machine
from knarr_node_agent import settings as settings_module
from knarr_node_agent.assignments import AssignmentStore, ObjectCache
from knarr_node_agent.credentials import CredentialFiles
from knarr_node_agent.overlay import Overlay, peers
from knarr_node_agent.pods import PodManager, pod_logs
from knarr_node_agent.runtime import Runtime
from knarr_node_agent.settings import Settings
from knarr_node_agent.stream import Stream
from knarr_node_agent.volumes import Volumes

STATUS_S = 5.0
RUNTIME_POLL_S = 0.1


def main() -> None:
    """Exit status 1 with one message on standard error when it can't start."""
    settings = settings_module.parse(sys.argv[1:])
    _configure_logs(settings.log_level)
    try:
        with _locked(settings.data_dir):
            asyncio.run(_run(settings))
    except (KnarrError, OSError) as error:
        sys.stderr.write(f"knarr-node-agent: {error}\n")
        raise SystemExit(1) from None


async def _run(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    agent = asyncio.create_task(_Agent(settings, SystemClock()).run(), name="agent")
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait({agent, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not agent.done():
        agent.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await agent


class _Agent:
    """Everything of one agent, wired."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._log = structlog.get_logger("knarr.agent")
        self._runtime = Runtime(settings.runtime)
        self._runtime_name = ""
        self._node_status = machine.status(settings, "", "", ["starting"], None, clock.now())
        self._problems: list[str] = ["container runtime has not been asked yet"]
        self._cidr = ""
        self._ip = settings.node_ip
        self._overlay_problem = ""

    async def run(self) -> None:
        settings, clock = self._settings, self._clock
        files = CredentialFiles(settings.data_dir)
        got = await credential_module.obtain(settings, files, clock)
        self._ip = self._ip or machine.address_towards(settings.server)
        access = Access(endpoints=(settings.server,), ca_pem=got.ca, certificate_pem=got.certificate, key_pem=got.key)
        channel = open_channel(access)
        client = GrpcClient(channel)
        store = AssignmentStore(settings.data_dir / "pods")
        recorder = EventRecorder(client, component="knarr-node-agent", clock=clock, instance=settings.node_name)
        renewed = asyncio.Event()
        self._pods = PodManager(
            self._runtime,
            store,
            ObjectCache(client, store),
            Volumes(settings.data_dir / "pods"),
            recorder,
            clock,
            log_root=settings.data_dir / "logs",
            host_ip=self._ip,
            memory_bytes=machine.memory_bytes(),
            report=lambda report: self._stream.report(report),
        )
        self._stream = Stream(
            channel,
            settings.node_name,
            clock,
            node=self._node,
            serve=self._serve,
            refused=lambda uid, _: self._pods.report_again(uid),
            connected=lambda: self._pods.resend(),
        )
        await self._look_at_runtime()
        for pod in store.load().values():
            self._pods.assign(pod)
        pods = Informer(client, Pod, field_selector=f"spec.nodeName={settings.node_name}", clock=clock)
        pods.add_handler(self._pod_changed)
        self._nodes = Informer(client, Node, clock=clock)
        self._nodes.add_handler(self._node_changed)
        self._routes = asyncio.Event()
        gc.freeze()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._stream.run(), name="stream")
                group.create_task(pods.run(), name="pods informer")
                group.create_task(self._nodes.run(), name="nodes informer")
                group.create_task(self._after_sync(pods), name="sync")
                group.create_task(self._pods.run(), name="pods")
                group.create_task(recorder.run(), name="events")
                group.create_task(self._watch_machine(), name="machine")
                group.create_task(self._route(), name="overlay")
                group.create_task(
                    credential_module.keep_fresh(channel, settings, files, clock, renewed), name="certificate"
                )
                group.create_task(self._restart_when(renewed), name="restart")
        finally:
            self._pods.probes.close()
            await self._runtime.close()
            await client.close()

    def _pod_changed(self, change: Change[Pod]) -> None:
        if change.old is not None and change.new is not None and change.old.metadata.uid != change.new.metadata.uid:
            self._pods.withdraw(change.old.metadata.uid)
        if change.new is not None:
            self._pods.assign(change.new)
        elif change.old is not None:
            self._pods.withdraw(change.old.metadata.uid)

    async def _after_sync(self, pods: Informer[Pod]) -> None:
        """What the disk remembers and the first list does not show has been taken away meanwhile."""
        await pods.synced.wait()
        present = {pod.metadata.uid for pod in pods.items()}
        for uid in [uid for uid in self._pods.pods if uid not in present]:
            self._pods.withdraw(uid)
        self._pods.synced = True

    def _node_changed(self, change: Change[Node]) -> None:
        node = change.new
        if node is not None and node.metadata.name == self._settings.node_name:
            self._cidr = node.spec.pod_cidr or self._cidr
            if machine.is_taken_for_lost(node):
                self._stream.node_status(self._node_status)
                self._pods.resend()
        self._routes.set()

    async def _route(self) -> None:
        """Tell the runtime its pods' addresses, and keep the way to other nodes."""
        overlay: Overlay | None = None
        configured = ""
        while True:
            await self._routes.wait()
            self._routes.clear()
            if not self._cidr:
                continue
            try:
                if configured != self._cidr:
                    await self._runtime.set_pod_cidr(self._cidr)
                    configured = self._cidr
                    await self._look_at_runtime()
                if self._settings.overlay:
                    overlay = overlay or Overlay(self._ip, self._cidr)
                    wanted = peers(self._nodes.items(), self._settings.node_name)
                    await asyncio.to_thread(overlay.apply, wanted)
                self._overlay_problem = ""
            except (OSError, KnarrError) as error:
                self._overlay_problem = f"network: {error}"
                self._log.warning("the overlay network is not complete", error=str(error))
                configured = "" if isinstance(error, KnarrError) else configured
                asyncio.get_running_loop().call_later(1.0, self._routes.set)

    async def _watch_machine(self) -> None:
        """The node's status, when it changes; sooner while it is not ready."""
        while True:
            await self._clock.sleep(RUNTIME_POLL_S if self._problems else STATUS_S)
            await self._look_at_runtime()

    async def _look_at_runtime(self) -> None:
        try:
            if not self._runtime_name:
                name, version = await self._runtime.version()
                self._runtime_name = f"{name}://{version}"
            problems = await self._runtime.problems()
            self._routes_after_restart(problems)
        except KnarrError as error:
            problems = [f"container runtime is down: {error}"]
        if self._overlay_problem:
            problems.append(self._overlay_problem)
        self._problems = problems
        status = machine.status(
            self._settings, self._ip, self._runtime_name, problems, self._node_status, self._clock.now()
        )
        if status != self._node_status:
            self._node_status = status
            self._stream.node_status(status)

    def _routes_after_restart(self, problems: list[str]) -> None:
        """A runtime that has lost its configuration says so: it is told again."""
        if any("NetworkReady" in problem for problem in problems) and self._cidr and hasattr(self, "_routes"):
            asyncio.get_running_loop().create_task(self._set_cidr())

    async def _set_cidr(self) -> None:
        with contextlib.suppress(KnarrError):
            await self._runtime.set_pod_cidr(self._cidr)

    def _node(self) -> Node:
        return machine.node(self._settings, self._ip, self._runtime_name, self._problems, self._clock.now())

    async def _serve(self, opened: Any) -> AsyncIterator[bytes]:
        """A pod's log."""
        pod = self._pods.pods.get(opened.logs.uid)
        if pod is None:
            raise NotFound("the pod is not on this node any more")
        request = opened.logs.request
        since = None
        if request.HasField("since_seconds"):
            since = self._clock.now() - datetime.timedelta(seconds=request.since_seconds)
        directory = pod_logs(self._settings.data_dir / "logs", pod)
        path = logs.newest(directory, request.container, previous=request.previous)
        state = await self._runtime.pod(opened.logs.uid)

        def ended() -> bool:
            current = self._pods.pods.get(opened.logs.uid)
            runs = state.runs.get(request.container, ())
            return current is None or not runs

        asked = logs.Asked(
            follow=request.follow and not request.previous,
            timestamps=request.timestamps,
            tail_lines=request.tail_lines if request.HasField("tail_lines") else None,
            since=since,
            limit_bytes=request.limit_bytes if request.HasField("limit_bytes") else None,
        )
        async for data in logs.read(path, asked, ended):
            yield data

    async def _restart_when(self, renewed: asyncio.Event) -> None:
        """A new certificate is taken into use by a new process; the supervisor starts it."""
        await renewed.wait()
        os.kill(os.getpid(), signal.SIGTERM)


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


def _configure_logs(level: str) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], drop_missing=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


if __name__ == "__main__":
    main()
