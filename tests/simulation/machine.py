"""A node: the real agent as a process on a machine with a disk and a container runtime in memory."""

from __future__ import annotations

import asyncio
import datetime
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from knarr_api.quantity import Quantity
from knarr_api.types.authentication_v1 import TokenRequest, TokenRequestStatus
from knarr_api.types.core_v1 import Node, NodeAddress, NodeCondition, NodeStatus, Pod
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.event_recorder import EventRecorder
from knarr_client.informer import Change, Informer
from knarr_node_agent.assignments import AssignmentStore, ObjectCache
from knarr_node_agent.machine import is_taken_for_lost, must_tell_pods_again
from knarr_node_agent.memory_cri import MemoryCri, Program
from knarr_node_agent.pod_files import PodFiles
from knarr_node_agent.pods import PodManager
from knarr_node_agent.runtime import Runtime
from knarr_node_agent.starting import NodeFacts, Starter
from knarr_node_agent.stream import Stream
from knarr_node_agent.tokens import PodTokens
from knarr_node_agent.user_ranges import UserRanges
from knarr_proto.cri import api_pb2 as cri
from tests.simulation import load
from tests.simulation.claims import Disks
from tests.simulation.faults import FaultyRuntime, Network
from tests.simulation.loop import Process
from tests.simulation.moment import CPU_M, IMAGES, MEMORY_MI, PODS, WORK_S
from tests.simulation.part import Part
from tests.simulation.pressure import GIVES_UP
from tests.simulation.remote import Channel, Remote
from tests.simulation.workloads import LONG_S

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster


class Disk(AssignmentStore):
    """A killed agent writes nothing more."""

    def __init__(self, root: Path, secrets: Path, process: Process) -> None:
        super().__init__(root, secrets)
        self._process = process

    def _write(self, directory: Path, name: str, data: bytes) -> None:
        if self._process.alive:
            super()._write(directory, name, data)


class Machine(Part):
    """A node: its disk and its runtime stay when the agent is started again."""

    def __init__(self, cluster: Cluster, number: int, directory: Path) -> None:
        super().__init__(cluster, f"n{number}")
        self.cri = MemoryCri(self.clock)
        self.cri.present = set(IMAGES)
        self.cri.pullable = set(IMAGES)
        self.cri.programs["first"] = self.cri.programs["work"] = Program(runs_s=WORK_S)
        self.cri.programs["slow"] = Program(stops_after_s=1.0)
        self.cri.programs["hopeless"] = Program(runs_s=2.0, exit_code=GIVES_UP)
        self.cri.programs["long"] = Program(runs_s=LONG_S)
        self.network = Network(self.name, cluster.chance(f"network {self.name}"), cluster.fired)
        self._directory = directory
        self._address = f"192.0.2.{number + 1}"
        self._status: NodeStatus | None = None

    def lose_power(self, *, forgets: bool) -> None:
        self.kill()
        self.network.part()
        for container in list(self.cri.containers.values()):
            self.cri.finish(container, 255, "Unknown")
        for sandbox in self.cri.sandboxes.values():
            sandbox.ready = False
        if forgets:
            self.cri.containers.clear()
            self.cri.sandboxes.clear()

    def running(self) -> dict[str, list[str]]:
        """Containers by the uid of their pod."""
        found: dict[str, list[str]] = {}
        for container in self.cri.containers.values():
            if container.state == cri.CONTAINER_RUNNING:
                uid = container.config.labels["io.kubernetes.pod.uid"]
                found.setdefault(uid, []).append(container.config.metadata.name)
        return found

    def loaded(self) -> list[tuple[str, str, str, str]]:
        return load.pods_of(each for each in self.cri.containers.values() if each.state == cri.CONTAINER_RUNNING)

    def node(self) -> Node:
        now = self.clock.now().replace(microsecond=0)
        if self._status is None:
            ready = NodeCondition(
                type="Ready", status="True", reason="KubeletReady", last_transition_time=now, last_heartbeat_time=now
            )
            amounts = {
                "cpu": Quantity(f"{CPU_M}m"),
                "memory": Quantity(f"{MEMORY_MI}Mi"),
                "pods": Quantity(str(PODS)),
            }
            address = NodeAddress(type="InternalIP", address=self._address)
            self._status = NodeStatus(capacity=amounts, allocatable=amounts, conditions=(ready,), addresses=(address,))
        labels = {"kubernetes.io/hostname": self.name}
        return Node(metadata=ObjectMeta(name=self.name, labels=labels), status=self._status)

    async def _give_token(self, namespace: str, account: str, request: TokenRequest) -> TokenRequest:
        """What the control plane answers, without its signature: nobody shows these tokens to anybody."""
        await self.network.travel()
        expires = self.clock.now() + datetime.timedelta(seconds=request.spec.expiration_seconds)
        status = TokenRequestStatus(token=f"{namespace}/{account}", expiration_timestamp=expires)
        await self.network.travel()
        return msgspec.structs.replace(request, status=status)

    async def _run(self, process: Process) -> None:
        """As the agent's main wires it, without the network between pods and without logs."""
        chance = self._cluster.chance(process.name)
        clock = self.clock
        client: Any = Remote(process, self.network, self._cluster.endpoints)
        gate = _Watched(self._cluster, self, process, chance)
        runtime = Runtime(gate, FaultyRuntime(self.cri.images, process, chance))
        root, memory = self._directory / "pods", self._directory / "secrets"
        root.mkdir(parents=True, exist_ok=True)
        memory.mkdir(exist_ok=True)
        store = Disk(root, memory, process)
        objects = ObjectCache(client, store, clock)
        recorder = EventRecorder(client, component="knarr-node-agent", clock=clock, instance=self.name)
        facts = NodeFacts(
            host_ip=self._address,
            memory_bytes=MEMORY_MI << 20,
            log_root=self._directory / "logs",
            allocatable={"cpu": Quantity(f"{CPU_M}m"), "memory": Quantity(f"{MEMORY_MI}Mi")},
        )
        volumes = Disks(root, memory)
        volumes.claims = self._cluster.claims
        tokens = PodTokens(self._give_token, memory, clock)
        starter = Starter(runtime, objects, volumes, PodFiles(root), UserRanges(root), recorder, clock, facts, tokens)
        pods: PodManager
        stream = Stream(
            Channel(self.name, client, self.network),  # type: ignore[arg-type]
            self.name,
            clock,
            node=self.node,
            serve=lambda _: (_ for _ in ()),  # type: ignore[arg-type,return-value]
            refused=lambda uid, _: pods.report_again(uid),
        )
        pods = PodManager(
            runtime, store, objects, starter, recorder, clock, host_ip=self._address, report=stream.report
        )
        for pod in store.load().values():
            pods.assign(pod)
        informer = Informer(client, Pod, field_selector=f"spec.nodeName={self.name}", clock=clock)
        nodes = Informer(client, Node, field_selector=f"metadata.name={self.name}", clock=clock)

        def pod_changed(change: Change[Pod]) -> None:
            if change.old is not None and (change.new is None or change.old.metadata.uid != change.new.metadata.uid):
                pods.withdraw(change.old.metadata.uid)
            if change.new is not None:
                pods.assign(change.new)

        def node_changed(change: Change[Node]) -> None:
            if change.new is not None and is_taken_for_lost(change.new):
                stream.node_status_again()
            if must_tell_pods_again(change.old, change.new):
                pods.resend()

        async def synced() -> None:
            await informer.synced.wait()
            present = {pod.metadata.uid for pod in informer.items()}
            for uid in [uid for uid in pods.pods if uid not in present]:
                pods.withdraw(uid)
            pods.synced = True

        informer.add_handler(pod_changed)
        nodes.add_handler(node_changed)
        async with asyncio.TaskGroup() as group:
            for work in (stream.run(), informer.run(), nodes.run(), synced(), pods.run(), recorder.run()):
                group.create_task(work)
            if self._cluster.autoscales:
                group.create_task(load.tell(self.loaded, self._cluster.share_m, stream.usage))


class _Watched(FaultyRuntime):
    """The runtime service; the cluster is told of every start."""

    def __init__(self, cluster: Cluster, machine: Machine, process: Process, chance: random.Random) -> None:
        super().__init__(machine.cri.runtime, process, chance)
        self._cluster = cluster
        self._machine = machine

    def __getattr__(self, name: str) -> Any:
        method = super().__getattr__(name)
        if name != "StartContainer":
            return method

        async def start(request: Any, timeout: float | None = None) -> Any:
            answer = await method(request, timeout=timeout)
            container = self._machine.cri.containers.get(request.container_id)
            if container is not None:
                self._cluster.started(self._machine, container.config)
            return answer

        return start
