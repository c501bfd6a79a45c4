"""One gRPC call: its deadline, when it may be repeated, and what its failure means."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from knarr_api import errors, grpc_status
from knarr_client.workqueue import Backoff
from knarr_telemetry import tracing

PAGE, LISTS = 5000, 3
"""So many objects are asked for at once where all are wanted, and so often from the beginning."""
REFUSED = ("failed to connect", "connection refused", "name resolution", errors.NOT_BEGUN)
BACKOFF = Backoff(first_s=0.1, max_s=2.0, jitter=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    deadline_s: float = 30.0
    """Of one call with all its repetitions."""
    attempts_max: int = 4
    backoff: Backoff = BACKOFF
    exchange: bool = False
    """Whether calls go over one stream, where the server offers it: for who makes many, as each then costs it half."""


class Calls:
    """Calls methods of stubs. Raises the classes of ``knarr_api.errors`` only (and CancelledError)."""

    def __init__(self, settings: CallSettings | None = None, *, uniform: Callable[[], float] | None = None) -> None:
        self.settings = settings or CallSettings()
        self._uniform = uniform or random.random

    async def unary(self, method: Any, request: Any, *, idempotent: bool, deadline_s: float | None = None) -> Any:
        """The answer of a unary method.

        An idempotent call is repeated when the API is unavailable, another only when the connection was refused.
        """
        settings = self.settings
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + (settings.deadline_s if deadline_s is None else deadline_s)
        attempt = 0
        while True:
            attempt += 1
            try:
                timeout_s = max(0.001, ends_s - loop.time())
                return await method(request, timeout=timeout_s, **tracing.options())
            except grpc.aio.AioRpcError as error:
                translated = grpc_status.from_rpc(error)
                refused = was_refused(error)
                repeatable = isinstance(translated, errors.Unavailable) and (idempotent or refused)
                delay_s = settings.backoff.delay_s(attempt, self._uniform())
                if refused and translated.retry_after_s is not None:
                    delay_s += translated.retry_after_s
                if not repeatable or attempt >= settings.attempts_max or loop.time() + delay_s >= ends_s:
                    raise translated from error
            except asyncio.CancelledError:
                if _being_cancelled():
                    raise
                raise errors.Unavailable("the connection was closed") from None
            except grpc.aio.UsageError as error:
                raise errors.Unavailable(f"the connection is closed: {error}") from error
            await asyncio.sleep(delay_s)

    async def list(self, method: Any, request: Any) -> Any:
        """The answer of ``List``. Without a limit it is asked for in pages, which are put together.

        They are of one revision. Where that is forgotten meanwhile all of it is asked for again.
        """
        if request.limit:
            return await self.unary(method, request, idempotent=True)
        request.limit = PAGE
        for _ in range(LISTS - 1):
            with contextlib.suppress(errors.Expired):
                return await self._pages(method, request)
        return await self._pages(method, request)

    async def _pages(self, method: Any, request: Any) -> Any:
        first = page = await self.unary(method, request, idempotent=True)
        following = type(request)()
        following.CopyFrom(request)
        following.ClearField("resource_version")
        following.ClearField("resource_version_match")
        while token := getattr(page, "continue"):
            setattr(following, "continue", token)
            page = await self.unary(method, following, idempotent=True)
            first.items.extend(page.items)
        setattr(first, "continue", "")
        first.remaining_item_count = 0
        return first

    async def stream(self, method: Any, request: Any) -> AsyncIterator[Any]:
        """The answers of a streaming method, for as long as they come; the call ends with the iteration."""
        call = method(request)
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise grpc_status.from_rpc(error) from error
        except asyncio.CancelledError:
            if call.cancelled() and not _being_cancelled():
                raise errors.Unavailable("the connection was closed") from None
            raise
        finally:
            call.cancel()


def was_refused(error: grpc.aio.AioRpcError) -> bool:
    """There was no connection, so the request has not left this process; or the server did not begin it."""
    text = (error.details() or "").lower()
    return error.code() is grpc.StatusCode.UNAVAILABLE and any(reason in text for reason in REFUSED)


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
