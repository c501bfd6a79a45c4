"""Which system calls a container may make: the default, equal in effect to Docker's, and profiles in Docker's JSON.

The default is written the other way round: what is refused, and which capability lifts that. Everything else this
table of numbers knows is allowed; calls newer than the table fail with ENOSYS, so that programs fall back.
Not covered: 32-bit programs on 64-bit kernels, all of whose calls fail with ENOSYS.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Any

from knarr_runtime.errors import Invalid
from knarr_runtime.kernel.seccomp import bpf
from knarr_runtime.kernel.seccomp.bpf import Compare, Rule, When
from knarr_runtime.kernel.seccomp.numbers import AUDIT_ARCH, table

_NEVER = (
    "_sysctl add_key afs_syscall create_module get_kernel_syms getpmsg io_uring_enter io_uring_register "
    "io_uring_setup kexec_file_load kexec_load keyctl migrate_pages move_pages nfsservctl pivot_root putpmsg "
    "query_module request_key security swapoff swapon sysfs tuxcall uselib userfaultfd ustat vserver"
)
_LIFTED_BY = {
    "CAP_SYS_ADMIN": (
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie mount mount_setattr "
        "move_mount open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname sethostname setns "
        "statmount syslog umount2 unshare"
    ),
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYSLOG": "syslog",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime settimeofday",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
}
_NEW_NAMESPACES = 0x7E020000
_PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)
_AF_VSOCK = 40
_REFUSED = Rule(bpf.errno(errno.EPERM))
_UNKNOWN = Rule(bpf.errno(errno.ENOSYS))
_ALLOWED = Rule(bpf.ALLOW)


def default_rules(capabilities: frozenset[str], machine: str) -> dict[int, Rule]:
    """{number: rule} of the default profile for a container with these capabilities."""
    numbers = table(machine)
    rules = dict.fromkeys(numbers.values(), _ALLOWED)
    lifted = {name for capability in capabilities for name in _LIFTED_BY.get(capability, "").split()}
    refused = set(_NEVER.split()).union(*(names.split() for names in _LIFTED_BY.values())) - lifted
    for name in refused & numbers.keys():
        rules[numbers[name]] = _REFUSED
    if "CAP_SYS_ADMIN" not in capabilities:
        # clone3's flags lie in memory where a filter cannot see them; ENOSYS makes libc use clone
        rules[numbers["clone3"]] = Rule(bpf.errno(errno.ENOSYS))
        plain = When((Compare(0, 0, mask=_NEW_NAMESPACES),), bpf.ALLOW)
        rules[numbers["clone"]] = Rule(bpf.errno(errno.EPERM), (plain,))
    rules[numbers["personality"]] = Rule(
        bpf.errno(errno.EPERM), tuple(When((Compare(0, value),), bpf.ALLOW) for value in _PERSONALITIES)
    )
    no_vsock = When((Compare(0, _AF_VSOCK, negate=True),), bpf.ALLOW)
    rules[numbers["socket"]] = Rule(bpf.errno(errno.EPERM), (no_vsock,))
    return rules


def default_filter(capabilities: frozenset[str], machine: str = os.uname().machine) -> bytes:
    """The compiled default profile. Raises KeyError for a machine without a table."""
    rules = default_rules(capabilities, machine)
    return bpf.compile_filter(AUDIT_ARCH[machine], rules, _REFUSED, _UNKNOWN, _UNKNOWN.otherwise)


_ACTIONS = {
    "SCMP_ACT_ALLOW": bpf.ALLOW,
    "SCMP_ACT_LOG": bpf.LOG,
    "SCMP_ACT_TRAP": bpf.TRAP,
    "SCMP_ACT_KILL": 0x0,
    "SCMP_ACT_KILL_THREAD": 0x0,
    "SCMP_ACT_KILL_PROCESS": bpf.KILL_PROCESS,
}


def _action(name: str, errno_value: int | None) -> int:
    if name == "SCMP_ACT_ERRNO":
        return bpf.errno(errno.EPERM if errno_value is None else errno_value)
    if name not in _ACTIONS:
        raise Invalid(f"seccomp profile: action {name!r} is not supported")
    return _ACTIONS[name]


def json_filter(profile: Mapping[str, Any], capabilities: frozenset[str], machine: str = os.uname().machine) -> bytes:
    """A compiled profile in Docker's and OCI's JSON form. Raises Invalid where it says something unsupported.

    Calls named that this machine lacks are ignored; ``includes``/``excludes`` are honoured for caps and arches.
    """
    numbers = table(machine)
    default = Rule(_action(str(profile.get("defaultAction")), profile.get("defaultErrnoRet")))
    cases: dict[int, list[When]] = {}
    plain: dict[int, int] = {}
    for entry in profile.get("syscalls", ()):
        if not _applies(entry, capabilities, machine):
            continue
        action = _action(str(entry.get("action")), entry.get("errnoRet"))
        conditions = tuple(_compare(argument) for argument in entry.get("args") or ())
        for name in entry.get("names") or (entry.get("name"),):
            number = numbers.get(str(name))
            if number is None:
                continue
            if conditions:
                cases.setdefault(number, []).append(When(conditions, action))
            else:
                plain[number] = action
    rules = {
        number: Rule(plain.get(number, default.otherwise), tuple(cases.get(number, ())))
        for number in plain.keys() | cases.keys()
    }
    if not rules:
        rules = {0: default}
    return bpf.compile_filter(AUDIT_ARCH[machine], rules, default, default, default.otherwise)


def _applies(entry: Mapping[str, Any], capabilities: frozenset[str], machine: str) -> bool:
    arch = {"x86_64": "amd64", "aarch64": "arm64"}[machine]
    includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
    if not capabilities.issuperset(includes.get("caps") or ()):
        return False
    if includes.get("arches") and arch not in includes["arches"]:
        return False
    return capabilities.isdisjoint(excludes.get("caps") or ()) and arch not in (excludes.get("arches") or ())


def _compare(argument: Mapping[str, Any]) -> Compare:
    index, value, second = int(argument["index"]), int(argument["value"]), int(argument.get("valueTwo") or 0)
    if not 0 <= index <= 5:
        raise Invalid(f"seccomp profile: argument index {index} is not within 0 to 5")
    match argument.get("op"):
        case "SCMP_CMP_EQ":
            return Compare(index, value)
        case "SCMP_CMP_NE":
            return Compare(index, value, negate=True)
        case "SCMP_CMP_MASKED_EQ":
            return Compare(index, second, mask=value)
        case other:
            raise Invalid(f"seccomp profile: comparison {other!r} is not supported")
