"""The log reader's process: follows every container of the state directory. How it loses nothing: see the package.

Requests: follow, finish (reply when the log is complete), drop, reopen, listen. Needs nobody: started anew, it finds
its containers on the disk.
"""

from __future__ import annotations

import collections
import errno
import fcntl
import gc
import os
import select
import signal
import struct
import sys
import termios
import time

from knarr_runtime import channel, layout
from knarr_runtime.channel import Message
from knarr_runtime.errors import Invalid, NotFound
from knarr_runtime.kernel import process, syscalls
from knarr_runtime.logs import framing
from knarr_runtime.logs.listeners import Listener, Listeners, close_all
from knarr_runtime.loop import Connection, Loop, Server

_NOTE = struct.Struct("=QQQB")
_PIPE_BYTES = 64 << 10
_PIECES_AT_ONCE = 8
_RETRY_S = 0.2
_STREAMS = (b"stdout", b"stderr")
_RETRIED = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


class ContainerLog:
    """One container's log. ``pump`` moves what can be moved; it never blocks on the container."""

    def __init__(self, directory: str, log_path: str, scratch: tuple[int, int]) -> None:
        flags = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC
        self.directory = directory
        self._path = log_path
        self._scratch = scratch
        self.sources = [os.open(f"{directory}/{name}", flags) for name in (layout.STDOUT, layout.STDERR)]
        self._staged = os.open(f"{directory}/{layout.STAGED}", flags)
        self._note = os.open(f"{directory}/{layout.LOG_STATE}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._log = -1
        self._inode = 0
        self._size = 0
        self._unwritten = b""
        self.listeners = Listeners()
        self.open_log()
        self._finish_interrupted()

    def open_log(self) -> None:
        """Opens the file at the path, again if it is open: pieces under way were finished before."""
        if self._log >= 0:
            os.close(self._log)
        self._log = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        status = os.fstat(self._log)
        self._inode, self._size = status.st_ino, status.st_size

    def listen(self, listener: Listener) -> None:
        """From now on, while those before it miss nothing."""
        there = []
        for index, source in enumerate(self.sources):
            data = self._peek(source)
            self.listeners.tell(index, data)
            there.append(len(data))
        self.listeners.add(listener, there)

    def close(self) -> None:
        self.listeners.end()
        for fd in (*self.sources, self._staged, self._note, self._log):
            os.close(fd)

    def _finish_interrupted(self) -> None:
        data = self._peek(self._staged)
        note = os.pread(self._note, _NOTE.size, 0)
        if not data or len(note) < _NOTE.size:
            return
        size, inode, now_ns, flags = _NOTE.unpack(note)
        stream, last = _STREAMS[flags & 1], bool(flags & 2)
        written = self._size - size if inode == self._inode else 0
        lines = framing.frame(data, framing.timestamp(now_ns), stream, last=last)
        self._unwritten = lines[max(written, 0) :]

    def _peek(self, fifo: int) -> bytes:
        try:
            count = syscalls.tee(fifo, self._scratch[1], _PIPE_BYTES)
        except BlockingIOError:
            return b""
        return os.read(self._scratch[0], count) if count else b""

    def unwritten(self) -> int:
        """Bytes that the container wrote and the file does not have."""
        waiting = bytearray(4)
        total = 0
        for fd in (*self.sources, self._staged):
            fcntl.ioctl(fd, termios.FIONREAD, waiting)
            total += int.from_bytes(waiting, sys.byteorder)
        return total

    def flush(self) -> bool:
        """Writes what is still to be written of the piece that is staged; False if the disk does not take it."""
        while self._unwritten:
            try:
                count = os.write(self._log, self._unwritten)
            except OSError as error:
                if error.errno not in _RETRIED:
                    raise
                return False
            self._size += count
            self._unwritten = self._unwritten[count:]
        try:
            while os.read(self._staged, _PIPE_BYTES):
                continue
        except BlockingIOError:
            pass
        return True

    def pump(self, *, last: bool = False, pieces: int = _PIECES_AT_ONCE) -> bool | None:
        """Moves up to ``pieces``; True if there may be more, False if all whole lines are moved, None if stuck.

        last: the container has ended; what is left is moved, newline or not.
        """
        if not self.flush() or (self.listeners.behind() and not last):
            return None
        for _ in range(pieces):
            moved = False
            for index in range(len(self.sources)):
                if self._move(index, last):
                    moved = True
                    if not self.flush():
                        return None
            if not moved:
                return False
        return True

    def _move(self, index: int, last: bool) -> bool:
        source = self.sources[index]
        data = self._peek(source)
        if not data:
            return False
        self.listeners.tell(index, data)
        take = framing.takeable(data, full=False, last=last)
        if take == 0:
            if not _full(source):
                return False
            data = self._peek(source)  # again: what made it full may have come after the first look
            self.listeners.tell(index, data)
            take = framing.takeable(data, full=True, last=last)
        now_ns = time.time_ns()
        unfinished = last and not data.endswith(b"\n")
        os.pwrite(self._note, _NOTE.pack(self._size, self._inode, now_ns, index | (2 if unfinished else 0)), 0)
        count = os.splice(source, self._staged, take)
        self.listeners.taken(index, count)
        self._unwritten = framing.frame(
            data[:count], framing.timestamp(now_ns), _STREAMS[index], last=unfinished and count == len(data)
        )
        return True


def _full(fifo: int) -> bool:
    poll = select.poll()
    poll.register(fifo, select.POLLOUT)
    return not poll.poll(0)


class Reader:
    def __init__(self, state_dir: str, version: str) -> None:
        self._state_dir = state_dir
        self._loop = Loop()
        self._scratch = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._logs: dict[str, ContainerLog] = {}
        self._ready: collections.OrderedDict[str, None] = collections.OrderedDict()
        self._stuck: set[str] = set()
        self._finishing: dict[str, list[tuple[Connection, Message]]] = {}
        self._server = Server(
            self._loop,
            channel.listen(state_dir, layout.LOGS_SOCKET),
            {
                "follow": self._follow_request,
                "finish": self._finish,
                "drop": self._give_up,
                "reopen": self._reopen,
                "listen": self._listen,
                "ping": _pong,
            },
        )
        pid = os.getpid()
        record = {"pid": pid, "start_time": process.start_time(pid), "version": version}
        layout.write(state_dir, layout.LOGS_RECORD, record)
        self._find_containers()

    def _find_containers(self) -> None:
        for sandbox in layout.names(f"{self._state_dir}/{layout.SANDBOXES}"):
            directory = layout.sandbox_directory(self._state_dir, sandbox)
            for name in layout.names(f"{directory}/{layout.CONTAINERS}"):
                container = f"{directory}/{layout.CONTAINERS}/{name}"
                try:
                    self._follow(container)
                except (OSError, NotFound, ValueError):
                    continue  # being made or removed; whoever makes it asks for it

    def _follow(self, directory: str) -> ContainerLog:
        known = self._logs.get(directory)
        if known is not None:
            return known
        record = layout.read_whole(directory, layout.CONTAINER_SPEC)
        spec = {} if record is None else record.get("spec")
        path = spec.get("log_path") if isinstance(spec, dict) else None
        if not path or not isinstance(path, str) or os.path.exists(f"{directory}/{layout.LOG_DONE}"):
            raise NotFound(f"{directory}: no log to follow")
        log = ContainerLog(directory, path, self._scratch)
        self._logs[directory] = log
        for fd in log.sources:
            self._loop.add(fd, lambda _: self._wake(directory), select.EPOLLIN | select.EPOLLET)
        self._wake(directory)
        return log

    def _wake(self, directory: str) -> None:
        self._ready[directory] = None

    def run(self) -> None:
        self._loop.run(self._work)

    def _work(self) -> float | None:
        """One turn for everybody who has something; fair, because each turn is short."""
        for directory in tuple(self._ready):
            del self._ready[directory]
            log = self._logs.get(directory)
            if log is not None:
                self._turn(directory, log)
        if self._ready:
            return 0.0
        if self._stuck:
            for directory in self._stuck:
                self._wake(directory)
            self._stuck.clear()
            return _RETRY_S
        return None

    def _turn(self, directory: str, log: ContainerLog) -> None:
        last = directory in self._finishing
        more = log.pump(last=last)
        if more is None:
            self._stuck.add(directory)
        elif more:
            self._wake(directory)
        elif last:
            self._complete(directory, log)

    def _complete(self, directory: str, log: ContainerLog) -> None:
        if os.path.isdir(directory):
            layout.touch(directory, layout.LOG_DONE)
        self._drop(directory, log)
        for connection, message in self._finishing.pop(directory):
            self._server.reply(connection, message, {})

    def _drop(self, directory: str, log: ContainerLog) -> None:
        for fd in log.sources:
            self._loop.remove(fd)
        log.close()
        del self._logs[directory]

    def _directory(self, message: Message) -> str:
        return layout.container_directory(self._state_dir, str(message["sandbox"]), str(message["container"]))

    def _follow_request(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        self._follow(self._directory(message))
        return {}

    def _finish(self, connection: Connection, message: Message, descriptors: list[int]) -> Message | None:
        directory = self._directory(message)
        try:
            self._follow(directory)
        except NotFound:
            return {}
        self._finishing.setdefault(directory, []).append((connection, message))
        self._wake(directory)
        return None

    def _give_up(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        """Of a container that goes, though its log is not complete; says how much of it is lost."""
        directory = self._directory(message)
        log = self._logs.get(directory)
        if log is None:
            return {"lost_bytes": 0}
        lost = log.unwritten()
        self._stuck.discard(directory)
        self._drop(directory, log)
        for waiting in self._finishing.pop(directory, ()):
            self._server.reply(*waiting, {})
        return {"lost_bytes": lost}

    def _reopen(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        log = self._logs.get(self._directory(message))
        if log is None:
            raise NotFound(f"container {message['container']} has no open log")
        log.flush()
        log.open_log()
        return {}

    def _listen(self, connection: Connection, message: Message, descriptors: list[int]) -> Message:
        """``streams`` says which of stdout and stderr the descriptors, pipes to write to, are for."""
        try:
            directory = self._directory(message)
            log = self._follow(directory)
            wanted = [bool(flag) for flag in message["streams"]]
            if len(wanted) != 2 or sum(wanted) != len(descriptors):
                raise Invalid("listen: a descriptor for each stream is needed")
        except BaseException:
            close_all(descriptors)
            raise
        rest = iter(descriptors)
        targets = [next(rest) if flag else -1 for flag in wanted]
        log.listen(Listener(self._loop, targets, lambda: self._wake(directory)))
        return {}


def _pong(connection: Connection, message: Message, descriptors: list[int]) -> Message:
    return {}


def main(state_dir: str, version: str) -> None:
    """The reader's life, from the fork on."""
    process.set_name("knarr-logs")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    gc.disable()
    Reader(state_dir, version).run()
