"""A cluster's cgroups: one directory per process group, in every hierarchy, below this process' own cgroup.

On cgroup v1 there is one tree per controller, on v2 a single one; a hybrid machine has both. A process is put into
the same relative path of each. Source: cgroups(7), Documentation/admin-guide/cgroup-v2.rst. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

CONTROLLERS = ("cpu", "memory", "pids")


def parents() -> dict[str, str]:
    """The own cgroup's directory in each mounted hierarchy: ``{"memory": "/sys/fs/cgroup/memory/…", "": …}``.

    On cgroup2 it is the nearest one above whose children can have limits.

    The key is the hierarchy's name as in /proc/self/cgroup; cgroup2's is the empty string.
    """
    mounts: dict[str, tuple[str, str]] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(), after.split(" ", 2)
        root, mount_point = fields[3], fields[4]
        if kind == "cgroup2":
            mounts.setdefault("", (root, mount_point))
        elif kind == "cgroup":
            for option in options.split(","):
                mounts.setdefault(option, (root, mount_point))
    own: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        mount = mounts.get(controllers) or mounts.get(controllers.split(",")[0])
        if mount is None:
            continue
        root, mount_point = mount
        relative = path if root == "/" else path.removeprefix(root)
        own[controllers] = os.path.normpath(f"{mount_point}/{relative.lstrip('/')}")
        if not controllers:
            own[controllers] = _with_controllers(Path(own[controllers]), Path(mount_point))
    return own


def _with_controllers(directory: Path, top: Path) -> str:
    """Of a cgroup2 directory and those above it the nearest whose children can have limits.

    One with processes in it can't pass controllers on; a login session is such a one. Where cgroup2 has none of the
    controllers (a hybrid machine: they are v1's) it is the directory itself.
    """
    for candidate in (directory, *directory.parents):
        try:
            if not set((candidate / "cgroup.controllers").read_text().split()) >= set(CONTROLLERS):
                break
            _pass_on(candidate)
        except OSError:
            if candidate == top:
                break
            continue
        return str(candidate)
    return str(directory)


def _pass_on(directory: Path) -> None:
    """Let the children of a cgroup2 directory have controllers. Raises OSError, EBUSY where it holds processes."""
    control = directory / "cgroup.subtree_control"
    if not set(control.read_text().split()) >= set(CONTROLLERS):
        control.write_text(" ".join(f"+{name}" for name in CONTROLLERS))
    available = set((directory / "cgroup.controllers").read_text().split())
    for name in sorted(available - set(control.read_text().split())):
        with contextlib.suppress(OSError):
            control.write_text(f"+{name}")


def make(directories: dict[str, str], relative: str) -> None:
    """Make ``relative`` below each hierarchy's directory. A v1 cpuset is filled from its parent to be usable."""
    for parent in directories.values():
        path = Path(parent)
        for part in Path(relative).parts:
            if (path / "cgroup.subtree_control").exists():
                with contextlib.suppress(OSError):  # a hybrid machine's cgroup2 has no controllers to pass on
                    _pass_on(path)
            path = path / part
            path.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                file = path / name
                if file.exists() and (path / "tasks").exists() and not file.read_text().strip():
                    file.write_text((path.parent / name).read_text())


def enter(directories: dict[str, str], relative: str) -> None:
    """Move this process into ``relative`` of every hierarchy."""
    for parent in directories.values():
        (Path(parent) / relative / "cgroup.procs").write_text("0")


def processes(directories: dict[str, str], relative: str) -> set[int]:
    """Pids in ``relative`` and below it, in any hierarchy."""
    pids: set[int] = set()
    for directory in _trees(directories, relative):
        with contextlib.suppress(FileNotFoundError, OSError):
            pids.update(int(line) for line in (directory / "cgroup.procs").read_text().split())
    pids.discard(0)
    return pids


def kill(directories: dict[str, str], relative: str, *, rounds: int = 200) -> None:
    """SIGKILL everything in ``relative`` and below it, until nothing is left.

    Uses cgroup.kill where the kernel has it; the loop catches what is only in v1 trees. Raises TimeoutError when
    processes remain after ``rounds`` passes (a process in uninterruptible sleep).
    """
    unified = directories.get("")
    if unified is not None:
        with contextlib.suppress(FileNotFoundError):
            (Path(unified) / relative / "cgroup.kill").write_text("1")
    left: set[int] = set()
    for _ in range(rounds):
        left = processes(directories, relative) - {os.getpid()}
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _thaw(directories, relative)
        _wait_for_exit(left)
    raise TimeoutError(f"processes {sorted(left)} of cgroup {relative} do not die")


def remove(directories: dict[str, str], relative: str) -> None:
    """Remove ``relative`` and everything below it, deepest first. What is gone already is fine."""
    for directory in sorted(_trees(directories, relative), key=lambda path: -len(path.parts)):
        with contextlib.suppress(FileNotFoundError):
            directory.rmdir()


def _trees(directories: dict[str, str], relative: str) -> Iterator[Path]:
    for parent in directories.values():
        for path, _, _ in os.walk(Path(parent) / relative):
            yield Path(path)


def _thaw(directories: dict[str, str], relative: str) -> None:
    """A frozen v1 cgroup holds its dying processes back."""
    for directory in _trees(directories, relative):
        with contextlib.suppress(FileNotFoundError):
            if (directory / "freezer.state").exists() and directory.name:
                (directory / "freezer.state").write_text("THAWED")


def _wait_for_exit(pids: set[int], *, timeout_s: float = 0.05) -> None:
    """Wait until one of the processes has exited, at the most ``timeout_s``."""
    import select

    descriptors: list[int] = []
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                descriptors.append(os.pidfd_open(pid))
        if descriptors:
            waiting = select.poll()
            for descriptor in descriptors:
                waiting.register(descriptor, select.POLLIN)
            waiting.poll(timeout_s * 1000)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
