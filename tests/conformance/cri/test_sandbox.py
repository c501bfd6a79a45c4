"""Sandboxes: run, list, stop, remove; what their status says; sysctls; the shared namespaces."""

from __future__ import annotations

import json
import os
import secrets
import time
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri


def listed(runtime: Any, **chosen: Any) -> list[Any]:
    request = cri.ListPodSandboxRequest(filter=cri.PodSandboxFilter(**chosen))
    return list(runtime.runtime.ListPodSandbox(request).items)


def test_a_sandbox_runs_stops_and_goes(runtime: Any) -> None:
    pod = runtime.pod()
    assert runtime.pod_status(pod).state == cri.SANDBOX_READY
    assert [p.state for p in listed(runtime, id=pod.id)] == [cri.SANDBOX_READY]
    runtime.stop_pod(pod)
    assert runtime.pod_status(pod).state == cri.SANDBOX_NOTREADY
    assert [p.state for p in listed(runtime, id=pod.id)] == [cri.SANDBOX_NOTREADY]
    runtime.remove_pod(pod)
    assert listed(runtime, id=pod.id) == []
    error = runtime.refused(lambda: runtime.pod_status(pod))
    assert error.code() is grpc.StatusCode.NOT_FOUND


def test_attributes_come_back_as_they_were_given(runtime: Any) -> None:
    before_ns = time.time_ns()
    labels, annotations = {"foo": "bar", "io.kubernetes.pod.name": "x"}, {"abc": "def"}
    metadata = cri.PodSandboxMetadata(attempt=3)
    pod = runtime.pod(labels=labels, annotations=annotations, metadata=metadata)
    (item,) = listed(runtime, id=pod.id)
    for found in (runtime.pod_status(pod), item):
        assert found.id == pod.id and found.metadata == pod.config.metadata
        assert dict(found.labels) == labels
        assert dict(found.annotations) == annotations
        assert before_ns <= found.created_at <= time.time_ns()


def test_status_says_address_and_namespaces(runtime: Any) -> None:
    pod = runtime.pod()
    status = runtime.pod_status(pod)
    assert status.network.ip.startswith("10.244.9.") and not status.network.additional_ips
    options = status.linux.namespaces.options
    assert (options.network, options.pid, options.ipc) == (cri.POD, cri.POD, cri.POD)


def test_status_of_a_pod_on_the_host_network_names_no_address(runtime: Any) -> None:
    options = cri.NamespaceOption(network=cri.NODE, pid=cri.CONTAINER, ipc=cri.NODE)
    security = cri.LinuxSandboxSecurityContext(namespace_options=options)
    pod = runtime.pod(linux=cri.LinuxPodSandboxConfig(security_context=security), hostname="")
    status = runtime.pod_status(pod)
    assert status.network.ip == "", "the kubelet fills in the host's"
    told = status.linux.namespaces.options
    assert (told.network, told.pid, told.ipc) == (cri.NODE, cri.CONTAINER, cri.NODE)


def test_status_of_an_unknown_sandbox_is_not_found(runtime: Any) -> None:
    request = cri.PodSandboxStatusRequest(pod_sandbox_id="no-such-sandbox")
    error = runtime.refused(lambda: runtime.runtime.PodSandboxStatus(request))
    assert error.code() is grpc.StatusCode.NOT_FOUND


def test_stop_and_remove_are_idempotent(runtime: Any) -> None:
    pod = runtime.pod()
    for _ in range(2):
        runtime.stop_pod(pod)
    for _ in range(2):
        runtime.remove_pod(pod)


def test_stopping_kills_what_runs_in_it(runtime: Any) -> None:
    pod = runtime.pod()
    container = runtime.sleeper(pod)
    runtime.stop_pod(pod)
    status = runtime.status(container)
    assert (status.state, status.exit_code) == (cri.CONTAINER_EXITED, 137)
    assert runtime.pod_status(pod).state == cri.SANDBOX_NOTREADY


def test_removing_takes_running_containers_along(runtime: Any) -> None:
    pod = runtime.pod()
    container = runtime.sleeper(pod)
    runtime.remove_pod(pod)
    error = runtime.refused(lambda: runtime.status(container))
    assert error.code() is grpc.StatusCode.NOT_FOUND


def test_a_name_belongs_to_one_sandbox_until_it_is_removed(runtime: Any) -> None:
    config = runtime.pod_config()
    first = runtime.run_pod(config)
    runtime.stop_pod(first)
    runtime.refused(lambda: runtime.run_pod(config))
    config.metadata.attempt = 1
    second = runtime.run_pod(config)
    assert second.id != first.id
    runtime.remove_pod(first)
    config.metadata.attempt = 0
    assert runtime.run_pod(config).id not in (first.id, second.id)


@pytest.mark.parametrize("field", ["name", "namespace", "uid"])
@pytest.mark.knarr_only
def test_metadata_is_needed(runtime: Any, field: str) -> None:
    config = runtime.pod_config()
    setattr(config.metadata, field, "")
    error = runtime.refused(lambda: runtime.run_pod(config))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT and f"metadata.{field}" in error.details()


def test_a_runtime_handler_that_does_not_exist_is_refused(runtime: Any) -> None:
    runtime.refused(lambda: runtime.run_pod(runtime.pod_config(), runtime_handler="no-such-handler"))


def test_a_container_in_a_stopped_sandbox_is_refused(runtime: Any) -> None:
    pod = runtime.pod()
    runtime.stop_pod(pod)
    runtime.refused(lambda: runtime.create(pod, "true"))


def test_sysctls_are_set(runtime: Any) -> None:
    sysctls = {"kernel.shm_rmid_forced": "1", "fs.mqueue.msg_max": "100", "net.ipv4.ip_unprivileged_port_start": "0"}
    pod = runtime.pod(linux=cri.LinuxPodSandboxConfig(sysctls=sysctls))
    container = runtime.sleeper(pod)
    for name, value in sysctls.items():
        assert runtime.output(container, "cat", f"/proc/sys/{name.replace('.', '/')}").strip() == value


def test_sysctls_of_the_whole_machine_are_refused(runtime: Any) -> None:
    config = runtime.pod_config(linux=cri.LinuxPodSandboxConfig(sysctls={"vm.swappiness": "1"}))
    runtime.refused(lambda: runtime.run_pod(config))


def test_verbose_status_names_the_process(runtime: Any) -> None:
    pod = runtime.pod()
    request = cri.PodSandboxStatusRequest(pod_sandbox_id=pod.id, verbose=True)
    info = json.loads(runtime.runtime.PodSandboxStatus(request).info["info"])
    assert info["pid"] > 0
    assert info["config"]["metadata"]["name"] == pod.config.metadata.name
    assert not runtime.runtime.PodSandboxStatus(cri.PodSandboxStatusRequest(pod_sandbox_id=pod.id)).info
    runtime.stop_pod(pod)
    info = json.loads(runtime.runtime.PodSandboxStatus(request).info["info"])
    assert info.get("pid", 0) == 0 and info["netNamespaceClosed"]


def test_the_hostname_is_the_pods(runtime: Any) -> None:
    pod = runtime.pod(hostname="somebody")
    container = runtime.sleeper(pod)
    assert runtime.output(container, "hostname").strip() == "somebody"
    assert runtime.output(container, "cat", "/etc/hostname").strip() == "somebody"


def test_without_a_hostname_it_is_the_machines_and_still_the_pods_own(runtime: Any) -> None:
    privileged = cri.LinuxPodSandboxConfig(security_context=cri.LinuxSandboxSecurityContext(privileged=True))
    container = runtime.secure(runtime.pod(hostname="", linux=privileged), privileged=True)
    name = os.uname().nodename
    assert runtime.output(container, "hostname").strip() == name
    assert name in runtime.output(container, "cat", "/etc/hosts")
    runtime.output(container, "hostname", "changed")
    assert os.uname().nodename == name


@pytest.mark.containerd_lacks("statuses beside a sandbox's are of CRI 1.27 and later")
def test_status_tells_of_its_containers_at_one_moment(runtime: Any) -> None:
    pod = runtime.pod()
    container = runtime.sleeper(pod)
    before_ns = time.time_ns()
    answer = runtime.runtime.PodSandboxStatus(cri.PodSandboxStatusRequest(pod_sandbox_id=pod.id))
    assert before_ns <= answer.timestamp <= time.time_ns()
    assert list(answer.containers_statuses) == [runtime.status(container)]


def test_containers_of_a_pod_share_memory(runtime: Any) -> None:
    pod = runtime.pod()
    first, second = runtime.sleeper(pod), runtime.sleeper(pod)
    runtime.output(first, "sh", "-c", "echo shared > /dev/shm/file")
    assert runtime.output(second, "cat", "/dev/shm/file") == "shared\n"


def test_removing_a_pods_old_sandbox_leaves_its_new_one(runtime: Any) -> None:
    """As a kubelet does when a sandbox has to be made anew: both have the pod's cgroup."""
    linux = cri.LinuxPodSandboxConfig(cgroup_parent=f"kubepods/pod{secrets.token_hex(4)}")
    old = runtime.pod(linux=linux)
    runtime.sleeper(old)
    runtime.stop_pod(old)
    new = runtime.pod(linux=linux)
    container = runtime.sleeper(new)
    runtime.remove_pod(old)
    assert runtime.status(container).state == cri.CONTAINER_RUNNING
    assert runtime.output(container, "echo", "lives") == "lives\n"
    assert runtime.pod_status(new).state == cri.SANDBOX_READY


@pytest.mark.knarr_only
def test_a_slice_of_systemd_is_refused_by_a_runtime_that_makes_cgroups_itself(runtime: Any) -> None:
    driver = runtime.runtime.RuntimeConfig(cri.RuntimeConfigRequest()).linux.cgroup_driver
    assert driver == cri.CGROUPFS
    parent = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod123.slice"
    error = runtime.refused(lambda: runtime.pod(linux=cri.LinuxPodSandboxConfig(cgroup_parent=parent)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "kubepods-burstable-pod123.slice" in error.details() and "cgroupDriver: cgroupfs" in error.details()
