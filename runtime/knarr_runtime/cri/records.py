"""What the daemon keeps on disk of sandboxes and containers, beside what the launcher keeps.

    ROOT/sandboxes/<id>/record.json   the CRI configuration, address, creation time
    ROOT/sandboxes/<id>/hosts …       files mounted into its containers
    ROOT/containers/<id>/record.json  the CRI configuration, image, creation time
    ROOT/containers/<id>/upper, work  the writable layer

Written before anything is started and removed after everything has ended, so that a restart finds all there is.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from knarr_proto.cri import api_pb2 as cri


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRecord:
    """config: a PodSandboxConfig. address: without prefix; empty with the host's network.

    runtime_handler: as it was asked for.
    """

    id: str
    config: Any
    created_at_ns: int
    address: str = ""
    stopped: bool = False
    runtime_handler: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRecord:
    """config: a ContainerConfig. image_ref: the image by repository and digest, "" for one that came without.

    volume_images: path in the container → id, of images mounted as volumes.
    """

    id: str
    sandbox_id: str
    config: Any
    image_id: str
    created_at_ns: int
    image_ref: str = ""
    volume_images: Mapping[str, str] = field(default_factory=dict)


class Records:
    """Blocking, but quick: small files."""

    def __init__(self, root: Path) -> None:
        self._root = root
        for name in ("sandboxes", "containers"):
            (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def sandbox_directory(self, identifier: str) -> Path:
        return self._root / "sandboxes" / identifier

    @property
    def containers(self) -> Path:
        return self._root / "containers"

    def container_directory(self, identifier: str) -> Path:
        return self.containers / identifier

    def save_sandbox(self, record: SandboxRecord) -> None:
        document = {
            "config": _encode(record.config),
            "created_at_ns": record.created_at_ns,
            "address": record.address,
            "stopped": record.stopped,
            "runtime_handler": record.runtime_handler,
        }
        _write(self.sandbox_directory(record.id), document)

    def save_container(self, record: ContainerRecord) -> None:
        document = {
            "sandbox_id": record.sandbox_id,
            "config": _encode(record.config),
            "image_id": record.image_id,
            "created_at_ns": record.created_at_ns,
            "image_ref": record.image_ref,
            "volume_images": dict(record.volume_images),
        }
        _write(self.container_directory(record.id), document)

    def load(self) -> tuple[dict[str, SandboxRecord], dict[str, ContainerRecord]]:
        """Everything; directories without a whole record are removed."""
        sandboxes: dict[str, SandboxRecord] = {}
        for identifier, document in self._documents("sandboxes"):
            config = cri.PodSandboxConfig.FromString(base64.b64decode(document.pop("config")))
            sandboxes[identifier] = SandboxRecord(id=identifier, config=config, **document)
        containers: dict[str, ContainerRecord] = {}
        for identifier, document in self._documents("containers"):
            container = cri.ContainerConfig.FromString(base64.b64decode(document.pop("config")))
            containers[identifier] = ContainerRecord(id=identifier, config=container, **document)
        return sandboxes, containers

    def remove_sandbox(self, identifier: str) -> None:
        shutil.rmtree(self.sandbox_directory(identifier), ignore_errors=True)

    def remove_container(self, identifier: str) -> None:
        shutil.rmtree(self.container_directory(identifier), ignore_errors=True)

    def _documents(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        found: list[tuple[str, dict[str, Any]]] = []
        for directory in (self._root / kind).iterdir():
            try:
                found.append((directory.name, json.loads((directory / "record.json").read_text())))
            except (OSError, ValueError):
                shutil.rmtree(directory, ignore_errors=True)
        return found


def _encode(message: Any) -> str:
    return base64.b64encode(message.SerializeToString()).decode()


def _write(directory: Path, document: dict[str, Any]) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = directory / ".record.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file)
    temporary.replace(directory / "record.json")
