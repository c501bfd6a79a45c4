"""A runtime daemon with its streaming server on a unix socket, a running container, and kubectl before them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from knarr_proto.cri import api_pb2 as cri
from tests.kernel.cri.conftest import Daemon
from tests.kernel.daemon import until
from tests.kernel.streaming.api_facade import ApiFacade, Query

TRANSPORTS = ("spdy", "websocket")


@dataclass
class Box:
    """The daemon, and the ids of a pod and its container ``main``."""

    daemon: Daemon
    sandbox: tuple[str, Any]
    container: str

    def run(self, *command: str) -> str:
        """What a command in the container prints."""
        request = cri.ExecSyncRequest(container_id=self.container, cmd=command, timeout=10)
        return str(self.daemon.runtime.ExecSync(request).stdout.decode())

    def url(self, verb: str, query: Query) -> str:
        """As an API server would ask the kubelet for it."""
        flags = {name: query.get(name, ["false"])[0] in ("true", "1") for name in ("stdin", "stdout", "stderr", "tty")}
        runtime = self.daemon.runtime
        if verb == "exec":
            request = cri.ExecRequest(container_id=self.container, cmd=query["command"], **flags)
            return str(runtime.Exec(request).url)
        if verb == "attach":
            return str(runtime.Attach(cri.AttachRequest(container_id=self.container, **flags)).url)
        return str(runtime.PortForward(cri.PortForwardRequest(pod_sandbox_id=self.sandbox[0])).url)


@dataclass
class Kubectl:
    """The real one. transport: how it is told to stream; those before 1.29 know only SPDY."""

    address: str
    transport: str

    def command(self, *arguments: str) -> list[str]:
        return ["kubectl", f"--server={self.address}", "--kubeconfig=/dev/null", "--cache-dir=/dev/null", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        over_websocket = "true" if self.transport == "websocket" else "false"
        names = ("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "KUBECTL_PORT_FORWARD_WEBSOCKETS")
        return {**os.environ, **dict.fromkeys(names, over_websocket)}

    def __call__(
        self, *arguments: str, stdin: bytes = b"", timeout_s: float = 30.0
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env=self.environment,
        )

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(*arguments), env=self.environment, **more)


def descriptors(daemon: Daemon) -> int:
    """Open ones of the daemon and of the log reader, which passes output on to attached clients."""
    assert daemon.process is not None
    reader = json.loads((daemon.base / "root/state/logs.json").read_text())["pid"]
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in (daemon.process.pid, reader))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    base: Path = tmp_path_factory.mktemp("streaming")
    own = Daemon(base)
    own.arguments = ["--streaming-address", f"unix:{base}/streaming.sock"]
    try:
        own.start()
        own.import_busybox()
        own.remove(own.sandbox("first"))
        before = descriptors(own)
        yield own
        until(lambda: descriptors(own) <= before, "the daemon and its log reader to have closed what sessions opened")
        assert "Traceback" not in (base / "log").read_text()
    finally:
        own.close()


@pytest.fixture
def box(node: Daemon) -> Iterator[Box]:
    sandbox = node.sandbox("box")
    identifier = node.container(sandbox, "sleep", "1000")
    node.start_container(identifier)
    yield Box(node, sandbox, identifier)
    node.remove(sandbox)


@contextlib.contextmanager
def kubectl_for(box: Box, transport: str, *, stdin: bool = False, tty: bool = False) -> Iterator[Kubectl]:
    """tty, stdin: as the pod's container says it has them."""
    with ApiFacade(box.url, stdin=stdin, tty=tty) as facade:
        yield Kubectl(facade.address, transport)


@pytest.fixture(params=TRANSPORTS)
def kubectl(box: Box, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    with kubectl_for(box, request.param) as own:
        yield own
