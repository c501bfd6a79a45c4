"""What this node should run: the pods bound to it, followed by a watch and kept on disk.

The copy on disk (``D/pods/<uid>/pod.json``, and ``objects.json`` with the ConfigMaps and Secrets a pod uses, both 0600)
lets the agent go on after its own restart while the control plane is away. A pod counts as taken away only when a
fresh list or the watch says so: never because something could not be read.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from knarr_api import errors, json
from knarr_api.types.core_v1 import ConfigMap, Pod, PodSpec, Secret
from knarr_client.client import Client
from knarr_node_agent.environment import Sources

T = TypeVar("T", ConfigMap, Secret)


class StoredObjects(msgspec.Struct, frozen=True):
    """What a pod refers to, as last read."""

    config_maps: tuple[ConfigMap, ...] = ()
    secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class References:
    """Names of what a pod needs and of what it would like."""

    config_maps: frozenset[str]
    secrets: frozenset[str]


def references(spec: PodSpec) -> References:
    """ConfigMaps and Secrets that a pod names. Pure."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
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
    """The copy on disk."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._saved: dict[str, str] = {}

    def load(self) -> dict[str, Pod]:
        """By uid. Files that are damaged are left out."""
        found: dict[str, Pod] = {}
        for path in self._root.glob("*/pod.json"):
            try:
                pod = json.decode(path.read_bytes(), Pod)
            except (OSError, errors.Invalid):
                continue
            found[pod.metadata.uid] = pod
        return found

    def save(self, pod: Pod) -> None:
        revision = pod.metadata.resource_version
        if self._saved.get(pod.metadata.uid) == revision and revision:
            return
        self._write(pod.metadata.uid, "pod.json", json.encode(pod))
        self._saved[pod.metadata.uid] = revision

    def save_objects(self, uid: str, objects: StoredObjects) -> None:
        self._write(uid, "objects.json", json.encode(objects))

    def load_objects(self, uid: str) -> StoredObjects:
        try:
            return json.decode((self._root / uid / "objects.json").read_bytes(), StoredObjects)
        except (OSError, errors.Invalid):
            return StoredObjects()

    def forget(self, uid: str) -> None:
        self._saved.pop(uid, None)
        for name in ("pod.json", "objects.json"):
            (self._root / uid / name).unlink(missing_ok=True)

    def remove(self, uid: str) -> None:
        """All of the pod's directory."""
        self.forget(uid)
        shutil.rmtree(self._root / uid, ignore_errors=True)

    def _write(self, uid: str, name: str, data: bytes) -> None:
        directory = self._root / uid
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = directory / f".{name}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        temporary.replace(directory / name)


class ObjectCache:
    """ConfigMaps and Secrets of pods, read from the API, else what was read last."""

    def __init__(self, client: Client, store: AssignmentStore) -> None:
        self._client = client
        self._store = store
        self._objects: dict[str, StoredObjects] = {}

    async def of(self, pod: Pod, *, fresh: bool) -> Sources:
        """What the pod refers to. fresh: ask the API again. Missing objects are left out."""
        wanted = references(pod.spec)
        uid = pod.metadata.uid
        if not wanted.config_maps and not wanted.secrets:
            return Sources()
        known = self._objects.get(uid)
        if known is None or fresh:
            before = known or self._store.load_objects(uid)
            namespace = pod.metadata.namespace
            found = StoredObjects(
                config_maps=await self._read(ConfigMap, namespace, wanted.config_maps, before.config_maps),
                secrets=await self._read(Secret, namespace, wanted.secrets, before.secrets),
            )
            if found != before:
                self._store.save_objects(uid, found)
            known = self._objects[uid] = found
        return Sources(
            config_maps={each.metadata.name: each for each in known.config_maps},
            secrets={each.metadata.name: each for each in known.secrets},
        )

    def forget(self, uid: str) -> None:
        self._objects.pop(uid, None)

    async def _read(
        self, type_: type[T], namespace: str, names: frozenset[str], before: tuple[T, ...]
    ) -> tuple[T, ...]:
        found: list[T] = []
        old: Mapping[str, T] = {each.metadata.name: each for each in before}
        for name in sorted(names):
            try:
                found.append(await self._client.get(type_, name, namespace))
            except errors.NotFound:
                continue
            except errors.KnarrError:
                if name in old:
                    found.append(old[name])
        return tuple(found)
