"""Which code zygote, shims and log reader run: a digest of the files they load. The daemon computes it, they are told.

A daemon that finds a zygote of another version replaces it in place (:mod:`knarr_runtime.node`).
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

PARTS = (
    "channel.py",
    "compact_json.py",
    "defaults.py",
    "errors.py",
    "layout.py",
    "loop.py",
    "spec.py",
    "spec_json.py",
    "kernel",
    "logs",
    "shim",
    "zygote",
)
"""Of the package: all that these processes import."""

_LENGTH = 16


def of(package: Path) -> str:
    """Of the code in ``package``, run by an interpreter like this one. Raises OSError."""
    digest = hashlib.sha256(sys.version.encode())
    for path in _files(package):
        text = path.read_bytes()
        digest.update(f"\0{path.relative_to(package)}\0{len(text)}\0".encode())
        digest.update(text)
    return digest.hexdigest()[:_LENGTH]


def _files(package: Path) -> Iterator[Path]:
    for name in PARTS:
        path = package / name
        yield from sorted(path.rglob("*.py")) if path.is_dir() else (path,)
