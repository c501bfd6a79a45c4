"""A container that has ended becomes CREATED again: the same id, configuration and writable layer.

To the launcher it is a new container with the same specification. Should the daemon die between the removal of the old
one and the making of the new, the record remains, and the next start makes it anew.
"""

from __future__ import annotations

from dataclasses import replace

from knarr_runtime.cri import specs
from knarr_runtime.cri.pods import Pods
from knarr_runtime.cri.records import ContainerRecord, SandboxRecord
from knarr_runtime.errors import WrongState
from knarr_runtime.launcher import ContainerState, Launcher


class Renewal:
    def __init__(self, pods: Pods, launcher: Launcher) -> None:
        self._pods = pods
        self._launcher = launcher

    async def prepare(self, identifier: str) -> None:
        """Makes it one that can be started, for the first time or once more. Raises WrongState, NotFound."""
        record = self._pods.container(identifier)
        async with self._pods.lock(record.sandbox_id):
            record = self._pods.container(record.id)
            launched = self._launcher.containers().get(record.id)
            state = launched.state if launched is not None else ContainerState.EXITED
            if state is ContainerState.RUNNING:
                raise WrongState(f"container {record.id[:12]} runs already")
            sandbox = self._pods.sandbox(record.sandbox_id)
            if not self._pods.sandbox_ready(sandbox):
                await self._renew_pod(sandbox)
            elif state is ContainerState.EXITED:
                with self._pods.renewing(record):
                    await self._launcher.remove_container(record.id)
                    await self._launcher.create_container(await self._pods.spec(record))

    async def _renew_pod(self, sandbox: SandboxRecord) -> None:
        """Its processes are gone (the machine was restarted, somebody stopped it): new ones, under the same id."""
        records: list[ContainerRecord] = self._pods.containers_of(sandbox.id)
        await self._launcher.remove_sandbox(sandbox.id)
        await self._pods.network.detach(sandbox.id)
        spec = specs.sandbox(sandbox.id, sandbox.config)
        made = await self._launcher.create_sandbox(spec)
        renewed = replace(sandbox, stopped=False, address="")
        if spec.namespaces.net == "pod":
            renewed = await self._pods.connect(renewed, made.netns_path, specs.port_mappings(sandbox.config))
        self._pods.save_sandbox(renewed)
        for record in records:
            await self._launcher.create_container(await self._pods.spec(record))
