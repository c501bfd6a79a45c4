"""An unchanged kubectl through the streaming server: exec."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.kernel.daemon import until
from tests.kernel.streaming.conftest import Box, Kubectl

pytestmark = pytest.mark.root
BIG_BYTES = 20 << 20


class Terminal:
    """kubectl on a terminal of its own."""

    def __init__(self, kubectl: Kubectl, rows: int, columns: int, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        os.set_blocking(self.master, False)
        self.resize(rows, columns)
        command = ["setsid", "--ctty", *kubectl.command(*arguments)]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=kubectl.environment)
        os.close(slave)
        self.seen = ""

    def resize(self, rows: int, columns: int) -> None:
        subprocess.run(["stty", "rows", str(rows), "cols", str(columns)], stdin=self.master, check=True)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, text: str) -> None:
        deadline = time.monotonic() + 15
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} has not appeared in {self.seen!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self.master, 65536).decode(errors="replace")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@contextlib.contextmanager
def terminal(kubectl: Kubectl, *arguments: str, rows: int = 31, columns: int = 101) -> Iterator[Terminal]:
    own = Terminal(kubectl, rows, columns, *arguments)
    try:
        yield own
    finally:
        own.close()


def running(box: Box, name: str) -> int:
    """How many processes of the container have that name."""
    return int(box.run("sh", "-c", f"pidof {name} | wc -w"))


def test_exec_keeps_stdout_stderr_and_exit_code_apart(kubectl: Kubectl) -> None:
    result = kubectl("exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.stdout, result.returncode) == (b"out\n", 7)
    assert result.stderr.startswith(b"err\n")
    assert b"exit code 7" in result.stderr


def test_exec_passes_stdin_and_its_end(kubectl: Kubectl) -> None:
    result = kubectl("exec", "-i", "web", "--", "sh", "-c", "cat; echo done", stdin=b"piped\n")
    assert (result.stdout, result.returncode) == (b"piped\ndone\n", 0)


def test_exec_of_what_does_not_exist_fails_with_the_reason(kubectl: Kubectl) -> None:
    result = kubectl("exec", "web", "--", "/missing")
    assert result.returncode == 1
    assert b"error executing command in container" in result.stderr
    assert b"/missing" in result.stderr


def test_much_output_arrives_whole(kubectl: Kubectl) -> None:
    result = kubectl("exec", "web", "--", "head", "-c", str(BIG_BYTES), "/dev/zero")
    assert (len(result.stdout), result.returncode) == (BIG_BYTES, 0)


def test_much_input_arrives_whole(kubectl: Kubectl) -> None:
    data = os.urandom(BIG_BYTES)
    result = kubectl("exec", "-i", "web", "--", "sha256sum", stdin=data)
    assert result.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_a_child_that_keeps_the_streams_open_keeps_no_client_waiting(kubectl: Kubectl, box: Box) -> None:
    result = kubectl("exec", "web", "--", "sh", "-c", "tail -f /dev/null & echo started", timeout_s=10)
    assert (result.stdout, result.returncode) == (b"started\n", 0)
    assert running(box, "tail") == 1


def test_a_terminal_has_the_size_of_the_client_and_follows_it(kubectl: Kubectl) -> None:
    with terminal(kubectl, "exec", "-it", "web", "--", "sh") as shell:
        shell.expect("# ")
        shell.type("until [ \"$(stty size)\" = '31 101' ]; do usleep 10000; done; echo fi''rst\n")
        shell.expect("first")
        shell.resize(44, 88)
        shell.type("until [ \"$(stty size)\" = '44 88' ]; do usleep 10000; done; echo sec''ond\n")
        shell.expect("second")
        shell.type("exit 5\n")
        shell.expect("exit code 5")
        assert shell.process.wait(timeout=10) == 5


def test_control_c_reaches_the_terminals_process(kubectl: Kubectl) -> None:
    script = "trap 'echo caught; exit 9' INT; echo re''ady; sleep 100 & wait"
    with terminal(kubectl, "exec", "-it", "web", "--", "sh", "-c", script) as own:
        own.expect("ready")
        own.type("\x03")
        own.expect("caught")
        assert own.process.wait(timeout=10) == 9


def test_a_client_that_leaves_hangs_up_the_terminal(kubectl: Kubectl, box: Box) -> None:
    with terminal(kubectl, "exec", "-it", "web", "--", "sh", "-c", "echo re''ady; exec tail -f /dev/null") as own:
        own.expect("ready")
        assert running(box, "tail") == 1
    until(lambda: running(box, "tail") == 0, "the terminal's process to be hung up")


def test_a_client_that_leaves_closes_the_streams(kubectl: Kubectl, box: Box) -> None:
    process = kubectl.start(
        "exec", "-i", "web", "--", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"x\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"x\n"
    process.kill()
    process.communicate()
    until(lambda: running(box, "cat") == 0, "cat to read the end of its stdin")


def test_many_at_once_get_each_their_own(kubectl: Kubectl) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = [kubectl.start("exec", "web", "--", "sh", "-c", f"echo {i}; exit {i}", **pipes) for i in range(12)]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in started]
    assert [(stdout, code) for stdout, _, code in ended] == [(f"{i}\n".encode(), i) for i in range(12)], ended
