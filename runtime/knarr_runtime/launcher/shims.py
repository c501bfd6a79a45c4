"""Connections to shims: made, lost and made again; what a shim's end means for its sandbox and containers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from knarr_runtime import channel, layout
from knarr_runtime.channel import Message
from knarr_runtime.errors import RuntimeFailure, Unavailable
from knarr_runtime.kernel import process
from knarr_runtime.launcher.cgroups import PodCgroups
from knarr_runtime.launcher.exits import Exits
from knarr_runtime.launcher.table import SandboxEntry, Table
from knarr_runtime.launcher.values import ContainerState, SandboxState
from knarr_runtime.launcher.work import Work
from knarr_runtime.peer import Peer


class Shims:
    """exec_ended: called with the ``exec_exit`` events."""

    def __init__(
        self,
        table: Table,
        work: Work,
        cgroups: PodCgroups,
        exits: Exits,
        exec_ended: Callable[[Message], None],
        timeout_s: float,
    ) -> None:
        self._table = table
        self._work = work
        self._cgroups = cgroups
        self._exits = exits
        self._exec_ended = exec_ended
        self._timeout_s = timeout_s

    async def connect(self, sandbox: SandboxEntry, pid: int, start_time: int) -> None:
        """Raises Unavailable if nobody, or somebody else, listens on its socket."""
        try:
            sock, peer = channel.connect(sandbox.directory, layout.SHIM_SOCKET)
        except OSError as error:
            raise Unavailable(f"sandbox {sandbox.value.spec.id}: {error.strerror}") from error
        if peer != pid:
            sock.close()
            raise Unavailable(f"sandbox {sandbox.value.spec.id}: its socket belongs to process {peer}, not {pid}")
        sandbox.shim = Peer(
            sock,
            f"sandbox {sandbox.value.spec.id}",
            on_event=self._on_event,
            on_close=lambda: self._work.spawn(self._closed(sandbox)),
        )
        host = sandbox.value.spec.namespaces.net == "host"
        sandbox.value = replace(
            sandbox.value,
            state=SandboxState.READY,
            pid=pid,
            start_time=start_time,
            netns_path="" if host else f"/proc/{pid}/ns/net",
        )

    def disconnect(self, sandbox: SandboxEntry) -> None:
        if sandbox.shim is not None:
            sandbox.shim.close()
        sandbox.shim = None
        sandbox.value = replace(sandbox.value, state=SandboxState.NOT_READY)

    async def running(self, sandbox: SandboxEntry) -> dict[str, Message]:
        """What its shim says of the containers that run, by their ids."""
        assert sandbox.shim is not None
        reply = await sandbox.shim.request("list", timeout_s=self._timeout_s)
        return {str(one["container"]): one for one in reply["containers"] if one["ended"] is None}

    def _on_event(self, message: Message) -> None:
        if message["event"] == "exit":
            self._exits.take(message)
        elif message["event"] == "exec_exit":
            self._exec_ended(message)

    async def _closed(self, sandbox: SandboxEntry) -> None:
        """Its connection ended: because it ended, or because we did not read fast enough."""
        value = sandbox.value
        sandbox.shim = None
        if value.state is SandboxState.READY and process.is_same(value.pid, value.start_time):
            try:
                await self.connect(sandbox, value.pid, value.start_time)
                running = await self.running(sandbox)
            except RuntimeFailure:
                self.disconnect(sandbox)
            else:
                for container in self._table.containers_of(value.spec.id):
                    if container.value.state is ContainerState.RUNNING and container.value.spec.id not in running:
                        await self._exits.lost(sandbox, container, announce=True)
                return
        if sandbox.ending:
            return
        sandbox.ending = True
        sandbox.value = replace(sandbox.value, state=SandboxState.NOT_READY)
        try:
            for container in self._table.containers_of(value.spec.id):
                await self._cgroups.kill(container.value.spec.cgroup)
                if container.value.state is ContainerState.RUNNING:
                    await self._exits.lost(sandbox, container, announce=True)
                await container.told.wait()
        finally:
            sandbox.lost.set()
            self._exits.tell_sandbox(value.spec.id)
