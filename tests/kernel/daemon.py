"""A runtime daemon of its own, in a network namespace, cgroups and a directory that are removed after it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pyroute2.netns

from knarr_cli.cluster import cgroups
from knarr_proto.cri import api_pb2 as cri
from knarr_proto.cri import api_pb2_grpc
from tests.slowness import patient

ROOT = Path(__file__).resolve().parents[2]
ENTER = ROOT / "controlplane/knarr_cli/cluster/enter.py"
PATIENCE_S = patient(30.0)


class RuntimeDaemon:
    """The process and its clients. arguments: of ``serve``, beside those of its place."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.name = f"knarr-test-{secrets.token_hex(3)}"
        self.parents = cgroups.parents()
        self.socket = base / "s.sock"
        self.arguments: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.channel: grpc.Channel | None = None
        pyroute2.netns.create(self.name)

    def inside(self, *command: str | Path) -> list[str]:
        """The command, run where the daemon is; it ends with the daemon, being in its cgroup."""
        place = [sys.executable, "-I", "-S", str(ENTER), f"/run/netns/{self.name}", self.name, json.dumps(self.parents)]
        return [*place, *map(str, command)]

    def start(self, code: Path | None = None) -> None:
        """code: where another version's package lies."""
        cgroups.make(self.parents, self.name)
        serve = ("-m", "knarr_runtime", "serve", "--root", self.base / "root", "--socket", self.socket)
        command = self.inside(sys.executable, *serve, "--image-gc-high", "100", *self.arguments)
        env = {**os.environ, **({"PYTHONPATH": str(code)} if code is not None else {})}
        with open(self.base / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=env)
        self.channel = grpc.insecure_channel(f"unix:{self.socket}")
        self.runtime: Any = api_pb2_grpc.RuntimeServiceStub(self.channel)
        self.images: Any = api_pb2_grpc.ImageServiceStub(self.channel)

        def answers() -> bool:
            with contextlib.suppress(grpc.RpcError):
                return bool(self.runtime.Version(cri.VersionRequest(), timeout=1.0).runtime_name)
            return False

        until(answers, "the daemon to serve")

    def kill(self) -> None:
        """SIGKILL to the daemon alone."""
        assert self.process is not None and self.channel is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.channel.close()

    @staticmethod
    def until(check: Callable[[], Any], what: str) -> None:
        until(check, what)

    def close(self) -> None:
        if self.channel is not None:
            self.channel.close()
        cgroups.kill(self.parents, self.name)
        if self.process is not None:
            self.process.wait()
        cgroups.remove(self.parents, self.name)
        pyroute2.netns.remove(self.name)


def until(check: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
