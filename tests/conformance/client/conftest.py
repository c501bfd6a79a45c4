"""Every implementation of the Client Protocol, each with an empty cluster of its own.

An implementation is a function in ``IMPLEMENTATIONS`` that opens a cluster as an async context and yields ``Opened``.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from knarr_client import kubeconfig
from knarr_client.calls import CallSettings
from knarr_client.client import Client
from knarr_client.clock import SystemClock
from knarr_client.grpc import Encoding, GrpcClient
from knarr_client.memory import MemoryApi, MemoryClient
from knarr_controlplane.authz import Authorizer
from knarr_controlplane.backup.snapshot import Piece
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.pki import kubeconfig as kubeconfig_writer
from knarr_controlplane.pki.account_tokens import AccountTokens
from knarr_controlplane.pki.authority import Authority
from knarr_controlplane.pki.tokens import Tokens
from knarr_controlplane.registry.local_client import LocalClient
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.scheduler.profile import default_profiles
from knarr_controlplane.server.accounts import AccountAuthority, Accounts
from knarr_controlplane.server.agents import Agents
from knarr_controlplane.server.cluster import Cluster
from knarr_controlplane.server.hub import AgentHub
from knarr_controlplane.server.nodes import Join, Nodes
from knarr_controlplane.server.objects import Objects
from knarr_controlplane.server.peers import Peers
from knarr_controlplane.server.pods import Pods
from knarr_controlplane.server.serving import Listener, Services, Serving
from knarr_controlplane.store.memory import MemoryStore
from knarr_proto.v1 import history_pb2_grpc
from tests.ports import free_port

READY_WITHIN_S = 30


@dataclass(frozen=True, kw_only=True)
class Opened:
    """compact: forget history up to now. access: how to dial it, where it can be dialled."""

    client: Client
    compact: Callable[[], Awaitable[None]]
    access: kubeconfig.Access | None = None


@contextlib.asynccontextmanager
async def memory(directory: Path) -> AsyncIterator[Opened]:
    api = MemoryApi()

    async def compact() -> None:
        api.compact()

    yield Opened(client=MemoryClient(api), compact=compact)


@contextlib.asynccontextmanager
async def registry(directory: Path) -> AsyncIterator[tuple[Registry, Callable[[], Awaitable[None]]]]:
    store = MemoryStore()
    storage = Storage.open(directory / "secrets.key")
    cache = WatchCache(store, storage.decode)
    running = asyncio.create_task(cache.run())

    async def compact() -> None:
        await store.compact(await store.revision())
        for each in cache._kinds.values():
            each.log.clear()
            each.forgotten = cache.revision

    try:
        async with asyncio.timeout(READY_WITHIN_S):
            await cache.ready.wait()
        made = Registry(store, cache, storage, admission=Admission(), now=SystemClock().now)
        await made.make_system_objects()
        yield made, compact
    finally:
        running.cancel()
        await asyncio.wait({running})
        await store.close()


@contextlib.asynccontextmanager
async def local(directory: Path) -> AsyncIterator[Opened]:
    async with registry(directory) as (made, compact):
        yield Opened(client=LocalClient(made), compact=compact)


async def nothing() -> AsyncIterator[Piece]:
    """Backups are not what is tried here."""
    for piece in ():
        yield piece


@contextlib.asynccontextmanager
async def served(directory: Path) -> AsyncIterator[Opened]:
    """The whole API on a port of this machine, with its own authority. ``client`` is not for use."""
    now = datetime.datetime.now(datetime.UTC)
    async with registry(directory) as (made, compact):
        authority = Authority.open(directory / "pki", now)
        authorizer, hub = Authorizer(made.cache), AgentHub()
        tokens = Tokens(MemoryStore(), authority.fingerprint, SystemClock().now)
        accounts = AccountAuthority(made, AccountTokens(authority), SystemClock().now)
        port = free_port()
        services = Services(
            objects=Objects(made, authorizer),
            pods=Pods(made, authorizer, hub, Peers((), authority, SystemClock().now)),
            nodes=Nodes(tokens, authority, authorizer, (), SystemClock().now),
            agents=Agents(made, hub, now=SystemClock().now, heartbeat_s=2, lease_s=10),
            cluster=Cluster(
                made,
                authorizer,
                cluster_id="test",
                checks={},
                backup=nothing,
                has_agent=hub.connections.__contains__,
                profiles=default_profiles(),
            ),
            history=history_pb2_grpc.HistoryServicer(),
            accounts=Accounts(made, authorizer, accounts),
            join=Join(tokens, authority, (), SystemClock().now),
        )
        listeners = (Listener("127.0.0.1", port),)
        pair = authority.serving((), now)
        serving = Serving(services, listeners, ca=authority.pem, serving=pair, identify=accounts.identify)
        await serving.start()
        path = directory / "admin.kubeconfig"
        kubeconfig_writer.write(
            path,
            servers=(f"127.0.0.1:{port}",),
            ca_pem=authority.pem,
            user="admin",
            credentials=authority.admin(now),
        )
        try:
            yield Opened(client=LocalClient(made), compact=compact, access=kubeconfig.load(path))
        finally:
            await serving.stop()


def grpc_with(
    encoding: Encoding = Encoding.JSON, *, exchange: bool = False
) -> Callable[[Path], contextlib.AbstractAsyncContextManager[Opened]]:
    @contextlib.asynccontextmanager
    async def opened(directory: Path) -> AsyncIterator[Opened]:
        async with served(directory) as there:
            assert there.access is not None
            settings = CallSettings(exchange=exchange)
            async with GrpcClient.connect(there.access, encoding=encoding, settings=settings) as client:
                yield Opened(client=client, compact=there.compact, access=there.access)

    return opened


OVER_GRPC = {"grpc-json": grpc_with(), "grpc-exchange": grpc_with(exchange=True)}
IMPLEMENTATIONS = {
    "memory": memory,
    "local": local,
    "grpc-protobuf": grpc_with(Encoding.PROTOBUF),
    **OVER_GRPC,
}


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opened]:
    async with IMPLEMENTATIONS[request.param](tmp_path) as cluster:
        yield cluster


@pytest.fixture
def client(opened: Opened) -> Client:
    return opened.client


@pytest.fixture(params=sorted(OVER_GRPC))
async def over_grpc(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opened]:
    """For what only the client over gRPC has."""
    async with OVER_GRPC[request.param](tmp_path) as cluster:
        yield cluster
