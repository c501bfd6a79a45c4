"""Time namespaces where they are asked for: clocks of a container, and of what is executed in it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.cri import clocks
from knarr_runtime.kernel import mounts

HOUR_S = 3600
SAYS = "read up rest < /proc/uptime; echo $up; readlink /proc/self/ns/time"


def said(daemon: Any, container: str) -> tuple[float, str]:
    request = cri.ExecSyncRequest(container_id=container, cmd=["sh", "-c", SAYS], timeout=30)
    uptime, namespace = daemon.runtime.ExecSync(request).stdout.decode().split()
    return float(uptime), namespace


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.parametrize("host_pids", [False, True])
def test_clocks_are_ahead_for_the_program_and_its_execs(daemon: Any, host_pids: bool) -> None:
    sandbox = daemon.sandbox("a")
    options = cri.NamespaceOption(pid=cri.CONTAINER)
    security = cri.LinuxContainerSecurityContext(namespace_options=options if not host_pids else None)
    container = daemon.container(
        sandbox,
        "sh",
        "-c",
        f"{SAYS}; exec sleep 1000",
        annotations={clocks.ANNOTATION: "boottime=1h,monotonic=-0.5s"},
        linux=cri.LinuxContainerConfig(security_context=security),
    )
    daemon.start_container(container)
    for _ in range(2):  # the second by the helper that the first left
        before = boottime()
        uptime, namespace = said(daemon, container)
        assert before + HOUR_S - 1 <= uptime <= boottime() + HOUR_S + 1
        assert namespace == os.readlink(f"/proc/{daemon.pid(container)}/ns/time") != os.readlink("/proc/self/ns/time")
    log = Path(sandbox[1].log_directory) / "main/0.log"
    daemon.until(lambda: len(log.read_text().splitlines()) == 2, "what the program said")
    first, own = (line.split()[-1] for line in log.read_text().splitlines())
    assert float(first) >= before + HOUR_S - 60 and own == namespace


def test_others_have_the_machines_clocks(daemon: Any) -> None:
    container = daemon.container(daemon.sandbox("a"), "sleep", "1000")
    daemon.start_container(container)
    uptime, namespace = said(daemon, container)
    assert abs(uptime - boottime()) < HOUR_S / 2
    assert namespace == os.readlink("/proc/self/ns/time")


@pytest.mark.parametrize("text", ["boottime", "realtime=1h", "boottime=1h,boottime=2h", "monotonic=1y"])
def test_what_is_no_offset_is_refused(daemon: Any, text: str) -> None:
    sandbox = daemon.sandbox("a")
    with pytest.raises(grpc.RpcError) as caught:
        daemon.container(sandbox, "true", annotations={clocks.ANNOTATION: text})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "write boottime=3600s,monotonic=1h" in caught.value.details()


def test_what_the_kernel_cannot_count_fails_the_start(daemon: Any) -> None:
    container = daemon.container(daemon.sandbox("a"), "true", annotations={clocks.ANNOTATION: "boottime=-90000d"})
    with pytest.raises(grpc.RpcError) as caught:
        daemon.start_container(container)
    assert "time namespace" in caught.value.details()


def test_run_takes_offsets(daemon: Any) -> None:
    command = [sys.executable, "-m", "knarr_runtime", "--socket", str(daemon.socket), "run", "-d"]
    command += ["--time-offset", "boottime=1h", "knarr/busybox:1", "sleep", "1000"]
    container = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert said(daemon, container)[0] >= boottime() + HOUR_S - 60


def test_a_pod_with_a_user_namespace_may_have_them_too(daemon: Any) -> None:
    ids = [cri.IDMapping(host_id=700_000, container_id=0, length=65_536)]
    options = cri.NamespaceOption(userns_options=cri.UserNamespace(mode=cri.POD, uids=ids, gids=ids))
    config = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name="u", namespace="default", uid="uid-u"),
        log_directory=str(daemon.base / "logs/u"),
        linux=cri.LinuxPodSandboxConfig(cgroup_parent="kubepods/podu"),
    )
    config.linux.security_context.namespace_options.CopyFrom(options)
    if mounts.owners_map():
        sandbox = daemon.runtime.RunPodSandbox(cri.RunPodSandboxRequest(config=config)).pod_sandbox_id
    else:
        with pytest.raises(grpc.RpcError):
            daemon.runtime.RunPodSandbox(cri.RunPodSandboxRequest(config=config))
        return
    security = cri.LinuxContainerSecurityContext(namespace_options=options)
    container = daemon.container(
        (sandbox, config),
        "sleep",
        "1000",
        annotations={clocks.ANNOTATION: "boottime=1h"},
        linux=cri.LinuxContainerConfig(security_context=security),
    )
    daemon.start_container(container)
    for _ in range(2):
        assert said(daemon, container)[0] >= boottime() + HOUR_S - 60
