"""The zygote's care for the log reader: one is always running, and never two."""

from __future__ import annotations

import os
import signal
import time

from knarr_runtime import layout
from knarr_runtime.kernel import process, syscalls
from knarr_runtime.logs import reader
from knarr_runtime.loop import Loop

_RESTART_S = 0.2


class LogReader:
    """host_mounts: the mount namespace it works in, where logs are written."""

    def __init__(self, loop: Loop, state_dir: str, version: str, host_mounts: int) -> None:
        self._loop = loop
        self._state_dir = state_dir
        self._version = version
        self._host_mounts = host_mounts
        self._pid = 0
        self._pidfd = -1
        self._started_s = 0.0
        self._adopt()

    def _adopt(self) -> None:
        """One that an earlier zygote started goes on, or is ended if it is of another version.

        Unless it is our child its end is seen by its pidfd. The next one begins when it has ended: two would write
        every line twice.
        """
        found = layout.identity(self._state_dir, layout.LOGS_RECORD)
        if found is None or not process.is_same(*found):
            return
        self._pid = found[0]
        record = layout.read_whole(self._state_dir, layout.LOGS_RECORD)
        if record is None or record.get("version") != self._version:
            process.kill(self._pid, signal.SIGTERM)
        if not process.is_child(self._pid):
            self._pidfd = os.pidfd_open(self._pid)
            self._loop.add(self._pidfd, self._gone)

    def _gone(self, _: int) -> None:
        self._loop.remove(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._pid = 0

    def ended(self, pid: int) -> bool:
        """A child of the zygote has; False if it was not the reader."""
        if pid != self._pid:
            return False
        self._pid = 0
        return True

    def ensure(self) -> float | None:
        """Starts it if it is missing; the seconds to wait if the last one was started just now."""
        if self._pid:
            return None
        wait_s = self._started_s + _RESTART_S - time.monotonic()
        if wait_s > 0:
            return wait_s
        self._started_s = time.monotonic()
        pid = syscalls.clone3(0)
        if pid == 0:
            try:
                os.setsid()
                process.close_all_but({self._host_mounts})
                syscalls.setns(self._host_mounts, syscalls.CLONE_NEWNS)
                reader.main(self._state_dir, self._version)
            finally:
                os._exit(0)
        self._pid = pid
        return None

    def end(self) -> None:
        if not self._pid:
            return
        process.kill(self._pid, signal.SIGTERM)
        if self._pidfd < 0:  # our child, so ours to bury
            os.waitpid(self._pid, 0)
