"""The server that clients of exec, attach and port-forward connect to.

One request per connection: ``/exec/TOKEN``, ``/attach/TOKEN``, ``/portforward/TOKEN``, upgraded to SPDY/3.1 or
WebSocket. It listens on loopback or a unix socket, has no other authentication than the tokens, and bounds everything:
connections, headers, time until the request and the client's streams are there, and time without traffic.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, assert_never
from urllib.parse import quote

import structlog

from knarr_runtime.errors import Invalid, RuntimeFailure
from knarr_runtime.spec import User
from knarr_runtime.streaming import channels_spdy, protocols, remote_command
from knarr_runtime.streaming.channels import Channels
from knarr_runtime.streaming.channels_websocket import ERROR, WebSocketChannels
from knarr_runtime.streaming.http import Exchange, Head, Refused
from knarr_runtime.streaming.pipe import READ_BYTES, Activity, ConnectionPipe, Pipe
from knarr_runtime.streaming.port_forward import SpdyForwarder, forward_websocket
from knarr_runtime.streaming.protocols import Version
from knarr_runtime.streaming.remote_command import Process, Wanted
from knarr_runtime.streaming.spdy.session import Session
from knarr_runtime.streaming.status import Failed
from knarr_runtime.streaming.tokens import AttachRequest, ExecRequest, PortForwardRequest, Request, Tokens
from knarr_runtime.streaming.websocket import Tunnel, WebSocket

_WRITE_HIGH_BYTES = 1 << 20
_FAREWELL_S = 5.0
_GOODBYE_S = 2.0
_KEEPALIVE_S = 60
_IP_FREEBIND = 15  # linux/in.h


class Backend(Protocol):
    """The launcher, as far as streaming needs it."""

    async def open_exec(
        self,
        container_id: str,
        args: tuple[str, ...],
        *,
        env: tuple[str, ...] = (),
        cwd: str = "",
        user: User | None = None,
        tty: bool = False,
        stdin: bool = False,
    ) -> Process:
        """Raises RuntimeFailure."""

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool) -> Process:
        """Raises RuntimeFailure."""

    async def connect_port(self, sandbox_id: str, port: int) -> socket.socket:
        """Connected and non-blocking. Raises RuntimeFailure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingSettings:
    """address: ``HOST:PORT`` (port 0: any that is free) or ``unix:PATH``. idle_timeout_s: without a byte in either
    direction. creation_timeout_s: for the client to open its streams."""

    address: str = "127.0.0.1:0"
    idle_timeout_s: float = 4 * 3600.0
    creation_timeout_s: float = 30.0
    token_lifetime_s: float = 60.0
    max_tokens: int = 1000
    max_connections: int = 1024


class StreamingServer:
    """start, then urls; close ends all sessions."""

    def __init__(self, backend: Backend, settings: StreamingSettings) -> None:
        self._backend = backend
        self._settings = settings
        self._tokens = Tokens(time.monotonic, lifetime_s=settings.token_lifetime_s, limit=settings.max_tokens)
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()
        self._base = ""
        self._log = structlog.get_logger("knarr.streaming")

    async def start(self) -> None:
        """Raises Invalid for an address that is none, OSError."""
        listener, self._base = _listen(self._settings.address)
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=READ_BYTES)

    async def close(self) -> None:
        """Execs lose their clients; nothing else does."""
        if self._server is not None:
            self._server.close()
        for task in self._sessions:
            task.cancel()
        if self._sessions:
            await asyncio.wait(self._sessions)
        if self._settings.address.startswith("unix:"):
            Path(self._settings.address.removeprefix("unix:")).unlink(missing_ok=True)

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:PORT``, or ``http+unix://PATH`` with the path quoted."""
        return self._base

    def exec_url(self, request: ExecRequest) -> str:
        """Raises Exhausted, as the others."""
        return f"{self._base}/exec/{self._tokens.issue(request)}"

    def attach_url(self, request: AttachRequest) -> str:
        return f"{self._base}/attach/{self._tokens.issue(request)}"

    def port_forward_url(self, request: PortForwardRequest) -> str:
        return f"{self._base}/portforward/{self._tokens.issue(request)}"

    # connections

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._sessions) >= self._settings.max_connections:
            writer.transport.abort()
            return
        self._sessions.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # close() ended it; asyncio's callback would call it an error
        except Exception:  # noqa: BLE001 the entry of a session: one that fails must not end the others
            self._log.exception("session failed")
        finally:
            self._sessions.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _tune(writer)
        exchange = Exchange(reader, writer)
        try:
            head = await exchange.receive()
            if head is None:
                return
            await self._upgrade(head, self._request(head), exchange, reader, writer)
        except Refused as refused:
            exchange.refuse(refused)
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await writer.drain()
                    writer.write_eof()
                    while await reader.read(READ_BYTES):
                        pass
        except (TimeoutError, OSError):
            return

    def _request(self, head: Head) -> Request:
        if head.method not in ("GET", "POST"):
            raise Refused(405, f"method {head.method} is not allowed, use GET or POST", (("Allow", "GET, POST"),))
        kind, _, token = head.path.removeprefix("/").partition("/")
        request = self._tokens.take(token)
        kinds = {"exec": ExecRequest, "attach": AttachRequest, "portforward": PortForwardRequest}
        if request is None or kinds.get(kind) is not type(request):
            raise Refused(404, "no such streaming request: each URL is good once and for a minute")
        return request

    async def _upgrade(
        self,
        head: Head,
        request: Request,
        exchange: Exchange,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        activity = Activity()
        opened: Process | Failed | None = None
        match head.upgrade:
            case "spdy/3.1":
                version = _spdy_version(head, request)
                pipe = ConnectionPipe(reader, writer, activity, exchange.switch_to_spdy(version))
                serving = self._spdy(request, version, pipe)
            case "websocket":
                key, protocol = _websocket_handshake(head, request)
                # an accepted client may start the container that it attached to, and must not miss anything then
                opened = await self._open(request) if isinstance(request, AttachRequest) else None
                pipe = ConnectionPipe(reader, writer, activity, exchange.switch_to_websocket(key, protocol))
                serving = self._websocket(request, protocol, pipe, opened)
            case _:
                raise Refused(400, "unable to upgrade: upgrade to SPDY/3.1 or websocket is required")
        task = asyncio.create_task(serving)
        idle = asyncio.create_task(activity.quiet(self._settings.idle_timeout_s))
        try:
            await asyncio.wait({task, idle}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            idle.cancel()
            await asyncio.wait({task, idle})
            if opened is not None and not isinstance(opened, Failed):
                opened.close()
        if not task.cancelled():
            task.result()

    # protocols

    async def _spdy(self, request: Request, version: str, pipe: Pipe, opened: Process | Failed | None = None) -> None:
        async with _running(Session(pipe)) as session:
            served = True
            if isinstance(request, PortForwardRequest):
                await self._forward(request, session)
            else:
                known = protocols.REMOTE_COMMAND_SPDY.get(version, Version.V1)
                served = await self._command_spdy(request, known, session, opened)
            await session.close(_FAREWELL_S if served else 0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await session.gone.wait()

    async def _websocket(self, request: Request, protocol: str, pipe: Pipe, opened: Process | Failed | None) -> None:
        websocket = WebSocket(pipe)
        if protocol.startswith(protocols.TUNNEL_PREFIX):
            version = protocol.removeprefix(protocols.TUNNEL_PREFIX)
            await self._spdy(request, version, Tunnel(websocket, pipe), opened)
            return
        if isinstance(request, PortForwardRequest):
            known = protocols.PORT_FORWARD_WEBSOCKET[protocol]
            await forward_websocket(websocket, known, request.ports, self._connector(request), request.sandbox_id)
        else:
            channels = WebSocketChannels(websocket, protocols.REMOTE_COMMAND_WEBSOCKET[protocol])
            reading = asyncio.create_task(channels.run())
            try:
                opened = opened or await self._open(request)
                try:
                    await channels.open(1 if request.stdout else 2 if request.stderr else ERROR)
                except (ConnectionError, asyncio.CancelledError) as error:
                    if not isinstance(opened, Failed):
                        opened.close()
                    if isinstance(error, asyncio.CancelledError):
                        raise
                    return
                await self._command(request, channels, opened)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FAREWELL_S):
                        await channels.gone.wait()
            finally:
                reading.cancel()
                await asyncio.wait({reading})
        await pipe.end()

    async def _command_spdy(
        self,
        request: ExecRequest | AttachRequest,
        version: Version,
        session: Session,
        opened: Process | Failed | None,
    ) -> bool:
        """False: the client did not open its streams."""
        wanted = channels_spdy.expected(
            version, tty=request.tty, stdin=request.stdin, stdout=request.stdout, stderr=request.stderr
        )
        streams = await channels_spdy.accept(session, wanted, self._settings.creation_timeout_s)
        if streams is None:
            self._log.info("the client did not open its streams", wanted=sorted(wanted))
            return False
        await self._command(request, channels_spdy.SpdyChannels(session, version, streams), opened)
        return True

    async def _command(
        self, request: ExecRequest | AttachRequest, channels: Channels, opened: Process | Failed | None
    ) -> None:
        process = opened or await self._open(request)
        if isinstance(process, Failed):
            await channels.finish(process)
            return
        wanted = Wanted(
            tty=request.tty,
            stdin=request.stdin,
            stdout=request.stdout,
            stderr=request.stderr,
            exit_code=isinstance(request, ExecRequest),
        )
        await remote_command.serve(process, channels, wanted)

    async def _open(self, request: ExecRequest | AttachRequest) -> Process | Failed:
        try:
            return await self._process(request)
        except (RuntimeFailure, OSError) as error:
            return Failed(message=str(error))

    async def _process(self, request: ExecRequest | AttachRequest) -> Process:
        match request:
            case ExecRequest():
                return await self._backend.open_exec(
                    request.container_id,
                    request.command,
                    env=request.env,
                    cwd=request.cwd,
                    user=request.user,
                    tty=request.tty,
                    stdin=request.stdin,
                )
            case AttachRequest():
                return await self._backend.attach(
                    request.container_id,
                    stdin=request.stdin,
                    stdout=request.stdout,
                    stderr=request.stderr and not request.tty,
                )
            case _:
                assert_never(request)

    async def _forward(self, request: PortForwardRequest, session: Session) -> None:
        forwarder = SpdyForwarder(
            session, self._connector(request), self._settings.creation_timeout_s, request.sandbox_id
        )
        await forwarder.run()

    def _connector(self, request: PortForwardRequest) -> Callable[[int], Awaitable[socket.socket]]:
        async def connect(port: int) -> socket.socket:
            return await self._backend.connect_port(request.sandbox_id, port)

        return connect


@contextlib.asynccontextmanager
async def _running(session: Session) -> AsyncIterator[Session]:
    reading = asyncio.create_task(session.run())
    try:
        yield session
    finally:
        reading.cancel()
        await asyncio.wait({reading})


def _spdy_version(head: Head, request: Request) -> str:
    """Of the protocol above SPDY. Raises Refused."""
    known = (
        (protocols.PORT_FORWARD,) if isinstance(request, PortForwardRequest) else tuple(protocols.REMOTE_COMMAND_SPDY)
    )
    offered = head.values(protocols.STREAM_VERSION_HEADER.lower())
    if not offered:
        return ""
    chosen = protocols.choose(offered, known)
    if chosen is None:
        accepted = tuple(("X-Accepted-Stream-Protocol-Versions", name) for name in known)
        raise Refused(403, f"unable to upgrade: none of the protocols {list(offered)} is known here", accepted)
    return chosen


def _websocket_handshake(head: Head, request: Request) -> tuple[str, str]:
    """The key and the protocol. Raises Refused."""
    key = head.value("sec-websocket-key")
    if head.method != "GET" or head.value("sec-websocket-version") != "13" or not key:
        raise Refused(400, "websocket: GET with Sec-WebSocket-Version 13 and a key is required")
    if isinstance(request, PortForwardRequest):
        known = (*protocols.PORT_FORWARD_WEBSOCKET, protocols.TUNNEL_PREFIX + protocols.PORT_FORWARD)
    else:
        known = (
            *protocols.REMOTE_COMMAND_WEBSOCKET,
            *(protocols.TUNNEL_PREFIX + name for name in protocols.REMOTE_COMMAND_SPDY),
        )
    offered = head.values("sec-websocket-protocol") or ("",)
    chosen = protocols.choose(offered, known)
    if chosen is None:
        raise Refused(403, f"websocket: none of the protocols {list(offered)} is known here")
    if isinstance(request, PortForwardRequest) and chosen in protocols.PORT_FORWARD_WEBSOCKET and not request.ports:
        raise Refused(400, "websocket: the port-forward request names no port")
    return key, chosen


def _listen(address: str) -> tuple[socket.socket, str]:
    """A listening socket and the URL that leads to it. Raises Invalid, OSError."""
    if address.startswith("unix:"):
        path = Path(address.removeprefix("unix:"))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(128)
        return listener, f"http+unix://{quote(str(path), safe='')}"
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) >= 1 << 16:
        raise Invalid(f"streaming address {address!r}: give HOST:PORT or unix:PATH")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)  # loopback may come up after the daemon
        listener.bind((host, int(port)))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"streaming address {address}: {error.strerror}") from error
    shown = f"[{host}]" if ":" in host else host
    return listener, f"http://{shown}:{listener.getsockname()[1]}"


def _tune(writer: asyncio.StreamWriter) -> None:
    writer.transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)
    connection = writer.get_extra_info("socket")
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
