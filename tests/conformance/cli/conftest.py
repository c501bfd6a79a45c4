"""The command as users run it, against one control plane process on loopback; every test has a namespace of its own."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from knarr_api import kinds
from knarr_client import kubeconfig
from knarr_client.grpc import GrpcClient
from tests.ports import free_port

KNARR = str(Path(sys.executable).parent / "knarr")
READY_WITHIN_S = 30
ENDED_WITHIN_S = 30
COMMAND_WITHIN_S = 60
COUNTER = itertools.count(1)
WATCHED = ("namespaces", "nodes", "configmaps", "secrets", "deployments", "replicasets", "pods")


@dataclass(frozen=True, kw_only=True)
class Knarr:
    """``knarr`` with a kubeconfig and, where it is given, a namespace."""

    kubeconfig: Path
    namespace: str = ""
    directory: Path = field(default_factory=Path.cwd)

    @property
    def environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "KNARR"))}
        return {**plain, "KUBECONFIG": str(self.kubeconfig), "NO_COLOR": "1"}

    def make_namespace(self, name: str) -> None:
        """With all that every namespace gets."""
        self.ok("create", "namespace", name)
        deadline_s = time.monotonic() + READY_WITHIN_S
        while self.run("-n", name, "get", "cm", "kube-root-ca.crt").returncode:
            assert time.monotonic() < deadline_s, "no kube-root-ca.crt"

    def command(self, *words: str) -> list[str]:
        return [KNARR, *(("-n", self.namespace) if self.namespace else ()), *words]

    def run(self, *words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            env={**self.environment, **environment},
            cwd=self.directory,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_WITHIN_S,
        )

    def ok(self, *words: str, stdin: str = "") -> str:
        """Standard output of a command that must succeed."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, *words: str, stdin: str = "") -> str:
        """Standard error of a command that must fail with status 1."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 1, f"{words}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "-o", "json"))

    @contextlib.contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command that goes on; ended at the end."""
        signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have what is in the background ignore it
        process = subprocess.Popen(
            self.command(*words),
            env=self.environment,
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    async def state(self) -> dict[str, str]:
        """uid and generation of everything a user makes, by kind and name."""
        found: dict[str, str] = {}
        async with GrpcClient.connect(kubeconfig.load(self.kubeconfig)) as client:
            for name in WATCHED:
                kind = kinds.lookup(name)
                for item in (await client.raw.list(kind, self.namespace if kind.namespaced else "")).items:
                    metadata = item["metadata"]
                    found[f"{name}/{metadata['name']}"] = f"{metadata['uid']} {metadata.get('generation')}"
        return found


@pytest.fixture(scope="session")
def admin_kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A control plane runs; this is how to reach it."""
    data_dir = tmp_path_factory.mktemp("cli")
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(str(data_dir / "notify"))
    with open(data_dir / "log", "ab") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "knarr_controlplane", "--data-dir", data_dir / "d"),
                *("--listen", f"127.0.0.1:{free_port()}"),
            ],
            env={**os.environ, "NOTIFY_SOCKET": str(data_dir / "notify")},
            stdout=log,
            stderr=log,
        )
    try:
        ready, _, _ = select.select([notices], [], [], READY_WITHIN_S)
        assert ready, (data_dir / "log").read_text()
        yield data_dir / "d" / "admin.kubeconfig"
    finally:
        notices.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(admin_kubeconfig: Path, tmp_path: Path) -> Knarr:
    """No namespace given."""
    return Knarr(kubeconfig=admin_kubeconfig, directory=tmp_path)


@pytest.fixture
def knarr(cluster: Knarr) -> Knarr:
    """In a namespace of the test, which has the ConfigMap that every namespace gets."""
    name = f"space-{next(COUNTER)}"
    cluster.make_namespace(name)
    return Knarr(kubeconfig=cluster.kubeconfig, namespace=name, directory=cluster.directory)


@pytest.fixture(scope="session")
def runner() -> type[Knarr]:
    """For tests that need a ``knarr`` of their own."""
    return Knarr
