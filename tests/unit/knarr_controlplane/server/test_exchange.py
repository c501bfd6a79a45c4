"""Calls on one stream: side by side, answered as they end, cancelled, limited, and ended with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest
from google.rpc import code_pb2

from knarr_api.errors import Invalid, NotFound
from knarr_controlplane.server.exchange import MAX_TOGETHER, Exchange
from knarr_proto.v1 import objects_pb2
from knarr_telemetry import tracing

DEADLINE_S = 30


class Stream:
    """What a caller sends and is answered."""

    def __init__(self, **limits: int) -> None:
        self.sent: asyncio.Queue[Any] = asyncio.Queue()
        self.gates: dict[str, asyncio.Event] = {}
        self.ended: list[str] = []
        self.traced: dict[str, str | None] = {}
        methods = {"get": self._get, "create": self._create}
        self.answers: AsyncIterator[Any] = Exchange(methods, self, **limits).answers()
        self._answered: list[Any] = []

    def peer(self) -> str:
        return "somewhere"

    def auth_context(self) -> dict[str, Any]:
        return {}

    def invocation_metadata(self) -> tuple[()]:
        return ()

    async def read(self) -> Any:
        return await self.sent.get()

    async def _get(self, request: Any, caller: Any) -> Any:
        """Waits at the gate of its name, if there is one."""
        try:
            if request.name in self.gates:
                await self.gates[request.name].wait()
            self.traced[request.name] = tracing.of_call(caller.invocation_metadata())
            return objects_pb2.ObjectResponse(warnings=(request.name,))
        finally:
            self.ended.append(request.name)

    async def _create(self, request: Any, caller: Any) -> Any:
        raise NotFound("no such thing")

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    def send(self, *calls: objects_pb2.Call) -> None:
        self.sent.put_nowait(objects_pb2.ExchangeRequest(calls=calls))

    def end(self) -> None:
        self.sent.put_nowait(grpc.aio.EOF)

    async def answer(self) -> Any:
        while not self._answered:
            async with asyncio.timeout(DEADLINE_S):
                self._answered += (await anext(self.answers)).answers
        return self._answered.pop(0)


def get(number: int, name: str) -> objects_pb2.Call:
    return objects_pb2.Call(id=number, get=objects_pb2.GetRequest(name=name))


def cancel(number: int) -> objects_pb2.Call:
    return objects_pb2.Call(id=number, cancel=objects_pb2.CancelRequest())


@pytest.fixture
async def stream() -> AsyncIterator[Stream]:
    wrong: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
    made = Stream()
    yield made
    assert not wrong
    await made.answers.aclose()  # type: ignore[attr-defined]


async def test_a_slow_call_holds_up_nobody(stream: Stream) -> None:
    stream.gate("slow")
    stream.send(get(1, "slow"), get(2, "fast"))
    first = await stream.answer()
    assert (first.id, list(first.object.warnings)) == (2, ["fast"])
    stream.send(get(3, "later"))
    assert (await stream.answer()).id == 3
    stream.gate("slow").set()
    last = await stream.answer()
    assert (last.id, list(last.object.warnings)) == (1, ["slow"])


async def test_an_error_is_an_answer_and_the_others_go_on(stream: Stream) -> None:
    stream.send(objects_pb2.Call(id=7, create=objects_pb2.CreateRequest()))
    refused = await stream.answer()
    assert (refused.id, refused.error.code, refused.error.message) == (7, code_pb2.NOT_FOUND, "no such thing")
    stream.send(get(7, "a"))
    assert (await stream.answer()).object.warnings == ["a"]


async def test_each_call_is_part_of_its_own_trace(stream: Stream) -> None:
    traceparent = f"00-{'1' * 32}-{'2' * 16}-01"
    traced = get(1, "traced")
    traced.traceparent = traceparent
    stream.send(traced, get(2, "untraced"))
    assert {(await stream.answer()).id for _ in range(2)} == {1, 2}
    assert stream.traced == {"traced": traceparent, "untraced": None}


async def test_what_this_server_does_not_know_is_refused(stream: Stream) -> None:
    """A newer client may ask for it; or nothing is asked for."""
    stream.send(objects_pb2.Call(id=1), objects_pb2.Call(id=2, evict=objects_pb2.EvictRequest()))
    assert {(await stream.answer()).error.code for _ in range(2)} == {code_pb2.INVALID_ARGUMENT}


async def test_an_id_names_one_call_at_a_time(stream: Stream) -> None:
    stream.gate("slow")
    stream.send(get(1, "slow"), get(1, "other"))
    refused = await stream.answer()
    assert refused.error.code == code_pb2.INVALID_ARGUMENT and "Duplicate" in refused.error.message
    stream.gate("slow").set()
    assert (await stream.answer()).object.warnings == ["slow"]


async def test_a_call_can_be_cancelled(stream: Stream) -> None:
    stream.gate("slow")
    stream.send(get(1, "slow"))
    stream.send(get(2, "fast"))
    assert (await stream.answer()).id == 2
    stream.send(cancel(1), cancel(1), cancel(2), cancel(9))
    cancelled = await stream.answer()
    assert (cancelled.id, cancelled.error.code) == (1, code_pb2.CANCELLED)
    stream.send(get(1, "again"))
    assert (await stream.answer()).object.warnings == ["again"]


async def test_a_call_can_be_cancelled_before_it_has_begun(stream: Stream) -> None:
    stream.send(get(1, "a"), cancel(1))
    assert (await stream.answer()).error.code == code_pb2.CANCELLED
    stream.end()
    assert [answer async for answer in stream.answers] == []


async def test_who_has_no_more_to_ask_gets_all_answers(stream: Stream) -> None:
    stream.gate("slow")
    stream.send(get(1, "slow"))
    stream.end()
    rest = asyncio.create_task(stream.answer())
    await asyncio.sleep(0)
    stream.gate("slow").set()
    assert (await rest).id == 1
    assert [answer async for answer in stream.answers] == []


async def test_answers_that_are_ready_together_are_no_message_larger_than_any_client_takes(stream: Stream) -> None:
    gate = stream.gate("large")
    count = 3 * MAX_TOGETHER + 1
    stream.send(*(get(number, "large") for number in range(1, count + 1)))
    stream.send(get(count + 1, "first"))
    await stream.answer()
    gate.set()
    messages: list[list[int]] = []
    while sum(map(len, messages)) < count:
        async with asyncio.timeout(DEADLINE_S):
            messages.append([answer.id for answer in (await anext(stream.answers)).answers])
    assert max(map(len, messages)) == MAX_TOGETHER
    assert sorted(number for each in messages for number in each) == list(range(1, count + 1))


async def test_calls_end_with_their_stream(stream: Stream) -> None:
    stream.gate("slow")
    stream.send(get(1, "slow"), get(2, "fast"))
    assert (await stream.answer()).id == 2
    await stream.answers.aclose()  # type: ignore[attr-defined]
    assert stream.ended == ["fast", "slow"]


async def test_so_many_calls_and_no_more() -> None:
    stream = Stream(max_calls=2)
    stream.gate("slow")
    stream.send(get(1, "slow"), get(2, "slow"))
    stream.send(get(3, "slow"))
    refused = await stream.answer()
    assert (refused.id, refused.error.code) == (3, code_pb2.RESOURCE_EXHAUSTED)
    assert any(detail.TypeName() == "google.rpc.RetryInfo" for detail in refused.error.details)
    stream.gate("slow").set()
    assert {(await stream.answer()).id for _ in range(2)} == {1, 2}
    stream.send(get(1, "a"), get(2, "b"), get(3, "c"))
    with pytest.raises(Invalid, match="at most 2"):
        await stream.answer()


async def test_who_does_not_read_is_not_read() -> None:
    stream = Stream(max_unsent=2)
    stream.send(get(0, "a"))
    await stream.answer()  # what comes next waits until the next is asked for
    for number in range(1, 20):
        stream.send(get(number, "a"))
        for _ in range(4):
            await asyncio.sleep(0)
    assert stream.sent.qsize() >= 15
    assert {(await stream.answer()).id for _ in range(19)} == set(range(1, 20))
    await stream.answers.aclose()  # type: ignore[attr-defined]
