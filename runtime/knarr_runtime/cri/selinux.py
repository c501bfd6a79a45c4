"""SELinux labels: from CRI's options to those of a program and of its files, and volumes that get the latter.

Where the kernel has no SELinux, or no policy is loaded, options are checked and have no effect, as with containerd.
Source: selinux_lxc_contexts(5), selinux_config(5).
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

from knarr_runtime.errors import Invalid
from knarr_runtime.kernel import lsm

_LEVEL = re.compile(r"s\d+(-s\d+)?(:c\d{1,4}(\.c\d{1,4})?(,c\d{1,4}(\.c\d{1,4})?)*)?\Z")
_WORD = re.compile(r"[A-Za-z0-9_.-]+\Z")
_CONFIG = Path("/etc/selinux/config")
_PROCESS, _FILE = "system_u:system_r:container_t:s0", "system_u:object_r:container_file_t:s0"
_LABEL = "security.selinux"
_SYSTEM = (
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "lib64",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
    "var",
)
_OF_THE_HOST = {"/", "/var/lib", "/var/log", "/var/run", *(f"/{name}" for name in _SYSTEM)}
"""Relabelling one of these for a container takes the machine away from everybody else."""


def labels(security: Any, of_sandbox: Any) -> tuple[str, str]:
    """(of the program, of its files), "" for none. The container's options, else its sandbox's. Raises Invalid."""
    options = security.selinux_options if security.selinux_options.ByteSize() else of_sandbox.selinux_options
    if options.level and not _LEVEL.match(options.level):
        raise Invalid(f'selinux_options.level: the format of "{options.level}" is not correct')
    for name in ("user", "role", "type"):
        if getattr(options, name) and not _WORD.match(getattr(options, name)):
            raise Invalid(f'selinux_options.{name}: "{getattr(options, name)}" is no word')
    if not options.ByteSize() or not lsm.selinux_enabled():
        return "", ""
    process, file = _defaults()
    user, role, kind, level = _parts(process)
    level = options.level or level
    program = _joined(options.user or user, options.role or role, options.type or kind, level)
    of_files = _joined(*_parts(file)[:3], level)
    for label in (program, of_files):
        if not lsm.selinux_knows(label):
            raise Invalid(f"selinux_options: {label} is no label of the policy that is loaded")
    return "" if security.privileged else program, of_files


def _defaults() -> tuple[str, str]:
    """As the machine's policy has them for containers."""
    policy, process, file = "targeted", _PROCESS, _FILE
    with contextlib.suppress(OSError):
        policy = _assignments(_CONFIG).get("SELINUXTYPE", policy)
        contexts = _assignments(_CONFIG.parent / policy / "contexts/lxc_contexts")
        process, file = contexts.get("process", process), contexts.get("file", file)
    return process, file


def _assignments(path: Path) -> dict[str, str]:
    pairs = [line.partition("=") for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    return {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def _parts(label: str) -> tuple[str, str, str, str]:
    user, role, kind, level = (*label.split(":", 3), "", "", "")[:4]
    return user, role, kind, level


def _joined(user: str, role: str, kind: str, level: str) -> str:
    return ":".join((user, role, kind, *([level] if level and lsm.selinux_has_levels() else [])))


def relabel(path: str, label: str) -> None:
    """Gives ``path`` and what is below it the label. Blocking. Raises Invalid where that is not to be done."""
    real = os.path.realpath(path)
    if real in _OF_THE_HOST:
        raise Invalid(f"config.mounts: {real} belongs to the machine: it is not relabelled for a container")
    _set(real, label)
    for _, directories, files, descriptor in os.fwalk(real):
        for name in (*directories, *files):
            _set(f"/proc/self/fd/{descriptor}/{name}", label)


def _set(path: str, label: str) -> None:
    try:
        os.setxattr(path, _LABEL, label.encode(), follow_symlinks=False)
    except FileNotFoundError:  # removed meanwhile
        return
    except OSError as error:
        raise Invalid(f"config.mounts: {path} can't be relabelled: {error.strerror}") from error
