"""From CRI's configurations and an image to what the launcher is told. Pure but for reading the image's user files."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.cri import clocks, security, selinux, standalone
from knarr_runtime.errors import Invalid
from knarr_runtime.images.store import Image
from knarr_runtime.network.ports import PortMapping
from knarr_runtime.spec import (
    ContainerSpec,
    Device,
    Mount,
    Resources,
    Rootfs,
    SandboxSpec,
)

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROPAGATION = {
    cri.PROPAGATION_PRIVATE: "private",
    cri.PROPAGATION_HOST_TO_CONTAINER: "rslave",
    cri.PROPAGATION_BIDIRECTIONAL: "rshared",
}
CGROUP_ACCESS = {
    cri.CGROUP_MOUNT_MODE_UNSPECIFIED: "",
    cri.CGROUP_MOUNT_MODE_READ_ONLY: "ro",
    cri.CGROUP_MOUNT_MODE_WRITABLE: "rw",
}
NO_LOG = os.devnull
"""Of a container whose output nobody keeps: clients may still attach to it."""
PIDS_LIMIT = 4096
"""Of a container that names no limit, so that a program that forks without end takes down only itself."""


def sandbox(identifier: str, config: Any) -> SandboxSpec:
    """Raises Invalid."""
    linux = config.linux
    options = linux.security_context.namespace_options
    host_network = options.network == cri.NODE
    parent = cgroup_parent(config, identifier)
    uids, gids = security.id_maps(options)
    return SandboxSpec(
        id=identifier,
        hostname="" if host_network else config.hostname or os.uname().nodename,
        cgroup_parent=parent,
        namespaces=security.namespaces(options),
        resources=sandbox_resources(linux.resources, linux.overhead),
        sysctls=dict(linux.sysctls),
        uids=uids,
        gids=gids,
        mount_label=selinux.labels(linux.security_context, linux.security_context)[1],
        labels=dict(config.labels),
    )


def port_mappings(config: Any) -> tuple[PortMapping, ...]:
    """Of a PodSandboxConfig; those without a port of the node, and a pod on the host's network, need none.

    Raises Invalid.
    """
    if config.linux.security_context.namespace_options.network == cri.NODE:
        return ()
    return tuple(
        PortMapping(
            protocol=cri.Protocol.Name(each.protocol),
            host_port=each.host_port,
            container_port=each.container_port,
            host_ip=each.host_ip,
        )
        for each in config.port_mappings
        if each.host_port
    )


def container(
    identifier: str,
    sandbox_id: str,
    config: Any,
    sandbox_config: Any,
    image: Image,
    layers: tuple[str, ...],
    directory: Path,
    files: Iterable[Mount],
    volume_layers: Mapping[str, tuple[str, ...]] | None = None,
) -> ContainerSpec:
    """files: /etc/hosts and the like, mounted where the configuration mounts nothing. volume_layers: of images that
    are mounted as volumes, by their path in the container. Raises Invalid."""
    context = config.linux.security_context
    of_sandbox = sandbox_config.linux.security_context.namespace_options
    privileged = context.privileged
    entrypoint = () if image.config.entrypoint == ("",) else image.config.entrypoint  # how Dockerfiles take it back
    args = (
        *(config.command or entrypoint),
        *(config.args or (() if config.command else image.config.cmd)),
    )
    if not args:
        raise Invalid("config.command: no command given and the image has none")
    id_maps = security.id_maps(of_sandbox)
    given = tuple(
        _image_mount(mount, (volume_layers or {})[mount.container_path])
        if mount.HasField("image")
        else _mount(mount, id_maps)
        for mount in config.mounts
    )
    targets = {mount.target.rstrip("/") for mount in given}
    log_path = NO_LOG
    if sandbox_config.log_directory and config.log_path:
        log_path = os.path.join(sandbox_config.log_directory, os.path.normpath("/" + config.log_path).lstrip("/"))
    parent = cgroup_parent(sandbox_config, sandbox_id)
    limits = resources(config.linux.resources)
    label, mount_label = selinux.labels(context, sandbox_config.linux.security_context)
    if not limits.pids_limit and not privileged:
        limits = Resources(**{**_fields(limits), "pids_limit": PIDS_LIMIT})
    return ContainerSpec(
        id=identifier,
        sandbox_id=sandbox_id,
        args=tuple(args),
        env=_environment(_hostname(sandbox_config), image.config.env, config.envs),
        cwd=config.working_dir or image.config.working_dir or "/",
        user=security.user(context, image, layers),
        rootfs=Rootfs(
            lower=layers,
            upper=str(directory / "upper"),
            work=str(directory / "work"),
            readonly=context.readonly_rootfs,
        ),
        mounts=(
            *(replace(mount, mapped=True) for mount in files if mount.target not in targets),
            *given,
            *standalone.tmpfs_mounts(config),
        ),
        devices=tuple(
            Device(source=d.host_path, target=d.container_path, access=d.permissions or "rwm") for d in config.devices
        ),
        cgroup=f"{parent}/{identifier}",
        resources=limits,
        capabilities=security.capabilities(context.capabilities, privileged),
        no_new_privs=context.no_new_privs,
        seccomp=security.seccomp(context),
        apparmor=security.apparmor(context),
        selinux=label,
        mount_label=mount_label,
        time_offsets_ns=clocks.offsets(config.annotations),
        masked_paths=tuple(context.masked_paths),
        readonly_paths=tuple(context.readonly_paths),
        privileged=privileged,
        tty=config.tty,
        stdin=config.stdin,
        stdin_once=config.stdin_once,
        log_path=log_path,
        oom_score_adj=config.linux.resources.oom_score_adj or None,
        stop_signal=_stop_signal(config.stop_signal) or image.config.stop_signal or "SIGTERM",
        rlimits=standalone.rlimits(config),
        pids=security.pids(context.namespace_options, of_sandbox),
        cgroup_access=CGROUP_ACCESS[context.cgroup_mount_mode],
        volumes=tuple(
            os.path.normpath("/" + volume.lstrip("/")) for volume in image.config.volumes if volume.strip("/.")
        ),
        labels=dict(config.labels),
    )


def cgroup_parent(sandbox_config: Any, sandbox_id: str) -> str:
    """Raises Invalid for a name that only systemd could give a place in the tree: ``a-b.slice`` is in ``a.slice``."""
    given = sandbox_config.linux.cgroup_parent.strip("/")
    if given.endswith(".slice") and "-" in os.path.basename(given):
        raise Invalid(
            f"config.linux.cgroup_parent: {given!r} is a slice of systemd, and this runtime makes cgroups itself: set "
            "cgroupDriver: cgroupfs in the kubelet's configuration"
        )
    return str(given) or f"kubepods/pod{sandbox_config.metadata.uid or sandbox_id}"


def resources(given: Any) -> Resources:
    """CRI's limits; in both, 0 says nothing and -1 lifts a limit. Raises Invalid."""
    return Resources(
        cpu_shares=given.cpu_shares,
        cpu_quota_us=given.cpu_quota,
        cpu_period_us=given.cpu_period,
        memory_limit_bytes=given.memory_limit_in_bytes,
        memory_swap_limit_bytes=given.memory_swap_limit_in_bytes,
        pids_limit=_pids_limit(given.unified.get("pids.max", "")),
        cpuset_cpus=given.cpuset_cpus,
        cpuset_mems=given.cpuset_mems,
        unified={name: value for name, value in given.unified.items() if name != "pids.max"},
        huge_pages={pages.page_size: pages.limit for pages in given.hugepage_limits},
    )


def sandbox_resources(given: Any, overhead: Any) -> Resources:
    """The pod's limits: those of its containers and what the sandbox itself may take; no limit stays none."""
    limits, more = resources(given), resources(overhead)
    names = ("cpu_shares", "cpu_quota_us", "memory_limit_bytes", "memory_swap_limit_bytes")
    sums = {name: getattr(limits, name) + max(getattr(more, name), 0) for name in names if getattr(limits, name) > 0}
    return replace(limits, **sums)


def _pids_limit(text: str) -> int:
    if text == "max":
        return -1
    if text and not text.isdigit():
        raise Invalid(f'resources.unified: pids.max "{text}" is neither a number nor "max"')
    return int(text or 0)


def _mount(mount: Any, id_maps: security.IdMaps) -> Mount:
    """id_maps: the sandbox's, the only ones its mounts can have."""
    mapped = bool(mount.uidMappings or mount.gidMappings)
    asked = security.mappings(mount.uidMappings, "uidMappings"), security.mappings(mount.gidMappings, "gidMappings")
    if mapped and asked != id_maps:
        raise Invalid(f"config.mounts: {mount.container_path}: uidMappings and gidMappings differ from the sandbox's")
    if not mount.host_path:
        raise Invalid(f"config.mounts: {mount.container_path} has no host_path")
    return Mount(
        target=os.path.normpath("/" + mount.container_path.lstrip("/")),
        source=os.path.abspath(mount.host_path),
        readonly=mount.readonly,
        recursive=mount.recursive_read_only,
        mapped=mapped,
        propagation=PROPAGATION[mount.propagation],
    )


def _image_mount(mount: Any, layers: tuple[str, ...]) -> Mount:
    if mount.host_path:
        raise Invalid(f"config.mounts: {mount.container_path} has both an image and a host_path")
    if ".." in mount.image_sub_path.split("/") or mount.image_sub_path.startswith("/"):
        raise Invalid(f"config.mounts: image_sub_path {mount.image_sub_path!r} must be relative and stay in the image")
    return Mount(
        target=os.path.normpath("/" + mount.container_path.lstrip("/")),
        layers=layers,
        sub_path=mount.image_sub_path,
        readonly=mount.readonly,
        propagation=PROPAGATION[mount.propagation],
    )


def _stop_signal(chosen: int) -> str:
    """ "" for the runtime's (that is the image's) choice; CRI writes RTMIN+1 as SIGRTMINPLUS1."""
    if chosen == cri.SIGNAL_RUNTIME_DEFAULT:
        return ""
    name, minus, offset = cri.Signal.Name(chosen).removeprefix("SIGNAL_").partition("MINUS")
    return str(signal.SIGRTMAX - int(offset)) if minus else name.replace("PLUS", "+")


def _hostname(sandbox_config: Any) -> tuple[str, ...]:
    return (f"HOSTNAME={sandbox_config.hostname or os.uname().nodename}",)


def _environment(first: Iterable[str], of_image: Iterable[str], given: Iterable[Any]) -> tuple[str, ...]:
    """``first``, the image's variables, then the configuration's; PATH always."""
    pairs = (text.partition("=") for text in (PATH, *first, *of_image))
    variables = {name: value for name, equals, value in pairs if name and equals}
    variables.update({pair.key: pair.value.decode(errors="surrogateescape") for pair in given})
    return tuple(f"{name}={value}" for name, value in variables.items())


def _fields(value: Resources) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
