"""Containers that begin, end and begin again: create, start, restart, pause, update, rename, restart policies."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.cri.commands import IMAGE, Command
from tests.kernel.daemon import until

pytestmark = pytest.mark.root


def state(command: Command, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(command("inspect", name))[0]
    return document


def pid(command: Command, name: str) -> int:
    return int(state(command, name)["State"]["Pid"])


def shim(command: Command, name: str) -> int:
    """The process that holds its pod."""
    namespaces = json.loads(command("inspect", "-f", "{{json .Runtime.runtimeSpec.linux.namespaces}}", name))
    return next(int(each["path"].split("/")[2]) for each in namespaces if each["type"] == "network")


def test_a_created_container_runs_when_it_is_started(command: Command) -> None:
    identifier = command(
        "create", "--name", "job", IMAGE, "sh", "-c", "echo once >> /runs; wc -l < /runs; exit 4"
    ).strip()
    assert "Created" in command("ps", "-a")
    assert command("ps", "-q") == ""
    assert command("start", "-a", "job", status=4) == "1\n"
    assert command("start", "-a", "job", status=4) == "2\n"  # what it wrote is still there
    assert state(command, "job")["Id"] == identifier
    assert command("logs", "job") == "1\n2\n"
    assert command("rm", "job") == "job\n"
    assert command.daemon.left() == []


def test_start_passes_input_on(command: Command) -> None:
    command("create", "-i", "--name", "count", IMAGE, "wc", "-c")
    assert command("start", "-ai", "count", stdin=b"12345").strip() == "5"
    assert command("start", "-ai", "count", stdin=b"123").strip() == "3"


def test_start_says_what_does_not_work(command: Command) -> None:
    command("create", "--name", "bad", IMAGE, "no-such-program")
    command("start", "bad", status=1)
    assert "executable file not found" in command.said
    command("run", "-d", "--name", "up", IMAGE, "sleep", "100")
    command("start", "up", status=1)
    assert "runs already" in command.said


def test_restart_keeps_address_ports_and_files(command: Command) -> None:
    script = "echo x >> /count; mkdir -p /www; cp /count /www/index.html; exec httpd -f -p 80 -h /www"
    command("run", "-d", "--name", "web", "-p", "8080:80", "--stop-timeout", "0", IMAGE, "sh", "-c", script)
    before = state(command, "web")
    assert command("restart", "web") == "web\n"
    after = state(command, "web")
    assert after["State"]["Pid"] != before["State"]["Pid"]
    assert after["NetworkSettings"]["IPAddress"] == before["NetworkSettings"]["IPAddress"] != ""
    until(lambda: command("exec", "web", "wget", "-qO-", "127.0.0.1:80") == "x\nx\n", "the second start's page")
    assert command("port", "web", "80") == "0.0.0.0:8080\n"


def test_a_failing_container_comes_back_as_often_as_its_policy_says(command: Command) -> None:
    command("run", "-d", "--name", "flaky", "--restart", "on-failure:2", IMAGE, "sh", "-c", "echo try; exit 3")
    until(lambda: command("logs", "flaky") == "try\n" * 3, "three starts")
    until(lambda: state(command, "flaky")["State"]["Status"] == "exited", "its last end")
    assert state(command, "flaky")["RestartCount"] == 2
    command("run", "-d", "--name", "fine", "--restart", "on-failure", IMAGE, "true")
    assert command("wait", "fine") == "0\n"
    assert state(command, "fine")["RestartCount"] == 0


def test_a_policy_outlives_the_daemon(command: Command) -> None:
    for name, policy in (("always", "always"), ("unless", "unless-stopped"), ("gone", "always"), ("plain", "no")):
        command("run", "-d", "--name", name, "--restart", policy, IMAGE, "sleep", "1000")
    command("stop", "-t", "0", "gone", "unless")
    first, plain = pid(command, "always"), pid(command, "plain")
    command.daemon.kill()
    os.kill(first, signal.SIGKILL)
    os.kill(plain, signal.SIGKILL)
    command.daemon.start()
    until(lambda: pid(command, "always") not in (0, first), "the one that ended while no daemon ran")
    until(lambda: pid(command, "gone") != 0, "the one stopped by hand: always means also after a new daemon")
    assert state(command, "unless")["State"]["Status"] == "exited"
    assert state(command, "plain")["State"]["Status"] == "exited"


def test_who_stops_a_container_is_obeyed(command: Command) -> None:
    command("run", "-d", "--name", "stays", "--restart", "always", IMAGE, "sleep", "1000")
    before = pid(command, "stays")
    os.kill(before, signal.SIGKILL)
    until(lambda: pid(command, "stays") not in (0, before), "it to come back")
    command("kill", "stays")
    assert command("wait", "stays") == "137\n"
    assert state(command, "stays")["State"]["Status"] == "exited"
    command("start", "stays")
    again = pid(command, "stays")
    os.kill(again, signal.SIGKILL)
    until(lambda: pid(command, "stays") not in (0, again), "it to come back after a start by hand")
    command("update", "--restart", "no", "stays")
    os.kill(pid(command, "stays"), signal.SIGKILL)
    assert command("wait", "stays") == "137\n"
    assert state(command, "stays")["State"]["Status"] == "exited"


def test_a_pod_that_died_is_made_anew(command: Command) -> None:
    command("run", "-d", "--name", "kept", IMAGE, "sh", "-c", "echo x >> /count; exec sleep 1000")
    os.kill(shim(command, "kept"), signal.SIGKILL)
    until(lambda: state(command, "kept")["State"]["Status"] == "exited", "its end")
    assert command("start", "kept") == "kept\n"
    assert command("exec", "kept", "cat", "/count") == "x\nx\n"
    assert command("exec", "kept", "ip", "addr").count("eth0") >= 1


def test_what_a_container_wrote_survives_a_daemon_killed_while_it_starts_again(command: Command) -> None:
    identifier = command("run", "-d", "--name", "kept", IMAGE, "sh", "-c", "echo x >> /count; cat /count").strip()
    command("wait", "kept")
    os.kill(shim(command, "kept"), signal.SIGKILL)
    command.daemon.kill()
    state_directory = command.daemon.base / "root/state/sandboxes"
    for directory in state_directory.glob(f"*/containers/{identifier}"):  # as if it had died between remove and create
        shutil.rmtree(directory)
    command.daemon.start()
    assert command("start", "-a", "kept") == "x\nx\n"


def test_pause_stops_everything_and_unpause_lets_it_go_on(command: Command) -> None:
    ticking = "i=0; while true; do i=$((i+1)); echo $i > /ticks; usleep 10000; done"
    command("run", "-d", "--name", "clock", IMAGE, "sh", "-c", ticking)

    def ticks() -> int:
        root = f"/proc/{pid(command, 'clock')}/root/ticks"
        return int(Path(root).read_text() or 0) if os.path.exists(root) else 0

    until(ticks, "it to tick")
    assert command("pause", "clock") == "clock\n"
    assert "(Paused)" in command("ps") and command("ps", "-q", "--filter", "status=paused")
    held = ticks()
    command("exec", "clock", "true", status=1)
    assert "paused" in command.said
    command("pause", "clock", status=1)
    assert ticks() == held
    command("unpause", "clock")
    until(lambda: ticks() > held, "it to go on")
    command("pause", "clock")
    command("rm", "-f", "clock")
    assert command.daemon.left() == []


def test_limits_of_a_running_container_change_and_stay(command: Command) -> None:
    command("run", "-d", "--name", "small", "-m", "64m", "--pids-limit", "50", IMAGE, "sleep", "1000")
    command("update", "-m", "96m", "--cpus", ".5", "--pids-limit", "60", "small")
    config = state(command, "small")["HostConfig"]
    assert (config["Memory"], config["NanoCpus"], config["PidsLimit"]) == (96 << 20, 500_000_000, 60)

    def limit() -> str:
        names = ("memory/memory.limit_in_bytes", "memory.max")
        script = "; ".join(f"cat /sys/fs/cgroup/{name} 2>/dev/null" for name in names)
        return command("exec", "small", "sh", "-c", f"{script}; true").strip()

    assert limit() == str(96 << 20)
    command("restart", "-t", "0", "small")
    assert limit() == str(96 << 20)
    command("update", "small", status=1)
    assert "nothing to change" in command.said


def test_rename_and_top(command: Command) -> None:
    command("run", "-d", "--name", "before", IMAGE, "sleep", "1000")
    command("run", "-d", "--name", "other", IMAGE, "sleep", "1000")
    command("rename", "before", "after")
    assert command("exec", "after", "echo", "hello") == "hello\n"
    command("inspect", "before", status=1)
    command("rename", "after", "other", status=1)
    assert "in use" in command.said
    lines = command("top", "after").splitlines()
    assert lines[0].split() == ["UID", "PID", "PPID", "STAT", "STIME", "TIME", "CMD"]
    assert lines[1].split()[1] == str(pid(command, "after")) and lines[1].endswith("sleep 1000")


def test_removal_of_a_detached_session(command: Command) -> None:
    """``--rm`` is kept by the daemon, also when the user has detached."""
    terminal = command.on_terminal(
        "run", "-it", "--rm", "--name", "left", IMAGE, "sh", "-c", "echo ready; read a; exit 3"
    )
    terminal.see(b"ready")
    terminal.type(b"\x10\x11")
    assert terminal.ended() == 0
    command("kill", "left")
    until(lambda: command("ps", "-aq") == "", "its removal")
    until(lambda: command.daemon.left() == [], "what was made for it")
