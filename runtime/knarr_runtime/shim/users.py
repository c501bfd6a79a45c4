"""A pod's own user namespace: its root is nobody outside, and it owns the pod's network, IPC and UTS namespaces.

The shim stays the host's root. It makes the namespace through a child that ends when all is set up, keeps it by a
descriptor, and moves into the other three itself, which it may, being more than their owner. Whoever runs foreign code
enters the user namespace last and becomes its root before that.

Source: user_namespaces(7), Linux mount_setattr(2) on MOUNT_ATTR_IDMAP.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence

from knarr_runtime import channel, errors
from knarr_runtime.errors import KernelRefused, RuntimeFailure
from knarr_runtime.kernel import process, syscalls
from knarr_runtime.spec import IdMap, host_id

_OWNED = syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS


class UserNamespace:
    def __init__(self, fd: int, uids: tuple[IdMap, ...], gids: tuple[IdMap, ...]) -> None:
        self.fd = fd
        self.uids = uids
        self.gids = gids

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """What the container's user and group are for the host. Raises Invalid."""
        return host_id(self.uids, uid), host_id(self.gids, gid)

    def enter(self) -> None:
        """The caller, still the host's root, becomes the namespace's: it has all capabilities there and none here."""
        syscalls.setns(self.fd, syscalls.CLONE_NEWUSER)
        become_root()

    def spawn(self, flags: int, pids_of: int) -> int:
        """Enters and forks: 0 in the child, whose namespaces of ``flags`` are the user namespace's, else its pid.

        The child is a child of the caller's parent. pids_of: pidfd of whose pid namespace it is to be in, or -1.
        """
        if pids_of >= 0:
            syscalls.setns(pids_of, syscalls.CLONE_NEWPID)
        self.enter()
        return syscalls.clone3(flags | syscalls.CLONE_PARENT)


def fork_in(namespace: UserNamespace, flags: int) -> int:
    """Like clone3, but the child's new namespaces are the user namespace's, and it is its root."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    middle = syscalls.clone3(0)
    if middle == 0:
        pid = -1
        try:
            pid = namespace.spawn(flags, -1)
            os.write(writer, str(pid).encode() if pid else b"")
        finally:
            if pid:
                os._exit(0)
        return 0
    os.close(writer)
    with open(reader, encoding="ascii") as answer:
        text = answer.read()
    os.waitpid(middle, 0)
    if not text:
        raise KernelRefused("user namespace: no process can be made in it")
    return int(text)


def become_root() -> None:
    """Of a user namespace just entered, where the caller is nobody yet."""
    os.setresgid(0, 0, 0)
    os.setgroups(())
    os.setresuid(0, 0, 0)


def make(uids: tuple[IdMap, ...], gids: tuple[IdMap, ...], set_up: Callable[[], None]) -> UserNamespace:
    """Makes it, and puts the caller into its network, IPC and UTS namespaces.

    set_up: runs as the namespace's root inside of them. Raises KernelRefused, and what ``set_up`` raises.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    with ours, theirs:
        try:
            pid = syscalls.clone3(syscalls.CLONE_NEWUSER)
        except OSError as error:
            raise _refused(error) from error
        if pid == 0:
            _be_first(theirs, set_up)
        theirs.close()
        try:
            _map(pid, "uid_map", uids)
            _map(pid, "gid_map", gids)
            channel.send(ours, {"mapped": True})
            answer = channel.receive(ours)
            if answer is None:
                raise RuntimeFailure("user namespace: its first process died")
            if "error" in answer[0]:
                raise errors.from_json(answer[0]["error"])
            fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
            pidfd = os.pidfd_open(pid)
            try:
                syscalls.setns(pidfd, _OWNED)
            finally:
                os.close(pidfd)
        finally:
            process.kill(pid, 9)
            os.waitpid(pid, 0)
    return UserNamespace(fd, uids, gids)


def _map(pid: int, name: str, maps: Sequence[IdMap]) -> None:
    lines = "".join(f"{each.container_id} {each.host_id} {each.length}\n" for each in maps)
    try:
        fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, lines.encode())  # the kernel wants it in one piece
        finally:
            os.close(fd)
    except OSError as error:
        raise KernelRefused(f"user namespace: {name} {lines.strip()!r}: {error.strerror}") from error


def _refused(error: OSError) -> KernelRefused:
    if error.errno in (errno.ENOSPC, errno.EPERM, errno.EUSERS):
        return KernelRefused(
            f"user namespace: {error.strerror}: this machine allows no more of them (sysctl user.max_user_namespaces)"
        )
    return KernelRefused(f"user namespace: {error.strerror}")


def _be_first(status: socket.socket, set_up: Callable[[], None]) -> None:
    """The first process's whole life; it is killed when its namespaces are held by others. Never returns."""
    try:
        if channel.receive(status) is not None:
            become_root()
            syscalls.unshare(_OWNED)
            set_up()
            channel.send(status, {"ready": True})
            channel.receive(status)
    except RuntimeFailure as error:
        channel.send(status, {"error": errors.to_json(error)})
    except BaseException as error:  # noqa: BLE001 - a fork must never return into the shim
        channel.send(status, {"error": errors.to_json(RuntimeFailure(f"user namespace: {error!r}"))})
    finally:
        os._exit(1)
