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
from knarr_runtime.errors import Unavailable
from knarr_runtime.loop import pack_window
from knarr_runtime.peer import Peer
from knarr_runtime.spec import ContainerSpec

_PIPE_BYTES = 1 << 20


class AttachSession:
    """Descriptors, non-blocking, -1 where absent. With a terminal, stdin is its master and stderr part of stdout.

    The container is not the client's: closing ends nothing but, with stdin_once, the container's stdin.
    """

    def __init__(
        self,
        *,
        stdin: int,
        outputs: tuple[int, int],
        terminal: int,
        ended: asyncio.Event,
        exit_code: Callable[[], int],
        on_stdin_end: Callable[[], None],
    ) -> None:
        self.stdin = stdin
        self.stdout, self.stderr = outputs
        self._terminal = terminal
        self._ended = ended
        self._exit_code = exit_code
        self._on_stdin_end = on_stdin_end

    async def wait(self) -> int:
        """The container's exit code, when it has ended."""
        await self._ended.wait()
        return self._exit_code()

    def resize(self, columns: int, rows: int) -> None:
        """Of a terminal; nothing where there is none."""
        if self._terminal >= 0:
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, pack_window(rows, columns))

    def close_stdin(self) -> None:
        """The client has no more input."""
        if self.stdin < 0:
            return
        if self.stdin != self._terminal:
            os.close(self.stdin)
        self.stdin = -1
        self._on_stdin_end()

    def close(self) -> None:
        """Detach."""
        self.close_stdin()
        for fd in {self.stdout, self.stderr, self._terminal} - {-1}:
            os.close(fd)
        self.stdout = self.stderr = self._terminal = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What attaching needs to know of it. directory: of its FIFOs."""

    spec: ContainerSpec
    directory: str
    ended: asyncio.Event
    exit_code: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    stdin: bool
    stdout: bool
    stderr: bool


async def open_session(
    container: Container,
    wanted: Wanted,
    *,
    shim: Peer,
    logs: Peer | None,
    on_stdin_end: Callable[[], None],
    timeout_s: float,
) -> AttachSession:
    """Streams that the container does not have (no stdin asked for, no log) are absent. Raises Unavailable."""
    spec = container.spec
    terminal = await _terminal(shim, spec.id, timeout_s) if spec.tty else -1
    stdin = -1
    try:
        if wanted.stdin and spec.stdin:
            stdin = terminal if spec.tty else _open_stdin(container.directory)
        outputs = await _listen(spec, wanted, logs, timeout_s)
    except BaseException:
        for fd in {stdin, terminal} - {-1}:
            os.close(fd)
        raise
    return AttachSession(
        stdin=stdin,
        outputs=outputs,
        terminal=terminal,
        ended=container.ended,
        exit_code=container.exit_code,
        on_stdin_end=on_stdin_end,
    )


async def _terminal(shim: Peer, container_id: str, timeout_s: float) -> int:
    _, received = await shim.request_descriptors("terminal", container=container_id, timeout_s=timeout_s)
    if len(received) != 1:
        raise Unavailable("attach: the shim sent no terminal")
    os.set_blocking(received[0], False)
    return received[0]


def _open_stdin(directory: str) -> int:
    """-1 when it has ended already (stdin_once)."""
    try:
        return os.open(f"{directory}/{layout.STDIN}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
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
