"""Sandboxes: made by the zygote, stopped by their shims, removed with all that is in them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from dataclasses import asdict, replace

from knarr_runtime import layout, pod_socket, remains, sysctls
from knarr_runtime.errors import AlreadyExists, Invalid, RuntimeFailure, Unavailable
from knarr_runtime.kernel import mounts
from knarr_runtime.launcher.cgroups import PodCgroups
from knarr_runtime.launcher.containers import Containers
from knarr_runtime.launcher.shims import Shims
from knarr_runtime.launcher.table import SandboxEntry, Table
from knarr_runtime.launcher.values import Sandbox, SandboxState, Stats
from knarr_runtime.launcher.work import Work, all_of
from knarr_runtime.node import Node
from knarr_runtime.spec import NetworkConfig, Resources, SandboxSpec

DEFAULT_SHARES = 1024
"""What the kernel gives a cgroup that has not been told."""


class Sandboxes:
    def __init__(
        self,
        table: Table,
        node: Node,
        work: Work,
        cgroups: PodCgroups,
        shims: Shims,
        containers: Containers,
        timeout_s: float,
    ) -> None:
        self._table = table
        self._node = node
        self._work = work
        self._cgroups = cgroups
        self._shims = shims
        self._containers = containers
        self._timeout_s = timeout_s
        self._weighing = asyncio.Lock()

    async def create(self, spec: SandboxSpec) -> Sandbox:
        """Makes the pod's cgroup and its shim with new namespaces. Raises AlreadyExists, Invalid."""
        if spec.id in self._table.sandboxes:
            raise AlreadyExists(f"sandbox {spec.id!r} exists already")
        sysctls.check(spec)
        if spec.uids and not mounts.owners_map():
            raise Invalid("user namespaces need Linux 6.3 or later, for owners to be mapped on every filesystem")
        directory = layout.sandbox_directory(self._node.state_dir, spec.id)
        sandbox = SandboxEntry(spec, directory)
        self._table.sandboxes[spec.id] = sandbox
        try:
            await self._work.in_thread(self._prepare, spec, directory)
            if self._node.zygote is None:
                raise Unavailable("the zygote is being restarted")
            reply, _ = await all_of(
                self._node.zygote.request("create_sandbox", spec=spec.to_json(), timeout_s=self._timeout_s),
                self._work.in_thread(self._cgroups.create, spec.cgroup_parent, spec.resources, None),
            )
            await all_of(
                self._shims.connect(sandbox, int(reply["pid"]), int(reply["start_time"])),
                self._weigh_group(spec.cgroup_parent),
            )
        except BaseException:
            del self._table.sandboxes[spec.id]
            self._work.spawn(self._undo(sandbox))
            raise
        sandbox.value = replace(sandbox.value, created_at_ns=time.time_ns())
        return sandbox.value

    def _prepare(self, spec: SandboxSpec, directory: str) -> None:
        try:
            os.makedirs(f"{directory}/{layout.CONTAINERS}", 0o700)
        except FileExistsError as error:
            raise AlreadyExists(f"sandbox {spec.id!r} exists already") from error
        layout.write(directory, layout.SANDBOX_SPEC, {"spec": spec.to_json()})

    async def _undo(self, sandbox: SandboxEntry) -> None:
        """After a failed create: also of a shim that may have started meanwhile."""
        self._shims.disconnect(sandbox)
        await self.abandon(sandbox.value.spec.id)
        with contextlib.suppress(RuntimeFailure):
            await self.remove_cgroup(sandbox.value.spec.cgroup_parent)
        await self._work.in_thread(remains.clear, sandbox.directory)

    async def abandon(self, sandbox_id: str) -> None:
        """Of a sandbox that is not to be: a shim that exists or is just coming into being."""
        if self._node.zygote is not None:
            with contextlib.suppress(RuntimeFailure):  # a shim that cannot tell its zygote that it is ready ends itself
                await self._node.zygote.request("abandon", sandbox=sandbox_id, timeout_s=self._timeout_s)

    async def configure_network(self, sandbox_id: str, config: NetworkConfig) -> None:
        """Brings up lo and, with an address, the link ``config.ifname`` which must already be in the sandbox."""
        shim = self._table.shim(sandbox_id)
        await shim.request("network", config=asdict(config), timeout_s=self._timeout_s)

    async def stop(self, sandbox_id: str) -> None:
        """Kills everything in it and ends its shim (and so its network namespace). Idempotent."""
        sandbox = self._table.sandbox(sandbox_id)
        async with sandbox.lock:
            if sandbox.shim is not None:
                with contextlib.suppress(Unavailable):
                    await sandbox.shim.request("stop", timeout_s=self._timeout_s)
            elif sandbox.value.state is SandboxState.NOT_READY:
                return
            try:
                async with asyncio.timeout(self._timeout_s):
                    await sandbox.lost.wait()
            except TimeoutError as error:
                raise Unavailable(f"sandbox {sandbox_id!r} does not end") from error

    async def remove(self, sandbox_id: str) -> None:
        """Stops it, removes its containers, cgroups and state. Idempotent: an unknown sandbox is no error."""
        if sandbox_id not in self._table.sandboxes:
            return
        sandbox = self._table.sandboxes[sandbox_id]
        await self.stop(sandbox_id)
        for container in self._table.containers_of(sandbox_id):
            await self._containers.remove(container.value.spec.id)
        self._table.sandboxes.pop(sandbox_id, None)
        try:
            await self.remove_cgroup(sandbox.value.spec.cgroup_parent)
            await self._work.in_thread(remains.clear, sandbox.directory)
        except BaseException:
            self._table.sandboxes[sandbox_id] = sandbox
            raise

    async def remove_cgroup(self, parent: str) -> None:
        """A pod's, with all that is in it, unless another sandbox of the pod has it: one was made anew."""
        if all(one.value.spec.cgroup_parent != parent for one in self._table.sandboxes.values()):
            await self._cgroups.remove(parent)
            await self._weigh_group(parent)

    async def _weigh_group(self, parent: str) -> None:
        """A group of pods below the first (``kubepods/besteffort``) weighs as much as its pods together.

        Made without a weight it would have as much as a whole processor asked for, however little its pods did.
        """
        group = os.path.dirname(parent)
        if "/" not in group:
            return
        async with self._weighing:
            pods = {one.value.spec.cgroup_parent: one.value.spec for one in self._table.sandboxes.values()}
            inside = [spec for path, spec in pods.items() if os.path.dirname(path) == group]
            await self._cgroups.weigh(group, sum(spec.resources.cpu_shares or DEFAULT_SHARES for spec in inside) or 2)

    async def stats(self, sandbox_id: str) -> Stats:
        """Of the whole pod."""
        return await self._cgroups.stats(self._table.sandbox(sandbox_id).value.spec.cgroup_parent)

    async def update_resources(self, sandbox_id: str, resources: Resources) -> None:
        """The same for the pod's own cgroup."""
        sandbox = self._table.sandbox(sandbox_id)
        async with sandbox.lock:
            spec = sandbox.value.spec
            await self._cgroups.update(spec.cgroup_parent, resources)
            changed = {name: value for name, value in asdict(resources).items() if value}
            spec = replace(spec, resources=replace(spec.resources, **changed))
            sandbox.value = replace(sandbox.value, spec=spec)
            await self._weigh_group(spec.cgroup_parent)
            layout.write(sandbox.directory, layout.SANDBOX_SPEC, {"spec": spec.to_json()})

    async def connect_port(self, sandbox_id: str, port: int) -> socket.socket:
        """A TCP connection, non-blocking, to a port on the pod's loopback. Raises Unavailable if nobody listens."""
        return await pod_socket.connect(self._table.shim(sandbox_id), port, timeout_s=self._timeout_s)
