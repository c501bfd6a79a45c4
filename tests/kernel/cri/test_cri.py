"""The daemon over CRI, on real namespaces, cgroups and links."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri


def failure(call: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def test_a_container_runs_logs_and_ends(daemon: Any) -> None:
    sandbox = daemon.sandbox("a")
    identifier = daemon.container(sandbox, "sh", "-c", "hostname; echo err >&2; printf partial; exit 3")
    daemon.start_container(identifier)
    status = daemon.ended(identifier)
    assert (status.exit_code, status.reason) == (3, "Error")
    log = (Path(sandbox[1].log_directory) / "main/0.log").read_text().splitlines()
    assert sorted(line.split(" ", 1)[1] for line in log) == ["stderr F err", "stdout F a", "stdout F partial"]
    daemon.remove(sandbox)
    assert daemon.left() == []


def test_an_end_is_told_once_the_log_is_complete(daemon: Any) -> None:
    """Who sees that a container has ended reads its log next, and finds all of it."""
    sandbox = daemon.sandbox("a")
    identifier = daemon.container(sandbox, "sh", "-c", "echo first; sleep 1000")
    daemon.start_container(identifier)
    log = Path(sandbox[1].log_directory) / "main/0.log"
    daemon.until(lambda: log.exists() and "first" in log.read_text(), "the first line")
    reader = json.loads((daemon.base / "root/state/logs.json").read_text())["pid"]
    os.kill(reader, signal.SIGSTOP)
    try:
        os.kill(daemon.pid(identifier), signal.SIGKILL)

        def asked() -> bool:
            """Whether an answer is kept back; it is for a second at most, should no disk take the log."""
            request = cri.ContainerStatusRequest(container_id=identifier)
            try:
                answer = daemon.runtime.ContainerStatus(request, timeout=0.3)
            except grpc.RpcError as error:
                return error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert answer.status.state == cri.CONTAINER_RUNNING, "its log was not complete"
            return False

        daemon.until(asked, "the container to end")
    finally:
        os.kill(reader, signal.SIGCONT)
    assert daemon.ended(identifier).exit_code == 137


def test_pods_reach_each_other_by_their_addresses(daemon: Any) -> None:
    server, client = daemon.sandbox("server"), daemon.sandbox("client")
    listening = daemon.container(server, "sh", "-c", "echo hello | nc -l -p 9000")
    daemon.start_container(listening)
    request = cri.PodSandboxStatusRequest(pod_sandbox_id=server[0])
    address = daemon.runtime.PodSandboxStatus(request).status.network.ip
    script = f"until nc -w 1 {address} 9000 </dev/null; do usleep 50000; done"
    calling = daemon.container(client, "sh", "-c", script)
    daemon.start_container(calling)
    assert daemon.ended(calling).exit_code == 0
    assert "hello" in (Path(client[1].log_directory) / "main/0.log").read_text()


def test_exec_gives_output_exit_code_and_keeps_its_time(daemon: Any) -> None:
    sandbox = daemon.sandbox("a")
    identifier = daemon.container(sandbox, "sleep", "1000")
    daemon.start_container(identifier)

    def run(*command: str, timeout: int = 5) -> Any:
        return daemon.runtime.ExecSync(cri.ExecSyncRequest(container_id=identifier, cmd=command, timeout=timeout))

    answer = run("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (answer.stdout, answer.stderr, answer.exit_code) == (b"out\n", b"err\n", 7)
    assert failure(lambda: run("sleep", "100", timeout=1)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(run("pidof", "sleep").stdout.split()) == 1, "what timed out was killed"


def test_out_of_memory_is_told_from_a_kill(daemon: Any) -> None:
    sandbox = daemon.sandbox("a")
    limits = cri.LinuxContainerConfig(resources=cri.LinuxContainerResources(memory_limit_in_bytes=16 << 20))
    hungry = daemon.container(sandbox, "sh", "-c", "tail /dev/zero", name="hungry", linux=limits)
    killed = daemon.container(sandbox, "sleep", "1000", name="killed", linux=limits)
    daemon.start_container(hungry)
    daemon.start_container(killed)
    assert daemon.ended(hungry).reason == "OOMKilled"
    daemon.runtime.StopContainer(cri.StopContainerRequest(container_id=killed, timeout=0))
    status = daemon.ended(killed)
    assert (status.exit_code, status.reason) == (137, "Error")


def test_mistakes_are_said_precisely(daemon: Any) -> None:
    sandbox = daemon.sandbox("a")
    error = failure(lambda: daemon.container(sandbox, "x", image="nowhere:1"))
    assert error.code() is grpc.StatusCode.NOT_FOUND and "knarr image import" in error.details()
    missing = daemon.container(sandbox, "no-such-program", name="missing")
    assert "no-such-program" in failure(lambda: daemon.start_container(missing)).details()
    assert daemon.status(missing).exit_code == 127
    security = cri.LinuxContainerSecurityContext(run_as_username="nobody-here")
    linux = cri.LinuxContainerConfig(security_context=security)
    error = failure(lambda: daemon.container(sandbox, "true", name="user", linux=linux))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT and "nobody-here" in error.details()
    request = cri.ContainerStatusRequest(container_id="0" * 64)
    assert failure(lambda: daemon.runtime.ContainerStatus(request)).code() is grpc.StatusCode.NOT_FOUND
    for _ in range(2):
        daemon.runtime.StopPodSandbox(cri.StopPodSandboxRequest(pod_sandbox_id=sandbox[0]))
        daemon.remove(sandbox)
    assert daemon.left() == []


def test_an_exit_is_told_as_an_event(daemon: Any) -> None:
    sandbox = daemon.sandbox("a")
    seen: list[Any] = []
    stopped = threading.Event()
    call = daemon.runtime.GetContainerEvents(cri.GetEventsRequest())

    def follow() -> None:
        try:
            for event in call:
                seen.append(event)
                if event.container_event_type == cri.CONTAINER_STOPPED_EVENT:
                    stopped.set()
        except grpc.RpcError:
            return

    thread = threading.Thread(target=follow)
    thread.start()
    identifier = daemon.container(sandbox, "true")
    daemon.start_container(identifier)
    assert stopped.wait(10)
    call.cancel()
    thread.join(10)
    last = next(e for e in seen if e.container_event_type == cri.CONTAINER_STOPPED_EVENT)
    assert last.container_id == identifier and last.pod_sandbox_status.metadata.uid == "uid-a"
    assert last.containers_statuses[0].state == cri.CONTAINER_EXITED


def test_all_that_is_told_is_the_same_after_a_restart(daemon: Any, tmp_path: Path) -> None:
    sandbox = daemon.sandbox("a")
    image = cri.ImageSpec(image="knarr/busybox:1", user_specified_image="busybox")
    mounts = [cri.Mount(host_path=str(tmp_path), container_path="/host", readonly=True)]
    resources = cri.LinuxContainerResources(memory_limit_in_bytes=64 << 20, cpu_shares=512)
    security = cri.LinuxContainerSecurityContext(run_as_user=cri.Int64Value(value=1001), supplemental_groups=[7])
    linux = cri.LinuxContainerConfig(resources=resources, security_context=security)
    more = {"mounts": mounts, "linux": linux, "labels": {"a": "b"}, "annotations": {"c": "d"}}
    running = daemon.container(sandbox, "sleep", "1000", stop_signal=cri.SIGNAL_SIGHUP, **more)
    volumes = [cri.Mount(container_path="/image", image=image, readonly=True)]
    ended = daemon.container(sandbox, "sh", "-c", "exit 3", name="ended", mounts=volumes)
    daemon.container(sandbox, "true", name="created")
    daemon.start_container(running)
    daemon.start_container(ended)
    daemon.ended(ended)

    def told() -> list[bytes]:
        answer = daemon.runtime.PodSandboxStatus(cri.PodSandboxStatusRequest(pod_sandbox_id=sandbox[0], verbose=True))
        verbose = daemon.runtime.ContainerStatus(cri.ContainerStatusRequest(container_id=running, verbose=True))
        sandboxes = daemon.runtime.ListPodSandbox(cri.ListPodSandboxRequest()).items
        containers = daemon.runtime.ListContainers(cri.ListContainersRequest()).containers
        statuses = sorted(answer.containers_statuses, key=lambda one: str(one.id))
        listed = [*sorted(sandboxes, key=lambda one: str(one.id)), *sorted(containers, key=lambda one: str(one.id))]
        messages = [answer.status, *statuses, verbose.status, *listed]
        encoded = [message.SerializeToString(deterministic=True) for message in messages]
        return [*encoded, answer.info["info"].encode(), verbose.info["info"].encode()]

    before = told()
    daemon.kill()
    daemon.start()
    assert told() == before


def test_kill_9_of_the_daemon_loses_nothing(daemon: Any, tmp_path: Path) -> None:
    sandbox = daemon.sandbox("a")
    flag = tmp_path / "flag"
    flag.mkdir()
    mounts = [cri.Mount(host_path=str(flag), container_path="/flag")]
    steady = daemon.container(sandbox, "sleep", "1000", name="steady")
    script = "until test -e /flag/now; do usleep 10000; done; exit 9"
    ending = daemon.container(sandbox, "sh", "-c", script, name="ending", mounts=mounts)
    daemon.start_container(steady)
    daemon.start_container(ending)
    pid = daemon.pid(steady)
    daemon.kill()
    (flag / "now").touch()
    daemon.start()
    assert daemon.ended(ending).exit_code == 9
    assert daemon.pid(steady) == pid and daemon.status(steady).state == cri.CONTAINER_RUNNING
    daemon.remove(sandbox)
    assert daemon.left() == []
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("sign", ["root/pods/sandboxes/*/record.json", "**/shim.json", "root/network/addresses/*"])
def test_a_pod_half_made_by_a_killed_daemon_is_gone(daemon: Any, sign: str) -> None:
    whole = daemon.sandbox("whole")
    before = set(daemon.base.glob(sign))
    config = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name="half", namespace="default", uid="uid-half"),
        linux=cri.LinuxPodSandboxConfig(cgroup_parent="kubepods/podhalf"),
    )
    making = daemon.runtime.RunPodSandbox.future(cri.RunPodSandboxRequest(config=config))
    daemon.until(lambda: set(daemon.base.glob(sign)) - before, "the daemon to begin")
    daemon.kill()
    daemon.start()
    told = daemon.runtime.ListPodSandbox(cri.ListPodSandboxRequest()).items
    for one in told:  # it may have been quick
        status = daemon.runtime.PodSandboxStatus(cri.PodSandboxStatusRequest(pod_sandbox_id=one.id)).status
        assert (status.state, bool(status.network.ip)) == (cri.SANDBOX_READY, True)
    assert making.exception() is not None or len(told) == 2
    for one in told:
        daemon.remove((one.id, config))
    assert whole[0] in {one.id for one in told}
    assert daemon.left() == []


def test_a_damaged_record_costs_its_pod_alone(daemon: Any) -> None:
    damaged, half, whole = daemon.sandbox("damaged"), daemon.sandbox("half"), daemon.sandbox("whole")
    record = daemon.base / "root/pods/sandboxes" / half[0] / "record.json"
    daemon.kill()
    (daemon.base / "root/pods/sandboxes" / damaged[0] / "record.json").write_text('{"config": "%", "made')
    record.write_text(json.dumps(json.loads(record.read_text()) | {"made": False, "address": ""}))
    daemon.start()
    assert [one.id for one in daemon.runtime.ListPodSandbox(cri.ListPodSandboxRequest()).items] == [whole[0]]
    daemon.remove(whole)
    assert daemon.left() == []


def test_files_of_proc_may_be_replaced_as_lxcfs_does(daemon: Any) -> None:
    (daemon.base / "cpuinfo").write_text("one processor\n")
    mounts = [cri.Mount(container_path="/proc/cpuinfo", host_path=str(daemon.base / "cpuinfo"), readonly=True)]
    sandbox = daemon.sandbox("a")
    identifier = daemon.container(sandbox, "cat", "/proc/cpuinfo", mounts=mounts)
    daemon.start_container(identifier)
    assert daemon.ended(identifier).exit_code == 0
    assert "one processor" in (Path(sandbox[1].log_directory) / "main/0.log").read_text()
