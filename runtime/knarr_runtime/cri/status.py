"""CRI's messages about sandboxes and containers, from what is recorded and what the launcher knows. Pure."""

from __future__ import annotations

from typing import Any

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.cri.records import ContainerRecord, SandboxRecord
from knarr_runtime.cri.specs import NO_LOG
from knarr_runtime.launcher import Container, ContainerState, Exit
from knarr_runtime.spec import Resources

STATES = {
    ContainerState.CREATED: cri.CONTAINER_CREATED,
    ContainerState.RUNNING: cri.CONTAINER_RUNNING,
    ContainerState.EXITED: cri.CONTAINER_EXITED,
}


def sandbox_state(ready: bool) -> Any:
    return cri.SANDBOX_READY if ready else cri.SANDBOX_NOTREADY


def sandbox_item(record: SandboxRecord, ready: bool) -> Any:
    """As lists show it."""
    return cri.PodSandbox(
        id=record.id,
        metadata=record.config.metadata,
        state=sandbox_state(ready),
        created_at=record.created_at_ns,
        labels=record.config.labels,
        annotations=record.config.annotations,
        runtime_handler=record.runtime_handler,
    )


def sandbox_status(record: SandboxRecord, ready: bool) -> Any:
    return cri.PodSandboxStatus(
        id=record.id,
        metadata=record.config.metadata,
        state=sandbox_state(ready),
        created_at=record.created_at_ns,
        network=cri.PodSandboxNetworkStatus(ip=record.address),
        linux=cri.LinuxPodSandboxStatus(
            namespaces=cri.Namespace(options=record.config.linux.security_context.namespace_options)
        ),
        labels=record.config.labels,
        annotations=record.config.annotations,
        runtime_handler=record.runtime_handler,
    )


def container_state(launched: Container | None) -> Any:
    return STATES[launched.state] if launched is not None else cri.CONTAINER_UNKNOWN


def container_item(record: ContainerRecord, launched: Container | None) -> Any:
    """As lists show it."""
    return cri.Container(
        id=record.id,
        pod_sandbox_id=record.sandbox_id,
        metadata=record.config.metadata,
        image=record.config.image,
        image_ref=record.image_ref or record.image_id,
        image_id=record.image_id,
        state=container_state(launched),
        created_at=record.created_at_ns,
        labels=record.config.labels,
        annotations=record.config.annotations,
    )


def container_status(record: ContainerRecord, launched: Container | None) -> Any:
    status = cri.ContainerStatus(
        id=record.id,
        metadata=record.config.metadata,
        state=container_state(launched),
        created_at=record.created_at_ns,
        image=record.config.image,
        image_ref=record.image_ref or record.image_id,
        image_id=record.image_id,
        labels=record.config.labels,
        annotations=record.config.annotations,
        mounts=_mounts(record),
        stop_signal=record.config.stop_signal,
    )
    if launched is None:
        status.reason, status.message = "Unknown", "the runtime has no record of its process"
        return status
    user = launched.spec.user
    if launched.spec.log_path != NO_LOG:
        status.log_path = launched.spec.log_path
    status.user.linux.uid, status.user.linux.gid = user.uid, user.gid
    status.user.linux.supplemental_groups.extend(user.groups)
    status.resources.linux.CopyFrom(_resources(launched.spec.resources, launched.spec.oom_score_adj or 0))
    status.started_at = launched.started_at_ns
    if launched.exit is not None:
        status.finished_at = launched.exit.finished_at_ns
        status.exit_code = launched.exit.exit_code
        status.reason = reason(launched.exit)
        status.message = message(launched.exit)
    return status


def _mounts(record: ContainerRecord) -> list[Any]:
    """As they were asked for; those of images with the id of what was found for them."""
    told = []
    for mount in record.config.mounts:
        if mount.HasField("image"):
            shown = cri.Mount()
            shown.CopyFrom(mount)
            shown.image.image_ref = record.volume_images.get(mount.container_path, "")
            told.append(shown)
        else:
            told.append(mount)
    return told


def _resources(limits: Resources, oom_score_adj: int) -> Any:
    unified = dict(limits.unified)
    if limits.pids_limit:
        unified["pids.max"] = "max" if limits.pids_limit < 0 else str(limits.pids_limit)
    return cri.LinuxContainerResources(
        cpu_period=limits.cpu_period_us,
        cpu_quota=limits.cpu_quota_us,
        cpu_shares=limits.cpu_shares,
        memory_limit_in_bytes=limits.memory_limit_bytes,
        memory_swap_limit_in_bytes=limits.memory_swap_limit_bytes,
        oom_score_adj=oom_score_adj,
        cpuset_cpus=limits.cpuset_cpus,
        cpuset_mems=limits.cpuset_mems,
        unified=unified,
        hugepage_limits=[cri.HugepageLimit(page_size=size, limit=each) for size, each in limits.huge_pages.items()],
    )


def message(ended: Exit) -> str:
    """Why it could not start; or that it ended by itself, but without some of its processes."""
    if ended.reason or ended.oom_killed or not ended.oom_kills:
        return ended.reason
    return f"processes in it that the kernel killed for want of memory: {ended.oom_kills}"


def reason(ended: Exit) -> str:
    """The words that Kubernetes shows."""
    if ended.oom_killed:
        return "OOMKilled"
    if ended.reason:
        return "StartError"
    return "Completed" if ended.exit_code == 0 else "Error"
