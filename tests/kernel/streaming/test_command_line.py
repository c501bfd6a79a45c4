"""``knarr-runtime run``, ``exec`` and ``attach`` on the daemon's streaming server, on its loopback address."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.kernel.cri.conftest import Daemon

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def on_loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    own = Daemon(tmp_path_factory.mktemp("loopback"))
    try:
        own.start()
        own.import_busybox()
        own_loopback = ["nsenter", f"--net=/run/netns/{own.name}", "ip", "link", "set", "lo", "up"]
        subprocess.run(own_loopback, check=True)
        yield own
        assert "Traceback" not in (own.base / "log").read_text()
    finally:
        own.close()


def run(daemon: Daemon, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = ["nsenter", f"--net=/run/netns/{daemon.name}", sys.executable, "-m", "knarr_runtime"]
    command += ["--socket", str(daemon.socket), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=30, check=False)


def test_run_passes_input_output_and_exit_code(on_loopback: Daemon) -> None:
    script = "cat; echo err >&2; exit 3"
    result = run(on_loopback, "run", "-i", "--rm", "knarr/busybox:1", "sh", "-c", script, stdin=b"piped\n")
    assert (result.stdout, result.stderr, result.returncode) == (b"piped\n", b"err\n", 3)


def test_run_misses_nothing_of_the_first_output(on_loopback: Daemon) -> None:
    for number in range(10):
        result = run(on_loopback, "run", "--rm", "knarr/busybox:1", "echo", str(number))
        assert (result.stdout, result.returncode) == (f"{number}\n".encode(), 0), result


def test_exec_passes_input_output_and_exit_code(on_loopback: Daemon) -> None:
    started = run(on_loopback, "run", "-d", "knarr/busybox:1", "sleep", "1000")
    assert started.returncode == 0, started
    identifier = started.stdout.decode().strip()
    result = run(on_loopback, "exec", "-i", identifier, "sh", "-c", "cat; exit 4", stdin=b"piped\n")
    assert (result.stdout, result.returncode) == (b"piped\n", 4), result
    script = "echo $WORD $(pwd) $(id -u):$(id -g)"
    options = ("-e", "WORD=said", "-w", "/tmp", "-u", "65534:7")
    assert run(on_loopback, "exec", *options, identifier, "sh", "-c", script).stdout == b"said /tmp 65534:7\n"
    assert b"unable to find user nobody-here" in run(on_loopback, "exec", "-u", "nobody-here", identifier, "id").stderr
    assert run(on_loopback, "rm", "-f", identifier).returncode == 0
