"""What to run: the values the daemon hands to zygote and shim, and what comes back.

Frozen standard-library dataclasses, because the zygote runs as ``python -I -S -E`` without any other package and every
process of the runtime must agree on them. Each value can be written as JSON (``to_json``) and read again
(``SandboxSpec.from_json`` …); that JSON is also what lies on disk, see :mod:`knarr_runtime.layout`.

Identifiers and cgroup paths are checked here once (``Invalid``), so that whoever joins them to a directory later need
not. Paths named ``source`` are paths of the host, paths named ``target`` are paths inside the container.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from knarr_runtime.defaults import DEFAULT_CAPABILITIES, DEFAULT_MASKED_PATHS, DEFAULT_READONLY_PATHS
from knarr_runtime.errors import Invalid
from knarr_runtime.spec_json import OtherVersion, plain, read, take

_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}\Z")

NAMESPACE_MODES = ("pod", "host")
PID_MODES = ("container", "pod", "host")
PROPAGATIONS = ("private", "rslave", "rshared")
MOUNT_KINDS = ("bind", "tmpfs")
MAX_ID = (1 << 32) - 2
OWN_PIDS = "own"
CGROUP_ACCESS = ("", "ro", "rw")
SECCOMP_DEFAULT = "default"
SECCOMP_UNCONFINED = "unconfined"


def check_id(value: str, what: str) -> str:
    """``value`` if it may name a directory of the state; else Invalid."""
    if not _ID.match(value) or value in (".", ".."):
        raise Invalid(f"{what}: {value!r} is not an identifier (letters, digits, '_', '.', '-'; at most 128)")
    return value


def check_cgroup(value: str, what: str) -> str:
    """``value`` if it is a relative path that stays below the runtime's cgroup; else Invalid."""
    if value.startswith("/") or any(part in ("", ".", "..") for part in value.split("/")) or "\0" in value:
        raise Invalid(f"{what}: {value!r} must be a relative path without '.' and '..'")
    return value


def _one_of(value: str, choices: tuple[str, ...], what: str) -> None:
    if value not in choices:
        raise Invalid(f"{what}: {value!r} is none of {', '.join(choices)}")


def _absolute(value: str, what: str) -> None:
    if not value.startswith("/") or "\0" in value:
        raise Invalid(f"{what}: {value!r} must be an absolute path")


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespaces:
    """net, ipc: ``pod`` (the sandbox has its own) or ``host``. pid: ``container`` (own), ``pod``, ``host``."""

    net: str = "pod"
    ipc: str = "pod"
    pid: str = "container"

    def __post_init__(self) -> None:
        _one_of(self.net, NAMESPACE_MODES, "namespaces.net")
        _one_of(self.ipc, NAMESPACE_MODES, "namespaces.ipc")
        _one_of(self.pid, PID_MODES, "namespaces.pid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits in the units of CRI's LinuxContainerResources; 0 (or "") means: not limited, leave as it is."""

    cpu_shares: int = 0
    cpu_quota_us: int = 0
    cpu_period_us: int = 0
    memory_limit_bytes: int = 0
    memory_swap_limit_bytes: int = 0
    """Memory plus swap, as in cgroup v1; 0: the same as the memory limit (no swap)."""
    pids_limit: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    unified: Mapping[str, str] = field(default_factory=dict)
    """Raw cgroup v2 files and values (``memory.high`` …); ignored on v1."""
    huge_pages: Mapping[str, int] = field(default_factory=dict)
    """Bytes by size of page (``2MB``, ``1GB``); 0 allows none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdMap:
    """``length`` ids from ``container_id`` on, in a user namespace, are those from ``host_id`` on outside."""

    container_id: int
    host_id: int
    length: int

    def __post_init__(self) -> None:
        for name in ("container_id", "host_id", "length"):
            if not 0 <= getattr(self, name) <= MAX_ID + 1:
                raise Invalid(f"id mapping: {name} {getattr(self, name)} is no id (0 to {MAX_ID})")
        if not self.length or max(self.container_id, self.host_id) + self.length > MAX_ID + 1:
            raise Invalid(f"id mapping: length {self.length} from {self.container_id} to {self.host_id} does not fit")


def host_id(maps: tuple[IdMap, ...], identifier: int) -> int:
    """What ``identifier`` of a container is outside of it. Raises Invalid if it is nothing there."""
    for each in maps:
        if each.container_id <= identifier < each.container_id + each.length:
            return each.host_id + identifier - each.container_id
    if maps:
        raise Invalid(f"id {identifier} has no mapping in the pod's user namespace")
    return identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """A pod: the namespaces its containers share, and the cgroup they live below.

    hostname: "" keeps the host's UTS namespace. cgroup_parent: path of the pod's cgroup below the runtime's cgroup root
    (``kubepods/burstable/pod<uid>``), made with ``resources``. sysctls: namespaced ones only, refused else.
    shm_size_bytes, mount_label: size and SELinux label of the /dev/shm the pod's containers share. uids, gids: of the
    pod's own user namespace, which owns its other namespaces; without them it has the host's.
    """

    id: str
    hostname: str = ""
    cgroup_parent: str = ""
    namespaces: Namespaces = Namespaces()
    resources: Resources = Resources()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    shm_size_bytes: int = 64 << 20
    mount_label: str = ""
    uids: tuple[IdMap, ...] = ()
    gids: tuple[IdMap, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_id(self.id, "sandbox id")
        if bool(self.uids) != bool(self.gids):
            raise Invalid("a user namespace needs uids and gids")
        if self.uids and "host" in (self.namespaces.net, self.namespaces.ipc, self.namespaces.pid):
            raise Invalid("a pod with a user namespace can't have the host's network, ipc or pid namespace")
        for maps in (self.uids, self.gids):
            host_id(maps, 0)
        if self.cgroup_parent:
            check_cgroup(self.cgroup_parent, "cgroup_parent")
        if len(self.hostname) > 64:
            raise Invalid(f"hostname: {self.hostname!r} is longer than 64 characters")

    def to_json(self) -> dict[str, Any]:
        return plain(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> SandboxSpec:
        return read(SandboxSpec, value, _SANDBOX_NESTED)

    @staticmethod
    def from_checked(value: Mapping[str, Any]) -> SandboxSpec:
        """From a daemon that may be of another version; see ContainerSpec."""
        return read(SandboxSpec, value, _SANDBOX_NESTED, strict="the zygote")


_SANDBOX_NESTED: dict[str, tuple[type, bool]] = {
    "namespaces": (Namespaces, False),
    "resources": (Resources, False),
    "uids": (IdMap, True),
    "gids": (IdMap, True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for number in (self.uid, self.gid, *self.groups):
            if not 0 <= number <= MAX_ID:  # to setresuid(2), -1 says: stay who you are
                raise Invalid(f"user: {number} is no id (0 to {MAX_ID})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rootfs:
    """Overlay root: ``lower`` directories from the topmost layer down, ``upper`` and ``work`` the container's own.

    upper and work are made if missing, are the caller's to remove, and must not be reused: the overlay is mounted
    ``volatile``. With ``upper`` empty and one ``lower``, that directory is bind-mounted as it is.
    """

    lower: tuple[str, ...]
    upper: str = ""
    work: str = ""
    readonly: bool = False

    def __post_init__(self) -> None:
        if not self.lower:
            raise Invalid("rootfs.lower: at least one directory is needed")
        if bool(self.upper) != bool(self.work):
            raise Invalid("rootfs: upper and work belong together")
        for path in (*self.lower, *filter(None, (self.upper, self.work))):
            _absolute(path, "rootfs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """kind ``bind``: host ``source`` on ``target``; ``tmpfs``: ``options`` as for mount -o (``size=64m,mode=1777``);
    those of a bind can be nosuid, nodev and noexec.

    recursive: ``readonly`` goes for everything mounted below the source, too. layers: instead of ``source``, an image's
    directories from the topmost down, read-only, of which ``sub_path`` ("": all) is mounted. mapped: owners are seen
    through the pod's user namespace: what belongs to the host's 0 belongs to its root.
    """

    target: str
    source: str = ""
    kind: str = "bind"
    readonly: bool = False
    propagation: str = "private"
    options: str = ""
    recursive: bool = False
    layers: tuple[str, ...] = ()
    sub_path: str = ""
    mapped: bool = False

    def __post_init__(self) -> None:
        _absolute(self.target, "mount target")
        _one_of(self.kind, MOUNT_KINDS, "mount kind")
        _one_of(self.propagation, PROPAGATIONS, "mount propagation")
        if self.kind == "bind":
            for source in self.layers or (self.source,):
                _absolute(source, f"source of mount {self.target}")
        if self.layers and not self.readonly:
            raise Invalid(f"mount {self.target}: an image can only be mounted read-only")
        if self.recursive and (not self.readonly or self.propagation != "private"):
            raise Invalid(f"mount {self.target}: recursively read-only must be read-only and private")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Host device ``source`` made available as ``target``; ``access`` is any of r, w, m.

    mode, uid, gid: of its node in the container; None as on the host.
    """

    source: str
    target: str
    access: str = "rwm"
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None

    def __post_init__(self) -> None:
        _absolute(self.source, "device source")
        _absolute(self.target, "device target")
        if not self.access or set(self.access) - set("rwm"):
            raise Invalid(f"device {self.target}: access {self.access!r} must be made of r, w and m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rlimit:
    """name as in setrlimit(2): ``RLIMIT_NOFILE``; -1 is unlimited."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Names with ``CAP_``. effective and permitted become the first two sets; ambient needs inheritable, too."""

    bounding: tuple[str, ...] = DEFAULT_CAPABILITIES
    effective: tuple[str, ...] = DEFAULT_CAPABILITIES
    permitted: tuple[str, ...] = DEFAULT_CAPABILITIES
    inheritable: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """One container, complete: nothing is looked up elsewhere when it starts.

    cgroup: path below the runtime's cgroup root, below the sandbox's. seccomp: ``default``, ``unconfined`` or the path
    of a JSON profile on the host. log_path: file for the CRI log format (``/dev/null``: it can be attached to all the
    same), "" for none. stdin: keep standard input open (else /dev/null). pids: "" as the sandbox has it, ``own`` a pid
    namespace of its own, else the id of the running container whose namespace it joins. cgroup_access: of
    /sys/fs/cgroup, ``ro`` or ``rw``; "" is ``rw`` for a privileged container only. volumes: directories of the root,
    made if they are missing, that are written even where it is read-only. stop_signal: name (``SIGTERM``) or number.
    privileged: all capabilities, devices and /sys writable, nothing masked, no seccomp. apparmor: name of a loaded
    profile, "" to leave it as the runtime's. selinux, mount_label: labels of program and files, "" for none.
    time_offsets_ns: a time namespace whose clocks ``monotonic`` and ``boottime`` are ahead by that.
    """

    id: str
    sandbox_id: str
    args: tuple[str, ...]
    rootfs: Rootfs
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: User = User()
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    cgroup: str = ""
    resources: Resources = Resources()
    capabilities: Capabilities = Capabilities()
    no_new_privs: bool = True
    seccomp: str = SECCOMP_DEFAULT
    apparmor: str = ""
    selinux: str = ""
    mount_label: str = ""
    time_offsets_ns: Mapping[str, int] = field(default_factory=dict)
    masked_paths: tuple[str, ...] = DEFAULT_MASKED_PATHS
    readonly_paths: tuple[str, ...] = DEFAULT_READONLY_PATHS
    privileged: bool = False
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    log_path: str = ""
    oom_score_adj: int | None = None
    rlimits: tuple[Rlimit, ...] = ()
    stop_signal: str = "SIGTERM"
    pids: str = ""
    cgroup_access: str = ""
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_id(self.id, "container id")
        check_id(self.sandbox_id, "sandbox id")
        if self.pids:
            check_id(self.pids, "pids")
        if self.cgroup:
            check_cgroup(self.cgroup, "cgroup")
        if not self.args or not self.args[0]:
            raise Invalid("args: no command given and the image has none")
        _absolute(self.cwd, "cwd")
        if any("\0" in text for text in (*self.args, *self.env)):
            raise Invalid("args and env must not contain NUL")
        if self.log_path:
            _absolute(self.log_path, "log_path")
        _one_of(self.cgroup_access, CGROUP_ACCESS, "cgroup_access")
        for volume in self.volumes:
            _absolute(volume, "volumes")

    def to_json(self) -> dict[str, Any]:
        return plain(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> ContainerSpec:
        return read(ContainerSpec, value, _CONTAINER_NESTED)

    @staticmethod
    def from_checked(value: Mapping[str, Any]) -> ContainerSpec:
        """Like from_json, for what this process's own daemon has just checked and written with ``to_json``.

        A daemon may be of another version than this process. What it asks for and is not known here raises Invalid:
        ignored, it could be the very thing that was to confine the container. Fields added later are empty by default.
        A fresh fork pays 3 µs for every page it touches; this touches a third of what constructors and checks do.
        """
        try:
            return take(ContainerSpec, value, _CONTAINER_NESTED)
        except OtherVersion:
            return read(ContainerSpec, value, _CONTAINER_NESTED, strict="this sandbox")


_CONTAINER_NESTED: dict[str, tuple[type, bool]] = {
    "rootfs": (Rootfs, False),
    "user": (User, False),
    "mounts": (Mount, True),
    "devices": (Device, True),
    "resources": (Resources, False),
    "capabilities": (Capabilities, False),
    "rlimits": (Rlimit, True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """destination in CIDR form; "" is the default route. gateway "" means: directly on the link."""

    destination: str = ""
    gateway: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """What the sandbox's end of its link gets: ``address`` with prefix length ("10.244.1.5/24"), default ``gateway``.

    An empty ``address`` only brings up the loopback. mtu 0 leaves the link's.
    """

    address: str = ""
    gateway: str = ""
    mtu: int = 0
    ifname: str = "eth0"
    routes: tuple[Route, ...] = ()
