"""How the shim forks: into a cgroup and a pid namespace, and never back into its own loop."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from knarr_runtime import channel, errors
from knarr_runtime.errors import RuntimeFailure, StartFailed
from knarr_runtime.kernel import syscalls
from knarr_runtime.kernel.cgroup import Cgroups

Child = Callable[[bool], None]
"""Its argument says whether it was born in the cgroup."""
Clone = Callable[[int, str, int, socket.socket, Child], int]
"""flags, cgroup, pidfd of a pid namespace or -1, the child's status socket, the child: see Cloner.clone."""


class Cloner:
    def __init__(self, cgroups: Cgroups) -> None:
        self._cgroups = cgroups
        self._own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def clone(self, flags: int, cgroup: str, pids_of: int, status: socket.socket, child: Child) -> int:
        """Forks ``child``, born in the cgroup where the kernel can, and in the pid namespace of ``pids_of`` if >= 0."""
        into = self._cgroups.clone_into(cgroup) if cgroup else -1
        try:
            if pids_of >= 0:
                syscalls.setns(pids_of, syscalls.CLONE_NEWPID)
            try:
                pid = syscalls.clone3(flags, into)
                if pid == 0:
                    _be(child, into >= 0, status)
            finally:
                if pids_of >= 0:
                    syscalls.setns(self._own_pids, syscalls.CLONE_NEWPID)
        finally:
            if into >= 0:
                os.close(into)
        return pid


def _be(child: Child, attached: bool, status: socket.socket) -> None:
    """The child's whole life: execve, or an error said on ``status`` and exit. Never returns."""
    code = 128
    try:
        child(attached)
    except RuntimeFailure as error:
        code = error.exit_code if isinstance(error, StartFailed) else 128
        channel.send(status, {"error": errors.to_json(error)})
    except BaseException as error:  # noqa: BLE001 - a fork must never return into the shim's loop
        channel.send(status, {"error": errors.to_json(RuntimeFailure(f"preparing the container: {error!r}"))})
    finally:
        os._exit(code & 0xFF)
