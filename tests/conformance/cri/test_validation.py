"""What Kubernetes' validation suite for runtimes asks and stands nowhere else here, with requests like its own.

Those say little: no hostname, no log directory, no parent of cgroups, often no ``linux`` at all. Which of its tests is
which of ours stands in ``docs/cri-validation.md``.
"""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any

import pytest

from knarr_proto.cri import api_pb2 as cri
from tests.conformance.cri.conftest import Pod

MEBIBYTE = 1 << 20
TOP = ("sh", "-c", "top")


def bare_pod(runtime: Any, **more: Any) -> Pod:
    """As that suite makes most of its pods."""
    unique = secrets.token_hex(8)
    metadata = cri.PodSandboxMetadata(
        name=f"PodSandbox-{unique}", uid=f"cri-test-uid{unique}", namespace=f"cri-test-namespace{unique}", attempt=2
    )
    given = {"linux": cri.LinuxPodSandboxConfig(), **more}
    return runtime.run_pod(cri.PodSandboxConfig(metadata=metadata, **given))  # type: ignore[no-any-return]


def bare_container(runtime: Any, pod: Pod, *command: str, **more: Any) -> str:
    """Started."""
    metadata = cri.ContainerMetadata(name=f"container-{secrets.token_hex(8)}", attempt=2)
    image = cri.ImageSpec(image=runtime.image("busybox:1"))
    config = cri.ContainerConfig(metadata=metadata, image=image, command=command, **more)
    container = str(runtime.create_from(pod, config))
    runtime.start(container)
    return container


def context(**security: Any) -> Any:
    return cri.LinuxContainerConfig(security_context=cri.LinuxContainerSecurityContext(**security))


@pytest.mark.parametrize("linux", [cri.LinuxPodSandboxConfig(), None])
def test_a_pod_and_a_container_of_which_little_is_said(runtime: Any, linux: Any) -> None:
    pod = bare_pod(runtime, linux=linux)
    assert runtime.pod_status(pod).state == cri.SANDBOX_READY
    container = bare_container(runtime, pod, *TOP)
    status = runtime.status(container)
    assert status.state == cri.CONTAINER_RUNNING and status.metadata.attempt == 2
    answer = runtime.execute(container, "echo", "-n", "hello", timeout_s=30)
    assert (answer.stdout, answer.stderr, answer.exit_code) == (b"hello", b"", 0)
    began = time.monotonic()
    runtime.stop(container, timeout_s=60)
    assert time.monotonic() - began < 30, "a program that does nothing about its stop signal ends by it"
    assert runtime.status(container).state == cri.CONTAINER_EXITED


def test_a_slice_at_the_top_is_a_parent_like_any_other(runtime: Any) -> None:
    """What the suite names where it does not know who makes cgroups; systemd would put it at the same place."""
    pod = bare_pod(runtime, linux=cri.LinuxPodSandboxConfig(cgroup_parent="/test.slice"))
    assert runtime.output(bare_container(runtime, pod, *TOP), "echo", "here") == "here\n"


def test_stopping_what_was_never_started_is_fine(runtime: Any) -> None:
    pod = runtime.pod()
    container = runtime.create(pod, "sleep", "1000")
    runtime.stop(container, timeout_s=10)
    runtime.remove(container)


def test_a_log_is_there_as_soon_as_its_container_has_started(runtime: Any) -> None:
    pod = runtime.pod()
    for _ in range(5):
        container = runtime.started(pod, "sleep", "1000")
        assert Path(runtime.status(container).log_path).is_file()


def test_a_log_is_whole_as_soon_as_its_container_has_ended(runtime: Any) -> None:
    pod = runtime.pod()
    for _ in range(5):
        container = runtime.started(pod, "echo", "hello World")
        runtime.ended(container)
        assert ("stdout", "F", "hello World") in runtime.log(container)


def test_a_command_that_took_too_long_is_gone_when_that_is_told(runtime: Any) -> None:
    container = bare_container(runtime, bare_pod(runtime), *TOP)
    for _ in range(3):
        runtime.refused(lambda: runtime.execute(container, "sleep", "4321", timeout_s=1))
        names = runtime.execute(container, "sh", "-c", "cat /proc/[0-9]*/comm", timeout_s=30).stdout
        assert b"top" in names and b"sleep" not in names


# Security contexts


@pytest.mark.parametrize(
    ("profile", "shown"), [(None, "0"), (cri.SecurityProfile(), "2"), (cri.SecurityProfile(profile_type=1), "0")]
)
def test_without_a_profile_system_calls_are_not_filtered(runtime: Any, profile: Any, shown: str) -> None:
    security = cri.LinuxSandboxSecurityContext(seccomp=profile)
    pod = bare_pod(runtime, linux=cri.LinuxPodSandboxConfig(security_context=security))
    container = bare_container(runtime, pod, *TOP, linux=context(seccomp=profile))
    assert runtime.output(container, "grep", "Seccomp:", "/proc/self/status").split() == ["Seccomp:", shown]


def test_a_user_is_in_its_own_group_too(runtime: Any) -> None:
    linux = context(run_as_user=cri.Int64Value(value=1000), supplemental_groups=[1234])
    container = bare_container(runtime, bare_pod(runtime), *TOP, linux=linux)
    assert runtime.output(container, "id", "-G") == "1000 1234 50000\n"
    pid = runtime.info(container)["pid"]
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Groups:"))
    assert sorted(int(one) for one in line.split()[1:]) == [1000, 1234, 50000]


@pytest.mark.containerd_lacks("a status's user is of CRI 1.31 and later")
@pytest.mark.parametrize(("policy", "groups"), [(cri.Merge, [1000, 1234, 50000]), (cri.Strict, [1000, 1234])])
def test_a_status_tells_a_users_own_group_among_its_groups(runtime: Any, policy: Any, groups: list[int]) -> None:
    user = {"run_as_user": cri.Int64Value(value=1000), "supplemental_groups": [1234]}
    linux = context(supplemental_groups_policy=policy, **user)
    told = runtime.status(bare_container(runtime, bare_pod(runtime), *TOP, linux=linux)).user.linux
    assert (told.uid, told.gid, sorted(told.supplemental_groups)) == (1000, 1000, groups)


def test_a_bridge_is_made_by_those_who_manage_their_network(runtime: Any) -> None:
    pod = bare_pod(runtime)
    added = bare_container(
        runtime, pod, *TOP, linux=context(capabilities=cri.Capability(add_capabilities=["NET_ADMIN"]))
    )
    assert runtime.execute(added, "ip", "link", "add", "foobar", "type", "bridge").exit_code == 0
    plain = bare_container(runtime, pod, *TOP, linux=cri.LinuxContainerConfig())
    assert runtime.execute(plain, "ip", "link", "add", "barfoo", "type", "bridge").exit_code != 0


def test_nobody_pings_without_raw_sockets(runtime: Any) -> None:
    linux = context(capabilities=cri.Capability(drop_capabilities=["NET_RAW"]))
    container = bare_container(runtime, bare_pod(runtime), *TOP, linux=linux)
    answer = runtime.execute(container, "ping", "127.0.0.1", timeout_s=30)
    assert answer.exit_code != 0 and answer.stdout and b"permission denied" in answer.stderr


def test_a_masked_program_is_not_run(runtime: Any) -> None:
    image = cri.ImageSpec(image=runtime.image("odd:privileges"))
    linux = context(masked_paths=["/privileged/su"])
    container = runtime.started(bare_pod(runtime), *TOP, image=image, linux=linux)
    answer = runtime.execute(container, "/bin/sh", "-c", "cd /privileged; ./su", timeout_s=30)
    assert answer.exit_code == 126 and answer.stderr == b"/bin/sh: ./su: Permission denied\n"


@pytest.mark.parametrize("uid", [0, 1001])
def test_the_outputs_may_be_opened_by_their_names(runtime: Any, uid: int) -> None:
    """As web servers do whose images point their log files there."""
    script = "echo out > /dev/stdout; echo err > /dev/stderr; echo fd > /proc/self/fd/1"
    linux = context(run_as_user=cri.Int64Value(value=uid))
    container = runtime.started(runtime.pod(), "sh", "-c", script, linux=linux)
    assert runtime.ended(container).exit_code == 0, runtime.log(container)
    assert sorted(runtime.log(container)) == [("stderr", "F", "err"), ("stdout", "F", "fd"), ("stdout", "F", "out")]


# Memory


def test_a_program_that_takes_too_much_memory_is_killed_and_that_is_told(runtime: Any) -> None:
    limits = cri.LinuxContainerResources(memory_limit_in_bytes=15 * MEBIBYTE, memory_swap_limit_in_bytes=15 * MEBIBYTE)
    privileged = cri.LinuxSandboxSecurityContext(privileged=True)
    pod = bare_pod(runtime, linux=cri.LinuxPodSandboxConfig(security_context=privileged))
    command = ("sh", "-c", "dd if=/dev/zero of=/dev/null bs=20M")
    container = bare_container(runtime, pod, *command, linux=cri.LinuxContainerConfig(resources=limits))
    runtime.ended(container)
    runtime.until(lambda: runtime.status(container).reason == "OOMKilled", "the reason")
    assert runtime.status(container).exit_code == 137


# Images


@pytest.mark.usefixtures("registry")
def test_one_image_from_two_registries_has_one_id(runtime: Any) -> None:
    first = runtime.image("different:1")
    second = first.replace("127.0.0.1", "localhost")

    def status(name: str) -> Any:
        return runtime.images.ImageStatus(cri.ImageStatusRequest(image=cri.ImageSpec(image=name))).image

    sandbox = cri.PodSandboxConfig(labels={"of": "nothing"})
    try:
        pulled = [
            runtime.images.PullImage(
                cri.PullImageRequest(image=cri.ImageSpec(image=name), sandbox_config=sandbox), timeout=60
            ).image_ref
            for name in (first, second)
        ]
        assert pulled[0] == pulled[1] == status(first).id == status(second).id
        assert sorted(status(first).repo_tags) == sorted([first, second])
        assert {digest.partition("/")[0] for digest in status(first).repo_digests} == {
            "127.0.0.1:5000",
            "localhost:5000",
        }
        for name in (pulled[0], *status(first).repo_tags, *status(first).repo_digests):
            assert status(name) == status(first)
    finally:
        runtime.images.RemoveImage(cri.RemoveImageRequest(image=cri.ImageSpec(image=pulled[0])), timeout=60)
        assert not status(second).id
        runtime.images.PullImage(cri.PullImageRequest(image=cri.ImageSpec(image=first)), timeout=60)


def test_removing_an_image_nobody_has_is_fine(runtime: Any) -> None:
    request = cri.RemoveImageRequest(image=cri.ImageSpec(image="0" * 64))
    for _ in range(2):
        runtime.images.RemoveImage(request)


# What crictl shows


def shown_by_crictl(info: Any) -> None:
    """It reads each value that begins like an object as one, and shows any other as text."""
    for text in info.values():
        if text[:1] in ("{", "["):
            assert isinstance(json.loads(text), dict)


def test_more_of_everything_is_told_as_objects(runtime: Any) -> None:
    pod = bare_pod(runtime)
    container = bare_container(runtime, pod, *TOP)
    shown_by_crictl(runtime.runtime.Status(cri.StatusRequest(verbose=True)).info)
    request = cri.PodSandboxStatusRequest(pod_sandbox_id=pod.id, verbose=True)
    shown_by_crictl(runtime.runtime.PodSandboxStatus(request).info)
    shown_by_crictl(
        runtime.runtime.ContainerStatus(cri.ContainerStatusRequest(container_id=container, verbose=True)).info
    )
    image = cri.ImageSpec(image=runtime.image("busybox:1"))
    shown_by_crictl(runtime.images.ImageStatus(cri.ImageStatusRequest(image=image, verbose=True)).info)


def test_an_update_that_says_nothing_changes_nothing(runtime: Any) -> None:
    limits = cri.LinuxContainerResources(memory_limit_in_bytes=64 * MEBIBYTE, cpu_shares=512)
    container = bare_container(runtime, bare_pod(runtime), *TOP, linux=cri.LinuxContainerConfig(resources=limits))
    request = cri.UpdateContainerResourcesRequest(container_id=container, linux=cri.LinuxContainerResources())
    runtime.runtime.UpdateContainerResources(request)
    stats = runtime.runtime.ContainerStats(cri.ContainerStatsRequest(container_id=container)).stats
    assert stats.memory.available_bytes.value + stats.memory.working_set_bytes.value == 64 * MEBIBYTE
