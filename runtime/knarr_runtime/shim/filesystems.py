"""What is mounted into a container's root, in order: /proc, /dev, /sys, its volumes, masks over what is hidden.

Nothing here trusts the image: every target is opened with openat2 inside the root and mounts go onto descriptors; /proc
and /sys are masked through descriptors of the very mounts made here, whatever the image or a volume put at those paths.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from knarr_runtime.errors import Invalid, RuntimeFailure
from knarr_runtime.kernel import capabilities, lsm, mounts, paths, syscalls
from knarr_runtime.shim.preparation import Preparation, enter_cgroup
from knarr_runtime.spec import ContainerSpec, Mount

_DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
_LINKS = (
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
)
_PLAIN = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS


def _hierarchy(controller: str, attributes: int) -> int:
    return mounts.filesystem("cgroup", [(controller, "")], attributes, source="cgroup")


class Filesystems:
    """Everything mounted into the root, in order; one method a step so that an error can say where."""

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation
        self._spec: ContainerSpec
        self._root = -1
        self._proc = -1
        self._sys = -1
        self._dev = -1
        self._shm = -1
        self._ahead = False
        self._devices_made = False
        self._hidden: set[str] = set()
        self._cgroups_shown = False
        self._room = -1
        """The tmpfs on /sys/fs/cgroup that holds the hierarchies of v1."""
        self._hierarchies: dict[str, int] = {}
        """Those of v1, open by controller, from before /sys was covered."""
        self.cgroup: str | None = None
        """The one that is entered already."""
        self.bounded = capabilities.EVERY
        """Capabilities that can still be had."""
        self.terminal: tuple[int, int] = (-1, -1)

    def make_ahead(self, likely: ContainerSpec) -> None:
        """Mounts over the host's /proc, /dev and /sys, in this mount namespace, what moves to a root later."""
        self.belong_to(likely, os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        for make in (self._mount_proc, self._mount_dev, self._mount_sys, self._make_room, self._hide):
            make()
        os.close(self._root)
        self._ahead = True
        self.bounded = capabilities.mask(likely.capabilities.bounding)
        capabilities.bound(self.bounded, self._preparation.last_capability)

    def make_outside(self, spec: ContainerSpec) -> None:
        """As the host's root, what another can't: make devices, mount /sys where none is seen, enter our state."""
        self._spec = spec
        self._dev = self._new_dev()
        self._make_devices()
        self._sys = self._new_sys()
        self._shm = mounts.bind(self._preparation.shared_memory)
        self._devices_made = True

    def expect(self, spec: Mapping[str, Any], attached: bool) -> None:
        """After :meth:`make_ahead`, when the container is known but not to be started yet.

        spec: what the shim knows of it (start_request.header).
        """
        self._keep_what_suits({*spec["masked_paths"], *spec["readonly_paths"]}, spec["targets"])
        enter_cgroup(str(spec["cgroup"]), self._preparation, attached)
        self.cgroup = str(spec["cgroup"])
        if self._sys >= 0:
            self._mount_cgroups()

    def _keep_what_suits(self, hidden: set[str], targets: Iterable[str]) -> None:
        """A /proc or /sys that hides what this container is to see, or holds one of its volumes, is made anew."""
        paths = [os.path.normpath(f"/{target}/.") for target in targets]
        for prefix in ("/proc", "/sys"):
            here = {path for path in self._hidden if path.startswith(f"{prefix}/")}
            if here <= hidden and not any(path.startswith(prefix) for path in paths):
                continue
            self._hidden -= here
            if prefix == "/proc":
                self._proc = -1
            else:
                self._sys, self._room, self._cgroups_shown = -1, -1, False

    def belong_to(self, spec: ContainerSpec, root: int) -> None:
        self._spec = spec
        self._root = root
        for controller, base in self._preparation.cgroups.shown().items():
            if controller not in self._hierarchies:
                with contextlib.suppress(FileNotFoundError):  # it starts without, too
                    self._hierarchies[controller] = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if self._ahead:
            hidden = {*spec.masked_paths, *spec.readonly_paths}
            self._keep_what_suits(hidden, [mount.target for mount in spec.mounts])

    def steps(self) -> list[tuple[str, Callable[[], None]]]:
        volumes = sorted(self._spec.mounts, key=lambda mount: mount.target.rstrip("/").count("/"))
        return [
            ("/proc", self._mount_proc),
            ("/dev", self._mount_dev),
            ("/dev", self._add_devices),
            ("/sys", self._mount_sys),
            ("/sys/fs/cgroup", self._mount_cgroups),
            *((f"volume {path}", self._image_volume_step(path)) for path in self._spec.volumes),
            *((f"mount {mount.target}", self._volume_step(mount)) for mount in volumes),
            ("masked paths", self._hide),
            ("read-only root", self._seal),
        ]

    def _mount_proc(self) -> None:
        if self._proc < 0:
            self._proc = mounts.filesystem("proc", attributes=mounts.NO_PRIVILEGE, source="proc")
        self._place(self._proc, "proc")

    def _place(self, tree: int, name: str) -> None:
        """Attaches on a directory directly below the root that must not be a symbolic link; keeps ``tree`` open."""
        target = _plain_directory(self._root, name)
        syscalls.move_mount(tree, target)
        os.close(target)

    def _mount_dev(self) -> None:
        if self._ahead:
            self._place(self._dev, "dev")
            return
        if self._dev < 0:
            self._dev = self._new_dev()
        self._place(self._dev, "dev")
        options = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")]
        options += mounts.labelled(self._spec.mount_label)
        terminals = mounts.filesystem("devpts", options, syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NOEXEC)
        self._below_dev("pts", terminals)
        self._below_dev("mqueue", self._message_queues())
        shm, self._shm = self._shm, -1
        self._below_dev("shm", shm if shm >= 0 else mounts.bind(self._preparation.shared_memory))

    def _message_queues(self) -> int:
        """All mounts of a pod's are one filesystem: its root gets the label, which options can't give it twice."""
        queues = mounts.filesystem("mqueue", attributes=mounts.NO_PRIVILEGE)
        if self._spec.mount_label:
            lsm.label_file(queues, self._spec.mount_label)
        return queues

    def _new_dev(self) -> int:
        """A detached /dev with what is the same for everybody."""
        uid, gid = self._outside(0, 0)
        options = f"mode=755,size=64k,uid={uid},gid={gid}"
        dev = mounts.tmpfs(options, syscalls.MOUNT_ATTR_NOSUID, self._spec.mount_label)
        os.umask(0)
        for name, major, minor in _DEVICES:
            os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=dev)
            if uid:
                os.chown(name, uid, gid, dir_fd=dev, follow_symlinks=False)
        for target, name in _LINKS:
            os.symlink(target, name, dir_fd=dev)
        os.umask(0o022)
        return dev

    def _outside(self, uid: int, gid: int) -> tuple[int, int]:
        users = self._preparation.users
        return users.outside(uid, gid) if users else (uid, gid)

    def _add_devices(self) -> None:
        if not self._devices_made:
            self._make_devices()
        if self._spec.tty:
            self._make_terminal()

    def _make_devices(self) -> None:
        devices = self._preparation.request.get("devices", ())
        if devices:
            os.umask(0)
            for device in devices:
                self._make_device(device)
            os.umask(0o022)

    def _below_dev(self, name: str, tree: int) -> None:
        os.mkdir(name, 0o755, dir_fd=self._dev)
        mounts.attach(tree, syscalls.openat2(self._dev, name, os.O_PATH, _PLAIN))

    def _make_device(self, device: Mapping[str, Any]) -> None:
        path = str(device["target"])
        if not path.startswith("/dev/"):
            raise Invalid(f"device target {path!r} is not below /dev")
        directory, name = os.path.split(path)
        parent = paths.make_target(self._dev, directory[len("/dev") :] or "/", directory=True)
        try:
            try:
                os.unlink(name, dir_fd=parent)
            except FileNotFoundError:
                pass
            kind = stat.S_IFBLK if device["kind"] == "b" else stat.S_IFCHR
            number = os.makedev(int(device["major"]), int(device["minor"]))
            os.mknod(name, kind | int(device["mode"]), number, dir_fd=parent)
            uid, gid = self._outside(int(device["uid"]), int(device["gid"]))
            os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)

    def _make_terminal(self) -> None:
        master = syscalls.openat2(self._dev, "pts/ptmx", os.O_RDWR | os.O_NOCTTY, syscalls.RESOLVE_BENEATH)
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        os.fchown(slave, self._spec.user.uid, 5)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        os.close(os.open("console", flags, 0o600, dir_fd=self._dev))
        console = syscalls.openat2(self._dev, "console", os.O_PATH, _PLAIN)
        mounts.attach(mounts.copy_of(slave), console)
        self.terminal = (master, slave)

    def _mount_sys(self) -> None:
        if self._sys < 0:
            self._sys = self._new_sys()
        self._place(self._sys, "sys")

    def _new_sys(self) -> int:
        readonly = 0 if self._spec.privileged else mounts.READ_ONLY
        return mounts.filesystem("sysfs", attributes=mounts.NO_PRIVILEGE | readonly, source="sysfs")

    def _mount_cgroups(self) -> None:
        if self._cgroups_shown:
            return
        self._cgroups_shown = True
        readonly = 0 if _writes_cgroups(self._spec) else mounts.READ_ONLY
        if self._preparation.cgroups.version == 2:
            try:
                target = syscalls.openat2(self._sys, "fs/cgroup", os.O_PATH, _PLAIN)
            except FileNotFoundError:
                return
            mounts.attach(mounts.filesystem("cgroup2", attributes=mounts.NO_PRIVILEGE | readonly), target)
            return
        if self._room < 0:
            self._make_room()
        if self._room < 0:
            return
        attributes = mounts.NO_PRIVILEGE | readonly
        for controller, base in self._hierarchies.items():
            try:
                tree = self._own_part(base, attributes) if self.cgroup else _hierarchy(controller, attributes)
            except OSError:
                continue  # mounted together with another, or nothing a user namespace may mount
            os.mkdir(controller, 0o755, dir_fd=self._room)
            mounts.attach(tree, syscalls.openat2(self._room, controller, os.O_PATH, _PLAIN))
        if readonly:
            syscalls.mount_setattr(self._room, set_=mounts.READ_ONLY)

    def _own_part(self, base: int, attributes: int) -> int:
        """The container's directory of a hierarchy: to mount one anew stops whoever makes cgroups meanwhile."""
        own = os.open(str(self.cgroup), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=base)
        try:
            tree = mounts.copy_of(own)
        finally:
            os.close(own)
        syscalls.mount_setattr(tree, set_=attributes, propagation=syscalls.MS_PRIVATE)
        return tree

    def _make_room(self) -> None:
        if self._preparation.cgroups.version == 2:
            return
        try:
            target = syscalls.openat2(self._sys, "fs/cgroup", os.O_PATH, _PLAIN)
        except FileNotFoundError:
            return
        self._room = mounts.tmpfs("mode=755,size=16k", mounts.NO_PRIVILEGE)
        syscalls.move_mount(self._room, target)
        os.close(target)

    def _image_volume_step(self, path: str) -> Callable[[], None]:
        return lambda: self._keep_image_volume(path)

    def _keep_image_volume(self, path: str) -> None:
        """A part of the root: it needs a mount of its own only to be writable where the root is not."""
        target = paths.make_target(self._root, path, directory=True)
        if self._spec.rootfs.readonly and os.fstat(target).st_dev == os.fstat(self._root).st_dev:
            mounts.attach(mounts.copy_of(target), target)
        else:
            os.close(target)

    def _volume_step(self, mount: Mount) -> Callable[[], None]:
        return lambda: self._mount_volume(mount)

    def _mount_volume(self, mount: Mount) -> None:
        if mount.kind == "tmpfs":
            tree = mounts.tmpfs(mount.options, mounts.READ_ONLY if mount.readonly else 0, self._spec.mount_label)
            directory = True
        else:
            position = [each for each in self._spec.mounts if each.kind == "bind"].index(mount)
            tree = self._preparation.descriptors[position]
            directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        target = paths.make_target(self._root, mount.target, directory=directory)
        if os.fstat(target).st_dev == os.fstat(self._proc).st_dev and mount.target not in _FILES_OF_PROC:
            os.close(target)
            os.close(tree)
            raise Invalid(f"mount {mount.target}: nothing may be mounted over /proc (CVE-2025-52881)")
        mounts.attach(tree, target)

    def _hide(self) -> None:
        if self._spec.privileged:
            return
        empty = -1
        for path in self._spec.masked_paths:
            if path in self._hidden:
                continue
            self._hidden.add(path)
            target = self._find(path)
            if target < 0:
                continue
            if stat.S_ISDIR(os.fstat(target).st_mode):
                if empty < 0:
                    empty = mounts.tmpfs("mode=755,size=4k", mounts.NO_PRIVILEGE | mounts.READ_ONLY)
                    syscalls.move_mount(empty, target)
                    os.close(target)
                else:
                    mounts.attach(mounts.copy_of(empty), target)
            else:
                mounts.attach(self._null(), target)
        if empty >= 0:
            os.close(empty)
        for path in self._spec.readonly_paths:
            if path in self._hidden:
                continue
            self._hidden.add(path)
            target = self._find(path)
            if target >= 0:
                mounts.attach(mounts.copy_of(target, readonly=True), target)

    def _null(self) -> int:
        """A mount of this container's own null device, checked to be one (CVE-2025-31133)."""
        fd = syscalls.openat2(self._dev, "null", os.O_PATH, _PLAIN | syscalls.RESOLVE_NO_XDEV)
        try:
            status = os.fstat(fd)
            if not stat.S_ISCHR(status.st_mode) or status.st_rdev != os.makedev(1, 3):
                raise Invalid("/dev/null of the container is no null device")
            return mounts.copy_of(fd)
        finally:
            os.close(fd)

    def _find(self, path: str) -> int:
        """O_PATH descriptor of a path to hide, -1 if it does not exist; in /proc and /sys of the mounts made here."""
        for prefix, fd in (("/proc/", self._proc), ("/sys/", self._sys)):
            if path.startswith(prefix):
                try:
                    return syscalls.openat2(fd, path[len(prefix) :], os.O_PATH, _PLAIN)
                except (FileNotFoundError, NotADirectoryError):
                    return -1
        try:
            return paths.open_inside(self._root, path)
        except (FileNotFoundError, NotADirectoryError):
            return -1

    def _seal(self) -> None:
        if not self._spec.rootfs.readonly:
            return
        with contextlib.suppress(OSError):  # who enters it says why not
            os.close(paths.make_target(self._root, self._spec.cwd, directory=True))
        syscalls.mount_setattr(self._root, set_=mounts.READ_ONLY)


def _writes_cgroups(spec: ContainerSpec) -> bool:
    return spec.cgroup_access == "rw" or (spec.privileged and not spec.cgroup_access)


_FILES_OF_PROC = frozenset(
    f"/proc/{name}" for name in ("cpuinfo", "diskstats", "loadavg", "meminfo", "slabinfo", "stat", "swaps", "uptime")
)
"""May be replaced, as lxcfs does: nothing of what the runtime reads or writes there."""

_TIOCGPTPEER, _TIOCSPTLCK = 0x5441, 0x40045431


def _plain_directory(root: int, name: str) -> int:
    """``root/name``, made if missing; a symbolic link there is refused."""
    try:
        return syscalls.openat2(root, name, os.O_PATH | os.O_DIRECTORY, _PLAIN)
    except FileNotFoundError:
        os.mkdir(name, 0o755, dir_fd=root)
        return syscalls.openat2(root, name, os.O_PATH | os.O_DIRECTORY, _PLAIN)
    except OSError as error:
        raise RuntimeFailure(f"/{name} of the image is not a directory: {error.strerror}") from error
