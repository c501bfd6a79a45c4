"""Calls of ``Objects`` over one stream (``Exchange``), where the server offers it: for clients that make many.

:class:`Exchanging` stands for gRPC's stub. Its methods take the same and fail with the same: a call that is refused
with the status that the server answers, and every call that is under way with the status that ends the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from collections import deque
from collections.abc import Iterable
from typing import Any

import grpc
import grpc.aio

from knarr_api import grpc_status
from knarr_proto.v1 import objects_pb2 as pb
from knarr_telemetry import tracing

SHARING = frozenset({"Get", "Create", "Update", "Patch", "Apply", "Delete", "Bind", "Evict"})
MAX_BYTES, MAX_TOGETHER = 128 * 1024, 16
"""Of a request that shares the stream, and requests in one message; the server takes messages of 4 MiB."""
BROKEN_OFF = (grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)
"""How gRPC calls it when a connection ends while a message is written; to the calls the server is not there."""
OFFERED_AGAIN_S = 300.0
"""After so long a server that had no Exchange is asked anew: it may be another one."""


class Exchanging:
    """A stub's methods. Lists and watches, and what is large, go as calls of their own."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub
        self._stream: _Stream | None = None
        self._offered_from_s = 0.0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._stub, name)
        return functools.partial(self._call, method, name.lower()) if name in SHARING else method

    async def close(self) -> None:
        """The stream ends, and with it what is under way."""
        if self._stream is not None:
            await self._stream.close()

    async def _call(
        self, method: Any, name: str, request: Any, *, timeout: float, metadata: Iterable[tuple[str, str]] = ()
    ) -> Any:
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + timeout
        while loop.time() >= self._offered_from_s and request.ByteSize() <= MAX_BYTES:
            if self._stream is None or not self._stream.open:
                self._stream = _Stream(self._stub.Exchange())
            call = pb.Call(traceparent=dict(metadata).get(tracing.HEADER, ""), **{name: request})
            try:
                async with asyncio.timeout_at(ends_s):
                    answer = await self._stream.call(call)
            except TimeoutError:
                raise _failure(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
            except _Ended as ended:
                if ended.error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    self._offered_from_s = loop.time() + OFFERED_AGAIN_S
                elif ended.was_sent:
                    raise ended.error from None
                continue
            if answer.WhichOneof("result") == "error":
                raise grpc_status.to_rpc(answer.error)
            return getattr(answer, answer.WhichOneof("result"))
        return await method(request, timeout=max(0.001, ends_s - loop.time()), metadata=tuple(metadata))


class _Ended(Exception):
    """The stream has ended before the answer. was_sent: whether the call may have reached the server."""

    def __init__(self, error: grpc.aio.AioRpcError, *, was_sent: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.was_sent = was_sent


class _Stream:
    """One call of Exchange, with a task that sends and one that hears."""

    def __init__(self, call: Any) -> None:
        self.ended: grpc.aio.AioRpcError | None = None
        self._call = call
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._unsent: deque[Any] = deque()
        self._news = asyncio.Event()
        self._left = False
        self._sending = asyncio.create_task(self._send())
        self._hearing = asyncio.create_task(self._hear())

    @property
    def open(self) -> bool:
        """Whether it takes calls."""
        return self.ended is None and not self._left

    async def call(self, call: Any) -> Any:
        """Its Answer. Raises _Ended. Who is cancelled tells the server."""
        call.id = next(self._numbers)
        answered = self._waiting[call.id] = asyncio.get_running_loop().create_future()
        self._tell(call)
        try:
            return await answered
        except asyncio.CancelledError:
            if call in self._unsent:
                self._unsent.remove(call)
            else:
                self._tell(pb.Call(id=call.id, cancel=pb.CancelRequest()))
            raise
        finally:
            del self._waiting[call.id]

    async def close(self) -> None:
        self._call.cancel()
        await asyncio.wait({self._sending, self._hearing})

    def _tell(self, call: Any) -> None:
        self._unsent.append(call)
        self._news.set()

    async def _send(self) -> None:
        """Until the server leaves, or the stream has ended, which ``_hear`` is told."""
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while not self._left:
                await self._news.wait()
                self._news.clear()
                while self._unsent and not self._left:
                    together = [self._unsent.popleft() for _ in range(min(len(self._unsent), MAX_TOGETHER))]
                    await self._call.write(pb.ExchangeRequest(calls=together))
            await self._call.done_writing()

    async def _hear(self) -> None:
        ended = _failure(grpc.StatusCode.UNAVAILABLE, "the server has ended the stream of calls")
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
                for answer in message.answers:
                    waiting = self._waiting.get(answer.id)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(answer)
                if message.leaving:
                    self._leave()
        except grpc.aio.AioRpcError as error:
            broken = error.code() in BROKEN_OFF
            ended = _failure(grpc.StatusCode.UNAVAILABLE, f"broken off: {error.details()}") if broken else error
        except asyncio.CancelledError:
            ended = _failure(grpc.StatusCode.UNAVAILABLE, "the connection was closed")
        finally:
            self.ended = ended
            self._sending.cancel()
            self._send_elsewhere(ended)
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(_Ended(ended, was_sent=True))

    def _leave(self) -> None:
        """The server stops: what is under way is answered, and no more is sent."""
        self._left = True
        self._news.set()
        self._send_elsewhere(_failure(grpc.StatusCode.UNAVAILABLE, "the server stops"))

    def _send_elsewhere(self, why: grpc.aio.AioRpcError) -> None:
        for call in self._unsent:
            waiting = self._waiting.get(call.id)
            if waiting is not None and not waiting.done():
                waiting.set_exception(_Ended(why, was_sent=False))
        self._unsent.clear()


def _failure(code: grpc.StatusCode, text: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=text, debug_error_string=text)
