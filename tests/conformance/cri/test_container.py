"""Containers: create, start, stop, remove; their status; what is run; their log; exec."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri


def listed(runtime: Any, **chosen: Any) -> list[Any]:
    request = cri.ListContainersRequest(filter=cri.ContainerFilter(**chosen))
    return list(runtime.runtime.ListContainers(request).containers)


def test_a_container_goes_through_its_states(runtime: Any) -> None:
    before_ns = time.time_ns()
    pod = runtime.pod()
    container = runtime.create(pod, "sleep", "1000")
    status = runtime.status(container)
    assert (status.state, status.started_at, status.finished_at) == (cri.CONTAINER_CREATED, 0, 0)
    assert before_ns <= status.created_at <= time.time_ns()
    runtime.start(container)
    status = runtime.status(container)
    assert status.state == cri.CONTAINER_RUNNING and status.finished_at == 0
    assert status.created_at <= status.started_at <= time.time_ns()
    runtime.stop(container)
    status = runtime.status(container)
    assert (status.state, status.exit_code, status.reason) == (cri.CONTAINER_EXITED, 137, "Error")
    assert status.started_at <= status.finished_at <= time.time_ns()
    runtime.remove(container)
    assert listed(runtime, id=container) == []
    assert runtime.refused(lambda: runtime.status(container)).code() is grpc.StatusCode.NOT_FOUND


def test_stop_and_remove_are_idempotent(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    for _ in range(2):
        runtime.stop(container)
    for _ in range(2):
        runtime.remove(container)


@pytest.mark.containerd_lacks("stopping what is gone is no error since containerd 1.7")
def test_stopping_what_is_gone_is_no_error(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    runtime.remove(container)
    runtime.stop(container)
    runtime.runtime.StopPodSandbox(cri.StopPodSandboxRequest(pod_sandbox_id="no-such-sandbox"))


def test_a_running_container_is_removed_by_force(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    runtime.remove(container)
    assert listed(runtime, id=container) == []


def test_a_created_container_is_removed(runtime: Any) -> None:
    container = runtime.create(runtime.pod(), "sleep", "1000")
    runtime.remove(container)
    assert listed(runtime, id=container) == []


@pytest.mark.parametrize(("script", "code", "reason"), [("exit 0", 0, "Completed"), ("exit 7", 7, "Error")])
def test_how_it_ended_is_told(runtime: Any, script: str, code: int, reason: str) -> None:
    status = runtime.ended(runtime.started(runtime.pod(), "sh", "-c", script))
    assert (status.exit_code, status.reason) == (code, reason)


def test_a_signal_is_told_as_128_and_more(runtime: Any) -> None:
    status = runtime.ended(runtime.started(runtime.pod(), "sh", "-c", "kill -SEGV $$; sleep 1000"))
    assert status.state == cri.CONTAINER_EXITED and status.exit_code in (139, 0x8B)


def test_a_program_that_does_not_exist_fails_to_start(runtime: Any) -> None:
    container = runtime.create(runtime.pod(), "no-such-program")
    error = runtime.refused(lambda: runtime.start(container))
    assert "no-such-program" in error.details()
    status = runtime.status(container)
    assert status.state == cri.CONTAINER_EXITED and status.exit_code in (127, 128)
    assert "no-such-program" in status.message
    assert status.reason in ("StartError", "ContainerCannotRun")
    assert runtime.refused(lambda: runtime.start(container)) is not None, "it is not started again"


def test_it_is_started_once(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    runtime.refused(lambda: runtime.start(container))
    runtime.stop(container)
    runtime.refused(lambda: runtime.start(container))


def test_a_name_belongs_to_one_container_of_the_pod(runtime: Any) -> None:
    pod, other = runtime.pod(), runtime.pod()
    first = runtime.create(pod, "true", name="same")
    runtime.refused(lambda: runtime.create(pod, "true", name="same"))
    assert runtime.create(pod, "true", name="same", attempt=1) != first
    assert runtime.create(other, "true", name="same") != first
    runtime.remove(first)
    assert runtime.create(pod, "true", name="same") != first


def test_attributes_come_back_as_they_were_given(runtime: Any) -> None:
    pod = runtime.pod()
    labels, annotations = {"a": "b"}, {"c": "d"}
    container = runtime.create(pod, "sleep", "1000", name="named", attempt=2, labels=labels, annotations=annotations)
    (item,) = listed(runtime, id=container)
    assert item.pod_sandbox_id == pod.id
    for found in (item, runtime.status(container)):
        assert (found.metadata.name, found.metadata.attempt) == ("named", 2)
        assert dict(found.labels) == labels
        assert dict(found.annotations) == annotations


def test_image_and_log_path_are_told(runtime: Any) -> None:
    pod = runtime.pod()
    container = runtime.create(pod, "true", log_path="some/where.log", image="different:2")
    status = runtime.status(container)
    assert status.image.image == runtime.image("different:2")
    assert status.image_ref
    assert status.log_path == str(pod.logs / "some/where.log")
    request = cri.ImageStatusRequest(image=status.image)
    image = runtime.images.ImageStatus(request).image
    assert status.image_ref in (image.id, *image.repo_digests)


@pytest.mark.containerd_lacks("image_id in statuses is of CRI 1.30 and later")
def test_image_ids_are_the_same_everywhere(runtime: Any) -> None:
    pod = runtime.pod()
    image = runtime.images.ImageStatus(
        cri.ImageStatusRequest(image=cri.ImageSpec(image=runtime.image("different:2")))
    ).image
    spec = cri.ImageSpec(image=image.id, user_specified_image=runtime.image("different:2"))
    container = runtime.create(pod, "true", image=spec)
    (item,) = listed(runtime, id=container)
    assert runtime.status(container).image_id == item.image_id == image.id


def test_verbose_status_names_the_process(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    info = runtime.info(container)
    assert Path(f"/proc/{info['pid']}/cmdline").read_bytes() == b"sleep\x001000\x00"
    assert info["runtimeSpec"]["process"]["args"] == ["sleep", "1000"]
    assert info["sandboxID"] and info["config"]["metadata"]["name"]
    assert not runtime.runtime.ContainerStatus(cri.ContainerStatusRequest(container_id=container)).info


def test_an_image_that_is_not_there_is_refused(runtime: Any) -> None:
    pod = runtime.pod()
    error = runtime.refused(lambda: runtime.create(pod, "true", image="missing:1"))
    assert error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNKNOWN)


def test_a_sandbox_that_is_not_there_is_refused(runtime: Any) -> None:
    config = runtime.container_config("true")
    request = cri.CreateContainerRequest(pod_sandbox_id="nowhere", config=config, sandbox_config=runtime.pod_config())
    runtime.refused(lambda: runtime.runtime.CreateContainer(request))


# What is run


def run(runtime: Any, *command: str, **more: Any) -> list[str]:
    """The lines that a container prints."""
    container = runtime.started(runtime.pod(), *command, **more)
    status = runtime.ended(container)
    assert status.exit_code == 0, status
    return [line[2] for line in runtime.log(container)]


def test_entrypoint_and_cmd_of_the_image(runtime: Any) -> None:
    assert run(runtime, image="entry:1") == ["entry default"]


def test_arguments_replace_the_images_cmd(runtime: Any) -> None:
    assert run(runtime, image="entry:1", args=["other", "words"]) == ["entry other words"]


def test_a_command_replaces_the_images_entrypoint_and_cmd(runtime: Any) -> None:
    assert run(runtime, "echo", image="entry:1") == [""]
    assert run(runtime, "echo", image="entry:1", args=["mine"]) == ["mine"]


def test_an_image_without_command_needs_one(runtime: Any) -> None:
    pod = runtime.pod()
    runtime.refused(lambda: runtime.start(runtime.create(pod, image="nothing:1")))


def test_environment_of_image_and_request(runtime: Any) -> None:
    envs = [cri.KeyValue(key="BOTH", value=b"request"), cri.KeyValue(key="MINE", value=b"with spaces=and more")]
    lines = run(runtime, "env", image="entry:1", envs=envs)
    assert {"FROM_IMAGE=image", "BOTH=request", "MINE=with spaces=and more"} <= set(lines)
    assert any(line.startswith("PATH=") for line in lines)
    assert any(line.startswith("HOSTNAME=pod-") for line in lines)


def test_working_directory_of_image_and_request(runtime: Any) -> None:
    assert run(runtime, "pwd", image="entry:1") == ["/work/here"]
    assert run(runtime, "pwd", image="entry:1", working_dir="/tmp") == ["/tmp"]
    assert run(runtime, "pwd", working_dir="/made/for/it") == ["/made/for/it"]


def test_the_images_stop_signal_is_used(runtime: Any) -> None:
    script = 'trap "exit 42" USR1; echo ready; while :; do sleep 0.1; done'
    container = runtime.started(runtime.pod(), "sh", "-c", script, image="entry:1")
    runtime.logged(container, "ready")
    runtime.stop(container, timeout_s=10)
    assert runtime.status(container).exit_code == 42


@pytest.mark.containerd_lacks("stop_signal is of CRI 1.33 and later")
def test_the_requests_stop_signal_is_used(runtime: Any) -> None:
    script = 'trap "exit 43" HUP; echo ready; while :; do sleep 0.1; done'
    pod = runtime.pod()
    container = runtime.started(pod, "sh", "-c", script, image="entry:1", stop_signal=cri.SIGNAL_SIGHUP)
    runtime.logged(container, "ready")
    assert runtime.status(container).stop_signal == cri.SIGNAL_SIGHUP
    runtime.stop(container, timeout_s=10)
    assert runtime.status(container).exit_code == 43


def test_what_ignores_its_stop_signal_is_killed_after_the_timeout(runtime: Any) -> None:
    script = 'trap "" TERM; echo ready; while :; do sleep 0.1; done'
    container = runtime.started(runtime.pod(), "sh", "-c", script)
    runtime.logged(container, "ready")
    began = time.monotonic()
    runtime.stop(container, timeout_s=1)
    assert runtime.status(container).exit_code == 137
    assert time.monotonic() - began >= 0.9


def test_standard_input_is_empty_unless_asked_for(runtime: Any) -> None:
    assert run(runtime, "sh", "-c", "read line || echo at the end") == ["at the end"]


def test_a_terminal_is_given_on_request(runtime: Any) -> None:
    lines = run(runtime, "sh", "-c", "test -t 0 && test -t 1 && tty", tty=True, stdin=True)
    assert lines == ["/dev/pts/0\r"] or lines == ["/dev/pts/0"] or lines == ["/dev/console"]


# Logs


def test_each_line_is_logged_with_time_stream_and_tag(runtime: Any) -> None:
    container = runtime.started(runtime.pod(), "sh", "-c", "echo out; echo err >&2; printf partial")
    runtime.ended(container)
    assert sorted(runtime.log(container)) == [
        ("stderr", "F", "err"),
        ("stdout", "F", "out"),
        ("stdout", "F" if runtime.kind == "knarr" else "P", "partial"),
    ]


def test_long_lines_are_cut_and_marked(runtime: Any) -> None:
    script = "head -c 40000 /dev/zero | tr '\\0' x; echo"
    container = runtime.started(runtime.pod(), "sh", "-c", script)
    runtime.ended(container)
    lines = runtime.log(container)
    assert [line[1] for line in lines] == ["P"] * (len(lines) - 1) + ["F"] and len(lines) > 1
    assert "".join(line[2] for line in lines) == "x" * 40000


def test_no_log_is_kept_without_a_path(runtime: Any) -> None:
    pod = runtime.pod()
    assert runtime.ended(runtime.started(pod, "echo", "hello", log_path="")).log_path == ""
    assert not list(pod.logs.iterdir())


def test_a_log_is_reopened_after_it_was_moved(runtime: Any) -> None:
    pod = runtime.pod()
    container = runtime.started(pod, "sh", "-c", "while :; do echo line; sleep 0.05; done")
    runtime.logged(container, "line")
    path = Path(runtime.status(container).log_path)
    path.rename(path.with_suffix(".1"))
    runtime.runtime.ReopenContainerLog(cri.ReopenContainerLogRequest(container_id=container))
    assert path.exists()
    runtime.logged(container, "line")
    before = path.with_suffix(".1").stat().st_size
    now = len(runtime.log(container))
    runtime.until(lambda: len(runtime.log(container)) > now + 3, "more lines in the new log")
    assert path.with_suffix(".1").stat().st_size == before


def test_the_log_of_what_does_not_run_is_not_reopened(runtime: Any) -> None:
    container = runtime.create(runtime.pod(), "true")
    request = cri.ReopenContainerLogRequest(container_id=container)
    runtime.refused(lambda: runtime.runtime.ReopenContainerLog(request))


# Exec


def test_exec_gives_output_and_exit_code(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    answer = runtime.execute(container, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (answer.stdout, answer.stderr, answer.exit_code) == (b"out\n", b"err\n", 7)


def test_exec_after_its_time_is_killed(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    error = runtime.refused(lambda: runtime.execute(container, "sleep", "4321", timeout_s=1))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    runtime.until(lambda: "4321" not in runtime.output(container, "ps", "-o", "args"), "the command to be killed")


def test_exec_of_what_is_not_there_fails(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    runtime.refused(lambda: runtime.execute(container, "no-such-program"))
    runtime.refused(lambda: runtime.execute(container))
    runtime.refused(lambda: runtime.execute("no-such-container", "true"))


def test_exec_in_what_does_not_run_is_refused(runtime: Any) -> None:
    container = runtime.create(runtime.pod(), "true")
    runtime.refused(lambda: runtime.execute(container, "true"))
    runtime.start(container)
    runtime.ended(container)
    runtime.refused(lambda: runtime.execute(container, "true"))


def test_exec_has_the_containers_environment(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod(), image="entry:1", envs=[cri.KeyValue(key="MINE", value=b"1")])
    lines = set(runtime.output(container, "env").splitlines())
    assert {"FROM_IMAGE=image", "MINE=1"} <= lines
    assert runtime.output(container, "pwd") == "/work/here\n"


def test_large_output_of_exec_is_whole(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    answer = runtime.execute(container, "head", "-c", "3000000", "/dev/zero")
    assert len(answer.stdout) == 3_000_000 and answer.exit_code == 0


@pytest.mark.containerd_lacks("its limit came with containerd 1.6.6, and Debian's answers more than clients take")
def test_output_of_exec_is_cut_at_16_megabytes(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    answer = runtime.execute(container, "sh", "-c", "head -c 20000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit 3")
    assert len(answer.stdout) == 16_000_000 and 0 < len(answer.stderr) < 3_000_000 and answer.exit_code == 3
    assert answer.ByteSize() < 16 << 20


# Several containers


def test_containers_of_a_pod_reach_each_other_by_localhost(runtime: Any) -> None:
    pod = runtime.pod()
    runtime.started(pod, image="web:1")
    client = runtime.sleeper(pod)
    script = "until wget -q -O - http://127.0.0.1/; do usleep 50000; done"
    assert "served by the pod\n" in runtime.output(client, "sh", "-c", script)


def test_each_container_has_its_own_log_and_exec(runtime: Any) -> None:
    pod = runtime.pod()
    one = runtime.started(pod, "sh", "-c", "echo one; sleep 1000")
    two = runtime.started(pod, "sh", "-c", "echo two; sleep 1000")
    runtime.logged(one, "one")
    runtime.logged(two, "two")
    assert len(runtime.log(one)) == len(runtime.log(two)) == 1
    runtime.output(one, "touch", "/mine")
    assert runtime.execute(two, "test", "-e", "/mine").exit_code == 1


def test_out_of_memory_is_told(runtime: Any) -> None:
    resources = cri.LinuxContainerResources(memory_limit_in_bytes=16 << 20, memory_swap_limit_in_bytes=16 << 20)
    linux = cri.LinuxContainerConfig(resources=resources)
    status = runtime.ended(runtime.started(runtime.pod(), "dd", "if=/dev/zero", "of=/dev/null", "bs=30M", linux=linux))
    assert (status.exit_code, status.reason) == (137, "OOMKilled")
