"""The shim's loop: starts containers and execs of one pod, reaps them, and writes down how they ended.

    (no process) ──start──► starting ──execve──► running ──exit──► ended (exit.json) ──release──► forgotten
                               └── failed (exit.json with reason) ──────────────────────┘

Requests: expect, start, signal, kill, exec, exec_signal, network, tcp_socket, user_namespace, terminal, close_stdin,
release, list, stop. Events to every connected daemon: ``exit`` and ``exec_exit``. An exit is on disk before its event
is sent, so a daemon that was away reads it there.

The shim holds for its containers: the FIFOs of their output (so nothing in them is lost while the log reader is
away), the masters of their terminals, a pidfd. It keeps the pod's namespaces alive merely by living.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping

from knarr_runtime import channel, layout
from knarr_runtime.channel import Message
from knarr_runtime.errors import NotFound, RuntimeFailure, StartFailed, WrongState
from knarr_runtime.kernel import process
from knarr_runtime.kernel.cgroup import Cgroups
from knarr_runtime.loop import Connection, Loop, Server
from knarr_runtime.shim import spare
from knarr_runtime.shim.births import Births
from knarr_runtime.shim.cloning import Cloner
from knarr_runtime.shim.execs import Execs, Target
from knarr_runtime.shim.pod import Pod
from knarr_runtime.shim.running import RunningContainer
from knarr_runtime.shim.starting import Starting
from knarr_runtime.shim.terminal import Terminal
from knarr_runtime.spec import OWN_PIDS, SandboxSpec


class Shim:
    def __init__(self, spec: SandboxSpec, state_dir: str, version: str, cgroups: Cgroups, last_capability: int) -> None:
        self._spec = spec
        self._version = version
        self._directory = layout.sandbox_directory(state_dir, spec.id)
        self._cgroups = cgroups
        clone = Cloner(cgroups).clone
        self._pod = Pod(spec, self._directory, last_capability)
        self._births = Births(self._pod, f"{self._directory}/{layout.CONTAINERS}", cgroups, last_capability, clone)
        self._loop = Loop()
        self._containers: dict[str, RunningContainer] = {}
        self._starting: dict[int, Starting] = {}
        self._by_pid: dict[int, RunningContainer] = {}
        self._execs = Execs(
            cgroups=cgroups,
            last_capability=last_capability,
            host_pids=spec.namespaces.pid == "host",
            own_users=bool(spec.uids),
            clone=clone,
            watch=self._watch,
        )
        self._stopping: list[tuple[Connection, Message]] = []
        self._server: Server | None = None

    def set_up(self) -> None:
        """What the pod shares, and the socket. Raises OSError, RuntimeFailure."""
        self._pod.set_up()
        self._loop.on_children(self._reap)
        self._pod.share_processes()
        self._server = Server(
            self._loop,
            channel.listen(self._directory, layout.SHIM_SOCKET),
            {
                "expect": self._expect,
                "start": self._start,
                "signal": self._signal,
                "kill": self._kill,
                "exec": self._exec,
                "exec_signal": self._exec_signal,
                "network": self._network,
                "tcp_socket": self._tcp_socket,
                "user_namespace": self._user_namespace,
                "terminal": self._terminal,
                "close_stdin": self._close_stdin,
                "release": self._release,
                "list": self._list,
                "stop": self._stop,
            },
        )
        pid = os.getpid()
        record = {
            "pid": pid,
            "start_time": process.start_time(pid),
            "created_at_ns": time.time_ns(),
            "version": self._version,
            "cgroup_parent": self._spec.cgroup_parent,
        }
        layout.write(self._directory, layout.SHIM_RECORD, record)

    def run(self) -> None:
        self._births.prepare()
        self._loop.run(self._execs.prepare)

    # --- starting ---

    def _container(self, message: Message) -> RunningContainer:
        found = self._containers.get(str(message["container"]))
        if found is None:
            raise NotFound(f"container {message['container']} has no process in this sandbox")
        return found

    def _start(self, connection: Connection, message: Message, descriptors: list[int]) -> None:
        spec = message["spec"]
        identifier = str(spec["id"])
        try:
            if identifier in self._containers:
                raise WrongState(f"container {identifier} was started already")
            directory = f"{self._directory}/{layout.CONTAINERS}/{identifier}"
            holds = self._open_fifos(directory, spec)
            shares_pids = not self._pod.has_own_pids(str(spec["pids"]))
            one = RunningContainer(
                identifier, directory, self._cgroups, str(spec["cgroup"]), holds, shares_pids=shares_pids
            )
            one.stdin = holds[0] if spec["stdin"] else -1
            self._containers[identifier] = one
            ours = self._births.bear(one, message, descriptors, self._pids_of)
        except (OSError, RuntimeFailure):
            self._forget(identifier)
            raise
        finally:
            for fd in descriptors:
                os.close(fd)

        def finished(starting: Starting) -> None:
            self._started(one, starting, connection, message)

        self._watch(Starting(one.pid, ours, finished))

    def _pids_of(self, pids: str) -> int:
        """A pidfd of the process whose pid namespace a container joins, -1 for none. Raises WrongState."""
        if pids == OWN_PIDS:
            return -1
        if not pids:
            return self._pod.processes
        target = self._containers.get(pids)
        if target is None or not target.running:
            raise WrongState(f"container {pids}, whose processes are to be seen, does not run")
        return target.pidfd

    def _expect(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        """A container is about to be started."""
        self._births.expect(message["spec"])
        return {}

    def _open_fifos(self, directory: str, spec: Mapping[str, object]) -> list[int]:
        names = [layout.STDIN] if spec["stdin"] else []
        if spec["log_path"]:
            names += [layout.STDOUT, layout.STDERR, layout.STAGED]
        flags = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC
        return [os.open(f"{directory}/{name}", flags) for name in names]

    def _watch(self, starting: Starting) -> None:
        self._starting[starting.pid] = starting
        starting.status.setblocking(False)
        self._loop.add(starting.status.fileno(), lambda _: self._read_status(starting))

    def _read_status(self, starting: Starting) -> bool:
        """True when it has said all."""
        if not starting.read():
            return False
        self._loop.remove(starting.status.fileno())
        starting.status.close()
        del self._starting[starting.pid]
        starting.finished(starting)
        return True

    def _started(self, one: RunningContainer, starting: Starting, connection: Connection, request: Message) -> None:
        assert self._server is not None
        if starting.error is not None:
            if not starting.reaped:
                os.waitpid(starting.pid, 0)
            code = starting.error.exit_code if isinstance(starting.error, StartFailed) else 128
            one.fail(code, str(starting.error))
            self._server.fail(connection, request, starting.error)
            return
        if starting.program != one.pid:
            one.hand_on(starting.program)
        self._by_pid[one.pid] = one
        record = one.write_start()
        if starting.terminal >= 0:
            one.terminal = Terminal(self._loop, starting.terminal, one.directory)
        self._server.reply(connection, request, record)

    # --- exits ---

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            self._ended(pid, status)
        if self._stopping and not any(one.running for one in self._containers.values()):
            self._finish_stop()

    def _ended(self, pid: int, status: int) -> None:
        starting = self._starting.get(pid)
        if starting is not None:  # what it had to say is all in the socket, nobody else holds the other end
            starting.reaped = True
            self._read_status(starting)
            if pid in self._by_pid:
                self._record_exit(self._by_pid.pop(pid), status)
            else:
                self._execs.ended(pid, status)
        elif self._births.ended(pid):
            pass
        elif pid in self._by_pid:
            self._record_exit(self._by_pid.pop(pid), status)
        elif not self._execs.discard_helper(pid) and not self._execs.ended(pid, status):
            for each in tuple(self._starting.values()):  # perhaps the child of one whose word is still unread
                self._read_status(each)
            if pid in self._by_pid:
                self._record_exit(self._by_pid.pop(pid), status)
            else:
                self._execs.ended(pid, status)

    def _record_exit(self, one: RunningContainer, status: int) -> None:
        assert self._server is not None
        self._execs.forget(one.id)
        ended = one.finish(*process.exit_code(status))
        self._server.broadcast({"event": "exit", **ended})

    # --- requests about what runs ---

    def _signal(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        self._container(message).signal(int(message["signum"]))
        return {}

    def _kill(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        self._container(message).kill()
        return {}

    def _exec(self, connection: Connection, message: Message, descriptors: list[int]) -> None:
        assert self._server is not None
        try:
            one = self._container(message)
            if not one.running or one.pid in self._starting:
                raise WrongState(f"container {one.id} is not running")
        except RuntimeFailure:
            for fd in descriptors:
                os.close(fd)
            raise
        target = Target(one.id, one.cgroup, one.pidfd, one.directory)
        self._execs.start(target, self._server, connection, message, descriptors)

    def _exec_signal(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        self._execs.signal(message)
        return {}

    def _network(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        self._pod.configure_network(message["config"])
        return {}

    def _terminal(self, connection: Connection, message: Message, descriptors: list[int]) -> None:
        """The container's terminal, for an attached client to write to and resize; reading it is the shim's."""
        assert self._server is not None
        one = self._container(message)
        if one.terminal is None:
            raise WrongState(f"container {one.id} has no terminal")
        self._server.reply(connection, message, {}, (one.terminal.master,))

    def _close_stdin(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        """The container reads the end of its standard input once nobody else has it open for writing."""
        self._container(message).close_stdin()
        return {}

    def _tcp_socket(self, connection: Connection, message: Message, descriptors: list[int]) -> None:
        """One of the pod's network namespace, for the daemon to connect."""
        assert self._server is not None
        with socket.socket(int(message["family"]), socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as own:
            self._server.reply(connection, message, {}, (own.fileno(),))

    def _user_namespace(self, connection: Connection, message: Message, descriptors: list[int]) -> None:
        """The pod's, for the daemon to mount with its mapping."""
        assert self._server is not None
        if self._pod.users is None:
            raise WrongState(f"sandbox {self._spec.id} has no user namespace of its own")
        self._server.reply(connection, message, {}, (self._pod.users.fd,))

    def _list(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        return {
            "containers": [
                {"container": one.id, "pid": one.pid, "start_time": one.start_time, "ended": one.ended}
                for one in self._containers.values()
            ]
        }

    # --- letting go ---

    def _release(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        """Forgets a container that has ended, with the descriptors held for it."""
        one = self._containers.get(str(message["container"]))
        if one is not None and one.running:
            raise WrongState(f"container {one.id} is running")
        self._forget(str(message["container"]))
        self._births.discard(str(message["container"]))
        return {}

    def _forget(self, identifier: str) -> None:
        one = self._containers.pop(identifier, None)
        if one is not None:
            one.let_go()

    def _stop(self, connection: Connection, message: Message, descriptors: list[int]) -> None:
        """Kills every container; replies, and ends, when all exits are written."""
        self._stopping.append((connection, message))
        for one in self._containers.values():
            if one.running or one.pid in self._starting:
                one.kill()
        if not any(one.running for one in self._containers.values()):
            self._finish_stop()

    def _finish_stop(self) -> None:
        assert self._server is not None
        for one in self._containers.values():  # the pod's own cgroup may be that of a newer sandbox, too
            if one.cgroup:
                self._cgroups.kill(one.cgroup)
        self._births.discard()
        self._execs.discard_helper()
        self._pod.end_processes()
        layout.touch(self._directory, layout.STOPPED)
        for connection, message in self._stopping:
            self._server.reply(connection, message, {})
        self._stopping.clear()
        self._loop.stop()


_LIKELY = SandboxSpec(id="spare", hostname="spare").to_json()


def await_spec(status: socket.socket) -> SandboxSpec | None:
    """Of a shim forked ahead of its sandbox; None if there is to be none."""
    spare.rehearse_messages()
    SandboxSpec.from_json(_LIKELY)
    received = channel.receive(status)
    return None if received is None else SandboxSpec.from_json(received[0]["spec"])


def main(
    spec: SandboxSpec,
    state_dir: str,
    version: str,
    cgroups: Cgroups,
    last_capability: int,
    ready: Callable[[], None],
) -> None:
    """The shim's life, from the fork on."""
    process.set_name(f"knarr-{spec.id}")
    process.become_subreaper()
    shim = Shim(spec, state_dir, version, cgroups, last_capability)
    shim.set_up()
    ready()
    shim.run()
