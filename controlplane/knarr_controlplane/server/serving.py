"""The services on the network: mutual TLS on every port but the join port, for those without a certificate: it shows
``Join``, and with a ServiceAccount's token what such an account may ask."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from knarr_api.errors import Invalid, Unauthenticated, Unavailable
from knarr_controlplane.pki import identity
from knarr_controlplane.pki.authority import KeyPair
from knarr_controlplane.pki.identity import Identity
from knarr_controlplane.server import watching
from knarr_controlplane.server.calls import LOAD
from knarr_proto.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    agent_pb2,
    agent_pb2_grpc,
    cluster_pb2,
    cluster_pb2_grpc,
    history_pb2,
    history_pb2_grpc,
    nodes_pb2,
    nodes_pb2_grpc,
    objects_pb2,
    pods_pb2,
    pods_pb2_grpc,
)

CLONE_NEWNET = 0x40000000
MAX_REQUEST_BYTES = 4 * 1024 * 1024
MAX_JOIN_BYTES = 64 * 1024
WINDOW_BYTES = 1024 * 1024
MAX_JOIN_CALLS = 64
JOIN_METHODS = "/knarr.v1.Join/"
GRACE_S = 0.5
ENDED_WITHIN_S = 5.0
"""Calls under way, when the server stops."""
OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 2_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_concurrent_streams", 10_000),
    # Else every message that comes after a pause has a ping and its answer go with it, to measure the connection: three
    # packets for one, thousands of times over. A window that is wide from the start needs no measuring.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
    # Calls that wait to be taken over: what is too much is refused by us, with a hint, not cut off without a word.
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 200_000),
)


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen. netns: path of a network namespace, or empty for the process' own."""

    host: str
    port: int
    netns: str = ""

    @classmethod
    def parse(cls, text: str) -> Listener:
        """``HOST:PORT`` or ``netns:PATH,HOST:PORT``. Raises Invalid."""
        netns = ""
        if text.startswith("netns:"):
            netns, _, text = text.removeprefix("netns:").partition(",")
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65535:
            raise Invalid(f'--listen "{text}": expected HOST:PORT or netns:PATH,HOST:PORT')
        return cls(host, int(port), netns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The handlers."""

    objects: Any
    pods: Any
    nodes: Any
    agents: Any
    cluster: Any
    history: Any
    accounts: Any
    join: Any


class Serving:
    """Both servers. ``start``, then ``stop``."""

    def __init__(
        self,
        services: Services,
        listeners: tuple[Listener, ...],
        *,
        ca: bytes,
        serving: KeyPair,
        identify: Callable[[str], Identity],
    ) -> None:
        """identify: whose a bearer token is; raises Unauthenticated."""
        self._api = grpc.aio.server(options=(*OPTIONS, ("grpc.max_receive_message_length", MAX_REQUEST_BYTES)))
        watching.add_objects(services.objects, self._api, exchange=True)
        self._leave = services.objects.leave
        pods_pb2_grpc.add_PodsServicer_to_server(services.pods, self._api)
        nodes_pb2_grpc.add_NodesServicer_to_server(services.nodes, self._api)
        agent_pb2_grpc.add_AgentServicer_to_server(services.agents, self._api)
        cluster_pb2_grpc.add_ClusterServicer_to_server(services.cluster, self._api)
        history_pb2_grpc.add_HistoryServicer_to_server(services.history, self._api)
        accounts_pb2_grpc.add_AccountsServicer_to_server(services.accounts, self._api)
        self._health: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._api)
        self._names = tuple(
            module.DESCRIPTOR.services_by_name[name].full_name
            for module, name in (
                (objects_pb2, "Objects"),
                (pods_pb2, "Pods"),
                (nodes_pb2, "Nodes"),
                (agent_pb2, "Agent"),
                (cluster_pb2, "Cluster"),
                (history_pb2, "History"),
                (accounts_pb2, "Accounts"),
            )
        )
        reflection.enable_server_reflection((*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._api)
        join_options = (*OPTIONS, ("grpc.max_receive_message_length", MAX_JOIN_BYTES))
        self._join = grpc.aio.server(
            options=join_options, maximum_concurrent_rpcs=MAX_JOIN_CALLS, interceptors=(Bearers(identify),)
        )
        nodes_pb2_grpc.add_JoinServicer_to_server(services.join, self._join)
        # A token ends, and is looked at with each call: so no streams of calls.
        watching.add_objects(services.objects, self._join, exchange=False)
        cluster_pb2_grpc.add_ClusterServicer_to_server(services.cluster, self._join)
        accounts_pb2_grpc.add_AccountsServicer_to_server(services.accounts, self._join)
        pair = [(serving.key, serving.certificate)]
        mutual = grpc.ssl_server_credentials(pair, root_certificates=ca, require_client_auth=True)
        server_only = grpc.ssl_server_credentials(pair)
        for listener in listeners:
            with inside(listener.netns):
                _bind(self._api, listener.host, listener.port, mutual)
                _bind(self._join, listener.host, listener.port + 1, server_only)

    async def start(self) -> None:
        LOAD.open()
        await self._api.start()
        await self._join.start()
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Calls under way get a moment, new ones are refused as not begun; then streams are ended.

        gRPC alone would cut off calls that it has received and not handed over yet, and nobody could say which.
        """
        await self._health.enter_graceful_shutdown()
        self._leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDED_WITHIN_S):
                await LOAD.close()
        await asyncio.gather(self._join.stop(GRACE_S), self._api.stop(GRACE_S))


class Bearers(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """On the port for those without a certificate: joining is for all, everything else for who shows a token.

    Without one the other services are not there.
    """

    def __init__(self, identify: Callable[[str], Identity]) -> None:
        self._identify = identify

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        if details.method.startswith(JOIN_METHODS):
            return await continuation(details)
        given = next((str(value) for key, value in details.invocation_metadata if key == "authorization"), "")
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            identity.BEARER.set(self._identify(token.strip()))
        except Unauthenticated as error:
            identity.BEARER.set(error)
        return await continuation(details)


def _bind(server: grpc.aio.Server, host: str, port: int, credentials: grpc.ServerCredentials) -> None:
    try:
        server.add_secure_port(f"{host}:{port}", credentials)
    except RuntimeError as error:
        raise Unavailable(f"cannot listen on {host}:{port}: is another program using it?") from error


@contextlib.contextmanager
def inside(netns: str) -> Iterator[None]:
    """This thread in another network namespace for a moment: a socket made there stays there. Source: setns(2)."""
    if not netns:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            other = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"network namespace {netns}: {error.strerror}") from error
        try:
            if libc.setns(other, CLONE_NEWNET):
                raise Unavailable(f"cannot enter network namespace {netns}: {os.strerror(ctypes.get_errno())}")
        finally:
            os.close(other)
        try:
            yield
        finally:
            if libc.setns(own, CLONE_NEWNET):
                raise SystemExit("cannot return to the own network namespace")
    finally:
        os.close(own)
