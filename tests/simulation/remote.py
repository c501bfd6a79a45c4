"""How agents and users reach a control plane: calls and streams over a network that delays, loses and repeats.

A call's work is a task of the control plane's process, as a server's handler is: it may go on when whoever asked has
gone, and it ends with the process. A stream is one connection: in order, until it breaks.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import cache
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from knarr_api.errors import DeadlineExceeded, Expired, KnarrError, Unavailable
from knarr_controlplane.pki.authority import NODE_GROUP, NODE_PREFIX
from tests.simulation.faults import GIVE_UP_S, Network, Pipe
from tests.simulation.loop import Process

BROKEN = object()
READS = ("get", "list")
DEADLINE_S = 10.0
"""Of a call."""


class Server:
    """A living control plane, as its callers see it."""

    def __init__(self, process: Process, client: Any, agents: Any, registry: Any) -> None:
        self.process = process
        self.client = client
        self.streams: dict[asyncio.Task[Any], None] = {}
        self.agents = agents
        self.catch_up = registry.catch_up
        self.usages = registry.usages

    def stream(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """What a connection lasts as long as."""
        task = self.process.spawn(work, name)
        self.streams[task] = None
        task.add_done_callback(self.streams.pop)
        return task

    async def serve(self, verb: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """As the servicer does: reads see everything that was acknowledged."""
        if verb in READS:
            await self.catch_up()
        return await getattr(self.client, verb)(*args, **kwargs)

    async def watch(self, pipe: Pipe, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            if not kwargs.get("resource_version"):
                await self.catch_up()
            async for batch in self.client.watch(*args, **kwargs):
                pipe.send(batch)
        except KnarrError as error:
            pipe.send(error)


class Endpoints:
    """The control planes of a cluster by number; None where none answers. isolated: those that nobody reaches."""

    def __init__(self, servers: dict[int, Server | None]) -> None:
        self.servers = servers
        self.isolated: set[int] = set()

    def isolate(self, number: int) -> None:
        """Its connections end; it goes on."""
        self.isolated.add(number)
        server = self.servers[number]
        for stream in list(server.streams) if server is not None else ():
            stream.cancel()


class Remote:
    """A Client. It stays with one control plane until that does not answer."""

    def __init__(self, process: Process, network: Network, endpoints: Endpoints) -> None:
        self._process = process
        self._network = network
        self._endpoints = endpoints
        self._number = network.chance.randrange(len(endpoints.servers))

    def __getattr__(self, verb: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return await self._call(verb, args, kwargs)
            except (Unavailable, DeadlineExceeded):
                self.turn()
                raise

        return call

    def turn(self) -> None:
        self._number = (self._number + 1) % len(self._endpoints.servers)

    def server(self) -> Server:
        server = self._endpoints.servers[self._number]
        isolated = self._number in self._endpoints.isolated
        self._network.fired["control plane not reached"] += isolated
        if server is None or isolated or not server.process.alive:
            self.turn()
            raise Unavailable("connection refused")
        return server

    async def _call(self, verb: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        network = self._network
        self._process.check()
        await network.travel()
        number, server = self._number, self.server()
        if network.chance.random() < network.trouble.lost_request:
            network.fired["call lost"] += 1
            await self._give_up()
        work = server.process.spawn(server.serve(verb, args, kwargs), verb)
        work.add_done_callback(_seen)  # also when the caller has gone
        if network.chance.random() < network.trouble.late_copy:
            network.fired["call done twice"] += verb not in READS
            asyncio.get_running_loop().call_later(GIVE_UP_S * network.chance.random(), self._repeat, verb, args, kwargs)
        try:
            answered, _ = await asyncio.wait({work}, timeout=DEADLINE_S)
        except asyncio.CancelledError:
            if network.chance.random() < 0.5:
                work.cancel()
            raise
        if not answered:
            work.cancel()  # the server knows the deadline as well
            raise DeadlineExceeded("not done in time; a write may have happened")
        if work.cancelled():
            raise Unavailable("the connection was reset; a write may have happened")
        await network.travel()
        if network.chance.random() < network.trouble.lost_answer or number in self._endpoints.isolated:
            network.fired["answer lost"] += 1
            work.exception()
            await self._give_up()
        self._process.check()
        return work.result()

    async def _give_up(self) -> None:
        await asyncio.sleep(GIVE_UP_S)
        raise DeadlineExceeded("not done in time; a write may have happened")

    def _repeat(self, verb: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        server = self._endpoints.servers[self._number]
        if server is not None and server.process.alive and verb not in READS:
            server.process.spawn(server.serve(verb, args, kwargs), verb).add_done_callback(_seen)

    async def watch(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        await self._network.travel()
        server = self.server()
        pipe = Pipe(self._network)
        stream = _Stream(self._network, server.stream(server.watch(pipe, args, kwargs), "watch"), pipe)
        try:
            while True:
                item = await pipe.receive()
                self._process.check()
                if item is BROKEN:
                    self.turn()
                    raise Unavailable("the connection was reset")
                if isinstance(item, KnarrError):
                    raise Expired(str(item)) if isinstance(item, Expired) else item
                yield item
        finally:
            stream.close()


class _Stream:
    """A connection with the server's task that serves it, until the caller closes it. An end that the network does not
    let through is noticed when it works again, or when the caller gives up."""

    def __init__(self, network: Network, work: asyncio.Task[Any], *pipes: Pipe) -> None:
        self._network = network
        self._work = work
        self._pipes = pipes
        self.lost = False
        """The server has gone without a word that arrives."""
        network.streams[self] = None
        work.add_done_callback(lambda _: self._ended())

    def break_off(self) -> None:
        self._work.cancel()
        for pipe in self._pipes:
            pipe.now(BROKEN)

    def close(self) -> None:
        self._network.streams.pop(self, None)
        self._work.cancel()

    def _ended(self) -> None:
        if not self._work.cancelled():
            self._work.exception()
        elif self._network.cut:
            self.lost = True
        else:
            self.break_off()


class Channel:
    """The channel of one agent's ``Stream``: one method, ``Connect``."""

    def __init__(self, node: str, remote: Remote, network: Network) -> None:
        self._node = node
        self._remote = remote
        self._network = network

    def stream_stream(self, path: str, **_: Any) -> Callable[[], _Call]:
        return lambda: _Call(self._node, self._remote, self._network)


class _Call:
    """What the agent holds of a stream."""

    def __init__(self, node: str, remote: Remote, network: Network) -> None:
        self._node = node
        self._remote = remote
        self._network = network
        self._up, self._down = Pipe(network), Pipe(network)
        self._stream: _Stream | None = None
        self._broken = False

    async def write(self, message: Any) -> None:
        if self._stream is None:
            await self._connect()
        if self._broken:
            raise _broken("the connection was reset")
        self._up.send(message)

    async def _connect(self) -> None:
        try:
            await self._network.travel()
            server = self._remote.server()
        except Unavailable as error:
            self._remote.turn()
            raise _broken(str(error)) from None
        work = server.stream(self._serve(server), f"agent {self._node}")
        self._stream = _Stream(self._network, work, self._up, self._down)

    async def _serve(self, server: Server) -> None:
        try:
            async for message in server.agents.Connect(self._requests(), _Context(self._node)):
                self._down.send(message)
        except _Aborted as error:
            self._down.send(_broken(str(error), error.code))
        else:
            self._down.send(grpc.aio.EOF)

    async def _requests(self) -> AsyncIterator[Any]:
        while True:
            message = await self._up.receive()
            if message is BROKEN:
                raise _broken("the connection was reset")
            yield message

    async def read(self) -> Any:
        if self._broken:
            raise _broken("the connection was reset")
        item = await self._down.receive()
        if item is BROKEN or isinstance(item, grpc.aio.AioRpcError):
            self._broken = True
            self._remote.turn()
            raise item if isinstance(item, grpc.aio.AioRpcError) else _broken("the connection was reset")
        return item

    def cancel(self) -> None:
        self._broken = True
        if self._stream is not None:
            self._stream.close()


class _Aborted(Exception):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code


class _Context:
    """Of a server's call: who calls, and the end with an error."""

    def __init__(self, node: str) -> None:
        self._node = node

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"x509_pem_cert": [certificate(self._node)]}

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> None:
        raise _Aborted(code, details)


def _broken(details: str, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)


def _seen(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def certificate(node: str) -> bytes:
    """Nobody verifies it here; the server reads the name from it."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"{NODE_PREFIX}{node}"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, NODE_GROUP),
        ]
    )
    begin = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_key().public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=1))
        .sign(_key(), hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)
