"""Around every call: who calls, and errors as gRPC status. The one place where errors leave the server."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc
import structlog

from knarr_api import grpc_status
from knarr_api.errors import Internal, KnarrError

S = TypeVar("S")
Context = grpc.aio.ServicerContext
Unary = Callable[[S, Any, Any], Awaitable[Any]]
Streaming = Callable[[S, Any, Any], AsyncIterator[Any]]


async def fail(context: Any, error: KnarrError) -> None:
    """End the call with the error's status and details. Does not return."""
    await context.abort(grpc_status.code_of(error), error.message, grpc_status.trailing_metadata(error))


def unary(handler: Unary[S]) -> Unary[S]:
    """A method that answers once."""

    @functools.wraps(handler)
    async def guarded(self: S, request: Any, context: Any) -> Any:
        try:
            return await handler(self, request, context)
        except KnarrError as error:
            await fail(context, error)
        except Exception:  # noqa: BLE001 a mistake in one call must not look like a broken connection
            structlog.get_logger("knarr.server").exception("call failed", method=handler.__qualname__)
            await fail(context, Internal("internal error; the server's log has the details"))

    return guarded


def streaming(handler: Streaming[S]) -> Streaming[S]:
    """A method that answers with a stream."""

    @functools.wraps(handler)
    async def guarded(self: S, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for answer in handler(self, request, context):
                yield answer
        except KnarrError as error:
            await fail(context, error)
        except Exception:  # noqa: BLE001 as above
            structlog.get_logger("knarr.server").exception("call failed", method=handler.__qualname__)
            await fail(context, Internal("internal error; the server's log has the details"))

    return guarded
