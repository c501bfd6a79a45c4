"""A daemon of another version replaces zygote and log reader in place; what runs goes on, what comes is new code."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import knarr_runtime
from knarr_runtime import channel, layout
from knarr_runtime.errors import Unsupported
from knarr_runtime.kernel.process import start_time
from knarr_runtime.launcher import ContainerState
from knarr_runtime.peer import Peer

if TYPE_CHECKING:
    from conftest import Runtime

_HERE = Path(knarr_runtime.__path__[0])
_DAEMON = """
import asyncio, json, sys
from pathlib import Path
import structlog
from knarr_runtime.launcher import Launcher, LauncherSettings
from knarr_runtime.spec import ContainerSpec, SandboxSpec

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output has the answers

async def main(state_dir, cgroup_root):
    launcher = Launcher(LauncherSettings(state_dir=Path(state_dir), cgroup_root=cgroup_root))
    await launcher.start()
    await launcher.recover()
    for line in sys.stdin:
        operation, value = json.loads(line)
        if operation == "sandbox":
            await launcher.create_sandbox(SandboxSpec.from_json(value))
        elif operation == "run":
            spec = ContainerSpec.from_json(value)
            await launcher.create_container(spec)
            await launcher.start_container(spec.id)
        elif operation == "exec":
            result = await launcher.exec(value, ["sh", "-c", "echo here"])
            assert result.stdout == b"here\\n", result
        states = {name: one.state.value for name, one in launcher.containers().items()}
        print(json.dumps({"containers": states}), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@dataclass
class OtherDaemon:
    """A daemon whose package lies elsewhere and differs."""

    process: asyncio.subprocess.Process

    async def ask(self, operation: str, value: object = None) -> dict[str, str]:
        """What it knows of containers afterwards."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([operation, value]).encode() + b"\n")
        async with asyncio.timeout(30):
            line = await self.process.stdout.readline()
        assert line, "the other daemon died"
        found: dict[str, str] = json.loads(line)["containers"]
        return found

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Where a copy of the runtime lies that is not the same code."""
    there = tmp_path / "other"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(_HERE, there / "knarr_runtime", ignore=ignored)
    with (there / "knarr_runtime/zygote/start.py").open("a") as file:
        file.write("# of another version\n")
    return there


@contextlib.asynccontextmanager
async def _other_daemon(runtime: Runtime, package: Path) -> AsyncIterator[OtherDaemon]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _DAEMON, str(runtime.settings.state_dir), runtime.settings.cgroup_root),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(package)},
    )
    daemon = OtherDaemon(process)
    try:
        yield daemon
    finally:
        await daemon.kill()


def _record(runtime: Runtime, name: str) -> layout.Record:
    record = layout.read(str(runtime.settings.state_dir), name)
    assert record is not None
    return record


def _shim(runtime: Runtime, sandbox: str) -> layout.Record:
    record = layout.read(layout.sandbox_directory(str(runtime.settings.state_dir), sandbox), layout.SHIM_RECORD)
    assert record is not None
    return record


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode()


def _children(parent: int) -> int:
    found = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(parent)
    return found


_COUNTING = "trap 'echo last; exit {code}' TERM; echo first; while :; do sleep 0.02; done"


async def test_zygote_and_log_reader_are_replaced_under_forty_containers(runtime: Runtime, package: Path) -> None:
    containers: dict[str, int] = {}
    for number in range(10):
        sandbox = await runtime.sandbox(f"pod{number}")
        for code in range(4):
            script = _COUNTING.format(code=4 * number + code + 1)
            containers[await runtime.begin("sh", "-c", script, sandbox=sandbox)] = 4 * number + code + 1
    await runtime.until(lambda: all("first" in runtime.output(one) for one in containers))
    before = {one: (runtime.value(one).pid, runtime.value(one).start_time) for one in containers}
    zygote, reader = _record(runtime, "zygote.json"), _record(runtime, "logs.json")
    await runtime.close()

    async with _other_daemon(runtime, package) as daemon:
        known = await daemon.ask("list")
        assert known == dict.fromkeys(containers, "running")
        replaced = _record(runtime, "zygote.json")
        assert (replaced["pid"], replaced["start_time"]) == (zygote["pid"], zygote["start_time"])
        assert replaced["version"] != zygote["version"]
        assert str(package) in _command(zygote["pid"])
        assert str(package) not in _command(_shim(runtime, "pod0")["pid"])
        await runtime.until(lambda: _record(runtime, "logs.json")["version"] == replaced["version"])
        assert _record(runtime, "logs.json")["pid"] != reader["pid"]
        await daemon.ask("exec", next(iter(containers)))

        await daemon.ask("sandbox", {"id": "new", "hostname": "new", "cgroup_parent": "kubepods/new"})
        assert _shim(runtime, "new")["version"] == replaced["version"]
        assert str(package) in _command(_shim(runtime, "new")["pid"])
        late = runtime.spec("sh", "-c", _COUNTING.format(code=77), sandbox="new")
        await daemon.ask("run", late.to_json())
        old = runtime.spec("sh", "-c", _COUNTING.format(code=78), sandbox="pod0")
        await daemon.ask("run", old.to_json())
        containers |= {late.id: 77, old.id: 78}
        ended, *others = containers
        os.kill(before[ended][0], signal.SIGTERM)
        exit_record = runtime.settings.state_dir / "sandboxes/pod0/containers" / ended / "exit.json"
        await runtime.until(exit_record.exists)

    await runtime.take_over()  # and back again
    assert _record(runtime, "zygote.json")["version"] == zygote["version"]
    assert _record(runtime, "zygote.json")["pid"] == zygote["pid"]
    value = runtime.value(ended)
    assert value.exit is not None
    assert value.exit.exit_code == containers[ended]
    await runtime.until(lambda: all("first" in runtime.output(one) for one in (late.id, old.id)))
    for one in others:
        assert runtime.value(one).state is ContainerState.RUNNING
        if one in before:
            assert (runtime.value(one).pid, runtime.value(one).start_time) == before[one]
        assert (await runtime.launcher.stop_container(one, 10)).exit_code == containers[one]
    for one in containers:
        await runtime.until(lambda one=one: runtime.output(one) == "first\nlast\n")  # type: ignore[misc]


async def test_no_line_of_a_log_is_lost_or_doubled_while_its_reader_is_replaced(pod: Runtime, package: Path) -> None:
    counting = "trap 'end=1' TERM; i=0; while [ -z $end ]; do echo line $i; i=$((i+1)); done; echo end"
    writer = await pod.begin("sh", "-c", counting)
    versions = set()
    for _ in range(3):
        await pod.close()
        async with _other_daemon(pod, package) as daemon:
            await daemon.ask("list")
            versions.add(_record(pod, "zygote.json")["version"])
        await pod.take_over()
        versions.add(_record(pod, "zygote.json")["version"])
    assert len(versions) == 2
    assert (await pod.launcher.stop_container(writer, 10)).exit_code == 0
    await pod.until(lambda: pod.output(writer).endswith("end\n"))  # a reader being replaced leaves it to its successor
    *lines, _ = pod.output(writer).splitlines()
    assert lines == [f"line {number}" for number in range(len(lines))]


async def test_a_shim_that_dies_while_its_zygote_is_replaced_is_told_of(pod: Runtime, package: Path) -> None:
    victim = await pod.begin("sleep", "100")
    await pod.sandbox("other")
    bystander = await pod.begin("sh", "-c", _COUNTING.format(code=5), sandbox="other")
    await pod.until(lambda: "first" in pod.output(bystander))
    shim, process, zygote = pod.launcher.sandboxes()["pod"].pid, pod.value(victim).pid, _record(pod, "zygote.json")
    await pod.close()
    os.kill(zygote["pid"], signal.SIGSTOP)
    os.kill(shim, signal.SIGKILL)
    await pod.until(lambda: start_time(shim) is None)
    async with _other_daemon(pod, package) as daemon:
        asking = asyncio.create_task(daemon.ask("list"))
        await asyncio.sleep(0)
        os.kill(zygote["pid"], signal.SIGCONT)
        assert await asking == {victim: "exited", bystander: "running"}
    await pod.until(lambda: start_time(process) is None)
    await pod.take_over()
    ended = pod.value(victim).exit
    assert ended is not None
    assert (ended.exit_code, ended.signal) == (137, 9)
    assert _record(pod, "zygote.json")["pid"] == zygote["pid"]
    assert (await pod.launcher.stop_container(bystander, 10)).exit_code == 5


async def test_a_shim_refuses_what_only_a_later_version_knows(pod: Runtime) -> None:
    directory = layout.sandbox_directory(str(pod.settings.state_dir), "pod")
    shim = Peer(channel.connect(directory, layout.SHIM_SOCKET)[0], "shim")
    with pytest.raises(Unsupported, match="of an earlier version, does not know 'teleport'"):
        await shim.request("teleport", timeout_s=10)
    assert (await shim.request("list", timeout_s=10))["containers"] == []
    shim.close()


async def test_containers_outlive_new_code_that_does_not_start(pod: Runtime, package: Path) -> None:
    identifier = await pod.begin("sh", "-c", _COUNTING.format(code=6))
    await pod.until(lambda: "first" in pod.output(identifier))
    (package / "knarr_runtime/zygote/main.py").write_text("raise SystemExit('this version is broken')\n")
    await pod.close()
    async with _other_daemon(pod, package) as daemon:
        assert await daemon.process.wait() != 0
    await pod.take_over()
    assert pod.value(identifier).state is ContainerState.RUNNING
    assert (await pod.launcher.stop_container(identifier, 10)).exit_code == 6
    assert (await pod.shell("exit 3", sandbox=await pod.sandbox("next")))[0].exit_code == 3


async def test_a_zygote_older_than_versions_is_ended_and_its_shims_go_on(runtime: Runtime, package: Path) -> None:
    await runtime.launcher.destroy()
    source = package / "knarr_runtime/zygote/main.py"
    text = source.read_text()
    for operation in ("status", "replace"):
        line = f'                "{operation}": self._{operation},\n'
        assert line in text
        text = text.replace(line, "")
    source.write_text(text)
    async with _other_daemon(runtime, package) as daemon:
        await daemon.ask("sandbox", {"id": "old", "hostname": "old", "cgroup_parent": "kubepods/old"})
        spec = runtime.spec("sh", "-c", _COUNTING.format(code=9), sandbox="old")
        await daemon.ask("run", spec.to_json())
    before = _record(runtime, "zygote.json")
    await runtime.take_over()
    assert _record(runtime, "zygote.json")["pid"] != before["pid"]
    await runtime.until(lambda: start_time(before["pid"]) is None)
    await runtime.until(lambda: "first" in runtime.output(spec.id))
    assert (await runtime.launcher.stop_container(spec.id, 10)).exit_code == 9


async def test_replacing_leaves_nothing_behind(pod: Runtime, package: Path) -> None:
    """No child, descriptor, mount or process more after many than after one."""

    async def world() -> list[object]:
        zygote = _record(pod, "zygote.json")["pid"]
        await pod.until(lambda: _children(zygote) == 3)  # log reader, shim and spare shim
        descriptors = sorted(os.path.dirname(os.readlink(link)) for link in Path(f"/proc/{zygote}/fd").iterdir())
        mounts = len(Path(f"/proc/{zygote}/mountinfo").read_text().splitlines())
        return [zygote, descriptors, mounts]

    found = []
    for _ in range(4):
        await pod.close()
        async with _other_daemon(pod, package) as daemon:
            await daemon.ask("list")
        await pod.take_over()
        await pod.sandbox("next")
        await pod.launcher.remove_sandbox("next")
        found.append(await world())
    assert all(each == found[0] for each in found), found
