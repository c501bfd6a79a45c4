"""cgroup v2: born in the cgroup, killed by cgroup.kill. Runs where cgroup2 is mounted, with or without controllers."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr_runtime import layout
from knarr_runtime.kernel import cgroup, process
from knarr_runtime.launcher import Launcher, LauncherSettings

if TYPE_CHECKING:
    from conftest import Runtime


def _unified() -> str:
    """Directory of this process's own cgroup in cgroup2, "" where none is mounted."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts, open("/proc/self/cgroup", encoding="utf-8") as own:
        found = cgroup.parse_mounts(mounts).get("")
        return "" if found is None else os.path.join(found[0], cgroup.parse_membership(own)[""].lstrip("/"))


@pytest.fixture
async def unified(runtime: Runtime, tmp_path: Path) -> AsyncIterator[Runtime]:
    """A second launcher of the same kind, on cgroup2 because its state says so, with one sandbox."""
    parent = _unified()
    if not parent:
        pytest.skip("no cgroup2 is mounted")
    base = f"{parent}/knarr-test-{uuid.uuid4().hex[:12]}"
    state_dir = tmp_path / "unified"
    state_dir.mkdir()
    layout.write(str(state_dir), layout.NODE_RECORD, {"boot_id": process.boot_id(), "bases": {"": base}})
    settings = LauncherSettings(state_dir=state_dir)
    made = type(runtime)(Launcher(settings), settings, runtime.lower, tmp_path)
    await made.start()
    await made.sandbox()
    yield made
    await made.launcher.destroy()
    assert not os.path.exists(base)


async def test_container_is_born_in_its_cgroup_and_sees_only_that(unified: Runtime) -> None:
    identifier = await unified.begin("sleep", "100")
    pid = unified.value(identifier).pid
    own = cgroup.parse_membership(Path(f"/proc/{pid}/cgroup").read_text().splitlines())[""]
    assert own.endswith(f"/kubepods/pod/{identifier}")
    result = await unified.launcher.exec(identifier, ["sh", "-c", "cat /proc/self/cgroup; ls /sys/fs/cgroup"])
    assert "0::/\n" in result.stdout.decode()
    assert "cgroup.procs" in result.stdout.decode()


async def test_everything_in_the_cgroup_is_killed(unified: Runtime) -> None:
    identifier = await unified.begin("sh", "-c", "trap '' TERM; sleep 100 & sleep 100 & wait")
    running = asyncio.create_task(unified.launcher.exec(identifier, ["sleep", "100"]))
    base = unified.settings.state_dir / "node.json"
    directory = Path(layout.read(str(base.parent), base.name)["bases"][""], "kubepods/pod", identifier)  # type: ignore[index]
    everybody = ["sh", "sleep", "sleep", "sleep"]
    await unified.until(lambda: unified.programs((directory / "cgroup.procs").read_text().split()) == everybody)
    ended = await unified.launcher.stop_container(identifier, 0)
    assert (ended.exit_code, ended.signal) == (137, 9)
    assert (await running).exit_code == 137
    await unified.until(lambda: not (directory / "cgroup.procs").read_text())
    await unified.launcher.remove_container(identifier)
    assert not directory.exists()


async def test_exit_code_and_restart_of_the_daemon(unified: Runtime) -> None:
    identifier = await unified.begin("sh", "-c", "trap 'exit 6' TERM; echo up; while :; do sleep 0.02; done")
    await unified.until(lambda: "up" in unified.output(identifier))
    before = unified.value(identifier).pid
    await unified.restart()
    assert unified.value(identifier).pid == before
    assert (await unified.launcher.stop_container(identifier, 10)).exit_code == 6
