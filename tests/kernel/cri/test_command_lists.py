"""What is told: lists with filters and formats, inspect, logs, events, figures; completion and help."""

from __future__ import annotations

import json
import re
import select
import subprocess
import sys
from datetime import datetime

import pytest

from tests.kernel.cri.commands import IMAGE, PATIENCE_S, Command
from tests.kernel.daemon import until
from tests.processes import running, said_until

pytestmark = pytest.mark.root


def names(command: Command, *options: str) -> list[str]:
    return command("ps", "--format", "{{.Names}}", *options).split()


def test_containers_are_found_by_what_they_are(command: Command) -> None:
    command("run", "-d", "--name", "one", "-l", "tier=front", "-p", "8080:80", IMAGE, "sleep", "1000")
    command("run", "--name", "two", "-l", "tier=back", IMAGE, "sh", "-c", "exit 3", status=3)
    command("create", "--name", "three", "--network", "none", IMAGE, "true")
    assert names(command) == ["one"]
    assert names(command, "-a") == ["three", "two", "one"]
    assert names(command, "-n", "2") == ["three", "two"] and names(command, "-l") == ["three"]
    for given, found in (
        ("status=exited", ["two"]),
        ("status=created", ["three"]),
        ("exited=3", ["two"]),
        ("exited=0", []),
        ("name=t", ["three", "two"]),
        ("label=tier=back", ["two"]),
        ("label=tier", ["two", "one"]),
        (f"ancestor={IMAGE}", ["three", "two", "one"]),
        ("ancestor=nothing", []),
        ("before=two", ["one"]),
        ("since=one", ["three", "two"]),
        ("network=none", ["three"]),
        ("publish=8080", ["one"]),
    ):
        assert names(command, "-a", "--filter", given) == found, given
    assert names(command, "-a", "--filter", "status=exited", "--filter", "status=created") == ["three", "two"]
    assert names(command, "-a", "--filter", "status=exited", "--filter", "label=tier=front") == []
    command("ps", "--filter", "colour=red", status=1)
    assert "colour=red" in command.said
    assert command("ps", "-a", "--format", 'table {{.Names}}\t{{.Label "tier"}}').splitlines()[0].split() == [
        "NAMES",
        "LABEL",
    ]
    assert json.loads(command("ps", "--format", "json"))["Names"] == "one"
    assert len(command("ps", "-q", "--no-trunc").strip()) == 64
    assert "virtual" in command("ps", "-s")
    command("ps", "--format", "{{.Nothing}}", status=1)
    assert ".Names" in command.said


def test_inspect_prints_dockers_document(command: Command) -> None:
    command(
        "run", "-d", "--name", "web", "-p", "8080:80", "-m", "64m", "--restart", "on-failure:2", IMAGE, "sleep", "1000"
    )

    def told(template: str) -> str:
        return command("inspect", "-f", template, "web").strip()

    assert told("{{.State.Status}} {{.State.Running}} {{.State.ExitCode}}") == "running true 0"
    assert told("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}").startswith("10.244.7.")
    assert told('{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}') == "8080"
    assert told("{{.HostConfig.Memory}} {{json .HostConfig.RestartPolicy}}") == (
        f'{64 << 20} {{"Name":"on-failure","MaximumRetryCount":2}}'
    )
    assert told("{{if .State.Paused}}held{{else}}free{{end}}") == "free"
    assert told("{{.Config.Cmd}}") == "[sleep 1000]"
    datetime.fromisoformat(told("{{.State.StartedAt}}")[:26])
    command("inspect", "-f", "{{.State.Colour}}", "web", status=1)
    command("inspect", "-f", "{{range .Mounts}}", "web", status=1)
    assert "{{end}} is missing" in command.said
    assert "Id:" in command("inspect", "-o", "yaml", "web")
    assert command("inspect", "-f", "{{.Os}}", IMAGE) == "linux\n"


def test_images_are_found_by_what_they_are(command: Command) -> None:
    command("tag", IMAGE, "team/box:2")
    assert command("images", "--filter", "reference=team/*", "--format", "{{.Repository}}:{{.Tag}}") == "team/box:2\n"
    assert command("images", "--filter", "dangling=true", "-q") == ""
    assert command("images", "team/box", "-q", "--no-trunc").startswith("sha256:")
    assert "sha256:" in command("images", "--digests")
    command("images", "--filter", "colour=red", status=1)


def test_logs_between_two_times(command: Command) -> None:
    command(
        "run",
        "--name",
        "talks",
        "-l",
        "tier=front",
        IMAGE,
        "sh",
        "-c",
        "echo one; usleep 50000; echo two; usleep 50000; echo three",
    )
    times = [line.split(" ")[0] for line in command("logs", "-t", "talks").splitlines()]
    assert command("logs", "--since", times[1], "--until", times[1], "talks") == "two\n"
    assert command("logs", "--until", times[0], "talks") == "one\n"
    assert command("logs", "-n", "1", "--until", times[1], "talks") == "two\n"
    assert command("logs", "--since", "1h", "talks") == "one\ntwo\nthree\n"
    assert command("logs", "--since", "2020-01-01T00:00:00Z", "--until", "1h", "talks") == ""
    assert command("logs", "--details", "-n", "1", "talks") == "tier=front three\n"


def test_events_are_told_as_they_come(command: Command) -> None:
    words = command.words("events", "--filter", "label=seen", "--format", "{{.Action}} {{.Actor.Attributes.name}}")
    with running(words, env=command.environment, stdout=subprocess.PIPE) as following:
        assert following.stdout is not None

        def begun() -> bool:
            command("run", "--rm", "--name", "first", "-l", "seen=yes", IMAGE, "true")
            return bool(select.select([following.stdout], [], [], 0.5)[0])

        until(begun, "the follower to have begun")
        command("run", "--rm", "--name", "job", "-l", "seen=yes", IMAGE, "true")
        lines = said_until(following, "destroy job\n").splitlines()
    assert [line for line in lines if line.endswith("job")] == ["create job", "start job", "die job", "destroy job"]
    assert command("events", "--until", "10ms") == ""
    command("events", "--filter", "colour=red", status=1)


def test_figures_of_the_whole(command: Command) -> None:
    command(
        "run", "-d", "--name", "web", "-v", "data:/data", IMAGE, "sh", "-c", "head -c 100000 /dev/zero > /x; sleep 1000"
    )
    until(lambda: "/x" in command("diff", "web"), "its file")
    rows = [json.loads(line) for line in command("df", "--format", "json").splitlines()]
    assert [(row["Type"], row["TotalCount"], row["Active"]) for row in rows] == [
        ("Images", 1, 1),
        ("Containers", 1, 1),
        ("Volumes", 1, 1),
    ]
    assert "web" in command("df", "-v") and "data" in command("df", "-v")
    assert command("info", "-f", "{{.Containers}} {{.ContainersRunning}} {{.Images}}") == "1 1 1\n"
    assert json.loads(command("info", "-o", "json"))["NetworkReady"] is True


def test_names_are_completed(command: Command) -> None:
    command("run", "-d", "--name", "webserver", IMAGE, "sleep", "1000")
    command("create", "--name", "webjob", IMAGE)

    def completed(line: str) -> set[str]:
        environment = {
            "_KNARR_RUNTIME_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split()) - 1),
        }
        done = subprocess.run(
            [sys.executable, "-m", "knarr_runtime"],
            env={**command.environment, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return {text.partition(",")[2] for text in done.stdout.split()}

    assert completed("knarr-runtime rm we") == {"webserver", "webjob"}
    assert completed("knarr-runtime exec we") == {"webserver"}
    assert completed("knarr-runtime rmi knarr/") == {IMAGE}


def test_every_verb_has_an_example() -> None:
    def said(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "knarr_runtime", *words], capture_output=True, text=True, check=True
        )
        return done.stdout

    listed = said("--help").split("Commands:\n")[1].split("\n\n")[0]
    verbs = re.findall(r"^  (\w+)", listed, re.MULTILINE)
    assert len(verbs) >= 40
    for verb in set(verbs) - {"serve", "volume"}:
        assert "Example" in said(verb, "--help"), verb


def test_check_says_what_is_there_and_what_to_do() -> None:
    words = [sys.executable, "-m", "knarr_runtime", "check"]
    done = subprocess.run([*words, "-o", "json"], capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    states = {each["name"]: each["state"] for each in document["findings"]}
    assert document["ok"] and states["overlay"] == states["cgroup.memory"] == states["nftables"] == "ok"
    without = ["setpriv", "--bounding-set=-sys_admin,-net_admin", "--inh-caps=-sys_admin,-net_admin"]
    poor = subprocess.run([*without, *words, "-o", "json"], capture_output=True, text=True, check=False)
    assert poor.returncode == 1
    found = {each["name"]: each for each in json.loads(poor.stdout)["findings"]}
    assert found["root"]["state"] == found["cap_net_admin"]["state"] == "missing"
    assert "sudo" in found["root"]["remedy"] and found["nftables"]["state"] == "limited"
    text = subprocess.run([*without, *words], capture_output=True, text=True, check=False).stdout
    assert "FAIL  not root with CAP_SYS_ADMIN\n      for namespaces and mounts\n      → run it with sudo" in text
