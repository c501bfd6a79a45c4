"""A real daemon in a network namespace and a cgroup of its own, and builds asked of it as the commands ask."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_build import client
from knarr_proto.cri import api_pb2 as cri
from tests.kernel.daemon import RuntimeDaemon, until

BUSYBOX = "/bin/busybox"
BASE = """FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
COPY <<PASSWD /etc/passwd
root:x:0:0:root:/root:/bin/sh
user:x:1000:1000::/home/user:/bin/sh
PASSWD
COPY <<GROUP /etc/group
root:x:0:
user:x:1000:
GROUP
CMD ["sh"]
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.root)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root"))


@dataclass(frozen=True)
class Built:
    id: str
    lines: tuple[str, ...]

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def cached(self) -> int:
        return sum("Using cache" in line for line in self.lines)


class Daemon(RuntimeDaemon):
    """That builds images."""

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.servers: list[subprocess.Popen[bytes]] = []
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)

    def configure_network(self) -> None:
        config = cri.RuntimeConfig(network_config=cri.NetworkConfig(pod_cidr="10.244.9.0/24"))
        self.runtime.UpdateRuntimeConfig(cri.UpdateRuntimeConfigRequest(runtime_config=config))

    def build(self, dockerfile: str, directory: Path | None = None, **more: Any) -> Built:
        """Raises grpc.RpcError."""
        lines: list[str] = []
        identifier = self.build_with(lambda answer: lines.append(answer.line), dockerfile, directory, **more)
        return Built(identifier, tuple(lines))

    def build_with(
        self, show: Callable[[Any], None], dockerfile: str, directory: Path | None = None, **more: Any
    ) -> str:
        where = str(directory) if directory is not None else "-"
        file = "-" if directory is not None else ""
        request = client.opened(where, file, io.BytesIO(dockerfile.encode()), **more)
        return client.build(self.channel, request, show)

    def fails(self, dockerfile: str, directory: Path | None = None, **more: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as raised:
            self.build(dockerfile, directory, **more)
        return raised.value.code(), str(raised.value.details())

    def fails_with(self, show: Callable[[Any], None], dockerfile: str) -> None:
        with pytest.raises(grpc.RpcError):
            self.build_with(show, dockerfile)

    def serve_http(self, directory: Path, port: int) -> None:
        """Where the daemon is; ends with it, being in its cgroup."""
        command = self.inside(BUSYBOX, "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", directory)
        self.servers.append(subprocess.Popen(command, start_new_session=True))
        inside = ["nsenter", f"--net=/run/netns/{self.name}", "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"]
        until(lambda: subprocess.run(inside, capture_output=True).returncode == 0, "the web server")

    def build_base(self) -> None:
        directory = self.base / "busybox"
        directory.mkdir()
        (directory / "busybox").write_bytes(Path(BUSYBOX).read_bytes())
        (directory / "busybox").chmod(0o755)
        self.build(BASE, directory, tags=("base",))

    def left(self) -> list[str]:
        """What builds have left behind beside the cache."""
        found: list[str] = []
        for parent in self.parents.values():
            for directory, below, _ in os.walk(Path(parent) / self.name):  # what vanishes meanwhile is no error
                found += [f"{directory}/{name}" for name in below if os.path.basename(directory) == "builds"]
        found += [str(p) for p in (self.base / "root/network/addresses").glob("*")]
        found += [str(p) for p in (self.base / "root/build/tmp").glob("*")]
        found += [str(p) for p in (self.base / "root/state/sandboxes").glob("*")]
        found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.base) in line]
        return found

    def close(self) -> None:
        super().close()
        for server in self.servers:
            server.wait()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for a module's tests, with the image ``base`` (busybox)."""
    own = Daemon(tmp_path_factory.mktemp("daemon"))
    try:
        own.start()
        own.configure_network()
        own.build_base()
        yield own
    finally:
        own.close()


@pytest.fixture
def new_daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon of the test's own, without network and images."""
    own = Daemon(tmp_path)
    try:
        own.start()
        yield own
        assert own.left() == []
    finally:
        own.close()


@pytest.fixture
def daemon(shared: Daemon) -> Iterator[Daemon]:
    yield shared
    assert shared.left() == []


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    (directory / "src/deep").mkdir(parents=True)
    (directory / "src/a.txt").write_text("a\n")
    (directory / "src/deep/b.md").write_text("b\n")
    with tarfile.open(directory / "x.tgz", "w:gz") as archive:
        archive.add(directory / "src", "src")
    return directory
