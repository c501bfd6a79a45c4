"""A listener inside another network namespace: reachable from there, and only from there."""

from __future__ import annotations

import datetime
import os
import socket
import subprocess

import grpc.aio
import pytest

from knarr_api.errors import Unauthenticated, Unavailable
from knarr_controlplane.pki.authority import Authority
from knarr_controlplane.server.serving import Listener, Services, Serving, inside
from knarr_proto.v1 import (
    accounts_pb2_grpc,
    agent_pb2_grpc,
    cluster_pb2,
    cluster_pb2_grpc,
    history_pb2_grpc,
    nodes_pb2_grpc,
    objects_pb2_grpc,
    pods_pb2_grpc,
)

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture
def namespace():
    """Path of a network namespace with its loopback up, kept by a process that only waits."""
    script = "ip link set lo up && echo up && exec sleep 60"
    keeper = subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE)
    assert keeper.stdout is not None
    assert keeper.stdout.readline() == b"up\n"
    yield f"/proc/{keeper.pid}/ns/net"
    keeper.kill()
    keeper.wait()
    keeper.stdout.close()


def test_a_socket_stays_where_it_was_made(namespace):
    own = os.readlink("/proc/thread-self/ns/net")
    with inside(namespace), socket.socket() as probe:
        assert os.readlink("/proc/thread-self/ns/net") == os.readlink(namespace)
        listening = socket.create_server(("127.0.0.1", 0))
        probe.connect(listening.getsockname())
    assert os.readlink("/proc/thread-self/ns/net") == own
    with listening, pytest.raises(ConnectionRefusedError):
        socket.create_connection(listening.getsockname(), timeout=5)


def test_coming_back_also_after_a_failure(namespace):
    own = os.readlink("/proc/thread-self/ns/net")
    with pytest.raises(ZeroDivisionError), inside(namespace):
        raise ZeroDivisionError
    with pytest.raises(Unavailable, match="network namespace /no/such"), inside("/no/such"):
        pass
    assert os.readlink("/proc/thread-self/ns/net") == own


def nobody(token):
    raise Unauthenticated(token)


async def test_the_api_serves_there(namespace, tmp_path):
    class Objects(objects_pb2_grpc.ObjectsServicer):
        def leave(self):
            """There are no streams of calls."""

    class Cluster(cluster_pb2_grpc.ClusterServicer):
        async def Version(self, request, context):
            return cluster_pb2.VersionResponse(version="here")

    now = datetime.datetime.now(datetime.UTC)
    authority = Authority.open(tmp_path, now)
    services = Services(
        objects=Objects(),
        pods=pods_pb2_grpc.PodsServicer(),
        nodes=nodes_pb2_grpc.NodesServicer(),
        agents=agent_pb2_grpc.AgentServicer(),
        cluster=Cluster(),
        history=history_pb2_grpc.HistoryServicer(),
        accounts=accounts_pb2_grpc.AccountsServicer(),
        join=nodes_pb2_grpc.JoinServicer(),
    )
    listener = Listener("127.0.0.1", 7443, namespace)
    serving = Serving(services, (listener,), ca=authority.pem, serving=authority.serving((), now), identify=nobody)
    await serving.start()
    try:
        pair = authority.admin(now)
        credentials = grpc.ssl_channel_credentials(authority.pem, pair.key, pair.certificate)
        with inside(namespace):
            connection = socket.create_connection(("127.0.0.1", 7443), timeout=5)
        connection.close()
        async with grpc.aio.secure_channel("127.0.0.1:7443", credentials) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await cluster_pb2_grpc.ClusterStub(channel).Version(cluster_pb2.VersionRequest(), timeout=5)
    finally:
        await serving.stop()
