"""A pod through CRI, from RunPodSandbox to RemovePodSandbox, beside containerd: the same requests, interleaved.

Both serve in private network namespaces, cgroups and directories with a bridge network of their own, as in the
conformance suite, from which they are borrowed. The pod has one container, which is started, and killed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime_common import SUITE, Times, load_suite, own_mounts, settle

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.defaults import DEFAULT_MASKED_PATHS, DEFAULT_READONLY_PATHS
from knarr_runtime.kernel import syscalls

MASKED = [path for path in DEFAULT_MASKED_PATHS if path != "/proc/interrupts"]
OWN = cri.NamespaceOption(pid=cri.CONTAINER)
"""Both as the kubelet says it."""
CALL_S = 60.0


def pod(server: Any, logs: Path, image: str, times: Times) -> None:
    """One life of a pod, each call measured."""
    name, unique, total = server.kind, secrets.token_hex(4), 0.0
    (logs / unique).mkdir(parents=True)
    runtime = server.runtime

    def call(what: str, method: Callable[..., Any], request: Any) -> Any:
        nonlocal total
        began = time.perf_counter()
        answer = method(request, timeout=CALL_S)
        took = time.perf_counter() - began
        times.add(f"{name} {what}", took)
        total += took
        return answer

    sandbox = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name=f"bench-{unique}", namespace="bench", uid=unique),
        hostname=f"bench-{unique}",
        log_directory=str(logs / unique),
        linux=cri.LinuxPodSandboxConfig(
            cgroup_parent=f"kubepods/pod{unique}",
            security_context=cri.LinuxSandboxSecurityContext(namespace_options=OWN),
        ),
    )
    config = cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name="main"),
        image=cri.ImageSpec(image=image),
        command=["sleep", "1000"],
        log_path="main.log",
        linux=cri.LinuxContainerConfig(
            resources=cri.LinuxContainerResources(memory_limit_in_bytes=64 << 20),
            security_context=cri.LinuxContainerSecurityContext(
                namespace_options=OWN,
                masked_paths=MASKED,
                readonly_paths=DEFAULT_READONLY_PATHS,
                seccomp=cri.SecurityProfile(),
            ),
        ),
    )
    began = time.perf_counter()
    run = call("RunPodSandbox", runtime.RunPodSandbox, cri.RunPodSandboxRequest(config=sandbox))
    identifier = run.pod_sandbox_id
    create = cri.CreateContainerRequest(pod_sandbox_id=identifier, config=config, sandbox_config=sandbox)
    container = call("CreateContainer", runtime.CreateContainer, create).container_id
    call("StartContainer", runtime.StartContainer, cri.StartContainerRequest(container_id=container))
    times.add(f"{name} pod asked for, container runs", time.perf_counter() - began)
    for _ in range(2):
        execute = cri.ExecSyncRequest(container_id=container, cmd=["/bin/true"], timeout=10)
        before = total
        call("ExecSync true", runtime.ExecSync, execute)
        total = before
    call("StopContainer", runtime.StopContainer, cri.StopContainerRequest(container_id=container, timeout=0))
    call("RemoveContainer", runtime.RemoveContainer, cri.RemoveContainerRequest(container_id=container))
    call("StopPodSandbox", runtime.StopPodSandbox, cri.StopPodSandboxRequest(pod_sandbox_id=identifier))
    call("RemovePodSandbox", runtime.RemovePodSandbox, cri.RemovePodSandboxRequest(pod_sandbox_id=identifier))
    times.add(f"{name} whole life of a pod", total)


def main(rounds: int) -> None:
    own_mounts()
    servers = load_suite("servers")
    base = Path(tempfile.mkdtemp(prefix="knarr-bench-cri-"))
    syscalls.mount("tmpfs", str(base), "tmpfs", 0)
    archive = base / "images.tar"
    subprocess.run(
        [sys.executable, SUITE / "make_images.py", archive, servers.REPOSITORY], check=True, stdout=subprocess.DEVNULL
    )
    times = Times()
    image = f"{servers.REPOSITORY}/busybox:1"
    opened: list[Any] = []
    try:
        for kind in (servers.Knarr, servers.Containerd):
            (base / kind.kind).mkdir()
            server = kind(base / kind.kind, archive)
            opened.append(server)
            server.open()
        for number in range(rounds):
            for server in opened:
                if server.kind == "containerd" and number % 3:
                    continue
                asyncio.run(settle())
                pod(server, base / "logs" / server.kind, image, times)
        times.report()
        for what in ("whole life of a pod", "pod asked for, container runs", "ExecSync true"):
            times.ratio(f"knarr {what}", f"containerd {what}")
        version = opened[-1].runtime.Version(cri.VersionRequest())
        print(f"containerd {version.runtime_version} with runc and the bridge plugin of CNI")
    finally:
        for server in opened:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                server.close()
        syscalls.umount(str(base))
        base.rmdir()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    main(parser.parse_args().rounds)
