"""The first process of a container, between clone and execve: cgroup, root, streams or terminal, program.

Runs in new mount (and mostly pid) namespaces as full root. What is mounted into the root is in :mod:`filesystems`.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import termios

from knarr_runtime import channel, layout
from knarr_runtime.errors import KernelRefused
from knarr_runtime.kernel import capabilities, mounts, syscalls
from knarr_runtime.shim import confine
from knarr_runtime.shim.filesystems import Filesystems
from knarr_runtime.shim.preparation import Preparation, enter_cgroup
from knarr_runtime.shim.users import UserNamespace
from knarr_runtime.spec import ContainerSpec


def run(preparation: Preparation, attached: bool, ahead: Filesystems | None = None) -> None:
    """Becomes the container's program. ``attached``: the clone put it into its cgroup. Raises RuntimeFailure.

    ahead: what a spare has mounted already, see :meth:`Filesystems.make_ahead`.
    """
    stage = "container"
    try:
        spec = ContainerSpec.from_checked(preparation.request["spec"])
        if ahead is None:
            os.setsid()
        stage = "cgroup"
        if ahead is None or ahead.cgroup != spec.cgroup:
            enter_cgroup(spec.cgroup, preparation, attached)
        users = preparation.users
        stage = "oom_score_adj"
        if spec.oom_score_adj is not None:
            confine.adjust_oom_score(spec.oom_score_adj)
        stage = "standard streams"
        streams = _open_streams(spec, preparation)
        stage = "root filesystem"
        filesystems = ahead or Filesystems(preparation)
        confine.set_clocks(spec)  # as the host's root, who alone may, also for a child in a user namespace
        if users is None:
            labels = confine.open_labels(spec)
            root = _attach_root(spec, preparation)
        else:
            root = _layer_root(spec, preparation)
            filesystems.make_outside(spec)
            stage = "user namespace"
            _leave_to_child(users, preparation)
            labels = confine.open_labels(spec)  # which only the process that opens them can write
            mounts.cover_root(root)
        filesystems.cgroup = spec.cgroup
        filesystems.belong_to(spec, root)
        for step, make in filesystems.steps():
            stage = step
            make()
        stage = "pivot_root"
        mounts.change_root(root)
        stage = "standard streams"
        if spec.tty:
            _take_terminal(preparation.status, filesystems.terminal)
        else:
            _take_streams(streams, spec)
        stage = "rlimits"
        confine.limit_resources(spec.rlimits)
        stage = "cwd"
        confine.enter_directory(spec.cwd, make=True)
        stage = "privileges"
        env = confine.environment(spec.env, spec.user.uid)
        program = confine.decode_filter(str(preparation.request.get("seccomp", "")))
        bounded = capabilities.EVERY if ahead is None else ahead.bounded
        confine.label(labels)
        confine.confine(spec, spec.user, program, preparation.last_capability, bounded)
    except OSError as error:
        raise KernelRefused(f"{stage}: {error.filename or ''}: {error.strerror}".replace(": : ", ": ")) from error
    channel.send(preparation.status, {"exec": True})
    confine.execute(spec.args, env)


def _leave_to_child(users: UserNamespace, preparation: Preparation) -> None:
    """Returns in a child that is root in the user namespace, which owns its other namespaces; the caller ends."""
    pid = users.spawn(preparation.flags | syscalls.CLONE_NEWCGROUP, preparation.pids_of)
    if pid:
        channel.send(preparation.status, {"child": pid})
        os._exit(0)
    os.setsid()


def _layer_root(spec: ContainerSpec, preparation: Preparation) -> int:
    """The detached root of layers seen through the user namespace, of which each came by its own descriptor."""
    count = int(preparation.request["root_layers"])
    descriptors = [preparation.descriptors.pop(0) for _ in range(count)]
    writable = descriptors.pop(0) if spec.rootfs.upper else -1
    upper, work = os.path.basename(spec.rootfs.upper), os.path.basename(spec.rootfs.work)
    assert preparation.users is not None
    with capabilities.as_owner(*preparation.users.outside(0, 0)):  # nobody else can write through mapped owners
        return mounts.layered(descriptors, writable, upper, work, preparation.directory, spec.mount_label)


def _attach_root(spec: ContainerSpec, preparation: Preparation) -> int:
    """Attaches the root on the container's state directory (any directory will do) and returns its descriptor."""
    if preparation.request["root_by_path"]:
        layers = spec.rootfs
        mounts.mount_overlay(layers.lower, layers.upper, layers.work, preparation.directory, spec.mount_label)
        return os.open(preparation.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    root = preparation.descriptors.pop(0)
    target = os.open(preparation.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    syscalls.move_mount(root, target)
    os.close(target)
    return root


def _open_streams(spec: ContainerSpec, preparation: Preparation) -> tuple[int, int, int]:
    """(stdin, stdout, stderr), -1 for /dev/null; the FIFOs are given to the user so that /dev/stdout can be opened."""
    if spec.tty:
        return (-1, -1, -1)
    directory = preparation.directory
    stdin = stdout = stderr = -1
    if spec.stdin:
        stdin = os.open(f"{directory}/{layout.STDIN}", os.O_RDONLY | os.O_CLOEXEC)
    if spec.log_path:
        stdout = os.open(f"{directory}/{layout.STDOUT}", os.O_WRONLY | os.O_CLOEXEC)
        stderr = os.open(f"{directory}/{layout.STDERR}", os.O_WRONLY | os.O_CLOEXEC)
    uid, gid = spec.user.uid, spec.user.gid
    if preparation.users:
        uid, gid = preparation.users.outside(uid, gid)
    for fd in (stdin, stdout, stderr):
        if fd >= 0:
            os.fchown(fd, uid, gid)
    return stdin, stdout, stderr


def _take_streams(streams: tuple[int, int, int], spec: ContainerSpec) -> None:
    null = -1
    if min(streams) < 0:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    for number, fd in enumerate(streams):
        os.dup2(fd if fd >= 0 else null, number)


def _take_terminal(status: socket.socket, terminal: tuple[int, int]) -> None:
    """Sends the master to the shim and makes the other end the controlling terminal and the three streams."""
    master, slave = terminal
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [master]))]
    status.sendmsg([b'={"terminal":true}'], rights)
    os.close(master)
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(slave, number)
