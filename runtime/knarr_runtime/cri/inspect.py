"""What a verbose status tells beside the status: JSON as ``crictl inspect`` and ``crictl inspectp`` show it. Pure.

``runtimeSpec`` has the shape of an OCI runtime configuration, made from the launcher's specs; nothing reads it but
people and their tools.
"""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.json_format import MessageToDict

from knarr_runtime.cri.records import ContainerRecord, SandboxRecord
from knarr_runtime.launcher import Container, Sandbox
from knarr_runtime.spec import ContainerSpec, Mount, Namespaces, Resources

OCI_VERSION = "1.1.0"


def container(record: ContainerRecord, launched: Container, sandbox: Sandbox | None) -> str:
    return json.dumps(
        {
            "sandboxID": record.sandbox_id,
            "pid": launched.pid,
            "removing": False,
            "snapshotKey": record.id,
            "snapshotter": "overlayfs",
            "runtimeType": "knarr",
            "config": _message(record.config),
            "runtimeSpec": _runtime_spec(launched.spec, sandbox),
        }
    )


def sandbox(record: SandboxRecord, launched: Sandbox | None, ready: bool) -> str:
    pid = launched.pid if launched is not None and ready else 0
    namespaces = _namespaces(launched.spec.namespaces, launched) if launched is not None else []
    return json.dumps(
        {
            "pid": pid,
            "processStatus": "running" if ready else "deleted",
            "netNamespaceClosed": not ready,
            "runtimeHandler": record.runtime_handler,
            "runtimeType": "knarr",
            "config": _message(record.config),
            "runtimeSpec": {
                "ociVersion": OCI_VERSION,
                "hostname": record.config.hostname,
                "linux": {
                    "sysctl": dict(record.config.linux.sysctls),
                    "cgroupsPath": launched.spec.cgroup_parent if launched is not None else "",
                    "namespaces": namespaces,
                },
            },
            "cniResult": {"Interfaces": {"eth0": {"IPConfigs": [{"IP": record.address}]}}} if record.address else None,
        }
    )


def _message(message: Any) -> Any:
    return MessageToDict(message, preserving_proto_field_name=True)


def _runtime_spec(spec: ContainerSpec, sandbox: Sandbox | None) -> dict[str, Any]:
    sets = spec.capabilities
    namespaces = _namespaces(sandbox.spec.namespaces, sandbox) if sandbox is not None else []
    return {
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": spec.tty,
            "user": {"uid": spec.user.uid, "gid": spec.user.gid, "additionalGids": list(spec.user.groups)},
            "args": list(spec.args),
            "env": list(spec.env),
            "cwd": spec.cwd,
            "capabilities": {
                name: list(getattr(sets, name))
                for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
            },
            "rlimits": [{"type": one.name, "soft": one.soft, "hard": one.hard} for one in spec.rlimits],
            "noNewPrivileges": spec.no_new_privs,
            "oomScoreAdj": spec.oom_score_adj or 0,
            "apparmorProfile": spec.apparmor,
            "selinuxLabel": spec.selinux,
        },
        "root": {"path": spec.rootfs.upper or spec.rootfs.lower[0], "readonly": spec.rootfs.readonly},
        "mounts": [_mount(mount) for mount in spec.mounts],
        "linux": {
            "resources": _resources(spec.resources),
            "cgroupsPath": spec.cgroup,
            "namespaces": namespaces,
            "timeOffsets": {
                clock: {"secs": ns // 10**9, "nanosecs": ns % 10**9} for clock, ns in spec.time_offsets_ns.items()
            },
            "mountLabel": spec.mount_label,
            "seccomp": {"profile": "unconfined" if spec.privileged else spec.seccomp},
            "maskedPaths": [] if spec.privileged else list(spec.masked_paths),
            "readonlyPaths": [] if spec.privileged else list(spec.readonly_paths),
        },
    }


def _mount(mount: Mount) -> dict[str, Any]:
    access = ("rro" if mount.recursive else "ro") if mount.readonly else "rw"
    propagation = "rprivate" if mount.propagation == "private" else mount.propagation
    source = mount.source or ":".join(mount.layers) or mount.kind
    return {
        "destination": mount.target,
        "type": "overlay" if mount.layers else mount.kind,
        "source": source,
        "options": ["rbind", propagation, access] if mount.kind == "bind" else mount.options.split(","),
    }


def _resources(limits: Resources) -> dict[str, Any]:
    return {
        "cpu": {
            "shares": limits.cpu_shares,
            "quota": limits.cpu_quota_us,
            "period": limits.cpu_period_us,
            "cpus": limits.cpuset_cpus,
            "mems": limits.cpuset_mems,
        },
        "memory": {"limit": limits.memory_limit_bytes, "swap": limits.memory_swap_limit_bytes},
        "pids": {"limit": limits.pids_limit},
        "hugepageLimits": [{"pageSize": size, "limit": each} for size, each in limits.huge_pages.items()],
        "unified": dict(limits.unified),
    }


def _namespaces(modes: Namespaces, sandbox: Sandbox | None) -> list[dict[str, str]]:
    """Those that are not the host's; with the path of those that the pod's containers share."""
    pid = sandbox.pid if sandbox is not None else 0

    def shared(kind: str, name: str) -> dict[str, str]:
        return {"type": kind, "path": f"/proc/{pid}/ns/{name}"} if pid else {"type": kind}

    found: list[dict[str, str]] = [{"type": "mount"}, {"type": "cgroup"}, shared("uts", "uts")]
    if modes.net == "pod":
        found.append(shared("network", "net"))
    if modes.ipc == "pod":
        found.append(shared("ipc", "ipc"))
    if modes.pid != "host":
        found.append({"type": "pid"})
    return found
