"""The zygote's loop: forks shims on request and keeps one log reader running.

Started by the daemon in a session of its own, it outlives it; a daemon finds it again by its socket. It is single
threaded, never collects garbage, has no mounts but those it needs (each slows every clone) and cannot be traced.
Its own death stops only new sandboxes until the daemon has started another: shims do not depend on it.

As child subreaper it inherits the containers of a shim that was killed. Those are unsupervised then: it kills them
and writes their exit records, so that even then no exit code is lost.

A daemon of another version replaces its code in place: it executes the new one and stays the same process, with the
same children, whom it finds again in the state directory.

Requests: create_sandbox, abandon, status, replace, quit. Events: ``shim_exit``, ``exit`` (of an orphan).
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import time

from knarr_runtime import channel, errors, layout
from knarr_runtime.channel import Message
from knarr_runtime.errors import Invalid, RuntimeFailure
from knarr_runtime.kernel import capabilities, mounts, process, syscalls
from knarr_runtime.kernel.cgroup import Cgroups, open_bases
from knarr_runtime.loop import Connection, Loop, Server
from knarr_runtime.shim import main as shim
from knarr_runtime.spec import SandboxSpec
from knarr_runtime.zygote.log_reader import LogReader

_IDLE_CHECK_S = 60.0


class _Forking:
    """A shim that has not said yet that it is ready."""

    def __init__(self, pid: int, status: socket.socket, connection: Connection, request: Message) -> None:
        self.pid = pid
        self.status = status
        self.connection = connection
        self.request = request
        self.reaped = False


class _Spare:
    """A shim without a sandbox yet, in new namespaces; it waits on its status socket for the spec."""

    def __init__(self, pid: int, status: socket.socket) -> None:
        self.pid = pid
        self.status = status


_USUAL = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS


class Zygote:
    def __init__(self, state_dir: str, version: str, cgroups: Cgroups, host_mounts: int) -> None:
        self._state_dir = state_dir
        self._version = version
        self._cgroups = cgroups
        self._last_capability = capabilities.last()
        self._loop = Loop()
        self._shims: dict[int, str] = {}
        self._forking: dict[int, _Forking] = {}
        self._orphans: dict[int, tuple[str, str]] = {}
        self._spare: _Spare | None = None
        self._spares_live = True
        self._started_s = time.monotonic()
        self._replacing: tuple[Connection, Message, list[int]] | None = None
        self._loop.on_children(self._reap)
        self._server = Server(
            self._loop,
            channel.listen(state_dir, layout.ZYGOTE_SOCKET),
            {
                "create_sandbox": self._create_sandbox,
                "abandon": self._abandon,
                "status": self._status,
                "replace": self._replace,
                "quit": self._quit,
            },
        )
        pid = os.getpid()
        record = {"pid": pid, "start_time": process.start_time(pid), "version": version}
        layout.write(state_dir, layout.ZYGOTE_RECORD, record)
        self._adopt_children()
        self._log_reader = LogReader(self._loop, state_dir, version, host_mounts)
        self._reap()  # who ended while the code was being replaced was told of to the code before

    def run(self) -> None:
        self._loop.run(self._idle)

    def _idle(self) -> float | None:
        """Starts a missing log reader; ends when there is neither daemon nor sandbox left to serve."""
        if self._replacing is not None and not self._forking:
            self._execute_new(*self._replacing)
        wait_s = self._log_reader.ensure()
        if wait_s is not None:
            return wait_s
        if self._server.connections:
            if self._spare is None and self._spares_live and not self._forking:
                self._make_spare()
            return None
        if self._shims:
            return None
        if not os.path.exists(f"{self._state_dir}/{layout.ZYGOTE_SOCKET}") or self._deserted():
            self._end()
        return _IDLE_CHECK_S

    def _deserted(self) -> bool:
        """No daemon for a while, and no shim, not even one of an earlier zygote."""
        now = time.monotonic()
        if self._server.connections:
            return False
        if now - self._started_s < _IDLE_CHECK_S:
            return False
        return not any(
            process.is_same(*shim)
            for name in layout.names(f"{self._state_dir}/{layout.SANDBOXES}")
            if (shim := layout.identity(layout.sandbox_directory(self._state_dir, name), layout.SHIM_RECORD))
        )

    # --- sandboxes ---

    def _create_sandbox(self, connection: Connection, message: Message, descriptors: list[int]) -> None:
        spec = SandboxSpec.from_checked(message["spec"])
        flags = syscalls.CLONE_NEWNS
        if not spec.uids:  # else those belong to the pod's user namespace
            if spec.namespaces.net == "pod":
                flags |= syscalls.CLONE_NEWNET
            if spec.namespaces.ipc == "pod":
                flags |= syscalls.CLONE_NEWIPC
            if spec.hostname:
                flags |= syscalls.CLONE_NEWUTS
        one = self._take_spare(message) if flags == _USUAL else None
        if one is None:
            one = self._fork(flags, spec)
        one.status.setblocking(False)
        forking = _Forking(one.pid, one.status, connection, message)
        self._forking[one.pid] = forking
        self._loop.add(one.status.fileno(), lambda _: self._forked(forking))

    def _fork(self, flags: int, spec: SandboxSpec | None) -> _Spare:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        pid = syscalls.clone3(flags)
        if pid == 0:
            self._be_shim(spec, theirs)
        theirs.close()
        return _Spare(pid, ours)

    def _make_spare(self) -> None:
        """While nobody waits: the next sandbox finds its shim forked and its namespaces made."""
        try:
            self._spare = self._fork(_USUAL, None)
        except OSError:  # who really wants one will hear why there is none
            self._spares_live = False

    def _take_spare(self, message: Message) -> _Spare | None:
        one, self._spare = self._spare, None
        if one is not None:
            try:
                channel.send(one.status, {"spec": message["spec"]})
            except OSError:  # it is dead, and will be reaped
                one.status.close()
                return None
        return one

    def _be_shim(self, spec: SandboxSpec | None, status: socket.socket) -> None:
        """The shim's whole life; without a spec it waits for one. Never returns."""

        def ready() -> None:
            channel.send(status, {"ready": True})
            status.close()

        try:
            os.setsid()
            process.close_all_but({status.fileno(), *self._cgroups.descriptors()})
            if spec is None:
                spec = shim.await_spec(status)
            if spec is None:
                os._exit(0)
            shim.main(spec, self._state_dir, self._version, self._cgroups, self._last_capability, ready)
            os._exit(0)
        except RuntimeFailure as error:
            channel.send(status, {"error": errors.to_json(error)})
        except BaseException as error:  # noqa: BLE001 - a fork must never return into the zygote's loop
            channel.send(status, {"error": errors.to_json(RuntimeFailure(f"sandbox: {error!r}"))})
        finally:
            os._exit(1)

    def _forked(self, forking: _Forking) -> None:
        try:
            received = channel.receive(forking.status)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            received = None
        self._loop.remove(forking.status.fileno())
        forking.status.close()
        del self._forking[forking.pid]
        message = {} if received is None else received[0]
        if message.get("ready"):
            self._shims[forking.pid] = str(forking.request["spec"]["id"])
            reply = {"pid": forking.pid, "start_time": process.start_time(forking.pid) or 0}
            self._server.reply(forking.connection, forking.request, reply)
            return
        if not forking.reaped:
            os.waitpid(forking.pid, 0)
        failure = RuntimeFailure("the sandbox's shim died while it was being set up")
        if "error" in message:
            failure = errors.from_json(message["error"])
        self._server.fail(forking.connection, forking.request, failure)

    def _abandon(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        """Kills a shim that nobody waits for any more: whoever asked for it has died or given up."""
        name = str(message["sandbox"])
        forking = [pid for pid, one in self._forking.items() if one.request["spec"]["id"] == name]
        for pid in (*forking, *(pid for pid, sandbox_id in self._shims.items() if sandbox_id == name)):
            process.kill(pid, signal.SIGKILL)
        return {}

    # --- deaths ---

    def _reap(self) -> None:
        dead: list[tuple[int, int]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            dead.append((pid, status))
        for pid, _ in dead:  # shims before their orphans, which may have died in the same moment
            if pid in self._forking:
                self._forking[pid].reaped = True
                self._forked(self._forking[pid])
            if self._spare is not None and pid == self._spare.pid:
                self._spare.status.close()
                self._spare, self._spares_live = None, False  # whatever killed it may kill the next one as well
            if pid in self._shims:
                self._lost_shim(self._shims.pop(pid))
        for pid, status in dead:
            if not self._log_reader.ended(pid) and pid in self._orphans:
                self._lost_container(*self._orphans.pop(pid), status)

    def _lost_shim(self, sandbox_id: str) -> None:
        directory = layout.sandbox_directory(self._state_dir, sandbox_id)
        record = layout.read_whole(directory, layout.SANDBOX_SPEC)
        stopped = os.path.exists(f"{directory}/{layout.STOPPED}")
        if record is not None and not stopped:
            for name in layout.names(f"{directory}/{layout.CONTAINERS}"):
                container = layout.container_directory(self._state_dir, sandbox_id, name)
                running = layout.identity(container, layout.PROCESS_RECORD)
                if running is not None and not os.path.exists(f"{container}/{layout.EXIT_RECORD}"):
                    self._orphans[running[0]] = (sandbox_id, name)
                    process.kill(running[0], signal.SIGKILL)
                cgroup = _cgroup(layout.read_whole(container, layout.CONTAINER_SPEC))
                if cgroup and self._cgroups.exists(cgroup):
                    self._cgroups.kill(cgroup)
        self._server.broadcast({"event": "shim_exit", "sandbox": sandbox_id})

    def _lost_container(self, sandbox_id: str, name: str, status: int) -> None:
        code, signum = process.exit_code(status)
        directory = layout.container_directory(self._state_dir, sandbox_id, name)
        if not os.path.isdir(directory) or os.path.exists(f"{directory}/{layout.EXIT_RECORD}"):
            return
        record: Message = {
            "exit_code": code,
            "signal": signum,
            "oom_killed": False,
            "finished_at_ns": time.time_ns(),
            "reason": "the sandbox's shim was killed",
        }
        layout.write(directory, layout.EXIT_RECORD, record)
        self._server.broadcast({"event": "exit", "container": name, **record})

    # --- its own replacement ---

    def _status(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        return {"version": self._version, "shims": len(self._shims)}

    def _replace(self, connection: Connection, message: Message, descriptors: list[int]) -> None:
        """``command``: of the new zygote, as it is started (see :func:`main`), but for READY_FD, its last argument.

        descriptors: the mount namespace in which the new code lies, and the end of a pipe that becomes READY_FD.
        No reply but an error: the connection ends with the code that has it. Sandboxes being made come first.
        """
        if self._replacing is not None or len(descriptors) != 2:
            for fd in descriptors:
                os.close(fd)
            raise Invalid("replace: needs two descriptors, and to be asked once")
        self._replacing = (connection, message, descriptors)

    def _execute_new(self, connection: Connection, message: Message, descriptors: list[int]) -> None:
        """Does not return, unless the new code cannot be executed: then all is as it was."""
        self._replacing = None
        host_mounts, ready = descriptors
        if self._spare is not None:
            self._spare.status.close()
            self._spare = None
        own_mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        command = [*map(str, message["command"]), str(ready)]
        try:
            syscalls.setns(host_mounts, syscalls.CLONE_NEWNS)
            os.set_inheritable(ready, True)
            os.execv(command[0], command)
        except OSError as error:
            syscalls.setns(own_mounts, syscalls.CLONE_NEWNS)
            self._server.fail(connection, message, RuntimeFailure(f"{command[0]}: {error.strerror}"))
        finally:
            for fd in (own_mounts, *descriptors):
                os.close(fd)

    def _adopt_children(self) -> None:
        """Of the zygote that this process was before: its shims, and the containers of shims that were killed."""
        for name in layout.names(f"{self._state_dir}/{layout.SANDBOXES}"):
            directory = layout.sandbox_directory(self._state_dir, name)
            found = layout.identity(directory, layout.SHIM_RECORD)
            if found is not None and process.is_child(found[0]):
                self._shims[found[0]] = name
                continue
            for container in layout.names(f"{directory}/{layout.CONTAINERS}"):
                running = layout.identity(f"{directory}/{layout.CONTAINERS}/{container}", layout.PROCESS_RECORD)
                if running is not None and process.is_child(running[0]):
                    self._orphans[running[0]] = (name, container)

    # --- the end ---

    def _quit(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        """Ends zygote and log reader; shims, if there are any, go on."""
        self._end()
        return {}

    def _end(self) -> None:
        self._log_reader.end()
        self._bury_orphans()
        for name in (layout.ZYGOTE_SOCKET, layout.ZYGOTE_RECORD):
            try:
                os.unlink(f"{self._state_dir}/{name}")
            except FileNotFoundError:
                continue
        self._loop.stop()

    def _bury_orphans(self) -> None:
        """What shims that were killed left behind is ending already: containers killed, processes made ahead."""
        own = os.getpid()
        try:
            with open(f"/proc/{own}/task/{own}/children", encoding="ascii") as file:
                orphans = set(map(int, file.read().split())) - set(self._shims) - set(self._forking)
        except FileNotFoundError:  # a kernel without that list: they end by themselves
            return
        for pid in orphans:
            process.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _cgroup(record: layout.Record | None) -> str:
    """Of a container; "" if its record is damaged: then the daemon, which knows more, removes what is left."""
    spec = record.get("spec") if record is not None else None
    return str(spec.get("cgroup", "")) if isinstance(spec, dict) else ""


def main(state_dir: str, ready: int) -> None:
    """state_dir: with its node record. ready: descriptor that gets a byte when requests are served.

    Nothing else is in the arguments: all forks have this command line, and containers may see it.
    """
    node = layout.read(state_dir, layout.NODE_RECORD)
    if node is None:
        raise SystemExit(f"{state_dir}: no {layout.NODE_RECORD}")
    process.set_name("knarr-zygote")
    process.become_subreaper()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    process.ignored_signals()
    os.umask(0o022)
    os.chdir("/")
    version = str(node.get("version", ""))
    cgroups = open_bases(node["bases"])
    host_mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    if mounts.layers_travel():  # else layers are mounted by path, and their filesystems must stay
        own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        mounts.enter_small_namespace(("/proc", state_dir, own, sys.prefix, *cgroups.shown().values()))
    else:
        mounts.enter_following_namespace()
    process.forbid_tracing()
    zygote = Zygote(state_dir, version, cgroups, host_mounts)
    gc.disable()
    gc.collect()
    gc.freeze()
    os.write(ready, b"!")
    os.close(ready)
    zygote.run()
