"""A runtime daemon of its own: network namespace, cgroups and directories made for the test and removed after it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyroute2.netns
import pytest

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc
from tests.kernel.daemon import ROOT, RuntimeDaemon, until


class Daemon(RuntimeDaemon):
    """With pods."""

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
