"""Options of run, each seen from inside of the container; and those that are refused."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from tests.kernel.cri.commands import IMAGE, Command
from tests.kernel.daemon import until

pytestmark = pytest.mark.root


def sh(command: Command, script: str, *options: str) -> str:
    return command("run", "--rm", *options, IMAGE, "sh", "-c", script)


def test_mounts_in_memory(command: Command) -> None:
    script = (
        "mount | grep ' /scratch '; df -k /scratch /dev/shm | awk 'NR>1{print $2}'; touch /scratch/x && echo written"
    )
    said = sh(command, script, "--tmpfs", "/scratch:size=2m,mode=1777", "--shm-size", "3m").splitlines()
    assert "tmpfs" in said[0] and "noexec" in said[0] and "nosuid" in said[0]
    assert said[1:] == ["2048", "3072", "written"]
    said = sh(command, "mount | grep ' /scratch '", "--mount", "type=tmpfs,dst=/scratch,tmpfs-size=1m,ro")
    assert "ro," in said
    for wrong in ("scratch", "/scratch:sise=2m"):
        command("run", "--tmpfs", wrong, IMAGE, status=125)
    command("run", "-v", "/x", "--tmpfs", "/x", IMAGE, status=125)
    assert "duplicate mount point" in command.said


def test_bind_mounts_in_long_form(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("given\n")
    mount = f"type=bind,source={tmp_path},target=/given,readonly"
    assert sh(command, "cat /given/file; touch /given/x 2>&1 | grep -c Read-only", "--mount", mount) == "given\n1\n"
    command("run", "--mount", "type=bind,source=relative,target=/x", IMAGE, status=125)
    command("run", "--mount", "type=bind,source=/x,target=/x,colour=red", IMAGE, status=125)
    assert "colour" in command.said


def test_limits_of_processes(command: Command) -> None:
    assert (
        sh(command, "ulimit -Sn; ulimit -Hn; ulimit -c", "--ulimit", "nofile=100:200", "--ulimit", "core=0")
        == "100\n200\n0\n"
    )
    script = "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null; true"
    assert sh(command, script, "--pids-limit", "33") == "33\n"
    command("run", "--ulimit", "files=1", IMAGE, status=125)
    command("run", "--ulimit", "nofile=3:2", IMAGE, status=125)


def test_names_and_hosts(command: Command) -> None:
    said = sh(
        *(command, "hostname; cat /etc/hosts /etc/resolv.conf"),
        *(
            "-h",
            "ship",
            "--add-host",
            "db:10.1.2.3",
            "--dns",
            "9.9.9.9",
            "--dns-search",
            "example",
            "--dns-option",
            "ndots:2",
        ),
    )
    assert said.startswith("ship\n") and "10.1.2.3\tdb\n" in said
    assert "nameserver 9.9.9.9\n" in said and "search example\n" in said and "options ndots:2\n" in said
    assert sh(command, "hostname", "--uts", "host").strip() == socket.gethostname()
    command("run", "--add-host", "db:nowhere", IMAGE, status=125)


def test_networks(command: Command) -> None:
    assert sh(command, "ls /sys/class/net; cat /etc/hosts | wc -l", "--network", "none") == "lo\n2\n"
    command(
        "run", "-d", "--name", "server", "--network", "none", IMAGE, "httpd", "-f", "-p", "127.0.0.1:80", "-h", "/etc"
    )
    assert "root" in sh(command, "wget -qO- 127.0.0.1/passwd", "--network", "container:server")
    command("run", "--network", "none", "-p", "80", IMAGE, status=125)
    command("run", "--network", "container:server", "--add-host", "a:1.2.3.4", IMAGE, status=125)
    command("run", "--network", "mine", IMAGE, status=125)
    assert "bridge, none, host and container:NAME" in command.said
    own = os.readlink(f"/proc/{command.daemon.process.pid}/ns/net")
    assert sh(command, "readlink /proc/self/ns/net", "--network", "host").strip() == own


def test_init_takes_in_orphans(command: Command) -> None:
    orphan = "(sleep 0.05 & ) ; sleep 0.3; ps -o stat | grep -c Z; echo $$"
    zombies, own = sh(command, orphan, "--init").split()
    assert zombies == "0" and own != "1"


def test_users_environment_and_labels(command: Command, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# note\nA=1\nB=2\n")
    script = "echo $A $B; id -u; id -g; id -G; pwd"
    options = ("--env-file", f"{tmp_path}/env", "-e", "B=3", "-u", "7:8", "--group-add", "99", "-w", "/tmp")
    assert sh(command, script, *options) == "1 3\n7\n8\n8 99\n/tmp\n"
    command(
        "create", "--name", "named", "-l", "tier=front", "--stop-signal", "INT", "--stop-timeout", "3", IMAGE, "true"
    )
    document = json.loads(command("inspect", "named"))[0]
    assert document["Config"]["Labels"] == {"tier": "front"} and document["Config"]["StopTimeout"] == 3


def test_the_stop_signal_is_sent(command: Command) -> None:
    script = "trap 'echo asked; exit 7' INT; while :; do usleep 10000; done"
    for name in ("INT", "SIGINT"):
        command("run", "-d", "--name", name, "--stop-signal", name, IMAGE, "sh", "-c", f"echo up; {script}")
        until(lambda one=name: command("logs", one) == "up\n", "its trap")  # type: ignore[misc]
        command("stop", name)
        assert command("logs", name) == "up\nasked\n" and command("wait", name) == "7\n"


def test_privileges(command: Command) -> None:
    caps = "grep CapEff /proc/self/status | cut -f2"
    assert int(sh(command, caps, "--cap-drop", "ALL"), 16) == 0
    assert int(sh(command, caps, "--cap-drop", "ALL", "--cap-add", "NET_ADMIN"), 16) == 1 << 12
    assert (
        sh(command, "touch /x 2>&1 | grep -c Read-only; touch /tmp/y && echo ok", "--read-only", "--tmpfs", "/tmp")
        == "1\nok\n"
    )
    assert sh(command, "grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges").split()[1] == "1"
    assert sh(command, "test -c /dev/fuse && echo there", "--device", "/dev/null:/dev/fuse") == "there\n"
    mine = os.readlink("/proc/self/ns/pid")
    assert sh(command, "readlink /proc/self/ns/pid", "--pid", "host").strip() == mine


def test_what_is_not_supported_is_named(command: Command) -> None:
    for option, said in (
        ("--health-cmd=true", "--health-cmd is not supported: nothing looks after a container's health"),
        ("--gpus=all", "--gpus is not supported: write --device"),
        ("--link=a", "--link is not supported"),
    ):
        command("run", option, IMAGE, "true", status=125)
        assert said in command.said
    command("create", "--no-such-option", IMAGE, status=125)
    assert "No such option" in command.said
    command("run", "--restart", "sometimes", IMAGE, status=125)
    command("run", "--rm", "--restart", "always", IMAGE, status=125)
    command("frobnicate", status=125)
    assert command("ps", "-aq") == "" and command("volume", "ls", "-q") == ""


def test_the_cidfile_is_written_once(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "cid"
    identifier = command("create", "--cidfile", str(file), IMAGE, "true").strip()
    assert file.read_text() == identifier
    command("create", "--cidfile", str(file), IMAGE, "true", status=125)
    assert len(command("ps", "-aq").split()) == 1
