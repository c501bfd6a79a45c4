"""Documents that commands make from their options: ``create``, ``run`` and ``expose``. Pure but for files they name."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from knarr_api.errors import Invalid

Document = dict[str, Any]
KEY = re.compile(r"[-._a-zA-Z0-9]+")


def document(api_version: str, kind: str, name: str, **parts: Any) -> Document:
    """Empty parts are left out."""
    metadata = {"name": name, **{k: v for k, v in (parts.pop("metadata", None) or {}).items() if v}}
    given = {field: value for field, value in parts.items() if value not in (None, {}, [], "")}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **given}


def pairs(words: Iterable[str], option: str) -> dict[str, str]:
    """``KEY=VALUE``, several also separated by commas. Raises Invalid."""
    found: dict[str, str] = {}
    for word in words:
        for part in filter(None, word.split(",")):
            key, equal, value = part.partition("=")
            if not key or not equal:
                raise Invalid(f'{option}: "{part}": must be KEY=VALUE')
            found[key] = value
    return found


# Workloads


def container_name(image: str) -> str:
    """The last part of an image's name, without tag and digest, as a name may be."""
    last = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return re.sub(r"[^a-z0-9-]+", "-", last.lower()).strip("-") or "main"


def deployment(name: str, images: tuple[str, ...], *, replicas: int, port: int | None, command: list[str]) -> Document:
    """Raises Invalid for a command where there are several images."""
    if len(images) > 1 and (command or port):
        raise Invalid("cannot specify a command or a port with several --image options")
    containers: list[Document] = []
    for image in images:
        container: Document = {"name": container_name(image), "image": image}
        if command:
            container["command"] = command
        if port:
            container["ports"] = [{"containerPort": port}]
        containers.append(container)
    labels = {"app": name}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
    }
    return document("apps/v1", "Deployment", name, metadata={"labels": labels}, spec=spec)


def job(name: str, image: str, command: list[str], restart: str = "Never") -> Document:
    container: Document = {"name": name, "image": image, **({"command": command} if command else {})}
    spec = {"template": {"spec": {"containers": [container], "restartPolicy": restart}}}
    return document("batch/v1", "Job", name, spec=spec)


def cron_job(name: str, image: str, schedule: str, command: list[str], restart: str) -> Document:
    made = job(name, image, command, restart or "OnFailure")
    spec = {"schedule": schedule, "jobTemplate": {"metadata": {"name": name}, "spec": made["spec"]}}
    return document("batch/v1", "CronJob", name, spec=spec)


def pod(
    name: str,
    image: str,
    words: list[str],
    *,
    as_command: bool,
    environment: tuple[str, ...],
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    port: int | None,
    restart: str,
    pull_policy: str,
    privileged: bool,
) -> Document:
    """Raises Invalid."""
    container: Document = {"name": name, "image": image}
    if words:
        container["command" if as_command else "args"] = words
    variables = [word.partition("=") for word in environment]
    wrong = next(("".join(each) for each in variables if not each[0] or not each[1]), None)
    if wrong is not None:
        raise Invalid(f"invalid env: {wrong}: must be KEY=VALUE")
    if variables:
        container["env"] = [{"name": key, "value": value} for key, _, value in variables]
    if port:
        container["ports"] = [{"containerPort": port}]
    if pull_policy:
        container["imagePullPolicy"] = pull_policy
    if privileged:
        container["securityContext"] = {"privileged": True}
    metadata = {"labels": dict(labels) or {"run": name}, "annotations": dict(annotations)}
    spec = {"containers": [container], "restartPolicy": restart, "dnsPolicy": "ClusterFirst"}
    return document("v1", "Pod", name, metadata=metadata, spec=spec)


# Data


def contents(literals: tuple[str, ...], files: tuple[str, ...], env_files: tuple[str, ...]) -> dict[str, bytes]:
    """What ``--from-literal``, ``--from-file`` and ``--from-env-file`` say, by key. Raises Invalid."""
    if env_files and (literals or files):
        raise Invalid("from-env-file cannot be combined with from-file or from-literal")
    found: dict[str, bytes] = {}

    def add(key: str, value: bytes, source: str) -> None:
        if not KEY.fullmatch(key):
            raise Invalid(
                f'"{key}" is not a valid key name: a valid config key must consist of alphanumeric characters, '
                "'-', '_' or '.'"
            )
        if key in found:
            raise Invalid(f'cannot add key "{key}", another key by that name already exists: see {source}')
        found[key] = value

    for word in literals:
        key, equal, value = word.partition("=")
        if not key or not equal:
            raise Invalid(f"invalid literal source {word}, expected key=value")
        add(key, value.encode(), word)
    for word in files:
        key, equal, path = word.rpartition("=")
        if equal and not key:
            raise Invalid(f"key name for file path {path} missing")
        source = Path(path)
        if source.is_dir():
            if key:
                raise Invalid("cannot give a key name for a directory path")
            for each in sorted(p for p in source.iterdir() if p.is_file() and KEY.fullmatch(p.name)):
                add(each.name, _read(each), word)
        else:
            add(key or source.name, _read(source), word)
    for path in env_files:
        for number, line in enumerate(_read(Path(path)).decode("utf-8-sig", "replace").splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            key, equal, value = line.lstrip().partition("=")
            if not equal:
                raise Invalid(f'{path}:{number}: "{line}": must be KEY=VALUE')
            add(key, value.encode(), path)
    return found


def config_map(name: str, data: Mapping[str, bytes]) -> Document:
    """What is no text goes into ``binaryData``."""
    texts: dict[str, str] = {}
    binary: dict[str, str] = {}
    for key, value in data.items():
        try:
            texts[key] = value.decode()
        except UnicodeDecodeError:
            binary[key] = base64.b64encode(value).decode()
    return document("v1", "ConfigMap", name, data=texts, binaryData=binary)


def secret(name: str, data: Mapping[str, bytes], type_: str = "") -> Document:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return document("v1", "Secret", name, data=encoded, type=type_)


def registry_secret(name: str, server: str, user: str, password: str, email: str) -> Document:
    login = {"username": user, "password": password, **({"email": email} if email else {})}
    login["auth"] = base64.b64encode(f"{user}:{password}".encode()).decode()
    config = json.dumps({"auths": {server: login}}, separators=(",", ":")).encode()
    return secret(name, {".dockerconfigjson": config}, "kubernetes.io/dockerconfigjson")


def tls_secret(name: str, certificate: str, key: str) -> Document:
    return secret(name, {"tls.crt": _read(Path(certificate)), "tls.key": _read(Path(key))}, "kubernetes.io/tls")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(f"error reading {path}: {error.strerror}") from error


# Policy


def quota(name: str, hard: tuple[str, ...], scopes: str) -> Document:
    spec: Document = {}
    if hard:
        spec["hard"] = pairs(hard, "--hard")
    if scopes:
        spec["scopes"] = [scope for scope in scopes.split(",") if scope]
    return document("v1", "ResourceQuota", name, spec=spec)


def disruption_budget(name: str, selector: str, least: str, most: str) -> Document:
    """Raises Invalid."""
    if not selector:
        raise Invalid("a selector must be specified")
    if bool(least) == bool(most):
        raise Invalid("one of min-available or max-unavailable must be specified, and not both")
    field, text = ("minAvailable", least) if least else ("maxUnavailable", most)
    amount = int(text) if text.isdecimal() else text
    spec = {field: amount, "selector": {"matchLabels": pairs((selector,), "--selector")}}
    return document("policy/v1", "PodDisruptionBudget", name, spec=spec)


def priority_class(name: str, value: int, *, is_default: bool, description: str, preemption: str) -> Document:
    made = document("scheduling.k8s.io/v1", "PriorityClass", name, value=value, description=description)
    if is_default:
        made["globalDefault"] = True
    if preemption:
        made["preemptionPolicy"] = preemption
    return made


# Services


def service(name: str, type_: str, tcp: tuple[str, ...], *, cluster_ip: str, external_name: str) -> Document:
    """``--tcp=PORT:TARGET``. Raises Invalid."""
    ports: list[Document] = []
    for word in tcp:
        port, colon, target = word.partition(":")
        if not port.isdecimal() or (colon and not target):
            raise Invalid(f'--tcp="{word}": must be PORT or PORT:TARGET')
        wanted: int | str = int(target) if target.isdecimal() else target or int(port)
        ports.append({"name": word.replace(":", "-"), "port": int(port), "protocol": "TCP", "targetPort": wanted})
    spec: Document = {"type": type_, "selector": {"app": name}}
    if ports:
        spec["ports"] = ports
    if cluster_ip:
        spec["clusterIP"] = cluster_ip
    if external_name:
        spec["externalName"] = external_name
    return document("v1", "Service", name, metadata={"labels": {"app": name}}, spec=spec)


def exposing(
    present: Mapping[str, Any],
    *,
    name: str,
    port: int | None,
    target_port: str,
    protocol: str,
    type_: str,
    selector: str,
    cluster_ip: str,
) -> Document:
    """A Service for the pods of what is there. Raises Invalid."""
    kind, metadata, spec = present.get("kind"), present.get("metadata") or {}, present.get("spec") or {}
    chosen: Any = pairs((selector,), "--selector") if selector else None
    if chosen is None:
        match kind:
            case "Pod":
                chosen = metadata.get("labels")
            case "Service" | "ReplicationController":
                chosen = spec.get("selector")
            case "Deployment" | "ReplicaSet":
                if (spec.get("selector") or {}).get("matchExpressions"):
                    raise Invalid(f"couldn't convert expressions of the selector of {metadata.get('name')} to a map")
                chosen = (spec.get("selector") or {}).get("matchLabels")
            case _:
                raise Invalid(f"cannot expose a {kind}: only pods, services, controllers, replicasets and deployments")
    if not chosen:
        raise Invalid(f"couldn't retrieve selectors via --selector flag or introspection: {kind} has no labels")
    pod_spec = spec if kind == "Pod" else (spec.get("template") or {}).get("spec") or {}
    found = [
        (each["containerPort"], each.get("protocol", "TCP"))
        for container in pod_spec.get("containers") or ()
        for each in container.get("ports") or ()
    ]
    if kind == "Service":
        found = [(each["port"], each.get("protocol", "TCP")) for each in spec.get("ports") or ()]
    wanted = [(port, protocol or "TCP")] if port else [(number, protocol or own) for number, own in found]
    if not wanted:
        raise Invalid("couldn't find port via --port flag or introspection")
    ports: list[Document] = []
    for position, (number, own) in enumerate(wanted, 1):
        target: int | str = int(target_port) if target_port.isdecimal() else target_port or number
        named = {"name": f"port-{position}"} if len(wanted) > 1 else {}
        ports.append({**named, "port": number, "protocol": own, "targetPort": target})
    labels = dict(metadata.get("labels") or {})
    body = {"selector": dict(chosen), "ports": ports}
    if type_:
        body["type"] = type_
    if cluster_ip:
        body["clusterIP"] = cluster_ip
    return document("v1", "Service", name or metadata.get("name", ""), metadata={"labels": labels}, spec=body)
