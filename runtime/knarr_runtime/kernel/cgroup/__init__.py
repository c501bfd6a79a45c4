"""Control groups behind one Protocol: v1 (any layout of mounts, also hybrid) and v2.

Everything happens below a *base*: the cgroup the runtime was started in plus its own root directory, one directory per
hierarchy. Bases are found once (:func:`discover`), kept on disk, and from then on held as open directories; paths
given to the functions are relative to them and have been checked (no ``..``), so nothing outside is ever touched.

Source: Linux Documentation/admin-guide/cgroup-v1/, cgroup-v2.rst.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from knarr_runtime.kernel.cgroup.v1 import CgroupsV1
from knarr_runtime.kernel.cgroup.v2 import LEAF, CgroupsV2
from knarr_runtime.kernel.cgroup.values import DeviceRule, Usage
from knarr_runtime.spec import Resources

__all__ = ["Cgroups", "DeviceRule", "Usage", "discover", "open_bases"]

_V1_ALWAYS = ("memory", "cpu", "cpuacct", "pids", "devices", "freezer")
_V1_ON_DEMAND = ("cpuset", "hugetlb")
_V2_NEEDED = {"cpu", "memory", "pids"}


class Cgroups(Protocol):
    """One control group tree. Paths are relative to the base; "" is the base itself."""

    version: int

    def limits_huge_pages(self) -> bool:
        """Whether there is a controller for ``Resources.huge_pages``."""

    def descriptors(self) -> list[int]:
        """The open directories, for a fork that closes everything else."""

    def shown(self) -> Mapping[str, str]:
        """{controller: base} of the v1 hierarchies of which a container sees its part in /sys/fs/cgroup."""

    def prepare(self) -> None:
        """Makes the base usable for children; on v2 moves the calling processes out of the way into a leaf."""

    def create(self, path: str, resources: Resources, devices: Sequence[DeviceRule] | None) -> None:
        """Makes ``path`` with its missing parents, sets limits; ``devices`` None allows every device.

        Raises OSError and removes what it made when a limit is refused.
        """

    def update(self, path: str, resources: Resources) -> None:
        """Sets the limits named in ``resources`` and leaves the others."""

    def clone_into(self, path: str) -> int:
        """Descriptor for clone3(CLONE_INTO_CGROUP), or -1 where the child attaches itself."""

    def attach_self(self, path: str) -> None:
        """Moves the calling (single-threaded) process into ``path``; nothing to do after clone_into."""

    def processes(self, path: str) -> list[int]:
        """Pids in ``path`` and below; empty if it does not exist."""

    def kill(self, path: str) -> int:
        """SIGKILL to every process in ``path`` and below, none can escape by forking. How many there were."""

    def freeze(self, path: str, *, frozen: bool) -> None:
        """Stops everything in ``path`` and waits until it has stopped, or lets it go on. Blocking."""

    def frozen(self, path: str) -> bool:
        """What :meth:`freeze` was last asked for."""

    def oom_kills(self, path: str) -> int:
        """How many processes the kernel has killed in ``path`` because of its memory limit."""

    def usage(self, path: str) -> Usage: ...

    def exists(self, path: str) -> bool: ...

    def remove(self, path: str) -> bool:
        """Removes ``path`` and everything below. False while processes are in it; True if there is nothing left."""


def open_bases(bases: Mapping[str, str]) -> Cgroups:
    """The Cgroups of bases found by :func:`discover`: {"": directory} on v2, {controller: directory} on v1."""
    if "" in bases:
        return CgroupsV2(bases[""])
    return CgroupsV1(dict(bases))


def discover(root: str, *, pid: str = "self") -> dict[str, str]:
    """Where ``root`` below the caller's own cgroup lies in each hierarchy. Raises OSError if none is mounted."""
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = parse_mounts(file)
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        own = parse_membership(file)
    unified = mounts.get("")
    if unified is not None:
        path = own.get("", "/")
        if os.path.basename(path) == LEAF:  # where an earlier prepare put us, out of the way
            path = os.path.dirname(path)
        directory = _join(unified, path)
        try:
            with open(os.path.join(directory, "cgroup.controllers"), encoding="ascii") as file:
                available = set(file.read().split())
        except FileNotFoundError:
            available = set()
        if available >= _V2_NEEDED:
            return {"": os.path.join(directory, root)}
    bases = {
        name: os.path.join(_join(mounts[name], own.get(name, "/")), root)
        for name in (*_V1_ALWAYS, *_V1_ON_DEMAND)
        if name in mounts
    }
    if not bases:
        raise OSError("no cgroup controllers: neither cgroup2 with cpu, memory and pids nor cgroup v1 is mounted")
    return bases


def delegates_to_namespaces() -> bool:
    """Whether a cgroup namespace of v2 may be given to whoever is in it: its own limits are then out of its reach."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        sides = [line.rstrip("\n").partition(" - ")[2].split(" ") for line in file]
    return any(side[0] == "cgroup2" and "nsdelegate" in side[2].split(",") for side in sides)


def _join(mount: tuple[str, str], own: str) -> str:
    """Directory of cgroup ``own`` under a mount (its point, the cgroup that is its root)."""
    point, mount_root = mount
    if mount_root != "/" and (own + "/").startswith(mount_root + "/"):
        own = own[len(mount_root) :]
    return os.path.join(point, own.lstrip("/"))


def parse_mounts(lines: Iterable[str]) -> dict[str, tuple[str, str]]:
    """{controller, or "" for cgroup2: (mount point, root)} of a mountinfo file."""
    result: dict[str, tuple[str, str]] = {}
    for line in lines:
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ")[:3]
        _, _, _, root, point = left.split(" ")[:5]
        if kind == "cgroup2":
            result.setdefault("", (point, root))
        elif kind == "cgroup":
            for name in options.strip().split(","):
                result.setdefault(name, (point, root))
    return result


def parse_membership(lines: Iterable[str]) -> dict[str, str]:
    """{controller, or "" for cgroup2: path} of a /proc/<pid>/cgroup file."""
    result: dict[str, str] = {}
    for line in lines:
        _, names, path = line.rstrip("\n").split(":", 2)
        for name in names.split(","):
            result[name] = path
    return result
