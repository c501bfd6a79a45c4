"""Keeps a local cluster's processes running.

``python -m knarr_cli.cluster.supervisor DATA_DIR``. It starts every process of ``cluster.json``, restarts one that
ends (at once the first time, then with a growing pause), and adopts those that a killed predecessor left running.
SIGTERM stops the processes in reverse order and ends it; kill -9 leaves them running. A node that has an off-mark
(``run/<node>.off``) is left stopped: that is how ``knarr node kill`` takes one down. SIGHUP reads cluster.json again.

States of a process: running ── ends ──► waiting (pause) ──► running; off while its node is marked off.
Standard library only, and single-threaded: it waits on pidfds, a timer and a signal pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from knarr_cli.cluster import cgroups
from knarr_cli.cluster.state import LocalCluster, Process, read_pid_file, write_pid_file

ENTER = Path(__file__).with_name("enter.py")
FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S = 0.1, 10.0, 30.0
STOP_TIMEOUT_S = 5.0


@dataclass
class Child:
    """One process as the supervisor sees it. pidfd is -1 while it does not run."""

    process: Process
    pid: int = 0
    pidfd: int = -1
    popen: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause_s: float = 0.0
    due_at: float = 0.0


class Supervisor:
    """Owns the children of one cluster. All methods run on one thread."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.children: dict[str, Child] = {}
        self.stopping = False
        self.reload = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "stopping", True))
        signal.signal(signal.SIGHUP, lambda *_: setattr(self, "reload", True))
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._adopt_or_add()
        while not self.stopping:
            if self.reload:
                self.reload = False
                self.cluster = LocalCluster.load(self.cluster.data_dir)
                self._adopt_or_add()
            timeout_s = self._start_due()
            running = {child.pidfd: child for child in self.children.values() if child.pidfd >= 0}
            ready, _, _ = select.select([read_end, *running], [], [], timeout_s)
            for descriptor in ready:
                if descriptor == read_end:
                    with contextlib.suppress(BlockingIOError):
                        os.read(read_end, 4096)
                else:
                    self._ended(running[descriptor])
        self._stop_all()

    def _adopt_or_add(self) -> None:
        wanted = {process.name: process for process in self.cluster.processes}
        for name in [name for name in self.children if name not in wanted]:
            self._stop(self.children.pop(name))
        for name, process in wanted.items():
            if name in self.children:
                continue
            child = self.children[name] = Child(process)
            pid = read_pid_file(self._pid_file(child))
            if pid is not None:
                child.pid, child.pidfd, child.started_at = pid, os.pidfd_open(pid), time.monotonic()

    def _start_due(self) -> float | None:
        """Start what is due; answer in how many seconds the next one is."""
        now = time.monotonic()
        waits = []
        for child in self.children.values():
            if child.pidfd >= 0:
                continue
            if child.process.node and (self.cluster.run_dir / f"{child.process.node}.off").exists():
                continue  # until SIGHUP says that the mark is gone
            if child.due_at > now:
                waits.append(child.due_at - now)
            else:
                self._start(child)
        return min(waits, default=None)

    def _start(self, child: Child) -> None:
        process = child.process
        relative = f"{self.cluster.name}/{process.cgroup or process.name}"
        cgroups.make(self.cluster.cgroup_parents, relative)
        argv = [sys.executable, "-I", "-S", str(ENTER), process.netns, relative]
        argv += [json.dumps(self.cluster.cgroup_parents), *process.argv]
        self.cluster.log_dir.mkdir(mode=0o700, exist_ok=True)
        with open(self.cluster.log_dir / f"{process.name}.log", "ab") as log:
            child.popen = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, close_fds=True
            )
        child.pid, child.pidfd = child.popen.pid, os.pidfd_open(child.popen.pid)
        child.started_at = time.monotonic()
        write_pid_file(self._pid_file(child), child.pid)

    def _ended(self, child: Child) -> None:
        self._forget(child)
        now = time.monotonic()
        if now - child.started_at > STEADY_S:
            child.pause_s = 0.0
        child.due_at = now + child.pause_s
        child.pause_s = min(max(child.pause_s * 2, FIRST_PAUSE_S), LONGEST_PAUSE_S)

    def _stop_all(self) -> None:
        """Agents, then runtimes, then the control plane: the order of cluster.json backwards."""
        for name in reversed([process.name for process in self.cluster.processes]):
            if name in self.children:
                self._stop(self.children[name])

    def _stop(self, child: Child) -> None:
        if child.pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(child.pidfd, signal.SIGTERM)
            if not select.select([child.pidfd], [], [], STOP_TIMEOUT_S)[0]:
                signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
                select.select([child.pidfd], [], [], STOP_TIMEOUT_S)
        self._forget(child)

    def _forget(self, child: Child) -> None:
        if child.popen is not None:
            child.popen.wait()
            child.popen = None
        os.close(child.pidfd)
        child.pid, child.pidfd = 0, -1
        self._pid_file(child).unlink(missing_ok=True)

    def _pid_file(self, child: Child) -> Path:
        return self.cluster.run_dir / f"{child.process.name}.pid"


def main(data_dir: str) -> int:
    """Exit status 1 when another supervisor holds the data directory."""
    cluster = LocalCluster.load(data_dir)
    cluster.run_dir.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(cluster.run_dir / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"data directory {data_dir} is in use by another supervisor", file=sys.stderr)
        return 1
    write_pid_file(cluster.run_dir / "supervisor.pid", os.getpid())
    try:
        Supervisor(cluster).run()
    finally:
        (cluster.run_dir / "supervisor.pid").unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
