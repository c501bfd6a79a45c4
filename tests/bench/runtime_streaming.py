"""Exec and port-forward through the streaming server (SPDY/3.1), beside containerd: the same client, interleaved.

Both serve in private network namespaces, cgroups and directories, as in the conformance suite. Times are from the CRI
call for the URL to the client's last byte.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runtime_common import SUITE, Times, load_suite, own_mounts

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.kernel import syscalls
from knarr_runtime.streaming.pipe import READ_BYTES, Activity, ConnectionPipe
from knarr_runtime.streaming.spdy.session import Session, Stream

MEBIBYTES = 100
SERVE_ZEROS = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    with connection:
        for _ in range(%d):
            connection.sendall(bytes(1 << 20))
"""


class Client(Session):
    """Credits nothing, as client-go: containerd closes without reading that, which loses what is under way."""

    async def consumed(self, stream_id: int, count: int) -> None:
        return


@contextlib.asynccontextmanager
async def session(server: Any, url: str, version: str) -> AsyncIterator[Session]:
    """A client's session at the URL that CRI answered."""
    parts = urlsplit(url)
    own = await asyncio.to_thread(server.inside, lambda: socket.create_connection((parts.hostname, parts.port)))
    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader, writer = await asyncio.open_connection(sock=own, limit=READ_BYTES)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
    writer.write(f"{head}X-Stream-Protocol-Version: {version}\r\n\r\n".encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    found = Client(ConnectionPipe(reader, writer, Activity()), client=True)
    running = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        running.cancel()
        await asyncio.wait({running})
        writer.transport.abort()


async def drain(stream: Stream) -> int:
    """How many bytes came."""
    count = 0
    with contextlib.suppress(ConnectionError):  # containerd resets its streams at the end
        while data := await stream.read():
            count += len(data)
    return count


async def execute(server: Any, container: str, *command: str) -> int:
    """Bytes of stdout."""
    request = cri.ExecRequest(container_id=container, cmd=command, stdout=True, stderr=True)
    url = server.runtime.Exec(request).url
    async with session(server, url, "v4.channel.k8s.io") as own:
        error, stdout, stderr = [await own.open((("streamtype", name),)) for name in ("error", "stdout", "stderr")]
        count, told, _ = await asyncio.gather(drain(stdout), drain(error), drain(stderr))
        assert told, f"no status came from {server.kind} after {count} bytes"
        return count


async def forward(server: Any, sandbox: str, port: int) -> int:
    """Bytes of one connection."""
    url = server.runtime.PortForward(cri.PortForwardRequest(pod_sandbox_id=sandbox)).url
    async with session(server, url, "portforward.k8s.io") as own:
        headers = (("port", str(port)), ("requestid", "0"))
        await own.open((("streamtype", "error"), *headers))
        return await drain(await own.open((("streamtype", "data"), *headers)))


class Pod:
    """One of ``server``, with a container that sleeps."""

    def __init__(self, server: Any, logs: Path, image: str) -> None:
        logs.mkdir(parents=True)
        self.server = server
        config = cri.PodSandboxConfig(
            metadata=cri.PodSandboxMetadata(name="stream", namespace="bench", uid="stream"),
            log_directory=str(logs),
            linux=cri.LinuxPodSandboxConfig(cgroup_parent="kubepods/podstream"),
        )
        self.sandbox = server.runtime.RunPodSandbox(cri.RunPodSandboxRequest(config=config)).pod_sandbox_id
        sleeping = cri.ContainerConfig(
            metadata=cri.ContainerMetadata(name="main"),
            image=cri.ImageSpec(image=image),
            command=["sleep", "1000"],
            log_path="main.log",
        )
        create = cri.CreateContainerRequest(pod_sandbox_id=self.sandbox, config=sleeping, sandbox_config=config)
        self.container = server.runtime.CreateContainer(create).container_id
        server.runtime.StartContainer(cri.StartContainerRequest(container_id=self.container))

    @contextlib.contextmanager
    def zeros(self) -> Iterator[int]:
        """A port in the pod that sends ``MEBIBYTES`` to whoever connects."""
        request = cri.ContainerStatusRequest(container_id=self.container, verbose=True)
        information = json.loads(self.server.runtime.ContainerStatus(request).info["info"])
        command = ["nsenter", f"--net=/proc/{information['pid']}/ns/net", sys.executable, "-I", "-c"]
        process = subprocess.Popen([*command, SERVE_ZEROS % MEBIBYTES], stdout=subprocess.PIPE)
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()
            process.communicate()

    def remove(self) -> None:
        self.server.runtime.RemovePodSandbox(cri.RemovePodSandboxRequest(pod_sandbox_id=self.sandbox))


def measure(pods: list[Pod], rounds: int, times: Times) -> None:
    """In turns."""
    size = MEBIBYTES << 20
    dd = ("dd", "if=/dev/zero", "bs=1M", f"count={MEBIBYTES}")
    for _ in range(rounds):
        for pod in pods:
            timed(times, f"{pod.server.kind} exec true", execute(pod.server, pod.container, "/bin/true"), 0)
    for pod in pods:
        with pod.zeros() as port:
            for _ in range(3):
                work = execute(pod.server, pod.container, *dd)
                timed(times, f"{pod.server.kind} exec, {MEBIBYTES} MiB of stdout", work, size)
                work = forward(pod.server, pod.sandbox, port)
                timed(times, f"{pod.server.kind} port-forward, {MEBIBYTES} MiB", work, size)


def timed(times: Times, what: str, work: Coroutine[Any, Any, int], size: int) -> None:
    began = time.perf_counter()
    count = asyncio.run(work)
    times.add(what, time.perf_counter() - began)
    assert count == size, f"{what}: {count} bytes came"


def main(rounds: int) -> None:
    own_mounts()
    servers = load_suite("servers")
    base = Path(tempfile.mkdtemp(prefix="knarr-bench-streaming-"))
    syscalls.mount("tmpfs", str(base), "tmpfs", 0)
    archive = base / "images.tar"
    make = [sys.executable, SUITE / "make_images.py", archive, servers.REPOSITORY]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    times = Times()
    opened: list[Any] = []
    try:
        pods = []
        for kind in (servers.Knarr, servers.Containerd):
            (base / kind.kind).mkdir()
            opened.append(kind(base / kind.kind, archive))
            opened[-1].open()
            pods.append(Pod(opened[-1], base / "logs" / kind.kind, f"{servers.REPOSITORY}/busybox:1"))
        measure(pods, rounds, times)
        times.report()
        for what in ("exec true", f"exec, {MEBIBYTES} MiB of stdout", f"port-forward, {MEBIBYTES} MiB"):
            times.ratio(f"knarr {what}", f"containerd {what}")
        for pod in pods:
            pod.remove()
    finally:
        for server in opened:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                server.close()
        syscalls.umount(str(base))
        base.rmdir()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    main(parser.parse_args().rounds)
