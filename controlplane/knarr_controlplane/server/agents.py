"""``knarr.v1.Agent``: what node agents dial.

One task per agent takes what it says, in order, and acknowledges what is stored; a refused update is named in the
acknowledgement and does not hold up the others. With thousands of agents each message counts: what is merely stored is
acknowledged together with what comes soon after; a heartbeat, which renews the node's Lease (``leases``), not at all.

Every status has one writer: of a pod's conditions the agent's own are taken from what it says, and those that others
write (the scheduler, the controllers) stay as they are stored.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import grpc.aio
import msgspec
import structlog

from knarr_api import errors, grpc_status, json, kinds
from knarr_api.errors import Forbidden, Invalid, KnarrError
from knarr_api.types.core_v1 import Node, NodeCondition, NodeStatus, Pod, PodStatus, Taint
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import outcomes
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.pki import identity
from knarr_controlplane.registry import rules
from knarr_controlplane.registry.bulk import Wanted
from knarr_controlplane.registry.registry import QUIET, Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.server.calls import streaming
from knarr_controlplane.server.hub import AgentHub, Connection, Session
from knarr_controlplane.server.leases import Leases
from knarr_controlplane.server.pod_statuses import PodStatuses
from knarr_controlplane.version import VERSION
from knarr_proto.v1 import agent_pb2, agent_pb2_grpc

replace = msgspec.structs.replace
NODE, POD = kinds.of(Node), kinds.of(Pod)
RESTRICTED_PREFIX = "node-restriction.kubernetes.io"
AGENT_CONDITIONS = frozenset({"Initialized", "PodReadyToStartContainers", "ContainersReady", "Ready"})
OTHERS_CONDITIONS = frozenset({"PodScheduled"})
ENDED = ("Succeeded", "Failed")


class Agents(agent_pb2_grpc.AgentServicer):
    def __init__(
        self, registry: Registry, hub: AgentHub, *, now: Callable[[], datetime], heartbeat_s: float, lease_s: float
    ) -> None:
        self._registry = registry
        self._hub = hub
        self._now = now
        self._heartbeat_s = heartbeat_s
        self._lease_s = lease_s
        self._leases = Leases(registry, now=now, duration_s=lease_s)
        self._statuses = PodStatuses(registry)

    async def run(self) -> None:
        """Renew Leases and store statuses until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._leases.run())
            group.create_task(self._statuses.run())

    @streaming
    async def Connect(self, request: Any, context: Any) -> AsyncIterator[Any]:
        node = identity.of_call(context).node_name
        first = await anext(request, None)
        if first is None or first.WhichOneof("content") != "hello":
            raise Invalid("the first message of an agent must be hello")
        if not node or first.hello.node_name != node:
            raise Forbidden(f'only the agent of node "{first.hello.node_name}" may connect as it, not "{node}"')
        log = structlog.get_logger("knarr.agents").bind(node=node)
        uid = await self._register(node, first.hello)
        connection = self._hub.connect(node)
        welcome = agent_pb2.Welcome(
            server_version=VERSION,
            heartbeat_interval_ms=int(self._heartbeat_s * 1000),
            lease_duration_ms=int(self._lease_s * 1000),
        )
        connection.send(agent_pb2.ServerMessage(welcome=welcome))
        connection.acknowledge(first.sequence)
        log.info("agent connected", version=first.hello.agent_version[:64])
        receiving = asyncio.create_task(self._receive(connection, request, uid))
        try:
            while (message := await connection.outgoing.get()) is not None:
                yield message
        finally:
            receiving.cancel()
            self._hub.disconnect(connection)
            if node not in self._hub.connections:
                self._registry.usages.forget(node)
            log.info("agent disconnected")
            await asyncio.wait({receiving})

    @streaming
    async def Session(self, request: Any, context: Any) -> AsyncIterator[Any]:
        node = identity.of_call(context).node_name
        first = await anext(request, None)
        session = self._hub.sessions.get(first.session_id) if first is not None else None
        if first is None or session is None or session.node != node:
            raise errors.NotFound("no such session: it was closed meanwhile")
        session.opened.set()
        receiving = asyncio.create_task(_receive_frames(session, first, request))
        closed = asyncio.create_task(session.closed.wait())
        try:
            await asyncio.wait({receiving, closed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            receiving.cancel()
            closed.cancel()
            session.end()
            await asyncio.wait({receiving, closed})
        return
        yield  # pragma: no cover - makes this an asynchronous generator

    async def _receive(self, connection: Connection, messages: Any, uid: str) -> None:
        log = structlog.get_logger("knarr.agents").bind(node=connection.node)
        node = connection.node
        try:
            async for message in messages:
                content = message.WhichOneof("content")
                if content == "heartbeat":
                    self._leases.heard(node, uid)
                elif content == "usage":
                    self._registry.usages.report(node, message.usage)
                elif (refused := await self._take(node, message)) or content != "pod_statuses":
                    connection.acknowledge(message.sequence, refused)
                else:
                    connection.stored(message.sequence)
        except KnarrError as error:
            log.warning("agent's stream ended", error=str(error))
        except grpc.aio.AioRpcError as error:
            log.info("agent's stream broke off", error=error.details())
        finally:
            self._hub.disconnect(connection)
            connection.end()

    async def _take(self, node: str, message: Any) -> list[Any]:
        """Store what the message says; returns what was refused."""
        try:
            match message.WhichOneof("content"):
                case "node_status":
                    await self._node_status(node, json.decode(message.node_status.status_json, NodeStatus))
                case "pod_statuses":
                    return await self._pod_statuses(node, message)
                case _:
                    raise Invalid("an agent says hello once, then heartbeats and statuses")
        except KnarrError as error:
            return [_refused(message.sequence, error, agent_pb2.PodStatusUpdate(name=node))]
        return []

    async def _register(self, name: str, hello: Any) -> str:
        """Create the Node, or take over what its agent knows of it. Returns its uid."""
        given = json.decode_strict(hello.node_json, Node)
        labels = {key: value for key, value in given.metadata.labels.items() if not _is_reserved(key)}
        annotations = dict(given.metadata.annotations)
        metadata = ObjectMeta(name=name, labels=labels, annotations=annotations)
        given = replace(given, status=self._with_readiness(given.status))
        taints = given.spec.taints
        if not any(c.type == "Ready" and c.status == "True" for c in given.status.conditions):
            taints = (*taints, Taint(key="node.kubernetes.io/not-ready", effect="NoSchedule"))
        spec = replace(given.spec, taints=taints, pod_cidr="", pod_cidrs=())
        entry: CacheEntry | None = None
        if self._registry.cache.get(NODE, NODE.key("", name)) is None:
            with contextlib.suppress(errors.AlreadyExists):
                entry = await self._registry.create(replace(given, metadata=metadata, spec=spec))
        if entry is None:
            returned = _returned(metadata, given.status, self._registry.admission)
            entry = await self._registry.change(NODE, "", name, returned, writer=QUIET)
        await self._leases.renew(name, entry.uid)
        return entry.uid

    def _with_readiness(self, status: NodeStatus) -> NodeStatus:
        """A node that does not say whether it is ready is not: nothing may be placed on it yet."""
        if any(condition.type == "Ready" for condition in status.conditions):
            return status
        now = self._now()
        ready = NodeCondition(
            type="Ready",
            status="False",
            reason="NodeRegistered",
            message="the node's agent has not reported yet",
            last_heartbeat_time=now,
            last_transition_time=now,
        )
        return replace(status, conditions=(*status.conditions, ready))

    async def _node_status(self, name: str, status: NodeStatus) -> CacheEntry:
        node = Node(metadata=ObjectMeta(name=name), status=status)
        return await self._registry.update(node, subresource="status")

    async def _pod_statuses(self, node: str, message: Any) -> list[Any]:
        updates = message.pod_statuses.updates
        changes = [Wanted(each.namespace, each.name, _Reported(node, each)) for each in updates]
        stored = await self._statuses.store(changes)
        ended = [
            update
            for update, entry in zip(updates, stored, strict=True)
            if update.terminated
            and not isinstance(entry, KnarrError)
            and entry.value().metadata.deletion_timestamp is not None
        ]
        gone = await outcomes(
            self._registry.delete(POD, each.namespace, each.name, grace_s=0, uid=each.uid) for each in ended
        )
        done = [*zip(updates, stored, strict=True), *zip(ended, gone, strict=True)]
        return [_refused(message.sequence, error, update) for update, error in done if isinstance(error, KnarrError)]


async def _receive_frames(session: Session, frame: Any, frames: Any) -> None:
    log = structlog.get_logger("knarr.agents").bind(node=session.node)
    try:
        if not frame.WhichOneof("content"):
            frame = await anext(frames, None)
        while frame is not None:
            await session.put(frame)
            if frame.WhichOneof("content") == "end":
                return
            frame = await anext(frames, None)
    except grpc.aio.AioRpcError as error:
        log.info("session broke off", error=error.details())


def _returned(said: ObjectMeta, status: NodeStatus, admission: Admission) -> Callable[[Node], Node]:
    """What a Node becomes whose agent connects again. Raises Invalid."""

    def decide(node: Node) -> Node:
        labels, annotations = {**node.metadata.labels, **said.labels}, {**node.metadata.annotations, **said.annotations}
        metadata = replace(node.metadata, labels=labels, annotations=annotations)
        changed: Node = rules.updated(node, replace(node, metadata=metadata), admission)
        return replace(changed, status=status)

    return decide


class _Reported(msgspec.Struct, frozen=True, gc=False):
    """What an agent's update makes of the pod that it names. Raises Forbidden, NotFound."""

    node: str
    update: Any

    def __call__(self, pod: Pod) -> Pod:
        update = self.update
        if pod.spec.node_name != self.node:
            raise Forbidden(f'pods "{update.name}" is not on node "{self.node}"')
        if pod.metadata.uid != update.uid:
            raise errors.NotFound(f'pods "{update.name}" of uid {update.uid} not found')
        status = json.decode(update.status_json, PodStatus)
        if pod.status.phase in ENDED and status.phase != pod.status.phase:
            return pod  # as it ended; a node that lost power may have forgotten that it told
        return replace(pod, status=merged_status(pod.status, status))


def merged_status(stored: PodStatus, reported: PodStatus) -> PodStatus:
    """What the agent reports, with what others write of a pod's status as it is stored."""
    own = {condition.type for condition in reported.conditions}
    others = tuple(
        condition
        for condition in stored.conditions
        if condition.type not in AGENT_CONDITIONS and condition.type not in own
    )
    theirs = {condition.type: condition for condition in stored.conditions if condition.type in OTHERS_CONDITIONS}
    conditions = tuple(theirs.get(condition.type, condition) for condition in reported.conditions)
    return replace(
        reported,
        conditions=(*conditions, *others),
        qos_class=stored.qos_class,
        nominated_node_name=stored.nominated_node_name,
    )


def _is_reserved(label: str) -> bool:
    """Labels that say where pods may be isolated to: a node must not give them to itself."""
    return label.partition("/")[0].endswith(RESTRICTED_PREFIX) and "/" in label


def _refused(sequence: int, error: KnarrError, update: Any) -> Any:
    number: int = grpc_status.code_of(error).value[0]
    return agent_pb2.Refused(
        sequence=sequence,
        namespace=update.namespace,
        name=update.name,
        uid=update.uid,
        code=number,
        message=error.message,
    )
