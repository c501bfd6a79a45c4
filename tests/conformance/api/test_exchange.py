"""Many calls on one stream mean what each means by itself, under the same limits."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import code_pb2, status_pb2

from knarr_api.errors import KnarrError, ResourceExhausted, Unauthenticated, Unavailable
from knarr_api.grpc_status import STATUS_KEY, from_status
from knarr_api.types.core_v1 import ConfigMap
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import channel
from knarr_client.calls import CallSettings
from knarr_client.grpc import GrpcClient
from knarr_client.kubeconfig import Access
from knarr_controlplane.server.calls import TAKEN_WITHIN_S
from knarr_proto.v1 import objects_pb2, objects_pb2_grpc
from tests.slowness import patient

DEADLINE_S = 30
SPACE = "default"
MAPS = objects_pb2.ResourceType(version="v1", resource="configmaps")
PODS = objects_pb2.ResourceType(version="v1", resource="pods")
TEXT = "x" * 500_000
CUT_OFF = "a slow client is cut off"
"""What the server's log says of it."""


class Calls:
    """One stream of a connection's, on which each call has a number of its own."""

    def __init__(self, connection: grpc.aio.Channel) -> None:
        self.stream: Any = objects_pb2_grpc.ObjectsStub(connection).Exchange()  # type: ignore[no-untyped-call]
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._hearing = asyncio.create_task(self._hear())

    async def call(self, **request: Any) -> Any:
        """The Answer."""
        (answer,) = await self.calls(request)
        return answer

    async def calls(self, *requests: dict[str, Any]) -> list[Any]:
        """All that are sent in one message."""
        first = len(self._waiting) + 1
        numbered = [objects_pb2.Call(id=number, **each) for number, each in enumerate(requests, first)]
        for each in numbered:
            self._waiting[each.id] = asyncio.get_running_loop().create_future()
        await self.stream.write(objects_pb2.ExchangeRequest(calls=numbered))
        async with asyncio.timeout(patient(DEADLINE_S)):
            return [await self._waiting[each.id] for each in numbered]

    async def _hear(self) -> None:
        while (message := await self.stream.read()) is not grpc.aio.EOF:
            for answer in message.answers:
                self._waiting[answer.id].set_result(answer)

    async def end(self) -> None:
        self._hearing.cancel()
        await asyncio.wait({self._hearing})
        self.stream.cancel()


@pytest.fixture
async def calls(client: GrpcClient) -> AsyncIterator[Calls]:
    made = Calls(client.channel)
    yield made
    await made.end()


def config_map(name: str, **data: str) -> Any:
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": SPACE}, "data": data}
    return objects_pb2.Object(json=json.dumps(document).encode())


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"type": MAPS, "namespace": SPACE, "name": name, **more}


def data_of(answer: Any) -> Any:
    return json.loads(answer.object.object.json).get("data")


async def test_every_verb(client: GrpcClient, calls: Calls) -> None:
    object_ = config_map("exchanged", a="1")
    made = await calls.call(create=objects_pb2.CreateRequest(type=MAPS, namespace=SPACE, object=object_))
    assert data_of(made) == {"a": "1"}
    got = await calls.call(get=objects_pb2.GetRequest(**named("exchanged")))
    assert got.object.object.json == made.object.object.json
    object_ = config_map("exchanged", a="2")
    assert data_of(await calls.call(update=objects_pb2.UpdateRequest(type=MAPS, object=object_))) == {"a": "2"}
    patch = objects_pb2.PatchRequest(**named("exchanged", patch=b'{"data": {"b": "3"}}'))
    assert data_of(await calls.call(patch=patch)) == {"a": "2", "b": "3"}
    applied = await calls.call(apply=objects_pb2.ApplyRequest(type=MAPS, object=config_map("exchanged", c="4")))
    assert applied.applied.outcome == objects_pb2.ApplyResponse.CONFIGURED
    assert (await calls.call(delete=objects_pb2.DeleteRequest(**named("exchanged")))).WhichOneof("result") == "object"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "exchanged", "namespace": SPACE},
        "spec": {"containers": [{"name": "c", "image": "web:1"}], "schedulerName": "nobody"},
    }
    object_ = objects_pb2.Object(json=json.dumps(pod).encode())
    made = await calls.call(create=objects_pb2.CreateRequest(type=PODS, object=object_))
    uid = json.loads(made.object.object.json)["metadata"]["uid"]
    bind = objects_pb2.BindRequest(namespace=SPACE, name="exchanged", uid=uid, node="nowhere")
    bound = await calls.call(bind=bind)
    assert json.loads(bound.object.object.json)["spec"]["nodeName"] == "nowhere"
    evicted = await calls.call(evict=objects_pb2.EvictRequest(namespace=SPACE, name="exchanged"))
    assert evicted.WhichOneof("result") == "evicted"
    await calls.call(
        delete=objects_pb2.DeleteRequest(type=PODS, namespace=SPACE, name="exchanged", grace_period_seconds=0)
    )


WRONG = {
    "not found": ("get", objects_pb2.GetRequest(**named("nobody"))),
    "no such kind": ("get", objects_pb2.GetRequest(type=objects_pb2.ResourceType(resource="unicorns"), name="x")),
    "nothing": ("create", objects_pb2.CreateRequest()),
    "invalid": ("create", objects_pb2.CreateRequest(type=MAPS, object=config_map("A B", **{"k/": "v"}))),
    "there already": (
        "create",
        objects_pb2.CreateRequest(
            type=objects_pb2.ResourceType(version="v1", resource="namespaces"),
            object=objects_pb2.Object(json=b'{"metadata": {"name": "default"}}'),
        ),
    ),
    "no scale": (
        "update",
        objects_pb2.UpdateRequest(type=MAPS, subresource="scale", object=objects_pb2.Object(json=b"null")),
    ),
    "no patch": ("patch", objects_pb2.PatchRequest(**named("nobody", patch=b"["))),
    "no such budget": ("evict", objects_pb2.EvictRequest(namespace=SPACE, name="nobody")),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_an_error_says_what_the_method_says(client: GrpcClient, calls: Calls, wrong: str) -> None:
    verb, request = WRONG[wrong]
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await getattr(objects_pb2_grpc.ObjectsStub(client.channel), verb.capitalize())(request, timeout=DEADLINE_S)
    metadata: Any = raised.value.trailing_metadata()
    expected = status_pb2.Status.FromString(dict(metadata)[STATUS_KEY])
    assert (await calls.call(**{verb: request})).error == expected


async def test_a_node_may_no_more_than_otherwise(as_node: Callable[[str], Awaitable[GrpcClient]]) -> None:
    node = await as_node("exchanging")
    calls = Calls(node.channel)
    answers = await calls.calls(
        {"get": objects_pb2.GetRequest(type=objects_pb2.ResourceType(resource="secrets"), namespace=SPACE, name="x")},
        {"create": objects_pb2.CreateRequest(type=MAPS, object=config_map("x"))},
        {"bind": objects_pb2.BindRequest(namespace=SPACE, name="x", node="exchanging")},
    )
    assert {answer.error.code for answer in answers} == {code_pb2.PERMISSION_DENIED}
    await calls.end()


async def test_the_port_for_tokens_has_none(control_plane: Any) -> None:
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(control_plane.access.ca_pem), grpc.access_token_call_credentials("any")
    )
    async with grpc.aio.secure_channel(f"127.0.0.1:{control_plane.port + 1}", credentials) as connection:
        stream: Any = objects_pb2_grpc.ObjectsStub(connection).Exchange(timeout=DEADLINE_S)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stream.read()
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_client_that_would_exchange_calls_singly_there(control_plane: Any) -> None:
    access = dataclasses.replace(
        control_plane.access,
        endpoints=(f"127.0.0.1:{control_plane.port + 1}",),
        certificate_pem=b"",
        key_pem=b"",
        token="any",
    )
    async with GrpcClient.connect(access, settings=CallSettings(exchange=True)) as nobody:
        for _ in range(2):
            with pytest.raises(Unauthenticated):
                await nobody.get(ConfigMap, "a", SPACE)


async def test_who_floods_is_told_to_wait(client: GrpcClient, calls: Calls) -> None:
    """Each call counts, so that one stream is no way around fairness."""
    other = Calls(client.channel)
    request = {"get": objects_pb2.GetRequest(**named("nobody"))}
    refused: list[Any] = []
    async with asyncio.timeout(patient(60)):
        while not refused:  # the second message may come when the first is answered
            both = await asyncio.gather(*(each.calls(*([request] * 250)) for each in (calls, other)))
            refused = [answer.error for some in both for answer in some if answer.error.code != code_pb2.NOT_FOUND]
    for error in refused:
        told = from_status(error)
        assert isinstance(told, ResourceExhausted) and told.retry_after_s
    assert (await calls.call(**request)).error.code == code_pb2.NOT_FOUND
    await other.end()


async def test_too_many_calls_in_one_message_end_the_stream(calls: Calls) -> None:
    with contextlib.suppress(grpc.aio.AioRpcError):
        await calls.stream.write(objects_pb2.ExchangeRequest(calls=[objects_pb2.Call()] * 5000))
    assert await calls.stream.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_who_does_not_read_is_cut_off(control_plane: Any, client: GrpcClient) -> None:
    created = objects_pb2.CreateRequest(type=MAPS, namespace=SPACE, object=config_map("unread", text=TEXT))
    stub: Any = objects_pb2_grpc.ObjectsStub(client.channel)
    await stub.Create(created, timeout=DEADLINE_S)
    access: Access = control_plane.access
    credentials = grpc.ssl_channel_credentials(access.ca_pem, access.key_pem, access.certificate_pem)
    options = (*channel.options(access), ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.secure_channel(channel.target(access), credentials, options=options) as connection:
        stream: Any = objects_pb2_grpc.ObjectsStub(connection).Exchange()
        call = objects_pb2.Call(get=objects_pb2.GetRequest(**named("unread")))

        async def ask() -> None:
            for number in range(5000):
                call.id = number
                await stream.write(objects_pb2.ExchangeRequest(calls=(call,)))

        log: Path = control_plane.data_dir / "log"
        before = log.read_text().count(CUT_OFF)
        asking = asyncio.create_task(ask())
        async with asyncio.timeout(patient(DEADLINE_S + TAKEN_WITHIN_S)):
            while log.read_text().count(CUT_OFF) == before:
                await asyncio.wait({asking}, timeout=0.1)
        told = 0
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            async with asyncio.timeout(patient(DEADLINE_S)):
                while (answer := await stream.read()) is not grpc.aio.EOF:
                    told += len(answer.answers)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, raised.value
        assert told < 500
        asking.cancel()
        await asyncio.wait({asking})
    await stub.Delete(objects_pb2.DeleteRequest(**named("unread")), timeout=DEADLINE_S)


async def test_calls_end_clearly_when_the_server_is_stopped(tmp_path: Path, start: Any, free_port: Any) -> None:
    """What it has acknowledged is there when it is started again; nothing hangs."""
    port, asked, stop_after = free_port(), 200, 50
    acknowledged: list[str] = []
    refused: list[KnarrError] = []
    with start(tmp_path / "d", port) as running:
        async with GrpcClient.connect(running.access, settings=CallSettings(exchange=True)) as client:

            async def create(name: str) -> None:
                try:
                    await client.create(ConfigMap(metadata=ObjectMeta(name=name, namespace=SPACE)))
                    acknowledged.append(name)
                except KnarrError as error:
                    refused.append(error)
                if len(acknowledged) == stop_after:
                    running.process.terminate()

            async with asyncio.timeout(patient(DEADLINE_S)):
                await asyncio.gather(*(create(f"c-{number}") for number in range(asked)))
                while not refused:
                    await create(f"later-{len(acknowledged)}")
    assert len(acknowledged) >= stop_after
    assert all(isinstance(error, Unavailable) for error in refused), refused
    with start(tmp_path / "d", port) as again:
        async with GrpcClient.connect(again.access) as client:
            there = {each.metadata.name for each in (await client.list(ConfigMap, SPACE)).items}
    assert set(acknowledged) <= there
