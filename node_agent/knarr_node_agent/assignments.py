"""What this node should run: the pods bound to it, followed by a watch and kept on disk.

The copy (``D/pods/<uid>/pod.json``, and ``objects.json`` with the ConfigMaps a pod uses, all 0600; its Secrets on a
tmpfs) lets the agent go on after its own restart while the control plane is away. A pod counts as taken away only
when a fresh list or the watch says so: never because something could not be read.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import structlog

from knarr_api import errors, json, kinds
from knarr_api.types.core_v1 import ConfigMap, Pod, PodSpec, Secret
from knarr_client.client import Client, Key, title_of
from knarr_client.clock import Clock
from knarr_node_agent.environment import Sources

READ_TIMEOUT_S = 10.0
T = TypeVar("T", ConfigMap, Secret)


class StoredObjects(msgspec.Struct, frozen=True):
    """What a pod refers to, as last read. missing: ``<resource>/<name>`` of what there was none of."""

    config_maps: tuple[ConfigMap, ...] = ()
    secrets: tuple[Secret, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class References:
    """Names of what a pod needs and of what it would like."""

    config_maps: frozenset[str]
    secrets: frozenset[str]


def references(spec: PodSpec) -> References:
    """ConfigMaps and Secrets that a pod names. Pure."""
    config_maps: set[str] = set()
    secrets: set[str] = {reference.name for reference in spec.image_pull_secrets}
    for volume in spec.volumes:
        if volume.config_map is not None:
            config_maps.add(volume.config_map.name)
        if volume.secret is not None:
            secrets.add(volume.secret.secret_name)
        for source in volume.projected.sources if volume.projected is not None else ():
            if source.config_map is not None:
                config_maps.add(source.config_map.name)
            if source.secret is not None:
                secrets.add(source.secret.name)
    for container in (*spec.init_containers, *spec.containers):
        for given in container.env_from:
            if given.config_map_ref is not None:
                config_maps.add(given.config_map_ref.name)
            if given.secret_ref is not None:
                secrets.add(given.secret_ref.name)
        for variable in container.env:
            value = variable.value_from
            if value is not None and value.config_map_key_ref is not None:
                config_maps.add(value.config_map_key_ref.name)
            if value is not None and value.secret_key_ref is not None:
                secrets.add(value.secret_key_ref.name)
    return References(frozenset(config_maps), frozenset(secrets))


class AssignmentStore:
    """The copy on disk. secrets: a directory in memory; what lies there does not outlive the machine."""

    def __init__(self, root: Path, secrets: Path) -> None:
        self._root = root
        self._secrets = secrets
        self._saved: dict[str, Pod] = {}
        self._later: dict[str, Pod] = {}

    def load(self) -> dict[str, Pod]:
        """By uid. Files that are damaged are left out: the API has what they held."""
        found: dict[str, Pod] = {}
        for path in self._root.glob("*/pod.json"):
            try:
                pod = json.decode(path.read_bytes(), Pod)
            except (OSError, errors.Invalid):
                continue
            found[pod.metadata.uid] = pod
        return found

    def save(self, pod: Pod) -> None:
        """What should run is written at once; that its status alone is another, with the next ``flush``, as well as
        what could not be written: a node with a full disk goes on."""
        uid = pod.metadata.uid
        saved = self._saved.get(uid)
        self._later[uid] = pod
        if saved is None or not same_wish(saved, pod):
            self._try_to_write(pod)

    def flush(self) -> None:
        for pod in tuple(self._later.values()):
            if not self._try_to_write(pod):
                return

    def save_objects(self, uid: str, objects: StoredObjects) -> None:
        self._write(self._root / uid, "objects.json", json.encode(msgspec.structs.replace(objects, secrets=())))
        if objects.secrets:
            secrets = StoredObjects(secrets=objects.secrets)
            self._write(self._secrets / uid, "objects.json", json.encode(secrets))

    def load_objects(self, uid: str) -> StoredObjects:
        plain, secret = (self._read(root / uid / "objects.json") for root in (self._root, self._secrets))
        return StoredObjects(config_maps=plain.config_maps, secrets=secret.secrets, missing=plain.missing)

    def forget(self, uid: str) -> None:
        """The pod is not of this node any more; its directories are the volumes' to remove."""
        self._saved.pop(uid, None)
        self._later.pop(uid, None)
        for root in (self._root, self._secrets):
            for name in ("pod.json", "objects.json"):
                (root / uid / name).unlink(missing_ok=True)

    def _try_to_write(self, pod: Pod) -> bool:
        uid = pod.metadata.uid
        try:
            self._write(self._root / uid, "pod.json", json.encode(pod))
        except OSError as error:
            log = structlog.get_logger("knarr.pods")
            log.warning("a pod could not be saved yet, trying again", object=title_of(pod), error=str(error))
            return False
        self._saved[uid] = pod
        self._later.pop(uid, None)
        return True

    def _read(self, path: Path) -> StoredObjects:
        try:
            return json.decode(path.read_bytes(), StoredObjects)
        except (OSError, errors.Invalid):
            return StoredObjects()

    def _write(self, directory: Path, name: str, data: bytes) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = directory / f".{name}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        temporary.replace(directory / name)


def same_wish(one: Pod, other: Pod) -> bool:
    """Whether two states of a pod ask the node for the same."""
    before, after = one.metadata, other.metadata
    return (
        before.deletion_timestamp == after.deletion_timestamp
        and before.deletion_grace_period_seconds == after.deletion_grace_period_seconds
        and before.labels == after.labels
        and before.annotations == after.annotations
        and one.spec == other.spec
    )


@dataclass(frozen=True, slots=True)
class _Read(Generic[T]):
    """The answer for one name. value: None when there is no such object."""

    value: T | None
    at_s: float


class ObjectCache:
    """ConfigMaps and Secrets of pods, read from the API by name, else what was read last."""

    def __init__(self, client: Client, store: AssignmentStore, clock: Clock) -> None:
        self._client = client
        self._store = store
        self._clock = clock
        self._objects: dict[str, StoredObjects] = {}
        self._config_maps: dict[Key, _Read[ConfigMap]] = {}
        self._secrets: dict[Key, _Read[Secret]] = {}

    async def of(self, pod: Pod, *, age_s: float) -> Sources:
        """What the pod refers to, read from the API at most ``age_s`` ago. Missing objects are left out.

        What can't be read counts as it was last; raises Unavailable for what was never read.
        """
        wanted = references(pod.spec)
        if not wanted.config_maps and not wanted.secrets:
            return Sources()
        uid, namespace = pod.metadata.uid, pod.metadata.namespace
        before = self._objects.get(uid) or self._store.load_objects(uid)
        config_maps = [
            await self._get(ConfigMap, self._config_maps, Key(namespace, name), before, before.config_maps, age_s)
            for name in sorted(wanted.config_maps)
        ]
        secrets = [
            await self._get(Secret, self._secrets, Key(namespace, name), before, before.secrets, age_s)
            for name in sorted(wanted.secrets)
        ]
        found = StoredObjects(
            config_maps=tuple(each for each in config_maps if each is not None),
            secrets=tuple(each for each in secrets if each is not None),
            missing=(
                *(
                    f"configmaps/{n}"
                    for n, each in zip(sorted(wanted.config_maps), config_maps, strict=True)
                    if not each
                ),
                *(f"secrets/{n}" for n, each in zip(sorted(wanted.secrets), secrets, strict=True) if not each),
            ),
        )
        if found != before:
            self._store.save_objects(uid, found)
        self._objects[uid] = found
        return Sources(
            config_maps={each.metadata.name: each for each in found.config_maps},
            secrets={each.metadata.name: each for each in found.secrets},
        )

    def forget(self, uid: str) -> None:
        self._objects.pop(uid, None)
        if not self._objects:
            self._config_maps.clear()
            self._secrets.clear()

    async def _get(
        self,
        type_: type[T],
        reads: dict[Key, _Read[T]],
        key: Key,
        stored: StoredObjects,
        before: tuple[T, ...],
        age_s: float,
    ) -> T | None:
        known = reads.get(key)
        if known is not None and self._clock.monotonic() - known.at_s <= age_s:
            return known.value
        asked_at_s = self._clock.monotonic()
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                value: T | None = await self._client.get(type_, key.name, key.namespace)
        except errors.NotFound:
            value = None
        except (errors.KnarrError, TimeoutError) as error:
            old = next((each for each in before if each.metadata.name == key.name), None)
            if old is None and f"{kinds.of(type_).resource}/{key.name}" not in stored.missing:
                raise errors.Unavailable(f"{kinds.of(type_).resource} {key} can't be read: {error}") from error
            return old
        reads[key] = _Read(value, asked_at_s)
        return value
