"""One control plane as its own process, with SQLite, reached over mutual TLS on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from knarr_client import join, kubeconfig
from knarr_client.grpc import GrpcClient
from knarr_client.kubeconfig import Access
from knarr_proto.v1 import nodes_pb2, nodes_pb2_grpc
from tests.ports import free_port

READY_WITHIN_S = 30
ENDED_WITHIN_S = 30


@dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """A running process."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    port: int

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def access(self) -> Access:
        return kubeconfig.load(self.data_dir / "admin.kubeconfig")


@contextlib.contextmanager
def running(data_dir: Path, port: int, *arguments: str) -> Iterator[ControlPlane]:
    """Starts it, waits until it says that it is ready, ends it."""
    data_dir.mkdir(exist_ok=True)
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    address = str(data_dir / "notify")
    Path(address).unlink(missing_ok=True)
    notices.bind(address)
    command = [sys.executable, "-m", "knarr_controlplane", "--data-dir", str(data_dir)]
    with open(data_dir / "log", "ab") as log:
        process = subprocess.Popen(
            [*command, "--listen", f"127.0.0.1:{port}", *arguments],
            env={**os.environ, "NOTIFY_SOCKET": address},
            stdout=log,
            stderr=log,
        )
    try:
        ready, _, _ = select.select([notices], [], [], READY_WITHIN_S)
        assert ready and notices.recv(100) == b"READY=1", (data_dir / "log").read_text()
        assert json.loads((data_dir / "controlplane.ready").read_text())["pid"] == process.pid
        yield ControlPlane(process=process, data_dir=data_dir, port=port)
    finally:
        notices.close()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(ENDED_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with running(tmp_path_factory.mktemp("cp"), free_port()) as started:
        yield started


@pytest.fixture(name="free_port", scope="session")
def a_free_port() -> Callable[[], int]:
    return free_port


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[GrpcClient]:
    async with GrpcClient.connect(control_plane.access) as connected:
        yield connected


@pytest.fixture
def token(client: GrpcClient) -> Callable[..., Awaitable[str]]:
    async def create(**fields: object) -> str:
        request = nodes_pb2.CreateTokenRequest(**fields)
        return str((await nodes_pb2_grpc.NodesStub(client.channel).CreateToken(request, timeout=10)).token)

    return create


@pytest.fixture
async def as_node(
    control_plane: ControlPlane, token: Callable[..., Awaitable[str]]
) -> AsyncIterator[Callable[[str], Awaitable[GrpcClient]]]:
    """A client with the certificate of a node, which it got as nodes do."""
    async with contextlib.AsyncExitStack() as stack:

        async def connect(name: str) -> GrpcClient:
            got = await join.join(control_plane.server, await token(node_name=name), name)
            access = Access(endpoints=got.endpoints, ca_pem=got.ca, certificate_pem=got.certificate, key_pem=got.key)
            return await stack.enter_async_context(GrpcClient.connect(access))

        yield connect


@pytest.fixture(scope="session")
def start() -> Callable[..., contextlib.AbstractContextManager[ControlPlane]]:
    """For tests that need processes of their own: ``start(data_dir, port, *arguments)``."""
    return running


@pytest.fixture
def two_ports() -> Callable[[], int]:
    return free_port


@pytest.fixture
def etcd(tmp_path: Path, two_ports: Callable[[], int]) -> Iterator[int]:
    """An etcd of the test's own; its port."""
    port = two_ports()
    urls = ("--listen-client-urls", f"http://127.0.0.1:{port}", "--advertise-client-urls", f"http://127.0.0.1:{port}")
    peers = ("--listen-peer-urls", f"http://127.0.0.1:{port + 1}", "--max-txn-ops", "1024", "--log-level", "error")
    with open(tmp_path / "etcd.log", "ab") as log:
        process = subprocess.Popen(
            ["etcd", "--data-dir", str(tmp_path / "etcd"), *urls, *peers], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert time.monotonic() < deadline, (tmp_path / "etcd.log").read_text()
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()
