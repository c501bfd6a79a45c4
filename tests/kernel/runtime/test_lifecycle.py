"""Starting, ending, stopping; limits; exec. What a caller is told."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr_runtime.errors import AlreadyExists, Invalid, NotFound, StartFailed, WrongState
from knarr_runtime.kernel.cgroup import discover
from knarr_runtime.launcher import ContainerState, SandboxState
from knarr_runtime.spec import Resources, User
from tests.slowness import patient

if TYPE_CHECKING:
    from conftest import Runtime


@pytest.mark.parametrize("code", [0, 1, 7, 255])
async def test_exit_code(pod: Runtime, code: int) -> None:
    ended, _ = await pod.shell(f"exit {code}")
    assert (ended.exit_code, ended.signal, ended.oom_killed) == (code, 0, False)


async def test_death_by_signal_is_told(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100")
    await pod.launcher.signal(identifier, 9)
    ended = await pod.exit(identifier)
    assert (ended.exit_code, ended.signal, ended.oom_killed) == (137, 9, False)
    assert pod.value(identifier).state is ContainerState.EXITED


@pytest.mark.parametrize(
    ("program", "code", "message"),
    [
        ("nosuch", 127, 'exec: "nosuch": executable file not found in $PATH'),
        ("/no/such", 127, "no such file or directory"),
        ("/bin/not-executable", 126, "permission denied"),
        ("/etc", 126, "is a directory"),
        ("/bin/bad-interpreter", 126, "bad interpreter '/nowhere/interpreter'"),
        ("/bin/garbage", 126, "exec format error"),
        ("/etc/passwd/x", 127, "not a directory"),
    ],
)
async def test_program_that_cannot_run(pod: Runtime, program: str, code: int, message: str) -> None:
    with pytest.raises(StartFailed) as caught:
        await pod.begin(program)
    assert caught.value.exit_code == code
    assert message in str(caught.value)
    value = pod.value("c1")
    assert value.state is ContainerState.EXITED
    assert value.exit is not None
    assert value.exit.exit_code == code
    identifier = await pod.begin("sleep", "100")
    with pytest.raises(StartFailed) as caught:
        await pod.launcher.exec(identifier, [program])
    assert caught.value.exit_code == code


async def test_failed_start_leaves_nothing_running(pod: Runtime) -> None:
    with pytest.raises(StartFailed):
        await pod.begin("nosuch", resources=Resources(pids_limit=5))
    cgroup = Path(next(iter(discover(pod.settings.cgroup_root).values())), "kubepods/pod/c1")
    assert cgroup.joinpath("cgroup.procs").read_text() == ""
    await pod.launcher.remove_container("c1")
    assert not cgroup.exists()
    assert not (pod.settings.state_dir / "sandboxes/pod/containers/c1").exists()


async def test_wrong_order_and_names_are_told(pod: Runtime) -> None:
    spec = pod.spec("sleep", "100")
    await pod.launcher.create_container(spec)
    with pytest.raises(AlreadyExists):
        await pod.launcher.create_container(spec)
    with pytest.raises(AlreadyExists):
        await pod.sandbox("pod")
    with pytest.raises(WrongState):
        await pod.launcher.exec(spec.id, ["true"])
    with pytest.raises(NotFound):
        await pod.launcher.start_container("other")
    with pytest.raises(NotFound):
        await pod.launcher.create_container(pod.spec("true", sandbox="other"))
    await pod.launcher.start_container(spec.id)
    with pytest.raises(WrongState):
        await pod.launcher.start_container(spec.id)
    await pod.launcher.stop_sandbox("pod")
    assert pod.launcher.sandboxes()["pod"].state is SandboxState.NOT_READY
    with pytest.raises(WrongState):
        await pod.launcher.create_container(pod.spec("true"))


async def test_created_container_can_be_stopped_and_removed(pod: Runtime) -> None:
    spec = pod.spec("true")
    await pod.launcher.create_container(spec)
    assert (await pod.launcher.stop_container(spec.id, 5)).exit_code == 137
    await pod.launcher.remove_container(spec.id)
    await pod.launcher.remove_container(spec.id)
    assert spec.id not in pod.launcher.containers()


async def test_stop_lets_the_program_end_by_itself(pod: Runtime) -> None:
    identifier = await pod.begin("sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done")
    await pod.until(lambda: "up" in pod.output(identifier))
    ended = await pod.launcher.stop_container(identifier, 10)
    assert (ended.exit_code, ended.signal) == (3, 0)
    await pod.written(identifier)
    assert pod.output(identifier) == "up\nbye\n"


async def test_stop_kills_after_the_timeout(pod: Runtime) -> None:
    identifier = await pod.begin("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    started = time.monotonic()
    ended = await pod.launcher.stop_container(identifier, 0.2)
    assert (ended.exit_code, ended.signal, ended.oom_killed) == (137, 9, False)
    assert 0.2 <= time.monotonic() - started < patient(10)


async def test_stop_signal_of_the_image_is_used(pod: Runtime) -> None:
    script = "trap 'exit 9' USR1; echo up; while :; do sleep 0.05; done"
    identifier = await pod.begin("sh", "-c", script, stop_signal="SIGUSR1")
    await pod.until(lambda: "up" in pod.output(identifier))
    assert (await pod.launcher.stop_container(identifier, 10)).exit_code == 9


async def test_exit_is_announced_within_milliseconds(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100")
    delays = []
    for _ in range(5):
        started = time.monotonic()
        os.kill(pod.value(identifier).pid, 9)
        await pod.exit(identifier)
        identifier = await pod.begin("sleep", "100")
        delays.append(time.monotonic() - started)
    assert min(delays) < 0.5, "from the kill to running again; the benchmark has the real figure"


# --- limits ---


def _cgroup_file(pod: Runtime, controller: str, identifier: str, v1: str, v2: str) -> str:
    bases = discover(pod.settings.cgroup_root)
    base, name = (bases[""], v2) if "" in bases else (bases[controller], v1)
    return Path(base, "kubepods/pod", identifier, name).read_text().strip()


async def test_limits_are_in_the_cgroup_files(pod: Runtime) -> None:
    resources = Resources(
        cpu_shares=512, cpu_quota_us=50_000, cpu_period_us=100_000, memory_limit_bytes=64 << 20, pids_limit=33
    )
    identifier = await pod.begin("sleep", "100", resources=resources)
    assert _cgroup_file(pod, "memory", identifier, "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert _cgroup_file(pod, "pids", identifier, "pids.max", "pids.max") == "33"
    assert _cgroup_file(pod, "cpu", identifier, "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    assert _cgroup_file(pod, "cpu", identifier, "cpu.shares", "cpu.weight") in ("512", "20")
    stats = await pod.launcher.stats(identifier)
    assert stats.usage.memory_limit_bytes == 64 << 20
    assert stats.usage.pids == len(stats.processes) == 1
    assert stats.usage.cpu_usage_ns
    await pod.launcher.update_resources(identifier, Resources(memory_limit_bytes=128 << 20))
    assert _cgroup_file(pod, "memory", identifier, "memory.limit_in_bytes", "memory.max") == str(128 << 20)
    assert pod.value(identifier).spec.resources.pids_limit == 33


async def test_program_sees_only_its_own_cgroup(pod: Runtime) -> None:
    _, output = await pod.run("cat", "/proc/self/cgroup")
    paths = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in output.splitlines()}
    for controller in discover(pod.settings.cgroup_root):
        if controller not in ("cpuset",):
            assert paths[controller] == "/", controller


async def test_memory_limit_kills_and_says_so(pod: Runtime) -> None:
    resources = Resources(memory_limit_bytes=16 << 20)
    ended, _ = await pod.run("dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1", resources=resources)
    assert (ended.exit_code, ended.signal, ended.oom_killed) == (137, 9, True)
    innocent, _ = await pod.shell("kill -9 $$; exit 1", resources=resources)
    assert not innocent.oom_killed


@pytest.mark.parametrize(
    ("cwd", "code", "message"),
    [
        ("/etc/passwd", 127, 'chdir to cwd ("/etc/passwd") failed: not a directory'),
        ("/etc/passwd/below", 127, 'chdir to cwd ("/etc/passwd/below") failed: not a directory'),
        ("/proc/nothing", 127, 'chdir to cwd ("/proc/nothing") failed: no such file or directory'),
    ],
)
async def test_working_directory_that_can_be_none_is_told(pod: Runtime, cwd: str, code: int, message: str) -> None:
    with pytest.raises(StartFailed) as failed:
        await pod.run("true", id="it", cwd=cwd)
    assert (str(failed.value), failed.value.exit_code) == (message, code)
    value = pod.value("it").exit
    assert value is not None
    assert (value.exit_code, value.reason) == (code, message)


async def test_missing_working_directory_is_made_for_a_container_but_not_for_an_exec(pod: Runtime) -> None:
    """As by runc and Docker."""
    identifier = await pod.begin("sh", "-c", "pwd; stat -c %a .; exec sleep 100", cwd="/made/for/it")
    await pod.until(lambda: pod.output(identifier) == "/made/for/it\n755\n")
    for times in range(3):  # the first one is no helper's
        with pytest.raises(StartFailed, match=r'^chdir to cwd \("/not/made"\) failed: no such file or dir') as failed:
            await pod.launcher.exec(identifier, ["true"], cwd="/not/made")
        assert failed.value.exit_code == 127, times
        assert (await pod.launcher.exec(identifier, ["test", "-e", "/not"])).exit_code == 1


_HUNGRY = "dd if=/dev/zero of=/dev/null bs=64M count=1"


@pytest.mark.parametrize(
    ("script", "code", "oom_killed"),
    [
        (f"{_HUNGRY}; exit 0", 0, False),
        (f"{_HUNGRY}; exit 3", 3, False),
        (f"{_HUNGRY}; true; exit 137", 137, True),
        (f"{_HUNGRY}; exit $?", 137, True),
    ],
)
async def test_a_child_without_memory_is_not_the_end_of_its_container(
    pod: Runtime, script: str, code: int, *, oom_killed: bool
) -> None:
    """Unless that ends with it, as a shell does with its last command; all are counted."""
    ended, _ = await pod.shell(script, resources=Resources(memory_limit_bytes=16 << 20))
    assert (ended.exit_code, ended.signal, ended.oom_killed) == (code, 0, oom_killed)
    value = pod.value(ended.id).exit
    assert value is not None
    assert value.oom_kills == 1


@pytest.mark.parametrize("how", ["stop", "signal"])
async def test_killed_by_us_is_not_killed_for_want_of_memory(pod: Runtime, how: str) -> None:
    """Whatever happened to a child of it before."""
    script = f"trap '' TERM; {_HUNGRY}; echo on; while :; do sleep 1; done"
    identifier = await pod.begin("sh", "-c", script, resources=Resources(memory_limit_bytes=16 << 20))
    await pod.until(lambda: "on" in pod.output(identifier))
    if how == "stop":
        await pod.launcher.stop_container(identifier, 0)
    else:
        await pod.launcher.signal(identifier, 9)
    ended = await pod.exit(identifier)
    assert (ended.exit_code, ended.signal, ended.oom_killed) == (137, 9, False)


async def test_pids_limit_stops_a_fork_bomb(pod: Runtime) -> None:
    script = "i=0; while [ $i -lt 50 ]; do sleep 100 & i=$((i+1)); done; echo all"
    _, output = await pod.shell(script, resources=Resources(pids_limit=10))
    assert "Resource temporarily unavailable" in output or "can't fork" in output
    assert "all" not in output


async def test_refused_limit_is_told_and_leaves_no_cgroup(pod: Runtime) -> None:
    with pytest.raises(Exception, match="cpu"):
        await pod.launcher.create_container(pod.spec("true", resources=Resources(cpu_quota_us=1, cpu_period_us=100)))
    await pod.until(lambda: not (pod.settings.state_dir / "sandboxes/pod/containers/c1").exists())
    assert not Path(next(iter(discover(pod.settings.cgroup_root).values())), "kubepods/pod/c1").exists()
    assert "c1" not in pod.launcher.containers()


async def test_unknown_capability_is_refused(pod: Runtime) -> None:
    from knarr_runtime.spec import Capabilities

    with pytest.raises(Invalid, match="CAP_NOTHING"):
        await pod.launcher.create_container(pod.spec("true", capabilities=Capabilities(bounding=("CAP_NOTHING",))))


# --- exec ---


async def test_exec_has_streams_user_environment_and_exit_code(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100", env=("A=container", "B=container"))
    script = "cat; echo $A $B $(id -u) $(pwd) >&2; exit 5"
    result = await pod.launcher.exec(
        identifier, ["sh", "-c", script], env=["B=exec"], cwd="/tmp", user=User(uid=1000, gid=1000), stdin=b"input"
    )
    assert (result.exit_code, result.stdout, result.stderr) == (5, b"input", b"container exec 1000 /tmp\n")


async def test_exec_is_confined_like_the_container(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100")
    script = "cat /proc/self/status /proc/self/cgroup; mount -t tmpfs x /tmp"
    result = await pod.launcher.exec(identifier, ["sh", "-c", script])
    text = result.stdout.decode()
    assert "CapEff:\t00000000a80425fb" in text
    assert "Seccomp:\t2" in text
    assert "NoNewPrivs:\t1" in text
    assert result.exit_code != 0
    memory = [line for line in text.splitlines() if ":memory:" in line]
    assert not memory or memory[0].endswith(":/")


async def test_exec_timeout_kills_the_whole_group(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100")
    started = time.monotonic()
    result = await pod.launcher.exec(identifier, ["sh", "-c", "sleep 77 & echo started; sleep 77"], timeout_s=2.0)
    assert 2 <= time.monotonic() - started < patient(30)
    assert (result.timed_out, result.exit_code, result.stdout) == (True, 137, b"started\n")
    assert b"sleep 77" not in (await pod.launcher.exec(identifier, ["ps"])).stdout


async def test_exec_output_is_limited(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100")
    result = await pod.launcher.exec(identifier, ["head", "-c", "300000", "/dev/zero"], limit_bytes=1000)
    assert result.truncated
    assert len(result.stdout) == 1000
    assert result.exit_code == 0


async def test_exec_does_not_wait_for_daemons_it_left(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100")
    async with asyncio.timeout(30):
        result = await pod.launcher.exec(identifier, ["sh", "-c", "sleep 50 & echo done"])
    assert result.stdout == b"done\n"


async def test_many_execs_at_once_keep_apart(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100")
    results = await asyncio.gather(
        *(pod.launcher.exec(identifier, ["sh", "-c", f"echo {number}; exit {number}"]) for number in range(20))
    )
    assert [(one.exit_code, one.stdout) for one in results] == [(n, f"{n}\n".encode()) for n in range(20)]


async def test_exec_with_a_terminal(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100")
    result = await pod.launcher.exec(identifier, ["sh", "-c", "tty; stty size"], tty=True)
    assert result.stdout.startswith(b"/dev/pts/")
    assert b"24 80" in result.stdout


async def test_container_may_end_during_an_exec(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100")
    running = asyncio.create_task(pod.launcher.exec(identifier, ["sleep", "100"]))
    await pod.until(lambda: pod.programs(_processes(pod, identifier)) == ["sleep", "sleep"])
    await pod.launcher.stop_container(identifier, 0)
    assert (await running).exit_code == 137


def _processes(pod: Runtime, identifier: str) -> list[str]:
    bases = discover(pod.settings.cgroup_root)
    base = bases.get("") or bases["pids"]
    return Path(base, "kubepods/pod", identifier, "cgroup.procs").read_text().split()
