"""Devices by name (``vendor.com/class=name``) as vendors describe them: the Container Device Interface.

Source: https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md, versions 0.3.0 to 1.1.0. A file that
can't be used takes away the devices it describes, not those of others. Hooks and intelRdt and netDevices edits are
refused when a container asks for such a device: this runtime runs no programs of vendors.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from knarr_runtime.errors import Invalid
from knarr_runtime.spec import ContainerSpec, Device, Mount

DIRECTORIES = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""A later one is for what changes while the machine runs: its devices replace an earlier one's."""
ANNOTATION = "cdi.k8s.io/"
MAX_FILE_BYTES = 4 << 20

_VERSIONS = ("0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0")
_WORD = r"[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?"
_KIND = re.compile(rf"{_WORD}/{_WORD}\Z")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?\Z")
_PROPAGATION = {"slave": "rslave", "rslave": "rslave", "shared": "rshared", "rshared": "rshared"}
_RESTRICTIONS = ("nosuid", "nodev", "noexec")
_USUAL = ("rw", "bind", "rbind", "private", "rprivate", "suid", "dev", "exec", "relatime")
_NOT_DONE = ("hooks", "intelRdt", "netDevices")


@dataclass(frozen=True, slots=True)
class Edits:
    """What a device adds to a container."""

    env: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    mounts: tuple[Mount, ...] = ()
    groups: tuple[int, ...] = ()

    def and_(self, other: Edits) -> Edits:
        return Edits(
            self.env + other.env,
            self.devices + other.devices,
            self.mounts + other.mounts,
            self.groups + other.groups,
        )


def apply(spec: ContainerSpec, given: Edits) -> ContainerSpec:
    """``spec`` with what its devices add: variables, nodes and mounts replace what is there by the same name."""
    variables = dict(text.partition("=")[::2] for text in (*spec.env, *given.env))
    nodes = {device.target: device for device in (*spec.devices, *given.devices)}
    mounts = {mount.target.rstrip("/"): mount for mount in (*spec.mounts, *given.mounts)}
    groups = dict.fromkeys((*spec.user.groups, *given.groups))
    return replace(
        spec,
        env=tuple(f"{name}={value}" for name, value in variables.items()),
        devices=tuple(nodes.values()),
        mounts=tuple(mounts.values()),
        user=replace(spec.user, groups=tuple(groups)),
    )


@dataclass(frozen=True, slots=True)
class _Described:
    """A device: its file, and the edits as that has them."""

    file: Path
    of_file: Mapping[str, Any]
    own: Mapping[str, Any]


def is_name(text: str) -> bool:
    kind, equals, name = text.partition("=")
    return bool(equals and _KIND.match(kind) and _NAME.match(name))


def requested(names: Iterable[str], annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Each once: those of the field, then those of annotations. Raises Invalid."""
    found = list(names)
    for key, value in annotations.items():
        if key.startswith(ANNOTATION):
            found += [name.strip() for name in value.split(",")]
    for name in found:
        if not is_name(name):
            raise Invalid(f'CDI device "{name}" must be written as VENDOR/CLASS=NAME')
    return tuple(dict.fromkeys(found))


def edits(names: Iterable[str], directories: Iterable[Path] = DIRECTORIES) -> Edits:
    """What the devices ``names`` add, in that order. Blocking. Raises Invalid."""
    wanted = tuple(names)
    if not wanted:
        return Edits()
    known, problems = _read_all(directories)
    missing = [name for name in wanted if name not in known]
    if missing:
        reasons = [f"; {problem}" for problem in problems]
        raise Invalid(f"CDI device injection failed: unresolvable CDI devices {', '.join(missing)}{''.join(reasons)}")
    found, seen = Edits(), set()
    for name in wanted:
        device = known[name]
        if device.file not in seen:
            seen.add(device.file)
            found = found.and_(_edits(device.of_file, name))
        found = found.and_(_edits(device.own, name))
    return found


def _read_all(directories: Iterable[Path]) -> tuple[dict[str, _Described], list[str]]:
    """Devices by name, and what is wrong with files. A name twice in one directory is nobody's."""
    known: dict[str, _Described] = {}
    problems: list[str] = []
    for directory in directories:
        here: dict[str, _Described] = {}
        twice: set[str] = set()
        for file in sorted(path for end in ("json", "yaml") for path in directory.glob(f"*.{end}")):
            try:
                described = _read(file)
            except (OSError, ValueError) as error:
                problems.append(f"{file}: {' '.join(str(error).split())}")
                continue
            twice |= here.keys() & described.keys()
            here |= described
        problems += [f"{name} is described more than once in {directory}" for name in sorted(twice)]
        known |= here
        for name in twice:
            del known[name]
    return known, problems


def _read(file: Path) -> dict[str, _Described]:
    """Raises OSError, ValueError."""
    with file.open("rb") as opened:
        text = opened.read(MAX_FILE_BYTES + 1)
    if len(text) > MAX_FILE_BYTES:
        raise ValueError(f"longer than {MAX_FILE_BYTES} bytes")
    spec = json.loads(text) if file.suffix == ".json" else _yaml(text)
    _only(spec, "cdiVersion kind annotations devices containerEdits", "the file")
    if spec.get("cdiVersion") not in _VERSIONS:
        raise ValueError(f"cdiVersion {spec.get('cdiVersion')!r} is none of {', '.join(_VERSIONS)}")
    kind = spec.get("kind")
    if not isinstance(kind, str) or not _KIND.match(kind):
        raise ValueError(f"kind {kind!r} must be written as VENDOR/CLASS")
    of_file = _checked(spec.get("containerEdits"), "containerEdits")
    devices: dict[str, _Described] = {}
    for device in _list(spec.get("devices"), "devices"):
        _only(device, "name annotations containerEdits", "devices")
        name = device.get("name")
        if not isinstance(name, str) or not _NAME.match(name) or f"{kind}={name}" in devices:
            raise ValueError(f"devices: {name!r} is no name, or there twice")
        own = _checked(device.get("containerEdits"), f"device {name}")
        devices[f"{kind}={name}"] = _Described(file, of_file, own)
    return devices


def _yaml(text: bytes) -> Any:
    import yaml  # which most daemons never need

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _checked(value: Any, where: str) -> dict[str, Any]:
    """Container edits whose shape is right."""
    given: dict[str, Any] = value or {}
    _only(given, "env deviceNodes hooks mounts intelRdt additionalGids netDevices", where)
    for text in _list(given.get("env"), f"{where}: env"):
        if not isinstance(text, str) or "=" not in text[1:]:
            raise ValueError(f"{where}: env {text!r} must be written as NAME=VALUE")
    for node in _list(given.get("deviceNodes"), f"{where}: deviceNodes"):
        _only(node, "path hostPath type major minor fileMode permissions uid gid", f"{where}: deviceNodes")
        _texts(node, "path", where, required=True)
        _texts(node, "hostPath type permissions", where)
        _numbers(node, "major minor fileMode uid gid", where)
    for mount in _list(given.get("mounts"), f"{where}: mounts"):
        _only(mount, "hostPath containerPath options type", f"{where}: mounts")
        _texts(mount, "hostPath containerPath", where, required=True)
        _texts(mount, "type", where)
        if not all(isinstance(option, str) for option in _list(mount.get("options"), where)):
            raise ValueError(f"{where}: options of mounts must be texts")
    for group in _list(given.get("additionalGids"), f"{where}: additionalGids"):
        _numbers({"additionalGids": group}, "additionalGids", where)
    return given


def _list(value: Any, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{where}: must be a list")
    return value


def _only(value: Any, fields: str, where: str) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: must be an object")
    unknown = [str(key) for key in value if key not in fields.split()]
    if unknown:
        raise ValueError(f"{where}: unknown field {', '.join(unknown)}")


def _texts(value: Mapping[str, Any], fields: str, where: str, *, required: bool = False) -> None:
    for field in fields.split():
        if not isinstance(value.get(field, ""), str) or (required and not value.get(field)):
            raise ValueError(f"{where}: {field} {value.get(field)!r} must be a text")


def _numbers(value: Mapping[str, Any], fields: str, where: str) -> None:
    for field in fields.split():
        number = value.get(field, 0)
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 32:
            raise ValueError(f"{where}: {field} {number!r} must be a number")


def _edits(given: Mapping[str, Any], name: str) -> Edits:
    """Raises Invalid for what this runtime or this machine has not."""
    for field in _NOT_DONE:
        if given.get(field):
            what = ", ".join(str(hook.get("path")) for hook in given[field]) if field == "hooks" else ""
            raise Invalid(f"CDI device {name}: {field} are not supported{f': {what} would not be run' if what else ''}")
    return Edits(
        env=tuple(given.get("env") or ()),
        devices=tuple(_device(node, name) for node in given.get("deviceNodes") or ()),
        mounts=tuple(_mount(mount, name) for mount in given.get("mounts") or ()),
        groups=tuple(group for group in given.get("additionalGids") or () if group),
    )


def _device(node: Mapping[str, Any], name: str) -> Device:
    source = node.get("hostPath") or node["path"]
    try:
        status = os.stat(source)
    except OSError as error:
        raise Invalid(f"CDI device {name}: {source}: {error.strerror}") from error
    there = (os.major(status.st_rdev), os.minor(status.st_rdev))
    if "major" in node and (node["major"], node.get("minor", 0)) != there:
        said = f"{node['major']}:{node.get('minor', 0)}"
        raise Invalid(f"CDI device {name}: {source} is {there[0]}:{there[1]}, and should be {said}")
    return Device(
        source=source,
        target=node["path"],
        access=node.get("permissions") or "rwm",
        mode=node.get("fileMode"),
        uid=node.get("uid"),
        gid=node.get("gid"),
    )


def _mount(mount: Mapping[str, Any], name: str) -> Mount:
    kind, options = mount.get("type") or "bind", mount.get("options") or []
    target = os.path.normpath("/" + mount["containerPath"].lstrip("/"))
    if kind == "tmpfs":
        return Mount(target=target, kind=kind, options=",".join(options), readonly="ro" in options)
    if kind not in ("bind", "none"):
        raise Invalid(f'CDI device {name}: mount {target}: type "{kind}" is neither bind nor tmpfs')
    if not os.path.isabs(mount["hostPath"]) or not os.path.exists(mount["hostPath"]):
        raise Invalid(f"CDI device {name}: mount {target}: {mount['hostPath']} does not exist")
    for option in options:
        if option not in ("ro", *_RESTRICTIONS, *_USUAL, *_PROPAGATION):
            raise Invalid(f'CDI device {name}: mount {target}: option "{option}" is not known')
    return Mount(
        target=target,
        source=mount["hostPath"],
        readonly="ro" in options,
        propagation=next((_PROPAGATION[option] for option in options if option in _PROPAGATION), "private"),
        options=",".join(option for option in options if option in _RESTRICTIONS),
    )
