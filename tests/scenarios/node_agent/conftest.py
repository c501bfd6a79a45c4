"""One node in virtual time: the agent's real pod loop on a runtime and an API in memory."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from knarr_api.errors import KnarrError, NotFound, Unavailable
from knarr_api.quantity import Quantity
from knarr_api.types.authentication_v1 import TokenRequest, TokenRequestStatus
from knarr_api.types.core_v1 import Container, ContainerStatus, Event, Pod, PodSpec
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import virtual_time
from knarr_client.event_recorder import EventRecorder
from knarr_client.informer import Change, Informer
from knarr_client.memory import MemoryApi, MemoryClient
from knarr_client.virtual_time import VirtualClock, eventually
from knarr_node_agent.assignments import AssignmentStore, ObjectCache
from knarr_node_agent.memory_cri import MemoryCri, Program
from knarr_node_agent.pod_files import PodFiles
from knarr_node_agent.pods import PodManager
from knarr_node_agent.runtime import Runtime
from knarr_node_agent.starting import NodeFacts, Starter
from knarr_node_agent.stream import PodReport
from knarr_node_agent.tokens import PodTokens
from knarr_node_agent.user_ranges import UserRanges
from knarr_node_agent.volumes import Volumes

NODE = "n1"
replace = msgspec.structs.replace


class Node:
    """The node's machine: its disk and its runtime stay when the agent is restarted."""

    def __init__(self, clock: VirtualClock, directory: Path) -> None:
        self.clock = clock
        self.directory = directory
        self.api = MemoryApi(clock=clock)
        self.admin = MemoryClient(self.api)
        self.link = MemoryClient(self.api)
        self.cri = MemoryCri(clock)
        self.reports: list[PodReport] = []
        self.manager: PodManager | None = None
        self.tokens_given = 0
        self.may_give_tokens = True

    async def give_token(self, namespace: str, account: str, request: TokenRequest) -> TokenRequest:
        """What the control plane does; the token says what was asked for, and a number."""
        if not self.link.connected or not self.may_give_tokens:
            raise Unavailable("the control plane is away")
        self.tokens_given += 1
        spec, bound = request.spec, request.spec.bound_object_ref
        text = f"{account}/{bound.name}/{','.join(spec.audiences)}/{self.tokens_given}"
        expires = self.clock.now() + datetime.timedelta(seconds=spec.expiration_seconds)
        return replace(request, status=TokenRequestStatus(token=text, expiration_timestamp=expires))

    # The agent

    @contextlib.asynccontextmanager
    async def agent(self) -> AsyncIterator[PodManager]:
        """The agent runs within the block."""
        runtime = Runtime(self.cri.runtime, self.cri.images)
        root, memory = self.directory / "pods", self.directory / "secrets"
        root.mkdir(exist_ok=True)
        memory.mkdir(exist_ok=True)
        store = AssignmentStore(root, memory)
        objects = ObjectCache(self.link, store, self.clock)
        recorder = EventRecorder(self.link, component="agent", clock=self.clock, instance=NODE)
        facts = NodeFacts(
            host_ip="192.0.2.1",
            memory_bytes=1 << 30,
            log_root=self.directory / "logs",
            allocatable={"cpu": Quantity("2"), "memory": Quantity("1Gi")},
        )
        volumes = Volumes(root, memory)
        tokens = PodTokens(self.give_token, memory, self.clock)
        starter = Starter(
            runtime, objects, volumes, PodFiles(root), UserRanges(root), recorder, self.clock, facts, tokens
        )
        reports: asyncio.Queue[PodReport] = asyncio.Queue()
        manager = PodManager(
            runtime, store, objects, starter, recorder, self.clock, host_ip="192.0.2.1", report=reports.put_nowait
        )
        self.manager = manager
        for pod in store.load().values():
            manager.assign(pod)
        informer = Informer(self.link, Pod, field_selector=f"spec.nodeName={NODE}", clock=self.clock)

        def changed(change: Change[Pod]) -> None:
            if change.old is not None and (change.new is None or change.old.metadata.uid != change.new.metadata.uid):
                manager.withdraw(change.old.metadata.uid)
            if change.new is not None:
                manager.assign(change.new)

        async def synced() -> None:
            await informer.synced.wait()
            present = {pod.metadata.uid for pod in informer.items()}
            for uid in [uid for uid in manager.pods if uid not in present]:
                manager.withdraw(uid)
            manager.synced = True

        informer.add_handler(changed)
        tasks = [
            asyncio.create_task(work)
            for work in (informer.run(), synced(), manager.run(), recorder.run(), self._report(reports))
        ]
        try:
            yield manager
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                    raise result

    async def _report(self, reports: asyncio.Queue[PodReport]) -> None:
        """What the stream and the server do with reports: kept until they are stored."""
        while True:
            report = await reports.get()
            self.reports.append(report)
            while True:
                try:
                    pod = await self.link.get(Pod, report.name, report.namespace)
                    if pod.metadata.uid == report.uid:
                        pod = await self.link.update_status(replace(pod, status=report.status))
                        if report.terminated and pod.metadata.deletion_timestamp is not None:
                            await self.link.delete(Pod, report.name, report.namespace, grace_period_s=0, uid=report.uid)
                    break
                except NotFound:
                    break
                except KnarrError:
                    await self.clock.sleep(0.2)

    # The user

    async def create(self, spec: PodSpec, name: str = "web", **metadata: Any) -> Pod:
        spec = replace(spec, node_name=NODE, restart_policy=spec.restart_policy or "Always")
        return await self.admin.create(Pod(metadata=ObjectMeta(name=name, namespace="default", **metadata), spec=spec))

    async def pod(self, name: str = "web") -> Pod:
        return await self.admin.get(Pod, name, "default")

    async def container(self, container: str = "main", name: str = "web") -> ContainerStatus:
        status = (await self.pod(name)).status
        found = [s for s in (*status.container_statuses, *status.init_container_statuses) if s.name == container]
        return found[0] if found else ContainerStatus()

    async def is_gone(self, name: str = "web") -> bool:
        try:
            await self.pod(name)
        except NotFound:
            return True
        return False

    async def condition(self, type_: str, name: str = "web") -> str:
        conditions = (await self.pod(name)).status.conditions
        return next((condition.status for condition in conditions if condition.type == type_), "")

    async def events(self, name: str = "web") -> list[str]:
        page = await self.admin.list(Event, "default")
        found = [e for e in page.items if e.involved_object is not None and e.involved_object.name == name]
        return [event.reason for event in found]

    async def until(self, condition: Callable[[], Any], within_s: float = 5.0) -> float:
        return await eventually(condition, within_s=within_s, step_s=0.01)

    async def until_phase(self, phase: str, name: str = "web", within_s: float = 5.0) -> float:
        async def holds() -> bool:
            return (await self.pod(name)).status.phase == phase

        return await self.until(holds, within_s)

    async def until_ready(self, name: str = "web", within_s: float = 5.0) -> float:
        async def holds() -> bool:
            return await self.condition("Ready", name) == "True"

        return await self.until(holds, within_s)

    async def until_gone(self, name: str = "web", within_s: float = 5.0) -> float:
        async def holds() -> bool:
            return await self.is_gone(name)

        return await self.until(holds, within_s)


Scenario = Callable[[Node], Coroutine[Any, Any, None]]


@pytest.fixture
def on_node(tmp_path: Path) -> Callable[[Scenario], None]:
    """Run a scenario on a fresh node, in virtual time."""

    def run(scenario: Scenario) -> None:
        async def play(clock: VirtualClock) -> None:
            await scenario(Node(clock, tmp_path))

        virtual_time.run(play)

    return run


@pytest.fixture
def a_container() -> Callable[..., Container]:
    def make(name: str = "main", **fields: Any) -> Container:
        return Container(name=name, **{"image": "busybox", "image_pull_policy": "IfNotPresent", **fields})

    return make


@pytest.fixture
def program() -> type[Program]:
    return Program
