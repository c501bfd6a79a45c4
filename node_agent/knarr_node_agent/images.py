"""Having a container's image before it is started. Pulls run beside the loop, each image once at a time.

Source: Kubernetes "Images": pull policies, and how failures are named.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from knarr_api import errors
from knarr_api.types.core_v1 import Secret
from knarr_node_agent.runtime import Image, Runtime
from knarr_proto.cri import api_pb2 as cri

PULLS_AT_ONCE = 4
DOCKER_HUB = "docker.io"


@dataclass(frozen=True, slots=True)
class Present:
    """pulled: for this start. note: why an older image is used although a pull was wanted, or empty."""

    image: Image
    pulled: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Pulling:
    """It is on its way; whoever asked is told when it is there or can't be had."""

    began: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """reason: the container's waiting reason."""

    reason: str
    message: str


Answer = Present | Pulling | Refused


class _Pull:
    def __init__(self, task: asyncio.Task[None]) -> None:
        self.task = task
        self.waiting: set[str] = set()


class Images:
    """changed: called with a pod's uid when a pull that it waits for has ended."""

    def __init__(self, runtime: Runtime, changed: Callable[[str], None]) -> None:
        self._runtime = runtime
        self._changed = changed
        self._slots = asyncio.Semaphore(PULLS_AT_ONCE)
        self._pulls: dict[str, _Pull] = {}
        self._results: dict[tuple[str, str], errors.KnarrError | None] = {}
        """By pod uid and image: how the pull that it waited for has ended, until it asks."""

    async def have(
        self, uid: str, name: str, policy: str, secrets: Iterable[Secret], group: asyncio.TaskGroup
    ) -> Answer:
        """Whether a pod's container may start with this image. group: where a pull runs."""
        try:
            image = await self._runtime.image(name)
        except errors.Invalid as error:
            return Refused("InvalidImageName", f'Failed to apply default image tag "{name}": {error}')
        if (uid, name) in self._results:
            return self._ended(name, image, self._results.pop((uid, name)))
        if policy == "Never" and image is None:
            return Refused("ErrImageNeverPull", f'Container image "{name}" is not present with pull policy of Never')
        if image is not None and policy != "Always":
            return Present(image)
        began = name not in self._pulls
        if began:
            auth = credentials(name, secrets)
            self._pulls[name] = _Pull(group.create_task(self._pull(name, auth), name=f"pull {name}"))
        self._pulls[name].waiting.add(uid)
        return Pulling(began)

    def waits(self, uid: str, name: str) -> bool:
        pull = self._pulls.get(name)
        return pull is not None and uid in pull.waiting

    def forget(self, uid: str) -> None:
        for pull in self._pulls.values():
            pull.waiting.discard(uid)
        for key in [key for key in self._results if key[0] == uid]:
            del self._results[key]

    async def _pull(self, name: str, auth: cri.AuthConfig | None) -> None:
        failure: errors.KnarrError | None = None
        try:
            async with self._slots:
                await self._runtime.pull(name, auth)
        except errors.KnarrError as error:
            failure = error
        for uid in self._pulls.pop(name).waiting:
            self._results[uid, name] = failure
            self._changed(uid)

    def _ended(self, name: str, image: Image | None, failure: errors.KnarrError | None) -> Answer:
        if failure is None:
            if image is not None:
                return Present(image, pulled=True)
            return Refused("ErrImagePull", f'image "{name}" was pulled and is not there')
        if image is not None and isinstance(failure, errors.Unimplemented | errors.Unavailable):
            return Present(image, note=f"the registry can't be asked: {failure}")
        if isinstance(failure, errors.Invalid):
            return Refused("InvalidImageName", str(failure))
        return Refused("ErrImagePull", str(failure))


def registry_of(image: str) -> str:
    """The registry's host of an image's name, Docker Hub when none is given."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else DOCKER_HUB


def credentials(image: str, secrets: Iterable[Secret]) -> cri.AuthConfig | None:
    """What the pod's imagePullSecrets say for the image's registry; None when nothing. Damaged secrets say nothing."""
    registry = registry_of(image)
    for secret in secrets:
        raw = secret.data.get(".dockerconfigjson") or secret.data.get(".dockercfg") or b"{}"
        try:
            document = msgspec.json.decode(raw)
        except msgspec.DecodeError:
            continue
        entries = document.get("auths", document) if isinstance(document, dict) else {}
        for server, entry in entries.items() if isinstance(entries, dict) else ():
            host = str(server).removeprefix("https://").removeprefix("http://").partition("/")[0]
            if registry not in (host, "docker.io" if host == "index.docker.io" else host) or not isinstance(
                entry, dict
            ):
                continue
            user, password = str(entry.get("username", "")), str(entry.get("password", ""))
            if not user and entry.get("auth"):
                try:
                    user, _, password = base64.b64decode(str(entry["auth"]), validate=True).decode().partition(":")
                except (binascii.Error, UnicodeDecodeError):
                    continue
            return cri.AuthConfig(username=user, password=password, server_address=str(server))
    return None
