"""``knarr-runtime`` as people type it, against a daemon of the test's own."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time

from tests.kernel.cri.conftest import Daemon
from tests.slowness import patient

IMAGE = "knarr/busybox:1"
PATIENCE_S = patient(20.0)


class Command:
    """Runs the command against the daemon, in its network namespace: there the streaming server listens."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.environment = {**os.environ, "KNARR_RUNTIME_SOCKET": str(daemon.socket)}

    def words(self, *words: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.daemon.name}", sys.executable, "-m", "knarr_runtime", *words]

    def __call__(self, *words: str, stdin: bytes = b"", status: int | None = 0) -> str:
        done = subprocess.run(
            self.words(*words), input=stdin, capture_output=True, env=self.environment, timeout=PATIENCE_S, check=False
        )
        assert status in (None, done.returncode), (done.returncode, done.stdout, done.stderr)
        self.said = done.stderr.decode()
        return done.stdout.decode()

    def tried(self, *words: str) -> int:
        """The exit status of a command that may fail."""
        return subprocess.run(
            self.words(*words), capture_output=True, env=self.environment, timeout=PATIENCE_S, check=False
        ).returncode

    def on_terminal(self, *words: str) -> Terminal:
        return Terminal(self.words(*words), self.environment)


class Terminal:
    """A user at a terminal."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        pid, self.master = pty.fork()
        if pid == 0:
            os.execvpe(words[0], words, environment)
        self.pid = pid
        self.seen = b""

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def see(self, text: bytes) -> None:
        """Wait until it is shown."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.seen:
            assert select.select([self.master], [], [], deadline - time.monotonic())[0], self.seen
            self.seen += os.read(self.master, 4096)

    def ended(self) -> int:
        """The exit status; what is still shown is taken."""
        try:
            while select.select([self.master], [], [], PATIENCE_S)[0]:
                self.seen += os.read(self.master, 4096)
        except OSError:
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.master)
        return os.waitstatus_to_exitcode(status)
