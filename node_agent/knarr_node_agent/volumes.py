"""A pod's volumes on the node's disk, below ``D/pods/<uid>/volumes/<name>``.

ConfigMaps, Secrets, downward and projected volumes are written into a new directory that a link is then switched to
(``..data``), so that a container sees all files of one version or of the other. Secrets lie on a tmpfs of the pod
where one can be mounted. Names and paths come from users: no path is joined that could leave the volume.
Blocking; called on a thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from knarr_api.errors import Invalid, NotFound
from knarr_api.types.core_v1 import Container, DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, Pod, Volume
from knarr_node_agent import environment
from knarr_node_agent.configs import HostMount
from knarr_node_agent.environment import Sources

MS_NOSUID, MS_NODEV, MS_NOEXEC, MNT_DETACH = 2, 4, 8, 2
DEFAULT_MODE = 0o644
LINK, NEW_LINK = "..data", "..data_new"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a written volume. path: relative, without ``..``."""

    path: str
    data: bytes
    mode: int


class Volumes:
    """root: where pods' directories are."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def prepare(self, pod: Pod, sources: Sources) -> None:
        """Make or refresh all volumes. Raises NotFound for what is missing, Invalid for what can't be, OSError."""
        for volume in pod.spec.volumes:
            if volume.host_path is not None:
                _host_path(volume.host_path)
                continue
            directory = self.path(pod, volume.name)
            group = pod.spec.security_context.fs_group if pod.spec.security_context is not None else None
            if volume.empty_dir is not None:
                if not directory.exists():
                    directory.mkdir(parents=True, mode=0o777)
                    os.chmod(directory, 0o777)
                    if volume.empty_dir.medium == "Memory":
                        limit = volume.empty_dir.size_limit
                        _mount_tmpfs(directory, f"mode=1777,size={limit.value()}" if limit else "mode=1777")
                    if group is not None:
                        os.chown(directory, -1, group)
                        os.chmod(directory, 0o2777)
                continue
            files = written_files(pod, volume, sources)
            if files is None:
                raise Invalid(f'volume "{volume.name}" is of a type that is not supported')
            if not directory.exists():
                directory.mkdir(parents=True, mode=0o755)
                if volume.secret is not None:
                    _mount_tmpfs(directory, "mode=0755,size=2m")
            write_atomically(directory, files, group)

    def mounts(self, pod: Pod, container: Container, variables: Mapping[str, str]) -> tuple[HostMount, ...]:
        """Where a container's mounts come from. Raises Invalid for a subPath that leaves its volume."""
        by_name = {volume.name: volume for volume in pod.spec.volumes}
        found: list[HostMount] = []
        for mount in container.volume_mounts:
            volume = by_name[mount.name]
            source = Path(volume.host_path.path) if volume.host_path is not None else self.path(pod, mount.name)
            sub_path = mount.sub_path or environment.expand(mount.sub_path_expr, variables)
            if sub_path:
                source = _below(source, sub_path)
            readonly = bool(mount.read_only) or (volume.empty_dir is None and volume.host_path is None)
            found.append(HostMount(str(source), mount.mount_path, readonly, mount.mount_propagation or ""))
        return tuple(found)

    def remove(self, uid: str) -> None:
        """Unmount and remove all of a pod. What a hostPath points to is not touched."""
        directory = self._root / uid
        if not directory.exists():
            return
        prefix = f"{directory}/"
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            point = line.split()[4].encode().decode("unicode_escape")
            if point.startswith(prefix):
                _libc().umount2(point.encode(), MNT_DETACH)
        shutil.rmtree(directory)

    def uids(self) -> set[str]:
        """Pods that have a directory."""
        return {entry.name for entry in self._root.iterdir()} if self._root.is_dir() else set()

    def path(self, pod: Pod, volume: str) -> Path:
        return self._root / pod.metadata.uid / "volumes" / volume


def written_files(pod: Pod, volume: Volume, sources: Sources) -> tuple[File, ...] | None:
    """The files of a volume that is written by the agent; None for other types. Pure. Raises NotFound."""
    if volume.config_map is not None:
        given = volume.config_map
        return _config_map(sources, given.name, given.items, bool(given.optional), given.default_mode)
    if volume.secret is not None:
        secret = volume.secret
        return _secret(sources, secret.secret_name, secret.items, bool(secret.optional), secret.default_mode)
    if volume.downward_api is not None:
        return _downward(pod, volume.downward_api.items, volume.downward_api.default_mode, sources)
    if volume.projected is not None:
        mode = volume.projected.default_mode
        files: list[File] = []
        for source in volume.projected.sources:
            if source.config_map is not None:
                part = source.config_map
                files += _config_map(sources, part.name, part.items, bool(part.optional), mode)
            if source.secret is not None:
                piece = source.secret
                files += _secret(sources, piece.name, piece.items, bool(piece.optional), mode)
            if source.downward_api is not None:
                files += _downward(pod, source.downward_api.items, mode, sources)
        return tuple(files)
    return None


def write_atomically(directory: Path, files: tuple[File, ...], group: int | None = None) -> None:
    """Switch the volume to these files, if they are not what it holds already."""
    current = directory / LINK
    if current.is_symlink() and _holds(directory / os.readlink(current), files):
        return
    version = directory / f"..{os.urandom(6).hex()}"
    version.mkdir(mode=0o755)
    for file in files:
        path = version / _relative(file.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = file.mode | (0o040 if group is not None else 0)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            target.write(file.data)
            os.fchmod(descriptor, mode)
            if group is not None:
                os.fchown(descriptor, -1, group)
    old = os.readlink(current) if current.is_symlink() else ""
    (directory / NEW_LINK).unlink(missing_ok=True)
    os.symlink(version.name, directory / NEW_LINK)
    os.rename(directory / NEW_LINK, current)
    tops = {_relative(file.path).parts[0] for file in files}
    for top in tops:
        if not (directory / top).is_symlink():
            os.symlink(f"{LINK}/{top}", directory / top)
    for entry in directory.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    if old:
        shutil.rmtree(directory / old, ignore_errors=True)


def _holds(version: Path, files: tuple[File, ...]) -> bool:
    try:
        have = {str(path.relative_to(version)): path.read_bytes() for path in version.rglob("*") if path.is_file()}
    except OSError:
        return False
    return have == {str(_relative(file.path)): file.data for file in files}


def _config_map(
    sources: Sources, name: str, items: tuple[KeyToPath, ...], optional: bool, mode: int | None
) -> tuple[File, ...]:
    found = sources.config_maps.get(name)
    if found is None:
        if optional:
            return ()
        raise NotFound(f'configmap "{name}" not found')
    data = {key: value.encode() for key, value in found.data.items()} | dict(found.binary_data)
    return _pick(f'configmap "{name}"', data, items, optional, mode)


def _secret(
    sources: Sources, name: str, items: tuple[KeyToPath, ...], optional: bool, mode: int | None
) -> tuple[File, ...]:
    found = sources.secrets.get(name)
    if found is None:
        if optional:
            return ()
        raise NotFound(f'secret "{name}" not found')
    return _pick(f'secret "{name}"', found.data, items, optional, mode)


def _pick(
    what: str, data: Mapping[str, bytes], items: tuple[KeyToPath, ...], optional: bool, mode: int | None
) -> tuple[File, ...]:
    default = DEFAULT_MODE if mode is None else mode
    if not items:
        return tuple(File(key, value, default) for key, value in sorted(data.items()))
    files: list[File] = []
    for item in items:
        if item.key in data:
            files.append(File(item.path, data[item.key], default if item.mode is None else item.mode))
        elif not optional:
            raise NotFound(f"{what} has no key {item.key}")
    return tuple(files)


def _downward(
    pod: Pod, items: tuple[DownwardAPIVolumeFile, ...], mode: int | None, sources: Sources
) -> tuple[File, ...]:
    files: list[File] = []
    for item in items:
        if item.field_ref is not None:
            text = environment.field_value(pod, item.field_ref.field_path, sources)
        elif item.resource_field_ref is not None:
            text = environment.resource_value(pod, item.resource_field_ref, None, sources)
        else:
            continue
        default = DEFAULT_MODE if mode is None else mode
        files.append(File(item.path, text.encode(), default if item.mode is None else item.mode))
    return tuple(files)


def _relative(path: str) -> PurePosixPath:
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        raise Invalid(f'path "{path}" must be relative and not contain ".."')
    return relative


def _below(base: Path, sub_path: str) -> Path:
    """A path inside a volume, whatever links the volume holds; a missing directory is made."""
    _relative(sub_path)
    root = base.resolve()
    target = (root / sub_path).resolve()
    if target != root and root not in target.parents:
        raise Invalid(f'subPath "{sub_path}" leaves its volume')
    if not target.exists():
        target.mkdir(parents=True, mode=0o755)
    return target


CHECKS = {
    "Directory": stat.S_ISDIR,
    "File": stat.S_ISREG,
    "Socket": stat.S_ISSOCK,
    "CharDevice": stat.S_ISCHR,
    "BlockDevice": stat.S_ISBLK,
}


def _host_path(source: HostPathVolumeSource) -> None:
    path, kind = Path(source.path), source.type or ""
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True, mode=0o755)
        kind = "Directory"
    elif kind == "FileOrCreate":
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        kind = "File"
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise NotFound(f"hostPath {source.path} does not exist on this node") from None
    check = CHECKS.get(kind)
    if check is not None and not check(mode):
        raise Invalid(f"hostPath type check failed: {source.path} is not a {kind}")


def _mount_tmpfs(directory: Path, options: str) -> None:
    if _libc().mount(b"tmpfs", str(directory).encode(), b"tmpfs", MS_NOSUID | MS_NODEV, options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, f"mounting a tmpfs on {directory}: {os.strerror(number)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
