"""Damaged records, full disks, containers that fight: what is lost is said and cleaned up, the rest goes on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from knarr_runtime.kernel.cgroup import discover
from knarr_runtime.kernel.process import start_time
from knarr_runtime.launcher import ContainerState, SandboxState
from knarr_runtime.spec import Namespaces, Resources

if TYPE_CHECKING:
    from conftest import Runtime

_DAMAGED = ("", '{"spec": {"i', "[]", "{}", '{"spec": 7, "pid": [], "exit_code": "x"}', "\0\0\0\0")
_STOPS_WITHIN_S = 30.0


def _directory(runtime: Runtime, identifier: str = "") -> Path:
    sandbox = runtime.settings.state_dir / "sandboxes/pod"
    return sandbox / "containers" / identifier if identifier else sandbox


def _pid(runtime: Runtime, name: str) -> int:
    return int(json.loads((runtime.settings.state_dir / name).read_text())["pid"])


async def _usable(runtime: Runtime) -> None:
    """A pod can be made and runs a container."""
    await runtime.sandbox("other")
    ended, _ = await runtime.shell("exit 4", sandbox="other")
    assert ended.exit_code == 4


@pytest.mark.parametrize("text", _DAMAGED)
async def test_container_without_a_whole_spec_is_removed(pod: Runtime, text: str) -> None:
    damaged, whole = await pod.begin("sleep", "100"), await pod.begin("sleep", "100")
    pid = pod.value(damaged).pid
    (_directory(pod, damaged) / "spec.json").write_text(text)
    await pod.restart()
    assert set(pod.launcher.containers()) == {whole}
    assert pod.value(whole).state is ContainerState.RUNNING
    assert start_time(pid) is None
    assert not _directory(pod, damaged).exists()
    ended, _ = await pod.shell("exit 4")
    assert ended.exit_code == 4


@pytest.mark.parametrize("text", _DAMAGED)
async def test_shim_knows_what_a_damaged_process_record_said(pod: Runtime, text: str) -> None:
    identifier = await pod.begin("sleep", "100")
    pid = pod.value(identifier).pid
    (_directory(pod, identifier) / "process.json").write_text(text)
    await pod.restart()
    assert (pod.value(identifier).state, pod.value(identifier).pid) == (ContainerState.RUNNING, pid)


@pytest.mark.parametrize("text", _DAMAGED)
@pytest.mark.parametrize("program", ["true", "nosuch"])
async def test_end_that_cannot_be_told_is_255(pod: Runtime, text: str, program: str) -> None:
    spec = pod.spec("sh", "-c", program) if program == "true" else pod.spec(program)
    await pod.launcher.create_container(spec)
    await asyncio.gather(pod.launcher.start_container(spec.id), return_exceptions=True)
    await pod.launcher.wait(spec.id)
    (_directory(pod, spec.id) / "exit.json").write_text(text)
    (_directory(pod, spec.id) / "process.json").write_text(text)
    await pod.restart()
    ended = pod.value(spec.id).exit
    assert ended is not None and ended.exit_code == 255
    await pod.restart()
    assert pod.value(spec.id).exit == ended
    await pod.launcher.remove_container(spec.id)


@pytest.mark.parametrize("name", ["sandbox.json", "shim.json"])
@pytest.mark.parametrize("text", _DAMAGED)
async def test_sandbox_without_whole_records_is_removed(pod: Runtime, name: str, text: str) -> None:
    identifier = await pod.begin("sleep", "100")
    pids = [pod.value(identifier).pid, pod.launcher.sandboxes()["pod"].pid]
    (_directory(pod) / name).write_text(text)
    await pod.restart()
    assert not pod.launcher.sandboxes() and not pod.launcher.containers()
    await pod.until(lambda: all(start_time(pid) is None for pid in pids))
    assert not _directory(pod).exists()
    for base in discover(pod.settings.cgroup_root).values():
        assert not Path(base, "kubepods/pod").exists()
    await _usable(pod)


@pytest.mark.parametrize(
    ("containers", "damaged"),
    [
        (0, ["sandbox.json"]),
        (1, ["sandbox.json"]),
        (1, ["sandbox.json", "spec.json"]),
        (1, ["sandbox.json", "shim.json"]),
    ],
)
async def test_damaged_record_of_a_pod_whose_shim_was_killed(pod: Runtime, containers: int, damaged: list[str]) -> None:
    """With nobody to ask: the cgroup that any other record names is emptied and goes."""
    for _ in range(containers):
        await pod.begin("sleep", "100")
    shim = pod.launcher.sandboxes()["pod"].pid
    await pod.close()
    os.kill(shim, signal.SIGKILL)
    await pod.until(lambda: start_time(shim) is None)
    for path in [path for path in _directory(pod).rglob("*.json") if path.name in damaged]:
        path.write_text("")
    await pod.restart()
    assert not pod.launcher.sandboxes()
    for base in discover(pod.settings.cgroup_root).values():
        assert not Path(base, "kubepods/pod").exists()


@pytest.mark.parametrize("text", _DAMAGED)
async def test_zygote_and_log_reader_outlive_damaged_records(pod: Runtime, text: str) -> None:
    await pod.sandbox("other")
    identifier = await pod.begin("sleep", "100")
    shim, reader = pod.launcher.sandboxes()["pod"].pid, _pid(pod, "logs.json")
    for path in ("sandbox.json", f"containers/{identifier}/process.json", f"containers/{identifier}/spec.json"):
        (_directory(pod) / path).write_text(text)
    zygote = _pid(pod, "zygote.json")
    os.kill(reader, signal.SIGKILL)
    await pod.until(lambda: _pid(pod, "logs.json") != reader)
    os.kill(shim, signal.SIGKILL)
    await pod.until(lambda: pod.launcher.sandboxes()["pod"].state is SandboxState.NOT_READY)
    ended, output = await pod.shell("echo on; exit 4", sandbox="other")
    assert (ended.exit_code, output) == (4, "on\n")
    assert _pid(pod, "zygote.json") == zygote and start_time(zygote) is not None


@pytest.mark.parametrize("text", _DAMAGED)
async def test_pods_go_on_when_the_node_record_is_damaged(pod: Runtime, text: str) -> None:
    identifier = await pod.begin("sleep", "100")
    (pod.settings.state_dir / "node.json").write_text(text)
    await pod.restart()
    assert pod.launcher.sandboxes()["pod"].state is SandboxState.READY
    assert pod.value(identifier).state is ContainerState.RUNNING
    await _usable(pod)


@pytest.mark.parametrize("pid", ["container", "pod"])
async def test_processes_that_fork_all_the_time_are_stopped_in_time(runtime: Runtime, pid: str) -> None:
    await runtime.sandbox(namespaces=Namespaces(pid=pid))
    fork = "(while :; do /bin/true; done) &"
    script = f"trap '' TERM; for i in 1 2 3 4 5 6 7 8; do {fork} done; touch /started; exec sleep 1000"
    identifier = await runtime.begin("sh", "-c", script, resources=Resources(pids_limit=100))
    upper = Path(runtime.value(identifier).spec.rootfs.upper)
    await runtime.until((upper / "started").exists)
    async with asyncio.timeout(_STOPS_WITHIN_S):
        ended = await runtime.launcher.stop_container(identifier, 0.1)
    assert ended.exit_code == 137
    async with asyncio.timeout(_STOPS_WITHIN_S):
        await runtime.launcher.remove_container(identifier)
    for base in discover(runtime.settings.cgroup_root).values():
        assert not Path(base, "kubepods/pod", identifier).exists()


@pytest.fixture
def small_disk(pod: Runtime, tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


async def test_container_is_removed_soon_though_its_log_has_no_room(small_disk: Path, pod: Runtime) -> None:
    """The reader keeps nothing of it, and others' logs go on."""
    (small_disk / "filler").write_bytes(bytes(15 << 20))
    identifier = await pod.begin("seq", "1", "300000", log_path=str(small_disk / "log"))
    await pod.until(lambda: os.statvfs(small_disk).f_bavail == 0)
    await pod.launcher.stop_container(identifier, 0)
    reader = _pid(pod, "logs.json")
    with capture_logs() as said:
        async with asyncio.timeout(10):
            await pod.launcher.remove_container(identifier)
    (line,) = [line for line in said if line.get("container") == identifier]
    assert line["lost_bytes"] > 0 and line["file"].startswith(str(small_disk))
    opened = [os.readlink(link) for link in Path(f"/proc/{reader}/fd").iterdir()]
    assert not [path for path in opened if identifier in path or str(small_disk) in path]
    ended, output = await pod.shell("echo other")
    assert (ended.exit_code, output) == (0, "other\n")


async def test_container_waits_while_the_disk_of_its_log_is_full(small_disk: Path, pod: Runtime) -> None:
    """And nothing of what it wrote is lost, doubled or cut, nor do others wait with it."""
    filler = small_disk / "filler"
    filler.write_bytes(bytes(15 << 20))
    identifier = await pod.begin("seq", "1", "200000", log_path=str(small_disk / "log"))
    await pod.until(lambda: os.statvfs(small_disk).f_bavail == 0)
    ended, output = await pod.shell("echo other")
    assert (ended.exit_code, output) == (0, "other\n")
    assert pod.value(identifier).state is ContainerState.RUNNING
    filler.unlink()
    assert (await pod.exit(identifier)).exit_code == 0
    await pod.until(lambda: pod.output(identifier) == "".join(f"{number}\n" for number in range(1, 200001)))
