"""What a start needs from the host, opened and looked up by the daemon: it alone sees all of the host's mounts.

The root and every volume become detached mounts whose descriptors travel to the shim; nothing is mounted anywhere
until the container's first process attaches them, and a start that fails leaves nothing to unmount.
Blocking: call from a thread.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from knarr_runtime.errors import Invalid, KernelRefused
from knarr_runtime.kernel import capabilities, mounts, process, syscalls
from knarr_runtime.kernel.cgroup import DeviceRule
from knarr_runtime.kernel.cgroup.values import DEFAULT_DEVICES
from knarr_runtime.kernel.seccomp import profile
from knarr_runtime.spec import (
    SECCOMP_DEFAULT,
    SECCOMP_UNCONFINED,
    ContainerSpec,
    Device,
    Mount,
    Rootfs,
    SandboxSpec,
    host_id,
)

_PROFILE_LIMIT_BYTES = 1 << 20
BY_PATH = -1
_NOT_OFFERED = {"pts", "shm", "mqueue", "console", "fd", "stdin", "stdout", "stderr", "ptmx", "null", "zero", "full"}


_FOR_SHIM = (
    *("id", "cgroup", "stdin", "stdin_once", "tty", "log_path", "privileged", "masked_paths", "readonly_paths"),
    *("pids", "cgroup_access", "mount_label"),
)
"""What of a spec the shim itself needs to know."""


@dataclass(frozen=True, slots=True)
class StartRequest:
    """Descriptors to send (and close), what the shim reads (``header``), and what only the first process reads.

    root: which of the descriptors is the root, or BY_PATH.
    """

    descriptors: tuple[int, ...]
    header: Mapping[str, Any]
    body: bytes
    root: int = BY_PATH

    def close(self) -> None:
        for fd in self.descriptors:
            os.close(fd)


class Filters:
    """Compiled system call filters as they travel, one per profile and capability set."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, frozenset[str]], str] = {}

    def get(self, spec: ContainerSpec) -> str:
        """Base64 of the program, "" for none. Raises Invalid for a profile that cannot be used."""
        if spec.privileged or spec.seccomp == SECCOMP_UNCONFINED:
            return ""
        key = (spec.seccomp, frozenset(spec.capabilities.bounding))
        if spec.seccomp != SECCOMP_DEFAULT:
            return base64.b64encode(_read_profile(*key)).decode()
        if key not in self._compiled:
            self._compiled[key] = base64.b64encode(profile.default_filter(key[1])).decode()
        return self._compiled[key]


def _read_profile(path: str, granted: frozenset[str]) -> bytes:
    try:
        with open(path, "rb") as file:
            text = file.read(_PROFILE_LIMIT_BYTES)
        return profile.json_filter(json.loads(text), granted)
    except OSError as error:
        raise Invalid(f"seccomp profile {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Invalid(f"seccomp profile {path}: {error}") from error


def check(spec: ContainerSpec, sandbox: SandboxSpec) -> None:
    """Raises Invalid for what spec.py, knowing neither kernel nor sandbox, could not see."""
    host_id(sandbox.uids, spec.user.uid)
    for group in (spec.user.gid, *spec.user.groups):
        host_id(sandbox.gids, group)
    if spec.time_offsets_ns and not process.has_time_namespaces():
        raise Invalid("time offsets: this kernel has no time namespaces")
    sets = spec.capabilities
    for name in (*sets.bounding, *sets.effective, *sets.permitted, *sets.inheritable, *sets.ambient):
        if name not in capabilities.NUMBER:
            raise Invalid(f"capabilities: {name!r} is unknown")


def device_rules(spec: ContainerSpec) -> list[DeviceRule] | None:
    """For the cgroup: the defaults and the spec's devices; None lets a privileged container use all."""
    if spec.privileged:
        return None
    rules = list(DEFAULT_DEVICES)
    for device in spec.devices:
        for found in _devices(device):
            kind, major, minor = found["kind"], found["major"], found["minor"]
            rules.append(DeviceRule(kind=kind, major=major, minor=minor, access=device.access))
    return rules


def make(
    spec: ContainerSpec, filters: Filters, root: int | None, spec_text: str, users: int | None = None
) -> StartRequest:
    """Raises Invalid for what is missing on the host, KernelRefused where a mount fails.

    root: what :func:`open_root` gave, taken over; None to open it now. spec_text: the spec as JSON. users: descriptor
    of the pod's user namespace, if it has one of its own.
    """
    others: dict[str, Any] = {}
    descriptors: list[int] = [] if root is None or root == BY_PATH else [root]
    try:
        others["seccomp"] = filters.get(spec)
        devices = [found for device in spec.devices for found in _devices(device)]
        others["devices"] = [*_all_devices(), *devices] if spec.privileged else devices
        if users is not None:
            open_layers(spec.rootfs, users, descriptors)
            others["root_layers"] = len(descriptors)
        elif root is None:
            root = open_root(spec)
            descriptors += [] if root == BY_PATH else [root]
        others["root_by_path"] = root == BY_PATH
        for mount in spec.mounts:
            if mount.kind == "bind":
                descriptors.append(open_volume(mount, users))
    except (OSError, Invalid, KernelRefused) as error:
        for fd in descriptors:
            os.close(fd)
        if isinstance(error, OSError):
            raise KernelRefused(f"{error.filename}: {error.strerror}") from error
        raise
    text = f'{{"spec":{spec_text},{json.dumps(others)[1:]}'
    return StartRequest(tuple(descriptors), header(spec), text.encode(), BY_PATH if root is None else root)


def header(spec: ContainerSpec) -> dict[str, Any]:
    """What the shim reads of it."""
    fields: dict[str, Any] = {name: getattr(spec, name) for name in _FOR_SHIM}
    fields["targets"] = [mount.target for mount in spec.mounts]
    fields["bounding"] = spec.capabilities.bounding
    return fields


def open_volume(mount: Mount, users: int | None = None) -> int:
    """The detached mount of a volume. Raises Invalid for what is missing or not possible here, OSError.

    users: the user namespace for one that is ``mapped``.
    """
    try:
        if mount.layers:
            return mounts.image(mount.layers, mount.sub_path)
        tree = mounts.bind(
            mount.source,
            readonly=mount.readonly,
            recursive=mount.recursive,
            propagation=mount.propagation,
            options=mount.options,
        )
    except FileNotFoundError as error:
        missing = f"the image has no {mount.sub_path}" if mount.layers else f"source {mount.source} does not exist"
        raise Invalid(f"mount {mount.target}: {missing}") from error
    if mount.mapped and users is not None:
        try:
            mounts.map_owners(tree, users, f"mount {mount.target}: {mount.source}")
        except BaseException:
            os.close(tree)
            raise
    return tree


def open_layers(root: Rootfs, users: int, opened: list[int]) -> None:
    """The writable directory, if there is one, and each layer, mounted with owners mapped; appends to ``opened``.

    Raises Invalid, OSError.
    """
    if root.upper:
        writable = os.path.dirname(root.upper)
        if os.path.dirname(root.work) != writable:
            raise Invalid("rootfs: in a user namespace, upper and work must be in one directory")
        for path in (root.upper, root.work):
            os.makedirs(path, 0o755, exist_ok=True)
        _forget_create(root)
        opened.append(mounts.mapped(writable, users))
    for path in root.lower:
        opened.append(mounts.mapped(path, users))


def open_root(spec: ContainerSpec) -> int:
    """A detached root, or BY_PATH if the container's first process must mount it. Raises as open_all does."""
    try:
        return _open_root(spec)
    except OSError as error:
        raise KernelRefused(f"rootfs: {error.filename}: {error.strerror}") from error


def open_root_here(spec: ContainerSpec) -> int:
    """A descriptor of the root also where it can't be a detached mount: mounted for a moment on its work directory."""
    root = open_root(spec)
    if root != BY_PATH:
        return root
    layers = spec.rootfs
    place = f"{layers.work or os.path.dirname(layers.lower[0])}.root"
    os.makedirs(place, 0o700, exist_ok=True)
    mounts.mount_overlay(layers.lower, layers.upper, layers.work, place)
    try:
        return os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        syscalls.umount(place)
        os.rmdir(place)


def _open_root(spec: ContainerSpec) -> int:
    root = spec.rootfs
    for path in root.lower:
        if not os.path.isdir(path):
            raise Invalid(f"rootfs: {path} is not a directory")
    if not root.upper:
        if len(root.lower) == 1:
            return mounts.bind(root.lower[0], readonly=root.readonly)
        tree = mounts.overlay(root.lower, "", "", spec.mount_label)
        return BY_PATH if tree is None else tree
    for path in (root.upper, root.work):
        os.makedirs(path, 0o755, exist_ok=True)
    _forget_create(root)
    tree = mounts.overlay(root.lower, root.upper, root.work, spec.mount_label)
    return BY_PATH if tree is None else tree


def _forget_create(root: Rootfs) -> None:
    """The mark of a volatile mount made by a create whose start comes only now: nobody has written there."""
    marker = f"{root.work}/work/incompat"
    if os.path.exists(marker):
        shutil.rmtree(marker, ignore_errors=True)


def _devices(device: Device) -> list[dict[str, Any]]:
    """One, or all that a directory of devices holds. Raises Invalid."""
    if not os.path.isdir(device.source):
        chosen = {"mode": device.mode, "uid": device.uid, "gid": device.gid}
        wanted = {name: value for name, value in chosen.items() if value is not None}
        return [{**_device(device.source, device.target), **wanted}]
    source = device.source.rstrip("/")
    return [
        {**found, "target": device.target.rstrip("/") + str(found["target"]).removeprefix(source)}
        for found in _all_devices(source, ())
    ]


def _device(source: str, target: str) -> dict[str, Any]:
    try:
        status = os.stat(source)
    except OSError as error:
        raise Invalid(f"device {source}: {error.strerror}") from error
    if stat.S_ISCHR(status.st_mode):
        kind = "c"
    elif stat.S_ISBLK(status.st_mode):
        kind = "b"
    else:
        raise Invalid(f"device {source}: not a device")
    return {
        "target": target,
        "kind": kind,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "mode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }


def _all_devices(directory: str = "/dev", without: Container[str] = _NOT_OFFERED) -> list[dict[str, Any]]:
    """Every device node below it: those of the host are for privileged containers."""
    found: list[dict[str, Any]] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name in without or entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                found += _all_devices(entry.path, ())
                continue
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                found.append(_device(entry.path, entry.path))
    return found
