"""The streaming server's HTTP: tokens, negotiation, limits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from knarr_runtime.errors import Exhausted, Invalid
from knarr_runtime.streaming.server import StreamingServer, StreamingSettings
from knarr_runtime.streaming.tokens import ExecRequest, PortForwardRequest, Tokens

LS = ExecRequest(container_id="box", command=("true",), tty=False, stdin=False, stdout=True, stderr=True)
SPDY = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
WEBSOCKET = (
    "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def ask(server: StreamingServer, text: str) -> str:
    """The head of the answer."""
    parts = urlsplit(server.base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(text.encode("latin-1"))
        return (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)).decode()
    finally:
        writer.transport.abort()


def get(path: str, headers: str = "", method: str = "POST") -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: here\r\n{headers}\r\n"


def path_of(url: str) -> str:
    return urlsplit(url).path


def test_a_token_is_good_once_and_for_a_minute() -> None:
    now = 0.0
    tokens = Tokens(lambda: now)
    first, second = tokens.issue(LS), tokens.issue(LS)
    assert tokens.take(first) is LS
    assert tokens.take(first) is None
    now = 60.1
    assert tokens.take(second) is None


def test_tokens_have_256_bits_and_a_limit() -> None:
    now = 0.0
    tokens = Tokens(lambda: now, limit=1000)
    issued = {tokens.issue(LS) for _ in range(1000)}
    assert len(issued) == 1000 and {len(token) for token in issued} == {43}
    with pytest.raises(Exhausted, match="1000 streaming requests wait"):
        tokens.issue(LS)
    now = 61.0
    tokens.issue(LS)


async def test_a_used_token_is_not_found(server: StreamingServer) -> None:
    path = path_of(server.exec_url(LS))
    assert (await ask(server, get(path, SPDY))).startswith("HTTP/1.1 101 ")
    assert (await ask(server, get(path, SPDY))).startswith("HTTP/1.1 404 ")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (get("/exec/unknown", SPDY), 404),
        (get("/", SPDY), 404),
        (get("/exec/", SPDY, method="DELETE"), 405),
        ("nonsense\r\n\r\n", 400),
        ("GET /exec/x HTTP/1.1\r\n\r\n", 400),
        (get("/exec/x", "X: " + "a" * 60_000 + "\r\n"), 431),
        (get("/exec/x", "Content-Length: 3\r\n") + "abc", 400),
    ],
)
async def test_wrong_requests_are_answered(server: StreamingServer, text: str, status: int) -> None:
    assert (await ask(server, text)).startswith(f"HTTP/1.1 {status} ")


async def test_a_token_is_of_no_use_for_another_verb(server: StreamingServer) -> None:
    path = path_of(server.exec_url(LS)).replace("/exec/", "/portforward/")
    assert (await ask(server, get(path, SPDY))).startswith("HTTP/1.1 404 ")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (SPDY + "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n", "v4.channel.k8s.io"),
        (
            SPDY + "X-Stream-Protocol-Version: v9.channel.k8s.io\r\nX-Stream-Protocol-Version: v3.channel.k8s.io\r\n"
            "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n",
            "v3.channel.k8s.io",
        ),
        (SPDY + "X-Stream-Protocol-Version: v9.channel.k8s.io, channel.k8s.io\r\n", "channel.k8s.io"),
    ],
)
async def test_the_clients_first_known_protocol_is_spoken(server: StreamingServer, headers: str, expected: str) -> None:
    answer = await ask(server, get(path_of(server.exec_url(LS)), headers))
    assert answer.startswith("HTTP/1.1 101 ")
    assert f"X-Stream-Protocol-Version: {expected}\r\n" in answer
    assert "Upgrade: SPDY/3.1\r\n" in answer


async def test_protocols_that_nobody_knows_are_refused_with_those_that_are_known(server: StreamingServer) -> None:
    headers = SPDY + "X-Stream-Protocol-Version: v9.channel.k8s.io\r\n"
    answer = await ask(server, get(path_of(server.exec_url(LS)), headers))
    assert answer.startswith("HTTP/1.1 403 ")
    assert "X-Accepted-Stream-Protocol-Versions: v4.channel.k8s.io\r\n" in answer


async def test_the_websocket_handshake_is_that_of_the_rfc(server: StreamingServer) -> None:
    headers = WEBSOCKET + "Sec-WebSocket-Protocol: v9.channel.k8s.io, v5.channel.k8s.io\r\n"
    answer = await ask(server, get(path_of(server.exec_url(LS)), headers, method="GET"))
    assert answer.startswith("HTTP/1.1 101 ")
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n" in answer


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", WEBSOCKET, 400),
        ("GET", WEBSOCKET.replace("13", "12"), 400),
        ("GET", WEBSOCKET + "Sec-WebSocket-Protocol: chat\r\n", 403),
        ("GET", "", 400),
        ("GET", "Upgrade: SPDY/3.1\r\n", 400),
    ],
)
async def test_upgrades_that_are_none_are_refused(
    server: StreamingServer, method: str, headers: str, status: int
) -> None:
    answer = await ask(server, get(path_of(server.exec_url(LS)), headers, method=method))
    assert answer.startswith(f"HTTP/1.1 {status} ")


async def test_a_websocket_port_forward_needs_ports(server: StreamingServer) -> None:
    path = path_of(server.port_forward_url(PortForwardRequest(sandbox_id="pod", ports=())))
    headers = WEBSOCKET + "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n"
    assert (await ask(server, get(path, headers, method="GET"))).startswith("HTTP/1.1 400 ")


@contextlib.asynccontextmanager
async def serving(backend: Any, **settings: Any) -> AsyncIterator[StreamingServer]:
    own = StreamingServer(backend, StreamingSettings(**settings))
    await own.start()
    try:
        yield own
    finally:
        await own.close()


async def test_connections_beyond_the_limit_are_closed(backend: Any) -> None:
    async with serving(backend, max_connections=1) as server:
        parts = urlsplit(server.base_url)
        _, first = await asyncio.open_connection(parts.hostname, parts.port)
        first.write(b"GET /")
        await first.drain()
        reader, second = await asyncio.open_connection(parts.hostname, parts.port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 30) == b""
        for writer in (first, second):
            writer.transport.abort()


async def test_a_client_that_opens_no_streams_is_left(backend: Any) -> None:
    async with serving(backend, creation_timeout_s=0.05) as server:
        parts = urlsplit(server.base_url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(get(path_of(server.exec_url(LS)), SPDY).encode())
        await reader.readuntil(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.read(), 10) == bytes.fromhex("80030007000000080000000000000000"), "GOAWAY"
        writer.transport.abort()
        assert not backend.processes


async def test_a_session_without_traffic_is_closed(backend: Any) -> None:
    async with serving(backend, idle_timeout_s=0.05) as server:
        parts = urlsplit(server.base_url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(get(path_of(server.exec_url(LS)), SPDY).encode())
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.transport.abort()


async def test_a_unix_socket_serves_as_well_and_is_for_its_owner_alone(backend: Any, tmp_path: Any) -> None:
    path = tmp_path / "streaming.sock"
    async with serving(backend, address=f"unix:{path}") as server:
        parts = urlsplit(server.exec_url(LS))
        assert parts.scheme == "http+unix" and unquote(parts.netloc) == str(path)
        assert path.stat().st_mode & 0o777 == 0o600
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(get(parts.path, SPDY).encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.transport.abort()
    assert not path.exists()


@pytest.mark.parametrize("address", ["", "localhost", "127.0.0.1:x", "127.0.0.1:65536", ":80"])
async def test_an_address_that_is_none_is_refused(backend: Any, address: str) -> None:
    with pytest.raises(Invalid, match="HOST:PORT or unix:PATH"):
        await StreamingServer(backend, StreamingSettings(address=address)).start()
