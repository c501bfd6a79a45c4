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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import structlog
from google.protobuf.message import DecodeError

from knarr_proto.cri import api_pb2 as cri

_T = TypeVar("_T")
_log = structlog.get_logger("knarr.cri")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRecord:
    """config: a PodSandboxConfig. address: without prefix; empty with the host's network.

    runtime_handler: as it was asked for. made: with network and files, so it may be told of as a pod.
    """

    id: str
    config: Any
    created_at_ns: int
    address: str = ""
    stopped: bool = False
    runtime_handler: str = ""
    made: bool = True


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
            "made": record.made,
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
        """Everything; directories without a whole record are removed, which is said if there was a damaged one."""
        sandboxes = {
            identifier: record
            for identifier, document in self._documents("sandboxes")
            if (record := self._parsed("sandboxes", identifier, document, _sandbox)) is not None
        }
        containers = {
            identifier: found
            for identifier, document in self._documents("containers")
            if (found := self._parsed("containers", identifier, document, _container)) is not None
        }
        return sandboxes, containers

    def _parsed(
        self, kind: str, identifier: str, document: bytes, parse: Callable[[str, dict[str, Any]], _T]
    ) -> _T | None:
        try:
            return parse(identifier, json.loads(document))
        except (ValueError, TypeError, KeyError, AttributeError, DecodeError) as error:
            _log.warning("record is damaged, so this is removed", kind=kind, id=identifier, error=repr(error))
            shutil.rmtree(self._root / kind / identifier, ignore_errors=True)
            return None

    def remove_sandbox(self, identifier: str) -> None:
        shutil.rmtree(self.sandbox_directory(identifier), ignore_errors=True)

    def remove_container(self, identifier: str) -> None:
        shutil.rmtree(self.container_directory(identifier), ignore_errors=True)

    def _documents(self, kind: str) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        for directory in (self._root / kind).iterdir():
            try:
                found.append((directory.name, (directory / "record.json").read_bytes()))
            except OSError:
                shutil.rmtree(directory, ignore_errors=True)
        return found


def _sandbox(identifier: str, document: dict[str, Any]) -> SandboxRecord:
    config = cri.PodSandboxConfig.FromString(base64.b64decode(document.pop("config")))
    return SandboxRecord(id=identifier, config=config, **document)


def _container(identifier: str, document: dict[str, Any]) -> ContainerRecord:
    config = cri.ContainerConfig.FromString(base64.b64decode(document.pop("config")))
    return ContainerRecord(id=identifier, config=config, **document)


def _encode(message: Any) -> str:
    return base64.b64encode(message.SerializeToString()).decode()


def _write(directory: Path, document: dict[str, Any]) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = directory / ".record.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file)
    temporary.replace(directory / "record.json")
