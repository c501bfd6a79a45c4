"""What is made ahead of being asked for: nobody may see a difference but the time it takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from knarr_runtime.errors import StartFailed
from knarr_runtime.spec import Capabilities, Mount, Namespaces, Resources, Rlimit, User

from .conftest import Runtime

STATUS = """
grep -E '^(Cap|Seccomp|NoNewPrivs|SigIgn|SigBlk)' /proc/self/status | sed s/0000000180000000/0000000000000000/
id; umask; ulimit -n; pwd; cat /proc/self/cgroup /proc/self/oom_score_adj; env | sort
ls -l /proc/self/fd | grep -c -v total; grep -o ' / .* - ' /proc/self/mountinfo | wc -l; tr -d '\\0' < /proc/1/comm
"""
"""The sed: glibc's posix_spawn ignores its two internal signals (32, 33) in everything it starts."""


async def test_a_second_exec_is_as_confined_as_the_first(pod: Runtime) -> None:
    identifier = await pod.begin(
        "sleep",
        "1000",
        user=User(uid=1000, gid=1000, groups=(7,)),
        rlimits=(Rlimit(name="RLIMIT_NOFILE", soft=50, hard=60),),
    )
    first = await pod.launcher.exec(identifier, ["sh", "-c", STATUS])
    for _ in range(3):
        again = await pod.launcher.exec(identifier, ["sh", "-c", STATUS])
        assert again == first
    assert b"Seccomp:\t2" in first.stdout
    assert b"uid=1000" in first.stdout


async def test_a_second_exec_ends_as_the_first(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "1000")
    for _ in range(3):
        assert (await pod.launcher.exec(identifier, ["sh", "-c", "cat; kill -9 $$"], stdin=b"in")).stdout == b"in"
        assert (await pod.launcher.exec(identifier, ["sh", "-c", "exit 7"])).exit_code == 7
        assert (await pod.launcher.exec(identifier, ["sleep", "1000"], timeout_s=0.1)).timed_out
        with pytest.raises(StartFailed, match="executable file not found") as caught:
            await pod.launcher.exec(identifier, ["nowhere"])
        assert caught.value.exit_code == 127
        with pytest.raises(StartFailed, match="permission denied") as caught:
            await pod.launcher.exec(identifier, ["/bin/not-executable"])
        assert caught.value.exit_code == 126


async def test_exec_finds_room_at_the_limit_of_processes(pod: Runtime) -> None:
    if pod.launcher.settings and not os.path.isdir("/sys/fs/cgroup/pids"):
        pytest.skip("on cgroup v2 the kernel refuses to be born beyond the limit")
    identifier = await pod.begin("sleep", "1000", resources=Resources(pids_limit=1))
    for _ in range(3):
        assert (await pod.launcher.exec(identifier, ["true"])).exit_code == 0


@pytest.mark.parametrize("pid", ["container", "pod", "host"])
async def test_containers_started_late_or_never(runtime: Runtime, pid: str) -> None:
    """Created ones wait with a process of ours; whoever is removed unstarted takes it along."""
    await runtime.sandbox(namespaces=Namespaces(pid=pid))
    specs = [runtime.spec("sleep", "1000") for _ in range(3)]
    for spec in specs:
        await runtime.launcher.create_container(spec)
    await runtime.launcher.remove_container(specs[0].id)
    await runtime.launcher.start_container(specs[2].id)
    await runtime.launcher.start_container(specs[1].id)
    status = [await runtime.launcher.exec(spec.id, ["sh", "-c", STATUS]) for spec in specs[1:]]
    assert status[0].stdout == status[1].stdout
    for spec in specs[1:]:
        await runtime.launcher.remove_container(spec.id)


async def test_unusual_containers_get_what_they_ask_for(pod: Runtime, tmp_path: Path) -> None:
    """What was prepared suits the usual container only."""
    (tmp_path / "model").write_text("mine\n")
    show = "cat /proc/timer_list 2>/dev/null | head -c1 | wc -c; grep CapBnd /proc/self/status; cat /sys/firmware 2>&1"
    _, plain = await pod.shell(show)
    assert plain.startswith("0\n")
    _, unmasked = await pod.shell(show, masked_paths=(), readonly_paths=())
    assert unmasked.startswith("1\n")
    names = ("CAP_NET_ADMIN",)
    _, capable = await pod.shell(show, capabilities=Capabilities(bounding=names, effective=names, permitted=names))
    assert "CapBnd:\t0000000000001000" in capable
    _, fewer = await pod.shell(show, capabilities=Capabilities(bounding=("CAP_CHOWN",)))
    assert "CapBnd:\t0000000000000001" in fewer
    _, volume = await pod.shell(
        "cat /proc/uptime", mounts=(Mount(source=str(tmp_path / "model"), target="/proc/uptime"),)
    )
    assert volume == "mine\n"


async def test_restarted_daemon_starts_what_its_predecessor_created(pod: Runtime) -> None:
    spec = pod.spec("sh", "-c", "echo here")
    await pod.launcher.create_container(spec)
    await pod.restart()
    await pod.launcher.start_container(spec.id)
    assert (await pod.written(spec.id)).exit_code == 0
    assert pod.output(spec.id) == "here\n"
