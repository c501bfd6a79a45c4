"""Logs travel through the agent: announced on its stream, answered on a session that it opens."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest

from knarr_api import errors
from knarr_api.types.core_v1 import Pod
from knarr_proto.v1 import agent_pb2, agent_pb2_grpc, pods_pb2, pods_pb2_grpc

DEADLINE_S = 30


class Agent:
    """Answers every announced session by a script: a coroutine that gets the request and the session's call."""

    def __init__(self, node, name, script):
        self._stub = agent_pb2_grpc.AgentStub(node.channel)
        self._connect = self._stub.Connect(timeout=6 * DEADLINE_S)
        self._name = name
        self._script = script
        self.asked = []

    async def __aenter__(self):
        hello = agent_pb2.Hello(node_name=self._name, node_json=b"{}")
        await self._connect.write(agent_pb2.AgentMessage(sequence=1, hello=hello))
        while (await self._connect.read()).WhichOneof("content") != "ack":
            pass
        self._serving = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, *_):
        self._connect.cancel()
        self._serving.cancel()
        await asyncio.wait({self._serving})

    async def _serve(self):
        while (message := await self._connect.read()) is not grpc.aio.EOF:
            if message.WhichOneof("content") == "open_session":
                self.asked.append(message.open_session.logs)
                call = self._stub.Session()
                await call.write(agent_pb2.SessionFrame(session_id=message.open_session.session_id))
                await self._script(call)


@pytest.fixture
async def pod(client):
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "logs-", "namespace": "default"},
        "spec": {
            "containers": [{"name": name, "image": "web:1"} for name in ("web", "side")],
            "schedulerName": "nobody",
        },
    }
    made = (await client.raw.create(document)).object["metadata"]
    yield made
    with contextlib.suppress(errors.NotFound):
        await client.delete(Pod, made["name"], "default", grace_period_s=0)


async def read(client, pod, **options):
    request = pods_pb2.LogsRequest(namespace="default", pod=pod["name"], **options)
    return [answer.data async for answer in pods_pb2_grpc.PodsStub(client.channel).Logs(request, timeout=DEADLINE_S)]


async def failure(client, pod, **options):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await read(client, pod, **options)
    return raised.value


async def lines(call):
    for number in range(500):
        await call.write(agent_pb2.SessionFrame(data=b"line %d\n" % number))
    await call.write(agent_pb2.SessionFrame(end=agent_pb2.End()))


async def test_every_line_arrives_in_order(client, as_node, pod):
    await client.bind(namespace="default", name=pod["name"], uid=pod["uid"], node="logger")
    async with Agent(await as_node("logger"), "logger", lines) as agent:
        data = b"".join(await read(client, pod, container="web", tail_lines=500, timestamps=True))
    assert data.splitlines() == [b"line %d" % number for number in range(500)]
    (asked,) = agent.asked
    assert (asked.uid, asked.request.container, asked.request.tail_lines) == (pod["uid"], "web", 500)
    assert asked.request.timestamps


async def test_what_the_agent_answers_instead_is_told(client, as_node, pod):
    async def refuse(call):
        end = agent_pb2.End(code=grpc.StatusCode.NOT_FOUND.value[0], message="previous terminated container not found")
        await call.write(agent_pb2.SessionFrame(end=end))

    await client.bind(namespace="default", name=pod["name"], uid=pod["uid"], node="refuser")
    async with Agent(await as_node("refuser"), "refuser", refuse):
        error = await failure(client, pod, container="web", previous=True)
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details() == "previous terminated container not found"


async def test_an_agent_that_breaks_off_is_told(client, as_node, pod):
    read_some = asyncio.Event()

    async def break_off(call):
        await call.write(agent_pb2.SessionFrame(data=b"line\n"))
        await read_some.wait()
        call.cancel()

    await client.bind(namespace="default", name=pod["name"], uid=pod["uid"], node="breaker")
    async with Agent(await as_node("breaker"), "breaker", break_off):
        request = pods_pb2.LogsRequest(namespace="default", pod=pod["name"], container="web")
        call = pods_pb2_grpc.PodsStub(client.channel).Logs(request, timeout=DEADLINE_S)
        assert (await call.read()).data == b"line\n"
        read_some.set()
        assert await call.code() is grpc.StatusCode.UNAVAILABLE
        assert "has gone away" in await call.details()


async def test_an_agent_that_goes_before_it_answers_is_told(client, as_node, pod):
    await client.bind(namespace="default", name=pod["name"], uid=pod["uid"], node="leaver")
    async with Agent(await as_node("leaver"), "leaver", None) as agent:

        async def leave(call):
            del call
            agent._connect.cancel()

        class Silent:
            """Takes the place of the service: a session is never opened."""

            def Session(self):
                return self

            async def write(self, frame):
                del frame

        agent._stub, agent._script = Silent(), leave
        error = await failure(client, pod, container="web")
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "has gone away" in error.details()


async def test_a_reader_that_goes_away_ends_the_session(client, as_node, pod):
    ended = asyncio.Event()

    async def forever(call):
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while not call.done():
                await call.write(agent_pb2.SessionFrame(data=b"x" * 1000 + b"\n"))
        ended.set()

    await client.bind(namespace="default", name=pod["name"], uid=pod["uid"], node="follower")
    async with Agent(await as_node("follower"), "follower", forever):
        request = pods_pb2.LogsRequest(namespace="default", pod=pod["name"], container="web", follow=True)
        call = pods_pb2_grpc.PodsStub(client.channel).Logs(request, timeout=DEADLINE_S)
        assert (await call.read()).data
        call.cancel()
        async with asyncio.timeout(DEADLINE_S):
            await ended.wait()


async def test_a_session_is_its_nodes_own(client, as_node, pod):
    """Another node that learns a session's name can't answer in its place."""
    stranger = agent_pb2_grpc.AgentStub((await as_node("stranger-2")).channel)
    codes = []

    async def steal(call):
        del call
        stolen = stranger.Session()
        await stolen.write(agent_pb2.SessionFrame(session_id=seen[0], data=b"lies"))
        codes.append(await stolen.code())

    seen = []

    class Leaking(Agent):
        async def _serve(self):
            while (message := await self._connect.read()) is not grpc.aio.EOF:
                if message.WhichOneof("content") == "open_session":
                    seen.append(message.open_session.session_id)
                    await steal(None)
                    call = self._stub.Session()
                    await call.write(agent_pb2.SessionFrame(session_id=seen[0], data=b"truth\n"))
                    await call.write(agent_pb2.SessionFrame(end=agent_pb2.End()))

    await client.bind(namespace="default", name=pod["name"], uid=pod["uid"], node="owner")
    async with Leaking(await as_node("owner"), "owner", None):
        assert await read(client, pod, container="web") == [b"truth\n"]
    assert codes == [grpc.StatusCode.NOT_FOUND]


async def test_what_can_not_be_read_is_said(client, pod):
    assert "has no node yet" in (await failure(client, pod, container="web")).details()
    assert "a container name must be specified" in (await failure(client, pod)).details()
    assert "choose one of: [web side]" in (await failure(client, pod)).details()
    assert "container nope is not valid" in (await failure(client, pod, container="nope")).details()
    assert 'pods "nope" not found' in (await failure(client, {"name": "nope"})).details()
    await client.bind(namespace="default", name=pod["name"], uid=pod["uid"], node="absent")
    error = await failure(client, pod, container="web")
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert 'the agent of node "absent" is not connected' in error.details()
