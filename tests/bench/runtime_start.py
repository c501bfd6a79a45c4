"""How long sandboxes, containers and execs take, beside crun and runc where they are installed.

    python tests/bench/runtime_start.py [--rounds 60]

All on one busybox root, interleaved, so that a busy moment of the machine falls on everybody. "start" is from the
request to the first instruction of the program, which writes into a FIFO at once. The peers get the same isolation
(namespaces, capabilities, seccomp where their default config has it) from a config.json without a daemon.
crun 1.8 refuses a hybrid cgroup layout, so it runs in a mount namespace without /sys/fs/cgroup/unified.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

from knarr_runtime.kernel import syscalls
from knarr_runtime.launcher import Launcher, LauncherSettings
from knarr_runtime.spec import ContainerSpec, Mount, NetworkConfig, Resources, Rootfs, SandboxSpec

IDLE_S = 0.02
"""Before each start: what the last one left behind has come to rest."""
BUSYBOX = "/bin/busybox"


def make_root(directory: Path) -> None:
    (directory / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, directory / "bin/busybox")
    for applet in ("sh", "true", "sleep", "echo"):
        (directory / "bin" / applet).symlink_to("busybox")


class Times:
    """Milliseconds per operation; prints p50 and p99."""

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}

    def add(self, name: str, seconds: float) -> None:
        self._times.setdefault(name, []).append(seconds * 1000)

    async def measure(self, name: str, what: Awaitable[object]) -> None:
        started = time.perf_counter()
        await what
        self.add(name, time.perf_counter() - started)

    def median(self, name: str) -> float | None:
        times = sorted(self._times.get(name, ()))
        return times[len(times) // 2] if times else None

    def report(self) -> None:
        print(f"{'':44}{'p50 ms':>9}{'p99 ms':>9}")
        for name, times in self._times.items():
            times.sort()
            print(f"{name:44}{times[len(times) // 2]:9.2f}{times[min(len(times) * 99 // 100, len(times) - 1)]:9.2f}")
        for ours, what in (
            ("knarr start to first instruction", "start to first instruction"),
            ("knarr exec true", "exec true"),
            ("knarr whole life of a container", "whole life of a container"),
        ):
            for peer in ("crun", "runc"):
                mine, theirs = self.median(ours), self.median(f"{peer} {what}")
                if mine and theirs:
                    print(f"{what}: {mine / theirs:.2f} x {peer}")


class Fifo:
    """Says when the program's first output arrived."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    async def written(self) -> float:
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        loop.add_reader(self.fd, event.set)
        try:
            await event.wait()
        finally:
            loop.remove_reader(self.fd)
        at = time.perf_counter()
        os.read(self.fd, 100)
        return at


async def knarr_round(launcher: Launcher, root: Path, work: Path, number: int, fifo: Fifo, times: Times) -> None:
    pod = f"pod{number}"
    sandbox = SandboxSpec(id=pod, hostname=pod, cgroup_parent=f"kubepods/{pod}")
    await times.measure("knarr create sandbox", launcher.create_sandbox(sandbox))
    await times.measure("knarr configure network (lo)", launcher.configure_network(pod, NetworkConfig()))
    await asyncio.sleep(IDLE_S)
    life = time.perf_counter()
    layer = work / f"layer{number}"
    spec = ContainerSpec(
        id=f"c{number}",
        sandbox_id=pod,
        args=("/bin/sh", "-c", "echo > /fifo; exec sleep 1000"),
        rootfs=Rootfs(lower=(str(root),), upper=str(layer / "u"), work=str(layer / "w")),
        mounts=(Mount(source=str(fifo.path), target="/fifo"),),
        cgroup=f"kubepods/{pod}/c{number}",
        resources=Resources(memory_limit_bytes=64 << 20, pids_limit=100, cpu_shares=512),
        log_path=str(work / "logs" / f"{number}.log"),
    )
    started = time.perf_counter()
    await times.measure("knarr create container", launcher.create_container(spec))
    starting = asyncio.create_task(launcher.start_container(spec.id))
    at = await fifo.written()
    times.add("knarr start to first instruction", at - started)
    await starting
    times.add("knarr create and start, answered", time.perf_counter() - started)
    for _ in range(2):
        await times.measure("knarr exec true", launcher.exec(spec.id, ["true"]))
    await times.measure("knarr kill and see it end", launcher.stop_container(spec.id, 0))
    await times.measure("knarr remove container", launcher.remove_container(spec.id))
    times.add("knarr whole life of a container", time.perf_counter() - life)
    await times.measure("knarr stop and remove sandbox", launcher.remove_sandbox(pod))


def peer_config(root: Path, fifo: Path, cgroup: str, layers: Path) -> dict[str, object]:
    """The same container as an OCI bundle would have it; the overlay is mounted by the bundle's mounts."""
    text = subprocess.run(["runc", "spec"], cwd=layers, capture_output=True, check=False)
    assert text.returncode == 0, text.stderr
    config = json.loads((layers / "config.json").read_text())
    config["process"]["terminal"] = False
    config["process"]["args"] = ["/bin/sh", "-c", "echo > /fifo; exec sleep 1000"]
    config["process"].pop("rlimits", None)
    config["root"] = {"path": str(root), "readonly": False}
    config["mounts"].append({"destination": "/fifo", "source": str(fifo), "type": "bind", "options": ["bind"]})
    config["mounts"] = [one for one in config["mounts"] if one["type"] != "cgroup"]
    config["linux"]["cgroupsPath"] = cgroup
    config["linux"]["resources"] = {
        "memory": {"limit": 64 << 20},
        "pids": {"limit": 100},
        "cpu": {"shares": 512},
        "devices": [{"allow": False, "access": "rwm"}],
    }
    (layers / "config.json").write_text(json.dumps(config))
    return dict(config)


async def _call(*arguments: str) -> None:
    with tempfile.TemporaryFile() as said:  # no pipe: the container inherits it and would keep it open
        process = await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=said
        )
        if await process.wait():
            said.seek(0)
            raise RuntimeError(f"{arguments[0]}: {said.read(2000).decode(errors='replace')}")


async def peer_round(
    peer: list[str], root: Path, work: Path, number: int, fifo: Fifo, times: Times, cgroup: str
) -> None:
    name = Path(peer[0]).name
    bundle = work / f"{name}{number}"
    (bundle / "u").mkdir(parents=True)
    (bundle / "w").mkdir()
    identifier = f"knarr-bench-{os.getpid()}-{number}"
    await asyncio.sleep(IDLE_S)
    peer_config(root, fifo.path, f"{cgroup}/{name}{number}", bundle)
    started = time.perf_counter()
    peer = [*peer, "--root", str(work / "peers")]
    running = asyncio.create_task(_call(*peer, "run", "--detach", "--bundle", str(bundle), identifier))
    first = asyncio.create_task(fifo.written())
    await asyncio.wait([running, first], return_when=asyncio.FIRST_EXCEPTION)
    if not first.done():
        first.cancel()
    await running
    times.add(f"{name} start to first instruction", first.result() - started)
    for _ in range(2):
        await times.measure(f"{name} exec true", _call(*peer, "exec", identifier, "true"))
    await _call(*peer, "delete", "--force", identifier)
    times.add(f"{name} whole life of a container", time.perf_counter() - started)


def leave_hybrid() -> None:
    """Own mounts: crun 1.8 wants to see plain v1, and everybody's state and writable layers lie on a tmpfs."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    with contextlib.suppress(OSError):
        syscalls.umount("/sys/fs/cgroup/unified")


async def main(rounds: int, peers: list[list[str]]) -> None:
    work = Path(tempfile.mkdtemp(prefix="knarr-bench-"))
    syscalls.mount("tmpfs", str(work), "tmpfs", 0)
    root = work / "root"
    make_root(root)
    (root / "fifo").touch()
    fifo = Fifo(work / "fifo")
    times = Times()
    launcher = Launcher(LauncherSettings(state_dir=work / "state", cgroup_root=f"knarr-bench-{os.getpid()}"))
    started = time.perf_counter()
    await launcher.start()
    times.add("knarr start zygote and log reader", time.perf_counter() - started)
    try:
        await launcher.recover()
        for number in range(rounds):
            await knarr_round(launcher, root, work, number, fifo, times)
            if number % 3 == 0:
                for peer in tuple(peers):
                    try:
                        await peer_round(peer, root, work, number, fifo, times, f"knarr-bench-{os.getpid()}-peers")
                    except (RuntimeError, AssertionError) as error:
                        print(f"{peer[0]} does not run here: {error}", file=sys.stderr)
                        peers.remove(peer)
        times.report()
        print(memory(launcher))
    finally:
        await launcher.destroy()
        syscalls.umount(str(work))
        work.rmdir()
        for directory, _, _ in os.walk("/sys/fs/cgroup", topdown=False):
            if f"knarr-bench-{os.getpid()}-peers" in directory:
                with contextlib.suppress(OSError):
                    os.rmdir(directory)


def memory(launcher: Launcher) -> str:
    """Of zygote and log reader."""
    lines = []
    for record in ("zygote.json", "logs.json"):
        pid = json.loads((launcher.settings.state_dir / record).read_text())["pid"]
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in rollup}
        lines.append(f"{record.removesuffix('.json')}: {sizes['Pss']} kB PSS, {sizes['Private_Dirty']} kB private")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    leave_hybrid()
    found = [[name] for name in ("crun", "runc") if shutil.which(name)]
    found = [[*one, "--cgroup-manager=cgroupfs"] if one[0] == "crun" else one for one in found]
    asyncio.run(main(options.rounds, found))
