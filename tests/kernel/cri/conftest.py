"""A runtime daemon of its own: network namespace, cgroups and directories made for the test and removed after it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pyroute2.netns
import pytest

from knarr_cli.cluster import cgroups
from knarr_proto.cri import api_pb2 as cri
from knarr_proto.cri import api_pb2_grpc
from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc
from tests.slowness import patient

ROOT = Path(__file__).resolve().parents[3]
ENTER = ROOT / "controlplane/knarr_cli/cluster/enter.py"
PATIENCE_S = patient(30.0)


class Daemon:
    """The process and its clients."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.name = f"knarr-test-{secrets.token_hex(3)}"
        self.parents = cgroups.parents()
        self.socket = base / "s.sock"
        self.arguments: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.channel: grpc.Channel | None = None
        pyroute2.netns.create(self.name)

    def start(self, code: Path | None = None) -> None:
        """code: where another version's package lies."""
        cgroups.make(self.parents, self.name)
        command = [sys.executable, "-I", "-S", str(ENTER), f"/run/netns/{self.name}", self.name]
        command += [json.dumps(self.parents), sys.executable, "-m", "knarr_runtime", "serve"]
        command += ["--root", str(self.base / "root"), "--socket", str(self.socket), "--image-gc-high", "100"]
        command += self.arguments
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

    def import_busybox(self) -> None:
        archive = self.base / "busybox.tar"
        subprocess.run([sys.executable, ROOT / "deploy/images/build_busybox.py", archive], check=True)
        stub: Any = images_pb2_grpc.ImagesStub(self.channel)
        stub.Import(iter([images_pb2.ImportRequest(data=archive.read_bytes())]))
        config = cri.RuntimeConfig(network_config=cri.NetworkConfig(pod_cidr="10.244.7.0/24"))
        self.runtime.UpdateRuntimeConfig(cri.UpdateRuntimeConfigRequest(runtime_config=config))

    def sandbox(self, name: str) -> tuple[str, Any]:
        config = cri.PodSandboxConfig(
            metadata=cri.PodSandboxMetadata(name=name, namespace="default", uid=f"uid-{name}"),
            hostname=name,
            log_directory=str(self.base / "logs" / name),
            linux=cri.LinuxPodSandboxConfig(cgroup_parent=f"kubepods/pod{name}"),
        )
        return self.runtime.RunPodSandbox(cri.RunPodSandboxRequest(config=config)).pod_sandbox_id, config

    def container(self, sandbox: tuple[str, Any], *command: str, name: str = "main", **more: Any) -> str:
        config = cri.ContainerConfig(
            metadata=cri.ContainerMetadata(name=name),
            image=cri.ImageSpec(image=more.pop("image", "knarr/busybox:1")),
            command=command,
            log_path=f"{name}/0.log",
            **more,
        )
        request = cri.CreateContainerRequest(pod_sandbox_id=sandbox[0], config=config, sandbox_config=sandbox[1])
        return str(self.runtime.CreateContainer(request).container_id)

    def start_container(self, identifier: str) -> None:
        self.runtime.StartContainer(cri.StartContainerRequest(container_id=identifier))

    def status(self, identifier: str) -> Any:
        return self.runtime.ContainerStatus(cri.ContainerStatusRequest(container_id=identifier)).status

    def pid(self, identifier: str) -> int:
        answer = self.runtime.ContainerStatus(cri.ContainerStatusRequest(container_id=identifier, verbose=True))
        return int(json.loads(answer.info["info"])["pid"])

    def ended(self, identifier: str) -> Any:
        until(lambda: self.status(identifier).state == cri.CONTAINER_EXITED, "the container to end")
        return self.status(identifier)

    @staticmethod
    def until(check: Callable[[], Any], what: str) -> None:
        until(check, what)

    def remove(self, sandbox: tuple[str, Any]) -> None:
        self.runtime.RemovePodSandbox(cri.RemovePodSandboxRequest(pod_sandbox_id=sandbox[0]))

    def left(self) -> list[str]:
        """What is still there of pods."""
        found = [str(p) for parent in self.parents.values() for p in (Path(parent) / self.name).glob("**/kubepods/*/")]
        found += [str(p) for p in (self.base / "root/network/addresses").glob("*")]
        found += [str(p) for p in (self.base / "root/pods").glob("*/*")]
        with pyroute2.NetNS(self.name, flags=0) as ns:
            links = [dict(message["attrs"])["IFLA_IFNAME"] for message in ns.get_links()]
        return found + [link for link in links if link.startswith("kp")]

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


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    own = Daemon(tmp_path)
    try:
        own.start()
        own.import_busybox()
        yield own
    finally:
        own.close()


@pytest.fixture
def command(daemon: Daemon) -> Iterator[Any]:
    subprocess.run(
        ["nsenter", f"--net=/run/netns/{daemon.name}", "ip", "link", "set", "lo", "up"], check=True, timeout=10
    )
    from tests.kernel.cri.commands import Command  # which needs this module

    yield Command(daemon)
