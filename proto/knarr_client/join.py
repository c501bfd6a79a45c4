"""How a machine becomes a node: with a join token and nothing else to start from.

The token holds the hash of the cluster's CA. The CA is first fetched from the join port without trust, compared with
the hash, and only then is a verified connection made on which the token is shown.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from dataclasses import dataclass

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from knarr_api import grpc_status
from knarr_api.errors import Invalid, Unauthenticated, Unavailable
from knarr_client.channel import is_address
from knarr_proto.v1 import nodes_pb2, nodes_pb2_grpc

TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM; endpoints: host:port of the API."""

    key: bytes
    certificate: bytes
    ca: bytes
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A new private key and the request for its certificate, both PEM."""

    key: bytes
    csr: bytes


def make_request(node_name: str) -> Request:
    """A key that never leaves the machine, and a request for ``system:node:<node_name>``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{node_name}"),
        ]
    )
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Request(pem, csr.public_bytes(serialization.Encoding.PEM))


async def join(server: str, token: str, node_name: str) -> Credentials:
    """Ask for a node's certificate at the join port of ``server`` (host:port of the API; its join port is the next).

    Raises Invalid for a token that is none, Unauthenticated when the server is not the token's cluster or refuses it,
    Unavailable when it can't be reached.
    """
    parts = token.split(".")
    if len(parts) != 4 or parts[0] != "kn1" or len(parts[3]) != 64:
        raise Invalid("not a join token: expected kn1.<id>.<secret>.<hash>; make one with 'knarr token create'")
    host, port = join_address(server)
    ca = await asyncio.to_thread(fetch_ca, host, port, parts[3])
    request = make_request(node_name)
    async with grpc.aio.secure_channel(f"{host}:{port}", grpc.ssl_channel_credentials(ca)) as channel:
        stub = nodes_pb2_grpc.JoinStub(channel)
        message = nodes_pb2.JoinRequest(token=token, node_name=node_name, csr_pem=request.csr)
        try:
            answer = await stub.Join(message, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise grpc_status.from_rpc(error) from error
    return Credentials(request.key, answer.certificate_pem, answer.ca_pem, tuple(answer.endpoints))


def join_address(server: str) -> tuple[str, int]:
    """Host and join port of an API's ``host:port``. Raises Invalid."""
    if not is_address(server):
        raise Invalid(f'server "{server}": expected HOST:PORT')
    host, _, port = server.rpartition(":")
    return host.strip("[]"), int(port) + 1


def fetch_ca(host: str, port: int, fingerprint: str) -> bytes:
    """The CA certificate (PEM) that the server shows, when its SHA-256 is the one expected.

    Raises Unavailable, and Unauthenticated when no certificate shown has the fingerprint.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_S) as plain, context.wrap_socket(plain) as secured:
            chain = secured._sslobj.get_unverified_chain() or []  # type: ignore[attr-defined]
    except OSError as error:
        raise Unavailable(f"cannot reach the join port {host}:{port}: {error}") from error
    for shown in chain:
        der = ssl.PEM_cert_to_DER_cert(shown.public_bytes())
        if hashlib.sha256(der).hexdigest() == fingerprint:
            return ssl.DER_cert_to_PEM_cert(der).encode()
    raise Unauthenticated(
        f"the server at {host}:{port} is not the cluster that the token is for: its CA has another hash"
    )
