"""An unchanged kubectl through the streaming server: port-forward."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.kernel.streaming.conftest import Box, Kubectl

pytestmark = pytest.mark.root
BIG_BYTES = 20 << 20


@contextlib.contextmanager
def forwarded(kubectl: Kubectl, port: int) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The local port that leads to ``port`` in the pod, and kubectl."""
    process = kubectl.start(
        "port-forward", "pod/web", "--address=127.0.0.1", f":{port}", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        found = re.search(rb"127\.0\.0\.1:(\d+) ->", process.stdout.readline())
        assert found is not None
        yield int(found[1]), process
    finally:
        process.kill()
        process.communicate()


SERVER = """
import hashlib, socketserver, sys
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        if sys.argv[1] == "zeros":
            self.request.sendall(bytes(int(sys.argv[2])))
            return
        digest = hashlib.sha256()
        while data := self.request.recv(1 << 16):
            digest.update(data)
            if sys.argv[1] == "echo":
                self.request.sendall(data)
        if sys.argv[1] == "digest":
            self.request.sendall(digest.hexdigest().encode())
class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 64
    daemon_threads = True
server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@contextlib.contextmanager
def listening(box: Box, *what: str) -> Iterator[int]:
    """A server on the pod's loopback: the port. what: ``echo``, ``digest``, or ``zeros`` and how many."""
    netns = f"--net=/proc/{box.daemon.pid(box.container)}/ns/net"
    command = ["nsenter", netns, sys.executable, "-I", "-c", SERVER, *what]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def talk(port: int, data: bytes, *, half_close: bool = True) -> bytes:
    """What comes back until the other side ends."""
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as own:

        def send() -> None:
            with contextlib.suppress(OSError):
                own.sendall(data)
                if half_close:
                    own.shutdown(socket.SHUT_WR)

        sending = threading.Thread(target=send)
        sending.start()
        while part := own.recv(65536):
            received += part
        sending.join()
    return bytes(received)


def test_a_connection_is_carried_both_ways_and_half_closes(kubectl: Kubectl, box: Box) -> None:
    data = os.urandom(BIG_BYTES)
    with listening(box, "digest") as inside, forwarded(kubectl, inside) as (port, _):
        assert talk(port, data).decode() == hashlib.sha256(data).hexdigest()


def test_much_comes_back_whole(kubectl: Kubectl, box: Box) -> None:
    with listening(box, "zeros", str(BIG_BYTES)) as inside, forwarded(kubectl, inside) as (port, _):
        assert len(talk(port, b"", half_close=False)) == BIG_BYTES


def test_many_connections_share_one_session(kubectl: Kubectl, box: Box) -> None:
    answers: dict[int, bytes] = {}
    with listening(box, "echo") as inside, forwarded(kubectl, inside) as (port, _):

        def one(number: int) -> None:
            answers[number] = talk(port, f"connection {number}".encode() * 5000)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {number: f"connection {number}".encode() * 5000 for number in range(20)}


def test_a_port_nobody_listens_on_is_told(kubectl: Kubectl) -> None:
    with forwarded(kubectl, 9999) as (port, process):
        with contextlib.suppress(ConnectionError):
            assert talk(port, b"x") == b""
        assert process.stderr is not None
        seen = b""
        while b"connection refused" not in seen:
            line = process.stderr.readline()
            assert line, seen
            seen += line
    assert b"failed to connect to localhost:9999" in seen
