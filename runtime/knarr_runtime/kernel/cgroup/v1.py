"""cgroup v1: one tree per controller. Source: Linux Documentation/admin-guide/cgroup-v1/.

A process attaches itself by writing ``0`` to ``tasks``: unlike a pid in ``cgroup.procs`` that does not wait for a
grace period of the kernel (0.04 ms against 6 ms). cpuset and hugetlb are joined only by cgroups that ask for them.
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

_SHOWN = ("memory", "cpu", "cpuacct", "pids")
_KILL_ROUNDS = 8
_LIMIT, _SUM = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class CgroupsV1:
    version = 1

    def __init__(self, bases: Mapping[str, str]) -> None:
        trees: dict[str, Tree] = {}
        self._by_controller: dict[str, Tree] = {}
        for controller, base in bases.items():
            os.makedirs(base, exist_ok=True)
            if controller == "cpuset":
                _inherit_cpuset(base)
            real = os.path.realpath(base)  # cpu and cpuacct often are one mount with two names
            if real not in trees:
                trees[real] = Tree(base)
            self._by_controller[controller] = trees[real]
        self._cpuset = self._by_controller.get("cpuset")
        self._hugetlb = self._by_controller.get("hugetlb")
        self._on_demand = [tree for tree in (self._cpuset, self._hugetlb) if tree is not None]
        self._always = [tree for tree in trees.values() if tree not in self._on_demand]
        self._trees = list(trees.values())

    def limits_huge_pages(self) -> bool:
        return self._hugetlb is not None

    def descriptors(self) -> list[int]:
        return [tree.descriptor() for tree in self._trees]

    def shown(self) -> Mapping[str, str]:
        return {name: tree.base for name, tree in self._by_controller.items() if name in _SHOWN}

    def prepare(self) -> None:
        return

    def create(self, path: str, resources: Resources, devices: Sequence[DeviceRule] | None) -> None:
        made: list[tuple[Tree, str]] = []
        wanted = list(self._always)
        if self._cpuset is not None and (resources.cpuset_cpus or resources.cpuset_mems):
            wanted.append(self._cpuset)
        if self._hugetlb is not None and resources.huge_pages:
            wanted.append(self._hugetlb)
        try:
            for tree in wanted:
                for new in tree.make(path):
                    made.append((tree, new))
                    if tree is self._cpuset:
                        _inherit_cpuset(os.path.join(tree.base, new))
            if devices is not None:
                self._restrict_devices(path, devices)
            self.update(path, values.without_swap(resources))
        except OSError:
            for tree, new in reversed(made):
                with contextlib.suppress(OSError):
                    tree.remove(new)
            raise

    def _restrict_devices(self, path: str, devices: Sequence[DeviceRule]) -> None:
        tree = self._by_controller.get("devices")
        if tree is None:
            return
        tree.write(path, "devices.deny", "a")
        for rule in devices:
            tree.write(path, "devices.allow", rule.v1())

    def update(self, path: str, resources: Resources) -> None:
        self._write("cpu", path, "cpu.shares", resources.cpu_shares)
        self._write("cpu", path, "cpu.cfs_period_us", resources.cpu_period_us)
        self._write("cpu", path, "cpu.cfs_quota_us", resources.cpu_quota_us)
        self._write("pids", path, "pids.max", resources.pids_limit, unlimited="max")
        if (resources.memory_limit_bytes or resources.memory_swap_limit_bytes) and "memory" in self._by_controller:
            self._limit_memory(path, resources.memory_limit_bytes, resources.memory_swap_limit_bytes)
        if (resources.cpuset_cpus or resources.cpuset_mems) and self._cpuset is not None:
            self._limit_cpuset(self._cpuset, path, resources)
        if resources.huge_pages and self._hugetlb is not None:
            self._join_late(self._hugetlb, path)
            huge_pages.limit(self._hugetlb, path, resources.huge_pages, "limit_in_bytes")

    def _write(self, controller: str, path: str, name: str, value: int, unlimited: str = "-1") -> None:
        tree = self._by_controller.get(controller)
        if value and tree is not None:
            tree.write(path, name, unlimited if value < 0 else str(value))

    def _limit_memory(self, path: str, limit_bytes: int, with_swap_bytes: int) -> None:
        """0 stays; with a new limit alone, the swap that is allowed beside it stays."""
        tree = self._by_controller["memory"]
        text = tree.read(path, _SUM)
        unlimited = 1 << 62
        sum_before, before = number(text) or unlimited, number(tree.read(path, _LIMIT)) or unlimited
        if limit_bytes and not with_swap_bytes:
            with_swap_bytes = -1 if limit_bytes < 0 or sum_before == unlimited else limit_bytes + sum_before - before
        writes = [(_LIMIT, limit_bytes)]
        if text is not None:  # else swap is not accounted
            writes.append((_SUM, with_swap_bytes))
        if limit_bytes < 0 or limit_bytes > sum_before:
            writes.reverse()  # the sum must never be below the limit
        for name, value in writes:
            if value:
                tree.write(path, name, str(value))

    def _limit_cpuset(self, tree: Tree, path: str, resources: Resources) -> None:
        self._join_late(tree, path)
        if resources.cpuset_cpus:
            tree.write(path, "cpuset.cpus", resources.cpuset_cpus)
        if resources.cpuset_mems:
            tree.write(path, "cpuset.mems", resources.cpuset_mems)

    def _join_late(self, tree: Tree, path: str) -> None:
        """Of a limit that is asked for only now: those already running move."""
        if tree.exists(path):
            return
        for new in tree.make(path):
            if tree is self._cpuset:
                _inherit_cpuset(os.path.join(tree.base, new))
        for pid in self.processes(path):
            with contextlib.suppress(ProcessLookupError):
                tree.write(path, "cgroup.procs", str(pid))

    def clone_into(self, path: str) -> int:
        return -1

    def attach_self(self, path: str) -> None:
        for tree in self._always:
            tree.write(path, "tasks", "0")
        for tree in self._on_demand:
            with contextlib.suppress(FileNotFoundError):
                tree.write(path, "tasks", "0")

    def processes(self, path: str) -> list[int]:
        tree = self._by_controller.get("freezer") or self._trees[0]
        return tree.processes(path)

    def kill(self, path: str) -> int:
        freezer = self._by_controller.get("freezer")
        seen: set[int] = set()
        for _ in range(_KILL_ROUNDS):
            pids = set(self.processes(path))
            if not pids:
                break
            if freezer is not None:
                freezer.write(path, "freezer.state", "FROZEN")
            try:
                pids |= set(self.processes(path))
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            finally:
                if freezer is not None:
                    freezer.write(path, "freezer.state", "THAWED")
            if pids <= seen:  # only dying ones are left
                break
            seen |= pids
        return len(seen)

    def freeze(self, path: str, *, frozen: bool) -> None:
        freezer = self._by_controller.get("freezer")
        if freezer is None:
            raise OSError(errno.ENOTSUP, "this machine has no freezer controller", path)
        wanted = "FROZEN" if frozen else "THAWED"
        deadline_s = time.monotonic() + values.FREEZE_S
        freezer.write(path, "freezer.state", wanted)
        while (freezer.read(path, "freezer.state") or "").strip() != wanted:  # FREEZING: some are in the kernel
            if time.monotonic() > deadline_s:
                freezer.write(path, "freezer.state", "THAWED")
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
            time.sleep(values.FREEZE_POLL_S)
            freezer.write(path, "freezer.state", wanted)  # asking again makes the kernel look again

    def frozen(self, path: str) -> bool:
        freezer = self._by_controller.get("freezer")
        return freezer is not None and (freezer.read(path, "freezer.state") or "THAWED").strip() != "THAWED"

    def oom_kills(self, path: str) -> int:
        tree = self._by_controller.get("memory")
        text = tree.read(path, "memory.oom_control") if tree is not None else None
        return flat_keyed(text or "").get("oom_kill", 0)

    def usage(self, path: str) -> Usage:
        memory = flat_keyed(self._read("memory", path, "memory.stat") or "")
        used = number(self._read("memory", path, "memory.usage_in_bytes"))
        limit = number(self._read("memory", path, "memory.limit_in_bytes"))
        with_swap = number(self._read("memory", path, "memory.memsw.usage_in_bytes"))
        swap_limit = number(self._read("memory", path, "memory.memsw.limit_in_bytes"))
        ticks = flat_keyed(self._read("cpuacct", path, "cpuacct.stat") or "")
        throttling = flat_keyed(self._read("cpu", path, "cpu.stat") or "")
        return Usage(
            swap_usage_bytes=None if used is None or with_swap is None else max(with_swap - used, 0),
            swap_limit_bytes=None if limit is None or swap_limit is None else max(swap_limit - limit, 0),
            cpu_user_ns=ticks["user"] * _TICK_NS if "user" in ticks else None,
            cpu_system_ns=ticks["system"] * _TICK_NS if "system" in ticks else None,
            cpu_periods=throttling.get("nr_periods"),
            cpu_throttled_periods=throttling.get("nr_throttled"),
            cpu_throttled_ns=throttling.get("throttled_time"),
            memory_cache_bytes=memory.get("total_cache"),
            memory_mapped_bytes=memory.get("total_mapped_file"),
            memory_kernel_bytes=number(self._read("memory", path, "memory.kmem.usage_in_bytes")),
            memory_peak_bytes=number(self._read("memory", path, "memory.max_usage_in_bytes")),
            memory_limit_hits=number(self._read("memory", path, "memory.failcnt")),
            oom_kills=self.oom_kills(path),
            cpu_usage_ns=number(self._read("cpuacct", path, "cpuacct.usage")),
            memory_usage_bytes=used,
            memory_working_set_bytes=None if used is None else max(used - memory.get("total_inactive_file", 0), 0),
            memory_rss_bytes=memory.get("total_rss"),
            memory_page_faults=memory.get("total_pgfault"),
            memory_major_page_faults=memory.get("total_pgmajfault"),
            memory_limit_bytes=limit,
            pids=number(self._read("pids", path, "pids.current")),
            pids_limit=number(self._read("pids", path, "pids.max")),
        )

    def _read(self, controller: str, path: str, name: str) -> str | None:
        tree = self._by_controller.get(controller)
        return None if tree is None else tree.read(path, name)

    def exists(self, path: str) -> bool:
        return any(tree.exists(path) for tree in self._trees)

    def remove(self, path: str) -> bool:
        gone = [tree.remove(path) for tree in self._trees]
        return all(gone)


def _inherit_cpuset(directory: str) -> None:
    """A new v1 cpuset is empty and takes no process until it has cpus and memory nodes: its parent's."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = os.path.join(directory, name)
        with open(file, encoding="ascii") as own:
            if own.read().strip():
                continue
        parent = os.path.dirname(directory)
        with open(os.path.join(parent, name), encoding="ascii") as other:
            value = other.read().strip()
        if not value:
            _inherit_cpuset(parent)
            with open(os.path.join(parent, name), encoding="ascii") as other:
                value = other.read().strip()
        try:
            with open(file, "w", encoding="ascii") as own:
                own.write(value)
        except OSError as error:
            if error.errno != errno.EACCES:
                raise
