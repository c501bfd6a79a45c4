"""What a container's first process is told before it exists, and its first step: into its cgroup."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from knarr_runtime.kernel import syscalls
from knarr_runtime.kernel.cgroup import Cgroups
from knarr_runtime.shim.users import UserNamespace


class Preparation:
    """What the shim hands to the child: everything but ``request`` exists in the shim before the clone."""

    def __init__(
        self,
        *,
        request: Mapping[str, Any],
        descriptors: Sequence[int],
        directory: str,
        shared_memory: str,
        cgroups: Cgroups,
        status: socket.socket,
        last_capability: int,
    ) -> None:
        self.request = request
        self.descriptors = list(descriptors)
        self.directory = directory
        self.cgroups = cgroups
        self.shared_memory = shared_memory
        self.status = status
        self.last_capability = last_capability
        self.users: UserNamespace | None = None
        """The pod's own, whose the container's namespaces (``flags``, ``pids_of`` as for Cloner.clone) are to be."""
        self.flags = 0
        self.pids_of = -1


def enter_cgroup(cgroup: str, preparation: Preparation, attached: bool) -> None:
    """Joins it, if the clone did not, and sees it as the root of all cgroups from now on."""
    if cgroup and not attached:
        preparation.cgroups.attach_self(cgroup)
    if preparation.users is None:  # else its child does
        syscalls.unshare(syscalls.CLONE_NEWCGROUP)
