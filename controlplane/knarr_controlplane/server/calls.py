"""Around every call: errors as gRPC status, the one place where they leave the server, and limits on the load.

More than ``MAX_CALLS`` unary calls at a time are refused at once, so that a server that can't keep up says so instead
of growing; each has a deadline of the server's own, whatever the client says.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc
import structlog

from knarr_api import grpc_status
from knarr_api.errors import DeadlineExceeded, Internal, KnarrError, ResourceExhausted

S = TypeVar("S")
Context = grpc.aio.ServicerContext
Unary = Callable[[S, Any, Any], Awaitable[Any]]
Streaming = Callable[[S, Any, Any], AsyncIterator[Any]]

MAX_CALLS = 2000
DEADLINE_S = 30.0


class Load:
    """How many unary calls are under way in this process."""

    def __init__(self) -> None:
        self.calls = 0


LOAD = Load()


async def fail(context: Any, error: KnarrError) -> None:
    """End the call with the error's status and details. Does not return."""
    await context.abort(grpc_status.code_of(error), error.message, grpc_status.trailing_metadata(error))


def unary(handler: Unary[S]) -> Unary[S]:
    """A method that answers once."""

    @functools.wraps(handler)
    async def guarded(self: S, request: Any, context: Any) -> Any:
        try:
            if LOAD.calls >= MAX_CALLS:
                raise ResourceExhausted(f"the server has {LOAD.calls} calls under way: try again", retry_after_s=1.0)
            LOAD.calls += 1
            try:
                async with asyncio.timeout(DEADLINE_S):
                    return await handler(self, request, context)
            except TimeoutError:
                text = f"not done within {DEADLINE_S:.0f} s; a write may have happened"
                raise DeadlineExceeded(text) from None
            finally:
                LOAD.calls -= 1
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
