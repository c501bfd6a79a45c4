"""A running container's streams in a client's hands: stdin, and the output from the attach on."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import termios
from collections.abc import Callable
from dataclasses import dataclass

from knarr_runtime import layout
from knarr_runtime.errors import RuntimeFailure, Unavailable
from knarr_runtime.loop import pack_window
from knarr_runtime.peer import Peer
from knarr_runtime.spec import ContainerSpec

_PIPE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What attaching needs to know of it. directory: of its FIFOs. exit_code: once it has ended."""

    spec: ContainerSpec
    directory: str
    started: asyncio.Event
    ended: asyncio.Event
    exit_code: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    stdin: bool
    stdout: bool
    stderr: bool


class AttachSession:
    """Descriptors of the output, non-blocking, -1 where absent; a terminal's is stdout alone.

    A container that was only created can be attached to as well, and nothing of its output is missed then; what it is
    to read waits in its FIFO, a terminal's size until there is one.
    The container is not the client's: closing ends nothing but, with stdin_once, the container's stdin.
    """

    def __init__(
        self, container: Container, *, stdin: int, outputs: tuple[int, int], shim: Peer, timeout_s: float
    ) -> None:
        self._container = container
        self._stdin = stdin
        self.stdout, self.stderr = outputs
        self._shim = shim
        self._timeout_s = timeout_s
        self._terminal = -1
        self._size: tuple[int, int] | None = None
        self._preparing: asyncio.Task[None] | None = None

    def prepare_terminal(self) -> None:
        """Gets the terminal as soon as there is one."""
        self._preparing = asyncio.create_task(self._take_terminal())

    async def _take_terminal(self) -> None:
        await self._container.started.wait()
        with contextlib.suppress(RuntimeFailure):  # it has ended already
            self._terminal = await _terminal(self._shim, self._container.spec.id, self._timeout_s)
            if self._size is not None:
                self.resize(*self._size)

    async def input(self) -> int:
        """Where to write what the container is to read; -1: it reads nothing."""
        spec = self._container.spec
        if not spec.tty or not spec.stdin or self._preparing is None:
            return self._stdin
        await asyncio.wait({self._preparing})
        return self._terminal

    async def wait(self) -> int:
        """The container's exit code, when it has ended."""
        await self._container.ended.wait()
        return self._container.exit_code()

    def resize(self, columns: int, rows: int) -> None:
        """Of a terminal; nothing where there is none."""
        self._size = (columns, rows)
        if self._terminal >= 0:
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, pack_window(rows, columns))

    async def close_stdin(self) -> None:
        """The client has no more input. Waits for the start, before which the FIFO is nobody else's."""
        await self._container.started.wait()
        self._close_stdin()

    def _close_stdin(self) -> None:
        if self._stdin < 0:
            return
        os.close(self._stdin)
        self._stdin = -1
        if self._container.spec.stdin_once:
            with contextlib.suppress(Unavailable):
                self._shim.notify("close_stdin", container=self._container.spec.id)

    def close(self) -> None:
        """Detach."""
        if self._preparing is not None:
            self._preparing.cancel()
        self._close_stdin()
        for fd in {self.stdout, self.stderr, self._terminal} - {-1}:
            os.close(fd)
        self.stdout = self.stderr = self._terminal = -1


async def open_session(
    container: Container, wanted: Wanted, *, shim: Peer, logs: Peer | None, timeout_s: float
) -> AttachSession:
    """Streams that the container does not have (no stdin asked for, no log) are absent. Raises Unavailable."""
    spec = container.spec
    stdin = -1
    if wanted.stdin and spec.stdin and not spec.tty:
        stdin = _open_stdin(container)
    try:
        outputs = await _listen(spec, wanted, logs, timeout_s)
    except BaseException:
        if stdin >= 0:
            os.close(stdin)
        raise
    session = AttachSession(container, stdin=stdin, outputs=outputs, shim=shim, timeout_s=timeout_s)
    if spec.tty:
        session.prepare_terminal()
    return session


async def _terminal(shim: Peer, container_id: str, timeout_s: float) -> int:
    _, received = await shim.request_descriptors("terminal", container=container_id, timeout_s=timeout_s)
    if len(received) != 1:
        raise Unavailable("attach: the shim sent no terminal")
    os.set_blocking(received[0], False)
    return received[0]


def _open_stdin(container: Container) -> int:
    """-1 when it has ended already (stdin_once). Before the start there is no reader yet, so we are that as well."""
    mode = os.O_WRONLY if container.started.is_set() else os.O_RDWR
    try:
        return os.open(f"{container.directory}/{layout.STDIN}", mode | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # ENXIO: nobody reads it
        return -1


async def _listen(spec: ContainerSpec, wanted: Wanted, logs: Peer | None, timeout_s: float) -> tuple[int, int]:
    """The log reader sees all output first, so it is who passes it on."""
    streams = (wanted.stdout, wanted.stderr and not spec.tty)
    if not spec.log_path or not any(streams):
        return -1, -1
    if logs is None:
        raise Unavailable("attach: the log reader is being restarted; try again")
    ours, theirs = [-1, -1], []
    try:
        for index in range(len(streams)):
            if streams[index]:
                ours[index], write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
                theirs.append(write_end)
                with contextlib.suppress(OSError):
                    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        await logs.request(
            "listen",
            descriptors=theirs,
            sandbox=spec.sandbox_id,
            container=spec.id,
            streams=list(streams),
            timeout_s=timeout_s,
        )
    except BaseException:
        for fd in set(ours) - {-1}:
            os.close(fd)
        raise
    finally:
        for fd in theirs:
            os.close(fd)
    return ours[0], ours[1]
