"""The client without ``await``, for scripts: a thin face over a GrpcClient that runs in a thread of its own.

.. code-block:: python

    with SyncClient.connect(kubeconfig.load(path)) as client:
        for batch in client.watch(Pod, "default"):
            ...

Any thread may call it. ``call`` runs whatever else an async client offers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from knarr_api import errors
from knarr_client.calls import CallSettings
from knarr_client.client import Applied, Client, Event, Page, Propagation, T
from knarr_client.grpc import GrpcClient
from knarr_client.kubeconfig import Access

R = TypeVar("R")
CLOSE_DEADLINE_S = 5.0


class SyncClient:
    """The verbs of the Client Protocol; ``async_client`` is the client behind it."""

    def __init__(self, make: Callable[[], Client]) -> None:
        """make: called once, in the new thread's event loop."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="knarr-client", daemon=True)
        self._thread.start()
        try:
            self.async_client = self.call(_made(make))
        except BaseException:
            self._stop()
            raise

    @classmethod
    def connect(cls, access: Access, *, settings: CallSettings | None = None) -> Self:
        return cls(lambda: GrpcClient.connect(access, settings=settings))

    def call(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine in the client's loop and wait for it."""
        if self._loop.is_closed():
            coroutine.close()
            raise errors.Unavailable("the client is closed")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        if self._loop.is_closed():
            return
        if isinstance(self.async_client, GrpcClient):
            self.call(self.async_client.close())
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def get(self, type_: type[T], name: str, namespace: str = "") -> T:
        return self.call(self.async_client.get(type_, name, namespace))

    def list(
        self,
        type_: type[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
    ) -> Page[T]:
        return self.call(
            self.async_client.list(
                type_,
                namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                limit=limit,
                continue_=continue_,
            )
        )

    def create(self, obj: T, *, field_manager: str = "") -> T:
        return self.call(self.async_client.create(obj, field_manager=field_manager))

    def update(self, obj: T, *, field_manager: str = "") -> T:
        return self.call(self.async_client.update(obj, field_manager=field_manager))

    def update_status(self, obj: T, *, field_manager: str = "") -> T:
        return self.call(self.async_client.update_status(obj, field_manager=field_manager))

    def patch(
        self,
        type_: type[T],
        name: str,
        namespace: str = "",
        *,
        patch: Mapping[str, Any],
        subresource: str = "",
        field_manager: str = "",
    ) -> T:
        return self.call(
            self.async_client.patch(
                type_, name, namespace, patch=patch, subresource=subresource, field_manager=field_manager
            )
        )

    def apply(self, obj: T, *, field_manager: str = "") -> Applied[T]:
        return self.call(self.async_client.apply(obj, field_manager=field_manager))

    def delete(
        self,
        type_: type[T],
        name: str,
        namespace: str = "",
        *,
        grace_period_s: int | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
        uid: str = "",
        resource_version: str = "",
    ) -> None:
        self.call(
            self.async_client.delete(
                type_,
                name,
                namespace,
                grace_period_s=grace_period_s,
                propagation=propagation,
                uid=uid,
                resource_version=resource_version,
            )
        )

    def watch(
        self,
        type_: type[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> Iterator[tuple[Event[T], ...]]:
        """Batches as they come; leaving the loop ends the watch."""
        batches = self.async_client.watch(
            type_,
            namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            resource_version=resource_version,
        )
        try:
            while True:
                try:
                    yield self.call(_next(anext(batches)))
                except StopAsyncIteration:
                    return
        finally:
            close = getattr(batches, "aclose", None)
            if close is not None and not self._loop.is_closed():
                self.call(close())

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_DEADLINE_S)
        self._loop.close()


async def _made(make: Callable[[], Client]) -> Client:
    return make()


async def _next(item: Awaitable[R]) -> R:
    return await item
