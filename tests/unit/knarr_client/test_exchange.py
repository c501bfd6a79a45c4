"""Calls over one stream: what goes on it, what becomes of calls when it ends, and what an older server is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import code_pb2, status_pb2

from knarr_api import grpc_status
from knarr_api.errors import NotFound
from knarr_client import exchange
from knarr_client.exchange import Exchanging
from knarr_proto.v1 import objects_pb2 as pb

DEADLINE_S = 30
METADATA = grpc.aio.Metadata()


class Stream:
    """A call of Exchange that says what it is told to say."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.written = asyncio.Event()
        self.taken = asyncio.Event()
        """Unset, what is written is not taken."""
        self.taken.set()
        self._answers: asyncio.Queue[Any] = asyncio.Queue()

    async def write(self, message: Any) -> None:
        self.messages.append(message)
        self.written.set()
        await self.taken.wait()

    async def read(self) -> Any:
        answer = await self._answers.get()
        if isinstance(answer, grpc.aio.AioRpcError):
            raise answer
        return answer

    def cancel(self) -> None:
        self.end(grpc.StatusCode.CANCELLED)

    def end(self, code: grpc.StatusCode) -> None:
        self._answers.put_nowait(grpc.aio.AioRpcError(code, METADATA, METADATA, "over", "over"))

    def answer(self, *answers: pb.Answer) -> None:
        self._answers.put_nowait(pb.ExchangeResponse(answers=answers))

    async def heard(self, count: int) -> list[pb.Call]:
        """So many calls."""
        async with asyncio.timeout(DEADLINE_S):
            while len(calls := [call for message in self.messages for call in message.calls]) < count:
                self.written.clear()
                await self.written.wait()
        return calls


class Stub:
    """Of a server whose streams are at hand, and that answers single calls with what it was asked for."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.opened = asyncio.Event()
        self.single: list[Any] = []
        self.List = self.DeleteCollection = self.Watch = self.Kinds = self.Update = self.Patch = self.Get
        self.Create = self.Apply = self.Delete = self.Bind = self.Evict = self.Get

    def Exchange(self) -> Stream:
        self.streams.append(Stream())
        self.opened.set()
        return self.streams[-1]

    async def Get(self, request: Any, **_: Any) -> Any:
        self.single.append(request)
        return response(request.name)


@pytest.fixture
def stub() -> Stub:
    return Stub()


@pytest.fixture
async def client(stub: Stub) -> AsyncIterator[Exchanging]:
    made = Exchanging(stub)
    yield made
    await made.close()


def get(client: Exchanging, name: str, **options: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(client.Get(pb.GetRequest(name=name), **{"timeout": DEADLINE_S, **options}))


def response(text: str) -> pb.ObjectResponse:
    return pb.ObjectResponse(warnings=(text,))


async def stream_of(stub: Stub, number: int = 0) -> Stream:
    async with asyncio.timeout(DEADLINE_S):
        while len(stub.streams) <= number:
            stub.opened.clear()
            await stub.opened.wait()
    return stub.streams[number]


async def test_each_gets_its_own_answer_in_whatever_order(client: Exchanging, stub: Stub) -> None:
    asked = [get(client, name) for name in "abc"]
    stream = await stream_of(stub)
    calls = await stream.heard(3)
    assert len(stream.messages) == 1, "what is asked together goes together"
    stream.answer(pb.Answer(id=99, object=response("nobody's")))
    stream.answer(*(pb.Answer(id=call.id, object=response(call.get.name)) for call in reversed(calls)))
    assert [(await task).warnings[0] for task in asked] == ["a", "b", "c"]
    assert stub.single == [] and len(stub.streams) == 1


async def test_an_error_is_what_a_call_of_its_own_would_end_with(client: Exchanging, stub: Stub) -> None:
    asked = get(client, "a")
    stream = await stream_of(stub)
    (call,) = await stream.heard(1)
    stream.answer(pb.Answer(id=call.id, error=grpc_status.to_status(NotFound("no a"))))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await asked
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    translated = grpc_status.from_rpc(raised.value)
    assert isinstance(translated, NotFound) and translated.message == "no a"


async def test_who_gives_up_says_so(client: Exchanging, stub: Stub) -> None:
    asked = get(client, "a")
    stream = await stream_of(stub)
    (call,) = await stream.heard(1)
    asked.cancel()
    cancelled = (await stream.heard(2))[1]
    assert (cancelled.id, cancelled.WhichOneof("request")) == (call.id, "cancel")
    assert asked.cancelled()


async def test_a_call_ends_with_its_deadline(client: Exchanging, stub: Stub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await get(client, "a", timeout=0.01)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await stub.streams[0].heard(2))[1].WhichOneof("request") == "cancel"


async def test_what_was_sent_fails_with_the_stream_and_what_was_not_is_sent_on_the_next(
    client: Exchanging, stub: Stub
) -> None:
    sent = get(client, "sent")
    stream = await stream_of(stub)
    stream.taken.clear()
    await stream.heard(1)
    unsent = get(client, "unsent")
    await asyncio.sleep(0)
    stream.end(grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await sent
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    following = await stream_of(stub, 1)
    (call,) = await following.heard(1)
    assert call.get.name == "unsent"
    following.answer(pb.Answer(id=call.id, object=response("done")))
    assert (await unsent).warnings == ["done"]


async def test_a_stream_that_breaks_off_is_a_server_that_is_not_there(client: Exchanging, stub: Stub) -> None:
    asked = get(client, "a")
    stream = await stream_of(stub)
    await stream.heard(1)
    stream.end(grpc.StatusCode.INTERNAL)  # what gRPC says where a message can no more be written
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await asked
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_an_older_server_is_called_singly(client: Exchanging, stub: Stub) -> None:
    asked = [get(client, "a"), get(client, "b")]
    (await stream_of(stub)).end(grpc.StatusCode.UNIMPLEMENTED)
    assert [(await task).warnings[0] for task in asked] == ["a", "b"]
    assert (await get(client, "c")).warnings == ["c"]
    assert len(stub.streams) == 1, "it is not asked each time"


async def test_a_method_that_is_not_there_is_no_reason_to_leave_the_stream(client: Exchanging, stub: Stub) -> None:
    asked = get(client, "a")
    stream = await stream_of(stub)
    (call,) = await stream.heard(1)
    stream.answer(pb.Answer(id=call.id, error=status_pb2.Status(code=code_pb2.UNIMPLEMENTED, message="no")))
    with pytest.raises(grpc.aio.AioRpcError):
        await asked
    assert stub.single == []


async def test_what_is_large_goes_by_itself(client: Exchanging, stub: Stub) -> None:
    name = "x" * exchange.MAX_BYTES
    assert (await get(client, name)).warnings == [name]
    assert stub.streams == []


async def test_a_message_has_a_limit(client: Exchanging, stub: Stub) -> None:
    asked = [get(client, str(number)) for number in range(3 * exchange.MAX_TOGETHER)]
    stream = await stream_of(stub)
    calls = await stream.heard(len(asked))
    assert max(len(message.calls) for message in stream.messages) <= exchange.MAX_TOGETHER
    stream.answer(*(pb.Answer(id=call.id, object=response("")) for call in calls))
    await asyncio.gather(*asked)
