"""Capability names and the five sets of a process. Source: capabilities(7), linux/capability.h."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable, Iterator

from knarr_runtime.kernel import syscalls

ALL = tuple(
    f"CAP_{name}"
    for name in (
        *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
        *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
        *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
        *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
        *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
        "CHECKPOINT_RESTORE",
    )
)
NUMBER = {name: number for number, name in enumerate(ALL)}

_PR_CAPBSET_DROP, _PR_SET_KEEPCAPS, _PR_CAP_AMBIENT = 24, 8, 47
_AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 2, 4
_HEADER = struct.pack("=Ii", 0x20080522, 0)


def mask(names: Iterable[str]) -> int:
    """Bits of the named capabilities. Raises KeyError with an unknown name."""
    bits = 0
    for name in names:
        bits |= 1 << NUMBER[name]
    return bits


def effective_here() -> int:
    """The caller's own effective set; asked for without /proc, which may be another namespace's."""
    low, _, _, high, _, _ = struct.unpack("=6I", syscalls.capget(_HEADER))
    return int(high << 32 | low)


def last() -> int:
    """Number of the last capability this kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


@contextlib.contextmanager
def as_owner(uid: int, gid: int) -> Iterator[None]:
    """What is made in the block belongs to ``uid`` and ``gid``; the caller, who is root, loses no capability."""
    permitted = effective_here()
    os.setegid(gid)
    os.seteuid(uid)
    try:
        set_sets(permitted, permitted, 0, 0)
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def keep_over_setuid() -> None:
    syscalls.prctl(_PR_SET_KEEPCAPS, 1)


EVERY = (1 << 64) - 1


def bound(keep: int, last_capability: int, bounding: int = EVERY) -> None:
    """Drops what is not in ``keep`` from the bounding set, which is ``bounding`` by now."""
    for number in range(last_capability + 1):
        if bounding & ~keep & 1 << number:
            syscalls.prctl(_PR_CAPBSET_DROP, number)


def set_sets(effective: int, permitted: int, inheritable: int, ambient: int) -> None:
    """Sets the other four sets; ambient ones must be permitted and inheritable."""
    sets = (effective, permitted, inheritable)
    syscalls.capset(_HEADER, struct.pack("=6I", *(v & 0xFFFFFFFF for v in sets), *(v >> 32 for v in sets)))
    syscalls.prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    for number in range(len(ALL)):
        if ambient >> number & 1:
            syscalls.prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, number)
