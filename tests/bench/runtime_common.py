"""What the runtime's benchmarks share: a root of busybox, a clock, and the table at the end."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from knarr_runtime.kernel import syscalls

BUSYBOX = "/bin/busybox"
SUITE = Path(__file__).resolve().parents[1] / "conformance/cri"


def make_root(directory: Path) -> None:
    (directory / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, directory / "bin/busybox")
    for applet in ("sh", "true", "sleep", "echo", "yes", "head"):
        (directory / "bin" / applet).symlink_to("busybox")


def own_mounts() -> None:
    """A mount namespace of our own: crun 1.8 wants to see plain v1, and everybody's state and layers go to a tmpfs."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    with contextlib.suppress(OSError):
        syscalls.umount("/sys/fs/cgroup/unified")


def load_suite(name: str) -> Any:
    """A module of the CRI conformance suite: how to serve both runtimes privately, and images for them."""
    spec = importlib.util.spec_from_file_location(f"bench_cri_{name}", SUITE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


IDLE_S = 0.03
BUSY = 0.2
PATIENCE_S = 1.0


async def settle() -> None:
    """Before each measurement: what the last one left behind has come to rest, and the machine is not busy otherwise.

    Gives up waiting after a second: then others are measured along, for everybody.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        before = _ticks()
        await asyncio.sleep(IDLE_S)
        idle, whole = (now - then for now, then in zip(_ticks(), before, strict=True))
        if whole - idle <= BUSY * whole or time.monotonic() > deadline_s:
            return


def _ticks() -> tuple[int, int]:
    """(idle, all) clock ticks of all processors."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


class Times:
    """Milliseconds per operation, and the ratios worth saying."""

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}

    def add(self, name: str, seconds: float) -> None:
        self._times.setdefault(name, []).append(seconds * 1000)

    async def measure(self, name: str, what: Awaitable[object]) -> None:
        started = time.perf_counter()
        await what
        self.add(name, time.perf_counter() - started)

    def at(self, name: str, percent: int = 50) -> float | None:
        times = sorted(self._times.get(name, ()))
        return times[min(len(times) * percent // 100, len(times) - 1)] if times else None

    def report(self) -> None:
        print(f"{'milliseconds':48}{'p10':>8}{'p50':>8}{'p99':>8}{'times':>7}")
        for name, times in self._times.items():
            figures = "".join(f"{self.at(name, percent) or 0:8.2f}" for percent in (10, 50, 99))
            print(f"{name:48}{figures}{len(times):7}")

    def ratio(self, ours: str, theirs: str, aim: float | None = None) -> None:
        """Of the medians; of the best tenth as well, which a busy machine disturbs less."""
        ratios = [(self.at(ours, percent), self.at(theirs, percent)) for percent in (50, 10)]
        values = [mine / other for mine, other in ratios if mine and other]
        if len(values) == 2:
            said = f" (aim {aim:g})" if aim is not None else ""
            print(f"{ours}: {values[0]:.2f} x {theirs}, at p10 {values[1]:.2f} x{said}")


class Fifo:
    """Says when the program's first output arrived."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    async def written(self) -> float:
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        loop.add_reader(self.fd, event.set)
        try:
            await event.wait()
        finally:
            loop.remove_reader(self.fd)
        at = time.perf_counter()
        os.read(self.fd, 100)
        return at
