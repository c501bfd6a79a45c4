"""Sandboxes and containers of this runtime: the verbs of CRI on launcher, images, network and records.

Calls for one pod are taken one after the other (a lock per sandbox); different pods don't wait for each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime import cdi
from knarr_runtime import launcher as launching
from knarr_runtime.cri import host_files, limits, recovery, specs, standalone
from knarr_runtime.cri.container_specs import ContainerSpecs, prepare_mounts
from knarr_runtime.cri.events import Event, Followers
from knarr_runtime.cri.records import ContainerRecord, Records, SandboxRecord
from knarr_runtime.errors import AlreadyExists, Invalid, NotFound, RuntimeFailure, Unavailable
from knarr_runtime.images.store import ImageStore
from knarr_runtime.launcher import ContainerState, Launcher
from knarr_runtime.network.pod_network import PodNetwork
from knarr_runtime.network.ports import PortMapping
from knarr_runtime.spec import ContainerSpec, NetworkConfig, Resources

HANDLERS = ("", "knarr")
"""Runtime handlers: there is one, and it is the default."""


class Pods:
    """See the module's text."""

    def __init__(
        self,
        launcher: Launcher,
        images: ImageStore,
        records: Records,
        network: PodNetwork,
        cdi_directories: tuple[Path, ...] = cdi.DIRECTORIES,
    ) -> None:
        self._launcher = launcher
        self._images = images
        self._records = records
        self.network = network
        self._specs = ContainerSpecs(images, records, cdi_directories)
        self.sandboxes: dict[str, SandboxRecord] = {}
        self.containers: dict[str, ContainerRecord] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._stopping: set[str] = set()
        """Sandboxes whose end is expected and told by who stops them."""
        self._followers = Followers()
        self._renewing: dict[str, launching.Container] = {}
        """Containers that the launcher does not have just now, as they were."""
        self._log = structlog.get_logger("knarr.cri")

    async def recover(self) -> None:
        """Bring records and launcher together after a restart. Call once, first."""
        self.sandboxes, self.containers = await recovery.recover(self._launcher, self._records)
        attached = [record for record in self.sandboxes.values() if not record.stopped]
        await self.network.load({record.id: specs.port_mappings(record.config) for record in attached})
        self._log.info("recovered", sandboxes=len(self.sandboxes), containers=len(self.containers))

    async def follow_exits(self) -> None:
        """Pass the launcher's events on, until cancelled; a build's sandboxes are no pods."""
        async for event in self._launcher.events():
            if (event.sandbox_id if isinstance(event, launching.ContainerExited) else event.id) not in self.sandboxes:
                continue
            if isinstance(event, launching.ContainerExited):
                self._tell(event.sandbox_id, event.id, cri.CONTAINER_STOPPED_EVENT)
            elif event.id not in self._stopping and event.id in self.sandboxes and not self.sandboxes[event.id].stopped:
                self._tell(event.id, "", cri.CONTAINER_STOPPED_EVENT)

    # Sandboxes

    async def run_sandbox(self, config: Any, runtime_handler: str = "") -> str:
        """Raises AlreadyExists for a name and attempt that another sandbox has, until that one is removed."""
        _check_metadata(config)
        if runtime_handler not in HANDLERS:
            raise Invalid(f'runtime_handler: there is no "{runtime_handler}", only {" and ".join(map(repr, HANDLERS))}')
        for record in self.sandboxes.values():
            if record.config.metadata == config.metadata:
                attempt = config.metadata.attempt
                raise AlreadyExists(f"the name of sandbox {_name(config)} attempt {attempt} belongs to {record.id}")
        identifier = secrets.token_hex(32)
        spec = specs.sandbox(identifier, config)
        self.check_limits(spec.resources)
        ports = specs.port_mappings(config)
        own_network = spec.namespaces.net == "pod"
        if own_network and not self.network.ready and standalone.NO_NETWORK not in config.annotations:
            raise Unavailable("the pod network is not configured yet: the node has no pod CIDR")
        record = SandboxRecord(
            id=identifier, config=config, created_at_ns=time.time_ns(), runtime_handler=runtime_handler, made=False
        )
        self._records.save_sandbox(record)
        self.sandboxes[identifier] = record
        try:
            async with self._locks[identifier]:
                sandbox = await self._launcher.create_sandbox(spec)
                if own_network:
                    record = await self.connect(record, sandbox.netns_path, ports)
                record = self.save_sandbox(replace(record, made=True))
        except BaseException:
            with contextlib.suppress(RuntimeFailure):
                await self._launcher.remove_sandbox(identifier)
            await self.network.detach(identifier)
            self._records.remove_sandbox(identifier)
            self.sandboxes.pop(identifier, None)
            raise
        self._tell(identifier, "", cri.CONTAINER_CREATED_EVENT)
        self._tell(identifier, "", cri.CONTAINER_STARTED_EVENT)
        return identifier

    async def connect(self, record: SandboxRecord, netns: str, ports: tuple[PortMapping, ...]) -> SandboxRecord:
        """To the pod network, or to nothing but itself."""
        if standalone.NO_NETWORK in record.config.annotations:
            settings = NetworkConfig()
        else:
            settings = await self.network.attach(record.id, netns, ports)
        await self._launcher.configure_network(record.id, settings)
        return replace(record, address=settings.address.partition("/")[0])

    def save_sandbox(self, record: SandboxRecord) -> SandboxRecord:
        """With the files that its containers see."""
        host_files.write(self._records.sandbox_directory(record.id), record)
        self._records.save_sandbox(record)
        self.sandboxes[record.id] = record
        return record

    async def stop_sandbox(self, identifier: str) -> None:
        """Everything in it is killed; its address is free again. Idempotent."""
        record = self._sandbox(identifier, missing_ok=True)
        if record is not None:
            async with self._locks[record.id]:
                await self._stop_sandbox(record.id)

    async def _stop_sandbox(self, identifier: str) -> None:
        """With its lock held."""
        record = self.sandboxes.get(identifier)
        if record is None:  # removed while this call waited
            return
        ran = self.sandbox_ready(record)
        self._stopping.add(identifier)
        try:
            for container in self.containers_of(identifier):
                with contextlib.suppress(NotFound):
                    await self._launcher.stop_container(container.id, 0.0)
            with contextlib.suppress(NotFound):  # one that was given up while it was made, and is being cleared away
                await self._launcher.stop_sandbox(identifier)
            await self.network.detach(identifier)
            if identifier in self.sandboxes and not record.stopped:
                record = replace(record, stopped=True)
                self.sandboxes[identifier] = record
                self._records.save_sandbox(record)
        finally:
            self._stopping.discard(identifier)
        if ran:
            self._tell(identifier, "", cri.CONTAINER_STOPPED_EVENT)

    async def remove_sandbox(self, identifier: str) -> None:
        """Idempotent."""
        record = self._sandbox(identifier, missing_ok=True)
        if record is None:
            return
        async with self._locks[record.id]:
            await self._stop_sandbox(record.id)
            for container in self.containers_of(record.id):
                await self.remove_container(container.id)
            await self._launcher.remove_sandbox(record.id)
            gone = self.sandboxes.pop(record.id, None)
            if gone is not None:
                await asyncio.to_thread(self._records.remove_sandbox, record.id)
                self._tell(record.id, "", cri.CONTAINER_DELETED_EVENT, gone)
        self._locks.pop(record.id, None)

    def sandbox_ready(self, record: SandboxRecord) -> bool:
        sandbox = self._launcher.sandboxes().get(record.id)
        return not record.stopped and sandbox is not None and sandbox.state is launching.SandboxState.READY

    def sandbox(self, identifier: str) -> SandboxRecord:
        """By id or its unique beginning. Raises NotFound."""
        record = self._sandbox(identifier)
        assert record is not None
        return record

    # Containers

    async def create_container(self, sandbox_id: str, config: Any) -> str:
        """Raises NotFound (sandbox, image), Invalid, AlreadyExists."""
        record = self.sandbox(sandbox_id)
        if not self.sandbox_ready(record):
            raise Unavailable(f"sandbox {sandbox_id} is not ready")
        if not config.metadata.name:
            raise Invalid("config.metadata.name: required")
        image = self._images.find(config.image.image)
        options = config.linux.security_context.namespace_options
        if options.pid == cri.TARGET:
            target = self.container(options.target_id)
            if target.sandbox_id != record.id:
                raise Invalid(f"namespace_options.target_id: container {target.id} is in another sandbox")
            options.target_id = target.id
        container = ContainerRecord(
            id=secrets.token_hex(32),
            sandbox_id=record.id,
            config=config,
            image_id=image.id,
            created_at_ns=time.time_ns(),
            image_ref=next((name for name in image.names if "@" in name), ""),
            volume_images={
                mount.container_path: self._images.find(mount.image.image or mount.image.user_specified_image).id
                for mount in config.mounts
                if mount.HasField("image")
            },
        )
        identifier = container.id
        spec = await self.spec(container)
        self.check_limits(spec.resources)
        limits.check_cgroup_access(spec.cgroup_access, self._launcher)
        await prepare_mounts(spec, config)
        for other in self.containers.values():
            if other.sandbox_id == record.id and other.config.metadata == config.metadata:
                raise AlreadyExists(
                    f"container {config.metadata.name} attempt {config.metadata.attempt} exists: {other.id}"
                )
        self._records.save_container(container)
        self.containers[identifier] = container
        try:
            if spec.log_path:
                os.makedirs(os.path.dirname(spec.log_path), mode=0o755, exist_ok=True)
            async with self._locks[record.id]:
                await self._launcher.create_container(spec)
        except BaseException:
            self.containers.pop(identifier, None)
            self._records.remove_container(identifier)
            raise
        self._tell(record.id, identifier, cri.CONTAINER_CREATED_EVENT)
        return identifier

    async def spec(self, record: ContainerRecord) -> ContainerSpec:
        """What the launcher is told of it. Raises Invalid, NotFound."""
        return await self._specs.of(record, self.sandbox(record.sandbox_id))

    def change_container(self, record: ContainerRecord, change: Callable[[Any], None]) -> ContainerRecord:
        """change: what to do to a copy of its ContainerConfig, which is kept."""
        config = cri.ContainerConfig()
        config.CopyFrom(record.config)
        change(config)
        changed = replace(record, config=config)
        self._records.save_container(changed)
        self.containers[record.id] = changed
        return changed

    async def start_container(self, identifier: str) -> None:
        """A start that is given up comes to its end all the same: what runs must be known."""
        starting = asyncio.create_task(self._start_container(self.container(identifier)))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(RuntimeFailure):
                await starting
            raise

    async def _start_container(self, record: ContainerRecord) -> None:
        await self._launcher.start_container(record.id)
        self._tell(record.sandbox_id, record.id, cri.CONTAINER_STARTED_EVENT)

    async def stop_container(self, identifier: str, timeout_s: float) -> None:
        """Idempotent; an unknown container is no error."""
        record = self._container(identifier, missing_ok=True)
        if record is not None:
            self.expect_end(record)
            with contextlib.suppress(NotFound):
                await self._launcher.stop_container(record.id, timeout_s)

    async def until_told(self, identifier: str) -> None:
        """Of a container that has ended: returns when its log is complete, and its exit told; else at once."""
        record = self._container(identifier, missing_ok=True)
        value = self._launcher.containers().get(record.id) if record is not None else None
        if value is not None and value.state is ContainerState.EXITED:
            await self._launcher.wait(value.spec.id)

    def expect_end(self, record: ContainerRecord) -> None:
        """Somebody ends it: its restart policy is not to bring it back."""
        if standalone.RESTART in record.config.annotations and standalone.STOPPED not in record.config.annotations:
            self.change_container(record, lambda config: config.annotations.update({standalone.STOPPED: "true"}))

    async def remove_container(self, identifier: str) -> None:
        """Idempotent."""
        record = self._container(identifier, missing_ok=True)
        if record is None:
            return
        await self._launcher.remove_container(record.id)
        if self.containers.pop(record.id, None) is not None:
            await asyncio.to_thread(self._records.remove_container, record.id)
            self._tell(record.sandbox_id, record.id, cri.CONTAINER_DELETED_EVENT)

    def check_limits(self, asked: Resources) -> None:
        """Raises Invalid for what this machine's cgroups can't do."""
        limits.check(asked, self._launcher)

    def container(self, identifier: str) -> ContainerRecord:
        """By id or its unique beginning. Raises NotFound."""
        record = self._container(identifier)
        assert record is not None
        return record

    def launched(self, record: ContainerRecord) -> launching.Container | None:
        """What the launcher knows of it."""
        return self._launcher.containers().get(record.id) or self._renewing.get(record.id)

    def lock(self, sandbox_id: str) -> asyncio.Lock:
        """Calls for one pod are taken one after the other."""
        return self._locks[sandbox_id]

    @contextlib.contextmanager
    def renewing(self, record: ContainerRecord) -> Iterator[None]:
        """Meanwhile it is told of as it was when this was entered."""
        launched = self.launched(record)
        if launched is not None:
            self._renewing[record.id] = launched
        try:
            yield
        finally:
            self._renewing.pop(record.id, None)

    def images_in_use(self) -> set[str]:
        volumes = {image for record in self.containers.values() for image in record.volume_images.values()}
        return volumes | {record.image_id for record in self.containers.values()}

    def containers_of(self, sandbox_id: str) -> list[ContainerRecord]:
        return [record for record in self.containers.values() if record.sandbox_id == sandbox_id]

    @property
    def containers_directory(self) -> Path:
        """What the containers' writable layers lie in."""
        return self._records.containers

    def layer(self, record: ContainerRecord) -> Path:
        """Where what the container writes into its root lies."""
        return self._records.container_directory(record.id) / "upper"

    def launched_sandbox(self, identifier: str) -> launching.Sandbox | None:
        """What the launcher knows of it."""
        return self._launcher.sandboxes().get(identifier)

    # Events

    def following(self) -> AbstractContextManager[AsyncIterator[Event]]:
        """What happens from the moment this is entered on. Raises Unavailable for a follower that does not keep up."""
        return self._followers.following()

    def _tell(self, sandbox_id: str, container_id: str, kind: Any, gone: SandboxRecord | None = None) -> None:
        record = self.sandboxes.get(sandbox_id, gone)
        if record is None or not self._followers:
            return
        self._followers.tell(
            Event(
                kind=kind,
                at_ns=time.time_ns(),
                container_id=container_id,
                sandbox=record,
                ready=self.sandbox_ready(record),
                containers=tuple((each, self.launched(each)) for each in self.containers_of(sandbox_id)),
            )
        )

    # Inside

    def _sandbox(self, identifier: str, *, missing_ok: bool = False) -> SandboxRecord | None:
        found = self.sandboxes.get(identifier) or _by_prefix(self.sandboxes, identifier)
        if found is None and not missing_ok:
            raise NotFound(f'sandbox "{identifier}" not found')
        return found

    def _container(self, identifier: str, *, missing_ok: bool = False) -> ContainerRecord | None:
        found = self.containers.get(identifier) or _by_prefix(self.containers, identifier)
        if found is None and not missing_ok:
            raise NotFound(f'container "{identifier}" not found')
        return found


def _by_prefix(records: dict[str, Any], identifier: str) -> Any:
    """The one whose id begins so, as tools shorten ids."""
    if len(identifier) < 8:
        return None
    found = [record for key, record in records.items() if key.startswith(identifier)]
    return found[0] if len(found) == 1 else None


def _check_metadata(config: Any) -> None:
    for field in ("name", "namespace", "uid"):
        if not getattr(config.metadata, field):
            raise Invalid(f"config.metadata.{field}: required")


def _name(config: Any) -> str:
    return f"{config.metadata.namespace}/{config.metadata.name}"
