"""A pod's volumes on the node's disk, below ``D/pods/<uid>/volumes/<name>``.

ConfigMaps, Secrets, downward and projected volumes are written into a new directory that a link is then switched to
(``..data``), so that a container sees all files of one version or of the other. Secrets lie on one tmpfs of the node.
Names and paths come from users: no path is joined that could leave the volume. Blocking; called on a thread.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import structlog

from knarr_api.errors import Invalid, NotFound
from knarr_api.types.core_v1 import (
    Container,
    DownwardAPIVolumeFile,
    EmptyDirVolumeSource,
    HostPathVolumeSource,
    KeyToPath,
    Pod,
    ServiceAccountTokenProjection,
    Volume,
)
from knarr_node_agent import environment, kernel
from knarr_node_agent.configs import HostMount
from knarr_node_agent.environment import Sources
from knarr_node_agent.tokens import wish_of

DEFAULT_MODE = 0o644
LINK, NEW_LINK = "..data", "..data_new"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a written volume. path: relative, without ``..``."""

    path: str
    data: bytes
    mode: int


class Volumes:
    """root: where pods' directories are. memory: a directory for secrets, on a tmpfs that is mounted if need be."""

    def __init__(self, root: Path, memory: Path) -> None:
        self._root = root
        self._memory = memory

    def open(self) -> None:
        """Have the tmpfs for secrets. Without the privilege they lie on the disk, in a directory of mode 0700."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._memory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if kernel.is_mount_point(self._memory):
            return
        try:
            kernel.mount_tmpfs(self._memory, "mode=0700,size=10%", executable=False)
        except PermissionError:
            structlog.get_logger("knarr.volumes").warning("no privilege to mount a tmpfs: secrets lie on the disk")

    def prepare(self, pod: Pod, sources: Sources) -> None:
        """Make or refresh all volumes. Raises NotFound for what is missing, Invalid for what can't be, OSError."""
        security = pod.spec.security_context
        group = security.fs_group if security is not None else None
        for volume in pod.spec.volumes:
            if volume.host_path is not None:
                _host_path(volume.host_path)
            elif volume.empty_dir is not None:
                self._empty_dir(self.path(pod, volume), volume.empty_dir, group)
            else:
                files = written_files(pod, volume, sources)
                if files is None:
                    raise Invalid(f'volume "{volume.name}" is of a type that is not supported')
                directory = self.path(pod, volume)
                if not directory.exists():
                    self._make(directory, 0o755)
                    if group is not None:
                        os.chown(directory, -1, group)
                write_atomically(directory, files, group)

    def mounts(self, pod: Pod, container: Container, variables: Mapping[str, str]) -> tuple[HostMount, ...]:
        """Where a container's mounts come from. Raises Invalid for a subPath that leaves its volume, OSError."""
        by_name = {volume.name: volume for volume in pod.spec.volumes}
        found: list[HostMount] = []
        for index, mount in enumerate(container.volume_mounts):
            volume = by_name.get(mount.name)
            if volume is None:
                raise Invalid(f'volumeMounts[{index}]: the pod has no volume "{mount.name}"')
            source = Path(volume.host_path.path) if volume.host_path is not None else self.path(pod, volume)
            sub_path = mount.sub_path or environment.expand(mount.sub_path_expr, variables)
            written = volume.empty_dir is None and volume.host_path is None
            if sub_path:
                source = self._sub_path(pod, container, index, source, sub_path, written=written)
            readonly = bool(mount.read_only) or written
            recursive = mount.recursive_read_only in ("Enabled", "IfPossible")
            found.append(HostMount(str(source), mount.mount_path, readonly, mount.mount_propagation or "", recursive))
        return tuple(found)

    def remove(self, uid: str) -> None:
        """Unmount and remove all of a pod. What a hostPath points to is not touched."""
        for directory in (self._root / uid, self._memory / uid):
            if not directory.exists():
                continue
            prefix = f"{directory.resolve()}/"
            for point in reversed(kernel.mount_points()):
                if point.startswith(prefix):
                    kernel.unmount(Path(point))
            # What was mounted here may be a part of the host: these are removed one by one, which fails if it still is.
            for held in (directory / "subpaths").glob("*/*"):
                _remove_point(held)
            shutil.rmtree(directory)

    def uids(self) -> set[str]:
        """Pods that have a directory."""
        return {entry.name for root in (self._root, self._memory) if root.is_dir() for entry in root.iterdir()}

    def path(self, pod: Pod, volume: Volume) -> Path:
        root = self._memory if _is_secret(volume) else self._root
        return root / pod.metadata.uid / "volumes" / volume.name

    def _empty_dir(self, directory: Path, source: EmptyDirVolumeSource, group: int | None) -> None:
        in_memory = source.medium == "Memory"
        if directory.exists() and not (in_memory and not kernel.is_mount_point(directory)):
            return
        if not directory.exists():
            self._make(directory, 0o777)
        if in_memory:
            limit = source.size_limit.value() if source.size_limit is not None else 0
            kernel.mount_tmpfs(directory, f"mode=0777,size={limit}" if limit else "mode=0777")
        if group is not None:
            os.chown(directory, -1, group)
            os.chmod(directory, 0o2777)

    def _make(self, directory: Path, mode: int) -> None:
        """A directory whose parents only root may enter, whatever the umask."""
        directory.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        directory.mkdir(mode=mode)
        os.chmod(directory, mode)

    def _sub_path(
        self, pod: Pod, container: Container, index: int, source: Path, sub_path: str, *, written: bool
    ) -> Path:
        """A part of a volume, held by a mount of its own: links in it can't be changed under the runtime's feet."""
        _relative(sub_path)
        if written:
            target = (source / sub_path).resolve()
            if not target.is_relative_to(source.resolve()):
                raise Invalid(f'subPath "{sub_path}" leaves its volume')
            if not target.exists():
                raise NotFound(f'subPath "{sub_path}": the volume has no such file')
            return target
        point = self._root / pod.metadata.uid / "subpaths" / container.name / str(index)
        root = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor = kernel.make_beneath(root, sub_path)
        finally:
            os.close(root)
        try:
            self._clear_point(point, directory=stat.S_ISDIR(os.fstat(descriptor).st_mode))
            kernel.bind(descriptor, point)
        finally:
            os.close(descriptor)
        return point

    def _clear_point(self, point: Path, *, directory: bool) -> None:
        point.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        if point.exists():
            kernel.unmount(point)
            _remove_point(point)
        if directory:
            point.mkdir(mode=0o700)
        else:
            point.touch(mode=0o600)


def _remove_point(point: Path) -> None:
    """Remove what something was mounted on. Raises OSError when it still is."""
    if point.is_dir():
        point.rmdir()
    else:
        point.unlink()


def is_written(volume: Volume) -> bool:
    """Whether the agent writes the volume's files, and so keeps them up to date."""
    return any((volume.config_map, volume.secret, volume.downward_api, volume.projected))


def _is_secret(volume: Volume) -> bool:
    if volume.projected is not None:
        sources = volume.projected.sources
        return any(each.secret is not None or each.service_account_token is not None for each in sources)
    return volume.secret is not None


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
            if source.service_account_token is not None:
                files.append(_token(source.service_account_token, mode, sources))
            if source.cluster_trust_bundle is not None:
                raise Invalid(f'volume "{volume.name}": trust bundles are not projected yet')
        return tuple(files)
    return None


def write_atomically(directory: Path, files: tuple[File, ...], group: int | None = None) -> None:
    """Switch the volume to these files, if they are not what it holds already."""
    current = directory / LINK
    if current.is_symlink() and _holds(directory / os.readlink(current), files, group):
        return
    version = directory / f"..{os.urandom(6).hex()}"
    version.mkdir(mode=0o755)
    for file in files:
        path = version / _relative(file.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            target.write(file.data)
            os.fchmod(descriptor, _mode(file, group))
            if group is not None:
                os.fchown(descriptor, -1, group)
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
    for entry in directory.iterdir():
        if entry.name.startswith("..") and entry.name != version.name and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)


def _holds(version: Path, files: tuple[File, ...], group: int | None) -> bool:
    try:
        have = {
            str(path.relative_to(version)): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
            for path in version.rglob("*")
            if path.is_file()
        }
    except OSError:
        return False
    return have == {str(_relative(file.path)): (file.data, _mode(file, group)) for file in files}


def _mode(file: File, group: int | None) -> int:
    """With an fsGroup its members may read too."""
    return file.mode | (0o040 if group is not None else 0)


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


def _token(source: ServiceAccountTokenProjection, mode: int | None, sources: Sources) -> File:
    token = sources.tokens.get(wish_of(source))
    if token is None:
        raise NotFound(f'there is no token for the audience "{source.audience}"')
    return File(source.path, token.encode(), DEFAULT_MODE if mode is None else mode)


def _relative(path: str) -> PurePosixPath:
    relative = PurePosixPath(path)
    if relative.is_absolute() or not relative.parts or ".." in relative.parts or relative.parts[0].startswith(".."):
        raise Invalid(f'path "{path}" must be relative, and neither begin with ".." nor contain it')
    return relative


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
