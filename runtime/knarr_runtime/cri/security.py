"""From CRI's security contexts and an image's user files to whom a container runs as and what it may do.

Pure but for reading user files of the image and asking which security modules the kernel has. All raise Invalid.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime import apparmor as profiles
from knarr_runtime.defaults import DEFAULT_CAPABILITIES
from knarr_runtime.errors import Invalid
from knarr_runtime.images import merged
from knarr_runtime.images.store import Image
from knarr_runtime.kernel import lsm
from knarr_runtime.kernel.capabilities import NUMBER
from knarr_runtime.spec import (
    MAX_ID,
    OWN_PIDS,
    SECCOMP_DEFAULT,
    SECCOMP_UNCONFINED,
    Capabilities,
    IdMap,
    Namespaces,
    User,
)

MAX_USER_FILE_BYTES = 4 << 20
PID_MODES = {cri.CONTAINER: "container", cri.POD: "pod", cri.NODE: "host"}
UNCONFINED, DEFAULTS, LOCALHOST = "unconfined", ("", "runtime/default", "docker/default"), "localhost/"
"""The older fields' names of profiles."""


def namespaces(options: Any) -> Namespaces:
    """Of a sandbox."""
    for name in ("network", "ipc"):
        if getattr(options, name) not in (cri.POD, cri.NODE):
            raise Invalid(f"namespace_options.{name}: must be POD or NODE")
    if options.pid not in PID_MODES:
        raise Invalid("namespace_options.pid: TARGET is for containers")
    return Namespaces(
        net="host" if options.network == cri.NODE else "pod",
        ipc="host" if options.ipc == cri.NODE else "pod",
        pid=PID_MODES[options.pid],
    )


def pids(options: Any, of_sandbox: Any) -> str:
    """Of a container: ContainerSpec.pids. What is POD is as the sandbox has it, as it is for who says nothing."""
    if options.HasField("userns_options") and id_maps(options) != id_maps(of_sandbox):
        raise Invalid("namespace_options.userns_options: differ from the sandbox's")
    for name in ("network", "ipc", "pid"):
        if getattr(options, name) == cri.NODE != getattr(of_sandbox, name):
            raise Invalid(f"namespace_options.{name}: NODE needs a sandbox that has it, too")
    if options.pid == cri.TARGET:
        if not options.target_id:
            raise Invalid("namespace_options.target_id: required with TARGET")
        return str(options.target_id)
    if options.pid != cri.CONTAINER or of_sandbox.pid == cri.CONTAINER:
        return ""
    if of_sandbox.pid == cri.NODE:
        raise Invalid("namespace_options.pid: CONTAINER does not go with a sandbox that has NODE")
    return OWN_PIDS


IdMaps = tuple[tuple[IdMap, ...], tuple[IdMap, ...]]


def id_maps(options: Any) -> IdMaps:
    """A sandbox's uids and gids, both empty for the host's user namespace."""
    given = options.userns_options
    if not options.HasField("userns_options") or given.mode == cri.NODE:
        if given.uids or given.gids:
            raise Invalid("namespace_options.userns_options: NODE goes without mappings")
        return (), ()
    if given.mode != cri.POD:
        raise Invalid("namespace_options.userns_options.mode: must be POD or NODE")
    if len(given.uids) != 1 or len(given.gids) != 1:
        raise Invalid("namespace_options.userns_options: POD needs one mapping of uids and one of gids")
    return mappings(given.uids, "uids"), mappings(given.gids, "gids")


def mappings(given: Iterable[Any], field: str) -> tuple[IdMap, ...]:
    try:
        return tuple(IdMap(container_id=one.container_id, host_id=one.host_id, length=one.length) for one in given)
    except Invalid as error:
        raise Invalid(f"{field}: {error}") from error


def user(security: Any, image: Image, layers: tuple[str, ...]) -> User:
    """By number, by name from the image's /etc/passwd, else the image's own; groups of the image by the policy."""
    chosen = security.HasField("run_as_user") or security.run_as_username
    if security.HasField("run_as_group") and not chosen:
        raise Invalid("run_as_group: needs run_as_user or run_as_username")
    text = image.config.user
    if security.HasField("run_as_user"):
        text = str(_identifier(security.run_as_user.value, "run_as_user"))
    elif security.run_as_username:
        text = security.run_as_username
    if security.HasField("run_as_group"):
        text = f"{text.partition(':')[0]}:{_identifier(security.run_as_group.value, 'run_as_group')}"
    strict = security.supplemental_groups_policy == cri.Strict
    return user_of(text, layers, security.supplemental_groups, strict=strict)


def user_of(text: str, layers: tuple[str, ...], supplemental: Sequence[int] = (), *, strict: bool = False) -> User:
    """``NAME`` or ``UID``, then ``:GROUP`` if wanted, by the files in the topmost of ``layers``.

    strict: leave the groups out that the files give the user. Its own group is among the groups as well: what is denied
    to that group stays denied to a program that changes its group.
    """
    name, _, group = text.partition(":")
    passwd, groups = _table(layers, "/etc/passwd"), _table(layers, "/etc/group")
    entry = next((row for row in passwd if row[0] == name or (name.isdecimal() and row[2] == name)), None)
    if name and not name.isdecimal() and entry is None:
        raise Invalid(f"unable to find user {name}: no matching entries in passwd file")
    uid = int(name) if name.isdecimal() else int(entry[2]) if entry is not None and name else 0
    gid = int(entry[3]) if entry is not None and len(entry) > 3 and entry[3].isdecimal() else 0
    if group:
        gid = _group(group, groups)
    more = {gid, *(_identifier(number, "supplemental_groups") for number in supplemental)}
    if entry is not None and not strict:
        login = entry[0]
        more |= {int(row[2]) for row in groups if len(row) > 3 and login in row[3].split(",")}
    return User(uid=uid, gid=gid, groups=tuple(sorted(more)))


def _group(group: str, groups: list[list[str]]) -> int:
    if group.isdecimal():
        return int(group)
    found = next((row for row in groups if row[0] == group), None)
    if found is None:
        raise Invalid(f"unable to find group {group}: no matching entries in group file")
    return int(found[2])


def _identifier(number: int, field: str) -> int:
    if not 0 <= number <= MAX_ID:
        raise Invalid(f"{field}: {number} is no id (0 to {MAX_ID})")
    return number


def capabilities(given: Any, privileged: bool) -> Capabilities:
    """The default set, with additions and without drops; ``ALL`` is all. What is to be ambient is in every set."""
    known = tuple(NUMBER)
    if privileged:
        return Capabilities(bounding=known, effective=known, permitted=known)
    chosen = set(DEFAULT_CAPABILITIES)
    add, drop, ambient = (
        _capability_names(names, known)
        for names in (given.add_capabilities, given.drop_capabilities, given.add_ambient_capabilities)
    )
    if "ALL" in drop:
        chosen.clear()
    if "ALL" in add | ambient:
        chosen.update(known)
    chosen |= (add | ambient) - {"ALL"}
    chosen -= drop - {"ALL"}
    ordered = tuple(name for name in known if name in chosen)
    kept = ordered if "ALL" in ambient else tuple(name for name in ordered if name in ambient)
    return Capabilities(bounding=ordered, effective=ordered, permitted=ordered, inheritable=kept, ambient=kept)


def _capability_names(names: Iterable[str], known: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    for name in names:
        upper = name.upper()
        full = upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}"
        if full != "ALL" and full not in known:
            raise Invalid(f'capability "{name}" is not known')
        found.add(full)
    return found


def seccomp(security: Any) -> str:
    """ContainerSpec.seccomp. The older field counts where the newer one is not set; who says nothing is not filtered:
    whether there is a default is for CRI's clients to say."""
    if security.privileged:
        return SECCOMP_UNCONFINED
    if not security.HasField("seccomp"):
        return _older_seccomp(security.seccomp_profile_path)
    profile = security.seccomp
    if profile.profile_type == cri.Unconfined:
        return SECCOMP_UNCONFINED
    if profile.profile_type == cri.RuntimeDefault:
        return SECCOMP_DEFAULT
    return _profile(profile.localhost_ref, "seccomp.localhost_ref")


def _older_seccomp(name: str) -> str:
    if name in ("", UNCONFINED):
        return SECCOMP_UNCONFINED
    if name in DEFAULTS:
        return SECCOMP_DEFAULT
    if not name.startswith(LOCALHOST):
        raise Invalid(f'seccomp_profile_path: "{name}" must be runtime/default, unconfined or localhost/ and a path')
    return _profile(name.removeprefix(LOCALHOST), "seccomp_profile_path")


def _profile(path: str, field: str) -> str:
    if not path.startswith("/"):
        raise Invalid(f'{field}: "{path}" must be an absolute path')
    if not os.path.isfile(path):
        raise Invalid(f"{field}: there is no profile {path}")
    return path


def apparmor(security: Any) -> str:
    """ContainerSpec.apparmor: as containerd does it. The older field counts where the newer one is not set."""
    kind, name = _apparmor(security)
    if not lsm.apparmor_enabled():
        if kind == cri.Localhost:
            raise Invalid(f'apparmor: profile "{name}" can\'t be had: this kernel has no AppArmor, or it is off')
        return ""
    if kind == cri.Unconfined:
        return ""
    if kind == cri.Localhost:
        there = lsm.apparmor_profiles()
        if there is not None and name not in there:
            raise Invalid(f'apparmor: profile "{name}" is not loaded: load it with apparmor_parser')
        return name
    profile = "" if security.privileged else profiles.default()
    if kind is not None and not profile and not security.privileged:
        raise Invalid(f"apparmor: {profiles.condition()}: install apparmor_parser and start the daemon again")
    return profile


def _apparmor(security: Any) -> tuple[Any, str]:
    """(kind, None for nothing said; name of the profile)."""
    if security.HasField("apparmor"):
        kind, name = security.apparmor.profile_type, security.apparmor.localhost_ref.removeprefix(LOCALHOST)
    else:
        name = security.apparmor_profile
        if not name:
            return None, ""
        if name == UNCONFINED or name in DEFAULTS:
            return cri.Unconfined if name == UNCONFINED else cri.RuntimeDefault, ""
        if not name.startswith(LOCALHOST):
            raise Invalid(f'apparmor_profile: "{name}" must be runtime/default, unconfined or localhost/ and a name')
        kind, name = cri.Localhost, name.removeprefix(LOCALHOST)
    if kind == cri.Localhost and (not name or any(char.isspace() or char == "\0" for char in name)):
        raise Invalid(f'apparmor: "{name}" is no name of a profile')
    return kind, name


def _table(layers: tuple[str, ...], path: str) -> list[list[str]]:
    """Rows of a user file of the image, as the container sees it; none if there is no such file."""
    try:
        text = merged.read(layers, path, MAX_USER_FILE_BYTES).decode(errors="replace")
    except OSError:
        return []
    rows = [line.split(":") for line in text.splitlines() if line and not line.startswith("#")]
    return [row for row in rows if len(row) >= 3 and row[2].isdecimal()]
