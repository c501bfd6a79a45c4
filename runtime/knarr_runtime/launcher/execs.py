"""Processes and clients that join a running container: exec, attach."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import asdict

from knarr_runtime import attach_session, start_request
from knarr_runtime.attach_session import AttachSession
from knarr_runtime.channel import Message
from knarr_runtime.errors import Invalid, RuntimeFailure, Unavailable, WrongState
from knarr_runtime.exec_session import ExecSession, Output, feed
from knarr_runtime.launcher.table import Table
from knarr_runtime.launcher.values import ContainerState, ExecResult
from knarr_runtime.node import Node
from knarr_runtime.spec import SECCOMP_DEFAULT, SECCOMP_UNCONFINED, User


class Execs:
    def __init__(self, table: Table, node: Node, filters: start_request.Filters, timeout_s: float) -> None:
        self._table = table
        self._node = node
        self._filters = filters
        self._timeout_s = timeout_s
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._last_exec = 0

    def ended(self, message: Message) -> None:
        """What a shim says of the end of an exec."""
        waiting = self._waiting.pop(str(message["exec"]), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(int(message["exit_code"]))

    async def open(
        self,
        container_id: str,
        args: Sequence[str],
        *,
        env: Sequence[str] = (),
        cwd: str = "",
        user: User | None = None,
        tty: bool = False,
        stdin: bool = False,
    ) -> ExecSession:
        """Runs ``args`` in a running container with the streams in the caller's hands (interactive exec).

        env is added to the container's; cwd "" and user None are the container's. Raises StartFailed (127, 126),
        WrongState if the container is not running.
        """
        container = self._table.container(container_id)
        spec = container.value.spec
        if container.value.state is not ContainerState.RUNNING:
            raise WrongState(f"container {container_id!r} is not running")
        if not args or not args[0]:
            raise Invalid("exec: no command given")
        shim = self._table.shim(spec.sandbox_id)
        self._last_exec += 1
        exec_id = f"{os.getpid()}.{self._last_exec}"
        exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[exec_id] = exited
        streams = _Streams(tty=tty, stdin=stdin)
        request = {
            "args": list(args),
            "env": list(env),
            "cwd": cwd,
            "user": None if user is None else asdict(user),
            "tty": tty,
            "seccomp": self._filters.get(spec),
        }
        try:
            _, received = await shim.request_descriptors(
                "exec",
                descriptors=streams.theirs,
                timeout_s=self._timeout_s,
                body=json.dumps(request).encode(),
                container=container_id,
                exec=exec_id,
                tty=tty,
                may_spawn=spec.seccomp in (SECCOMP_DEFAULT, SECCOMP_UNCONFINED),
            )
        except BaseException:
            self._waiting.pop(exec_id, None)
            streams.close_ours()
            raise
        finally:
            streams.close_theirs()
        if tty:
            streams.take_terminal(received)

        async def send_signal(signum: int) -> None:
            await shim.request("exec_signal", exec=exec_id, signum=signum, timeout_s=self._timeout_s)

        return ExecSession(streams.ours, exited, send_signal)

    async def run(
        self,
        container_id: str,
        args: Sequence[str],
        *,
        env: Sequence[str] = (),
        cwd: str = "",
        user: User | None = None,
        tty: bool = False,
        stdin: bytes = b"",
        timeout_s: float | None = None,
        limit_bytes: int = 16 << 20,
    ) -> ExecResult:
        """Like open_exec, and collects the output, at most ``limit_bytes`` per stream.

        timeout_s: after it the whole process group is killed, and the result says so.
        """
        session = await self.open(container_id, args, env=env, cwd=cwd, user=user, tty=tty, stdin=bool(stdin))
        outputs = (Output(session.stdout, limit_bytes), Output(session.stderr, limit_bytes))
        timed_out = False
        try:
            async with asyncio.TaskGroup() as group:
                feeding = None
                if session.stdin >= 0 and not tty:
                    feeding = group.create_task(feed(session.stdin, stdin))
                    session.stdin = -1
                try:
                    async with asyncio.timeout(timeout_s):
                        code = await session.wait()
                except TimeoutError:
                    timed_out = True
                    await session.kill(signal.SIGKILL)
                    code = await session.wait()
                if feeding is not None:
                    feeding.cancel()
            for output in outputs:
                await output.linger()
        except BaseException:
            with contextlib.suppress(RuntimeFailure):
                await session.kill(signal.SIGKILL)
            raise
        finally:
            for output in outputs:
                output.stop()
            session.close()
        return ExecResult(
            exit_code=code,
            stdout=outputs[0].data(),
            stderr=outputs[1].data(),
            timed_out=timed_out,
            truncated=any(output.truncated for output in outputs),
        )

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool) -> AttachSession:
        """The streams of a running or created container; its output from now on. Raises WrongState, Unavailable.

        A client that does not read its output is dropped: it reads the end. With stdin_once the container's stdin ends
        with that of the first client.
        """
        container = self._table.container(container_id)
        spec = container.value.spec
        if container.value.state is ContainerState.EXITED:
            raise WrongState(f"container {container_id!r} is not running")
        return await attach_session.open_session(
            attach_session.Container(
                spec=spec,
                directory=container.directory,
                started=container.started,
                ended=container.exited,
                exit_code=lambda: container.value.exit.exit_code if container.value.exit is not None else 0,
            ),
            attach_session.Wanted(stdin=stdin, stdout=stdout, stderr=stderr),
            shim=self._table.shim(spec.sandbox_id),
            logs=self._node.logs,
            timeout_s=self._timeout_s,
        )


class _Streams:
    """The pipes of an exec: the ends that go to the shim, and ours. With a terminal the shim sends its master."""

    def __init__(self, *, tty: bool, stdin: bool) -> None:
        self.theirs: list[int] = []
        self.ours = (-1, -1, -1)
        if tty:
            return
        if stdin:
            in_theirs, in_ours = os.pipe2(os.O_CLOEXEC)
        else:
            in_theirs, in_ours = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), -1
        out_ours, out_theirs = os.pipe2(os.O_CLOEXEC)
        error_ours, error_theirs = os.pipe2(os.O_CLOEXEC)
        self.theirs = [in_theirs, out_theirs, error_theirs]
        self.ours = (in_ours, out_ours, error_ours)
        self._unblock()

    def _unblock(self) -> None:
        for fd in set(self.ours) - {-1}:
            os.set_blocking(fd, False)

    def take_terminal(self, received: Sequence[int]) -> None:
        if len(received) != 1:
            raise Unavailable("exec: the shim sent no terminal")
        self.ours = (received[0], received[0], -1)
        self._unblock()

    def close_theirs(self) -> None:
        for fd in self.theirs:
            os.close(fd)
        self.theirs = []

    def close_ours(self) -> None:
        for fd in set(self.ours) - {-1}:
            os.close(fd)
        self.ours = (-1, -1, -1)
