"""A container as its shim sees it: what is held for it while it runs, and the records of its start and its end."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from knarr_runtime import layout
from knarr_runtime.channel import Message
from knarr_runtime.kernel import process
from knarr_runtime.kernel.cgroup import Cgroups
from knarr_runtime.shim.terminal import Terminal

_KILLED = 128 + signal.SIGKILL
"""The exit code of what SIGKILL ended, and of a shell whose last command it ended."""


class RunningContainer:
    """holds: its FIFOs, open as long as it is known. shares_pids: its processes do not end with its first one."""

    def __init__(
        self, identifier: str, directory: str, cgroups: Cgroups, cgroup: str, holds: list[int], *, shares_pids: bool
    ) -> None:
        self.id = identifier
        self.directory = directory
        self.cgroup = cgroup
        self.shares_pids = shares_pids
        self._cgroups = cgroups
        self._holds = holds
        self.pid = 0
        self.start_time = 0
        self.pidfd = -1
        self.terminal: Terminal | None = None
        self.stdin = -1  # one of holds
        self.ended: Message | None = None
        self._oom_kills_before = 0
        """How many of its processes had been killed for want of memory when we were asked to kill it."""

    @property
    def running(self) -> bool:
        return self.pid > 0 and self.ended is None

    def hand_on(self, pid: int) -> None:
        """The process that was forked has left the program to a child."""
        os.close(self.pidfd)
        self.pid, self.pidfd, self.start_time = pid, -1, process.start_time(pid) or 0
        with contextlib.suppress(ProcessLookupError):  # it has ended, and that is being told
            self.pidfd = os.pidfd_open(pid)

    def write_start(self) -> Message:
        record = {"pid": self.pid, "start_time": self.start_time, "started_at_ns": time.time_ns()}
        layout.write(self.directory, layout.PROCESS_RECORD, record)
        return record

    def signal(self, signum: int) -> None:
        """Its first process."""
        if not self.running:
            return
        if signum == signal.SIGKILL:
            self._oom_kills_before = self._oom_kills()
        process.kill(self.pid, signum)

    def kill(self) -> None:
        """All its processes."""
        self.signal(signal.SIGKILL)
        if self.cgroup:
            self._cgroups.kill(self.cgroup)

    def close_stdin(self) -> None:
        if self.stdin >= 0:
            self._holds.remove(self.stdin)
            os.close(self.stdin)
            self.stdin = -1

    def finish(self, code: int, signum: int) -> Message:
        """Its first process has ended: what is left of it goes, and its record is written."""
        if self.shares_pids and self.cgroup:
            self._cgroups.kill(self.cgroup)
        if self.terminal is not None:
            self.terminal.end()
            self.terminal = None
        return self._write_exit(code, signum, "")

    def fail(self, code: int, reason: str) -> None:
        """It never ran."""
        self._write_exit(code, 0, reason)
        self.let_go()

    def _write_exit(self, code: int, signum: int, reason: str) -> Message:
        oom_kills = self._oom_kills()
        record: Message = {
            "exit_code": code,
            "signal": signum,
            "oom_killed": code == _KILLED and oom_kills > self._oom_kills_before,
            "oom_kills": oom_kills,
            "finished_at_ns": time.time_ns(),
            "reason": reason,
        }
        layout.write(self.directory, layout.EXIT_RECORD, record)
        self.ended = {"container": self.id, **record}
        return self.ended

    def _oom_kills(self) -> int:
        return self._cgroups.oom_kills(self.cgroup) if self.cgroup else 0

    def let_go(self) -> None:
        for fd in self._holds:
            os.close(fd)
        self._holds.clear()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
