"""How a container's first process comes to be: forked when it is started, or a spare that waits to become it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from knarr_runtime import compact_json
from knarr_runtime.channel import Message
from knarr_runtime.kernel import process, syscalls
from knarr_runtime.kernel.cgroup import Cgroups
from knarr_runtime.shim import container, spare
from knarr_runtime.shim.cloning import Clone
from knarr_runtime.shim.pod import Pod
from knarr_runtime.shim.preparation import Preparation
from knarr_runtime.shim.running import RunningContainer

Joined = Callable[[str], int]
"""A pidfd of the process whose pid namespace a container joins that asks to see these, -1 for none."""


class Births:
    """containers: the directory in which each has its own. There is at most one spare."""

    def __init__(self, pod: Pod, containers: str, cgroups: Cgroups, last_capability: int, clone: Clone) -> None:
        self._pod = pod
        self._containers = containers
        self._cgroups = cgroups
        self._last_capability = last_capability
        self._clone = clone
        self._spare: spare.Spare | None = None

    def prepare(self) -> None:
        """For the sandbox's first container, while there is nothing to do."""
        if self._cgroups.version == 1 and not self._pod.users:
            self._make_spare()

    def expect(self, spec: Message) -> None:
        """A container is about to be started: the spare becomes its first process, a new one if there is none."""
        if self._pod.users or not spare.suits(spec) or (self._spare is not None and self._spare.container):
            return
        if self._spare is None:
            self._make_spare(str(spec["cgroup"]))
        assert self._spare is not None
        self._spare.expect(spec)

    def bear(self, one: RunningContainer, message: Message, descriptors: list[int], joined: Joined) -> socket.socket:
        """Gives it its process; what that has to say of the start comes from the socket.

        Raises OSError, and what ``joined`` does.
        """
        return self._take_spare(one, message, descriptors) or self._fork(one, message, descriptors, joined)

    def ended(self, pid: int) -> bool:
        """Whether it was the spare, which has been waited for."""
        if self._spare is None or self._spare.pid != pid:
            return False
        self._spare.close()
        self._spare = None
        return True

    def discard(self, identifier: str = "") -> None:
        """The spare, if there is one, and it waits for this container where one is given."""
        if self._spare is not None and (not identifier or self._spare.container == identifier):
            self._spare.discard()
            self._spare = None

    def _fork(self, one: RunningContainer, message: Message, descriptors: list[int], joined: Joined) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        preparation = self._preparation(theirs, compact_json.decode(message["body"]), descriptors, one.directory)
        pids = str(message["spec"]["pids"])
        flags, pids_of = self._pod.clone_flags(pids), joined(pids)
        if self._pod.users:  # whose child gets them
            preparation.users, preparation.flags, preparation.pids_of = self._pod.users, flags, pids_of
            flags, pids_of = syscalls.CLONE_NEWNS, -1
        one.pid = self._clone(flags, one.cgroup, pids_of, theirs, lambda attached: container.run(preparation, attached))
        theirs.close()
        one.pidfd = os.pidfd_open(one.pid)  # nobody else reaps, so this is still the same process
        one.start_time = process.start_time(one.pid) or 0
        return ours

    def _preparation(
        self, status: socket.socket, message: Message, descriptors: list[int], directory: str
    ) -> Preparation:
        return Preparation(
            request=message,
            descriptors=descriptors,
            directory=directory,
            shared_memory=self._pod.shared_memory,
            cgroups=self._cgroups,
            status=status,
            last_capability=self._last_capability,
        )

    def _make_spare(self, cgroup: str = "") -> None:
        """cgroup: where it is to be born, if anywhere."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        preparation = self._preparation(theirs, {}, [], "")
        pid = self._clone(
            self._pod.clone_flags(),
            cgroup,
            self._pod.processes,
            theirs,
            lambda attached: spare.wait(preparation, self._containers, attached=attached, idle=not cgroup),
        )
        theirs.close()
        self._spare = spare.Spare(pid, ours)

    def _take_spare(self, one: RunningContainer, message: Message, descriptors: list[int]) -> socket.socket | None:
        """The status socket of a spare that becomes ``one``; None if there is none that can."""
        waiting = self._spare
        if waiting is None or waiting.container not in ("", one.id):
            return None
        self._spare = None
        if not spare.suits(message["spec"]) or not waiting.take(message, descriptors):
            waiting.discard()
            return None
        one.pid, one.pidfd, one.start_time = waiting.pid, waiting.pidfd, waiting.start_time
        return waiting.socket
