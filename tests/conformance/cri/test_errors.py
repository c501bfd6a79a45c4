"""Calls that go wrong: unknown things, cancelled and late calls, requests too large, methods that are not there."""

from __future__ import annotations

import concurrent.futures
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri

UNKNOWN = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("PodSandboxStatus", cri.PodSandboxStatusRequest(pod_sandbox_id=UNKNOWN)),
        ("ContainerStatus", cri.ContainerStatusRequest(container_id=UNKNOWN)),
        ("StartContainer", cri.StartContainerRequest(container_id=UNKNOWN)),
        ("ContainerStats", cri.ContainerStatsRequest(container_id=UNKNOWN)),
        ("ExecSync", cri.ExecSyncRequest(container_id=UNKNOWN, cmd=["true"])),
        ("Exec", cri.ExecRequest(container_id=UNKNOWN, cmd=["true"], stdout=True)),
        ("Attach", cri.AttachRequest(container_id=UNKNOWN, stdout=True)),
        ("PortForward", cri.PortForwardRequest(pod_sandbox_id=UNKNOWN)),
        ("UpdateContainerResources", cri.UpdateContainerResourcesRequest(container_id=UNKNOWN)),
        ("ReopenContainerLog", cri.ReopenContainerLogRequest(container_id=UNKNOWN)),
    ],
)
def test_what_is_unknown_is_not_found(runtime: Any, method: str, request_: Any) -> None:
    error = runtime.refused(lambda: getattr(runtime.runtime, method)(request_))
    assert error.code() is grpc.StatusCode.NOT_FOUND or runtime.kind == "containerd"
    assert "not found" in error.details()


@pytest.mark.knarr_only
@pytest.mark.parametrize("method", ["CheckpointContainer", "CheckpointPod", "RestorePod"])
def test_checkpoints_are_not_implemented(runtime: Any, method: str) -> None:
    request = getattr(cri, f"{method}Request")()
    error = runtime.refused(lambda: getattr(runtime.runtime, method)(request))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_request_too_large_is_refused_and_nothing_else(runtime: Any) -> None:
    config = runtime.pod_config(annotations={"large": "x" * (17 << 20)})
    error = runtime.refused(lambda: runtime.run_pod(config))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert runtime.runtime.Version(cri.VersionRequest()).version


def test_an_exec_that_is_given_up_is_killed(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    call = runtime.runtime.ExecSync.future(cri.ExecSyncRequest(container_id=container, cmd=["sleep", "7654"]))
    runtime.until(lambda: "7654" in runtime.output(container, "ps", "-o", "args"), "the command to run")
    call.cancel()
    runtime.until(lambda: "7654" not in runtime.output(container, "ps", "-o", "args"), "the command to be killed")


def test_a_late_exec_is_killed(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    request = cri.ExecSyncRequest(container_id=container, cmd=["sleep", "7655"])
    error = runtime.refused(lambda: runtime.runtime.ExecSync(request, timeout=1.0))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    runtime.until(lambda: "7655" not in runtime.output(container, "ps", "-o", "args"), "the command to be killed")


@pytest.mark.knarr_only
def test_starts_that_are_given_up_leave_a_container_that_is_known(runtime: Any) -> None:
    pod = runtime.pod()
    for delay_s in (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008):
        container = runtime.create(pod, "sleep", "1000")
        call = runtime.runtime.StartContainer.future(cri.StartContainerRequest(container_id=container))
        time.sleep(delay_s)  # no promise to wait for: the call is given up at some moment
        call.cancel()
        settled = (cri.CONTAINER_CREATED, cri.CONTAINER_RUNNING)
        assert runtime.status(container).state in settled
        if runtime.status(container).state == cri.CONTAINER_CREATED:
            runtime.until(lambda container=container: _started(runtime, container), "a start that works")
        assert Path(f"/proc/{runtime.info(container)['pid']}/cmdline").read_bytes() == b"sleep\x001000\x00"
        runtime.stop(container)
        runtime.remove(container)


def _started(runtime: Any, container: str) -> bool:
    try:
        runtime.start(container)
    except grpc.RpcError:
        return bool(runtime.status(container).state == cri.CONTAINER_RUNNING)
    return True


@pytest.mark.knarr_only
def test_sandboxes_that_are_given_up_leave_nothing(runtime: Any) -> None:
    before = {item.id for item in runtime.runtime.ListPodSandbox(cri.ListPodSandboxRequest()).items}
    for delay_s in (0.0, 0.001, 0.003, 0.006):
        config = runtime.pod_config()
        call = runtime.runtime.RunPodSandbox.future(cri.RunPodSandboxRequest(config=config))
        time.sleep(delay_s)  # as above
        if not call.cancel() or (call.done() and not call.cancelled()):
            runtime.made.append(call.result().pod_sandbox_id)  # it was done before
            continue

        def free(config: Any = config) -> bool:
            try:
                runtime.run_pod(config)
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.ALREADY_EXISTS
                items = runtime.runtime.ListPodSandbox(cri.ListPodSandboxRequest()).items
                made = [item.id for item in items if item.metadata == config.metadata]
                runtime.made.extend(made)
                return any(item.state == cri.SANDBOX_READY for item in items if item.metadata == config.metadata)
            return True

        runtime.until(free, "the name to be free or the sandbox to be there")
    runtime.clean()
    after = {item.id for item in runtime.runtime.ListPodSandbox(cri.ListPodSandboxRequest()).items}
    assert after == before


def test_one_of_many_at_once_gets_the_name(runtime: Any) -> None:
    pod = runtime.pod()
    config = runtime.container_config("sleep", "1000", name="same")

    def attempt(_: int) -> str:
        try:
            return str(runtime.create_from(pod, config))
        except grpc.RpcError:
            return ""

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = [identifier for identifier in pool.map(attempt, range(8)) if identifier]
    assert len(made) == 1


@pytest.mark.knarr_only
def test_the_same_things_are_removed_by_many_at_once(runtime: Any) -> None:
    pod = runtime.pod()
    container = runtime.sleeper(pod)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: runtime.remove_pod(pod), range(4)))
    error = runtime.refused(lambda: runtime.status(container))
    assert error.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.knarr_only
def test_a_field_that_is_not_supported_is_named(runtime: Any, tmp_path: Path) -> None:
    pod = runtime.pod()
    mounts = [cri.Mount(host_path=str(tmp_path), container_path="/v", mount_options=["noexec"])]
    error = runtime.refused(lambda: runtime.create(pod, "true", mounts=mounts))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "config.mounts[0].mount_options" in error.details()
