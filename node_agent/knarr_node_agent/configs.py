"""From a pod's specification to what CRI is asked for. Pure.

Resources are converted as the kubelet does: cpu requests to shares (1024 a core), limits to a quota of 100 ms periods;
pods are grouped in cgroups by quality of service. Source: Kubernetes "Resource Management", CRI runtime.v1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knarr_api.errors import Invalid
from knarr_api.types.core_v1 import Container, Pod, SeccompProfile, SecurityContext
from knarr_node_agent import environment, user_ranges
from knarr_node_agent.runtime import CONTAINER_NAME, IMAGE_ANNOTATION, POD_NAME, POD_NAMESPACE, POD_UID, Image
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


@dataclass(frozen=True, slots=True)
class Resolver:
    """What a resolv.conf says."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def read_resolver(text: str) -> Resolver:
    """The lines of resolv.conf(5) that matter."""
    servers: list[str] = []
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        match words:
            case ["nameserver", address, *_]:
                servers.append(address)
            case ["search" | "domain", *names]:
                searches = tuple(names)
            case ["options", *given]:
                options = tuple(given)
    return Resolver(tuple(servers), searches, options)


def dns_config(pod: Pod, node: Resolver) -> cri.DNSConfig:
    """The pod's resolv.conf: the node's (there is no cluster DNS yet) unless the policy is None, and what it adds."""
    base = Resolver() if pod.spec.dns_policy == "None" else node
    config = pod.spec.dns_config
    if config is None:
        return cri.DNSConfig(servers=base.servers, searches=base.searches, options=base.options)
    own = {option.name: f"{option.name}:{option.value}" if option.value else option.name for option in config.options}
    inherited = [option for option in base.options if option.partition(":")[0] not in own]
    return cri.DNSConfig(
        servers=dict.fromkeys((*base.servers, *config.nameservers)),
        searches=dict.fromkeys((*base.searches, *config.searches)),
        options=[*inherited, *own.values()],
    )


def sandbox_config(
    pod: Pod, attempt: int, log_directory: str, resolver: Resolver, users: int | None = None
) -> cri.PodSandboxConfig:
    """A pod's sandbox. users: first id of its own range, for a pod with a user namespace."""
    metadata, spec = pod.metadata, pod.spec
    security = cri.LinuxSandboxSecurityContext(namespace_options=_namespaces(pod, users))
    sysctls: dict[str, str] = {}
    if spec.security_context is not None:
        sysctls = {sysctl.name: sysctl.value for sysctl in spec.security_context.sysctls}
    protocols = {"UDP": cri.UDP, "SCTP": cri.SCTP}
    ports = [
        cri.PortMapping(
            protocol=protocols.get(port.protocol, cri.TCP),
            container_port=port.container_port or 0,
            host_port=port.host_port or 0,
            host_ip=port.host_ip,
        )
        for container in (*spec.init_containers, *spec.containers)
        for port in container.ports
        if port.host_port and not spec.host_network
    ]
    return cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(
            name=metadata.name, namespace=metadata.namespace, uid=metadata.uid, attempt=attempt
        ),
        hostname="" if spec.host_network else (spec.hostname or metadata.name)[:63].rstrip("-."),
        log_directory=log_directory,
        dns_config=dns_config(pod, resolver),
        port_mappings=ports,
        labels={**metadata.labels, POD_NAME: metadata.name, POD_NAMESPACE: metadata.namespace, POD_UID: metadata.uid},
        annotations=dict(metadata.annotations),
        linux=cri.LinuxPodSandboxConfig(
            cgroup_parent=cgroup_parent(pod),
            security_context=security,
            sysctls=sysctls,
            resources=pod_resources(pod),
        ),
    )


def container_config(
    pod: Pod,
    container: Container,
    attempt: int,
    variables: Mapping[str, str],
    mounts: Sequence[HostMount],
    *,
    image: Image,
    memory_bytes: int,
    users: int | None = None,
) -> cri.ContainerConfig:
    """One run of a container. memory_bytes: the node's, for the oom score. users: as of its sandbox. Raises Invalid."""
    metadata = pod.metadata
    _check_non_root(pod, container, image)
    signal = container.lifecycle.stop_signal if container.lifecycle is not None else ""
    propagations = {
        "HostToContainer": cri.PROPAGATION_HOST_TO_CONTAINER,
        "Bidirectional": cri.PROPAGATION_BIDIRECTIONAL,
    }
    return cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name=container.name, attempt=attempt),
        image=cri.ImageSpec(image=container.image, user_specified_image=container.image),
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
                uidMappings=_mappings(users),
                gidMappings=_mappings(users),
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
        stop_signal=f"SIGNAL_{signal or 'RUNTIME_DEFAULT'}",
        linux=cri.LinuxContainerConfig(
            resources=_resources(pod, container, memory_bytes), security_context=_security(pod, container, image, users)
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


def pod_resources(pod: Pod) -> cri.LinuxContainerResources:
    """Of the pod's own cgroup: all its containers together; a limit only where every container has one."""
    mains = [*pod.spec.containers, *(c for c in pod.spec.init_containers if c.restart_policy == "Always")]
    first = [c for c in pod.spec.init_containers if c.restart_policy != "Always"]

    def amount(container: Container, kind: str, name: str) -> int:
        amounts = container.resources.limits if kind == "limits" else container.resources.requests
        if name not in amounts:
            return 0
        return amounts[name].milli() if name == "cpu" else amounts[name].value()

    def together(kind: str, name: str) -> int:
        beside = [amount(container, kind, name) for container in mains]
        before = [amount(container, kind, name) for container in first]
        if kind == "limits" and not all((*beside, *before)):
            return 0
        return max([sum(beside), *before])

    cpu_limit = together("limits", "cpu")
    return cri.LinuxContainerResources(
        cpu_shares=shares(together("requests", "cpu")),
        cpu_period=PERIOD_US if cpu_limit else 0,
        cpu_quota=quota_us(cpu_limit),
        memory_limit_in_bytes=together("limits", "memory"),
    )


def _check_non_root(pod: Pod, container: Container, image: Image) -> None:
    """Raises Invalid for a container that must not run as root and would, or might."""
    own, of_pod = container.security_context, pod.spec.security_context
    wanted = own.run_as_non_root if own is not None else None
    if wanted is None and of_pod is not None:
        wanted = of_pod.run_as_non_root
    if not wanted:
        return
    user = own.run_as_user if own is not None else None
    if user is None and of_pod is not None:
        user = of_pod.run_as_user
    if user == 0:
        raise Invalid("container's runAsUser breaks non-root policy")
    if user is not None:
        return
    if image.user_name:
        raise Invalid(
            f"container has runAsNonRoot and image has non-numeric user ({image.user_name}), cannot verify user is "
            "non-root: set runAsUser"
        )
    if not image.user_id:
        raise Invalid("container has runAsNonRoot and image will run as root: set runAsUser")


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


def _security(pod: Pod, container: Container, image: Image, users: int | None) -> cri.LinuxContainerSecurityContext:
    own = container.security_context or SecurityContext()
    of_pod = pod.spec.security_context
    privileged = bool(own.privileged)
    user = own.run_as_user if own.run_as_user is not None else (of_pod.run_as_user if of_pod is not None else None)
    group = own.run_as_group if own.run_as_group is not None else (of_pod.run_as_group if of_pod is not None else None)
    context = cri.LinuxContainerSecurityContext(
        privileged=privileged,
        namespace_options=_namespaces(pod, users),
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
        if user is None and image.user_name:  # CRI wants a user with a group: the image's
            context.run_as_username = image.user_name
        elif user is None:
            context.run_as_user.value = image.user_id or 0
    if of_pod is not None:
        context.supplemental_groups.extend(of_pod.supplemental_groups)
        if of_pod.fs_group is not None:
            context.supplemental_groups.append(of_pod.fs_group)
        if of_pod.supplemental_groups_policy == "Strict":
            context.supplemental_groups_policy = cri.Strict
    return context


def _seccomp(profile: SeccompProfile | None, privileged: bool) -> cri.SecurityProfile:
    if privileged or (profile is not None and profile.type == "Unconfined"):
        return cri.SecurityProfile(profile_type=cri.Unconfined)
    if profile is not None and profile.type == "Localhost":
        return cri.SecurityProfile(profile_type=cri.Localhost, localhost_ref=profile.localhost_profile or "")
    return cri.SecurityProfile(profile_type=cri.RuntimeDefault)


def _mappings(users: int | None) -> list[cri.IDMapping]:
    return [] if users is None else [cri.IDMapping(host_id=users, container_id=0, length=user_ranges.LENGTH)]


def _namespaces(pod: Pod, users: int | None) -> cri.NamespaceOption:
    spec = pod.spec
    pid = cri.CONTAINER
    if spec.share_process_namespace:
        pid = cri.POD
    if spec.host_pid:
        pid = cri.NODE
    options = cri.NamespaceOption(
        network=cri.NODE if spec.host_network else cri.POD, pid=pid, ipc=cri.NODE if spec.host_ipc else cri.POD
    )
    if users is not None:
        own = cri.UserNamespace(mode=cri.POD, uids=_mappings(users), gids=_mappings(users))
        options.userns_options.CopyFrom(own)
    return options
