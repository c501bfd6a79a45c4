"""Key, certificate, renewal."""

from __future__ import annotations

import asyncio
import datetime
import stat
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from knarr_api.errors import Invalid, Unauthenticated
from knarr_client import virtual_time
from knarr_client.clock import SystemClock
from knarr_client.join import Credentials
from knarr_client.virtual_time import EPOCH, VirtualClock
from knarr_node_agent import settings as settings_module
from knarr_node_agent.credentials import CredentialFiles, keep_fresh, obtain, renewal_time
from knarr_proto.v1 import nodes_pb2, nodes_pb2_grpc


def certificate(days: int, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "system:node:n1")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(EPOCH)
        .not_valid_after(EPOCH + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


def test_renewal_is_due_after_two_thirds_of_the_life() -> None:
    assert renewal_time(certificate(30)) == EPOCH + datetime.timedelta(days=20)


def test_files_come_back_and_are_for_root_alone(tmp_path: Path) -> None:
    files = CredentialFiles(tmp_path)
    assert files.load() is None
    credentials = Credentials(b"key", certificate(3), b"ca", ("127.0.0.1:6443",))
    files.save(credentials)
    assert files.load() == credentials
    assert files.renew_at() == EPOCH + datetime.timedelta(days=2)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_interrupted_save_is_no_certificate(tmp_path: Path) -> None:
    files = CredentialFiles(tmp_path)
    files.save(Credentials(b"key", certificate(3), b"ca", ()))
    (tmp_path / "node.crt").unlink()
    assert files.load() is None


def pair(days: int) -> Credentials:
    key = ec.generate_private_key(ec.SECP256R1())
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(encoding, form, serialization.NoEncryption())
    return Credentials(pem, certificate(days, key), b"ca", ("127.0.0.1:6443",))


@pytest.mark.parametrize("name", ["node.key.new", "ca.crt", "endpoints.json", "node.crt"])
def test_renewal_that_cannot_be_saved_leaves_what_was(tmp_path: Path, name: str) -> None:
    files = CredentialFiles(tmp_path)
    before, after = pair(3), pair(6)
    files.save(before)
    in_the_way = tmp_path / f".{name}.tmp"
    in_the_way.mkdir()
    with pytest.raises(OSError, match="directory"):
        files.save(after)
    assert files.load() == before
    in_the_way.rmdir()
    files.save(after)
    assert files.load() == after


def test_renewal_that_ended_between_certificate_and_key_is_complete(tmp_path: Path) -> None:
    files = CredentialFiles(tmp_path)
    before, after = pair(3), pair(6)
    files.save(before)
    (tmp_path / "node.key.new").write_bytes(after.key)
    (tmp_path / "node.crt").write_bytes(after.certificate)
    assert files.load() == after
    assert CredentialFiles(tmp_path).load() == after


class Renewals(nodes_pb2_grpc.NodesServicer):
    async def Renew(self, request: Any, context: Any) -> Any:
        key = x509.load_pem_x509_csr(request.csr_pem).public_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "system:node:n1")])
        later = EPOCH + datetime.timedelta(days=6)
        made = x509.CertificateBuilder(name, name, key, 1, EPOCH, later).sign(
            ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()
        )
        return nodes_pb2.CertificateResponse(
            certificate_pem=made.public_bytes(serialization.Encoding.PEM), ca_pem=b"ca"
        )


class RoomLater(SystemClock):
    """Of a machine on whose disk there is room again after the first wait."""

    def __init__(self, in_the_way: Path) -> None:
        self._in_the_way = in_the_way

    def now(self) -> datetime.datetime:
        return EPOCH + datetime.timedelta(days=2)

    async def sleep(self, duration_s: float) -> None:
        self._in_the_way.rmdir()


async def test_renewal_goes_on_once_the_disk_has_room(tmp_path: Path) -> None:
    files = CredentialFiles(tmp_path)
    files.save(pair(3))
    in_the_way = tmp_path / ".node.crt.tmp"
    in_the_way.mkdir()
    settings = settings_module.parse(["--data-dir", str(tmp_path), "--server", "127.0.0.1:1", "--node-name", "n1"])
    server, renewed = grpc.aio.server(), asyncio.Event()
    nodes_pb2_grpc.add_NodesServicer_to_server(Renewals(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(30):
        await keep_fresh(channel, settings, files, RoomLater(in_the_way), renewed)
    await server.stop(None)
    assert renewed.is_set()
    assert files.renew_at() == EPOCH + datetime.timedelta(days=4)


def test_first_start_without_a_token_says_what_to_give(tmp_path: Path) -> None:
    settings = settings_module.parse(["--data-dir", str(tmp_path), "--server", "127.0.0.1:1", "--node-name", "n1"])

    async def scenario(clock: VirtualClock) -> None:
        with pytest.raises(Unauthenticated, match="--token"):
            await obtain(settings, CredentialFiles(tmp_path), clock)

    virtual_time.run(scenario)


def test_token_file_is_waited_for(tmp_path: Path) -> None:
    arguments = ["--data-dir", str(tmp_path), "--server", "127.0.0.1:1", "--token-file", str(tmp_path / "token")]
    settings = settings_module.parse(arguments)

    async def scenario(clock: VirtualClock) -> float:
        async def write() -> None:
            await clock.sleep(40)
            (tmp_path / "token").write_text("no token")

        writing = asyncio.create_task(write())
        with pytest.raises(Invalid, match="not a join token"):
            await obtain(settings, CredentialFiles(tmp_path), clock)
        await writing
        return clock.monotonic()

    assert 40 <= virtual_time.run(scenario) < 41


def test_wrong_arguments_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        settings_module.parse(["--data-dir", str(tmp_path), "--server", "x:1", "--label", "nonsense"])
    assert stopped.value.code == 2
    assert '--label "nonsense": expected KEY=VALUE' in capsys.readouterr().err
