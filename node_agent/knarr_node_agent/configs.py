"""From a pod's specification to what CRI is asked for. Pure.

Resources are converted as the kubelet does: cpu requests to shares (1024 a core), limits to a quota of 100 ms periods;
pods are grouped in cgroups by quality of service. Source: Kubernetes "Resource Management", CRI runtime.v1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knarr_api.errors import Invalid
from knarr_api.types.core_v1 import Container, Pod, SeccompProfile, SecurityContext
from knarr_node_agent import environment
from knarr_node_agent.runtime import CONTAINER_NAME, IMAGE_ANNOTATION, POD_NAME, POD_NAMESPACE, POD_UID
from knarr_proto.cri import api_pb2 as cri

SHARES_PER_CORE, MIN_SHARES, MAX_SHARES = 1024, 2, 262144
PERIOD_US, MIN_QUOTA_US = 100_000, 1000
OOM_SCORE = {"Guaranteed": -997, "BestEffort": 1000}
MASKED = (
    *("/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list"),
    *("/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"),
)
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True)
class HostMount:
    """A prepared volume: where it is on the host and where it goes."""

    host_path: str
    container_path: str
    readonly: bool
    propagation: str = ""


def sandbox_config(pod: Pod, attempt: int, log_directory: str, dns: Sequence[str] = ()) -> cri.PodSandboxConfig:
    """A pod's sandbox."""
    metadata, spec = pod.metadata, pod.spec
    security = cri.LinuxSandboxSecurityContext(namespace_options=_namespaces(pod))
    sysctls: dict[str, str] = {}
    if spec.security_context is not None:
        sysctls = {sysctl.name: sysctl.value for sysctl in spec.security_context.sysctls}
    config = spec.dns_config
    servers = [*(config.nameservers if config is not None else ()), *dns]
    options = [f"{o.name}:{o.value}" if o.value else o.name for o in (config.options if config is not None else ())]
    return cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(
            name=metadata.name, namespace=metadata.namespace, uid=metadata.uid, attempt=attempt
        ),
        hostname="" if spec.host_network else (spec.hostname or metadata.name)[:63].rstrip("-."),
        log_directory=log_directory,
        dns_config=cri.DNSConfig(
            servers=servers, searches=list(config.searches) if config is not None else [], options=options
        ),
        labels={**metadata.labels, POD_NAME: metadata.name, POD_NAMESPACE: metadata.namespace, POD_UID: metadata.uid},
        linux=cri.LinuxPodSandboxConfig(cgroup_parent=cgroup_parent(pod), security_context=security, sysctls=sysctls),
    )


def container_config(
    pod: Pod,
    container: Container,
    attempt: int,
    variables: Mapping[str, str],
    mounts: Sequence[HostMount],
    *,
    memory_bytes: int,
) -> cri.ContainerConfig:
    """One run of a container. memory_bytes: of the node, for the oom score. Raises Invalid."""
    metadata = pod.metadata
    propagations = {
        "HostToContainer": cri.PROPAGATION_HOST_TO_CONTAINER,
        "Bidirectional": cri.PROPAGATION_BIDIRECTIONAL,
    }
    return cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name=container.name, attempt=attempt),
        image=cri.ImageSpec(image=container.image),
        command=environment.expand_all(container.command, variables),
        args=environment.expand_all(container.args, variables),
        working_dir=container.working_dir,
        envs=[cri.KeyValue(key=name, value=value.encode()) for name, value in variables.items()],
        mounts=[
            cri.Mount(
                host_path=mount.host_path,
                container_path=mount.container_path,
                readonly=mount.readonly,
                propagation=propagations.get(mount.propagation, cri.PROPAGATION_PRIVATE),
            )
            for mount in mounts
        ],
        labels={
            POD_NAME: metadata.name,
            POD_NAMESPACE: metadata.namespace,
            POD_UID: metadata.uid,
            CONTAINER_NAME: container.name,
        },
        annotations={IMAGE_ANNOTATION: container.image},
        log_path=log_path(container.name, attempt),
        stdin=bool(container.stdin),
        stdin_once=bool(container.stdin_once),
        tty=bool(container.tty),
        linux=cri.LinuxContainerConfig(
            resources=_resources(pod, container, memory_bytes), security_context=_security(pod, container)
        ),
    )


def log_path(container: str, attempt: int) -> str:
    """Below the pod's log directory."""
    return f"{container}/{attempt}.log"


def cgroup_parent(pod: Pod) -> str:
    """``kubepods/burstable/pod<uid>``; guaranteed pods stand beside the two groups."""
    group = {"BestEffort": "kubepods/besteffort", "Burstable": "kubepods/burstable"}.get(
        pod.status.qos_class, "kubepods"
    )
    return f"{group}/pod{pod.metadata.uid}"


def shares(milli_cpu: int) -> int:
    return min(max(milli_cpu * SHARES_PER_CORE // 1000, MIN_SHARES), MAX_SHARES)


def quota_us(milli_cpu: int) -> int:
    """0: no limit."""
    return max(milli_cpu * PERIOD_US // 1000, MIN_QUOTA_US) if milli_cpu else 0


def _resources(pod: Pod, container: Container, node_memory_bytes: int) -> cri.LinuxContainerResources:
    requests, limits = container.resources.requests, container.resources.limits
    cpu_request = requests["cpu"].milli() if "cpu" in requests else 0
    cpu_limit = limits["cpu"].milli() if "cpu" in limits else 0
    memory_limit = limits["memory"].value() if "memory" in limits else 0
    memory_request = requests["memory"].value() if "memory" in requests else 0
    qos = pod.status.qos_class
    score = OOM_SCORE.get(qos)
    if score is None:
        score = min(max(1000 - 1000 * memory_request // max(node_memory_bytes, 1), 3), 999)
    return cri.LinuxContainerResources(
        cpu_shares=shares(cpu_request or cpu_limit),
        cpu_period=PERIOD_US if cpu_limit else 0,
        cpu_quota=quota_us(cpu_limit),
        memory_limit_in_bytes=memory_limit,
        oom_score_adj=score,
    )


def _security(pod: Pod, container: Container) -> cri.LinuxContainerSecurityContext:
    own = container.security_context or SecurityContext()
    of_pod = pod.spec.security_context
    privileged = bool(own.privileged)
    user = own.run_as_user if own.run_as_user is not None else (of_pod.run_as_user if of_pod is not None else None)
    group = own.run_as_group if own.run_as_group is not None else (of_pod.run_as_group if of_pod is not None else None)
    non_root = own.run_as_non_root
    if non_root is None and of_pod is not None:
        non_root = of_pod.run_as_non_root
    if non_root and user == 0:
        raise Invalid("container's runAsUser breaks non-root policy")
    context = cri.LinuxContainerSecurityContext(
        privileged=privileged,
        namespace_options=_namespaces(pod),
        readonly_rootfs=bool(own.read_only_root_filesystem),
        no_new_privs=own.allow_privilege_escalation is False,
        seccomp=_seccomp(own.seccomp_profile or (of_pod.seccomp_profile if of_pod is not None else None), privileged),
        masked_paths=() if privileged or own.proc_mount == "Unmasked" else MASKED,
        readonly_paths=() if privileged or own.proc_mount == "Unmasked" else READONLY,
    )
    if own.capabilities is not None:
        context.capabilities.add_capabilities.extend(own.capabilities.add)
        context.capabilities.drop_capabilities.extend(own.capabilities.drop)
    if user is not None:
        context.run_as_user.value = user
    if group is not None:
        context.run_as_group.value = group
    if of_pod is not None:
        context.supplemental_groups.extend(of_pod.supplemental_groups)
        if of_pod.fs_group is not None:
            context.supplemental_groups.append(of_pod.fs_group)
    return context


def _seccomp(profile: SeccompProfile | None, privileged: bool) -> cri.SecurityProfile:
    if privileged or (profile is not None and profile.type == "Unconfined"):
        return cri.SecurityProfile(profile_type=cri.Unconfined)
    if profile is not None and profile.type == "Localhost":
        return cri.SecurityProfile(profile_type=cri.Localhost, localhost_ref=profile.localhost_profile or "")
    return cri.SecurityProfile(profile_type=cri.RuntimeDefault)


def _namespaces(pod: Pod) -> cri.NamespaceOption:
    spec = pod.spec
    pid = cri.CONTAINER
    if spec.share_process_namespace:
        pid = cri.POD
    if spec.host_pid:
        pid = cri.NODE
    return cri.NamespaceOption(
        network=cri.NODE if spec.host_network else cri.POD, pid=pid, ipc=cri.NODE if spec.host_ipc else cri.POD
    )
