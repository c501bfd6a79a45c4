"""``Objects.Exchange``: many calls on one stream, each as the method of its name, without what a call costs gRPC.

One task reads calls and starts a task for each; what has ended while the last message went out goes out in the next.
Who does not read has no more calls read, and is cut off in the end (:func:`calls.read_in_time`).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc.aio
from google.rpc import code_pb2, status_pb2

from knarr_api import grpc_status
from knarr_api.errors import Invalid, KnarrError, ResourceExhausted
from knarr_controlplane.server import fairness, meters
from knarr_proto.v1 import objects_pb2
from knarr_telemetry import tracing

Method = Callable[[Any, Any], Awaitable[Any]]
"""Takes a request and who calls; raises KnarrError."""
MAX_UNSENT = 64
MAX_TOGETHER = 16
"""Answers in one message: of the largest objects that are stored these are 24 MiB, and clients take 64."""
RESULTS = {
    objects_pb2.ObjectResponse: "object",
    objects_pb2.ApplyResponse: "applied",
    objects_pb2.EvictResponse: "evicted",
}
CANCELLED = status_pb2.Status(code=code_pb2.CANCELLED, message="the caller has cancelled it; a write may have happened")


@dataclass(frozen=True, slots=True)
class Caller:
    """What gRPC knows of the caller, asked once for a whole stream: methods take it as a call's context."""

    address: str
    certificate: Mapping[str, Any]
    metadata: tuple[tuple[str, str | bytes], ...]

    def peer(self) -> str:
        return self.address

    def auth_context(self) -> Mapping[str, Any]:
        return self.certificate

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return self.metadata

    def traced(self, traceparent: str) -> Caller:
        return Caller(self.address, self.certificate, (*self.metadata, (tracing.HEADER, traceparent)))


class Exchange:
    """One stream."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        context: Any,
        *,
        max_calls: int = fairness.MAX_CALLS_OF_ONE,
        max_unsent: int = MAX_UNSENT,
    ) -> None:
        """methods: by the names that requests have in a Call. max_calls: under way at a time, and in one message.

        max_unsent: answers that wait to be sent, from which on no further calls are read.
        """
        self._methods = methods
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._max_calls, self._max_unsent = max_calls, max_unsent
        self._caller = Caller(context.peer(), context.auth_context(), tuple(context.invocation_metadata() or ()))
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._ready: list[Any] = []
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._leaving = False

    def leave(self) -> None:
        """The server stops: the caller is told, so that it makes its next call elsewhere and ends its side."""
        self._leaving = True
        self._news.set()

    async def answers(self) -> AsyncIterator[Any]:
        """ExchangeResponses, until the caller has ended its side and has all its answers."""
        reading = asyncio.create_task(self._read())
        reading.add_done_callback(lambda _: self._news.set())
        try:
            while self._ready or self._under_way or not reading.done():
                await self._news.wait()
                self._news.clear()
                if self._ready or self._leaving:
                    ready, self._ready = self._ready[:MAX_TOGETHER], self._ready[MAX_TOGETHER:]
                    self._room.set()
                    if self._ready:
                        self._news.set()
                    yield objects_pb2.ExchangeResponse(answers=ready, leaving=self._leaving)
            reading.result()
        finally:
            under_way = {reading, *self._under_way.values()}
            for task in under_way:
                task.cancel()
            await asyncio.wait(under_way)

    async def _read(self) -> None:
        while (message := await self._context.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
            if len(message.calls) > self._max_calls:
                raise Invalid(f"calls: Too many: {len(message.calls)}: must have at most {self._max_calls} items")
            for call in message.calls:
                self._begin(call)
            while len(self._ready) >= self._max_unsent:
                self._room.clear()
                await self._room.wait()

    def _begin(self, call: Any) -> None:
        named = call.WhichOneof("request")
        if named == "cancel":
            if (task := self._under_way.get(call.id)) is not None:
                task.cancel()
                task.add_done_callback(functools.partial(self._ended, call.id))
            return
        method = self._methods.get(named)
        if method is None:
            self._refuse(call, Invalid("request: Required value: what is asked for, which this server must know"))
        elif call.id in self._under_way:
            self._refuse(call, Invalid(f"id: Duplicate value: {call.id}: a call under way has it"))
        elif len(self._under_way) >= self._max_calls:
            meters.meter(named.upper(), getattr(call, named)).answered("RESOURCE_EXHAUSTED")
            text = f"this stream has {self._max_calls} calls under way: wait for some of them"
            self._refuse(call, ResourceExhausted(text, retry_after_s=fairness.RETRY_AFTER_S))
        else:
            caller = self._caller.traced(call.traceparent) if call.traceparent else self._caller
            work = self._work(call.id, method, getattr(call, named), caller)
            self._under_way[call.id] = self._loop.create_task(work)

    async def _work(self, id_: int, method: Method, request: Any, caller: Caller) -> None:
        try:
            result = await method(request, caller)
            answer = objects_pb2.Answer(id=id_, **{RESULTS[type(result)]: result})
        except KnarrError as error:
            answer = objects_pb2.Answer(id=id_, error=grpc_status.to_status(error))
        del self._under_way[id_]
        self._answer(answer)

    def _ended(self, id_: int, task: asyncio.Task[None]) -> None:
        """What was to be cancelled, perhaps twice, and may have ended otherwise; or it had not even begun."""
        if task.cancelled() and self._under_way.pop(id_, None) is not None:
            self._answer(objects_pb2.Answer(id=id_, error=CANCELLED))

    def _refuse(self, call: Any, error: KnarrError) -> None:
        self._answer(objects_pb2.Answer(id=call.id, error=grpc_status.to_status(error)))

    def _answer(self, answer: Any) -> None:
        self._ready.append(answer)
        self._news.set()
