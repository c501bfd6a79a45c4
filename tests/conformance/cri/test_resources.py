"""Every limit of CRI, as the kernel's own files tell it and as programs feel it, on cgroup v1 and v2.

Files are named by hierarchy on v1 (``cpu/cpu.shares``) and alone on v2 (``cpu.weight``).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.kernel import cgroup

UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers").exists()
MB = 1 << 20
SUM = "memory/memory.memsw.limit_in_bytes"


@dataclass(frozen=True)
class Case:
    """What is asked for, and what the files say then."""

    limits: Mapping[str, int | str]
    v1: Mapping[str, str]
    v2: Mapping[str, str]

    def __str__(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self.limits.items())


CASES = [
    Case({"cpu_shares": 2}, {"cpu/cpu.shares": "2"}, {"cpu.weight": "1"}),
    Case({"cpu_shares": 512}, {"cpu/cpu.shares": "512"}, {"cpu.weight": "20"}),
    Case({"cpu_shares": 262_144}, {"cpu/cpu.shares": "262144"}, {"cpu.weight": "10000"}),
    Case(
        {"cpu_quota": 25_000, "cpu_period": 50_000},
        {"cpu/cpu.cfs_quota_us": "25000", "cpu/cpu.cfs_period_us": "50000"},
        {"cpu.max": "25000 50000"},
    ),
    Case(
        {"cpu_quota": 150_000},
        {"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "100000"},
        {"cpu.max": "150000 100000"},
    ),
    Case({"cpu_period": 50_000}, {"cpu/cpu.cfs_period_us": "50000"}, {"cpu.max": "max 50000"}),
    Case(
        {"cpuset_cpus": "0", "cpuset_mems": "0"},
        {"cpuset/cpuset.cpus": "0", "cpuset/cpuset.mems": "0"},
        {"cpuset.cpus": "0", "cpuset.mems": "0", "cpuset.cpus.effective": "0"},
    ),
    Case(
        {"memory_limit_in_bytes": 64 * MB, "memory_swap_limit_in_bytes": 64 * MB},
        {"memory/memory.limit_in_bytes": str(64 * MB), SUM: str(64 * MB)},
        {"memory.max": str(64 * MB), "memory.swap.max": "0"},
    ),
    Case(
        {"memory_limit_in_bytes": 64 * MB, "memory_swap_limit_in_bytes": 96 * MB},
        {"memory/memory.limit_in_bytes": str(64 * MB), SUM: str(96 * MB)},
        {"memory.max": str(64 * MB), "memory.swap.max": str(32 * MB)},
    ),
    Case(
        {"memory_limit_in_bytes": 64 * MB, "memory_swap_limit_in_bytes": -1},
        {"memory/memory.limit_in_bytes": str(64 * MB)},
        {"memory.max": str(64 * MB), "memory.swap.max": "max"},
    ),
    Case(
        {"memory_limit_in_bytes": 64 * MB},
        {"memory/memory.limit_in_bytes": str(64 * MB), SUM: str(64 * MB)},
        {"memory.max": str(64 * MB), "memory.swap.max": "0"},
    ),
]


def config(**limits: Any) -> Any:
    return cri.LinuxContainerConfig(resources=cri.LinuxContainerResources(**limits))


def path_of(runtime: Any, container: str, file: str) -> Path:
    """Of a file of the cgroup that its first process is in."""
    hierarchy, _, name = file.rpartition("/")
    with open("/proc/self/mountinfo") as mounts, open(f"/proc/{runtime.info(container)['pid']}/cgroup") as own:
        point, root = cgroup.parse_mounts(mounts)[hierarchy]
        relative = os.path.relpath(cgroup.parse_membership(own)[hierarchy], root)
    return Path(point, relative, name)


def read(runtime: Any, container: str, file: str) -> str:
    return path_of(runtime, container, file).read_text().strip()


def told(runtime: Any, container: str, v1: Mapping[str, str], v2: Mapping[str, str]) -> None:
    expected = dict(v2 if UNIFIED else v1)
    assert {file: read(runtime, container, file) for file in expected} == expected


def update(runtime: Any, container: str, **limits: Any) -> None:
    resources = cri.LinuxContainerResources(**limits)
    runtime.runtime.UpdateContainerResources(
        cri.UpdateContainerResourcesRequest(container_id=container, linux=resources)
    )


# From the beginning, and while it runs


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_container_begins_with_its_limits(runtime: Any, case: Case) -> None:
    container = runtime.sleeper(runtime.pod(), linux=config(**case.limits))
    told(runtime, container, case.v1, case.v2)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_running_container_gets_other_limits(runtime: Any, case: Case) -> None:
    begins = {"memory_limit_in_bytes": 48 * MB, "memory_swap_limit_in_bytes": 48 * MB, "cpu_shares": 100}
    container = runtime.sleeper(runtime.pod(), linux=config(**begins, cpuset_cpus="0"))
    update(runtime, container, **case.limits)
    told(runtime, container, case.v1, case.v2)
    assert runtime.status(container).state == cri.CONTAINER_RUNNING


def test_what_an_update_does_not_name_stays(runtime: Any) -> None:
    limits = {"cpu_shares": 512, "cpu_quota": 25_000, "cpu_period": 50_000}
    memory = {"memory_limit_in_bytes": 64 * MB, "memory_swap_limit_in_bytes": 64 * MB}
    container = runtime.sleeper(runtime.pod(), linux=config(**limits, **memory))
    update(runtime, container, cpu_shares=1024)
    told(
        runtime,
        container,
        {"cpu/cpu.shares": "1024", "cpu/cpu.cfs_quota_us": "25000", "memory/memory.limit_in_bytes": str(64 * MB)},
        {"cpu.weight": "39", "cpu.max": "25000 50000", "memory.max": str(64 * MB), "memory.swap.max": "0"},
    )


@pytest.mark.knarr_only
def test_a_new_period_keeps_the_quota_and_new_memory_the_swap(runtime: Any) -> None:
    memory = {"memory_limit_in_bytes": 64 * MB, "memory_swap_limit_in_bytes": 80 * MB}
    container = runtime.sleeper(runtime.pod(), linux=config(cpu_quota=25_000, cpu_period=50_000, **memory))
    update(runtime, container, cpu_period=100_000, memory_limit_in_bytes=128 * MB)
    told(
        runtime,
        container,
        {"cpu/cpu.cfs_quota_us": "25000", "cpu/cpu.cfs_period_us": "100000", SUM: str(144 * MB)},
        {"cpu.max": "25000 100000", "memory.max": str(128 * MB), "memory.swap.max": str(16 * MB)},
    )
    update(runtime, container, memory_limit_in_bytes=32 * MB)
    told(runtime, container, {SUM: str(48 * MB)}, {"memory.max": str(32 * MB), "memory.swap.max": str(16 * MB)})


@pytest.mark.knarr_only
def test_limits_of_memory_are_lifted(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod(), linux=config(memory_limit_in_bytes=64 * MB))
    update(runtime, container, memory_limit_in_bytes=-1, memory_swap_limit_in_bytes=-1)
    unlimited = str((1 << 63) - os.sysconf("SC_PAGE_SIZE"))
    told(
        runtime,
        container,
        {"memory/memory.limit_in_bytes": unlimited, SUM: unlimited},
        {"memory.max": "max", "memory.swap.max": "max"},
    )


@pytest.mark.knarr_only
def test_memory_in_use_is_not_taken_away(runtime: Any) -> None:
    """The kernel of v2 would kill for a limit that is too low."""
    script = "dd if=/dev/zero of=/dev/shm/much bs=1M count=24 && echo written; sleep 1000"
    limits = config(memory_limit_in_bytes=64 * MB)
    container = runtime.started(runtime.pod(), "sh", "-c", script, linux=limits)
    runtime.logged(container, "written")
    error = runtime.refused(lambda: update(runtime, container, memory_limit_in_bytes=12 * MB))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT and "busy" in error.details()
    before = {"memory/memory.limit_in_bytes": str(64 * MB)}, {"memory.max": str(64 * MB), "memory.high": "max"}
    told(runtime, container, *before)
    update(runtime, container, memory_limit_in_bytes=40 * MB)
    assert runtime.status(container).state == cri.CONTAINER_RUNNING
    assert runtime.status(container).resources.linux.memory_limit_in_bytes == 40 * MB


@pytest.mark.parametrize("limits", [{"cpuset_cpus": "one"}, {"cpuset_mems": "0-"}, {"cpu_quota": 1}], ids=str)
def test_limits_that_make_no_sense_are_refused(runtime: Any, limits: dict[str, Any]) -> None:
    pod = runtime.pod()
    error = runtime.refused(lambda: runtime.sleeper(pod, linux=config(**limits)))
    if runtime.kind == "knarr":
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT and "cpu" in error.details()
    container = runtime.sleeper(pod)
    runtime.refused(lambda: update(runtime, container, **limits))
    assert runtime.status(container).state == cri.CONTAINER_RUNNING


@pytest.mark.knarr_only
def test_memory_and_swap_below_memory_is_refused(runtime: Any) -> None:
    limits = {"memory_limit_in_bytes": 64 * MB, "memory_swap_limit_in_bytes": 32 * MB}
    error = runtime.refused(lambda: runtime.create(runtime.pod(), "true", linux=config(**limits)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT and "mem" in error.details()


# What programs feel


def test_a_quota_holds_a_program_back(runtime: Any) -> None:
    limits = config(cpu_quota=5_000, cpu_period=50_000)
    container = runtime.started(runtime.pod(), "sh", "-c", "while :; do :; done", linux=limits)
    file = "cpu.stat" if UNIFIED else "cpu/cpu.stat"

    def throttled() -> bool:
        figures = dict(line.split() for line in read(runtime, container, file).splitlines())
        return int(figures["nr_throttled"]) > 2

    runtime.until(throttled, "the kernel to hold it back")


@pytest.mark.knarr_only
def test_waiting_is_told_where_the_kernel_measures_it(runtime: Any) -> None:
    """Pressure (PSI) is a thing of cgroup v2; of the container and of its pod, as statistics and as metrics."""
    pod = runtime.pod()
    limits = config(cpu_quota=5_000, cpu_period=50_000)
    container = runtime.started(pod, "sh", "-c", "while :; do :; done", linux=limits)

    def waited() -> list[int]:
        of_one = runtime.runtime.ContainerStats(cri.ContainerStatsRequest(container_id=container)).stats
        of_pod = runtime.runtime.PodSandboxStats(cri.PodSandboxStatsRequest(pod_sandbox_id=pod.id)).stats.linux
        told = [of_one.cpu, of_one.memory, of_one.io, of_pod.cpu, of_pod.memory, of_pod.io]
        assert {one.HasField("psi") for one in told} == {UNIFIED and Path("/proc/pressure").is_dir()}
        return [one.psi.Some.Total for one in (of_one.cpu, of_pod.cpu)]

    def metrics() -> set[str]:
        pods = runtime.runtime.ListPodSandboxMetrics(cri.ListPodSandboxMetricsRequest()).pod_metrics
        mine = next(one for one in pods if one.pod_sandbox_id == pod.id).container_metrics
        return {metric.name for one in mine for metric in one.metrics if "_pressure_" in metric.name}

    if UNIFIED:
        runtime.until(lambda: all(total > 0 for total in waited()), "the kernel to have measured some waiting")
        assert len(metrics()) == 6
    else:
        assert waited() == [0, 0] and metrics() == set()


def test_only_cpus_of_the_set_are_used(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod(), linux=config(cpuset_cpus="0", cpuset_mems="0"))
    status = runtime.output(container, "cat", "/proc/self/status")
    assert "\nCpus_allowed_list:\t0\n" in status and "\nMems_allowed_list:\t0\n" in status


@pytest.mark.knarr_only
def test_a_program_forks_until_its_limit(runtime: Any) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; wait"
    container = runtime.started(runtime.pod(), "sh", "-c", script, linux=config(unified={"pids.max": "5"}))
    runtime.until(lambda: any("fork" in line[2] for line in runtime.log(container)), "a fork to be refused")


def test_a_child_out_of_memory_dies_alone(runtime: Any) -> None:
    script = "dd if=/dev/zero of=/dev/null bs=30M; echo ended with $?; sleep 1000"
    limits = config(memory_limit_in_bytes=16 * MB, memory_swap_limit_in_bytes=16 * MB)
    container = runtime.started(runtime.pod(), "sh", "-c", script, linux=limits)
    runtime.logged(container, "ended with 137")
    assert runtime.status(container).state == cri.CONTAINER_RUNNING


@pytest.mark.knarr_only
def test_a_group_of_pods_weighs_as_much_as_its_pods(runtime: Any) -> None:
    """Pods that asked for nothing (2 shares each) get less than one that asked for half a processor."""
    group = f"kubepods/besteffort-{secrets.token_hex(4)}"

    def pod(shares: int) -> Any:
        resources = cri.LinuxContainerResources(cpu_shares=shares)
        name = f"{group}/pod{secrets.token_hex(4)}"
        return runtime.pod(linux=cri.LinuxPodSandboxConfig(cgroup_parent=name, resources=resources))

    def weight(container: str) -> str:
        file = path_of(runtime, container, "cpu.weight" if UNIFIED else "cpu/cpu.shares")
        return (file.parents[2] / file.name).read_text().strip()

    first = pod(2)
    container = runtime.sleeper(first)
    assert weight(container) == ("1" if UNIFIED else "2")
    second = pod(512)
    assert weight(container) == ("20" if UNIFIED else "514")
    resources = cri.LinuxContainerResources(cpu_shares=1024)
    runtime.runtime.UpdatePodSandboxResources(
        cri.UpdatePodSandboxResourcesRequest(pod_sandbox_id=first.id, resources=resources)
    )
    assert weight(container) == ("59" if UNIFIED else "1536")
    runtime.remove_pod(second)
    assert weight(container) == ("39" if UNIFIED else "1024")


# Files of cgroup v2, by name: refused where there are none

NAMED = {
    "memory.high": str(32 * MB),
    "memory.low": str(8 * MB),
    "memory.min": str(4 * MB),
    "memory.swap.max": str(2 * MB),
    "memory.oom.group": "1",
    "cpu.weight": "77",
    "cpu.max": "20000 50000",
    "cpu.idle": "1",
    "cgroup.max.descendants": "3",
}


@pytest.mark.knarr_only
@pytest.mark.parametrize("name", NAMED)
def test_a_file_of_cgroup_v2_is_written(runtime: Any, name: str) -> None:
    pod = runtime.pod()
    limits = config(unified={name: NAMED[name]})
    if not UNIFIED:
        error = runtime.refused(lambda: runtime.create(pod, "true", linux=limits))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT and f"resources.unified: {name}" in error.details()
        return
    told(runtime, runtime.sleeper(pod, linux=limits), {}, {name: NAMED[name]})
    container = runtime.sleeper(pod)
    update(runtime, container, unified={name: NAMED[name]})
    told(runtime, container, {}, {name: NAMED[name]})


@pytest.mark.knarr_only
@pytest.mark.parametrize(
    "named",
    [{"cgroup.procs": "1"}, {"cgroup.freeze": "1"}, {"../memory.max": "1"}, {"no.such": "1"}, {"memory.max": "much"}],
    ids=str,
)
def test_files_that_limit_nothing_are_refused(runtime: Any, named: dict[str, str]) -> None:
    error = runtime.refused(lambda: runtime.create(runtime.pod(), "true", linux=config(unified=named)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT and next(iter(named)) in error.details()


@pytest.mark.knarr_only
def test_the_speed_of_a_disk_is_limited(runtime: Any) -> None:
    disk = next((path for path in sorted(Path("/sys/block").iterdir()) if (path / "device").exists()), None)
    numbers = (disk / "dev").read_text().strip() if disk is not None else "8:0"
    limits = config(unified={"io.max": f"{numbers} rbps=1048576"})
    privileged = cri.LinuxContainerSecurityContext(privileged=True)
    limits.security_context.CopyFrom(privileged)
    sandbox = cri.LinuxPodSandboxConfig(security_context=cri.LinuxSandboxSecurityContext(privileged=True))
    pod = runtime.pod(linux=sandbox)
    if not UNIFIED:
        assert "io.max" in runtime.refused(lambda: runtime.create(pod, "true", linux=limits)).details()
        return
    assert disk is not None
    container = runtime.sleeper(pod, linux=limits)
    assert f"{numbers} rbps=1048576" in read(runtime, container, "io.max")
    read_some = f"time dd if=/dev/{disk.name} of=/dev/null bs=1M count=3 iflag=direct"
    answer = runtime.execute(container, "sh", "-c", read_some)
    assert answer.exit_code == 0, answer.stderr
    took = next(line.split()[2] for line in answer.stderr.decode().splitlines() if line.startswith("real"))
    assert float(took.rstrip("s")) > 1.5
    figures = next(line for line in read(runtime, container, "io.stat").splitlines() if line.startswith(f"{numbers} "))
    assert int(dict(pair.split("=") for pair in figures.split()[1:])["rbytes"]) >= 3 * MB


@pytest.mark.knarr_only
def test_out_of_memory_ends_all_of_a_group(runtime: Any) -> None:
    script = "dd if=/dev/zero of=/dev/null bs=30M; sleep 1000"
    memory = {"memory_limit_in_bytes": 16 * MB, "memory_swap_limit_in_bytes": 16 * MB}
    pod, limits = runtime.pod(), config(**memory, unified={"memory.oom.group": "1"})
    if not UNIFIED:
        assert "memory.oom.group" in runtime.refused(lambda: runtime.create(pod, "true", linux=limits)).details()
        return
    status = runtime.ended(runtime.started(pod, "sh", "-c", script, linux=limits))
    assert (status.exit_code, status.reason) == (137, "OOMKilled")


# Frozen, and killed


@pytest.mark.knarr_only
def test_what_is_frozen_is_stopped_all_the_same(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    freezer = path_of(runtime, container, "cgroup.freeze" if UNIFIED else "freezer/freezer.state")
    freezer.write_text("1" if UNIFIED else "FROZEN")
    runtime.stop(container)
    assert runtime.status(container).exit_code == 137
