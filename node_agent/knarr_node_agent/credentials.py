"""The node's key and certificate: got with a join token on first start, renewed after two thirds of their life."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog

from knarr_api import grpc_status
from knarr_api.errors import Invalid, KnarrError, Unauthenticated, Unavailable
from knarr_client import join as joining
from knarr_client.clock import Clock
from knarr_client.join import Credentials
from knarr_node_agent.settings import Settings
from knarr_proto.v1 import nodes_pb2, nodes_pb2_grpc

NEW_KEY = "node.key.new"
RETRY_S, LONGEST_RETRY_S = 0.5, 15.0
TOKEN_POLL_S = 0.05
RENEW_RETRY_S = 60.0
LONGEST_SLEEP_S = 3600.0
"""Clocks jump: what is due is looked at again."""


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """``node.key``, ``node.crt``, ``ca.crt`` and ``endpoints.json`` of a directory.

    A new key lies beside the old one until its certificate has taken the old one's place: what is there goes together
    at any time, also when a save is broken off.
    """

    directory: Path

    def load(self) -> Credentials | None:
        """None before the first join. Raises Invalid for damaged files."""
        try:
            self._complete()
            return Credentials(
                key=(self.directory / "node.key").read_bytes(),
                certificate=(self.directory / "node.crt").read_bytes(),
                ca=(self.directory / "ca.crt").read_bytes(),
                endpoints=tuple(json.loads((self.directory / "endpoints.json").read_text())),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Invalid(f"the node's credentials in {self.directory} can't be read: {error}") from error

    def renew_at(self) -> datetime.datetime | None:
        """As it was written down with the certificate."""
        try:
            return datetime.datetime.fromisoformat((self.directory / "renew-at").read_text().strip())
        except (OSError, ValueError):
            return None

    def save(self, credentials: Credentials) -> None:
        """With the certificate the set is complete. Raises OSError; key and certificate are then what they were."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.directory / "renew-at").unlink(missing_ok=True)
        _write(self.directory / NEW_KEY, credentials.key)
        _write(self.directory / "ca.crt", credentials.ca)
        _write(self.directory / "endpoints.json", json.dumps(credentials.endpoints).encode())
        _write(self.directory / "node.crt", credentials.certificate)
        (self.directory / NEW_KEY).replace(self.directory / "node.key")
        _write(self.directory / "renew-at", renewal_time(credentials.certificate).isoformat().encode())

    def _complete(self) -> None:
        """A save that was broken off between certificate and key."""
        new = self.directory / NEW_KEY
        if new.exists() and _go_together(new.read_bytes(), (self.directory / "node.crt").read_bytes()):
            new.replace(self.directory / "node.key")


async def obtain(settings: Settings, files: CredentialFiles, clock: Clock) -> Credentials:
    """What is there, or what joining gives; waits for the server and for the token file.

    Raises Invalid and Unauthenticated: with this token it will never work.
    """
    present = files.load()
    if present is not None:
        return present
    log = structlog.get_logger("knarr.agent")
    token = settings.token or await _read_token(settings, clock)
    pause_s, said, attempt = RETRY_S, "", 0
    while True:
        try:
            credentials = await joining.join(
                settings.servers[attempt % len(settings.servers)], token, settings.node_name
            )
            break
        except Unavailable as error:
            attempt += 1
            if str(error) != said:
                said = str(error)
                log.warning("cannot join yet, trying again", error=said)
            await clock.sleep(pause_s)
            pause_s = min(pause_s * 1.5, LONGEST_RETRY_S)
    files.save(credentials)
    if settings.token_file is not None:
        with contextlib.suppress(FileNotFoundError):
            settings.token_file.unlink()
    log.info("joined", node=settings.node_name)
    return credentials


async def _read_token(settings: Settings, clock: Clock) -> str:
    path = settings.token_file
    if path is None:
        raise Unauthenticated("this node has no certificate yet: give --token, from 'knarr token create'")
    while not path.exists():
        await clock.sleep(TOKEN_POLL_S)
    return path.read_text().strip()


async def keep_fresh(
    channel: grpc.aio.Channel, settings: Settings, files: CredentialFiles, clock: Clock, renewed: asyncio.Event
) -> None:
    """Renew in time; ``renewed`` is set when new files are there, for the process to start anew with."""
    log = structlog.get_logger("knarr.agent")
    credentials = files.load()
    assert credentials is not None
    due = files.renew_at() or renewal_time(credentials.certificate)
    while True:
        wait_s = (due - clock.now()).total_seconds()
        if wait_s > 0:
            await clock.sleep(min(wait_s, LONGEST_SLEEP_S))
            continue
        request = joining.make_request(settings.node_name)
        stub = nodes_pb2_grpc.NodesStub(channel)
        try:
            answer = await stub.Renew(nodes_pb2.RenewRequest(csr_pem=request.csr), timeout=15.0)
        except grpc.aio.AioRpcError as error:
            failure: KnarrError = grpc_status.from_rpc(error)
            log.warning("the certificate can't be renewed yet", error=str(failure))
            await clock.sleep(RENEW_RETRY_S)
            continue
        endpoints = tuple(answer.endpoints) or credentials.endpoints
        try:
            files.save(Credentials(request.key, answer.certificate_pem, answer.ca_pem, endpoints))
        except OSError as error:
            log.warning("the renewed certificate can't be saved yet", error=str(error))
            await clock.sleep(RENEW_RETRY_S)
            continue
        log.info("certificate renewed")
        renewed.set()
        return


def renewal_time(certificate_pem: bytes) -> datetime.datetime:
    """When two thirds of a certificate's life are over."""
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(certificate_pem)
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_before_utc + life * 2 / 3


def _go_together(key_pem: bytes, certificate_pem: bytes) -> bool:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    public_key = load_pem_private_key(key_pem, password=None).public_key()
    return x509.load_pem_x509_certificate(certificate_pem).public_key() == public_key


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
