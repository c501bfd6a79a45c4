"""Wires the launcher's parts; see the package."""

from __future__ import annotations

from collections.abc import Mapping

from knarr_runtime import start_request
from knarr_runtime.channel import Message
from knarr_runtime.kernel import bpf_devices, capabilities
from knarr_runtime.launcher.cgroups import PodCgroups
from knarr_runtime.launcher.containers import Containers
from knarr_runtime.launcher.execs import Execs
from knarr_runtime.launcher.exits import Exits
from knarr_runtime.launcher.recovery import Recovery
from knarr_runtime.launcher.sandboxes import Sandboxes
from knarr_runtime.launcher.shims import Shims
from knarr_runtime.launcher.table import Table
from knarr_runtime.launcher.values import Container, LauncherSettings, Sandbox
from knarr_runtime.launcher.work import Work
from knarr_runtime.node import Node


class Launcher:
    """Its operations are those of its parts, which say what each does."""

    def __init__(self, settings: LauncherSettings) -> None:
        self.settings = settings
        timeout_s = settings.request_timeout_s
        filters = start_request.Filters()
        self._table = table = Table()
        self._work = work = Work()
        self._node = node = Node(settings.state_dir, settings.cgroup_root, settings.python, self._on_zygote_event)
        self._exits = exits = Exits(table, node, work, timeout_s)
        cgroups = PodCgroups(node, work, timeout_s)
        execs = Execs(table, node, filters, timeout_s)
        shims = Shims(table, work, cgroups, exits, execs.ended, timeout_s)
        containers = Containers(table, node, work, cgroups, exits, filters, timeout_s)
        sandboxes = Sandboxes(table, node, work, cgroups, shims, containers, timeout_s)

        self.recover = Recovery(table, node, work, cgroups, exits, shims, sandboxes, timeout_s).recover
        self.events = exits.events

        self.create_sandbox = sandboxes.create
        self.configure_network = sandboxes.configure_network
        self.connect_port = sandboxes.connect_port
        self.sandbox_stats = sandboxes.stats
        self.update_sandbox_resources = sandboxes.update_resources
        self.stop_sandbox = sandboxes.stop
        self.remove_sandbox = sandboxes.remove

        self.create_container = containers.create
        self.start_container = containers.start
        self.signal = containers.signal
        self.stats = containers.stats
        self.update_resources = containers.update_resources
        self.reopen_log = containers.reopen_log
        self.open_root = containers.open_root
        self.freeze = containers.freeze
        self.frozen = containers.frozen
        self.stop_container = containers.stop
        self.wait = containers.wait
        self.remove_container = containers.remove

        self.open_exec = execs.open
        self.exec = execs.run
        self.attach = execs.attach

    def _on_zygote_event(self, message: Message) -> None:
        if message["event"] == "exit":
            self._exits.take(message)

    async def start(self) -> None:
        """Connects to the zygote of ``state_dir``, starting it if there is none; also the log reader."""
        await self._node.open()
        await self._work.start(self._node.supervise())

    async def close(self) -> None:
        """Lets go of zygote and shims; everything goes on without the daemon."""
        await self._work.stop()
        for sandbox in self._table.sandboxes.values():
            if sandbox.shim is not None:
                sandbox.shim.close()
        for container in self._table.containers.values():
            container.close_request()
        self._node.close()
        self._exits.close()
        self._work.close()

    async def destroy(self) -> None:
        """Kills and removes all sandboxes, the log reader and the zygote, and the cgroup root."""
        for sandbox_id in tuple(self._table.sandboxes):
            await self.remove_sandbox(sandbox_id)
        await self._work.stop()
        await self._node.destroy(self.settings.request_timeout_s)
        await self.close()

    def sandboxes(self) -> Mapping[str, Sandbox]:
        """All known sandboxes, from memory."""
        return {identifier: sandbox.value for identifier, sandbox in self._table.sandboxes.items()}

    def containers(self) -> Mapping[str, Container]:
        """All known containers, from memory."""
        return {identifier: container.value for identifier, container in self._table.containers.items()}

    @property
    def cgroup_version(self) -> int:
        return self._node.cgroups.version

    @property
    def limits_huge_pages(self) -> bool:
        return self._node.cgroups.limits_huge_pages()

    def conditions(self) -> tuple[str, ...]:
        """What this kernel or these privileges do not allow, one sentence each (no CAP_SYS_RESOURCE …)."""
        missing = []
        effective = capabilities.effective_here()
        if not effective >> capabilities.NUMBER["CAP_SYS_RESOURCE"] & 1:
            missing.append("without CAP_SYS_RESOURCE oom_score_adj is not lowered and hard rlimits are not raised")
        if self._node.cgroups.version == 2 and not bpf_devices.permitted():
            missing.append("without CAP_BPF access to devices is restricted only by what is in /dev")
        return tuple(missing)
