"""Remote commands and port-forward over WebSocket, in all its protocols, with wsproto's client."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, Pong, Request, TextMessage

from knarr_runtime.streaming.remote_command import take_sizes
from knarr_runtime.streaming.server import StreamingServer
from knarr_runtime.streaming.spdy.session import Session
from knarr_runtime.streaming.tokens import ExecRequest, PortForwardRequest

STATUS, CLOSE = 3, 255


class Client:
    """Of one session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._events: list[Event] = []
        self.protocol: str | None = None

    async def handshake(self, url: str, protocols: list[str]) -> None:
        self._send(Request(host="here", target=urlsplit(url).path, subprotocols=protocols))
        accepted = await self.event()
        assert isinstance(accepted, AcceptConnection), accepted
        self.protocol = accepted.subprotocol

    def _send(self, event: Event) -> None:
        self._writer.write(self._connection.send(event))

    async def event(self) -> Event:
        while not self._events:
            data = await asyncio.wait_for(self._reader.read(1 << 16), 10)
            self._connection.receive_data(data or None)
            self._events += self._connection.events()
        return self._events.pop(0)

    async def send(self, channel: int, data: bytes) -> None:
        if self.protocol and "base64" in self.protocol:
            self._send(TextMessage(data=str(channel) + base64.b64encode(data).decode()))
        else:
            self._send(BytesMessage(data=bytes((channel,)) + data))
        await self._writer.drain()

    async def raw(self, event: Event) -> None:
        self._send(event)
        await self._writer.drain()

    async def message(self) -> tuple[int, bytes] | None:
        """The next; None is the server's farewell."""
        text, data = "", b""
        while True:
            event = await self.event()
            match event:
                case CloseConnection():
                    return None
                case TextMessage(data=part, message_finished=finished):
                    text += part
                    if finished:
                        return int(text[0]), base64.b64decode(text[1:])
                case BytesMessage(data=part, message_finished=finished):
                    data += bytes(part)
                    if finished:
                        return data[0], data[1:]

    async def all(self) -> dict[int, bytes]:
        """What comes on each channel until the farewell."""
        found: dict[int, bytes] = {}
        while (message := await self.message()) is not None:
            found[message[0]] = found.get(message[0], b"") + message[1]
        return found

    def leave(self) -> None:
        self._writer.transport.abort()


@contextlib.asynccontextmanager
async def client(url: str, *protocols: str) -> AsyncIterator[Client]:
    parts = urlsplit(url)
    own = Client(*await asyncio.open_connection(parts.hostname, parts.port))
    try:
        await own.handshake(url, list(protocols))
        yield own
    finally:
        own.leave()


def command(*args: str, stdin: bool = False, tty: bool = False) -> ExecRequest:
    return ExecRequest(container_id="box", command=args, tty=tty, stdin=stdin, stdout=True, stderr=not tty)


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io"])
async def test_output_and_exit_code_arrive(server: StreamingServer, protocol: str) -> None:
    url = server.exec_url(command("sh", "-c", "echo out; echo err >&2; exit 7"))
    async with client(url, protocol) as own:
        assert await own.message() == (1, b""), "the server says that it is there"
        found = await own.all()
    assert (found[1], found[2]) == (b"out\n", b"err\n")
    status = json.loads(found[STATUS])
    assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]


@pytest.mark.parametrize("protocol", ["channel.k8s.io", "base64.channel.k8s.io"])
async def test_protocols_before_v4_get_a_sentence(server: StreamingServer, protocol: str) -> None:
    async with client(server.exec_url(command("sh", "-c", "exit 7")), protocol) as own:
        found = await own.all()
    assert found[STATUS] == b"command terminated with non-zero exit code: exit status 7"
    async with client(server.exec_url(command("true")), protocol) as own:
        assert STATUS not in await own.all()


@pytest.mark.parametrize("tty", [False, True])
async def test_success_is_told_after_all_output(server: StreamingServer, tty: bool) -> None:
    url = server.exec_url(command("sh", "-c", "head -c 3000000 /dev/zero", tty=tty))
    async with client(url, "v4.channel.k8s.io") as own:
        found = await own.all()
    assert len(found[1]) == 3_000_000
    assert json.loads(found[STATUS])["status"] == "Success"


async def test_v5_closes_stdin(server: StreamingServer) -> None:
    async with client(server.exec_url(command("cat", stdin=True)), "v5.channel.k8s.io") as own:
        await own.send(0, b"some")
        await own.send(0, b"thing")
        await own.send(CLOSE, bytes((0,)))
        assert (await own.all())[1] == b"something"


async def test_a_message_in_many_frames_is_one(server: StreamingServer) -> None:
    async with client(server.exec_url(command("cat", stdin=True)), "v5.channel.k8s.io") as own:
        await own.raw(BytesMessage(data=b"\0some", message_finished=False))
        await own.raw(BytesMessage(data=b"thing", message_finished=True))
        await own.send(CLOSE, bytes((0,)))
        assert (await own.all())[1] == b"something"


async def test_sizes_reach_the_terminal(server: StreamingServer) -> None:
    script = "until [ \"$(stty size)\" = '33 77' ]; do sleep 0.01; done; echo seen"
    async with client(server.exec_url(command("sh", "-c", script, tty=True)), "v4.channel.k8s.io") as own:
        await own.send(4, b'{"Width":10,"Height":10}\n{"Width":77,')
        await own.send(4, b'"Height":33}\n')
        assert b"seen" in (await own.all())[1]


@given(st.lists(st.tuples(st.integers(1, 65535), st.integers(1, 65535))), st.integers(1, 9))
def test_sizes_are_taken_from_any_pieces(sizes: list[tuple[int, int]], step: int) -> None:
    text = "\n".join(json.dumps({"Width": width, "Height": height}) for width, height in sizes)
    found, rest = [], ""
    for start in range(0, len(text), step):
        taken, rest = take_sizes(rest + text[start : start + step])
        found += taken
    assert (found, rest.strip()) == (sizes, "")


@given(st.text('{}[]"Widthe: ,0123', max_size=60))
def test_what_is_no_size_is_dropped(text: str) -> None:
    sizes, rest = take_sizes(text)
    assert len(rest) <= len(text) and all(isinstance(part, int) for size in sizes for part in size)


async def test_pings_are_answered(server: StreamingServer) -> None:
    async with client(server.exec_url(command("cat", stdin=True)), "v5.channel.k8s.io") as own:
        await own.raw(Ping(payload=b"here"))
        while not isinstance(event := await own.event(), Pong):
            pass
        assert event.payload == b"here"


async def test_a_client_that_leaves_ends_the_terminals_process(server: StreamingServer, backend: Any) -> None:
    program = command("sh", "-c", "echo ready; exec sleep 1000", tty=True)
    async with client(server.exec_url(program), "v4.channel.k8s.io") as own:
        assert await own.message() == (1, b"")
        assert await own.message() == (1, b"ready\r\n"), "the terminal is its own"
    assert await asyncio.wait_for(backend.processes[0].wait(), 10) == 129


async def test_a_client_that_leaves_ends_stdin(server: StreamingServer, backend: Any) -> None:
    async with client(server.exec_url(command("cat", stdin=True)), "v5.channel.k8s.io") as own:
        await own.send(0, b"x")
        while await own.message() != (1, b"x"):
            pass
    assert await asyncio.wait_for(backend.processes[0].wait(), 10) == 0


async def test_a_process_that_reads_nothing_lets_the_session_end(server: StreamingServer) -> None:
    url = server.exec_url(command("sh", "-c", "exec <&-; sleep 0.2; exit 4", stdin=True))
    async with client(url, "v4.channel.k8s.io") as own:
        for _ in range(64):
            await own.send(0, bytes(65536))
        status = json.loads((await own.all())[STATUS])
    assert status["details"]["causes"][0]["message"] == "4"


async def test_what_can_not_be_run_is_told_with_the_reason(server: StreamingServer) -> None:
    request = ExecRequest(container_id="none", command=("true",), tty=False, stdin=False, stdout=True, stderr=False)
    async with client(server.exec_url(request), "v4.channel.k8s.io") as own:
        status = json.loads((await own.all())[STATUS])
    assert (status["code"], status["reason"]) == (500, "InternalError")
    assert "container 'none' does not exist" in status["message"]


@pytest.mark.parametrize("text", ["x", "9", "0!!", "é"])
async def test_a_message_that_is_no_base64_ends_the_session(server: StreamingServer, text: str) -> None:
    async with client(server.exec_url(command("cat", stdin=True)), "v4.base64.channel.k8s.io") as own:
        await own.raw(TextMessage(data=text))
        if text == "9":
            await own.raw(TextMessage(data="0" + "A" * (2 << 20)))
        await own.all()


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


@pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "v4.base64.channel.k8s.io"])
async def test_ports_are_forwarded_by_channels(server: StreamingServer, protocol: str) -> None:
    async with echo() as first, echo() as second:
        url = server.port_forward_url(PortForwardRequest(sandbox_id="pod", ports=(first, second)))
        async with client(url, protocol) as own:
            greetings = [await own.message() for _ in range(4)]
            for number, port in enumerate((first, first, second, second)):
                assert greetings[number] == (number, port.to_bytes(2, "little"))
            await own.send(0, b"one")
            assert await own.message() == (0, b"one")
            await own.send(2, b"two")
            assert await own.message() == (2, b"two")


async def test_a_port_nobody_listens_on_is_told_on_its_error_channel(server: StreamingServer) -> None:
    url = server.port_forward_url(PortForwardRequest(sandbox_id="pod", ports=(1,)))
    async with client(url, "v4.channel.k8s.io") as own:
        found = await own.all()
    assert b"error forwarding port 1 to pod pod" in found[1]
    assert b"failed to connect to localhost:1 inside pod pod" in found[1]


class TunnelPipe:
    """The client's end of SPDY in WebSocket messages."""

    def __init__(self, own: Client) -> None:
        self._own = own

    async def read(self) -> bytes:
        while True:
            match await self._own.event():
                case CloseConnection():
                    return b""
                case BytesMessage(data=data) if data:
                    return bytes(data)

    async def write(self, parts: Any) -> None:
        await self._own.raw(BytesMessage(data=b"".join(parts)))

    async def end(self) -> None:
        self._own.leave()

    def abort(self) -> None:
        self._own.leave()


async def test_spdy_goes_through_a_tunnel(server: StreamingServer) -> None:
    async with echo() as port:
        url = server.port_forward_url(PortForwardRequest(sandbox_id="pod", ports=()))
        async with client(url, "SPDY/3.1+portforward.k8s.io") as own, asyncio.TaskGroup() as group:
            assert own.protocol == "SPDY/3.1+portforward.k8s.io"
            session = Session(TunnelPipe(own), client=True)
            reading = group.create_task(session.run())
            headers = (("port", str(port)), ("requestid", "0"))
            error = await session.open((("streamtype", "error"), *headers))
            data = await session.open((("streamtype", "data"), *headers))
            await error.end()
            await data.write(b"through")
            await data.end()
            assert await data.read() == b"through"
            assert (await data.read(), await error.read()) == (b"", b"")
            reading.cancel()
