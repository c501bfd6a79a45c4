"""``knarr-runtime check``: what this kernel and these privileges allow, a line each."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from knarr_runtime import apparmor
from knarr_runtime.kernel import lsm, process

NAMESPACES = {"mnt": "mount", "pid": "process", "net": "network", "uts": "host name", "ipc": "IPC", "cgroup": "cgroup"}
CAP_SYS_ADMIN, CAP_SYS_RESOURCE = 21, 24


def run() -> int:
    """Prints the findings; exit status 1 when containers can't run here."""
    findings = [
        _root(),
        *(_namespace(kind, name) for kind, name in NAMESPACES.items()),
        _overlay(),
        _cgroups(),
        _seccomp(),
        _clocks(),
        _apparmor(),
        _selinux(),
        _resource(),
    ]
    for fine, text in findings:
        mark = {True: "ok  ", False: "FAIL", None: "note"}[fine]
        sys.stdout.write(f"{mark}  {text}\n")
    return 1 if any(fine is False for fine, _ in findings) else 0


def _root() -> tuple[bool | None, str]:
    if os.geteuid() == 0 and _capabilities() >> CAP_SYS_ADMIN & 1:
        return True, "root with CAP_SYS_ADMIN"
    return False, "not root with CAP_SYS_ADMIN: namespaces and mounts can't be made; run it with sudo"


def _namespace(kind: str, name: str) -> tuple[bool | None, str]:
    if Path(f"/proc/self/ns/{kind}").exists():
        return True, f"{name} namespaces"
    return False, f"no {name} namespaces in this kernel"


def _overlay() -> tuple[bool | None, str]:
    if "overlay" in Path("/proc/filesystems").read_text().split():
        return True, "overlayfs"
    return False, "no overlayfs: load it with 'modprobe overlay'"


def _cgroups() -> tuple[bool | None, str]:
    text = Path("/proc/self/mountinfo").read_text()
    controllers = sorted(
        {
            word
            for line in text.splitlines()
            if " - cgroup " in line
            for word in line.rpartition(" ")[2].split(",")
            if word in ("cpu", "memory", "pids", "cpuset", "devices")
        }
    )
    if controllers:
        return True, f"cgroup version 1 with {', '.join(controllers)}"
    if " - cgroup2 " in text:
        return True, "cgroup version 2"
    return False, "no cgroup file system is mounted"


def _seccomp() -> tuple[bool | None, str]:
    if Path("/proc/sys/kernel/seccomp/actions_avail").exists():
        return True, "seccomp filters"
    return None, "no seccomp: system calls are not filtered"


def _clocks() -> tuple[bool | None, str]:
    if process.has_time_namespaces():
        return True, "time namespaces"
    return None, "no time namespaces in this kernel: time offsets are refused"


def _apparmor() -> tuple[bool | None, str]:
    if not lsm.apparmor_enabled():
        return None, "no AppArmor in this kernel, or it is off: profiles by name are refused"
    if apparmor.loaded():
        return True, f"AppArmor, with the profile {apparmor.NAME}"
    if apparmor.parser():
        return True, f"AppArmor; the daemon loads the profile {apparmor.NAME} when it starts"
    return None, f"AppArmor without apparmor_parser: {apparmor.NAME} can't be loaded (Debian package apparmor)"


def _selinux() -> tuple[bool | None, str]:
    if lsm.selinux_enabled():
        return True, "SELinux"
    return None, "no SELinux in this kernel, or it is off: SELinux options are without effect"


def _resource() -> tuple[bool | None, str]:
    if _capabilities() >> CAP_SYS_RESOURCE & 1:
        return True, "CAP_SYS_RESOURCE"
    return None, "no CAP_SYS_RESOURCE: a negative oom_score_adj and raised rlimits are left out"


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
