"""cgroup v2: one tree. Source: Linux Documentation/admin-guide/cgroup-v2.rst.

Processes live in leaves only, so :meth:`CgroupsV2.prepare` moves the daemon and its relatives into ``runtime`` beside
the root of the pods. Devices: v2 wants an eBPF program, not written yet: there mknod is held back only by what is in
/dev and by ``nodev`` mounts; callers report it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Mapping, Sequence

from knarr_runtime.kernel.cgroup import huge_pages, values
from knarr_runtime.kernel.cgroup.tree import Tree
from knarr_runtime.kernel.cgroup.values import DeviceRule, Usage, flat_keyed, number
from knarr_runtime.spec import Resources

_CONTROLLERS = ("cpu", "memory", "pids", "cpuset", "io", "hugetlb")
LEAF = "knarr-runtime"
_NOT_LIMITS = (".", "cgroup.")


class CgroupsV2:
    version = 2

    def __init__(self, base: str) -> None:
        os.makedirs(base, exist_ok=True)
        self._tree = Tree(base)
        self._enabled: set[str] = set()

    def limits_huge_pages(self) -> bool:
        return "hugetlb" in (self._tree.read("", "cgroup.controllers") or "").split()

    def descriptors(self) -> list[int]:
        return [self._tree.descriptor()]

    def shown(self) -> Mapping[str, str]:
        return {}

    def prepare(self) -> None:
        parent = os.path.dirname(self._tree.base)
        with open(os.path.join(parent, "cgroup.procs"), encoding="ascii") as file:
            pids = file.read().split()
        if os.path.exists(os.path.join(parent, "cgroup.type")) and pids:  # the real root may hold processes
            leaf = os.path.join(parent, LEAF)
            os.makedirs(leaf, exist_ok=True)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError), open(os.path.join(leaf, "cgroup.procs"), "w") as file:
                    file.write(pid)
        _enable(parent)
        _enable(self._tree.base)

    def create(self, path: str, resources: Resources, devices: Sequence[DeviceRule] | None) -> None:
        parts = path.split("/")
        made: list[str] = []
        try:
            made = self._tree.make(path)
            for end in range(1, len(parts)):
                parent = "/".join(parts[:end])
                if parent in made or parent not in self._enabled:
                    _enable(os.path.join(self._tree.base, parent))
                    self._enabled.add(parent)
            self._limit(path, values.without_swap(resources))
            if devices is not None:
                self._restrict_devices(path, devices)
        except OSError:
            for new in reversed(made):
                with contextlib.suppress(OSError):
                    self._tree.remove(new)
            raise

    def _restrict_devices(self, path: str, devices: Sequence[DeviceRule]) -> None:
        """Where BPF is not permitted it is left out: the launcher says so among its conditions."""
        from knarr_runtime.kernel import bpf_devices  # what zygote and shims never need

        if not bpf_devices.permitted():
            return
        directory = self._tree.open(path)
        try:
            bpf_devices.attach(directory, devices)
        finally:
            os.close(directory)

    def update(self, path: str, resources: Resources) -> None:
        if resources.memory_limit_bytes > 0:
            self._reclaim(path, resources.memory_limit_bytes)
        self._limit(path, resources)

    def _reclaim(self, path: str, limit_bytes: int) -> None:
        """Makes room below a new limit: ``memory.max`` itself would kill until there is. Raises OSError EBUSY."""
        if (number(self._tree.read(path, "memory.current")) or 0) <= limit_bytes:
            return
        high = self._tree.read(path, "memory.high") or "max"
        self._tree.write(path, "memory.high", str(limit_bytes))
        try:
            used = number(self._tree.read(path, "memory.current")) or 0
        finally:
            self._tree.write(path, "memory.high", high.strip())
        if used > limit_bytes:
            refused = f"{path}/memory.max = {limit_bytes}, with {used} bytes in use"
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), refused)

    def _limit(self, path: str, resources: Resources) -> None:
        if resources.cpu_shares:
            self._tree.write(path, "cpu.weight", str(values.cpu_weight(resources.cpu_shares)))
        if resources.cpu_quota_us or resources.cpu_period_us:
            current = self._tree.read(path, "cpu.max") or ""
            quota = values.cpu_max(resources.cpu_quota_us, resources.cpu_period_us, current.strip())
            self._tree.write(path, "cpu.max", quota)
        if resources.memory_limit_bytes:
            self._tree.write(path, "memory.max", values.limit(resources.memory_limit_bytes))
        if resources.memory_swap_limit_bytes:
            self._limit_swap(path, resources)
        if resources.pids_limit:
            self._tree.write(path, "pids.max", values.limit(resources.pids_limit))
        if resources.cpuset_cpus:
            self._tree.write(path, "cpuset.cpus", resources.cpuset_cpus)
        if resources.cpuset_mems:
            self._tree.write(path, "cpuset.mems", resources.cpuset_mems)
        if resources.huge_pages and self.limits_huge_pages():
            huge_pages.limit(self._tree, path, resources.huge_pages, "max")
        for name, value in resources.unified.items():
            if "/" in name or (name.startswith(_NOT_LIMITS) and not name.startswith("cgroup.max.")):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), f"unified cgroup file {name!r}")
            self._tree.write(path, name, value)

    def _limit_swap(self, path: str, resources: Resources) -> None:
        memory_bytes = resources.memory_limit_bytes or number(self._tree.read(path, "memory.max")) or -1
        try:
            swap = values.swap_max(memory_bytes, resources.memory_swap_limit_bytes)
        except ValueError as error:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), f"{path}/memory.swap.max: {error}") from error
        with contextlib.suppress(FileNotFoundError):  # a kernel without swap accounting
            self._tree.write(path, "memory.swap.max", swap)

    def clone_into(self, path: str) -> int:
        return self._tree.open(path)

    def attach_self(self, path: str) -> None:
        self._tree.write(path, "cgroup.procs", "0")

    def processes(self, path: str) -> list[int]:
        return self._tree.processes(path)

    def kill(self, path: str) -> int:
        count = len(self._tree.processes(path))
        if count == 0:
            return 0
        try:
            self._tree.write(path, "cgroup.kill", "1")
        except FileNotFoundError:  # before Linux 5.14
            self._kill_frozen(path)
        return count

    def _kill_frozen(self, path: str) -> None:
        self._tree.write(path, "cgroup.freeze", "1")
        try:
            for pid in self._tree.processes(path):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        finally:
            self._tree.write(path, "cgroup.freeze", "0")

    def freeze(self, path: str, *, frozen: bool) -> None:
        deadline_s = time.monotonic() + values.FREEZE_S
        self._tree.write(path, "cgroup.freeze", str(int(frozen)))
        while flat_keyed(self._tree.read(path, "cgroup.events") or "").get("frozen", 0) != int(frozen):
            if time.monotonic() > deadline_s:
                self._tree.write(path, "cgroup.freeze", "0")
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
            time.sleep(values.FREEZE_POLL_S)

    def frozen(self, path: str) -> bool:
        return (self._tree.read(path, "cgroup.freeze") or "0").strip() == "1"

    def oom_kills(self, path: str) -> int:
        return flat_keyed(self._tree.read(path, "memory.events") or "").get("oom_kill", 0)

    def usage(self, path: str) -> Usage:
        memory = flat_keyed(self._tree.read(path, "memory.stat") or "")
        cpu = flat_keyed(self._tree.read(path, "cpu.stat") or "")
        used = number(self._tree.read(path, "memory.current"))
        stalls = {name: values.pressure(self._tree.read(path, f"{name}.pressure")) for name in ("cpu", "memory", "io")}
        events = flat_keyed(self._tree.read(path, "memory.events") or "")
        return Usage(
            cpu_usage_ns=_nanoseconds(cpu, "usage_usec"),
            swap_usage_bytes=number(self._tree.read(path, "memory.swap.current")),
            swap_limit_bytes=number(self._tree.read(path, "memory.swap.max")),
            pressure={name: stall for name, stall in stalls.items() if stall is not None},
            cpu_user_ns=_nanoseconds(cpu, "user_usec"),
            cpu_system_ns=_nanoseconds(cpu, "system_usec"),
            cpu_periods=cpu.get("nr_periods"),
            cpu_throttled_periods=cpu.get("nr_throttled"),
            cpu_throttled_ns=_nanoseconds(cpu, "throttled_usec"),
            memory_cache_bytes=memory.get("file"),
            memory_mapped_bytes=memory.get("file_mapped"),
            memory_kernel_bytes=memory.get("kernel"),
            memory_peak_bytes=number(self._tree.read(path, "memory.peak")),
            memory_limit_hits=events.get("max"),
            oom_kills=events.get("oom_kill"),
            disks=values.disks(self._tree.read(path, "io.stat")),
            memory_usage_bytes=used,
            memory_working_set_bytes=None if used is None else max(used - memory.get("inactive_file", 0), 0),
            memory_rss_bytes=memory.get("anon"),
            memory_page_faults=memory.get("pgfault"),
            memory_major_page_faults=memory.get("pgmajfault"),
            memory_limit_bytes=number(self._tree.read(path, "memory.max")),
            pids=number(self._tree.read(path, "pids.current")),
            pids_limit=number(self._tree.read(path, "pids.max")),
        )

    def exists(self, path: str) -> bool:
        return self._tree.exists(path)

    def remove(self, path: str) -> bool:
        for each in self._tree.below(path):
            self._enabled.discard(each)
        return self._tree.remove(path)


def _nanoseconds(figures: Mapping[str, int], name: str) -> int | None:
    return figures[name] * 1000 if name in figures else None


def _enable(directory: str) -> None:
    """Gives the children of ``directory`` every controller it has itself; one that refuses does not stop the others."""
    with open(os.path.join(directory, "cgroup.controllers"), encoding="ascii") as file:
        available = file.read().split()
    for name in _CONTROLLERS:
        if name in available:
            with (
                contextlib.suppress(OSError),
                open(os.path.join(directory, "cgroup.subtree_control"), "w", encoding="ascii") as control,
            ):
                control.write(f"+{name}")
