"""Ends of containers: taken from shims and zygote or found in records, told once, when the log is complete."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import structlog

from knarr_runtime import layout
from knarr_runtime.channel import Message
from knarr_runtime.errors import RuntimeFailure, StartFailed, Unavailable, WrongState
from knarr_runtime.kernel import process
from knarr_runtime.launcher import records
from knarr_runtime.launcher.table import ContainerEntry, SandboxEntry, Table
from knarr_runtime.launcher.values import ContainerExited, ContainerState, Event, Exit, SandboxExited
from knarr_runtime.launcher.work import Work
from knarr_runtime.node import Node

_log = structlog.get_logger("knarr.launcher")
_LOG_WAIT_S = 1.0
_LAST_LINES_S = 2.0
_RECORD_WAIT_S = 0.3
_POLL_S = 0.005


class Exits:
    def __init__(self, table: Table, node: Node, work: Work, timeout_s: float) -> None:
        self._table = table
        self._node = node
        self._work = work
        self._timeout_s = timeout_s
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()

    async def events(self) -> AsyncIterator[Event]:
        """Exits in the order they happened, each once; ends with ``close``. One consumer.

        A container's event comes when its log is complete (or after a second, should the disk be stuck).
        """
        while (event := await self._events.get()) is not None:
            yield event

    def close(self) -> None:
        self._events.put_nowait(None)

    def tell_sandbox(self, sandbox_id: str) -> None:
        self._events.put_nowait(SandboxExited(id=sandbox_id))

    def take(self, message: Message) -> None:
        """What a shim, or the zygote in its place, says of a container's end."""
        container = self._table.containers.get(str(message["container"]))
        if container is None or container.value.state is ContainerState.EXITED:
            return
        container.told.clear()
        self.set_exited(container, records.exit_of(message))
        self._work.spawn(self.announce(container))

    def set_exited(self, container: ContainerEntry, ended: Exit) -> None:
        container.value = replace(container.value, state=ContainerState.EXITED, exit=ended)
        container.exited.set()

    async def announce(self, container: ContainerEntry) -> None:
        try:
            with contextlib.suppress(TimeoutError):  # it goes on; only the event does not wait for it
                async with asyncio.timeout(_LOG_WAIT_S):
                    await self.finish_log(container)
        finally:
            self._tell(container)

    def _tell(self, container: ContainerEntry) -> None:
        value = container.value
        assert value.exit is not None
        self._events.put_nowait(
            ContainerExited(
                id=value.spec.id,
                sandbox_id=value.spec.sandbox_id,
                exit_code=value.exit.exit_code,
                signal=value.exit.signal,
                oom_killed=value.exit.oom_killed,
                finished_at_ns=value.exit.finished_at_ns,
                reason=value.exit.reason,
            )
        )
        container.told.set()

    async def finish_log(self, container: ContainerEntry) -> None:
        """Returns when the log is complete, or when there is no reader to complete it now (its successor will)."""
        spec = container.value.spec
        if not spec.log_path or self._node.logs is None or container.log_finished:
            return
        with contextlib.suppress(RuntimeFailure):
            await self._node.logs.request(
                "finish", sandbox=spec.sandbox_id, container=spec.id, timeout_s=self._timeout_s
            )
            container.log_finished = container.value.exit is not None

    async def end_log(self, container: ContainerEntry) -> None:
        """Of a container that is being removed: what its disk does not take for a moment is given up, and that told."""
        spec = container.value.spec
        try:
            async with asyncio.timeout(_LAST_LINES_S):
                await self.finish_log(container)
        except TimeoutError:
            with contextlib.suppress(RuntimeFailure):
                assert self._node.logs is not None
                reply = await self._node.logs.request(
                    "drop", sandbox=spec.sandbox_id, container=spec.id, timeout_s=self._timeout_s
                )
                _log.warning(
                    "container is removed and the end of its log lost: the file takes no more",
                    container=spec.id,
                    lost_bytes=int(reply["lost_bytes"]),
                    file=str(spec.log_path),
                )

    async def lost(self, sandbox: SandboxEntry, container: ContainerEntry, *, announce: bool) -> None:
        """It runs no more, or without a shim: kills it, and waits for a record of its exit before making one up."""
        value = container.value
        if sandbox.shim is None and process.is_same(value.pid, value.start_time):
            process.kill(value.pid, signal.SIGKILL)
            if value.spec.cgroup:
                await self._work.in_thread(self._node.cgroups.kill, value.spec.cgroup)
        deadline_s = time.monotonic() + _RECORD_WAIT_S
        record = layout.read(container.directory, layout.EXIT_RECORD)
        while record is None and time.monotonic() < deadline_s:
            await asyncio.sleep(_POLL_S)
            record = layout.read(container.directory, layout.EXIT_RECORD)
        if record is None:
            record = records.made_up(
                255, "the machine was restarted" if self._node.rebooted else "the sandbox's shim was killed"
            )
            layout.write(container.directory, layout.EXIT_RECORD, record)
        if container.value.state is not ContainerState.EXITED:
            self.set_exited(container, records.exit_of(record))
            if announce:
                await self.announce(container)

    async def start_failed(self, container: ContainerEntry, error: RuntimeFailure) -> RuntimeFailure:
        """Its end, as the shim wrote it down or, when it never came to the shim, as we do."""
        if isinstance(error, (Unavailable, WrongState)):
            return error
        container.close_request()
        failure = error if isinstance(error, StartFailed) else StartFailed(str(error))
        record = layout.read(container.directory, layout.EXIT_RECORD)
        if record is None:
            record = records.made_up(failure.exit_code, str(failure))
            layout.write(container.directory, layout.EXIT_RECORD, record)
        self.set_exited(container, records.exit_of(record))
        await self.finish_log(container)
        return failure
