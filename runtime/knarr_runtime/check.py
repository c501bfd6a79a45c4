"""``knarr-runtime check``: what this kernel and these privileges allow, what it is for, what to do where it lacks.

It only looks: nothing is made, mounted or loaded for it, but for a BPF program that is let go at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from knarr_runtime import apparmor
from knarr_runtime.kernel import bpf_devices, capabilities, cgroup, lsm, mounts, nftables, process
from knarr_runtime.kernel.cgroup import huge_pages

OK, LIMITED, MISSING = "ok", "limited", "missing"
"""missing: containers can't run here. limited: they can, without what it is for."""
MARKS: Mapping[str, str] = {OK: "ok  ", LIMITED: "note", MISSING: "FAIL"}
OLDEST_KERNEL = (5, 14)
NAMESPACES = {"mnt": "mount", "pid": "process", "net": "network", "uts": "host name", "ipc": "IPC", "cgroup": "cgroup"}
CONTROLLERS: Mapping[str, str] = {
    "cpu": "limits and shares of processor time",
    "cpuacct": "figures of processor time",
    "memory": "limits of memory",
    "pids": "limits of processes",
    "devices": "which devices a container may open",
    "freezer": "pause, and killing everything at once",
    "cpuset": "pinning to processors (--cpuset-cpus)",
    "hugetlb": "limits of huge pages",
    "io": "figures of disks",
}
REQUIRED = {1: ("cpu", "memory", "pids"), 2: ("cpu", "memory", "pids")}
OF_VERSION = {
    1: ("cpu", "cpuacct", "memory", "pids", "devices", "freezer", "cpuset", "hugetlb"),
    2: ("cpu", "memory", "pids", "cpuset", "io", "hugetlb"),
}
DELEGATE = "start the daemon as a unit with Delegate=yes, or from a cgroup that has it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """name: for programs. what: what was found. meaning: what it is for. remedy: "" where nothing is to be done."""

    name: str
    state: str
    what: str
    meaning: str = ""
    remedy: str = ""

    def lines(self) -> str:
        text = f"{MARKS[self.state]}  {self.what}"
        if self.state == OK:
            return text
        more = (f"for {self.meaning}" if self.meaning else "", f"→ {self.remedy}" if self.remedy else "")
        return "\n      ".join(filter(None, (text, *more)))


def findings() -> list[Finding]:
    return [
        *_kernel(),
        *_privileges(),
        *_namespaces(),
        *_filesystems(),
        *_cgroups(),
        *_confinement(),
        *_network(),
    ]


def document(found: list[Finding]) -> dict[str, object]:
    """For -o json and yaml."""
    return {"ok": not failed(found), "kernel": os.uname().release, "findings": [asdict(each) for each in found]}


def failed(found: list[Finding]) -> bool:
    return any(each.state == MISSING for each in found)


def _finding(name: str, fine: bool, what: str, otherwise: str, *, required: bool = False, **more: str) -> Finding:
    """what: if it is fine."""
    if fine:
        return Finding(name=name, state=OK, what=what, meaning=more.get("meaning", ""))
    return Finding(name=name, state=MISSING if required else LIMITED, what=otherwise, **more)


def _kernel() -> Iterator[Finding]:
    release = os.uname().release
    yield _finding(
        "kernel",
        mounts.kernel() >= OLDEST_KERNEL,
        f"Linux {release}",
        f"Linux {release} is older than {'.'.join(map(str, OLDEST_KERNEL))}",
        required=True,
        meaning="mounts that nobody sees, cgroup.kill, openat2",
        remedy="boot a newer kernel",
    )


def _privileges() -> Iterator[Finding]:
    held = capabilities.effective_here()

    def has(name: str) -> bool:
        return bool(held >> capabilities.NUMBER[name] & 1)

    yield _finding(
        "root",
        os.geteuid() == 0 and has("CAP_SYS_ADMIN"),
        "root with CAP_SYS_ADMIN",
        "not root with CAP_SYS_ADMIN",
        required=True,
        meaning="namespaces and mounts",
        remedy="run it with sudo; in a container, run that privileged",
    )
    for name, meaning in (
        ("CAP_NET_ADMIN", "the pod network and ports of the host"),
        ("CAP_MKNOD", "device nodes in containers"),
    ):
        yield _finding(
            name.lower(), has(name), name, f"no {name}", required=True, meaning=meaning, remedy="run it with sudo"
        )
    yield _finding(
        "cap_sys_resource",
        has("CAP_SYS_RESOURCE"),
        "CAP_SYS_RESOURCE",
        "no CAP_SYS_RESOURCE",
        meaning="a negative oom_score_adj and raised hard rlimits, which are left out",
        remedy="give it to the daemon's unit or container, if programs need them",
    )


def _namespaces() -> Iterator[Finding]:
    for kind, name in NAMESPACES.items():
        yield _finding(
            f"namespace.{kind}",
            Path(f"/proc/self/ns/{kind}").exists(),
            f"{name} namespaces",
            f"no {name} namespaces in this kernel",
            required=True,
            meaning="isolation of containers",
            remedy="boot a kernel that has them",
        )
    limit = _read("/proc/sys/user/max_user_namespaces")
    there = Path("/proc/self/ns/user").exists() and limit != "0"
    yield _finding(
        "namespace.user",
        there and mounts.owners_map(),
        "user namespaces with ID-mapped mounts",
        "user namespaces without ID-mapped mounts of every filesystem" if there else "no user namespaces",
        meaning="pods with users of their own (hostUsers: false)",
        remedy="boot Linux 6.3 or later" if there else "raise sysctl user.max_user_namespaces",
    )
    yield _finding(
        "namespace.time",
        process.has_time_namespaces(),
        "time namespaces",
        "no time namespaces in this kernel",
        meaning="clocks of a container's own (time offsets), which are refused",
    )


def _filesystems() -> Iterator[Finding]:
    yield _finding(
        "overlay",
        "overlay" in _read("/proc/filesystems").split(),
        "overlayfs",
        "no overlayfs",
        required=True,
        meaning="images and writable layers",
        remedy="load it with 'modprobe overlay'",
    )
    yield _finding(
        "overlay.detached",
        mounts.layers_travel(),
        "overlays that are mounted nowhere",
        "overlays are mounted by each container's first process",
        meaning="faster starts, from Linux 6.5 on",
    )
    for parameter in ("redirect_dir", "metacopy"):
        yield _finding(
            f"overlay.{parameter}",
            _read(f"/sys/module/overlay/parameters/{parameter}") not in ("Y", "on"),
            f"overlayfs without {parameter}",
            f"overlayfs with {parameter}",
            meaning="images by build and commit: layers can't tell of it",
            remedy=f"switch it off in /sys/module/overlay/parameters/{parameter}",
        )


def _cgroups() -> Iterator[Finding]:
    try:
        bases = cgroup.discover("knarr")
    except OSError as error:
        remedy = f"mount /sys/fs/cgroup; on v2 {DELEGATE}"
        yield Finding(name="cgroup", state=MISSING, what=str(error), meaning="limits", remedy=remedy)
        return
    version = 2 if "" in bases else 1
    yield Finding(name="cgroup", state=OK, what=f"cgroup version {version}")
    own = os.path.dirname(bases[""]) if version == 2 else ""
    available = _read(f"{own}/cgroup.controllers").split() if version == 2 else list(bases)
    for name in OF_VERSION[version]:
        yield _finding(
            f"cgroup.{name}",
            name in available,
            f"cgroup controller {name}",
            f"no cgroup controller {name}",
            required=name in REQUIRED[version],
            meaning=CONTROLLERS[name],
            remedy=DELEGATE if version == 2 else f"mount it at /sys/fs/cgroup/{name}, if the kernel has it",
        )
    yield _swap(version, own if version == 2 else os.path.dirname(bases.get("memory", "")))
    if version == 2:
        yield _finding(
            "bpf",
            bpf_devices.permitted(),
            "BPF programs for devices",
            "no BPF programs for devices",
            meaning="which devices a container may open; without it only what is in its /dev",
            remedy="give the daemon CAP_BPF",
        )
    sizes = huge_pages.sizes()
    yield _finding(
        "hugepages",
        bool(sizes) and "hugetlb" in available,
        f"huge pages: {', '.join(sizes)}",
        "huge pages can't be limited",
        meaning="hugepages-* limits of pods, which are refused",
    )


def _swap(version: int, directory: str) -> Finding:
    name = "memory.swap.max" if version == 2 else "memory.memsw.limit_in_bytes"
    at_root = version == 2 and not Path(f"{directory}/memory.current").exists()
    return _finding(
        "cgroup.swap",
        at_root or Path(f"{directory}/{name}").exists(),
        "accounting of swap",
        "no accounting of swap",
        meaning="limits of memory and swap together; swap is not limited",
        remedy="boot with swapaccount=1, if the machine has swap",
    )


def _confinement() -> Iterator[Finding]:
    yield _finding(
        "seccomp",
        Path("/proc/sys/kernel/seccomp/actions_avail").exists(),
        "seccomp filters",
        "no seccomp",
        meaning="filtering system calls",
        remedy="boot a kernel with CONFIG_SECCOMP_FILTER",
    )
    yield _apparmor()
    yield _finding(
        "selinux",
        lsm.selinux_enabled(),
        "SELinux",
        "no SELinux in this kernel, or it is off",
        meaning="SELinux options of containers, which are without effect",
    )


def _apparmor() -> Finding:
    meaning = "AppArmor profiles of containers; those by name are refused"
    if not lsm.apparmor_enabled():
        what = "no AppArmor in this kernel, or it is off"
        return Finding(name="apparmor", state=LIMITED, what=what, meaning=meaning)
    if apparmor.loaded():
        return Finding(name="apparmor", state=OK, what=f"AppArmor, with the profile {apparmor.NAME}")
    if apparmor.parser():
        what = f"AppArmor; the daemon loads the profile {apparmor.NAME} when it starts"
        return Finding(name="apparmor", state=OK, what=what)
    what = f"AppArmor without apparmor_parser: {apparmor.NAME} can't be loaded"
    return Finding(
        name="apparmor", state=LIMITED, what=what, meaning=meaning, remedy="install Debian's package apparmor"
    )


def _network() -> Iterator[Finding]:
    yield _finding(
        "nftables",
        nftables.available(),
        "nf_tables",
        "no nf_tables",
        meaning="ports of the host (-p), and pods that reach the outside; both are refused",
        remedy="load it with 'modprobe nf_tables nf_nat'",
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
