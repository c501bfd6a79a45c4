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
import signal
import socket
import time
from collections.abc import Callable, Mapping

from knarr_runtime import channel, compact_json, layout
from knarr_runtime.channel import Message
from knarr_runtime.errors import KernelRefused, NotFound, RuntimeFailure, StartFailed, WrongState
from knarr_runtime.kernel import mounts, process, rtnetlink, syscalls
from knarr_runtime.kernel.cgroup import Cgroups
from knarr_runtime.loop import Connection, Loop, Server
from knarr_runtime.shim import container, pause, spare, users
from knarr_runtime.shim.cloning import Cloner
from knarr_runtime.shim.execs import Execs, Target
from knarr_runtime.shim.preparation import Preparation
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
        self._last_capability = last_capability
        self._clone = Cloner(cgroups).clone
        self._loop = Loop()
        self._containers: dict[str, RunningContainer] = {}
        self._starting: dict[int, Starting] = {}
        self._by_pid: dict[int, RunningContainer] = {}
        self._users: users.UserNamespace | None = None
        self._execs = Execs(
            cgroups=cgroups,
            last_capability=last_capability,
            host_pids=spec.namespaces.pid == "host",
            own_users=bool(spec.uids),
            clone=self._clone,
            watch=self._watch,
        )
        self._pause = 0
        self._pause_fd = -1
        self._stopping: list[tuple[Connection, Message]] = []
        self._server: Server | None = None
        self._spare: spare.Spare | None = None

    def set_up(self) -> None:
        """Hostname, sysctls, /dev/shm, the shared pid namespace, the socket. Raises OSError, RuntimeFailure."""
        if self._spec.uids:
            self._users = users.make(self._spec.uids, self._spec.gids, self._name_and_tune)
        else:
            self._name_and_tune()
        shared = f"{self._directory}/{layout.SHARED_MEMORY}"
        os.makedirs(shared, 0o700, exist_ok=True)
        if self._spec.namespaces.ipc == "host":
            mounts.attach(mounts.bind("/dev/shm"), os.open(shared, os.O_PATH | os.O_CLOEXEC))
        else:
            uid, gid = self._users.outside(0, 0) if self._users else (0, 0)
            options = f"mode=1777,size={self._spec.shm_size_bytes},uid={uid},gid={gid}"
            memory = mounts.tmpfs(options, mounts.NO_PRIVILEGE, self._spec.mount_label)
            mounts.attach(memory, os.open(shared, os.O_PATH | os.O_CLOEXEC))
        self._loop.on_children(self._reap)
        if self._spec.namespaces.pid == "pod":
            self._start_pause()
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

    def _name_and_tune(self) -> None:
        if self._spec.hostname:
            syscalls.sethostname(self._spec.hostname)
        for name, value in self._spec.sysctls.items():
            self._set_sysctl(name, value)

    def _set_sysctl(self, name: str, value: str) -> None:
        try:
            with open(f"/proc/sys/{name.replace('.', '/')}", "w", encoding="ascii") as file:
                file.write(value)
        except OSError as error:
            raise KernelRefused(f"sysctl {name}={value}: {error.strerror}") from error

    def _start_pause(self) -> None:
        flags = syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS
        pid = users.fork_in(self._users, flags) if self._users else syscalls.clone3(flags)
        if pid == 0:
            try:
                pause.run(self._last_capability)
            finally:
                os._exit(1)
        self._pause = pid
        self._pause_fd = os.pidfd_open(pid)

    def run(self) -> None:
        if self._cgroups.version == 1 and not self._users:
            self._make_spare()
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
            shares_pids = not self._has_own_pids(str(spec["pids"]))
            one = RunningContainer(
                identifier, directory, self._cgroups, str(spec["cgroup"]), holds, shares_pids=shares_pids
            )
            one.stdin = holds[0] if spec["stdin"] else -1
            self._containers[identifier] = one
            ours = self._take_spare(one, message, descriptors)
            if ours is None:
                ours = self._fork(one, message, descriptors, directory)
        except (OSError, RuntimeFailure):
            self._forget(identifier)
            raise
        finally:
            for fd in descriptors:
                os.close(fd)

        def finished(starting: Starting) -> None:
            self._started(one, starting, connection, message)

        self._watch(Starting(one.pid, ours, finished))

    def _fork(self, one: RunningContainer, message: Message, descriptors: list[int], directory: str) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        preparation = self._preparation(theirs, compact_json.decode(message["body"]), descriptors, directory)
        pids = str(message["spec"]["pids"])
        flags, pids_of = self._container_flags(pids), self._pids_of(pids)
        if self._users:  # whose child gets them
            preparation.users, preparation.flags, preparation.pids_of = self._users, flags, pids_of
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
            shared_memory=f"{self._directory}/{layout.SHARED_MEMORY}",
            cgroups=self._cgroups,
            status=status,
            last_capability=self._last_capability,
        )

    def _has_own_pids(self, pids: str) -> bool:
        return pids == OWN_PIDS or (not pids and self._spec.namespaces.pid == "container")

    def _pids_of(self, pids: str) -> int:
        """A pidfd of the process whose pid namespace a container joins, -1 for none. Raises WrongState."""
        if pids == OWN_PIDS:
            return -1
        if not pids:
            return self._pause_fd
        target = self._containers.get(pids)
        if target is None or not target.running:
            raise WrongState(f"container {pids}, whose processes are to be seen, does not run")
        return target.pidfd

    def _container_flags(self, pids: str = "") -> int:
        return syscalls.CLONE_NEWNS | (syscalls.CLONE_NEWPID if self._has_own_pids(pids) else 0)

    def _make_spare(self, cgroup: str = "") -> None:
        """cgroup: where it is to be born, if anywhere."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        preparation = self._preparation(theirs, {}, [], "")
        containers = f"{self._directory}/{layout.CONTAINERS}"
        pid = self._clone(
            self._container_flags(),
            cgroup,
            self._pause_fd,
            theirs,
            lambda attached: spare.wait(preparation, containers, attached=attached, idle=not cgroup),
        )
        theirs.close()
        self._spare = spare.Spare(pid, ours)

    def _expect(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        """A container is about to be started: the spare becomes its first process, a new one if there is none."""
        spec = message["spec"]
        if self._users or not spare.suits(spec) or (self._spare is not None and self._spare.container):
            return {}
        if self._spare is None:
            self._make_spare(str(spec["cgroup"]))
        assert self._spare is not None
        self._spare.expect(spec)
        return {}

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

    def _discard_spare(self) -> None:
        if self._spare is not None:
            self._spare.discard()
            self._spare = None

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
        elif self._spare is not None and self._spare.pid == pid:
            self._spare.close()
            self._spare = None
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
        config = message["config"]
        routes = [(str(route["destination"]), str(route["gateway"])) for route in config["routes"]]
        rtnetlink.configure(config["address"], config["gateway"], int(config["mtu"]), config["ifname"], routes)
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
        if self._users is None:
            raise WrongState(f"sandbox {self._spec.id} has no user namespace of its own")
        self._server.reply(connection, message, {}, (self._users.fd,))

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
        if self._spare is not None and self._spare.container == str(message["container"]):
            self._discard_spare()
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
        self._discard_spare()
        self._execs.discard_helper()
        if self._pause:
            process.kill(self._pause, signal.SIGKILL)
            os.waitpid(self._pause, 0)
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
