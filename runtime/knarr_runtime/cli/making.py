"""Making a container from options: its volumes, its pod, the container. What ``run`` and ``create`` have in common."""

from __future__ import annotations

import contextlib
import json
import secrets
from dataclasses import replace
from pathlib import Path

import grpc

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import containers_pb2, images_pb2
from knarr_runtime.cli import configs, parsing
from knarr_runtime.cli.configs import RunOptions
from knarr_runtime.cli.session import QUICK_S, Session, name_of
from knarr_runtime.cri import standalone
from knarr_runtime.errors import Invalid

LOGS = Path("/var/log/knarr-runtime")
DEFAULT_CIDR = "10.88.0.0/16"


def check(connected: Session, options: RunOptions, cidfile: Path | None) -> None:
    """What can be known before anything is made. Raises Invalid."""
    for each in connected.list_containers():
        if name_of(each) == options.name:
            raise Invalid(f'the container name "{options.name}" is in use by container {each.id[:12]}: remove it first')
    if cidfile is not None and cidfile.exists():
        raise Invalid(f"{cidfile} exists: make sure that no other container uses it, and remove it")


def make(connected: Session, options: RunOptions, cidfile: Path | None) -> str:
    """The id of the container, which is created and does not run. What was made for one that fails is removed."""
    uid = secrets.token_hex(16)
    log_directory = LOGS / uid
    options, sources = _with_volumes(connected, options)
    config = configs.container(options, sources)
    anonymous = config.annotations.get(standalone.VOLUMES, "").split(",")
    joined = options.network.startswith("container:")
    sandbox_id = ""
    try:
        if joined:
            sandbox_id = connected.find_container(options.network.partition(":")[2]).pod_sandbox_id
            sandbox = configs.sandbox(_joining(options), uid, str(log_directory))
        else:
            _ensure_network(connected, options)
            sandbox = configs.sandbox(options, uid, str(log_directory))
            request = cri.RunPodSandboxRequest(config=sandbox)
            sandbox_id = connected.runtime.RunPodSandbox(request, timeout=QUICK_S).pod_sandbox_id
        creation = cri.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox)
        identifier = str(connected.runtime.CreateContainer(creation, timeout=QUICK_S).container_id)
    except BaseException:
        if sandbox_id and not joined:
            connected.runtime.RemovePodSandbox(cri.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id), timeout=QUICK_S)
        _remove_anonymous(connected, anonymous)
        raise
    if cidfile is not None:
        cidfile.write_text(identifier)
    return identifier


def _with_volumes(connected: Session, options: RunOptions) -> tuple[RunOptions, dict[str, str]]:
    """With a name for each volume, also for those that the image asks for; and their directories by name."""
    inspected = connected.images.Inspect(images_pb2.InspectRequest(image=options.image), timeout=QUICK_S)
    declared = (json.loads(inspected.json).get("Config") or {}).get("Volumes") or {}
    taken = {volume.target.rstrip("/") for volume in options.volumes} | {target.rstrip("/") for target in options.tmpfs}
    wanted = [parsing.Volume(source="", target=path) for path in declared if path.rstrip("/") not in taken]
    volumes, sources = [], {}
    for volume in (*options.volumes, *wanted):
        if volume.named:
            request = containers_pb2.VolumeCreateRequest(
                name=volume.source, anonymous=not volume.source, image=options.image, path=volume.target
            )
            made = connected.volumes.Create(request, timeout=QUICK_S).volume
            sources[made.name] = made.path
            volume = replace(volume, source=made.name)
        volumes.append(volume)
    return replace(options, volumes=tuple(volumes)), sources


def _remove_anonymous(connected: Session, names: list[str]) -> None:
    for volume in connected.volumes.List(containers_pb2.VolumeListRequest(), timeout=QUICK_S).volumes:
        if volume.name in names and volume.anonymous:
            with contextlib.suppress(grpc.RpcError):
                connected.volumes.Delete(containers_pb2.VolumeDeleteRequest(name=volume.name), timeout=QUICK_S)


def _joining(options: RunOptions) -> RunOptions:
    """What belongs to a pod can't be asked for in another's. Raises Invalid."""
    if options.ports:
        raise Invalid("ports belong to the container whose network is joined: publish them there")
    if options.hosts or options.dns or options.hostname:
        raise Invalid("hostname, --add-host and --dns belong to the container whose network is joined: give them there")
    return replace(options, network="bridge")


def _ensure_network(connected: Session, options: RunOptions) -> None:
    """A runtime that no node agent has given a pod CIDR gets one."""
    if options.network != "bridge":
        return
    conditions = connected.runtime.Status(cri.StatusRequest(), timeout=QUICK_S).status.conditions
    if not all(each.status for each in conditions if each.type == "NetworkReady"):
        config = cri.RuntimeConfig(network_config=cri.NetworkConfig(pod_cidr=DEFAULT_CIDR))
        connected.runtime.UpdateRuntimeConfig(cri.UpdateRuntimeConfigRequest(runtime_config=config), timeout=QUICK_S)
