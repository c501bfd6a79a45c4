"""What is known of one container: as messages, and as the document that ``docker inspect`` prints."""

from __future__ import annotations

import datetime
import json
from typing import Any

from google.protobuf.json_format import MessageToDict

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import containers_pb2
from knarr_runtime.cli import configs
from knarr_runtime.cli.session import QUICK_S, Session, name_of
from knarr_runtime.cri import standalone

NEVER = "0001-01-01T00:00:00Z"


def status_of(connected: Session, identifier: str) -> Any:
    request = cri.ContainerStatusRequest(container_id=identifier)
    return connected.runtime.ContainerStatus(request, timeout=QUICK_S).status


def information(connected: Session, identifier: str) -> dict[str, Any]:
    """What ContainerStatus says with verbose: terminal and standard input, from the configuration."""
    request = cri.ContainerStatusRequest(container_id=identifier, verbose=True)
    answer = connected.runtime.ContainerStatus(request, timeout=QUICK_S)
    found = json.loads(answer.info.get("info", "{}"))
    return {**(found.get("config") or {}), **found}


def descriptions(connected: Session, *identifiers: str, sizes: bool = False) -> dict[str, Any]:
    """Description messages by container's id; of all where none is named."""
    request = containers_pb2.DescribeRequest(container_ids=identifiers, sizes=sizes)
    answer = connected.containers.Describe(request, timeout=QUICK_S)
    return {each.container_id: each for each in answer.containers}


def state_word(state: Any, description: Any) -> str:
    """As Docker calls it: created, running, paused, restarting, exited, dead."""
    if description is not None and description.restarting:
        return "restarting"
    if state == cri.CONTAINER_RUNNING:
        return "paused" if description is not None and description.paused else "running"
    return {cri.CONTAINER_CREATED: "created", cri.CONTAINER_EXITED: "exited"}.get(state, "dead")


def document(connected: Session, container: Any, *, sizes: bool = False) -> dict[str, Any]:
    """As Docker has it; what only this runtime knows is below ``Runtime``."""
    request = cri.ContainerStatusRequest(container_id=container.id, verbose=True)
    answer = connected.runtime.ContainerStatus(request, timeout=QUICK_S)
    status = answer.status
    info = json.loads(answer.info.get("info", "{}"))
    told = descriptions(connected, container.id, sizes=sizes)[container.id]
    config, spec = info.get("config", {}), info.get("runtimeSpec", {})
    args = spec.get("process", {}).get("args") or [""]
    found = {
        "Id": container.id,
        "Created": _time(status.created_at),
        "Path": args[0],
        "Args": args[1:],
        "Name": name_of(container),
        "State": _state(status, told, info.get("pid", 0)),
        "Image": status.image_id,
        "RestartCount": told.restarts,
        "LogPath": status.log_path,
        "Platform": "linux",
        "Driver": "overlay2",
        "HostConfig": _host_config(container, config, status.resources.linux),
        "Mounts": [_mount(container, mount) for mount in status.mounts],
        "Config": _config(container, config, spec),
        "NetworkSettings": _network(container, told.address),
        "Runtime": {"Status": MessageToDict(status), **info},
    }
    if sizes:
        found.update({"SizeRw": told.layer_bytes, "SizeRootFs": told.layer_bytes + told.image_bytes})
    return found


def _state(status: Any, told: Any, pid: int) -> dict[str, Any]:
    word = state_word(status.state, told)
    return {
        "Status": word,
        "Running": status.state == cri.CONTAINER_RUNNING,
        "Paused": told.paused,
        "Restarting": told.restarting,
        "OOMKilled": status.reason == "OOMKilled",
        "Dead": word == "dead",
        "Pid": pid if status.state == cri.CONTAINER_RUNNING else 0,
        "ExitCode": status.exit_code,
        "Error": status.message,
        "StartedAt": _time(status.started_at),
        "FinishedAt": _time(status.finished_at),
    }


def _config(container: Any, config: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    user = spec.get("process", {}).get("user", {})
    return {
        "Hostname": next(iter(_values(spec, "HOSTNAME")), ""),
        "User": f"{user.get('uid', 0)}:{user.get('gid', 0)}",
        "Tty": bool(config.get("tty")),
        "OpenStdin": bool(config.get("stdin")),
        "Env": spec.get("process", {}).get("env", []),
        "Cmd": config.get("args", []),
        "Entrypoint": config.get("command") or None,
        "Image": container.image.user_specified_image or container.image.image,
        "WorkingDir": spec.get("process", {}).get("cwd", ""),
        "Labels": shown_labels(container),
        "StopTimeout": int(container.annotations.get(configs.STOP_TIMEOUT, "10")),
    }


def shown_labels(container: Any) -> dict[str, str]:
    return {key: value for key, value in container.labels.items() if key != standalone.STANDALONE}


def _values(spec: dict[str, Any], name: str) -> list[str]:
    pairs = (text.partition("=") for text in spec.get("process", {}).get("env", []))
    return [value for key, _, value in pairs if key == name]


def _host_config(container: Any, config: dict[str, Any], limits: Any) -> dict[str, Any]:
    security = config.get("linux", {}).get("security_context", {})
    capabilities = security.get("capabilities", {})
    policy = standalone.policy_of(container)
    period = limits.cpu_period or configs.CPU_PERIOD_US
    return {
        "NetworkMode": container.annotations.get(configs.NETWORK, "bridge"),
        "RestartPolicy": {"Name": policy.name, "MaximumRetryCount": policy.retries},
        "AutoRemove": container.annotations.get(standalone.AUTO_REMOVE) == "true",
        "Privileged": bool(security.get("privileged")),
        "ReadonlyRootfs": bool(security.get("readonly_rootfs")),
        "CapAdd": capabilities.get("add_capabilities"),
        "CapDrop": capabilities.get("drop_capabilities"),
        "Memory": limits.memory_limit_in_bytes,
        "MemorySwap": limits.memory_swap_limit_in_bytes,
        "NanoCpus": limits.cpu_quota * 10**9 // period if limits.cpu_quota > 0 else 0,
        "CpuShares": limits.cpu_shares,
        "CpusetCpus": limits.cpuset_cpus,
        "PidsLimit": _number(limits.unified.get("pids.max", "")),
        "OomScoreAdj": limits.oom_score_adj,
        "PortBindings": _ports(container),
        "Binds": [
            f"{mount['host_path']}:{mount['container_path']}{':ro' if mount.get('readonly') else ''}"
            for mount in config.get("mounts", [])
            if mount.get("host_path")
        ],
        "Tmpfs": dict(standalone.extras(container).tmpfs),
    }


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else -1


def _mount(container: Any, mount: Any) -> dict[str, Any]:
    volume = next(
        (name for name in standalone.volumes(container) if mount.host_path.endswith(f"/volumes/{name}/data")), ""
    )
    return {
        "Type": "volume" if volume else "bind",
        **({"Name": volume} if volume else {}),
        "Source": mount.host_path,
        "Destination": mount.container_path,
        "RW": not mount.readonly,
        "Propagation": "rprivate" if not mount.propagation else cri.MountPropagation.Name(mount.propagation),
    }


def _ports(container: Any) -> dict[str, list[dict[str, str]]]:
    """``{"80/tcp": [{"HostIp": …, "HostPort": …}]}``."""
    found: dict[str, list[dict[str, str]]] = {}
    for text in filter(None, configs.shown_ports(container.annotations).split(", ")):
        outside, _, inside = text.partition("->")
        address, _, port = outside.rpartition(":")
        found.setdefault(inside, []).append({"HostIp": address, "HostPort": port})
    return found


def _network(container: Any, address: str) -> dict[str, Any]:
    mode = container.annotations.get(configs.NETWORK, "bridge").partition(":")[0]
    return {"IPAddress": address, "Ports": _ports(container), "Networks": {mode: {"IPAddress": address}}}


def _time(at_ns: int) -> str:
    if not at_ns:
        return NEVER
    moment = datetime.datetime.fromtimestamp(at_ns // 10**9, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ns % 10**9:09d}Z"
