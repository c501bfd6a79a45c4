"""Exec, attach and port-forward over the URLs that the runtime answers, as a kubelet's clients use them."""

from __future__ import annotations

import contextlib
import json
import socket
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, RejectConnection, Request, TextMessage

from knarr_proto.cri import api_pb2 as cri
from tests.slowness import patient

STDIN, STDOUT, STDERR, RESULT, SIZE = 0, 1, 2, 3, 4
PATIENCE_S = patient(20.0)


class Session:
    """A WebSocket client of Kubernetes' remote command protocol, version 4; also of port-forwarding."""

    def __init__(self, runtime: Any, url: str, query: str = "") -> None:
        parts = urlsplit(url)
        self._socket: socket.socket = runtime.server.connect(parts.hostname, parts.port)
        self._socket.settimeout(PATIENCE_S)
        self._connection = WSConnection(ConnectionType.CLIENT)
        self.received: defaultdict[int, bytes] = defaultdict(bytes)
        self._partial = bytearray()
        self.accepted = self.closed = False
        self.status = 0
        asked = "&".join(part for part in (parts.query, query) if part)
        target = parts.path + (f"?{asked}" if asked else "")
        request = Request(host=parts.netloc, target=target, subprotocols=["v4.channel.k8s.io"])
        self._socket.sendall(self._connection.send(request))
        while not self.accepted and not self.closed:
            self._receive()

    def _receive(self) -> None:
        received = self._socket.recv(1 << 16)
        if not received:
            self.closed = True
            return
        self._connection.receive_data(received)
        for event in self._connection.events():
            match event:
                case AcceptConnection():
                    self.accepted = True
                case RejectConnection():
                    self.closed, self.status = True, event.status_code
                case BytesMessage() | TextMessage():
                    data = event.data
                    self._partial += data.encode() if isinstance(data, str) else bytes(data)
                    if event.message_finished:
                        self._take(bytes(self._partial))
                        self._partial.clear()
                case Ping():
                    self._socket.sendall(self._connection.send(event.response()))
                case CloseConnection():
                    self.closed = True

    def _take(self, data: bytes) -> None:
        if data:
            self.received[data[0]] += data[1:]

    def send(self, channel: int, data: bytes) -> None:
        self._socket.sendall(self._connection.send(BytesMessage(data=bytes([channel]) + data)))

    def until(self, channel: int, wanted: bytes) -> None:
        """Returns when that has come."""
        while wanted not in self.received[channel]:
            assert not self.closed, (wanted, dict(self.received))
            self._receive()

    def end(self) -> dict[int, bytes]:
        """All that came until the other side ended it."""
        while not self.closed:
            self._receive()
        return dict(self.received)

    def exit_code(self) -> int:
        self.end()
        result = json.loads(self.received[RESULT])
        if result["status"] == "Success":
            return 0
        causes = {cause["reason"]: cause["message"] for cause in result["details"]["causes"]}
        return int(causes["ExitCode"])

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def session(runtime: Any, url: str, query: str = "") -> Iterator[Session]:
    own = Session(runtime, url, query)
    try:
        yield own
    finally:
        own.close()


def exec_url(runtime: Any, container: str, *command: str, **streams: bool) -> str:
    wanted = {"stdout": True, "stderr": not streams.get("tty", False), **streams}
    return str(runtime.runtime.Exec(cri.ExecRequest(container_id=container, cmd=command, **wanted)).url)


def attach_url(runtime: Any, container: str, **streams: bool) -> str:
    wanted = {"stdout": True, "stderr": not streams.get("tty", False), **streams}
    return str(runtime.runtime.Attach(cri.AttachRequest(container_id=container, **wanted)).url)


def test_exec_gives_both_outputs_and_the_exit_code(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    url = exec_url(runtime, container, "sh", "-c", "echo out; echo err >&2; exit 7")
    with session(runtime, url) as own:
        assert own.exit_code() == 7
        assert (own.received[STDOUT], own.received[STDERR]) == (b"out\n", b"err\n")


def test_exec_reads_what_it_is_sent(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    url = exec_url(runtime, container, "sh", "-c", "read line; echo got $line; exit 0", stdin=True)
    with session(runtime, url) as own:
        own.send(STDIN, b"this\n")
        assert own.exit_code() == 0 and own.received[STDOUT] == b"got this\n"


def test_exec_on_a_terminal_knows_its_size(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    url = exec_url(runtime, container, "sh", tty=True, stdin=True)
    with session(runtime, url) as own:
        own.send(SIZE, b'{"Width": 91, "Height": 33}')
        own.send(STDIN, b"until stty size | grep 33; do :; done; exit 5\n")
        own.until(STDOUT, b"33 91\r\n")
        assert own.exit_code() == 5


def test_large_output_of_exec_is_whole(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    url = exec_url(runtime, container, "head", "-c", "5000000", "/dev/zero")
    with session(runtime, url) as own:
        assert own.exit_code() == 0 and len(own.received[STDOUT]) == 5_000_000


def test_exec_of_what_is_not_there_says_so(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    with session(runtime, exec_url(runtime, container, "no-such-program")) as own:
        assert b"no-such-program" in own.end()[RESULT]


def test_a_url_is_good_for_one_session(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    url = exec_url(runtime, container, "true")
    with session(runtime, url) as own:
        assert own.exit_code() == 0
    with session(runtime, url) as own:
        assert not own.accepted and own.status == 404


@pytest.mark.parametrize("streams", [{"stdout": False, "stderr": False}, {"tty": True, "stderr": True}])
def test_streams_that_make_no_sense_are_refused(runtime: Any, streams: dict[str, bool]) -> None:
    container = runtime.sleeper(runtime.pod())
    runtime.refused(lambda: exec_url(runtime, container, "true", **streams))
    runtime.refused(lambda: attach_url(runtime, container, **streams))


def test_sessions_with_what_does_not_run_are_refused(runtime: Any) -> None:
    container = runtime.create(runtime.pod(), "true")
    runtime.refused(lambda: exec_url(runtime, container, "true"))
    runtime.start(container)
    runtime.ended(container)
    runtime.refused(lambda: exec_url(runtime, container, "true"))
    runtime.refused(lambda: attach_url(runtime, container))


# Attach


def test_attach_talks_to_the_containers_program(runtime: Any) -> None:
    container = runtime.started(runtime.pod(), "sh", stdin=True)
    with session(runtime, attach_url(runtime, container, stdin=True)) as own:
        own.send(STDIN, b"echo out; echo err >&2\n")
        own.until(STDOUT, b"out\n")
        own.until(STDERR, b"err\n")
        assert runtime.status(container).state == cri.CONTAINER_RUNNING
    assert ("stdout", "F", "out") in runtime.log(container), "the log has it, too"


def test_input_that_is_given_once_ends_with_the_session(runtime: Any) -> None:
    container = runtime.started(runtime.pod(), "sh", stdin=True, stdin_once=True)
    with session(runtime, attach_url(runtime, container, stdin=True)) as own:
        own.send(STDIN, b"echo hello\n")
        own.until(STDOUT, b"hello\n")
    assert runtime.ended(container).exit_code == 0


def test_input_goes_on_after_a_session(runtime: Any) -> None:
    container = runtime.started(runtime.pod(), "sh", stdin=True)
    for text in (b"one", b"two"):
        with session(runtime, attach_url(runtime, container, stdin=True)) as own:
            own.send(STDIN, b"echo " + text + b"\n")
            own.until(STDOUT, text + b"\n")
    assert runtime.status(container).state == cri.CONTAINER_RUNNING


def test_attach_to_a_terminal(runtime: Any) -> None:
    container = runtime.started(runtime.pod(), "sh", stdin=True, tty=True)
    with session(runtime, attach_url(runtime, container, stdin=True, tty=True)) as own:
        own.send(STDIN, b"echo $((6 * 7))\n")
        own.until(STDOUT, b"42\r\n")
        own.send(STDIN, b"exit 0\n")
        own.end()
    assert runtime.ended(container).exit_code == 0


def test_several_attach_at_once(runtime: Any) -> None:
    container = runtime.started(runtime.pod(), "sh", stdin=True)
    with session(runtime, attach_url(runtime, container, stdin=True)) as first:
        first.send(STDIN, b"while :; do echo both; sleep 0.05; done\n")
        first.until(STDOUT, b"both\n")
        with session(runtime, attach_url(runtime, container, stdin=True)) as second:
            second.until(STDOUT, b"both\n")
        first.received.clear()
        first.until(STDOUT, b"both\n")


# Ports


def port_url(runtime: Any, pod: Any, *ports: int) -> str:
    request = cri.PortForwardRequest(pod_sandbox_id=pod.id, port=ports)
    return str(runtime.runtime.PortForward(request).url)


def fetched(runtime: Any, pod: Any, port: int) -> bytes:
    """The page that the pod's server gives through a forwarded port; the port's data comes on channel 0."""
    with session(runtime, port_url(runtime, pod, port), f"port={port}") as own:
        own.send(0, b"GET / HTTP/1.0\r\n\r\n")
        own.until(0, b"served by the pod\n")
        return bytes(own.received[0])


def test_a_port_of_a_pod_is_forwarded(runtime: Any) -> None:
    pod = runtime.pod()
    runtime.started(pod, image="web:1")
    runtime.server.get(runtime.pod_status(pod).network.ip, 80)
    assert b"200 OK" in fetched(runtime, pod, 80)


def test_a_port_of_a_pod_on_the_host_network_is_forwarded(runtime: Any) -> None:
    options = cri.NamespaceOption(network=cri.NODE)
    security = cri.LinuxSandboxSecurityContext(namespace_options=options)
    pod = runtime.pod(linux=cri.LinuxPodSandboxConfig(security_context=security), hostname="")
    linux = cri.LinuxContainerConfig(security_context=cri.LinuxContainerSecurityContext(namespace_options=options))
    runtime.started(pod, image="web:1", args=["12004"], linux=linux)
    runtime.server.get("127.0.0.1", 12004)
    assert b"200 OK" in fetched(runtime, pod, 12004)


def test_ports_of_a_stopped_pod_are_refused(runtime: Any) -> None:
    pod = runtime.pod()
    runtime.stop_pod(pod)
    runtime.refused(lambda: port_url(runtime, pod, 80))


def test_attach_needs_no_log(runtime: Any) -> None:
    pod = runtime.pod()
    container = runtime.started(pod, "/bin/sh", stdin=True, stdin_once=True, log_path="")
    with session(runtime, attach_url(runtime, container, stdin=True)) as own:
        own.send(STDIN, b"echo -n hello\n")
        own.until(STDOUT, b"hello")
        own.send(STDIN, b"echo oh >&2\n")
        own.until(STDERR, b"oh\n")
    assert runtime.ended(container).exit_code == 0
    assert not list(pod.logs.iterdir())
