"""AppArmor and SELinux: whether they are on, and the label a process gets when it executes its next program.

Source: proc_pid_attr(5), Linux Documentation/admin-guide/LSM/{apparmor,SELinux}.rst.
"""

from __future__ import annotations

import errno
import os

from knarr_runtime.kernel import syscalls

_APPARMOR_ENABLED = "/sys/module/apparmor/parameters/enabled"
_APPARMOR_PROFILES = "/sys/kernel/security/apparmor/profiles"
_SELINUX = "/sys/fs/selinux"
_PROC_SUPER_MAGIC = 0x9FA0
_ONLY_PROC = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_MAGICLINKS | syscalls.RESOLVE_NO_XDEV


def apparmor_enabled() -> bool:
    try:
        with open(_APPARMOR_ENABLED, encoding="ascii") as file:
            return file.read().strip() == "Y"
    except OSError:
        return False


def selinux_enabled() -> bool:
    """Whether there is SELinux with a policy: before that is loaded everything has the label "kernel"."""
    if not os.path.exists(f"{_SELINUX}/enforce"):
        return False
    with open("/proc/self/attr/current", encoding="ascii") as file:
        return file.read().rstrip("\0\n") != "kernel"


def selinux_has_levels() -> bool:
    with open(f"{_SELINUX}/mls", encoding="ascii") as file:
        return file.read() == "1"


def selinux_knows(label: str) -> bool:
    """Whether the loaded policy has such a label."""
    try:
        with open(f"{_SELINUX}/context", "wb", buffering=0) as file:
            file.write(label.encode())
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def apparmor_profiles() -> frozenset[str] | None:
    """Names of those the kernel has; None where securityfs is not mounted or may not be read."""
    try:
        with open(_APPARMOR_PROFILES, encoding="utf-8", errors="surrogateescape") as file:
            return frozenset(line.rpartition(" (")[0] for line in file)
    except OSError:
        return None


def label_file(fd: int, label: str) -> None:
    """Of what the O_PATH descriptor refers to."""
    os.setxattr(f"/proc/self/fd/{fd}", "security.selinux", label.encode())


def open_exec_label(names: tuple[str, ...]) -> int:
    """The caller's own attribute for its next program: the first of ``names`` that this kernel has.

    To be opened before anything else is mounted: it must be the kernel's file, and neither a link nor something
    mounted over it may lead elsewhere (CVE-2019-16884, CVE-2025-52881).
    """
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if syscalls.filesystem_type(proc) != _PROC_SUPER_MAGIC:
            raise OSError(0, "is not the kernel's procfs", "/proc")
        for name in names[:-1]:
            try:
                return syscalls.openat2(proc, f"self/attr/{name}", os.O_WRONLY, _ONLY_PROC)
            except FileNotFoundError:
                continue
        return syscalls.openat2(proc, f"self/attr/{names[-1]}", os.O_WRONLY, _ONLY_PROC)
    finally:
        os.close(proc)
