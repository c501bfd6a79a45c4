"""Random life over CRI, with the daemon killed in the midst of it; afterwards nothing is there that was not before.

``KNARR_LEAK_STEPS=5000 ./dev test tests/kernel/cri/test_leaks.py`` for long.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri
from tests.kernel.cri.conftest import Daemon
from tests.kernel.daemon import until

STEPS = int(os.environ.get("KNARR_LEAK_STEPS", "120"))
PODS = 4
pytestmark = [pytest.mark.root, pytest.mark.timeout(120 + STEPS)]


def below(daemon: Daemon) -> list[int]:
    """Pids of the daemon and everything under it, by its cgroups."""
    pids: set[int] = set()
    for parent in daemon.parents.values():
        for file in (Path(parent) / daemon.name).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                pids |= {int(line) for line in file.read_text().split()}
    return sorted(pids)


def mounts_of(pid: int) -> set[tuple[str, ...]]:
    """(filesystem, directory in it, where) of each that a process sees."""
    return {tuple(line.split()[2:5]) for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()}


def world(daemon: Daemon) -> dict[str, Any]:
    """What there is: processes by name, namespaces, mounts seen by each, descriptors by kind, files, links.

    The host's mounts come and go with everybody else's work, so that in ``mounts`` they do not count; those of the
    daemon among them are in ``host``.
    """
    found: dict[str, Any] = {"left": daemon.left()}
    names: Counter[str] = Counter()
    namespaces: Counter[str] = Counter()
    mounts: Counter[str] = Counter()
    descriptors: Counter[str] = Counter()
    seen: set[str] = set()
    hosts = mounts_of(os.getpid())
    for pid in below(daemon):
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            name = "shim" if name.startswith("knarr-") and name not in ("knarr-zygote", "knarr-logs") else name
            names[name] += 1
            for kind in ("mnt", "net", "pid", "uts", "ipc", "cgroup"):
                inode = os.readlink(f"/proc/{pid}/ns/{kind}")
                namespaces[kind] += inode not in seen
                seen.add(inode)
            mounts[name] += len(mounts_of(pid) - hosts)
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    target = os.readlink(entry.path)
                    kind = target.partition(":")[0] if ":" in target else os.path.dirname(target)
                    descriptors[f"{name} {kind}"] += 1
    state = daemon.base / "root/state/sandboxes"
    found["files"] = sorted(path.name for path in state.iterdir()) if state.is_dir() else []
    found["host"] = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(daemon.base) in line]
    return {**found, "processes": names, "namespaces": namespaces, "mounts": mounts, "descriptors": descriptors}


def more(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What is there now and was not."""
    found: dict[str, Any] = {}
    for kind, old in before.items():
        new = after[kind]
        grown = dict(new - old) if isinstance(old, Counter) else [one for one in new if one not in old]
        if grown:
            found[kind] = grown
    return found


class Life:
    """Pods and containers that may be there, and what can be done to them."""

    def __init__(self, daemon: Daemon, seed: int) -> None:
        self.daemon = daemon
        self.choose = random.Random(seed)
        self.count = 0

    def step(self) -> None:
        actions = (self.pod, self.pod, self.container, self.container, self.container, self.execute, self.stop)
        action = self.choose.choice((*actions, self.remove, self.remove, self.remove_pod, self.port, self.kill_daemon))
        with contextlib.suppress(grpc.RpcError):
            action()

    def pods(self) -> list[Any]:
        return list(self.daemon.runtime.ListPodSandbox(cri.ListPodSandboxRequest()).items)

    def any_container(self) -> str:
        found = list(self.daemon.runtime.ListContainers(cri.ListContainersRequest()).containers)
        return str(self.choose.choice(found).id) if found else "none"

    def config(self, name: str, *ports: cri.PortMapping) -> Any:
        return cri.PodSandboxConfig(
            metadata=cri.PodSandboxMetadata(name=name, namespace="leaks", uid=name),
            hostname=name,
            log_directory=str(self.daemon.base / "logs" / name),
            port_mappings=ports,
            linux=cri.LinuxPodSandboxConfig(cgroup_parent=f"kubepods/pod{name}"),
        )

    def pod(self, *ports: cri.PortMapping) -> None:
        if len(self.pods()) < PODS:
            self.count += 1
            config = self.config(f"p{self.count}", *ports)
            self.daemon.runtime.RunPodSandbox(cri.RunPodSandboxRequest(config=config), timeout=30)

    def port(self) -> None:
        self.pod(cri.PortMapping(container_port=80, host_port=self.choose.randrange(8000, 8003)))

    def container(self) -> None:
        pods = self.pods()
        if not pods:
            return
        pod = self.choose.choice(pods)
        self.count += 1
        script = self.choose.choice(("sleep 100 & sleep 100", "exit 3", "echo $$; kill -9 $$", "yes > /dev/null"))
        command = self.choose.choice((("sh", "-c", script), ("sh", "-c", script), ("no-such-program",)))
        sandbox = (pod.id, self.config(pod.metadata.name))
        identifier = self.daemon.container(sandbox, *command, name=f"c{self.count}", tty=self.choose.random() < 0.3)
        if self.choose.random() < 0.9:
            self.daemon.start_container(identifier)

    def execute(self) -> None:
        request = cri.ExecSyncRequest(container_id=self.any_container(), cmd=["sleep", "0.01"], timeout=1)
        self.daemon.runtime.ExecSync(request, timeout=self.choose.choice((0.005, 5.0)))

    def stop(self) -> None:
        request = cri.StopContainerRequest(container_id=self.any_container(), timeout=0)
        self.daemon.runtime.StopContainer(request, timeout=self.choose.choice((0.002, 10.0)))

    def remove(self) -> None:
        request = cri.RemoveContainerRequest(container_id=self.any_container())
        self.daemon.runtime.RemoveContainer(request, timeout=self.choose.choice((0.002, 10.0)))

    def remove_pod(self) -> None:
        pods = self.pods()
        if pods:
            request = cri.RemovePodSandboxRequest(pod_sandbox_id=self.choose.choice(pods).id)
            self.daemon.runtime.RemovePodSandbox(request, timeout=self.choose.choice((0.002, 10.0)))

    def kill_daemon(self) -> None:
        if self.choose.random() < 0.5:
            self.daemon.kill()
            self.daemon.start()

    def end(self) -> None:
        for pod in self.pods():
            self.daemon.runtime.RemovePodSandbox(cri.RemovePodSandboxRequest(pod_sandbox_id=pod.id), timeout=30)


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_left_of_a_random_life(daemon: Daemon, seed: int) -> None:
    life = Life(daemon, seed)
    for _ in range(3):  # whatever is made once and kept
        with contextlib.suppress(grpc.RpcError):
            life.pod()
            life.container()
    life.end()
    daemon.kill()
    daemon.start()
    until(lambda: daemon.left() == [], "the first ones to be gone")
    until(lambda: at_rest(world(daemon)["processes"]), "daemon, zygote with a shim made ahead, and log reader")
    before = world(daemon)
    for _ in range(STEPS):
        life.step()
    assert life.count > STEPS / 4, "too little happened"
    life.end()
    daemon.kill()
    daemon.start()
    settled(daemon, before)


def at_rest(processes: Counter[str]) -> bool:
    """The shim that is made ahead has the zygote's name until it is somebody's."""
    return processes["knarr-zygote"] == 2 and processes["knarr-logs"] == 1 and processes.total() == 4


def settled(daemon: Daemon, before: dict[str, Any]) -> None:
    """Spares are made ahead and old ones end: wait until the world is as it was, or show what is more."""
    last: dict[str, Any] = {}

    def same() -> bool:
        last.clear()
        last.update(more(before, world(daemon)))
        return not last

    try:
        until(same, "what is left over to go")
    except AssertionError as error:
        raise AssertionError(last) from error
