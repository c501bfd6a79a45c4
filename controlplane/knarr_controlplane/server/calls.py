"""Around every call: errors as gRPC status, the one place where they leave the server, and limits on the load.

Calls that answer once take turns (:mod:`fairness`), and are refused where there are too many, so that a server that
can't keep up says so instead of growing; each has a deadline of the server's own, whatever the client says.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc
import structlog

from knarr_api import grpc_status
from knarr_api.errors import DeadlineExceeded, Internal, KnarrError, ResourceExhausted
from knarr_controlplane.server import meters
from knarr_controlplane.server.fairness import Fairness
from knarr_proto.v1 import objects_pb2
from knarr_telemetry import tracing

S = TypeVar("S")
Context = grpc.aio.ServicerContext
Unary = Callable[[S, Any, Any], Awaitable[Any]]
Streaming = Callable[[S, Any, Any], AsyncIterator[Any]]

DEADLINE_S = 30.0
TAKEN_WITHIN_S = 15.0
OWN_DELAY_S = 1.0
"""An alarm that rings so late says that this process had no processor."""


LOAD = Fairness()
"""Of this process, which has one event loop that serves."""


async def fail(context: Any, error: KnarrError) -> None:
    """End the call with the error's status and details. Does not return."""
    await grpc_status.abort(context, error)


def unary(handler: Unary[S]) -> Unary[S]:
    """A method that answers once."""

    verb = handler.__qualname__.rpartition(".")[2].upper()

    @functools.wraps(handler)
    async def served(self: S, request: Any, context: Any) -> Any:
        meter, started = meters.meter(verb, request), time.perf_counter()
        code = "OK"
        try:
            caller = LOAD.begin(context.peer())
            meter.under_way.inc()
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await LOAD.turn(caller)
                    with _traced(verb, request, context):
                        return await handler(self, request, context)
            except TimeoutError:
                text = f"not done within {DEADLINE_S:.0f} s; a write may have happened"
                raise DeadlineExceeded(text) from None
            finally:
                LOAD.end(caller)
                meter.under_way.dec()
        except KnarrError as error:
            code = grpc_status.code_of(error).name
            raise
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except Exception:  # noqa: BLE001 a mistake in one call must not look like a broken connection
            code = "INTERNAL"
            _log(request).exception("call failed", method=handler.__qualname__)
            raise Internal("internal error; the server's log has the details") from None
        finally:
            meter.answered(code, time.perf_counter() - started)

    @functools.wraps(handler)
    async def guarded(self: S, request: Any, context: Any) -> Any:
        try:
            return await served(self, request, context)
        except KnarrError as error:
            await fail(context, error)

    guarded.served = served  # type: ignore[attr-defined]
    return guarded


def raising(method: Unary[S]) -> Unary[S]:
    """What a method made by ``unary`` does, but its error is raised instead of ending a call of gRPC."""
    served: Unary[S] = method.served  # type: ignore[attr-defined]
    return served


def streaming(handler: Streaming[S]) -> Streaming[S]:
    """A method that answers with a stream."""
    verb = handler.__qualname__.rpartition(".")[2].upper()

    @functools.wraps(handler)
    async def guarded(self: S, request: Any, context: Any) -> AsyncIterator[Any]:
        meter = meters.meter(verb, request)
        code = "OK"
        meter.open.inc()
        try:
            async with contextlib.aclosing(handler(self, request, context)) as answers:  # type: ignore[type-var]
                async for answer in answers:
                    yield answer
        except KnarrError as error:
            code = grpc_status.code_of(error).name
            await fail(context, error)
        except Exception:  # noqa: BLE001 as above
            code = "INTERNAL"
            _log(request).exception("call failed", method=handler.__qualname__)
            await fail(context, Internal("internal error; the server's log has the details"))
        finally:
            meter.open.dec()
            meter.answered(code)

    return guarded


class Patience:
    """Ends a stream of which one message takes too long to be taken: ``with`` it around each.

    One alarm serves many messages: it is set anew where it has rung, not for each, as nearly all are taken at once.
    """

    def __init__(self, limit: asyncio.Timeout, within_s: float = TAKEN_WITHIN_S) -> None:
        self._limit, self._within_s = limit, within_s
        self._loop = asyncio.get_running_loop()
        self._due_s: float | None = None
        self._alarm: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._due_s = self._loop.time() + self._within_s
        if self._alarm is None:
            self._alarm = self._loop.call_at(self._due_s, self._ring)

    def __exit__(self, *_: object) -> None:
        self._due_s = None

    def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    def _ring(self) -> None:
        self._alarm = None
        if self._due_s is None:
            return
        late_s = self._loop.time() - self._due_s
        if 0 <= late_s < OWN_DELAY_S:
            self._limit.reschedule(self._loop.time())
            return
        if late_s > 0:  # this process stood still itself, and has not heard yet what was taken meanwhile
            self._due_s += late_s + OWN_DELAY_S
        self._alarm = self._loop.call_at(self._due_s, self._ring)


def read_in_time(handler: Streaming[S]) -> Callable[[S, Any, Any], Awaitable[None]]:
    """A stream whose client must take what it is sent, or is cut off: what waits for it takes memory."""

    @functools.wraps(handler)
    async def pushing(self: S, request: Any, context: Any) -> None:
        try:
            async with asyncio.timeout(None) as limit:
                with contextlib.closing(Patience(limit)) as patience:
                    async with contextlib.aclosing(handler(self, request, context)) as answers:  # type: ignore[type-var]
                        async for answer in answers:
                            with patience:
                                await context.write(answer)
        except TimeoutError:
            text = f"what was sent was not read within {TAKEN_WITHIN_S:.0f} s: watch again from what was"
            _log(request).warning("a slow client is cut off", peer=context.peer())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TAKEN_WITHIN_S):
                    await fail(context, ResourceExhausted(text, retry_after_s=1.0))

    return pushing


def _log(request: Any) -> structlog.typing.FilteringBoundLogger:
    """For what a call is about, as far as it says so."""
    asked = getattr(request, "type", None)
    named = asked.resource if isinstance(asked, objects_pb2.ResourceType) else type(request).__name__
    parts = (named, getattr(request, "namespace", ""), getattr(request, "name", ""))
    title = "/".join(part for part in parts if isinstance(part, str) and part)
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger("knarr.server").bind(object=title)
    return log


def _traced(verb: str, request: Any, context: Any) -> tracing.Span:
    """One call's span, in the trace it came with or a new one."""
    if not tracing.is_on():
        return tracing.span("", None)
    parent = tracing.of_call(context.invocation_metadata()) or tracing.NEW
    asked = getattr(request, "type", None)
    resource = asked.resource if isinstance(asked, objects_pb2.ResourceType) else ""
    return tracing.span(f"{verb} {resource}".rstrip(), parent, **{"rpc.system": "grpc"})
