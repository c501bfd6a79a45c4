"""Numbers as the kernel's cgroup files want them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from knarr_runtime.spec import Resources

DEFAULT_PERIOD_US = 100_000
FREEZE_S, FREEZE_POLL_S = 5.0, 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRule:
    """kind: c, b or a; major and minor -1 mean any; access: any of r, w, m."""

    kind: str
    major: int = -1
    minor: int = -1
    access: str = "rwm"

    def v1(self) -> str:
        major, minor = ("*" if number < 0 else str(number) for number in (self.major, self.minor))
        return f"{self.kind} {major}:{minor} {self.access}"


DEFAULT_DEVICES = (
    DeviceRule(kind="c", access="m"),
    DeviceRule(kind="b", access="m"),
    DeviceRule(kind="c", major=1, minor=3),  # null
    DeviceRule(kind="c", major=1, minor=5),  # zero
    DeviceRule(kind="c", major=1, minor=7),  # full
    DeviceRule(kind="c", major=1, minor=8),  # random
    DeviceRule(kind="c", major=1, minor=9),  # urandom
    DeviceRule(kind="c", major=5, minor=0),  # tty
    DeviceRule(kind="c", major=5, minor=1),  # console
    DeviceRule(kind="c", major=5, minor=2),  # ptmx
    DeviceRule(kind="c", major=136),  # pts
)
"""What every container may use. Source: OCI runtime spec, config-linux "Default Devices"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """None where the kernel has no such figure."""

    cpu_usage_ns: int | None = None
    memory_usage_bytes: int | None = None
    memory_working_set_bytes: int | None = None
    memory_rss_bytes: int | None = None
    memory_page_faults: int | None = None
    memory_major_page_faults: int | None = None
    memory_limit_bytes: int | None = None
    pids: int | None = None
    pids_limit: int | None = None
    swap_usage_bytes: int | None = None
    swap_limit_bytes: int | None = None
    """Of swap alone."""
    pressure: Mapping[str, Pressure] = field(default_factory=dict)
    """``cpu``, ``memory``, ``io``; empty on v1."""
    cpu_user_ns: int | None = None
    cpu_system_ns: int | None = None
    cpu_periods: int | None = None
    cpu_throttled_periods: int | None = None
    cpu_throttled_ns: int | None = None
    memory_cache_bytes: int | None = None
    memory_mapped_bytes: int | None = None
    memory_kernel_bytes: int | None = None
    memory_peak_bytes: int | None = None
    memory_limit_hits: int | None = None
    oom_kills: int | None = None
    disks: Mapping[str, Disk] = field(default_factory=dict)
    """By ``major:minor``; empty on v1, where containers don't join blkio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """One line of a pressure file: percentages of time over 10, 60 and 300 seconds, and all of it."""

    avg10: float
    avg60: float
    avg300: float
    total_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """How long some, and all, tasks waited. Source: Linux Documentation/accounting/psi.rst."""

    some: Stall
    full: Stall


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    read_bytes: int = 0
    write_bytes: int = 0
    reads: int = 0
    writes: int = 0


def pressure(text: str | None) -> Pressure | None:
    """Of a file like ``cpu.pressure``; None if there is none. ``full`` is missing for the cpu of a whole machine."""
    lines: dict[str, Stall] = {}
    for line in (text or "").splitlines():
        kind, *pairs = line.split()
        found = dict(pair.partition("=")[::2] for pair in pairs)
        lines[kind] = Stall(
            avg10=float(found["avg10"]),
            avg60=float(found["avg60"]),
            avg300=float(found["avg300"]),
            total_us=int(found["total"]),
        )
    if "some" not in lines:
        return None
    nothing = Stall(avg10=0.0, avg60=0.0, avg300=0.0, total_us=0)
    return Pressure(some=lines["some"], full=lines.get("full", nothing))


def disks(text: str | None) -> dict[str, Disk]:
    """Of ``io.stat``."""
    names = {"rbytes": "read_bytes", "wbytes": "write_bytes", "rios": "reads", "wios": "writes"}
    found: dict[str, Disk] = {}
    for line in (text or "").splitlines():
        device, *pairs = line.split()
        figures = {names[key]: int(value) for key, _, value in (pair.partition("=") for pair in pairs) if key in names}
        found[device] = Disk(**figures)
    return found


def cpu_weight(shares: int) -> int:
    """cgroup v2 ``cpu.weight`` (1–10000) for v1 ``cpu.shares`` (2–262144), linear as in the OCI runtimes."""
    shares = min(max(shares, 2), 262_144)
    return 1 + ((shares - 2) * 9999) // 262_142


def cpu_max(quota_us: int, period_us: int, current: str = "") -> str:
    """Text for cgroup v2 ``cpu.max``; a negative quota lifts the limit. What is 0 stays as in ``current``."""
    quota, _, period = current.partition(" ")
    if quota_us:
        quota = limit(quota_us)
    return f"{quota or 'max'} {period_us or period or DEFAULT_PERIOD_US}"


def swap_max(memory_limit_bytes: int, memory_swap_limit_bytes: int) -> str:
    """Text for cgroup v2 ``memory.swap.max`` from v1's memory-plus-swap. Raises ValueError: less than the memory."""
    if memory_swap_limit_bytes < 0:
        return "max"
    if not 0 < memory_limit_bytes <= memory_swap_limit_bytes:
        raise ValueError(f"memory and swap {memory_swap_limit_bytes} with memory {limit(memory_limit_bytes)}")
    return str(memory_swap_limit_bytes - memory_limit_bytes)


def without_swap(resources: Resources) -> Resources:
    """What a new cgroup gets: with a limit of memory no swap, unless some was asked for."""
    if resources.memory_limit_bytes <= 0 or resources.memory_swap_limit_bytes:
        return resources
    return replace(resources, memory_swap_limit_bytes=resources.memory_limit_bytes)


def limit(value: int) -> str:
    """Text for a v2 limit: negative lifts it."""
    return "max" if value < 0 else str(value)


def flat_keyed(text: str) -> dict[str, int]:
    """A "flat keyed" file (``memory.stat``, ``memory.events``, ``memory.oom_control``) as a dict."""
    result: dict[str, int] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if value.isdigit():
            result[key] = int(value)
    return result


def number(text: str | None) -> int | None:
    """A single value; None for "max", v1's near-2^63 "unlimited", or a missing file."""
    if text is None or not text.strip().isdigit():
        return None
    value = int(text)
    return None if value >= 1 << 62 else value
