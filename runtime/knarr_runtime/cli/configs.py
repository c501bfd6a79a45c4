"""From the options of ``run`` to CRI's sandbox and container configurations. Pure."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime import cdi
from knarr_runtime.cli.parsing import Port, Volume
from knarr_runtime.cri import standalone
from knarr_runtime.defaults import DEFAULT_MASKED_PATHS, DEFAULT_READONLY_PATHS
from knarr_runtime.errors import Invalid

COMMAND, PORTS = "knarr.io/command", "knarr.io/ports"
TIME_OFFSET = "knarr.io/time-offset"
STOP_TIMEOUT, NETWORK = "knarr.io/stop-timeout", "knarr.io/network"
NAMESPACE = "knarr-runtime"
CPU_PERIOD_US = 100_000
PROTOCOLS = {"tcp": cri.TCP, "udp": cri.UDP, "sctp": cri.SCTP}
PROPAGATIONS = {
    "private": cri.PROPAGATION_PRIVATE,
    "rslave": cri.PROPAGATION_HOST_TO_CONTAINER,
    "rshared": cri.PROPAGATION_BIDIRECTIONAL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What ``run`` was asked for. memory_swap: bytes of memory and swap together, -1 for no limit of swap."""

    image: str
    name: str
    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    volumes: tuple[Volume, ...] = ()
    ports: tuple[Port, ...] = ()
    memory: int = 0
    memory_swap: int = 0
    cpus: float = 0.0
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    user: str = ""
    groups: tuple[int, ...] = ()
    workdir: str = ""
    hostname: str = ""
    network: str = "bridge"
    pid: str = ""
    ipc: str = ""
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    readonly: bool = False
    security: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    time_offset: str = ""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    stop_signal: str = ""
    oom_score_adj: int = 0
    tty: bool = False
    interactive: bool = False
    auto_remove: bool = False
    restart: str = "no"
    init: bool = False
    uts: str = ""
    pids_limit: int = 0
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    ulimits: tuple[tuple[str, int, int], ...] = ()
    hosts: str = ""
    dns_options: tuple[str, ...] = ()
    stop_timeout: int = 10


def sandbox(options: RunOptions, uid: str, log_directory: str) -> Any:
    """The PodSandboxConfig of a container on its own. Raises Invalid."""
    if options.network not in ("bridge", "host", "none"):
        raise Invalid(f"network {options.network!r}: bridge, none, host and container:NAME are known")
    if options.uts not in ("", "host") or (options.uts == "host" and options.hostname):
        raise Invalid(f"uts {options.uts!r}: only host is known, and it goes without a hostname")
    if options.ports and options.network == "none":
        raise Invalid("ports can't be published without a network: leave --network none or the ports out")
    config = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name=options.name, uid=uid, namespace=NAMESPACE),
        hostname="" if "host" in (options.network, options.uts) else options.hostname or uid[:12],
        log_directory=log_directory,
        labels={standalone.STANDALONE: "true"},
        port_mappings=[
            cri.PortMapping(
                protocol=PROTOCOLS[port.protocol],
                host_ip=port.host_ip,
                host_port=port.host_port,
                container_port=port.container_port,
            )
            for port in options.ports
        ],
        linux=cri.LinuxPodSandboxConfig(cgroup_parent=f"{NAMESPACE}/{uid}", sysctls=options.sysctls),
    )
    if options.network == "none":
        config.annotations[standalone.NO_NETWORK] = "true"
    if options.hosts:
        config.annotations[standalone.HOSTS] = options.hosts
    if options.dns or options.dns_search or options.dns_options:
        config.dns_config.options.extend(options.dns_options)
        config.dns_config.servers.extend(options.dns)
        config.dns_config.searches.extend(options.dns_search)
    context = config.linux.security_context
    context.namespace_options.CopyFrom(_namespaces(options))
    context.privileged = options.privileged
    return config


def container(options: RunOptions, volume_sources: Mapping[str, str]) -> Any:
    """The ContainerConfig. volume_sources: directories of named volumes. Raises Invalid."""
    config = cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name=options.name),
        image=cri.ImageSpec(image=options.image),
        args=options.command,
        working_dir=options.workdir,
        envs=[cri.KeyValue(key=key, value=value.encode()) for key, value in options.env],
        labels={**options.labels, standalone.STANDALONE: "true"},
        annotations=dict(options.annotations),
        log_path=f"{options.name}.log",
        stdin=options.interactive,
        stdin_once=options.interactive,
        tty=options.tty,
        mounts=[_mount(volume, volume_sources) for volume in options.volumes],
        devices=[_device(text) for text in options.devices if not cdi.is_name(text)],
        CDI_devices=[cri.CDIDevice(name=text) for text in options.devices if cdi.is_name(text)],
    )
    if options.entrypoint is not None:
        config.command.extend(shlex.split(options.entrypoint) or [""])
    if options.stop_signal:
        config.stop_signal = _signal(options.stop_signal)
    shown = (*config.command, *config.args)
    config.annotations[COMMAND] = json.dumps(shown)
    config.annotations[PORTS] = json.dumps([str(port) for port in options.ports])
    config.annotations[STOP_TIMEOUT] = str(options.stop_timeout)
    config.annotations[NETWORK] = options.network
    if options.time_offset:
        config.annotations[TIME_OFFSET] = options.time_offset
    if options.auto_remove:
        config.annotations[standalone.AUTO_REMOVE] = "true"
    if options.restart != "no":
        config.annotations[standalone.RESTART] = options.restart
    if options.tmpfs or options.ulimits:
        extras = standalone.Extras(tmpfs=options.tmpfs, rlimits=options.ulimits)
        config.annotations[standalone.EXTRAS] = extras.to_json()
    names = [volume.source for volume in options.volumes if volume.named]
    if names:
        config.annotations[standalone.VOLUMES] = ",".join(dict.fromkeys(names))
    config.linux.resources.CopyFrom(resources(options))
    config.linux.security_context.CopyFrom(_security(options))
    return config


def resources(options: RunOptions) -> Any:
    """LinuxContainerResources."""
    found = cri.LinuxContainerResources(
        cpu_shares=options.cpu_shares,
        memory_limit_in_bytes=options.memory,
        memory_swap_limit_in_bytes=max(options.memory_swap, -1),
        oom_score_adj=options.oom_score_adj,
        cpuset_cpus=options.cpuset_cpus,
        cpuset_mems=options.cpuset_mems,
    )
    if options.memory_swap > 0 and options.memory_swap < options.memory:
        raise Invalid("memory-swap is memory and swap together: it can't be less than memory")
    if options.pids_limit:
        found.unified["pids.max"] = str(options.pids_limit) if options.pids_limit > 0 else "max"
    if options.cpus:
        found.cpu_period = CPU_PERIOD_US
        found.cpu_quota = round(options.cpus * CPU_PERIOD_US)
    return found


def _namespaces(options: RunOptions) -> Any:
    host = {name: mode for name, mode in (("pid", options.pid), ("ipc", options.ipc)) if mode}
    for name, mode in host.items():
        if mode not in ("host", "private"):
            raise Invalid(f"{name} {mode!r}: host and private are known")
    return cri.NamespaceOption(
        network=cri.NODE if options.network == "host" else cri.POD,
        pid=cri.NODE if options.pid == "host" else cri.POD if options.init else cri.CONTAINER,
        ipc=cri.NODE if options.ipc == "host" else cri.POD,
    )


def _security(options: RunOptions) -> Any:
    context = cri.LinuxContainerSecurityContext(
        privileged=options.privileged,
        namespace_options=_namespaces(options),
        readonly_rootfs=options.readonly,
        supplemental_groups=options.groups,
    )
    if not options.privileged:
        context.masked_paths.extend(DEFAULT_MASKED_PATHS)
        context.readonly_paths.extend(DEFAULT_READONLY_PATHS)
    context.capabilities.add_capabilities.extend(_capability(name) for name in options.cap_add)
    context.capabilities.drop_capabilities.extend(_capability(name) for name in options.cap_drop)
    context.seccomp.profile_type = cri.RuntimeDefault
    for text in options.security:
        _security_option(context, text)
    _user(context, options.user)
    return context


def _security_option(context: Any, text: str) -> None:
    name, _, value = text.replace(":", "=", 1).partition("=")
    if name == "no-new-privileges" and value in ("", "true", "false"):
        context.no_new_privs = value != "false"
    elif name in ("seccomp", "apparmor") and value:
        profile = getattr(context, name)
        if value == "unconfined":
            profile.profile_type = cri.Unconfined
        elif value in ("default", "runtime/default"):
            profile.profile_type = cri.RuntimeDefault
        else:
            profile.profile_type = cri.Localhost
            profile.localhost_ref = value
    else:
        raise Invalid(f"security-opt {text!r}: seccomp=…, apparmor=… and no-new-privileges are known")


def _user(context: Any, text: str) -> None:
    user, colon, group = text.partition(":")
    if user.isdecimal():
        context.run_as_user.value = int(user)
    elif user:
        context.run_as_username = user
    if colon:
        if not group.isdecimal() or not user:
            raise Invalid(f"user {text!r}: write USER, UID or UID:GID")
        context.run_as_group.value = int(group)


def _capability(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def _signal(name: str) -> Any:
    """``INT``, ``SIGINT``, ``2`` or ``RTMIN+3``."""
    if name.isdecimal():
        with contextlib.suppress(ValueError):
            name = signal.Signals(int(name)).name
    full = name.upper().removeprefix("SIG").replace("+", "PLUS").replace("-", "MINUS")
    try:
        return cri.Signal.Value(f"SIGNAL_SIG{full}")
    except ValueError:
        raise Invalid(f"stop-signal {name!r} is not known") from None


def _mount(volume: Volume, sources: Mapping[str, str]) -> Any:
    return cri.Mount(
        container_path=volume.target,
        host_path=sources[volume.source] if volume.named else volume.source,
        readonly=volume.readonly,
        propagation=PROPAGATIONS[volume.propagation],
    )


def _device(text: str) -> Any:
    """``HOST[:CONTAINER[:rwm]]``."""
    parts = text.split(":")
    if not parts[0].startswith("/") or len(parts) > 3:
        raise Invalid(f"device {text!r}: write HOST, HOST:CONTAINER, HOST:CONTAINER:rwm or VENDOR/CLASS=NAME")
    if len(parts) == 2 and not parts[1].startswith("/"):
        parts.insert(1, parts[0])
    return cri.Device(
        host_path=parts[0],
        container_path=parts[1] if len(parts) > 1 else parts[0],
        permissions=parts[2] if len(parts) > 2 else "rwm",
    )


def shown_command(annotations: Mapping[str, str]) -> str:
    """As ``ps`` prints it; empty where it is the image's."""
    try:
        return shlex.join(json.loads(annotations.get(COMMAND, "[]")))
    except (ValueError, TypeError):
        return ""


def shown_ports(annotations: Mapping[str, str]) -> str:
    try:
        return ", ".join(json.loads(annotations.get(PORTS, "[]")))
    except (ValueError, TypeError):
        return ""
