"""Mounts made detached, finished while nobody can see them, then attached on a descriptor: no path is looked up twice.

A detached mount is a descriptor; closing it before it is attached unmounts it, so a failed start leaves nothing.
Source: Linux fsopen(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2).
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Iterable, Sequence

from knarr_runtime.errors import Invalid
from knarr_runtime.kernel import paths, syscalls
from knarr_runtime.kernel.syscalls import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
)

NO_PRIVILEGE = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
READ_ONLY = MOUNT_ATTR_RDONLY

_PROPAGATION = {"private": syscalls.MS_PRIVATE, "rslave": syscalls.MS_SLAVE, "rshared": syscalls.MS_SHARED}
_ATTRIBUTES = {
    "ro": MOUNT_ATTR_RDONLY,
    "nosuid": MOUNT_ATTR_NOSUID,
    "nodev": MOUNT_ATTR_NODEV,
    "noexec": MOUNT_ATTR_NOEXEC,
}
_PLAIN = ("rw", "suid", "dev", "exec", "")


def filesystem(kind: str, options: Iterable[tuple[str, str]] = (), attributes: int = 0, source: str = "") -> int:
    """A new detached mount of ``kind``; an option with value "" is a flag."""
    fs = syscalls.fsopen(kind)
    try:
        if source:
            syscalls.fsconfig_string(fs, "source", source)
        for key, value in options:
            if value:
                syscalls.fsconfig_string(fs, key, value)
            else:
                syscalls.fsconfig_flag(fs, key)
        syscalls.fsconfig_create(fs)
        return syscalls.fsmount(fs, attributes)
    finally:
        os.close(fs)


def labelled(label: str) -> list[tuple[str, str]]:
    """The option that gives all files of a filesystem the SELinux label, "" for none."""
    return [("context", label)] if label else []


def tmpfs(options: str, attributes: int = 0, label: str = "") -> int:
    """A tmpfs with options as ``mount -o`` takes them (``size=64m,mode=1777,noexec``)."""
    pairs = labelled(label)
    for option in options.split(","):
        if option in _ATTRIBUTES:
            attributes |= _ATTRIBUTES[option]
        elif option not in _PLAIN:
            key, _, value = option.partition("=")
            pairs.append((key, value))
    return filesystem("tmpfs", pairs, attributes, source="tmpfs")


@functools.cache
def layers_travel() -> bool:
    """Whether overlays can be made detached here: from Linux 6.5 on.

    By version, not by trial: older kernels take ``lowerdir+`` like any text and fail only when all is said.
    """
    return kernel() >= (6, 5)


@functools.cache
def parts_travel() -> bool:
    """Whether a part of a detached mount can be copied here: from Linux 6.15 on."""
    return kernel() >= (6, 15)


@functools.cache
def owners_map() -> bool:
    """Whether every filesystem that a pod needs, tmpfs too, can be mounted with mapped owners: from Linux 6.3 on."""
    return kernel() >= (6, 3)


def kernel() -> tuple[int, int]:
    """Version of the running kernel."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor)) or 0)


def overlay(lower: Sequence[str], upper: str, work: str, label: str = "") -> int | None:
    """A detached overlay; None where the kernel cannot take layers one by one (before 6.5: see mount_overlay).

    ``volatile``: unmounting must not sync the whole filesystem below. Source: Documentation/filesystems/overlayfs.rst.
    """
    if not layers_travel():
        return None
    fs = syscalls.fsopen("overlay")
    try:
        for path in lower:
            syscalls.fsconfig_string(fs, "lowerdir+", path)
        if upper:
            syscalls.fsconfig_string(fs, "upperdir", upper)
            syscalls.fsconfig_string(fs, "workdir", work)
            syscalls.fsconfig_flag(fs, "volatile")
        for key, value in labelled(label):
            syscalls.fsconfig_string(fs, key, value)
        syscalls.fsconfig_create(fs)
        return syscalls.fsmount(fs, 0)
    finally:
        os.close(fs)


def mount_overlay(lower: Sequence[str], upper: str, work: str, target: str, label: str = "") -> None:
    """The same overlay by the classic mount(2), for kernels where layers do not travel.

    All options must fit into one page, so long lists are named by descriptors: a few characters for each layer.
    Changes the working directory.
    """

    def options(names: Sequence[str]) -> str:
        text = "lowerdir=" + ":".join(names)
        text += f',context="{label}"' if label else ""
        return f"{text},upperdir={_escaped(upper)},workdir={_escaped(work)},volatile" if upper else text

    text = options([_escaped(path) for path in lower])
    opened: list[int] = []
    if len(os.fsencode(text)) >= os.sysconf("SC_PAGE_SIZE"):
        opened = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in lower]
        os.chdir("/proc/self/fd")
        text = options([str(fd) for fd in opened])
    try:
        syscalls.mount("overlay", target, "overlay", 0, text)
    finally:
        for fd in opened:
            os.close(fd)


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def bind(
    source: str, *, readonly: bool = False, recursive: bool = True, propagation: str = "private", options: str = ""
) -> int:
    """A detached copy of the tree mounted at host path ``source``, with everything mounted below it.

    recursive: ``readonly`` is for what is mounted below, too. options: nosuid, nodev, noexec, for all of it.
    """
    tree = syscalls.open_tree(source)
    everywhere = READ_ONLY if readonly and recursive else 0
    for option in filter(None, options.split(",")):
        everywhere |= _ATTRIBUTES[option]
    try:
        syscalls.mount_setattr(tree, set_=everywhere, propagation=_PROPAGATION[propagation], recursive=True)
        if readonly and not recursive:
            syscalls.mount_setattr(tree, set_=READ_ONLY)
    except OSError:
        os.close(tree)
        raise
    return tree


def mapped(path: str, users: int, *, recursive: bool = False) -> int:
    """A detached copy of the mount at ``path`` whose owners are seen through the user namespace ``users``.

    Raises Invalid if a filesystem in it can't do that.
    """
    tree = syscalls.open_tree(path, recursive=recursive)
    try:
        map_owners(tree, users, path)
    except BaseException:
        os.close(tree)
        raise
    return tree


def map_owners(tree: int, users: int, path: str) -> None:
    """The same for a detached mount; ``path`` names it in errors."""
    try:
        syscalls.mount_setattr(tree, set_=syscalls.MOUNT_ATTR_IDMAP, users=users, recursive=True)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise Invalid(f"{path}: its filesystem can't map owners to a user namespace on this kernel") from error


def layered(layers: Sequence[int], writable: int, upper: str, work: str, place: str, label: str = "") -> int:
    """A detached overlay of the detached mounts ``layers``, from the topmost down; closes them.

    writable: a detached mount with directories ``upper`` and ``work``, or -1 for none. place: any directory; in the
    caller's own mount namespace, which the host must not see, it is covered for a moment.
    """
    room = tmpfs("mode=700,size=1m")
    attach(room, os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    base = "" if writable < 0 else f"{place}/writable"
    trees = [(f"{place}/{number}", tree) for number, tree in enumerate(layers)]
    for path, tree in [*trees, *([(base, writable)] if base else [])]:
        os.mkdir(path)
        attach(tree, os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    lower = [path for path, _ in trees]
    upper, work = (f"{base}/{upper}", f"{base}/{work}") if base else ("", "")
    tree_ = overlay(lower, upper, work, label)
    if tree_ is None:
        mount_overlay(lower, upper, work, place, label)
        top = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        tree_ = copy_of(top)
        os.close(top)
        syscalls.umount(place)
    syscalls.umount(place)
    return tree_


def image(layers: Sequence[str], sub_path: str = "") -> int:
    """A detached read-only mount of an image's layers (topmost first), or of ``sub_path`` in them.

    Raises FileNotFoundError for a path that is not in the image.
    """
    if len(layers) == 1:
        return _part(layers[0], sub_path)
    if sub_path and not parts_travel():
        return image_in_place(layers, sub_path)
    tree = overlay(layers, "", "")
    if tree is None:
        return image_in_place(layers, sub_path)
    if not sub_path:
        return tree
    try:
        return _part_of(tree, sub_path)
    finally:
        os.close(tree)


def image_in_place(layers: Sequence[str], sub_path: str) -> int:
    """The same for kernels that can't do it unseen: mounted for a moment beside the topmost layer."""
    place = f"{os.path.dirname(layers[0])}/.mount-{os.urandom(8).hex()}"
    os.mkdir(place, 0o700)
    opened = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in layers]
    try:
        syscalls.mount("overlay", place, "overlay", 0, "lowerdir=" + ":".join(f"/proc/self/fd/{fd}" for fd in opened))
        try:
            return _part(place, sub_path)
        finally:
            syscalls.umount(place)
    finally:
        for fd in opened:
            os.close(fd)
        os.rmdir(place)


def _part(directory: str, sub_path: str) -> int:
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _part_of(root, sub_path)
    finally:
        os.close(root)


def _part_of(root: int, sub_path: str) -> int:
    part = paths.open_inside(root, sub_path or ".")
    try:
        tree = copy_of(part, readonly=True)
    finally:
        os.close(part)
    syscalls.mount_setattr(tree, propagation=syscalls.MS_PRIVATE)
    return tree


def copy_of(fd: int, *, readonly: bool = False) -> int:
    """A detached bind mount of what ``fd`` refers to; must be in the caller's mount namespace or detached."""
    tree = syscalls.open_tree("", directory=fd, recursive=False)
    if readonly:
        try:
            syscalls.mount_setattr(tree, set_=READ_ONLY, recursive=False)
        except OSError:
            os.close(tree)
            raise
    return tree


def attach(tree: int, target: int) -> None:
    """Attaches and closes both."""
    try:
        syscalls.move_mount(tree, target)
    finally:
        os.close(tree)
        os.close(target)


def cover_root(root: int) -> None:
    """Attaches the detached mount ``root`` on "/", where everybody may; whoever was there still sees what is below."""
    here = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.move_mount(root, here)
    finally:
        os.close(here)


def change_root(root: int) -> None:
    """Makes the mount ``root`` the root of this mount namespace and lets go of the old one."""
    old = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(root)
    syscalls.pivot_root(".", ".")
    os.fchdir(old)  # "." is the new root, whose volumes may be shared on purpose
    os.close(old)
    # Letting go of a mount that is shared with the host would unmount it there as well.
    syscalls.mount("", ".", "", syscalls.MS_REC | syscalls.MS_SLAVE)
    syscalls.umount(".", syscalls.MNT_DETACH)
    os.chdir("/")


def mount_points() -> list[str]:
    """Where something is mounted in this namespace, in the order of mounting."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return [_unescape(line.split(" ")[4]) for line in file]


def _unescape(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def enter_following_namespace() -> None:
    """Own mount namespace in which the host's mounts come and go, while nothing that is done here reaches the host."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_SLAVE)


def enter_small_namespace(keep: Iterable[str]) -> None:
    """Own mount namespace, private, with only those mounts left that hold ``keep``: each mount slows every clone."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    needed = {"/"}
    points = set(mount_points())
    for path in keep:
        while path != "/":
            if path in points:
                needed.add(path)
            path = os.path.dirname(path)
    for point in reversed(mount_points()):
        if point not in needed:
            try:
                syscalls.umount(point, syscalls.MNT_DETACH)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOENT, errno.EBUSY):
                    raise
