"""A real launcher on a root filesystem of busybox, and proof afterwards that nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shutil
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from knarr_runtime.kernel.cgroup import discover
from knarr_runtime.kernel.process import start_time
from knarr_runtime.launcher import Container, ContainerExited, Launcher, LauncherSettings
from knarr_runtime.spec import ContainerSpec, Rootfs, SandboxSpec
from tests.slowness import patient

DEADLINE_S = patient(40.0)
ENDS_S = 10.0
BUSYBOX = "/bin/busybox"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    reason = "" if os.geteuid() == 0 else "needs root"
    if not reason and not os.path.exists(BUSYBOX):
        reason = "needs busybox-static"
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.root)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def lower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root filesystem made of busybox alone."""
    root = tmp_path_factory.mktemp("rootfs")
    for name in ("bin", "etc", "tmp", "root", "usr/bin"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nuser:x:1000:\n")
    (root / "bin/not-executable").write_text("no")
    script = root / "bin/bad-interpreter"
    script.write_text("#!/nowhere/interpreter\n")
    script.chmod(0o755)
    garbage = root / "bin/garbage"
    garbage.write_bytes(b"\x00\x01\x02")
    garbage.chmod(0o755)
    return root


@dataclass
class Runtime:
    """Short words for the tests. ``restart`` replaces the launcher as a killed daemon's successor would."""

    launcher: Launcher
    settings: LauncherSettings
    lower: Path
    work: Path
    exits: dict[str, ContainerExited] = field(default_factory=dict)
    _consumer: asyncio.Task[None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _count: int = 0

    async def start(self) -> None:
        await self.launcher.start()
        await self.launcher.recover()
        self._consumer = asyncio.create_task(self._consume())

    async def _consume(self) -> None:
        async for event in self.launcher.events():
            if isinstance(event, ContainerExited):
                assert event.id not in self.exits, f"exit of {event.id} came twice"
                self.exits[event.id] = event
            self._changed.set()

    async def close(self) -> None:
        await self.launcher.close()
        if self._consumer is not None:
            await self._consumer

    async def restart(self) -> None:
        await self.close()
        await self.take_over()

    async def take_over(self) -> None:
        """Once ``close`` or somebody else's daemon has let go."""
        self.launcher = Launcher(self.settings)
        await self.start()

    async def sandbox(self, identifier: str = "pod", **changes: Any) -> str:
        changes.setdefault("hostname", identifier)
        changes.setdefault("cgroup_parent", f"kubepods/{identifier}")
        await self.launcher.create_sandbox(SandboxSpec(id=identifier, **changes))
        return identifier

    def spec(self, *args: str, sandbox: str = "pod", **changes: Any) -> ContainerSpec:
        self._count += 1
        identifier = changes.pop("id", f"c{self._count}")
        layer = self.work / f"layer-{self._count}"
        rootfs = changes.pop("rootfs", None) or Rootfs(
            lower=(str(self.lower),), upper=str(layer / "upper"), work=str(layer / "work")
        )
        changes.setdefault("cgroup", f"kubepods/{sandbox}/{identifier}")
        changes.setdefault("log_path", str(self.work / "logs" / f"{identifier}.log"))
        return ContainerSpec(id=identifier, sandbox_id=sandbox, args=args, rootfs=rootfs, **changes)

    async def begin(self, *args: str, **changes: Any) -> str:
        """Creates and starts a container of ``args``; its id."""
        spec = self.spec(*args, **changes)
        await self.launcher.create_container(spec)
        await self.launcher.start_container(spec.id)
        return spec.id

    async def exit(self, identifier: str) -> ContainerExited:
        async with asyncio.timeout(DEADLINE_S):
            while identifier not in self.exits:
                self._changed.clear()
                await self._changed.wait()
        return self.exits[identifier]

    async def written(self, identifier: str) -> ContainerExited:
        """Its exit, once its log is complete: on a busy machine the exit is told before that."""
        ended, spec = await self.exit(identifier), self.value(identifier).spec
        containers = self.settings.state_dir / "sandboxes" / spec.sandbox_id / "containers"
        await self.until((containers / identifier / "log.done").exists)
        return ended

    async def run(self, *args: str, **changes: Any) -> tuple[ContainerExited, str]:
        """(exit, output on both streams) of a container that ends by itself."""
        identifier = await self.begin(*args, **changes)
        return await self.written(identifier), self.output(identifier)

    async def shell(self, script: str, **changes: Any) -> tuple[ContainerExited, str]:
        return await self.run("sh", "-c", script, **changes)

    def value(self, identifier: str) -> Container:
        return self.launcher.containers()[identifier]

    def log(self, identifier: str) -> list[tuple[str, str, str]]:
        """[(stream, tag, text)] of a container's log file; nothing while there is none."""
        path = Path(self.value(identifier).spec.log_path)
        text = path.read_text() if path.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()  # the last one may be being written
        return [(stream, tag, text) for _, stream, tag, text in (line.split(" ", 3) for line in lines)]

    def output(self, identifier: str) -> str:
        return "".join(text + ("\n" if tag == "F" else "") for _, tag, text in self.log(identifier))

    @staticmethod
    def programs(pids: list[str]) -> list[str]:
        """Sorted names of what these processes execute; a fork of the shim that has not yet is none of them."""
        names = []
        for pid in pids:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                names.append(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode())
        return sorted(names)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Polls the world; for what nobody announces."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - the world sends no event
                await asyncio.sleep(0.005)


def processes_of(state_dir: Path) -> list[int]:
    """Zygote, shims and log reader: they all have the zygote's command line."""
    needle = str(state_dir).encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and start_time(int(entry)) is not None:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if needle in Path(f"/proc/{entry}/cmdline").read_bytes():
                    found.append(int(entry))
    return [pid for pid in found if pid != os.getpid()]


def _ends(pid: int) -> bool:
    """Whether it is just ending, as what was made ahead does when its parent was killed."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], ENDS_S)[0])
    finally:
        os.close(fd)


def _remove_by_force(state_dir: Path, bases: dict[str, str]) -> None:
    """After a failed test: everything in our cgroup and everything with our command line, by pid."""
    for pid in processes_of(state_dir):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for base in bases.values():
        for directory, _, _ in os.walk(base, topdown=False):
            with contextlib.suppress(OSError):
                for pid in Path(directory, "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
    for base in bases.values():
        for directory, _, _ in os.walk(base, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """(state directory, name of the cgroup root), checked to be gone afterwards."""
    state_dir, root = tmp_path / "state", f"knarr-test-{uuid.uuid4().hex[:12]}"
    bases = discover(root)
    yield state_dir, root
    left = [pid for pid in processes_of(state_dir) if not _ends(pid)]
    cgroups = [base for base in bases.values() if os.path.exists(base)]
    _remove_by_force(state_dir, bases)
    assert not left, "processes are left over"
    assert not cgroups, "cgroups are left over"
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text(), "mounts are left over"


@pytest.fixture
async def runtime(workspace: tuple[Path, str], lower: Path, tmp_path: Path) -> AsyncIterator[Runtime]:
    state_dir, root = workspace
    settings = LauncherSettings(state_dir=state_dir, cgroup_root=root)
    made = Runtime(Launcher(settings), settings, lower, tmp_path)
    await made.start()
    yield made
    await made.launcher.destroy()


@pytest.fixture
async def pod(runtime: Runtime) -> Runtime:
    """The runtime with one sandbox, ``pod``."""
    await runtime.sandbox()
    return runtime
