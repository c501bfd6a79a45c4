"""Limits of huge pages: kept where the kernel has the controller, refused where it has not."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri

POOL = Path("/proc/sys/vm/nr_hugepages")
MB = 1 << 20


def there() -> bool:
    """Whether a controller of this machine is mounted."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    mounts = Path("/proc/self/mountinfo").read_text()
    v1 = any("hugetlb" in line.rpartition(" ")[2].split(",") for line in mounts.splitlines() if " - cgroup " in line)
    return v1 or (unified.exists() and "hugetlb" in unified.read_text().split())


@pytest.fixture
def pool() -> Iterator[None]:
    """Some pages of 2 MB, where they can be limited."""
    before = POOL.read_text()
    if there():
        POOL.write_text("8")
        assert int(POOL.read_text()) == 8
    yield
    POOL.write_text(before)


def limited(limit: int, size: str = "2MB") -> Any:
    pages = [cri.HugepageLimit(page_size=size, limit=limit), cri.HugepageLimit(page_size="1GB", limit=0)]
    return cri.LinuxContainerResources(hugepage_limits=pages)


def test_a_container_gets_as_many_huge_pages_as_it_may(daemon: Any, pool: None) -> None:
    linux = cri.LinuxContainerConfig(resources=limited(4 * MB))
    sandbox = daemon.sandbox("a")
    if not there():
        with pytest.raises(grpc.RpcError) as caught:
            daemon.container(sandbox, "sleep", "1000", linux=linux)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "resources.hugepage_limits: 2MB: no hugetlb controller" in caught.value.details()
        return
    identifier = daemon.container(sandbox, "sleep", "1000", linux=linux)
    daemon.start_container(identifier)
    pid = daemon.pid(identifier)
    assert limits_of(pid) == {"2MB": 4 * MB, "1GB": 0}
    assert use(pid, 4 * MB) == ""
    assert "Cannot allocate" in use(pid, 6 * MB)
    change = cri.UpdateContainerResourcesRequest(container_id=identifier, linux=limited(8 * MB))
    daemon.runtime.UpdateContainerResources(change)
    assert use(pid, 6 * MB) == ""
    told = daemon.status(identifier).resources.linux.hugepage_limits
    assert {one.page_size: one.limit for one in told} == {"2MB": 8 * MB, "1GB": 0}


def test_none_are_limited_anywhere(daemon: Any) -> None:
    """Kubelets name every size of the machine with 0."""
    linux = cri.LinuxContainerConfig(resources=limited(0))
    identifier = daemon.container(daemon.sandbox("a"), "true", linux=linux)
    daemon.start_container(identifier)
    assert daemon.ended(identifier).exit_code == 0


def test_pages_that_no_machine_has_are_refused(daemon: Any) -> None:
    linux = cri.LinuxContainerConfig(resources=limited(MB, size="3MB"))
    sandbox = daemon.sandbox("a")
    with pytest.raises(grpc.RpcError) as caught:
        daemon.container(sandbox, "true", linux=linux)
    assert "resources.hugepage_limits: no pages of 3MB on this machine" in caught.value.details()


def cgroup_files(pid: int) -> tuple[Path, str]:
    """The directory with the limits of a process, and the end of their names."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if names == "" and not any("hugetlb" in each for each in os.listdir("/sys/fs/cgroup")):
            return Path("/sys/fs/cgroup") / path.lstrip("/"), "max"
        if "hugetlb" in names.split(","):
            return Path("/sys/fs/cgroup/hugetlb") / path.lstrip("/"), "limit_in_bytes"
    raise AssertionError("no cgroup with limits of huge pages")


def limits_of(pid: int) -> dict[str, int]:
    directory, end = cgroup_files(pid)
    return {size: int((directory / f"hugetlb.{size}.{end}").read_text()) for size in ("2MB", "1GB")}


def use(pid: int, size: int) -> str:
    """Takes that many bytes of huge pages as one of the container's processes; the error, or ""."""
    directory, _ = cgroup_files(pid)
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        said = b""
        try:
            (directory / "cgroup.procs").write_text("0")
            memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
            memory.close()
        except OSError as error:
            said = str(error.strerror).encode()
        os.write(writable, said)
        os._exit(0)
    os.close(writable)
    said = os.read(readable, 100)
    os.waitpid(child, 0)
    os.close(readable)
    return said.decode()
