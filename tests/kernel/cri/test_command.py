"""``knarr-runtime``'s verbs as people type them, on a daemon of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.cri.commands import IMAGE, PATIENCE_S, Command
from tests.kernel.daemon import until

pytestmark = pytest.mark.root


def test_run_gives_the_output_and_the_exit_status(command: Command) -> None:
    assert command("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 42", status=42) == "out\n"
    assert command.said == "err\n"
    assert command("ps", "-aq") == ""


def test_run_with_input_ends_with_it(command: Command) -> None:
    assert command("run", "-i", "--rm", IMAGE, "wc", "-c", stdin=b"x" * 100_000).strip() == "100000"


def test_a_shell_on_a_terminal(command: Command) -> None:
    terminal = command.on_terminal("run", "-it", "--rm", "--name", "shell", IMAGE, "sh")
    terminal.see(b"# ")
    terminal.type(b"echo $((6*7)); hostname | wc -c; tty\r")
    terminal.see(b"42\r\n")
    terminal.see(b"/dev/pts/0")
    terminal.type(b"exit 3\r")
    assert terminal.ended() == 3


def test_keys_detach_and_attach_comes_back(command: Command) -> None:
    script = "read a; echo got $a; read b; echo then $a$b; exit 5"
    terminal = command.on_terminal("run", "-it", "--name", "kept", IMAGE, "sh", "-c", script)
    terminal.type(b"17\r")
    terminal.see(b"got 17")
    terminal.type(b"\x10\x11")
    assert terminal.ended() == 0
    assert "Up" in command("ps")
    again = command.on_terminal("attach", "kept")
    again.type(b"18\r")
    again.see(b"then 1718")
    assert again.ended() == 5
    assert command("wait", "kept") == "5\n"


def test_missing_commands_have_the_exit_statuses_of_shells(command: Command) -> None:
    command("run", "--rm", IMAGE, "no-such-program", status=127)
    assert "executable file not found" in command.said
    command("run", "--rm", IMAGE, "/etc", status=126)
    command("run", "--rm", "-m", "64x", IMAGE, "true", status=125)
    assert "64m" in command.said
    command("run", "--rm", "--pull", "never", "nobody/knows:1", "true", status=125)
    assert "No such image" in command.said
    assert command("ps", "-aq") == ""
    assert command.daemon.left() == []


def test_life_of_a_container_in_the_background(command: Command, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("from the host")
    identifier = command(
        *("run", "-d", "--name", "web", "-p", "8080:80", "-m", "64m", "--cpus", ".5", "-e", "COLOUR=blue"),
        *("-v", f"{tmp_path}:/given:ro", "-w", "/tmp", "-l", "tier=front", "-h", "harbour", IMAGE),
        *("sh", "-c", "echo $COLOUR; hostname; pwd; cat /given/given; echo; exec httpd -f -p 80"),
    ).strip()
    until(lambda: command("logs", "web").endswith("from the host\n"), "its output")
    assert command("logs", "-n", "3", "web") == "harbour\n/tmp\nfrom the host\n"
    line = command("ps").splitlines()[1]
    assert line.startswith(identifier[:12])
    assert "0.0.0.0:8080->80/tcp" in line and line.endswith("web")
    assert command("ps", "-q", "--filter", "label=tier=front").strip() == identifier[:12]
    assert command("port", "web") == "80/tcp -> 0.0.0.0:8080\n"
    assert command(
        "exec", "-e", "SHADE=dark", "-w", "/", "-u", "7:8", "web", "sh", "-c", "echo $SHADE; pwd; id -u; id -g"
    )
    assert command("exec", "web", "sh", "-c", "exit 9", status=9) == ""
    assert command("exec", "-i", "web", "cat", stdin=b"through") == "through"
    document = json.loads(command("inspect", "web"))[0]
    assert document["Name"] == "web" and document["Id"] == identifier
    statistics = json.loads(command("stats", "--no-stream", "-o", "json"))
    assert statistics[0]["name"] == "web"
    command("rm", "web", status=1)
    assert "stop it first" in command.said
    assert command("kill", "-s", "TERM", "web") == "web\n"
    assert command("rm", "-f", "web") == "web\n"
    assert command.daemon.left() == []


def test_rm_in_the_background_removes_by_itself(command: Command) -> None:
    command("run", "-d", "--rm", IMAGE, "true")
    until(lambda: command("ps", "-aq") == "", "its removal")
    until(lambda: command.daemon.left() == [], "what was made for it")


def test_names_and_ids_are_told_apart(command: Command) -> None:
    command("run", "-d", "--name", "one", IMAGE, "sleep", "100")
    command("run", "-d", "--name", "one", IMAGE, "true", status=125)
    assert "in use" in command.said
    command("logs", "two", status=1)
    assert "No such container: two" in command.said
    command("stop", "-t", "0", "one", "two", status=1)
    assert "No such container: two" in command.said
    command("rm", "one")


def test_without_a_daemon_it_says_what_to_do(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "knarr_runtime", "--socket", str(tmp_path / "none"), "ps"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 125
    assert "start one with 'knarr-runtime serve'" in done.stderr


def test_names_of_images_come_and_go(command: Command, tmp_path: Path) -> None:
    command("tag", IMAGE, "team/box:2")
    assert "team/box" in command("images")
    command("run", "-d", "--name", "user", IMAGE, "sleep", "100")
    assert command("rmi", "team/box:2") == "Untagged: team/box:2\n"
    command("rmi", IMAGE, "nobody/knows:1", status=1)
    assert "in use" in command.said and "No such image: nobody/knows:1" in command.said
    archive = tmp_path / "box.tar"
    command("save", "-o", str(archive), IMAGE)
    command("rm", "-f", "user")
    assert "Deleted: sha256:" in command("rmi", IMAGE)
    assert IMAGE.partition(":")[0] not in command("images")
    assert command("load", "-q", "-i", str(archive)) == f"docker.io/{IMAGE}\n"
    assert json.loads(command("inspect", IMAGE))[0]["Os"] == "linux"
    command("pull", "127.0.0.1:1/none:1", status=1)
    assert "connection refused" in command.said
