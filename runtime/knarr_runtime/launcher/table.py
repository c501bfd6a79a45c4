"""The sandboxes and containers the launcher knows, with what belongs to each: locks, connection, what is awaited."""

from __future__ import annotations

import asyncio

from knarr_runtime.errors import NotFound, WrongState
from knarr_runtime.launcher.values import Container, ContainerState, Sandbox, SandboxState
from knarr_runtime.peer import Peer
from knarr_runtime.spec import SandboxSpec
from knarr_runtime.start_request import StartRequest


class SandboxEntry:
    def __init__(self, spec: SandboxSpec, directory: str) -> None:
        self.value = Sandbox(spec=spec, state=SandboxState.NOT_READY)
        self.directory = directory
        self.shim: Peer | None = None
        self.ending = False
        self.lost = asyncio.Event()
        self.lock = asyncio.Lock()


class ContainerEntry:
    def __init__(self, value: Container, directory: str) -> None:
        self.value = value
        self.directory = directory
        self.exited = asyncio.Event()
        self.started = asyncio.Event()
        """The program was executed at some time."""
        if value.state is not ContainerState.CREATED:
            self.started.set()
        self.lock = asyncio.Lock()
        self.told = asyncio.Event()
        """Not set while its exit is on the way to the events."""
        self.told.set()
        self.log_finished = False
        self.request: StartRequest | None = None
        """Made by create, until start takes it; a daemon restarted between makes it anew."""
        if value.exit is not None:
            self.exited.set()

    def close_request(self) -> None:
        if self.request is not None:
            self.request.close()
        self.request = None


class Table:
    """Looking up raises NotFound, or WrongState where the shim is not to be had."""

    def __init__(self) -> None:
        self.sandboxes: dict[str, SandboxEntry] = {}
        self.containers: dict[str, ContainerEntry] = {}

    def sandbox(self, sandbox_id: str) -> SandboxEntry:
        found = self.sandboxes.get(sandbox_id)
        if found is None:
            raise NotFound(f"sandbox {sandbox_id!r} not found")
        return found

    def shim(self, sandbox_id: str) -> Peer:
        sandbox = self.sandbox(sandbox_id)
        if sandbox.shim is None or sandbox.value.state is not SandboxState.READY:
            raise WrongState(f"sandbox {sandbox_id!r} is not ready")
        return sandbox.shim

    def container(self, container_id: str) -> ContainerEntry:
        found = self.containers.get(container_id)
        if found is None:
            raise NotFound(f"container {container_id!r} not found")
        return found

    def containers_of(self, sandbox_id: str) -> list[ContainerEntry]:
        return [one for one in self.containers.values() if one.value.spec.sandbox_id == sandbox_id]
