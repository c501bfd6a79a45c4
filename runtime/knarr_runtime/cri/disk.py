"""What a container's writable layer takes on disk: counted by walking it, and not again while a count is fresh.

A count stays fresh for a second, and for twenty times as long as it took: a huge layer costs at most a twentieth of
one thread however often it is asked for.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

FRESH_S = 1.0
SHARE = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    """at_ns: when it was counted."""

    at_ns: int
    used_bytes: int
    inodes: int


class DiskUsages:
    """The last count of each directory."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[float, DiskUsage]] = {}
        self._locks: dict[Path, asyncio.Lock] = {}

    async def of(self, directory: Path) -> DiskUsage:
        lock = self._locks.setdefault(directory, asyncio.Lock())
        async with lock:
            fresh_until_s, usage = self._known.get(directory, (0.0, None))
            now_s = time.monotonic()
            if usage is None or now_s >= fresh_until_s:
                usage = await asyncio.to_thread(count, directory)
                took_s = time.monotonic() - now_s
                self._known[directory] = (time.monotonic() + max(FRESH_S, took_s * SHARE), usage)
            return usage

    def keep_only(self, directories: set[Path]) -> None:
        """Forgets what is gone."""
        self._known = {path: known for path, known in self._known.items() if path in directories}
        self._locks = {path: lock for path, lock in self._locks.items() if path in directories or lock.locked()}


def count(directory: Path) -> DiskUsage:
    """Blocks and inodes at and below ``directory``; a file with several links counts once. Blocking."""
    seen: set[tuple[int, int]] = set()
    used = 0
    waiting = [str(directory)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    key = (status.st_dev, status.st_ino)
                    if key in seen:
                        continue
                    seen.add(key)
                    used += status.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except FileNotFoundError:  # removed meanwhile
            continue
    return DiskUsage(at_ns=time.time_ns(), used_bytes=used, inodes=len(seen))
