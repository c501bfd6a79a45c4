"""From a pod's specification to what CRI is asked for. Pure.

Resources are converted as the kubelet does: cpu requests to shares (1024 a core), limits to a quota of 100 ms periods;
pods are grouped in cgroups by quality of service. Source: Kubernetes "Resource Management", CRI runtime.v1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import Container, Pod
from knarr_node_agent import environment
from knarr_node_agent import security as security_contexts
from knarr_node_agent.runtime import CONTAINER_NAME, IMAGE_ANNOTATION, POD_NAME, POD_NAMESPACE, POD_UID, Image
from knarr_proto.cri import api_pb2 as cri

SHARES_PER_CORE, MIN_SHARES, MAX_SHARES = 1024, 2, 262144
PERIOD_US, MIN_QUOTA_US = 100_000, 1000
HUGE_PAGES = "hugepages-"
OOM_SCORE = {"Guaranteed": -997, "BestEffort": 1000}


@dataclass(frozen=True, slots=True)
class HostMount:
    """A prepared volume: where it is on the host and where it goes."""

    host_path: str
    container_path: str
    readonly: bool
    propagation: str = ""
    recursive: bool = False
    """Read-only is for what is mounted below it, too."""


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
            security_context=security_contexts.of_sandbox(pod, users),
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
    security_contexts.check_non_root(pod, container, image)
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
                recursive_read_only=mount.recursive,
                propagation=propagations.get(mount.propagation, cri.PROPAGATION_PRIVATE),
                uidMappings=security_contexts.mappings(users),
                gidMappings=security_contexts.mappings(users),
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
            resources=_resources(pod, container, memory_bytes),
            security_context=security_contexts.of_container(pod, container, image, users),
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
        hugepage_limits=[
            cri.HugepageLimit(page_size=page_size(name), limit=amount.value())
            for name, amount in limits.items()
            if name.startswith(HUGE_PAGES)
        ],
    )


def page_size(resource: str) -> str:
    """``2MB`` of ``hugepages-2Mi``: as the kernel's control files are named."""
    size = Quantity(resource.removeprefix(HUGE_PAGES)).value()
    for unit, bytes_ in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if size % bytes_ == 0:
            return f"{size // bytes_}{unit}"
    return f"{size}B"
