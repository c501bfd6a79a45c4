"""The execs of a pod: how they are started, who waits for them, and a helper for those that come soon after another.

An exec is a fork of the shim that joins the container (:mod:`knarr_runtime.shim.join`). That is costly: a fork pays
for every page it touches. So after an exec the shim keeps a *helper* for a moment, forked and warm, in no container
but knowing whose it will be. That one's next exec goes to it: it joins the container, sheds its privileges and spawns
the program (vfork: nothing is copied), which the shim inherits when the helper ends.

Not used for terminals (they want a session of the helper's), for filters that may forbid to spawn, in pods with a user
namespace (entering it undoes what was shed), and on cgroup v2, where only a process born in a cgroup is there without
waiting for the kernel.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knarr_runtime import compact_json
from knarr_runtime.channel import Message
from knarr_runtime.errors import Unavailable, WrongState
from knarr_runtime.kernel import process
from knarr_runtime.kernel.cgroup import Cgroups
from knarr_runtime.loop import Connection, Server
from knarr_runtime.shim import join
from knarr_runtime.shim.cloning import Clone
from knarr_runtime.shim.spare import Spare
from knarr_runtime.shim.starting import Starting

_KEEP_S = 5.0
"""It costs a megabyte."""


@dataclass(frozen=True, slots=True)
class Target:
    """A running container."""

    id: str
    cgroup: str
    pidfd: int
    directory: str


class Execs:
    def __init__(
        self,
        *,
        cgroups: Cgroups,
        last_capability: int,
        host_pids: bool,
        own_users: bool,
        clone: Clone,
        watch: Callable[[Starting], None],
    ) -> None:
        self._cgroups = cgroups
        self._last_capability = last_capability
        self._host_pids = host_pids
        self._own_users = own_users
        self._clone = clone
        self._watch = watch
        self._running: dict[int, tuple[str, Connection]] = {}
        self._helper: Spare | None = None
        self._wanted_until_s = 0.0
        self._wanted_for: Target | None = None

    def start(
        self, target: Target, server: Server, connection: Connection, message: Message, descriptors: list[int]
    ) -> None:
        """Owns the descriptors. Replies when the program runs. Raises WrongState, OSError."""

        def finished(starting: Starting) -> None:
            try:
                if isinstance(starting.error, Unavailable):  # no room to spawn: a fork needs less
                    self._fork(target, message, descriptors, finished)
                    return
                self._started(starting, server, connection, message)
            except OSError as error:
                server.fail(connection, message, Unavailable(f"exec: {error.strerror}"))
            except WrongState as error:
                server.fail(connection, message, error)
            close()

        def close() -> None:
            for fd in descriptors:
                os.close(fd)
            descriptors.clear()

        try:
            if not self._hand_over(target, message, descriptors, finished):
                self._fork(target, message, descriptors, finished)
        except BaseException:
            close()
            raise

    def _hand_over(
        self, target: Target, message: Message, descriptors: Sequence[int], finished: Callable[[Starting], None]
    ) -> bool:
        if message.get("tty") or not message.get("may_spawn") or self._own_users:
            return False
        self._wanted_until_s = time.monotonic() + _KEEP_S
        self._wanted_for = target
        helper, self._helper = self._helper, None
        if helper is None:
            return False
        if helper.container != target.id or not helper.take(message, (target.pidfd, *descriptors)):
            helper.discard()
            return False
        os.close(helper.pidfd)
        self._watch(Starting(helper.pid, helper.socket, finished))
        return True

    def _fork(
        self, target: Target, message: Message, descriptors: Sequence[int], finished: Callable[[Starting], None]
    ) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)

        def child(attached: bool) -> None:
            request = compact_json.decode(message["body"])
            joining = join.Joining(request, descriptors, target.directory, target.pidfd, theirs, self._own_users)
            join.run(joining, self._cgroups, attached, self._last_capability)

        pids_of = -1 if self._host_pids else target.pidfd
        try:
            pid = self._clone(0, target.cgroup, pids_of, theirs, child)
        except OSError as error:
            ours.close()
            ended = (errno.ESRCH, errno.ENOMEM) if pids_of >= 0 else (errno.ESRCH,)
            if error.errno not in ended:  # a pid namespace whose first process is dying says ENOMEM
                raise
            raise WrongState(f"container {target.id} is not running") from error
        finally:
            theirs.close()
        self._watch(Starting(pid, ours, finished))

    def _started(self, starting: Starting, server: Server, connection: Connection, request: Message) -> None:
        if starting.error is not None:
            if not starting.reaped:
                os.waitpid(starting.pid, 0)
            server.fail(connection, request, starting.error)
            return
        self._running[starting.program] = (str(request["exec"]), connection)
        terminal = (starting.terminal,) if starting.terminal >= 0 else ()
        server.reply(connection, request, {"pid": starting.program}, terminal)
        for fd in terminal:
            os.close(fd)

    def ended(self, pid: int, status: int) -> bool:
        """Tells who asked for the exec ``pid``; False if it is none."""
        if pid not in self._running:
            return False
        exec_id, connection = self._running.pop(pid)
        code, signum = process.exit_code(status)
        connection.send({"event": "exec_exit", "exec": exec_id, "exit_code": code, "signal": signum})
        return True

    def signal(self, message: Mapping[str, Any]) -> None:
        for pid, (exec_id, _) in self._running.items():
            if exec_id == message["exec"]:
                try:
                    os.killpg(pid, int(message["signum"]))
                except ProcessLookupError:
                    break

    # --- the helper ---

    def prepare(self) -> float | None:
        """Between two events: makes or discards the helper. The seconds until it has to be looked at again."""
        if not self._wanted_until_s:
            return None
        left_s = self._wanted_until_s - time.monotonic()
        if left_s <= 0:
            self._wanted_until_s = 0.0
            self.discard_helper()
            return None
        if self._helper is None and not self._running:
            self._make_helper()
        return left_s

    def _make_helper(self) -> None:
        assert self._wanted_for is not None
        directory = self._wanted_for.directory
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)

        def child(attached: bool) -> None:
            join.help_out(theirs, directory, self._cgroups, self._last_capability, host_pids=self._host_pids)

        pid = self._clone(0, "", -1, theirs, child)
        theirs.close()
        self._helper = Spare(pid, ours)
        self._helper.container = self._wanted_for.id

    def forget(self, container_id: str) -> None:
        """The container has ended."""
        if self._wanted_for is not None and self._wanted_for.id == container_id:
            self._wanted_until_s, self._wanted_for = 0.0, None
            self.discard_helper()

    def discard_helper(self, pid: int = 0) -> bool:
        """pid: only this one, which has died."""
        if self._helper is None or pid not in (0, self._helper.pid):
            return False
        if pid:
            self._helper.close()
            self._wanted_until_s = 0.0  # whatever killed it may kill the next one as well
        else:
            self._helper.discard()
        self._helper = None
        return True
