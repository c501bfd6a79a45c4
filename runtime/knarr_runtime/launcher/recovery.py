"""What an earlier daemon left: found on the disk, joined with the processes that live, removed where it is half."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import replace

import structlog

from knarr_runtime import channel, layout, remains
from knarr_runtime.channel import Message
from knarr_runtime.errors import NotFound, RuntimeFailure, Unavailable, WrongState
from knarr_runtime.kernel import process
from knarr_runtime.launcher import records
from knarr_runtime.launcher.cgroups import PodCgroups
from knarr_runtime.launcher.exits import Exits
from knarr_runtime.launcher.sandboxes import Sandboxes
from knarr_runtime.launcher.shims import Shims
from knarr_runtime.launcher.table import ContainerEntry, SandboxEntry, Table
from knarr_runtime.launcher.values import Container, ContainerState, Recovered
from knarr_runtime.launcher.work import Work
from knarr_runtime.node import Node
from knarr_runtime.peer import Peer
from knarr_runtime.spec import SandboxSpec

_log = structlog.get_logger("knarr.launcher")
_POLL_S = 0.005


class Recovery:
    def __init__(
        self,
        table: Table,
        node: Node,
        work: Work,
        cgroups: PodCgroups,
        exits: Exits,
        shims: Shims,
        sandboxes: Sandboxes,
        timeout_s: float,
    ) -> None:
        self._table = table
        self._node = node
        self._work = work
        self._cgroups = cgroups
        self._exits = exits
        self._shims = shims
        self._sandboxes = sandboxes
        self._timeout_s = timeout_s
        self._left: dict[str, set[str]] = {}
        """Directories of sandboxes that are to go, and the cgroups of their pods."""

    async def recover(self) -> Recovered:
        """What exists, from the disk and the kernel: to be called once after ``start``.

        Exits that happened while nobody listened are in the result and not repeated by ``events``. Sandboxes and
        containers half made when the last daemon died are removed. A container whose record cannot be told (the
        machine was restarted, the record is damaged) comes as EXITED with exit code 255; what has lost its spec is
        removed.
        """
        for name in layout.names(f"{self._node.state_dir}/{layout.SANDBOXES}"):
            await self._recover_sandbox(name)
        while self._left:  # only now it is known which cgroups are of other sandboxes, too
            directory, parents = self._left.popitem()
            for parent in parents:
                await self._sandboxes.remove_cgroup(parent)
            await self._work.in_thread(remains.clear, directory)
        return Recovered(
            sandboxes=tuple(one.value for one in self._table.sandboxes.values()),
            containers=tuple(one.value for one in self._table.containers.values()),
        )

    async def _recover_sandbox(self, name: str) -> None:
        directory = layout.sandbox_directory(self._node.state_dir, name)
        spec, spec_damaged = remains.read(directory, layout.SANDBOX_SPEC, records.sandbox_spec)
        shim, shim_damaged = remains.read(directory, layout.SHIM_RECORD, records.shim_record)
        if spec_damaged or shim_damaged:
            await self._remove_damaged(name, directory, spec)
            return
        if spec is None or shim is None:
            if spec is not None:
                await self._sandboxes.abandon(name)
            self._left[directory] = {spec.cgroup_parent} if spec is not None else set()
            return
        sandbox = SandboxEntry(spec, directory)
        sandbox.value = replace(sandbox.value, created_at_ns=shim["created_at_ns"])
        self._table.sandboxes[name] = sandbox
        running: dict[str, Message] = {}
        if not self._node.rebooted and process.is_same(shim["pid"], shim["start_time"]):
            try:
                await self._shims.connect(sandbox, shim["pid"], shim["start_time"])
                running = await self._shims.running(sandbox)
            except (RuntimeFailure, OSError):
                self._shims.disconnect(sandbox)
        for container_id in layout.names(f"{directory}/{layout.CONTAINERS}"):
            await self._recover_container(sandbox, container_id, running.get(container_id))
        if sandbox.shim is None:
            for container in self._table.containers_of(name):
                await self._cgroups.kill(container.value.spec.cgroup)
            sandbox.lost.set()

    async def _remove_damaged(self, name: str, directory: str, spec: SandboxSpec | None) -> None:
        """Of a sandbox whose own records cannot be read: its shim, if it lives, is asked to end everything in it."""
        _log.warning("sandbox is removed: its records are damaged", sandbox=name)
        try:
            sock, _ = channel.connect(directory, layout.SHIM_SOCKET)
        except OSError:
            await self._sandboxes.abandon(name)
        else:
            ended = asyncio.Event()
            shim = Peer(sock, f"sandbox {name}", on_close=ended.set)
            with contextlib.suppress(Unavailable, TimeoutError):
                await shim.request("stop", timeout_s=self._timeout_s)
                await asyncio.wait_for(ended.wait(), self._timeout_s)
            shim.close()
        parents = {spec.cgroup_parent} if spec is not None else {""}
        shim_record = layout.read_whole(directory, layout.SHIM_RECORD)
        if shim_record is not None:
            parents.add(str(shim_record.get("cgroup_parent", "")))
        for container_id in layout.names(f"{directory}/{layout.CONTAINERS}"):
            container = f"{directory}/{layout.CONTAINERS}/{container_id}"
            held, _ = remains.read(container, layout.CONTAINER_SPEC, records.container_spec)
            if held is not None:
                parents.add(os.path.dirname(held[0].cgroup))
        self._left[directory] = parents

    async def _recover_container(self, sandbox: SandboxEntry, container_id: str, running: Message | None) -> None:
        directory = f"{sandbox.directory}/{layout.CONTAINERS}/{container_id}"
        record, damaged = remains.read(directory, layout.CONTAINER_SPEC, records.container_spec)
        if record is None:
            if damaged:
                await self._kill_unknown(sandbox, container_id)
            await self._work.in_thread(remains.clear, directory)
            return
        value = Container(spec=record[0], state=ContainerState.CREATED, created_at_ns=record[1])
        began, began_damaged = remains.read(directory, layout.PROCESS_RECORD, records.process_record)
        ended, end_damaged = remains.read(directory, layout.EXIT_RECORD, records.exit_of)
        if began is None and running is not None:
            began = {**records.identity(running), "started_at_ns": time.time_ns()}
        if began is not None:
            value = replace(
                value,
                state=ContainerState.RUNNING,
                pid=began["pid"],
                start_time=began["start_time"],
                started_at_ns=began["started_at_ns"],
            )
        elif began_damaged or end_damaged:
            value = replace(value, state=ContainerState.RUNNING)  # it ran; that it does no more is found below
        if end_damaged:
            os.unlink(f"{directory}/{layout.EXIT_RECORD}")
        if ended is not None:
            value = replace(value, state=ContainerState.EXITED, exit=ended)
        container = ContainerEntry(value, directory)
        self._table.containers[container_id] = container
        if value.state is ContainerState.EXITED:
            self._work.spawn(self._exits.finish_log(container))
        elif value.state is ContainerState.RUNNING and running is None:
            await self._exits.lost(sandbox, container, announce=False)

    async def _kill_unknown(self, sandbox: SandboxEntry, container_id: str) -> None:
        """A container that only its shim knows, if it has one. Its cgroup goes with its sandbox's."""
        _log.warning("container is removed: its record is damaged", container=container_id)
        if sandbox.shim is None:
            return
        deadline_s = time.monotonic() + self._timeout_s
        with contextlib.suppress(NotFound, Unavailable, WrongState):
            await sandbox.shim.request("kill", container=container_id, timeout_s=self._timeout_s)
            while time.monotonic() < deadline_s and container_id in await self._shims.running(sandbox):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)  # it is in no table, so its event goes nowhere
            await sandbox.shim.request("release", container=container_id, timeout_s=self._timeout_s)
