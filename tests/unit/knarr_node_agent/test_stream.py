"""The agent's stream against a server of the same protocol, over a real channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc.aio
import pytest

from knarr_api.errors import NotFound
from knarr_api.types.core_v1 import Node, NodeStatus, PodStatus
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.clock import SystemClock
from knarr_node_agent.stream import PodReport, Stream
from knarr_proto.v1 import agent_pb2, agent_pb2_grpc


class Server(agent_pb2_grpc.AgentServicer):
    """Keeps what it is told; acknowledges when told to."""

    def __init__(self) -> None:
        self.connections: list[asyncio.Queue[Any]] = []
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        self.frames: asyncio.Queue[Any] = asyncio.Queue()
        self.left: set[str] = set()
        """Sessions that nobody reads any more once they have begun."""

    async def Connect(self, request: Any, context: Any) -> AsyncIterator[Any]:
        outgoing: asyncio.Queue[Any] = asyncio.Queue()
        self.connections.append(outgoing)
        outgoing.put_nowait(
            agent_pb2.ServerMessage(welcome=agent_pb2.Welcome(server_version="1", heartbeat_interval_ms=100))
        )
        hearing = asyncio.create_task(self._hear(request))
        try:
            while (message := await outgoing.get()) is not None:
                yield message
        finally:
            hearing.cancel()

    async def Session(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for frame in request:
            self.frames.put_nowait(frame)
            if frame.session_id in self.left:
                return
        yield agent_pb2.SessionFrame()

    async def _hear(self, request: Any) -> None:
        async for message in request:
            self.heard.put_nowait(message)

    async def next(self, kind: str) -> Any:
        """The next message of a kind."""
        async with asyncio.timeout(30):
            while True:
                message = await self.heard.get()
                if message.WhichOneof("content") == kind:
                    return message

    async def frame(self) -> Any:
        async with asyncio.timeout(30):
            return await self.frames.get()


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, grpc.aio.Channel]]:
    servicer = Server()
    listening = grpc.aio.server()
    agent_pb2_grpc.add_AgentServicer_to_server(servicer, listening)
    port = listening.add_insecure_port("127.0.0.1:0")
    await listening.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield servicer, channel
    await listening.stop(None)


Run = Callable[..., Any]


@pytest.fixture
async def agent(server: tuple[Server, grpc.aio.Channel]) -> AsyncIterator[Callable[..., Stream]]:
    tasks: list[asyncio.Task[None]] = []

    async def nothing(opened: Any) -> AsyncIterator[bytes]:
        raise NotFound("no such pod")
        yield b""

    def start(serve: Any = nothing, refused: Any = lambda uid, why: None) -> Stream:
        stream = Stream(
            server[1],
            "n1",
            SystemClock(),
            node=lambda: Node(metadata=ObjectMeta(name="n1")),
            serve=serve,
            refused=refused,
        )
        tasks.append(asyncio.create_task(stream.run()))
        return stream

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def report(phase: str, uid: str = "u1") -> PodReport:
    return PodReport(namespace="default", name="web", uid=uid, status=PodStatus(phase=phase))


def ack(sequence: int, *refused: Any) -> Any:
    return agent_pb2.ServerMessage(ack=agent_pb2.Ack(sequence=sequence, refused=refused))


async def test_hello_heartbeats_and_node_status(server: Any, agent: Run) -> None:
    servicer, _ = server
    stream = agent()
    hello = await servicer.next("hello")
    assert hello.hello.node_name == "n1"
    assert b'"n1"' in hello.hello.node_json
    await servicer.next("heartbeat")
    await servicer.next("heartbeat")
    stream.node_status(NodeStatus(phase="Running"))
    assert b"Running" in (await servicer.next("node_status")).node_status.status_json


async def test_statuses_that_were_not_acknowledged_are_sent_again_the_newest_alone(server: Any, agent: Run) -> None:
    servicer, _ = server
    stream = agent()
    await servicer.next("hello")
    stream.report(report("Pending"))
    first = await servicer.next("pod_statuses")
    servicer.connections[-1].put_nowait(ack(first.sequence))
    stream.report(report("Running"))
    await servicer.next("pod_statuses")
    servicer.connections[-1].put_nowait(None)
    stream.report(report("Succeeded", "u2"))
    await servicer.next("hello")
    found = {}
    while len(found) < 2:
        for update in (await servicer.next("pod_statuses")).pod_statuses.updates:
            found[update.uid] = update.status_json
    assert b"Running" in found["u1"]
    assert b"Succeeded" in found["u2"]


async def test_a_status_that_was_acknowledged_is_not_sent_again(server: Any, agent: Run) -> None:
    servicer, _ = server
    stream = agent()
    stream.report(report("Running", "u1"))
    first = await servicer.next("pod_statuses")
    stream.report(report("Running", "u2"))
    await servicer.next("pod_statuses")
    servicer.connections[-1].put_nowait(ack(first.sequence))
    servicer.connections[-1].put_nowait(None)
    again = await servicer.next("pod_statuses")
    assert [update.uid for update in again.pod_statuses.updates] == ["u2"]


async def test_more_than_one_message_may_hold_is_sent_in_several(server: Any, agent: Run) -> None:
    servicer, _ = server
    stream = agent()
    await servicer.next("hello")
    names = {f"u{number}" for number in range(100)}
    for uid in names:
        status = PodStatus(phase="Failed", message="\n" * 50_000)
        stream.report(PodReport(namespace="default", name=uid, uid=uid, status=status))
    found: set[str] = set()
    while found != names:
        found |= {update.uid for update in (await servicer.next("pod_statuses")).pod_statuses.updates}
    assert len(servicer.connections) == 1


async def test_a_node_status_that_could_not_be_stored_is_sent_again(server: Any, agent: Run) -> None:
    servicer, _ = server
    stream = agent()
    await servicer.next("hello")
    stream.node_status(NodeStatus(phase="Running"))
    sent = await servicer.next("node_status")
    refused = agent_pb2.Refused(sequence=sent.sequence, name="n1", code=grpc.StatusCode.UNAVAILABLE.value[0])
    servicer.connections[-1].put_nowait(ack(sent.sequence, refused))
    await servicer.next("node_status")


async def test_refused_status_is_told_unless_the_pod_is_gone(server: Any, agent: Run) -> None:
    servicer, _ = server
    refused: asyncio.Queue[str] = asyncio.Queue()
    stream = agent(refused=lambda uid, why: refused.put_nowait(uid))
    stream.report(report("Running"))
    sent = await servicer.next("pod_statuses")
    gone = agent_pb2.Refused(sequence=sent.sequence, uid="u0", code=grpc.StatusCode.NOT_FOUND.value[0])
    later = agent_pb2.Refused(sequence=sent.sequence, uid="u1", code=grpc.StatusCode.UNAVAILABLE.value[0])
    servicer.connections[-1].put_nowait(ack(sent.sequence, gone, later))
    async with asyncio.timeout(30):
        assert await refused.get() == "u1"
    assert refused.empty()


async def test_session_serves_a_log_and_says_how_it_ended(server: Any, agent: Run) -> None:
    servicer, _ = server

    async def serve(opened: Any) -> AsyncIterator[bytes]:
        yield b"one\n"
        if opened.session_id == "bad":
            raise OSError("disk on fire")

    agent(serve=serve)
    await servicer.next("hello")
    for name, code in (("good", 0), ("bad", grpc.StatusCode.INTERNAL.value[0])):
        servicer.connections[-1].put_nowait(
            agent_pb2.ServerMessage(open_session=agent_pb2.OpenSession(session_id=name))
        )
        assert (await servicer.frame()).session_id == name
        assert (await servicer.frame()).data == b"one\n"
        assert (await servicer.frame()).end.code == code


async def test_log_that_is_followed_does_not_keep_the_stream_from_coming_back(server: Any, agent: Run) -> None:
    servicer, _ = server
    closed = asyncio.Event()

    async def serve(opened: Any) -> AsyncIterator[bytes]:
        try:
            yield b"begun"
            await asyncio.Event().wait()
        finally:
            closed.set()

    agent(serve=serve)
    await servicer.next("hello")
    opened = agent_pb2.OpenSession(session_id="s1")
    servicer.connections[-1].put_nowait(agent_pb2.ServerMessage(open_session=opened))
    await servicer.frame()
    await servicer.frame()
    servicer.connections[-1].put_nowait(None)
    await servicer.next("hello")
    assert not closed.is_set()
    closing = agent_pb2.CloseSession(session_id="s1")
    servicer.connections[-1].put_nowait(agent_pb2.ServerMessage(close_session=closing))
    async with asyncio.timeout(30):
        await closed.wait()


async def test_a_log_that_says_nothing_more_is_followed_no_longer_than_somebody_reads(server: Any, agent: Run) -> None:
    servicer, _ = server
    servicer.left.add("s1")
    closed = asyncio.Event()

    async def serve(opened: Any) -> AsyncIterator[bytes]:
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            closed.set()

    agent(serve=serve)
    await servicer.next("hello")
    opened = agent_pb2.OpenSession(session_id="s1")
    servicer.connections[-1].put_nowait(agent_pb2.ServerMessage(open_session=opened))
    async with asyncio.timeout(30):
        await closed.wait()
    assert len(servicer.connections) == 1
