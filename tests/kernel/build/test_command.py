"""``knarr-runtime build`` on a real daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.processes import running, said_until

COMMAND = Path(sys.executable).parent / "knarr-runtime"


def run(daemon: Any, *words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "-H", str(daemon.socket), "build", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_a_directory_with_its_ignore_file(daemon: Any, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text("FROM base\nARG FROM_ENV\nCOPY . /c\nRUN find /c -type f; echo $FROM_ENV\n")
    (context / ".dockerignore").write_text("**/*.md\nDockerfile\n")
    words = ("-t", "cmd:1", "--build-arg", "FROM_ENV", "--iidfile", str(tmp_path / "id"), str(context))
    done = run(daemon, *words, FROM_ENV="taken")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (tmp_path / "id").read_text()
    lines = done.stderr.splitlines()
    assert {"/c/src/a.txt", "/c/x.tgz", "/c/.dockerignore", "taken"} <= set(lines)
    assert not {"/c/src/deep/b.md", "/c/Dockerfile"} & set(lines)
    assert lines[-1] == "Successfully tagged docker.io/library/cmd:1"


def test_a_dockerfile_on_standard_input(daemon: Any, context: Path) -> None:
    done = run(daemon, "-q", "-f", "-", str(context), stdin="FROM base\nCOPY src/a.txt /\nRUN cat /a.txt\n")
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith("sha256:")


def test_what_goes_wrong(daemon: Any, context: Path) -> None:
    done = run(daemon, "-", stdin="FROM base\nRUN exit 7\n")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "knarr-runtime: Dockerfile:2: the command '/bin/sh -c exit 7' returned a non-zero code: 7"
    )
    (context / "src/unreadable").symlink_to("/nowhere")
    done = run(daemon, str(context))
    assert done.returncode == 1 and "unable to read the Dockerfile" in done.stderr
    assert "NAME=VALUE" in run(daemon, "--label", "=x", "-", stdin="FROM base\n").stderr


def test_programs_cannot_steer_the_terminal(daemon: Any) -> None:
    done = run(daemon, "-", stdin="FROM base\nRUN printf '\\033]0;title\\007\\033[2Jx\\033[31mred\\033[0m\\n'\n")
    assert "\x1b[31mred\x1b[0m" in done.stderr
    assert "\x1b]0;" not in done.stderr and "\x1b[2J" not in done.stderr


def test_an_interrupt_ends_the_build(daemon: Any) -> None:
    words = [COMMAND, "-H", str(daemon.socket), "build", "-"]
    with running(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdin is not None
        process.stdin.write(b"FROM base\nRUN echo running; sleep 600\n")
        process.stdin.close()
        said_until(process, "running\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    daemon.until(lambda: daemon.left() == [], "the program to be killed")
