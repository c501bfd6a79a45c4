"""Real clusters of this machine, started with the commands a user would type, and always removed again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from knarr_cli.cluster import cgroups
from knarr_cli.cluster.state import LocalCluster, read_pid_file, start_time
from tests.slowness import SLOWNESS, patient

ROOT = Path(__file__).resolve().parents[2]
KNARR = str(Path(sys.executable).parent / "knarr")
PATIENCE_S = 30.0
SCALED = ("--timeout", "--node-grace", "--eviction-grace")
"""Flags that say how long something may take."""


class Cluster:
    """One local cluster and the commands on it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.knarr: tuple[str, ...] = (KNARR,)
        self.environment = {**os.environ, "KUBECONFIG": str(data_dir / "admin.kubeconfig")}

    def inside(self, netns: str) -> None:
        """All commands in this network namespace from now on."""
        self.knarr = ("nsenter", f"--net={netns}", KNARR)

    def up(self, *flags: str, nodes: int = 1) -> None:
        words = ["up", "--nodes", str(nodes), "--data-dir", str(self.data_dir), "--detach"]
        if "--timeout" not in flags:
            words += ["--timeout", "60"]
        if SLOWNESS > 1 and "--node-grace" not in flags:  # heartbeats are late there
            words += ["--node-grace", "8"]
        words += flags
        done = self.run(*words)
        assert done.returncode == 0, done.stderr

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.run("down", "--data-dir", str(self.data_dir))

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """``knarr WORDS``, its times longer where the machine is slow."""
        scaled = [_scaled(word) if before in SCALED else word for before, word in pairwise(("", *words))]
        return subprocess.run(
            [*self.knarr, *scaled],
            env=self.environment,
            cwd=ROOT,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=patient(90),
        )

    def ok(self, *words: str, stdin: str = "") -> str:
        """Standard output of a command that must succeed."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def get(self, *words: str) -> Any:
        return json.loads(self.ok("get", *words, "-o", "json"))

    def import_busybox(self) -> None:
        archive = self.data_dir.parent / "busybox.tar"
        subprocess.run([sys.executable, ROOT / "deploy/images/build_busybox.py", archive], check=True)
        self.ok("image", "import", str(archive), "--data-dir", str(self.data_dir))

    @property
    def state(self) -> LocalCluster:
        return LocalCluster.load(self.data_dir)

    def pid(self, process: str) -> int:
        """Of a supervised process; waits for one that is being restarted."""
        path = self.state.run_dir / f"{process}.pid"
        return until(lambda: read_pid_file(path), f"{process} to run")

    def kill(self, process: str) -> int:
        """SIGKILL; returns when another process has taken its place."""
        before = self.pid(process)
        os.kill(before, signal.SIGKILL)
        path = self.state.run_dir / f"{process}.pid"
        return until(lambda: (p := read_pid_file(path)) not in (None, before) and p, f"{process} to be restarted")

    def pods(self, selector: str) -> list[dict[str, Any]]:
        return list(self.get("pods", "-l", selector)["items"])


def _scaled(word: str) -> str:
    """``30`` or ``30s``."""
    return f"{patient(float(word.removesuffix('s'))):g}{'s' if word.endswith('s') else ''}"


def until(check: Callable[[], Any], what: str, *, timeout_s: float = PATIENCE_S) -> Any:
    """The first true answer; fails when none comes in time."""
    deadline = time.monotonic() + patient(timeout_s)
    while not (answer := check()):
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain for {what}"
        time.sleep(0.02)
    return answer


def processes_of(uid: str) -> dict[int, tuple[int, str]]:
    """(start time, command) of every process in the cgroups of a pod, by pid."""
    found: dict[int, tuple[int, str]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if f"pod{uid}/" in (entry / "cgroup").read_text():
                started = start_time(int(entry.name))
                if started is not None:
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(entry.name)] = (started, command)
        except OSError:
            continue
    return found


def leftovers(state: LocalCluster) -> list[str]:
    """What of a cluster is still on the machine."""
    found = [f"process {pid}" for pid in cgroups.processes(state.cgroup_parents, state.name)]
    found += [str(Path(p) / state.name) for p in state.cgroup_parents.values() if (Path(p) / state.name).exists()]
    found += [str(p) for p in Path("/run/netns").glob(f"{state.name}*")] if Path("/run/netns").is_dir() else []
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [line for line in mounts if f"{state.data_dir}/" in line]
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if state.data_dir in command:
                found.append(f"process {entry.name}: {command[:100]}")
    return found


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    own = Cluster(tmp_path / "c")
    yield own
    if (own.data_dir / "cluster.json").exists():
        own.down()


@pytest.fixture
def until_true() -> Callable[..., Any]:
    return until


@pytest.fixture
def processes() -> Callable[[str], dict[int, tuple[int, str]]]:
    return processes_of


@pytest.fixture
def left_over() -> Callable[[LocalCluster], list[str]]:
    return leftovers
