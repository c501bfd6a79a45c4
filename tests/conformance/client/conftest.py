"""Every implementation of the Client Protocol that there is, each with an empty cluster of its own.

An implementation is a function in ``IMPLEMENTATIONS`` that opens a cluster as an async context and yields ``Opened``.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from knarr_client.client import Client
from knarr_client.memory import MemoryApi, MemoryClient


@dataclass(frozen=True, kw_only=True)
class Opened:
    """compact: forget history up to now."""

    client: Client
    compact: Callable[[], Awaitable[None]]


@contextlib.asynccontextmanager
async def memory() -> AsyncIterator[Opened]:
    api = MemoryApi()

    async def compact() -> None:
        api.compact()

    yield Opened(client=MemoryClient(api), compact=compact)


IMPLEMENTATIONS = {"memory": memory}


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Opened]:
    async with IMPLEMENTATIONS[request.param]() as cluster:
        yield cluster


@pytest.fixture
def client(opened: Opened) -> Client:
    return opened.client
