"""Everything it takes to start a container: volumes, sandbox, image, configuration, create, start, postStart.

What is wrong with a container is a StartProblem with the reason that users see in its waiting state.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from knarr_api import errors
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import Container as ContainerSpec
from knarr_api.types.core_v1 import Pod
from knarr_client.clock import Clock
from knarr_client.event_recorder import EventRecorder
from knarr_node_agent import configs
from knarr_node_agent.assignments import ObjectCache
from knarr_node_agent.environment import Sources, environment
from knarr_node_agent.hooks import run_hook
from knarr_node_agent.images import Images, Present, Pulling, Refused
from knarr_node_agent.pod_files import PodFiles
from knarr_node_agent.podmachine.world import Container, Sandbox
from knarr_node_agent.probes import Target
from knarr_node_agent.runtime import Image, Runtime
from knarr_node_agent.tokens import PodTokens
from knarr_node_agent.user_ranges import UserRanges
from knarr_node_agent.volumes import Volumes
from knarr_proto.cri import api_pb2 as cri

POST_START_TIMEOUT_S = 60.0
KNOWN_AGE_S = 600.0
RESOLV_CONF = Path("/etc/resolv.conf")


class StartProblem(Exception):
    """reason: the container's waiting reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What containers learn of their node. allocatable: what a container without a limit is told."""

    host_ip: str
    memory_bytes: int
    log_root: Path
    allocatable: Mapping[str, Quantity]


class Starter:
    """images_changed: called with a pod's uid when a pull that it waits for has ended; set by whoever uses it."""

    def __init__(
        self,
        runtime: Runtime,
        objects: ObjectCache,
        volumes: Volumes,
        files: PodFiles,
        users: UserRanges,
        events: EventRecorder,
        clock: Clock,
        facts: NodeFacts,
        tokens: PodTokens,
    ) -> None:
        self.images_changed: Callable[[str], None] = lambda uid: None
        self._runtime = runtime
        self._objects = objects
        self._volumes = volumes
        self._files = files
        self._users = users
        self._events = events
        self._clock = clock
        self._facts = facts
        self._tokens = tokens
        self._images = Images(runtime, lambda uid: self.images_changed(uid))

    async def prepare(self, pod: Pod, *, age_s: float = 0.0) -> None:
        """The volumes, from objects read at most ``age_s`` ago. Raises NotFound, Invalid, Unavailable, OSError."""
        await asyncio.to_thread(self._volumes.prepare, pod, await self._sources(pod, age_s))

    async def make_sandbox(self, pod: Pod, attempt: int) -> None:
        logs = pod_logs(self._facts.log_root, pod)
        logs.mkdir(mode=0o755, parents=True, exist_ok=True)
        if pod.spec.host_users is False and not await self._runtime.has_user_namespaces():
            raise errors.Invalid("hostUsers: false: the container runtime has no user namespaces")
        await self._runtime.make_sandbox(self._sandbox_config(pod, attempt))

    async def start(
        self,
        pod: Pod,
        container: ContainerSpec,
        sandbox: Sandbox,
        attempt: int,
        group: asyncio.TaskGroup,
        *,
        retried: bool,
    ) -> bool:
        """Create and start a run. False: its image is on the way. retried: it could not be started before.

        Raises StartProblem.
        """
        try:
            sources = await self._sources(pod, 0.0 if retried or attempt == 0 else KNOWN_AGE_S)
        except (errors.Unavailable, errors.NotFound, errors.Invalid) as error:
            raise StartProblem("CreateContainerConfigError", str(error)) from error
        ip = self._facts.host_ip if pod.spec.host_network else sandbox.ip
        image = await self._image(pod, container, sources, group)
        if image is None:
            return False
        config = await self._config(pod, container, attempt, replace(sources, pod_ip=ip), image)
        try:
            identifier = await self._runtime.create(sandbox.id, config, self._sandbox_config(pod, sandbox.attempt))
        except errors.KnarrError as error:
            raise StartProblem("CreateContainerError", str(error)) from error
        self._events.normal(pod, "Created", f"Created container: {container.name}")
        try:
            await self._runtime.start(identifier)
        except errors.KnarrError as error:
            raise StartProblem("RunContainerError", str(error)) from error
        self._events.normal(pod, "Started", f"Started container {container.name}")
        await self._post_start(Target(pod=pod, container=container, container_id=identifier, ip=ip))
        return True

    def is_pulling(self, uid: str, image: str) -> bool:
        return self._images.waits(uid, image)

    def last_words(self, pod: Pod, run: Container) -> str:
        """What a run that has ended left as its message."""
        spec = pod.spec
        container = next((c for c in (*spec.containers, *spec.init_containers) if c.name == run.name), None)
        if container is None:
            return ""
        log = pod_logs(self._facts.log_root, pod) / configs.log_path(run.name, run.attempt)
        return self._files.last_words(pod.metadata.uid, container, run.attempt, failed=run.exit_code != 0, log=log)

    def forget_run(self, pod: Pod, run: Container) -> None:
        """Remove a run's log, with what was rotated away of it, and its message."""
        self._files.forget_run(pod.metadata.uid, run.name, run.attempt)
        path = pod_logs(self._facts.log_root, pod) / configs.log_path(run.name, run.attempt)
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink(missing_ok=True)

    def remove(self, pod: Pod) -> None:
        """All that the node's disk holds of the pod."""
        uid = pod.metadata.uid
        self._images.forget(uid)
        self._tokens.forget(uid)
        self._volumes.remove(uid)
        self._users.forget(uid)
        if pod.metadata.name:
            shutil.rmtree(pod_logs(self._facts.log_root, pod), ignore_errors=True)

    def known_pods(self) -> set[str]:
        """Uids of which there is something on the disk."""
        return self._volumes.uids()

    # Within

    async def _sources(self, pod: Pod, age_s: float) -> Sources:
        sources = await self._objects.of(pod, age_s=age_s)
        tokens = await self._tokens.of(pod)
        return replace(sources, tokens=tokens, host_ip=self._facts.host_ip, allocatable=self._facts.allocatable)

    def _sandbox_config(self, pod: Pod, attempt: int) -> cri.PodSandboxConfig:
        try:
            resolver = configs.read_resolver(RESOLV_CONF.read_text())
        except OSError:
            resolver = configs.Resolver()
        log_directory = str(pod_logs(self._facts.log_root, pod))
        return configs.sandbox_config(pod, attempt, log_directory, resolver, self._users.of(pod))

    async def _image(
        self, pod: Pod, container: ContainerSpec, sources: Sources, group: asyncio.TaskGroup
    ) -> Image | None:
        """None: it is being pulled."""
        name, uid = container.image, pod.metadata.uid
        secrets = [s for r in pod.spec.image_pull_secrets if (s := sources.secrets.get(r.name)) is not None]
        match await self._images.have(uid, name, container.image_pull_policy, secrets, group):
            case Present(image, pulled, note):
                if pulled:
                    text = f'Successfully pulled image "{name}"'
                else:
                    text = f'Container image "{name}" already present on machine' + (f" ({note})" if note else "")
                self._events.normal(pod, "Pulled", text)
                return image
            case Pulling(began):
                if began:
                    self._events.normal(pod, "Pulling", f'Pulling image "{name}"')
                return None
            case Refused(reason, message):
                raise StartProblem(reason, message)

    async def _config(
        self, pod: Pod, container: ContainerSpec, attempt: int, sources: Sources, image: Image
    ) -> cri.ContainerConfig:
        try:
            variables = environment(pod, container, sources)
            mounts = await asyncio.to_thread(self._mounts, pod, container, attempt, variables, sources.pod_ip)
            return configs.container_config(
                pod,
                container,
                attempt,
                variables,
                mounts,
                image=image,
                memory_bytes=self._facts.memory_bytes,
                users=self._users.of(pod),
            )
        except (errors.NotFound, errors.Invalid, OSError) as error:
            raise StartProblem("CreateContainerConfigError", str(error)) from error

    def _mounts(
        self, pod: Pod, container: ContainerSpec, attempt: int, variables: Mapping[str, str], ip: str
    ) -> tuple[configs.HostMount, ...]:
        volumes = self._volumes.mounts(pod, container, variables)
        os.makedirs(pod_logs(self._facts.log_root, pod) / container.name, mode=0o755, exist_ok=True)
        return (*volumes, *self._files.mounts(pod, container, attempt, ip))

    async def _post_start(self, target: Target) -> None:
        """A container whose postStart hook fails is killed."""
        lifecycle = target.container.lifecycle
        hook = lifecycle.post_start if lifecycle is not None else None
        if hook is None:
            return
        why = await run_hook(self._runtime, self._clock, target, hook, timeout_s=POST_START_TIMEOUT_S)
        if why:
            self._events.warning(target.pod, "FailedPostStartHook", f"container {target.container.name}: {why}")
            await self._runtime.stop(target.container_id, 0)


def pod_logs(root: Path, pod: Pod) -> Path:
    """Directory of a pod's logs, named as the kubelet names it."""
    metadata = pod.metadata
    return root / f"{metadata.namespace}_{metadata.name}_{metadata.uid}"
