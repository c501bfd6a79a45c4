"""Which sysctls a pod may set: namespaced ones only, by a name that can mean nothing else (CVE-2022-0811)."""

from __future__ import annotations

import re

from knarr_runtime.errors import Invalid
from knarr_runtime.spec import SandboxSpec

_IPC = ("kernel.shm_rmid_forced", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.sem")
_IPC_PREFIXES = ("kernel.msg", "fs.mqueue.")
_NAME = re.compile(r"[a-z][a-z0-9_-]*(?:\.[A-Za-z0-9_-]+)+\Z")
_VALUE = re.compile(r"[\x20-\x7e\t]*\Z")


def check(spec: SandboxSpec) -> None:
    """Raises Invalid with the first sysctl that is not allowed."""
    for name, value in spec.sysctls.items():
        if not _NAME.match(name) or not _VALUE.match(value):
            raise Invalid(f"sysctl {name!r}: not a name and value a sysctl can have")
        if name.startswith("net."):
            namespace, mode = "network", spec.namespaces.net
        elif name in _IPC or name.startswith(_IPC_PREFIXES):
            namespace, mode = "ipc", spec.namespaces.ipc
        else:
            raise Invalid(f"sysctl {name!r}: not namespaced, it would change the whole machine")
        if mode == "host":
            raise Invalid(f"sysctl {name!r}: the pod uses the host's {namespace} namespace")
