"""A process of simulated node agents: real connections, certificates, heartbeats, watches and statuses, no runtime.

Each agent has a connection of its own with its node's certificate, registers over ``Agent.Connect``, watches its pods
and says of each new one that it is Running, or that nothing is left of one that is being deleted. Every 100 ms the
process writes a line of JSON to standard output: how many agents are connected, how many statuses were sent, how many
of them are acknowledged, that is stored.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json as plain_json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from scale_calls import Call, Connection, Lost

from knarr_client.kubeconfig import Access
from knarr_controlplane.pki.authority import Authority
from knarr_proto.v1 import agent_pb2, objects_pb2

JOINING = 16
"""Agents of this process that register at the same time."""
JOINED = 2
"""The message with which an agent has said all of its node."""
REPORT_S = 0.1
PODS = objects_pb2.ResourceType(version="v1", resource="pods")
ALLOCATABLE = {"cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "100Gi"}


class SeenMetadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str
    uid: str
    deletion_timestamp: str = ""


class SeenStatus(msgspec.Struct, frozen=True):
    phase: str = ""


class SeenPod(msgspec.Struct, frozen=True):
    """What a simulated agent looks at."""

    metadata: SeenMetadata
    status: SeenStatus = SeenStatus()


DECODER = msgspec.json.Decoder(SeenPod)


@dataclass(slots=True)
class Totals:
    """Of all agents of this process. stored: statuses that were acknowledged."""

    connected: int = 0
    sent: int = 0
    stored: int = 0
    refused: int = 0
    heartbeats: int = 0


@dataclass(slots=True)
class Agent:
    """One node. number: of the node, in the whole cluster."""

    name: str
    number: int
    access: Access
    totals: Totals
    keepalive_s: float
    waiting: list[Any] = field(default_factory=list)
    said: set[str] = field(default_factory=set)
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    counts: dict[int, int] = field(default_factory=dict)
    sequence: int = 0
    heartbeat_s: float = 10.0
    due_s: float = 0.0
    alarm: asyncio.TimerHandle | None = None
    """At which it says that it is there."""
    stream: Call | None = None

    async def run(self, joining: asyncio.Semaphore) -> None:
        """Until cancelled, connected again whenever the connection is lost."""
        while True:
            try:
                await self._converse(joining)
            except (Lost, OSError):
                pass
            await asyncio.sleep(0.5 + self.number % 10 / 10)

    async def _converse(self, joining: asyncio.Semaphore) -> None:
        connection: Connection | None = None
        self.joined.clear()
        self.over.clear()
        self.counts.clear()
        self.sequence = 0
        try:
            async with joining:
                connection = await Connection.open(self.access, keepalive_s=self.keepalive_s)
                self.stream = connection.call("/knarr.v1.Agent/Connect", self._heard, self._ended)
                hello = agent_pb2.Hello(node_name=self.name, agent_version="bench", node_json=self._node())
                self._send(hello=hello)
                self._send(node_status=agent_pb2.NodeStatus(status_json=self._node_status()))
                await self.joined.wait()
            self.waiting.clear()
            self.said.clear()
            request = objects_pb2.WatchRequest(type=PODS, field_selector=f"spec.nodeName={self.name}")
            watch = connection.call("/knarr.v1.Objects/Watch", self._watched, self._ended)
            watch.send(request.SerializeToString(), last=True)
            self.totals.connected += 1
            self.due_s = asyncio.get_running_loop().time() + self.number * 0.618 % 1 * self.heartbeat_s
            self._beat_when_due()
            try:
                await self.over.wait()
            finally:
                self.totals.connected -= 1
        finally:
            if self.alarm is not None:
                self.alarm.cancel()
            if connection is not None:
                connection.close()

    def _beat_when_due(self) -> None:
        self.alarm = asyncio.get_running_loop().call_at(self.due_s, self._beat)

    def _beat(self) -> None:
        self._send(heartbeat=agent_pb2.Heartbeat())
        self.totals.heartbeats += 1
        self.due_s += self.heartbeat_s
        self._beat_when_due()

    def _ended(self, error: Lost | None) -> None:
        self.over.set()
        self.joined.set()

    def _heard(self, data: bytes) -> None:
        message = agent_pb2.ServerMessage.FromString(data)
        match message.WhichOneof("content"):
            case "welcome":
                self.heartbeat_s = message.welcome.heartbeat_interval_ms / 1000
            case "ack":
                for sequence in [each for each in self.counts if each <= message.ack.sequence]:
                    self.totals.stored += self.counts.pop(sequence)
                self.totals.stored -= len(message.ack.refused)
                self.totals.refused += len(message.ack.refused)
                if message.ack.sequence >= JOINED:
                    self.joined.set()

    def _watched(self, data: bytes) -> None:
        for event in objects_pb2.WatchResponse.FromString(data).events:
            self._seen(event)
        while self.waiting:
            updates, self.waiting = self.waiting[:256], self.waiting[256:]
            self._send(pod_statuses=agent_pb2.PodStatuses(updates=updates))
            self.counts[self.sequence] = len(updates)
            self.totals.sent += len(updates)

    def _send(self, **content: Any) -> None:
        self.sequence += 1
        if self.stream is not None:
            self.stream.send(agent_pb2.AgentMessage(sequence=self.sequence, **content).SerializeToString())

    def _seen(self, event: Any) -> None:
        if event.type not in (objects_pb2.WatchEvent.ADDED, objects_pb2.WatchEvent.MODIFIED):
            return
        pod = DECODER.decode(event.object.json)
        uid = pod.metadata.uid
        if pod.metadata.deletion_timestamp:
            self._say(pod.metadata, terminated=True)
        elif pod.status.phase == "Pending" and uid not in self.said:
            self.said.add(uid)
            self._say(pod.metadata)

    def _say(self, pod: SeenMetadata, *, terminated: bool = False) -> None:
        status = RUNNING.replace(b"NUMBER", str(self.number).encode()).replace(b"UID", pod.uid.encode())
        update = agent_pb2.PodStatusUpdate(
            namespace=pod.namespace, name=pod.name, uid=pod.uid, status_json=status, terminated=terminated
        )
        self.waiting.append(update)

    def _node(self) -> bytes:
        zone = f"zone-{self.number % 3}"
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": zone}
        node = {"metadata": {"name": self.name, "labels": labels}, "status": plain_json.loads(self._node_status())}
        return plain_json.dumps({"apiVersion": "v1", "kind": "Node", **node}).encode()

    def _node_status(self) -> bytes:
        kinds = {"MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False", "Ready": "True"}
        conditions = [
            {"type": kind, "status": status, "reason": "Simulated", "lastTransitionTime": NOW}
            for kind, status in kinds.items()
        ]
        address = f"192.168.{self.number // 250}.{self.number % 250 + 1}"
        return plain_json.dumps(
            {
                "capacity": ALLOCATABLE,
                "allocatable": ALLOCATABLE,
                "conditions": conditions,
                "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": self.name}],
                "nodeInfo": {"kubeletVersion": "bench", "operatingSystem": "linux", "architecture": "amd64"},
            }
        ).encode()


NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
RUNNING = plain_json.dumps(
    {
        "phase": "Running",
        "hostIP": "192.168.1.1",
        "podIP": "10.1.NUMBER.2",
        "podIPs": [{"ip": "10.1.NUMBER.2"}],
        "startTime": NOW,
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": NOW}
            for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
        ],
        "containerStatuses": [
            {
                "name": "main",
                "image": "knarr/busybox:1",
                "imageID": "sha256:" + "0" * 64,
                "containerID": "knarr://UID",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": NOW}},
            }
        ],
    }
).encode()


def accesses(data_dir: Path, server: str, names: list[str]) -> list[Access]:
    """One for each node, with a certificate of its own; all certificates are of one key, which is made once."""
    now = datetime.now(UTC)
    authority = Authority.open(data_dir / "pki", now)
    key = ec.generate_private_key(ec.SECP256R1())
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    found = []
    for name in names:
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
                x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{name}"),
            ]
        )
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        certificate = authority.sign_node(request.public_bytes(serialization.Encoding.PEM), name, now)
        found.append(Access(endpoints=(server,), ca_pem=authority.pem, certificate_pem=certificate, key_pem=key_pem))
    return found


async def run(data_dir: Path, server: str, first: int, count: int, keepalive_s: float) -> None:
    totals = Totals()
    joining = asyncio.Semaphore(JOINING)
    numbers = range(first, first + count)
    names = [f"node-{number}" for number in numbers]
    agents = [
        Agent(name, number, access, totals, keepalive_s)
        for number, name, access in zip(numbers, names, accesses(data_dir, server, names), strict=True)
    ]
    gc.disable()  # a node's own would look at a node's objects, not at those of thousands
    async with asyncio.TaskGroup() as group:
        for agent in agents:
            group.create_task(agent.run(joining))
        while True:
            line = {slot: getattr(totals, slot) for slot in Totals.__slots__}
            sys.stdout.write(plain_json.dumps(line) + "\n")
            sys.stdout.flush()
            await asyncio.sleep(REPORT_S)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--server", required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--keepalive", type=float, required=True)
    given = parser.parse_args()
    asyncio.run(run(given.data_dir, given.server, given.first, given.count, given.keepalive))


if __name__ == "__main__":
    main()
