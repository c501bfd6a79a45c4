"""RUN: a program in a container of this runtime, on the layers so far, with its output as it comes.

Each program gets a sandbox of its own, which ends with it: the network of a pod where the node has one (the host's
else, and the build says so), or none; default capabilities and system call filter; limits. What the container needs as
targets of mounts (/proc, /etc/resolv.conf …) is made before and taken away after, so that no layer has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from knarr_runtime import apparmor
from knarr_runtime.build import rootfs, tree
from knarr_runtime.build.threads import in_thread
from knarr_runtime.kernel import paths, syscalls
from knarr_runtime.launcher import Exit, Launcher
from knarr_runtime.network.pod_network import PodNetwork
from knarr_runtime.spec import ContainerSpec, Mount, Namespaces, NetworkConfig, Resources, Rootfs, SandboxSpec, User

CGROUP = "builds"
PIDS_LIMIT = 4096
MAX_LINE = 64 << 10
Output = Callable[[str], Awaitable[None]]
_POLL_S = 0.05
_READ_BYTES = 1 << 20
_HOSTNAME = "buildkitsandbox"
_STRAIGHT = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
_DIRECTORIES = ("/proc", "/sys", "/dev")
_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/hostname")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """lower: topmost first. mounts: beside the runtime's own. network: default or none."""

    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: User
    lower: tuple[str, ...]
    mounts: tuple[Mount, ...] = ()
    network: str = "default"


class Runner(Protocol):
    def network(self) -> str:
        """What ``default`` is: pod or host."""

    async def run(self, program: Program, upper: Path, workspace: Path, output: Output) -> Exit:
        """Its end; what it changed is in ``upper``. Cancelled, it kills the program first. Raises StartFailed …"""


class ContainerRunner:
    """The real one."""

    def __init__(self, launcher: Launcher, network: PodNetwork, resources: Resources | None = None) -> None:
        self._launcher = launcher
        self._network = network
        self._resources = resources or Resources(pids_limit=PIDS_LIMIT)

    def network(self) -> str:
        return "pod" if self._network.ready else "host"

    async def run(self, program: Program, upper: Path, workspace: Path, output: Output) -> Exit:
        identifier = f"build-{secrets.token_hex(16)}"
        host = program.network == "default" and self.network() == "host"
        files = await in_thread(_write_files, workspace, host)
        mounts = (*files, *program.mounts)
        stubs = await in_thread(_prepare, program, mounts, upper, workspace)
        try:
            async with self._sandbox(identifier, program.network, host):
                return await self._contain(identifier, program, mounts, upper, workspace, output)
        finally:
            await in_thread(_take_away, stubs, upper)

    @contextlib.asynccontextmanager
    async def _sandbox(self, identifier: str, network: str, host: bool) -> AsyncIterator[None]:
        sandbox = await self._launcher.create_sandbox(
            SandboxSpec(
                id=identifier,
                hostname="" if host else _HOSTNAME,
                cgroup_parent=f"{CGROUP}/{identifier}",
                namespaces=Namespaces(net="host" if host else "pod"),
                labels={"knarr.dev/build": "true"},
            )
        )
        attached = network == "default" and not host
        try:
            if attached:
                config = await self._network.attach(identifier, sandbox.netns_path)
                await self._launcher.configure_network(identifier, config)
            elif not host:
                await self._launcher.configure_network(identifier, NetworkConfig())  # the loopback alone
            yield
        finally:
            # Also for a build that was cancelled: the program must be gone before its layers are.
            await asyncio.shield(self._remove(identifier, attached))

    async def _remove(self, identifier: str, attached: bool) -> None:
        if attached:
            await self._network.detach(identifier)
        await self._launcher.remove_sandbox(identifier)

    async def _contain(
        self,
        identifier: str,
        program: Program,
        mounts: Sequence[Mount],
        upper: Path,
        workspace: Path,
        output: Output,
    ) -> Exit:
        log = workspace / f"{identifier}.log"
        spec = ContainerSpec(
            id=identifier,
            sandbox_id=identifier,
            args=program.args,
            env=program.env,
            cwd=program.cwd,
            user=program.user,
            rootfs=Rootfs(lower=program.lower, upper=str(upper), work=str(workspace / f"{identifier}.work")),
            mounts=tuple(mounts),
            cgroup=f"{CGROUP}/{identifier}/{identifier}",
            resources=self._resources,
            no_new_privs=False,
            apparmor=apparmor.default(),
            log_path=str(log),
        )
        await self._launcher.create_container(spec)
        await self._launcher.start_container(identifier)
        ended = asyncio.create_task(self._launcher.wait(identifier))
        following = _Following(log)
        try:
            while not ended.done() or following.more:
                if not following.more:
                    await asyncio.wait((ended,), timeout=_POLL_S)
                for line in await in_thread(following.read):
                    await output(line)
            for line in following.rest():
                await output(line)
            return ended.result()
        finally:
            ended.cancel()


class _Following:
    """A growing file in CRI's log format, as lines; a piece of a line (tag P) waits for the rest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""
        self._line = ""
        self.more = False
        """There is more to read at once."""

    def read(self) -> list[str]:
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                data = file.read(_READ_BYTES)
        except FileNotFoundError:
            return []
        self._offset += len(data)
        self.more = len(data) == _READ_BYTES
        *lines, self._rest = (self._rest + data).split(b"\n")
        found: list[str] = []
        for line in lines:
            parts = line.decode(errors="replace").split(" ", 3)
            self._line += parts[3] if len(parts) == 4 else ""
            if parts[2:3] != ["P"] or len(self._line) > MAX_LINE:
                found.append(self._line)
                self._line = ""
        return found

    def rest(self) -> list[str]:
        return [*self.read(), *([self._line] if self._line else [])]


def _write_files(workspace: Path, host: bool) -> tuple[Mount, ...]:
    """The program may write to them; nothing of it is kept."""
    resolv = _read("/etc/resolv.conf")
    hosts = _read("/etc/hosts") if host else f"127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t{_HOSTNAME}\n"
    hostname = _read("/etc/hostname") if host else f"{_HOSTNAME}\n"
    found = []
    for target, text in zip(_FILES, (resolv, hosts, hostname), strict=True):
        path = workspace / os.path.basename(target)
        path.write_text(text)
        path.chmod(0o644)
        found.append(Mount(source=str(path), target=target))
    return tuple(found)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class _Stub:
    """path: in the upper directory. made: it is new; else a directory of a layer below that overlayfs copied up to put
    something into it."""

    path: str
    status: os.stat_result
    made: bool


def _prepare(program: Program, mounts: Sequence[Mount], upper: Path, workspace: Path) -> list[_Stub]:
    """Makes all targets of mounts in ``upper``; what is there then is to be taken away again."""
    with rootfs.opened(program.lower, workspace, upper) as root:
        for target in (*_DIRECTORIES, *(mount.target for mount in mounts)):
            given = next((mount for mount in mounts if mount.target == target), None)
            directory = given is None or given.kind == "tmpfs" or os.path.isdir(given.source)
            with contextlib.suppress(NotADirectoryError, IsADirectoryError):  # the start says so
                os.close(paths.make_target(root, target, directory=directory))
    with rootfs.opened(program.lower, workspace) as below, _directory(upper) as made:
        return [_Stub(entry.path, entry.status, not _exists(below, f"/{entry.path}")) for entry in tree.walk(made)]


def _exists(root: int, path: str) -> bool:
    try:
        os.close(paths.open_inside(root, path, os.O_PATH | os.O_NOFOLLOW))
    except OSError:
        return False
    return True


def _take_away(stubs: Sequence[_Stub], upper: Path) -> None:
    """Those still empty; and directories that were only copied up for them, where nothing else came of it.

    The program may have put links in their way: nothing is followed.
    """
    with _directory(upper) as root:
        for stub in sorted(stubs, key=lambda stub: stub.path.count("/"), reverse=True):
            head, name = os.path.split(stub.path)
            with contextlib.suppress(OSError):
                parent = paths.open_inside(root, head or ".", os.O_PATH | os.O_DIRECTORY, _STRAIGHT)
                try:
                    _take_one_away(stub, parent, name)
                finally:
                    os.close(parent)


def _take_one_away(stub: _Stub, parent: int, name: str) -> None:
    now, before = os.stat(name, dir_fd=parent, follow_symlinks=False), stub.status
    if (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino):
        return
    same = (now.st_mode, now.st_uid, now.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    if stat.S_ISDIR(now.st_mode):
        if same or stub.made:
            os.rmdir(name, dir_fd=parent)
    elif now.st_size == 0:
        os.unlink(name, dir_fd=parent)


@contextlib.contextmanager
def _directory(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
