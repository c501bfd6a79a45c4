"""A streaming server whose containers are plain processes of this machine, and ports those of loopback."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import termios
from collections.abc import AsyncIterator

import pytest

from knarr_runtime.errors import NotFound, Unavailable
from knarr_runtime.streaming.server import StreamingServer, StreamingSettings

HANGUP = ("env", "--default-signal=HUP")
"""Also where whoever runs the tests has it ignored (nohup), as the launcher does for what it starts."""


class LocalProcess:
    """A process with pipes, or on a terminal, as the launcher's sessions are."""

    def __init__(self, process: asyncio.subprocess.Process, stdin: int, stdout: int, stderr: int) -> None:
        self.process = process
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr

    async def wait(self) -> int:
        code = await self.process.wait()
        return code if code >= 0 else 128 - code

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.stdout, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def input(self) -> int:
        return self.stdin

    async def close_stdin(self) -> None:
        if self.stdin != self.stdout:
            os.close(self.stdin)
            self.stdin = -1

    def close(self) -> None:
        for fd in {self.stdin, self.stdout, self.stderr} - {-1}:
            os.close(fd)
        self.stdin = self.stdout = self.stderr = -1


class LocalBackend:
    """Container ``box`` runs what it is told; attaching to it runs ``attached``."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.processes: list[LocalProcess] = []
        self.attached: tuple[str, ...] = ("cat",)

    async def open_exec(
        self, container_id: str, args: tuple[str, ...], *, tty: bool = False, stdin: bool = False, **_: object
    ) -> LocalProcess:
        if container_id != "box":
            raise NotFound(f"container {container_id!r} does not exist")
        started = await (_on_terminal(args) if tty else _on_pipes(args, stdin))
        self.processes.append(started)
        self.started.set()
        return started

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool) -> LocalProcess:
        return await self.open_exec(container_id, self.attached, stdin=stdin)

    async def connect_port(self, sandbox_id: str, port: int) -> socket.socket:
        own = socket.socket()
        own.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", port))
        except OSError as error:
            own.close()
            raise Unavailable(
                f"failed to connect to localhost:{port} inside pod {sandbox_id}: {error.strerror}"
            ) from error
        return own

    async def end(self) -> None:
        for started in self.processes:
            if started.process.returncode is None:
                started.process.kill()
            await started.process.wait()


async def _on_pipes(args: tuple[str, ...], stdin: bool) -> LocalProcess:
    in_read, in_write = os.pipe2(os.O_CLOEXEC) if stdin else (os.open("/dev/null", os.O_RDONLY), -1)
    (out_read, out_write), (error_read, error_write) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    process = await asyncio.create_subprocess_exec(*args, stdin=in_read, stdout=out_write, stderr=error_write)
    for fd in (in_read, out_write, error_write):
        os.close(fd)
    for fd in {in_write, out_read, error_read} - {-1}:
        os.set_blocking(fd, False)
    return LocalProcess(process, in_write, out_read, error_read)


async def _on_terminal(args: tuple[str, ...]) -> LocalProcess:
    master, slave = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *HANGUP, "setsid", "--ctty", *args, stdin=slave, stdout=slave, stderr=slave, close_fds=True
    )
    os.close(slave)
    os.set_blocking(master, False)
    return LocalProcess(process, master, master, -1)


@pytest.fixture
async def backend() -> AsyncIterator[LocalBackend]:
    own = LocalBackend()
    yield own
    await own.end()


@pytest.fixture
async def server(backend: LocalBackend) -> AsyncIterator[StreamingServer]:
    own = StreamingServer(backend, StreamingSettings(creation_timeout_s=2.0))
    await own.start()
    yield own
    await own.close()
