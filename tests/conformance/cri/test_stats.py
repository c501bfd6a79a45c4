"""Statistics and metrics of containers and pods, and changing their limits."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri

METRICS = pytest.mark.containerd_lacks("metrics by CRI came with containerd 2.0")
POD_STATS = pytest.mark.containerd_lacks("its statistics of pods fail where blkio has no figures")
STREAMS = pytest.mark.containerd_lacks("streamed lists are of CRI 1.36")


def of_container(runtime: Any, container: str) -> Any:
    return runtime.runtime.ContainerStats(cri.ContainerStatsRequest(container_id=container)).stats


def of_pod(runtime: Any, pod: Any) -> Any:
    return runtime.runtime.PodSandboxStats(cri.PodSandboxStatsRequest(pod_sandbox_id=pod.id)).stats


def limited(**limits: int) -> Any:
    return cri.LinuxContainerConfig(resources=cri.LinuxContainerResources(**limits))


def test_a_containers_use_of_cpu_and_memory(runtime: Any) -> None:
    pod = runtime.pod()
    script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; sleep 1000"
    linux = limited(memory_limit_in_bytes=64 << 20)
    container = runtime.started(pod, "sh", "-c", script, labels={"a": "b"}, annotations={"c": "d"}, linux=linux)
    runtime.logged(container, "done")
    before_ns = time.time_ns()
    stats = of_container(runtime, container)
    assert stats.attributes.id == container
    assert stats.attributes.metadata == runtime.status(container).metadata
    assert dict(stats.attributes.labels) == {"a": "b"} and dict(stats.attributes.annotations) == {"c": "d"}
    assert before_ns - 10**9 <= stats.cpu.timestamp <= time.time_ns()
    assert stats.cpu.usage_core_nano_seconds.value > 1_000_000
    assert stats.memory.timestamp and 0 < stats.memory.usage_bytes.value < 64 << 20
    assert 0 < stats.memory.working_set_bytes.value <= stats.memory.usage_bytes.value
    assert stats.memory.available_bytes.value == (64 << 20) - stats.memory.working_set_bytes.value
    assert stats.memory.rss_bytes.value > 0 and stats.memory.page_faults.value > 0


def test_what_a_container_wrote(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    runtime.output(container, "sh", "-c", "head -c 1000000 /dev/zero > /file; mkdir /many; touch /many/1 /many/2")

    def counted() -> bool:
        layer = of_container(runtime, container).writable_layer
        return 1_000_000 <= layer.used_bytes.value < 1_200_000 and layer.inodes_used.value >= 4

    runtime.until(counted, "the file to be counted")
    layer = of_container(runtime, container).writable_layer
    assert layer.timestamp and Path(layer.fs_id.mountpoint).is_dir()


@pytest.mark.knarr_only
def test_how_busy_the_cpus_are_is_told(runtime: Any) -> None:
    container = runtime.started(runtime.pod(), "sh", "-c", "while :; do :; done")
    of_container(runtime, container)
    runtime.until(lambda: of_container(runtime, container).cpu.usage_nano_cores.value > 50_000_000, "a core to be busy")


def test_statistics_of_containers_by_filter(runtime: Any) -> None:
    pod, other = runtime.pod(), runtime.pod()
    one = runtime.sleeper(pod, labels={"colour": "red"})
    two = runtime.sleeper(pod, labels={"colour": "blue"})
    three = runtime.sleeper(other, labels={"colour": "red"})

    def listed(**chosen: Any) -> set[str]:
        request = cri.ListContainerStatsRequest(filter=cri.ContainerStatsFilter(**chosen))
        return {stats.attributes.id for stats in runtime.runtime.ListContainerStats(request).stats}

    assert {one, two, three} <= listed()
    assert listed(id=one) == {one}
    assert listed(pod_sandbox_id=pod.id) == {one, two}
    assert listed(label_selector={"colour": "red"}) == {one, three}
    assert listed(label_selector={"colour": "green"}) == set()


@pytest.mark.knarr_only
def test_lists_of_statistics_leave_out_what_has_ended(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    runtime.stop(container)
    request = cri.ListContainerStatsRequest(filter=cri.ContainerStatsFilter(id=container))
    assert not runtime.runtime.ListContainerStats(request).stats
    assert of_container(runtime, container).writable_layer.timestamp, "asked for by name it is told"


def test_statistics_of_what_is_not_there(runtime: Any) -> None:
    runtime.refused(lambda: of_container(runtime, "no-such-container"))
    request = cri.PodSandboxStatsRequest(pod_sandbox_id="no-such-sandbox")
    runtime.refused(lambda: runtime.runtime.PodSandboxStats(request))


@POD_STATS
def test_a_pods_use_of_everything(runtime: Any) -> None:
    pod = runtime.pod(labels={"a": "b"})
    container = runtime.started(pod, image="web:1")
    assert runtime.server.get(runtime.pod_status(pod).network.ip, 80)
    stats = of_pod(runtime, pod)
    assert stats.attributes.id == pod.id and stats.attributes.metadata == pod.config.metadata
    assert dict(stats.attributes.labels) == {"a": "b"}
    assert stats.linux.cpu.usage_core_nano_seconds.value > 0
    assert stats.linux.memory.working_set_bytes.value > 0
    assert stats.linux.process.process_count.value >= 1
    network = stats.linux.network.default_interface
    assert network.name == "eth0" and network.rx_bytes.value > 0 and network.tx_bytes.value > 0
    assert network.rx_errors.value == network.tx_errors.value == 0
    assert [c.attributes.id for c in stats.linux.containers] == [container]


@POD_STATS
def test_statistics_of_pods_by_filter(runtime: Any) -> None:
    red, blue = runtime.pod(labels={"colour": "red"}), runtime.pod(labels={"colour": "blue"})

    def listed(**chosen: Any) -> set[str]:
        request = cri.ListPodSandboxStatsRequest(filter=cri.PodSandboxStatsFilter(**chosen))
        return {stats.attributes.id for stats in runtime.runtime.ListPodSandboxStats(request).stats}

    assert {red.id, blue.id} <= listed()
    assert listed(id=red.id) == {red.id}
    assert listed(label_selector={"colour": "blue"}) == {blue.id}


@STREAMS
def test_statistics_as_streams(runtime: Any) -> None:
    pod = runtime.pod()
    container = runtime.sleeper(pod)
    chosen = cri.ContainerStatsFilter(id=container)
    answers = list(runtime.runtime.StreamContainerStats(cri.StreamContainerStatsRequest(filter=chosen)))
    assert [stats.attributes.id for answer in answers for stats in answer.container_stats] == [container]
    chosen = cri.PodSandboxStatsFilter(id=pod.id)
    answers = list(runtime.runtime.StreamPodSandboxStats(cri.StreamPodSandboxStatsRequest(filter=chosen)))
    assert [stats.attributes.id for answer in answers for stats in answer.pod_sandbox_stats] == [pod.id]
    answers = list(runtime.runtime.StreamPodSandboxMetrics(cri.StreamPodSandboxMetricsRequest()))
    assert pod.id in [one.pod_sandbox_id for answer in answers for one in answer.pod_sandbox_metrics]


# Metrics: the names that a kubelet serves at /metrics/cadvisor

SOMETIMES = {"blkio_device_usage_total", "fs_reads_bytes_total", "fs_reads_total", "fs_writes_bytes_total"}
SOMETIMES |= {"fs_writes_total", "hugetlb_max_usage_bytes", "hugetlb_usage_bytes"}
SOMETIMES |= {f"pressure_{kind}_stalled_seconds_total" for kind in ("cpu", "memory", "io")}
SOMETIMES |= {f"pressure_{kind}_waiting_seconds_total" for kind in ("cpu", "memory", "io")}
ALWAYS_TEXT = """
cpu_cfs_periods_total cpu_cfs_throttled_periods_total cpu_cfs_throttled_seconds_total cpu_system_seconds_total
cpu_usage_seconds_total cpu_user_seconds_total file_descriptors fs_inodes_free fs_inodes_total fs_limit_bytes
fs_usage_bytes last_seen memory_cache memory_failcnt memory_failures_total memory_kernel_usage
memory_mapped_file memory_max_usage_bytes memory_rss memory_swap memory_usage_bytes memory_working_set_bytes
network_receive_bytes_total network_receive_errors_total network_receive_packets_dropped_total
network_receive_packets_total network_transmit_bytes_total network_transmit_errors_total
network_transmit_packets_dropped_total network_transmit_packets_total oom_events_total processes sockets
spec_cpu_period spec_cpu_quota spec_cpu_shares spec_memory_limit_bytes spec_memory_reservation_limit_bytes
spec_memory_swap_limit_bytes start_time_seconds threads threads_max ulimits_soft
"""
ALWAYS = ALWAYS_TEXT.split()


@METRICS
def test_every_metric_is_described(runtime: Any) -> None:
    described = runtime.runtime.ListMetricDescriptors(cri.ListMetricDescriptorsRequest()).descriptors
    assert {d.name for d in described} == {f"container_{name}" for name in (*ALWAYS, *SOMETIMES)}
    assert all(d.help and d.label_keys for d in described)


@METRICS
def test_every_metric_has_a_value_with_its_labels(runtime: Any) -> None:
    pod = runtime.pod()
    limits = {"memory_limit_in_bytes": 64 << 20, "memory_swap_limit_in_bytes": 64 << 20}
    linux = limited(cpu_period=100_000, cpu_quota=20_000, cpu_shares=1024, **limits)
    container = runtime.sleeper(pod, linux=linux)
    described = runtime.runtime.ListMetricDescriptors(cri.ListMetricDescriptorsRequest()).descriptors
    keys = {d.name: list(d.label_keys) for d in described}
    answer = runtime.runtime.ListPodSandboxMetrics(cri.ListPodSandboxMetricsRequest())
    (told,) = [one for one in answer.pod_metrics if one.pod_sandbox_id == pod.id]
    (of_one,) = told.container_metrics
    assert of_one.container_id == container
    found = {metric.name: metric for metric in (*told.metrics, *of_one.metrics)}
    assert {f"container_{name}" for name in ALWAYS} <= found.keys()
    for name, metric in found.items():
        assert len(metric.label_values) == len(keys[name]), name
        assert metric.timestamp > 0
    assert found["container_spec_memory_limit_bytes"].value.value == 64 << 20
    assert found["container_spec_cpu_quota"].value.value == 20_000
    assert found["container_processes"].value.value == found["container_threads"].value.value == 1
    labels = dict(zip(keys["container_processes"], found["container_processes"].label_values, strict=True))
    assert labels["pod"] == pod.config.metadata.name and labels["id"] == container


# Limits


def cgroup_file(runtime: Any, container: str, v1: str, v2: str) -> str:
    """Of the container's own cgroup, seen from inside."""
    return str(runtime.output(container, "cat", f"/sys/fs/cgroup/{v2 if unified() else v1}").strip())


def oom_score(runtime: Any, container: str) -> int:
    return int(Path(f"/proc/{runtime.info(container)['pid']}/oom_score_adj").read_text())


def test_limits_of_the_request_are_in_force(runtime: Any) -> None:
    linux = limited(cpu_shares=512, cpu_period=50_000, cpu_quota=25_000, memory_limit_in_bytes=32 << 20)
    container = runtime.sleeper(runtime.pod(), linux=linux)
    assert cgroup_file(runtime, container, "memory/memory.limit_in_bytes", "memory.max") == str(32 << 20)
    assert cgroup_file(runtime, container, "cpu/cpu.cfs_quota_us", "cpu.max").split()[0] == "25000"
    assert cgroup_file(runtime, container, "cpu/cpu.cfs_period_us", "cpu.max").split()[-1] == "50000"
    assert cgroup_file(runtime, container, "cpu/cpu.shares", "cpu.weight") in ("512", "20")


def test_limits_are_changed_while_it_runs(runtime: Any) -> None:
    linux = limited(cpu_shares=512, cpu_period=50_000, cpu_quota=25_000, memory_limit_in_bytes=32 << 20)
    container = runtime.sleeper(runtime.pod(), linux=linux)
    resources = cri.LinuxContainerResources(
        cpu_shares=1024, cpu_period=100_000, cpu_quota=20_000, memory_limit_in_bytes=64 << 20
    )
    request = cri.UpdateContainerResourcesRequest(container_id=container, linux=resources)
    runtime.runtime.UpdateContainerResources(request)
    assert cgroup_file(runtime, container, "memory/memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert cgroup_file(runtime, container, "cpu/cpu.cfs_quota_us", "cpu.max").split()[0] == "20000"
    assert cgroup_file(runtime, container, "cpu/cpu.shares", "cpu.weight") in ("1024", "39")


@pytest.mark.containerd_lacks("a status's resources are of CRI 1.27 and later")
def test_status_tells_the_limits_that_are_in_force(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod(), linux=limited(cpu_shares=512, memory_limit_in_bytes=32 << 20))
    resources = cri.LinuxContainerResources(memory_limit_in_bytes=64 << 20, oom_score_adj=900)
    request = cri.UpdateContainerResourcesRequest(container_id=container, linux=resources)
    runtime.runtime.UpdateContainerResources(request)
    told = runtime.status(container).resources.linux
    assert (told.cpu_shares, told.memory_limit_in_bytes, told.oom_score_adj) == (512, 64 << 20, 900)
    assert oom_score(runtime, container) == 900


def test_limits_of_a_container_not_yet_started_are_changed(runtime: Any) -> None:
    container = runtime.create(runtime.pod(), "sleep", "1000", linux=limited(memory_limit_in_bytes=32 << 20))
    resources = cri.LinuxContainerResources(memory_limit_in_bytes=64 << 20)
    request = cri.UpdateContainerResourcesRequest(container_id=container, linux=resources)
    runtime.runtime.UpdateContainerResources(request)
    runtime.start(container)
    assert cgroup_file(runtime, container, "memory/memory.limit_in_bytes", "memory.max") == str(64 << 20)


@pytest.mark.knarr_only
def test_a_limit_is_lifted(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod(), linux=limited(cpu_period=50_000, cpu_quota=25_000))
    resources = cri.LinuxContainerResources(cpu_quota=-1)
    request = cri.UpdateContainerResourcesRequest(container_id=container, linux=resources)
    runtime.runtime.UpdateContainerResources(request)
    assert cgroup_file(runtime, container, "cpu/cpu.cfs_quota_us", "cpu.max").split()[0] in ("-1", "max")


def test_the_oom_score_is_what_was_asked_for(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod(), linux=limited(oom_score_adj=500))
    assert oom_score(runtime, container) == 500


@pytest.mark.containerd_lacks("UpdatePodSandboxResources is of CRI 1.33 and later")
def test_a_pods_limits_are_changed(runtime: Any) -> None:
    pod = runtime.pod()
    container = runtime.sleeper(pod)
    resources = cri.LinuxContainerResources(memory_limit_in_bytes=32 << 20)
    overhead = cri.LinuxContainerResources(memory_limit_in_bytes=16 << 20)
    request = cri.UpdatePodSandboxResourcesRequest(pod_sandbox_id=pod.id, resources=resources, overhead=overhead)
    runtime.runtime.UpdatePodSandboxResources(request)
    stats = of_pod(runtime, pod)
    assert stats.linux.memory.available_bytes.value + stats.linux.memory.working_set_bytes.value == 48 << 20
    assert runtime.status(container).state == cri.CONTAINER_RUNNING


def unified() -> bool:
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


@pytest.mark.knarr_only
def test_files_of_cgroup_v2_are_written_there_and_refused_on_v1(runtime: Any) -> None:
    pod = runtime.pod()
    linux = cri.LinuxContainerConfig(resources=cri.LinuxContainerResources(unified={"memory.high": str(32 << 20)}))
    if unified():
        container = runtime.sleeper(pod, linux=linux)
        assert runtime.output(container, "cat", "/sys/fs/cgroup/memory.high") == f"{32 << 20}\n"
    else:
        error = runtime.refused(lambda: runtime.create(pod, "true", linux=linux))
        assert "resources.unified: memory.high" in error.details()


@pytest.mark.knarr_only
def test_the_number_of_processes_is_limited(runtime: Any) -> None:
    linux = cri.LinuxContainerConfig(resources=cri.LinuxContainerResources(unified={"pids.max": "7"}))
    container = runtime.sleeper(runtime.pod(), linux=linux)
    assert cgroup_file(runtime, container, "pids/pids.max", "pids.max") == "7"


def test_huge_pages_that_are_not_wanted_are_fine(runtime: Any) -> None:
    pages = [cri.HugepageLimit(page_size="2MB", limit=0)]
    runtime.sleeper(
        runtime.pod(),
        linux=cri.LinuxContainerConfig(resources=cri.LinuxContainerResources(hugepage_limits=pages)),
    )


@pytest.mark.knarr_only
def test_huge_pages_are_limited_or_refused(runtime: Any) -> None:
    pages = [cri.HugepageLimit(page_size="2MB", limit=2 << 20)]
    linux = cri.LinuxContainerConfig(resources=cri.LinuxContainerResources(hugepage_limits=pages))
    pod = runtime.pod()
    controllers = Path("/sys/fs/cgroup/cgroup.controllers")
    if unified() and "hugetlb" in controllers.read_text().split():
        container = runtime.sleeper(pod, linux=linux)
        assert runtime.output(container, "cat", "/sys/fs/cgroup/hugetlb.2MB.max") == f"{2 << 20}\n"
    elif not Path("/sys/fs/cgroup/hugetlb").is_dir():
        error = runtime.refused(lambda: runtime.create(pod, "true", linux=linux))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT and "hugepage_limits" in error.details()


def test_limits_of_what_is_not_there(runtime: Any) -> None:
    request = cri.UpdateContainerResourcesRequest(container_id="no-such-container", linux=cri.LinuxContainerResources())
    runtime.refused(lambda: runtime.runtime.UpdateContainerResources(request))
