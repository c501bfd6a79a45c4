"""Whoever is killed: containers go on, exit codes and log lines are complete, nothing is left over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from pathlib import Path

import pytest

from knarr_runtime.errors import AlreadyExists, RuntimeFailure, Unavailable
from knarr_runtime.kernel.process import start_time
from knarr_runtime.launcher import ContainerState, Launcher, SandboxExited, SandboxState

from .conftest import Runtime, processes_of


def _pid(runtime: Runtime, record: str) -> int:
    """Of zygote or log reader; 0 while there is none."""
    try:
        text = (runtime.settings.state_dir / record).read_text()
    except FileNotFoundError:
        return 0
    return int(json.loads(text)["pid"])


async def _replaced(runtime: Runtime, record: str) -> None:
    """Kills it and waits for its successor."""
    old = _pid(runtime, record)
    os.kill(old, signal.SIGKILL)
    await runtime.until(lambda: _pid(runtime, record) not in (0, old))


def _script(code: int) -> str:
    """Says 1 to 3 when told by a signal, and ends with ``code``."""
    return f"trap 'echo last $$; exit {code}' TERM; echo first; while :; do sleep 0.02; done"


async def test_exit_codes_survive_death_of_zygote_and_daemon(runtime: Runtime) -> None:
    containers: dict[str, int] = {}
    for number in range(10):
        sandbox = await runtime.sandbox(f"pod{number}")
        containers[await runtime.begin("sh", "-c", _script(number + 1), sandbox=sandbox)] = number + 1
    await runtime.until(lambda: all("first" in runtime.output(one) for one in containers))
    before = {one: (runtime.value(one).pid, runtime.value(one).start_time) for one in containers}

    await runtime.close()
    os.kill(_pid(runtime, "zygote.json"), signal.SIGKILL)
    ended_meanwhile, *others = containers
    os.kill(before[ended_meanwhile][0], signal.SIGTERM)
    exit_record = runtime.settings.state_dir / "sandboxes/pod0/containers" / ended_meanwhile / "exit.json"
    await runtime.until(exit_record.exists)

    runtime.launcher = Launcher(runtime.settings)
    await runtime.start()
    value = runtime.value(ended_meanwhile)
    assert value.exit is not None
    assert value.exit.exit_code == containers[ended_meanwhile]
    for one in others:
        assert runtime.value(one).state is ContainerState.RUNNING
        assert (runtime.value(one).pid, runtime.value(one).start_time) == before[one]
        assert (await runtime.launcher.stop_container(one, 10)).exit_code == containers[one]
    for one in others:
        assert (await runtime.exit(one)).exit_code == containers[one]
    for one in containers:  # an exit is told after a second even if the log is not complete yet
        await runtime.until(lambda one=one: runtime.output(one).startswith("first\nlast"))  # type: ignore[misc]
    assert ended_meanwhile not in runtime.exits, "told by recover, not again as an event"


async def test_new_sandboxes_after_the_zygote_was_killed(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100")
    await _replaced(pod, "zygote.json")

    async def other() -> None:
        while True:
            try:
                await pod.sandbox("other")
            except (Unavailable, AlreadyExists):  # the latter while what has failed is being undone
                await asyncio.sleep(0.01)
            else:
                return

    async with asyncio.timeout(30):
        await other()
    ended, _ = await pod.shell("exit 4", sandbox="other")
    assert ended.exit_code == 4
    assert (await pod.launcher.exec(identifier, ["true"])).exit_code == 0


async def test_killed_shim_loses_its_pod_and_nothing_else(pod: Runtime) -> None:
    victim = await pod.begin("sleep", "100")
    await pod.sandbox("other")
    bystander = await pod.begin("sleep", "100", sandbox="other")
    os.kill(pod.launcher.sandboxes()["pod"].pid, signal.SIGKILL)
    ended = await pod.exit(victim)
    assert (ended.exit_code, ended.signal) == (137, 9)
    assert not os.path.exists(f"/proc/{pod.value(victim).pid}")
    assert pod.launcher.sandboxes()["pod"].state is SandboxState.NOT_READY
    assert pod.value(bystander).state is ContainerState.RUNNING
    await pod.launcher.remove_sandbox("pod")
    await pod.sandbox("pod")


@pytest.mark.parametrize("end", ["stopped", "shim killed", "shim killed without daemon", "half made", "damaged"])
async def test_a_sandbox_ends_beside_another_in_the_same_cgroup(pod: Runtime, end: str) -> None:
    """A pod's new sandbox has the cgroup of the old one, which goes later."""
    await pod.sandbox("new", cgroup_parent="kubepods/pod")
    shim = pod.launcher.sandboxes()["pod"].pid
    if end != "half made":
        await pod.begin("sleep", "100")
    new = await pod.begin("sleep", "100", sandbox="new", cgroup="kubepods/pod/new")
    if end == "stopped":
        await pod.launcher.stop_sandbox("pod")
    elif end == "shim killed":
        os.kill(shim, signal.SIGKILL)
    else:
        await pod.close()
        if end == "shim killed without daemon":
            os.kill(shim, signal.SIGKILL)
            await pod.until(lambda: start_time(shim) is None)
        elif end == "half made":
            (pod.settings.state_dir / "sandboxes/pod/shim.json").unlink()
        else:
            (pod.settings.state_dir / "sandboxes/pod/shim.json").write_text("no JSON")
        await pod.take_over()
    await pod.launcher.remove_sandbox("pod")
    await pod.until(lambda: start_time(shim) is None)
    assert pod.value(new).state is ContainerState.RUNNING
    assert (await pod.launcher.exec(new, ["true"])).exit_code == 0


async def test_shim_killed_without_zygote_and_daemon(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100")
    shim, container = pod.launcher.sandboxes()["pod"].pid, pod.value(identifier).pid
    await pod.close()
    os.kill(_pid(pod, "zygote.json"), signal.SIGKILL)
    os.kill(shim, signal.SIGKILL)
    await pod.until(lambda: start_time(shim) is None)
    pod.launcher = Launcher(pod.settings)
    await pod.start()
    assert pod.value(identifier).state is ContainerState.EXITED
    await pod.until(lambda: start_time(container) is None)


async def test_sandbox_end_is_an_event_after_its_containers(runtime: Runtime) -> None:
    await runtime.close()
    runtime.launcher = Launcher(runtime.settings)
    await runtime.launcher.start()
    await runtime.launcher.recover()
    await runtime.sandbox()
    await runtime.begin("sleep", "100")
    await runtime.launcher.stop_sandbox("pod")
    events = runtime.launcher.events()
    kinds = [type(await asyncio.wait_for(anext(events), 30)).__name__ for _ in range(2)]
    assert kinds == ["ContainerExited", SandboxExited.__name__]


async def test_second_daemon_is_refused(runtime: Runtime) -> None:
    with pytest.raises(Unavailable, match="in use by another runtime"):
        await Launcher(runtime.settings).start()


# --- logs ---

_COUNT = "i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo line $i; done"


async def test_log_has_both_streams_and_partial_lines(pod: Runtime) -> None:
    script = "echo out; echo err >&2; printf no-newline; head -c 40000 /dev/zero | tr '\\0' x; echo; printf end"
    identifier = await pod.begin("sh", "-c", script)
    await pod.written(identifier)
    lines = pod.log(identifier)
    assert ("stderr", "F", "err") in lines
    stdout = [(tag, text) for stream, tag, text in lines if stream == "stdout"]
    assert stdout[0] == ("F", "out")
    assert stdout[-1] == ("F", "end")
    long = stdout[1:-1]
    assert "".join(text for _, text in long) == "no-newline" + "x" * 40000
    assert [tag for tag, _ in long] == ["P"] * (len(long) - 1) + ["F"]
    assert all(len(text) <= 16384 for _, text in long)


async def test_no_line_is_lost_or_doubled_when_the_log_reader_is_killed(pod: Runtime) -> None:
    lines = 60_000
    identifier = await pod.begin("sh", "-c", _COUNT.format(lines=lines))
    kills = 0
    while identifier not in pod.exits:
        pid = _pid(pod, "logs.json")
        if pid and os.path.exists(f"/proc/{pid}"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                kills += 1
        await asyncio.sleep(random.uniform(0.0, 0.03))
    done = pod.settings.state_dir / "sandboxes/pod/containers" / identifier / "log.done"
    await pod.until(lambda: done.exists() or _logged(pod, identifier) == lines)
    assert kills >= 3
    assert [text for _, _, text in pod.log(identifier)] == [f"line {number}" for number in range(1, lines + 1)]


def _logged(pod: Runtime, identifier: str) -> int:
    return len(pod.log(identifier))


async def test_log_is_complete_when_the_exit_is_announced(pod: Runtime) -> None:
    for _ in range(5):
        identifier = await pod.begin("sh", "-c", _COUNT.format(lines=500))
        await pod.exit(identifier)
        assert len(pod.log(identifier)) == 500


async def test_log_goes_on_while_the_daemon_is_away(pod: Runtime) -> None:
    identifier = await pod.begin("sh", "-c", "sleep 0.2; echo later; sleep 100")
    path = Path(pod.value(identifier).spec.log_path)
    await pod.close()
    await pod.until(lambda: path.exists() and "later" in path.read_text())
    pod.launcher = Launcher(pod.settings)
    await pod.start()


async def test_log_rotation_splits_between_lines(pod: Runtime) -> None:
    lines = 20_000
    identifier = await pod.begin("sh", "-c", _COUNT.format(lines=lines))
    path = Path(pod.value(identifier).spec.log_path)
    rotated = []
    while identifier not in pod.exits and len(rotated) < 3:
        await asyncio.sleep(0.02)
        await pod.until(lambda: path.exists() or identifier in pod.exits)
        if not path.exists():
            break
        rotated.append(path.rename(path.with_suffix(f".{len(rotated)}")))
        with contextlib.suppress(RuntimeFailure):
            await pod.launcher.reopen_log(identifier)
    await pod.written(identifier)
    texts = [file.read_text() for file in (*rotated, path) if file.exists()]
    numbers = [line.split(" ", 3)[3] for text in texts for line in text.splitlines()]
    assert numbers == [f"line {number}" for number in range(1, lines + 1)]


async def test_container_waits_for_a_log_that_cannot_be_written_now(pod: Runtime, tmp_path: Path) -> None:
    identifier = await pod.begin("sh", "-c", "echo x", log_path=str(tmp_path / "deep/er/log"))
    await pod.written(identifier)
    assert pod.output(identifier) == "x\n"


# --- leaks ---


def _descriptors(pids: list[int]) -> list[int]:
    return [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]


async def _use_everything(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100", stdin=True)
    await pod.launcher.exec(identifier, ["cat"], stdin=b"x")
    await pod.launcher.exec(identifier, ["true"], tty=True)
    with contextlib.suppress(RuntimeFailure):
        await pod.launcher.exec(identifier, ["nosuch"])
    await pod.launcher.exec(identifier, ["sleep", "100"], timeout_s=0.01)
    await pod.launcher.remove_container(identifier)
    with contextlib.suppress(RuntimeFailure):
        await pod.begin("nosuch", tty=True)
    _, output = await pod.shell("echo terminal", tty=True)
    assert output.strip() == "terminal"
    await pod.launcher.create_container(pod.spec("true", id="never"))
    with contextlib.suppress(RuntimeFailure):
        await pod.sandbox("pod")
    for name in tuple(pod.launcher.containers()):
        await pod.launcher.remove_container(name)


def _named(pod: Runtime, name: str) -> int:
    """How many processes of ours have this name; a shim made ahead has the zygote's until it is somebody's."""
    names = []
    for pid in processes_of(pod.settings.state_dir):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            names.append(Path(f"/proc/{pid}/comm").read_text().strip())
    return names.count(name)


async def test_no_process_of_ours_leaks_descriptors(pod: Runtime) -> None:
    """Who hears of an end closes a moment later; one descriptor kept of each use would show as ten."""
    await _use_everything(pod)
    await pod.until(lambda: _named(pod, "knarr-zygote") == 2)
    pids = [os.getpid(), _pid(pod, "zygote.json"), _pid(pod, "logs.json"), pod.launcher.sandboxes()["pod"].pid]
    before = _descriptors(pids)
    for _ in range(10):
        await _use_everything(pod)
    await pod.until(lambda: all(now <= was for now, was in zip(_descriptors(pids), before, strict=True)))


async def test_sandbox_half_made_by_a_killed_daemon_is_removed(pod: Runtime) -> None:
    shim = pod.launcher.sandboxes()["pod"].pid
    (pod.settings.state_dir / "sandboxes/pod/shim.json").unlink()
    await pod.restart()
    assert not pod.launcher.sandboxes()
    await pod.until(lambda: start_time(shim) is None)
    assert not (pod.settings.state_dir / "sandboxes/pod").exists()
    await pod.sandbox("pod")


# --- random ---


@pytest.mark.parametrize("seed", range(3))
async def test_random_sequence_leaves_nothing(runtime: Runtime, seed: int) -> None:
    """Creates, kills and removes at random, with daemons and zygotes dying between; the fixture looks for leftovers."""
    choose = random.Random(seed)
    for number in range(3):
        await runtime.sandbox(f"pod{number}")
    for step in range(40):
        await _random_step(runtime, choose, step)


_ACTIONS = ("begin", "begin", "fail", "kill", "stop", "remove", "exec", "pod", "daemon", "zygote", "shim")


async def _random_step(runtime: Runtime, choose: random.Random, step: int) -> None:
    names = sorted(runtime.launcher.containers())
    action = choose.choice(_ACTIONS)
    ready = sorted(name for name, one in runtime.launcher.sandboxes().items() if one.state is SandboxState.READY)
    with contextlib.suppress(RuntimeFailure):
        match action:
            case "begin" if ready:
                await runtime.begin("sh", "-c", "sleep 100 & sleep 100", sandbox=choose.choice(ready))
            case "fail" if ready:
                await runtime.begin("nosuch", sandbox=choose.choice(ready))
            case "kill" if names:
                await runtime.launcher.signal(choose.choice(names), signal.SIGKILL)
            case "stop" if names:
                await runtime.launcher.stop_container(choose.choice(names), choose.choice([0, 0.02]))
            case "remove" if names:
                await runtime.launcher.remove_container(choose.choice(names))
            case "exec" if names:
                await runtime.launcher.exec(choose.choice(names), ["sleep", "100"], timeout_s=0.02)
            case "pod":
                name = f"pod{choose.randrange(3)}"
                await runtime.launcher.remove_sandbox(name)
                await runtime.sandbox(name)
            case "daemon" if step % 3 == 0:
                await runtime.restart()
            case "zygote" if step % 5 == 0:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(_pid(runtime, "zygote.json"), signal.SIGKILL)
            case "shim" if ready and step % 4 == 0:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(runtime.launcher.sandboxes()[choose.choice(ready)].pid, signal.SIGKILL)
            case _:
                pass
