"""Archives made by hand, and what a directory holds."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from knarr_runtime.images.store import ImageStore

Tree = dict[str, tuple[object, ...]]


def entry(
    name: str, data: bytes | str = b"", kind: bytes = tarfile.REGTYPE, **more: Any
) -> tuple[tarfile.TarInfo, bytes]:
    """A link's target is text, a file's content bytes."""
    info = tarfile.TarInfo(name)
    info.type, info.mode = kind, 0o755
    if isinstance(data, str):
        info.linkname, data = data, b""
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def packed(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def docker_archive(*layers: bytes, tag: str = "app:1") -> bytes:
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    config = json.dumps({"config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    names = [f"{number}.tar" for number in range(len(layers))]
    manifest = json.dumps([{"Config": "c.json", "RepoTags": [tag], "Layers": names}]).encode()
    parts = [entry("c.json", config), entry("manifest.json", manifest)]
    return packed(*parts, *(entry(name, layer) for name, layer in zip(names, layers, strict=True)))


def tree(root: Path) -> Tree:
    """Path → kind and mode, owner, time, device, attributes, content or link; hard links by their first name."""
    found: Tree = {}
    first: dict[int, str] = {}
    every = [Path(at, name) for at, directories, files in os.walk(root) for name in (*directories, *files)]
    for path in sorted(every):
        name, status = str(path.relative_to(root)), path.lstat()
        attributes = {key: os.getxattr(path, key, follow_symlinks=False) for key in listed(path)}
        content: object = ""
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            with path.open("rb") as file:
                content = (first.setdefault(status.st_ino, name), hashlib.file_digest(file, "sha256").hexdigest())
        device = status.st_rdev if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode) else 0
        owner = (status.st_uid, status.st_gid)
        found[name] = (oct(status.st_mode), owner, status.st_mtime_ns, device, attributes, content)
    return found


def listed(path: Path) -> list[str]:
    return [key for key in os.listxattr(path, follow_symlinks=False) if key.startswith(("user.", "security.cap"))]


@pytest.fixture
def make() -> Callable[..., tuple[tarfile.TarInfo, bytes]]:
    return entry


@pytest.fixture
def pack() -> Callable[..., bytes]:
    return packed


@pytest.fixture
def docker() -> Callable[..., bytes]:
    return docker_archive


@pytest.fixture
def look() -> Callable[[Path], Tree]:
    return tree


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")
