"""The gRPC channel to a cluster: mutual TLS 1.2+ from a kubeconfig, kept alive, with limits.

Several endpoints are tried in turn, and the next one when the connection breaks. They then share one name to be
verified against: the kubeconfig's ``tls-server-name``, else ``localhost``, which every Knarr server's certificate
holds.
"""

from __future__ import annotations

import ipaddress

import grpc
import grpc.aio

from knarr_api import errors
from knarr_client.kubeconfig import Access

MESSAGE_BYTES_MAX = 64 << 20
SHARED_NAME = "localhost"
KEEPALIVE_S = 4
KEEPALIVE_TIMEOUT_S = 4
"""Together less than the time after which a node is taken for lost: its agent finds another control plane before."""
CONNECT_S = 5
WINDOW_BYTES = 1 << 20

Option = tuple[str, str | int]


def open_channel(access: Access, *, keepalive_s: int = KEEPALIVE_S) -> grpc.aio.Channel:
    """Doesn't connect yet. Must be called in the event loop that will use it. Raises Invalid.

    keepalive_s: after so long without a word from the server it is asked whether it is there.
    """
    credentials = grpc.ssl_channel_credentials(
        root_certificates=access.ca_pem,
        private_key=access.key_pem or None,
        certificate_chain=access.certificate_pem or None,
    )
    if access.token:
        credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(access.token))
    return grpc.aio.secure_channel(target(access), credentials, options=options(access, keepalive_s))


def target(access: Access) -> str:
    """gRPC's name for the endpoints."""
    if not access.endpoints:
        raise errors.Invalid("no endpoint is given")
    if len(access.endpoints) == 1:
        return access.endpoints[0]
    families = {_family(endpoint) for endpoint in access.endpoints}
    if len(families) > 1 or None in families:
        raise errors.Invalid("several servers must be given as addresses of one family, not as names")
    return f"ipv{families.pop()}:{','.join(access.endpoints)}"


def options(access: Access, keepalive_s: int = KEEPALIVE_S) -> tuple[Option, ...]:
    found: list[Option] = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.keepalive_time_ms", keepalive_s * 1000),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_S * 1000),
        # What counts in gRPC 1.85, where the one above alone leaves a frozen server unnoticed for a minute.
        ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_S * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        # Really the least time that one attempt gets, TLS included: a far or busy server needs more than a moment.
        ("grpc.min_reconnect_backoff_ms", CONNECT_S * 1000),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.enable_http_proxy", 0),
        # Else each message after a pause is answered by a ping that measures the connection; many idle agents would
        # keep a server busy with nothing but these. A window that is wide from the start needs no measuring.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
    ]
    server_name = access.server_name or (SHARED_NAME if len(access.endpoints) > 1 else "")
    if server_name:
        found.append(("grpc.ssl_target_name_override", server_name))
    return tuple(found)


def is_address(text: str) -> bool:
    """Whether it is ``HOST:PORT``."""
    host, _, port = text.rpartition(":")
    return bool(host) and port.isascii() and port.isdecimal() and 0 < int(port) < 65536


def _family(endpoint: str) -> int | None:
    host = endpoint.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return None
