"""Errors as gRPC status: the one place where they leave the server."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import structlog

from knarr_runtime import errors
from knarr_telemetry import tracing

CODES: dict[type[errors.RuntimeFailure], grpc.StatusCode] = {
    errors.Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.WrongState: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Denied: grpc.StatusCode.PERMISSION_DENIED,
    errors.Cancelled: grpc.StatusCode.CANCELLED,
    errors.Unsupported: grpc.StatusCode.UNIMPLEMENTED,
    errors.StartFailed: grpc.StatusCode.UNKNOWN,
    errors.KernelRefused: grpc.StatusCode.INTERNAL,
}
MAX_MESSAGE = 2048


async def fail(context: Any, error: errors.RuntimeFailure) -> None:
    """End the call. Does not return."""
    code = next((CODES[class_] for class_ in type(error).__mro__ if class_ in CODES), grpc.StatusCode.INTERNAL)
    await context.abort(code, str(error)[:MAX_MESSAGE])


def unary(handler: Callable[[Any, Any, Any], Awaitable[Any]]) -> Callable[[Any, Any, Any], Awaitable[Any]]:
    """A method that answers once."""

    @functools.wraps(handler)
    async def guarded(self: Any, request: Any, context: Any) -> Any:
        try:
            with _traced(handler.__name__, context):
                return await handler(self, request, context)
        except errors.RuntimeFailure as error:
            await fail(context, error)
        except OSError as error:
            await fail(context, errors.KernelRefused(str(error)))
        except Exception:  # noqa: BLE001 a mistake in one call must not look like a broken connection
            structlog.get_logger("knarr.cri").exception("call failed", method=handler.__qualname__)
            await context.abort(grpc.StatusCode.INTERNAL, "internal error; the runtime's log has the details")

    return guarded


def _traced(name: str, context: Any) -> tracing.Span:
    """Calls that come with a trace are a part of it; agents look at containers all the time without."""
    if not tracing.is_on():
        return tracing.span("", None)
    return tracing.span(name, tracing.of_call(context.invocation_metadata()), **{"rpc.system": "grpc"})


def streaming(handler: Callable[[Any, Any, Any], AsyncIterator[Any]]) -> Callable[[Any, Any, Any], AsyncIterator[Any]]:
    """A method that answers with a stream."""

    @functools.wraps(handler)
    async def guarded(self: Any, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for answer in handler(self, request, context):
                yield answer
        except errors.RuntimeFailure as error:
            await fail(context, error)

    return guarded
