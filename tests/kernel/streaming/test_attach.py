"""An unchanged kubectl through the streaming server: attach."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knarr_proto.cri import api_pb2 as cri
from tests.kernel.cri.conftest import Daemon
from tests.kernel.daemon import until
from tests.kernel.streaming.conftest import TRANSPORTS, Box, kubectl_for
from tests.kernel.streaming.test_kubectl import Terminal

pytestmark = [pytest.mark.root, pytest.mark.parametrize("transport", TRANSPORTS)]


@contextlib.contextmanager
def running(node: Daemon, script: str, **config: Any) -> Iterator[Box]:
    sandbox = node.sandbox(f"attached-{secrets.token_hex(3)}")
    try:
        identifier = node.container(sandbox, "sh", "-c", script, **config)
        node.start_container(identifier)
        yield Box(node, sandbox, identifier)
    finally:
        node.remove(sandbox)


def log(box: Box) -> str:
    return (Path(box.sandbox[1].log_directory) / "main/0.log").read_text()


def log_reader_pipes(node: Daemon) -> int:
    """How many pipes to clients the node's log reader has: all its others are FIFOs with names, and one pair."""
    record = json.loads((node.base / "root/state/logs.json").read_text())
    targets = [os.readlink(entry) for entry in Path(f"/proc/{record['pid']}/fd").iterdir()]
    return sum(target.startswith("pipe:") for target in targets) - 2


def attached(process: subprocess.Popen[bytes]) -> None:
    """The client says so after it has connected; the container's answer to its input then proves it."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"got hello\n"


ECHO = 'while read -r line; do echo "got $line"; echo "err $line" >&2; done; echo end; exit 3'
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def test_input_and_output_pass_and_detaching_leaves_it_running(node: Daemon, transport: str) -> None:
    with running(node, ECHO, stdin=True) as box, kubectl_for(box, transport, stdin=True) as kubectl:
        for _ in range(2):
            process = kubectl.start("attach", "-i", "web", **PIPES)
            attached(process)
            process.kill()
            process.communicate()
        assert node.status(box.container).state == cri.CONTAINER_RUNNING
        until(lambda: log(box).count("stdout F got hello") == 2, "the log to have what the clients had")


def test_stdin_once_ends_with_the_first_client(node: Daemon, transport: str) -> None:
    with running(node, ECHO, stdin=True, stdin_once=True) as box:
        with kubectl_for(box, transport, stdin=True) as kubectl:
            process = kubectl.start("attach", "-i", "web", **PIPES)
            attached(process)
            process.kill()
            process.communicate()
        assert node.ended(box.container).exit_code == 3


def test_several_see_the_same_and_all_of_it_until_the_end(node: Daemon, transport: str) -> None:
    script = "read -r go; i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; printf partial"
    with running(node, script, stdin=True) as box, kubectl_for(box, transport, stdin=True) as kubectl:
        watchers = [kubectl.start("attach", "web", **PIPES) for _ in range(3)]
        until(lambda: log_reader_pipes(node) >= 6, "the clients to be attached")
        sender = kubectl.start("attach", "-i", "web", **PIPES)
        output, _ = sender.communicate(b"go\n", timeout=60)
        expected = b"".join(b"line %d\n" % i for i in range(20000)) + b"partial"
        assert output == expected
        for watcher in watchers:
            assert watcher.communicate(timeout=60)[0] == expected


def test_a_terminal_is_shared_and_takes_sizes(node: Daemon, transport: str) -> None:
    script = "until [ \"$(stty size)\" = '31 101' ]; do usleep 10000; done; echo sized; read -r line; echo got $line"
    with (
        running(node, script, stdin=True, tty=True) as box,
        kubectl_for(box, transport, stdin=True, tty=True) as kubectl,
    ):
        own = Terminal(kubectl, 31, 101, "attach", "-it", "web")
        try:
            own.expect("sized")
            own.type("typed\n")
            own.expect("got typed")
            own.process.wait(timeout=10)
        finally:
            own.close()
        assert node.ended(box.container).exit_code == 0


def test_a_client_that_does_not_read_is_dropped_and_the_container_goes_on(node: Daemon, transport: str) -> None:
    script = "read -r go; head -c 30000000 /dev/zero | tr '\\\\0' '\\\\n'; echo through; sleep 1000"
    with running(node, script, stdin=True) as box, kubectl_for(box, transport, stdin=True) as kubectl:
        process = kubectl.start("attach", "-i", "web", **PIPES)
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
        until(lambda: "through" in log(box), "the container to get through its output")
        process.kill()
        process.communicate()
