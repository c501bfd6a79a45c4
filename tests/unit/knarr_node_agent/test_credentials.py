"""Key, certificate, renewal."""

from __future__ import annotations

import asyncio
import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from knarr_api.errors import Invalid, Unauthenticated
from knarr_client import virtual_time
from knarr_client.join import Credentials
from knarr_client.virtual_time import EPOCH, VirtualClock
from knarr_node_agent import settings as settings_module
from knarr_node_agent.credentials import CredentialFiles, obtain, renewal_time


def certificate(days: int) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
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
