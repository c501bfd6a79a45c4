"""Cgroups of pods and containers: made with their limits, removed when the last process has left, read for figures."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import time
from collections.abc import Sequence

from knarr_runtime.errors import Invalid, KernelRefused, Unavailable
from knarr_runtime.kernel.cgroup import DeviceRule, Usage
from knarr_runtime.launcher.values import Stats
from knarr_runtime.launcher.work import Work
from knarr_runtime.node import Node
from knarr_runtime.spec import Resources

_POLL_S = 0.005
_ABOUT_VALUES = (
    errno.EINVAL,
    errno.ERANGE,
    errno.ENOENT,
    errno.EACCES,
)  # of a limit: not a number, none of this kernel


class PodCgroups:
    """Paths are those of the specs, below the runtime's own cgroup; "" is none, and nothing is done about it."""

    def __init__(self, node: Node, work: Work, timeout_s: float) -> None:
        self._node = node
        self._work = work
        self._timeout_s = timeout_s

    def create(self, path: str, resources: Resources, devices: Sequence[DeviceRule] | None) -> None:
        if not path:
            return
        try:
            self._node.cgroups.create(path, resources, devices)
        except OSError as error:
            kind = Invalid if error.errno in _ABOUT_VALUES else KernelRefused
            raise kind(f"cgroup {error.filename}: {error.strerror}") from error

    async def weigh(self, group: str, shares: int) -> None:
        """The part of the processor that a group of pods has beside other groups. Nothing where it is gone."""
        with contextlib.suppress(OSError):
            await self._work.in_thread(self._node.cgroups.update, group, Resources(cpu_shares=shares))

    async def remove(self, path: str) -> None:
        """Waits for dying processes to leave it. Raises Unavailable if some never do."""
        if not path:
            return
        deadline_s = time.monotonic() + self._timeout_s
        while not await self._work.in_thread(self._node.cgroups.remove, path):
            if time.monotonic() > deadline_s:
                raise Unavailable(f"processes remain in cgroup {path}")
            await self._work.in_thread(self._node.cgroups.kill, path)
            await asyncio.sleep(_POLL_S)

    async def kill(self, path: str) -> None:
        if path and self._node.cgroups.exists(path):
            await self._work.in_thread(self._node.cgroups.kill, path)

    async def update(self, path: str, resources: Resources) -> None:
        """Writes the limits that are set. Raises Invalid with what the kernel says."""
        try:
            await self._work.in_thread(self._node.cgroups.update, path, resources)
        except OSError as error:
            raise Invalid(f"cgroup {error.filename}: {error.strerror}") from error

    async def freeze(self, path: str, *, frozen: bool) -> None:
        """Raises Invalid for a container without a cgroup, KernelRefused."""
        if not path:
            raise Invalid("a container without a cgroup of its own can't be paused")
        try:
            await self._work.in_thread(functools.partial(self._node.cgroups.freeze, path, frozen=frozen))
        except OSError as error:
            raise KernelRefused(f"cgroup {error.filename}: {error.strerror}") from error

    async def processes(self, path: str) -> list[int]:
        return await self._work.in_thread(self._node.cgroups.processes, path)

    async def stats(self, path: str) -> Stats:
        if not path:
            return Stats(at_ns=time.time_ns(), usage=Usage())
        usage = await self._work.in_thread(self._node.cgroups.usage, path)
        return Stats(at_ns=time.time_ns(), usage=usage, processes=tuple(await self.processes(path)))
