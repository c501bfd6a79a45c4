"""The container runtimes that the agent must be able to work with: ours as a process, and the one in memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from knarr_client.clock import SystemClock
from knarr_node_agent.memory_cri import MemoryCri, Program
from knarr_node_agent.runtime import CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID, Runtime
from knarr_proto.cri import api_pb2 as cri

ROOT = Path(__file__).resolve().parents[3]
ENTER = ROOT / "controlplane/knarr_cli/cluster/enter.py"
IMAGE = "knarr/busybox:1"
PATIENCE_S = 40.0


@dataclass
class Subject:
    """A runtime to test, and what differs between them: how a container is made to do something."""

    runtime: Runtime
    log_root: Path
    memory: MemoryCri | None
    made: list[str] = field(default_factory=list)

    async def sandbox(self, uid: str, attempt: int = 0) -> tuple[str, Any]:
        labels = {POD_NAME: f"pod-{uid}", POD_NAMESPACE: "default", POD_UID: uid}
        config = cri.PodSandboxConfig(
            metadata=cri.PodSandboxMetadata(name=f"pod-{uid}", namespace="default", uid=uid, attempt=attempt),
            hostname=f"pod-{uid}",
            log_directory=str(self.log_root / uid),
            labels=labels,
            linux=cri.LinuxPodSandboxConfig(cgroup_parent=f"kubepods/pod{uid}"),
        )
        (self.log_root / uid).mkdir(parents=True, exist_ok=True)
        identifier = await self.runtime.make_sandbox(config)
        self.made.append(identifier)
        return identifier, config

    async def container(
        self,
        sandbox: tuple[str, Any],
        name: str = "main",
        *,
        attempt: int = 0,
        script: str = "sleep 1000",
        program: Program | None = None,
        image: str = IMAGE,
        command: Sequence[str] = (),
    ) -> str:
        """script: what it does where programs are executed. program: where they are not."""
        if self.memory is not None:
            self.memory.programs[name] = program or Program()
        uid = sandbox[1].metadata.uid
        (self.log_root / uid / name).mkdir(parents=True, exist_ok=True)
        config = cri.ContainerConfig(
            metadata=cri.ContainerMetadata(name=name, attempt=attempt),
            image=cri.ImageSpec(image=image),
            command=command or ("sh", "-c", script),
            labels={POD_NAME: f"pod-{uid}", POD_NAMESPACE: "default", POD_UID: uid, CONTAINER_NAME: name},
            log_path=f"{name}/{attempt}.log",
            linux=cri.LinuxContainerConfig(),
        )
        return await self.runtime.create(sandbox[0], config, sandbox[1])

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if await condition():
                    return
                await asyncio.sleep(0.01)


@pytest.fixture(params=["memory", pytest.param("knarr", marks=pytest.mark.root)])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    if request.param == "memory":
        memory = MemoryCri(SystemClock())
        memory.present = {IMAGE}
        yield Subject(Runtime(memory.runtime, memory.images), tmp_path / "logs", memory)
        return
    runtime = Runtime.dial(f"unix://{request.getfixturevalue('daemon')}")
    found = Subject(runtime, tmp_path / "logs", None)
    await runtime.set_pod_cidr("10.244.7.0/24")
    yield found
    for identifier in found.made:
        await runtime.remove_sandbox(identifier)
    await runtime.close()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of our runtime, with an image."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    base = tmp_path_factory.mktemp("runtime")
    with _daemon(base) as socket:
        _import(socket, base / "busybox.tar")
        yield socket


def _import(socket: Path, archive: Path) -> None:
    import grpc

    from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc

    subprocess.run([sys.executable, ROOT / "deploy/images/build_busybox.py", archive], check=True)
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        stub: Any = images_pb2_grpc.ImagesStub(channel)
        request = images_pb2.ImportRequest(data=archive.read_bytes())
        stub.Import(iter([request]), timeout=PATIENCE_S, wait_for_ready=True)


@contextlib.contextmanager
def _daemon(base: Path) -> Iterator[Path]:
    """The socket of a daemon in a network namespace and cgroups of its own."""
    import pyroute2.netns

    from knarr_cli.cluster import cgroups

    name = f"knarr-conf-{secrets.token_hex(3)}"
    parents = cgroups.parents()
    socket = base / "s.sock"
    pyroute2.netns.create(name)
    process: subprocess.Popen[bytes] | None = None
    try:
        cgroups.make(parents, name)
        command = [sys.executable, "-I", "-S", str(ENTER), f"/run/netns/{name}", name, json.dumps(parents)]
        command += [sys.executable, "-m", "knarr_runtime", "serve", "--root", str(base / "root")]
        command += ["--socket", str(socket), "--image-gc-high", "100"]
        with (base / "daemon.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        yield socket
    finally:
        cgroups.kill(parents, name)
        if process is not None:
            process.wait()
        cgroups.remove(parents, name)
        pyroute2.netns.remove(name)
