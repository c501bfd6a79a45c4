"""Named volumes: directories that outlive containers.

    ROOT/volumes/<name>/data          what containers see
    ROOT/volumes/<name>/volume.json   labels, whether it goes with its container; written last, so it tells a whole one

A new volume begins with what its image has at the place where it is mounted. All methods block.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from knarr_runtime.errors import Invalid, NotFound, WrongState
from knarr_runtime.images.store import Image, ImageStore
from knarr_runtime.kernel import mounts
from knarr_runtime.standalone import files

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    name: str
    path: Path
    created_at_ns: int
    labels: Mapping[str, str] = field(default_factory=dict)
    anonymous: bool = False


class Volumes:
    def __init__(self, root: Path, images: ImageStore) -> None:
        self._root = root
        self._images = images
        root.mkdir(mode=0o711, parents=True, exist_ok=True)

    def list(self) -> list[Volume]:
        found = (self._read(directory) for directory in sorted(self._root.iterdir()))
        return [volume for volume in found if volume is not None]

    def find(self, name: str) -> Volume:
        """Raises NotFound."""
        found = self._read(self._root / name) if NAME.match(name) else None
        if found is None:
            raise NotFound(f"no such volume: {name}")
        return found

    def create(
        self, name: str, *, labels: Mapping[str, str], anonymous: bool = False, image: str = "", path: str = ""
    ) -> Volume:
        """One that exists stays as it is. image and path: where a new one's content comes from. Raises Invalid."""
        name = name or secrets.token_hex(32)
        if not NAME.match(name):
            raise Invalid(f"volume name {name!r}: letters, digits, _ . and - are allowed, 2 to 128 characters")
        directory = self._root / name
        with contextlib.suppress(NotFound):
            return self.find(name)
        shutil.rmtree(directory, ignore_errors=True)  # half made by a daemon that was killed
        (directory / "data").mkdir(mode=0o755, parents=True)
        directory.chmod(0o711)
        if image:
            self._fill(directory / "data", self._images.find(image), path)
        document = {"created_at_ns": time.time_ns(), "labels": dict(labels), "anonymous": anonymous}
        temporary = directory / ".volume.tmp"
        temporary.write_text(json.dumps(document))
        temporary.replace(directory / "volume.json")
        return self.find(name)

    def remove(self, name: str, in_use: Iterable[str] = ()) -> None:
        """in_use: names. Raises NotFound, WrongState."""
        volume = self.find(name)
        if name in set(in_use):
            raise WrongState(f"volume {name} is in use by a container")
        (volume.path.parent / "volume.json").unlink()
        shutil.rmtree(volume.path.parent, ignore_errors=True)

    def remove_anonymous(self, names: Iterable[str]) -> None:
        for name in names:
            with contextlib.suppress(NotFound):
                if self.find(name).anonymous:
                    self.remove(name)

    def _read(self, directory: Path) -> Volume | None:
        try:
            document = json.loads((directory / "volume.json").read_text())
            return Volume(name=directory.name, path=directory / "data", **document)
        except (OSError, ValueError, TypeError):
            return None

    def _fill(self, target: Path, image: Image, path: str) -> None:
        """From the directory ``path`` of the image, if it has one; with that directory's mode and owner."""
        try:
            tree = mounts.image(self._images.layer_paths(image), "")
        except FileNotFoundError:
            return
        into = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            files.copy_directory(tree, path, into)
        finally:
            os.close(into)
            os.close(tree)
