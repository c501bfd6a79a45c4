"""How long containers and execs take, beside crun, runc and a C program that makes the same system calls.

    python tests/bench/runtime_start.py [--rounds 60]

All on one busybox root, interleaved, so that a busy moment of the machine falls on everybody. "start" is from the
request to the first instruction of the program, which writes into a FIFO at once. The peers get the same isolation
(namespaces, capabilities, seccomp where their default config has it) from a config.json without a daemon.
"lock warm": somebody else just moved a process between cgroups, so the kernel's lock for that is quick for everybody.
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
from pathlib import Path

from runtime_common import Fifo, Times, make_root, own_mounts, settle

from knarr_runtime.defaults import DEFAULT_CAPABILITIES
from knarr_runtime.kernel import syscalls
from knarr_runtime.kernel.cgroup import discover
from knarr_runtime.kernel.seccomp import profile
from knarr_runtime.launcher import Launcher, LauncherSettings
from knarr_runtime.spec import ContainerSpec, Mount, NetworkConfig, Resources, Rootfs, SandboxSpec

WARM = ", lock warm"


async def knarr_round(
    launcher: Launcher, root: Path, work: Path, number: int, fifo: Fifo, times: Times, suffix: str = ""
) -> None:
    pod = f"pod{number}"
    sandbox = SandboxSpec(id=pod, hostname=pod, cgroup_parent=f"kubepods/{pod}")
    await times.measure("knarr create sandbox", launcher.create_sandbox(sandbox))
    await times.measure("knarr configure network (lo)", launcher.configure_network(pod, NetworkConfig()))
    await settle()
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
    times.add(f"knarr start to first instruction{suffix}", at - started)
    await starting
    times.add("knarr create and start, answered", time.perf_counter() - started)
    paused = time.perf_counter()
    await times.measure("knarr exec true, the first", launcher.exec(spec.id, ["true"]))
    for _ in range(3):
        await settle()
        await times.measure("knarr exec true", launcher.exec(spec.id, ["true"]))
    paused = time.perf_counter() - paused
    await times.measure("knarr kill and see it end", launcher.stop_container(spec.id, 0))
    await times.measure("knarr remove container", launcher.remove_container(spec.id))
    times.add("knarr whole life of a container", time.perf_counter() - life - paused)
    await times.measure("knarr stop and remove sandbox", launcher.remove_sandbox(pod))


PROGRAM = ["/bin/sh", "-c", "echo > /fifo; exec sleep 1000"]


def peer_config(root: Path, fifo: Path, cgroup: str, layers: Path, program: list[str] = PROGRAM) -> dict[str, object]:
    """The same container as an OCI bundle would have it; the overlay is mounted by the bundle's mounts."""
    text = subprocess.run(["runc", "spec"], cwd=layers, capture_output=True, check=False)
    assert text.returncode == 0, text.stderr
    config = json.loads((layers / "config.json").read_text())
    config["process"]["terminal"] = False
    config["process"]["args"] = program
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
    peer: list[str], root: Path, work: Path, number: int, fifo: Fifo, times: Times, cgroup: str, suffix: str = ""
) -> None:
    name = Path(peer[0]).name
    bundle = work / f"{name}{number}"
    (bundle / "u").mkdir(parents=True)
    (bundle / "w").mkdir()
    identifier = f"knarr-bench-{os.getpid()}-{number}"
    await settle()
    peer_config(root, fifo.path, f"{cgroup}/{name}{number}", bundle)
    started = time.perf_counter()
    peer = [*peer, "--root", str(work / "peers")]
    running = asyncio.create_task(_call(*peer, "run", "--detach", "--bundle", str(bundle), identifier))
    first = asyncio.create_task(fifo.written())
    await asyncio.wait([running, first], return_when=asyncio.FIRST_EXCEPTION)
    if not first.done():
        first.cancel()
    await running
    times.add(f"{name} start to first instruction{suffix}", first.result() - started)
    paused = time.perf_counter()
    for _ in range(2):
        await settle()
        await times.measure(f"{name} exec true", _call(*peer, "exec", identifier, "true"))
    paused = time.perf_counter() - paused
    await _call(*peer, "delete", "--force", identifier)
    times.add(f"{name} whole life of a container", time.perf_counter() - started - paused)


class Floor:
    """The C program of floor.c, built in ``work``."""

    def __init__(self, work: Path, root: Path, fifo: Fifo) -> None:
        source, program = Path(__file__).with_name("floor.c"), work / "floor"
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
        (work / "filter").write_bytes(profile.default_filter(frozenset(DEFAULT_CAPABILITIES)))
        (work / "floor.d").mkdir()
        bases = discover(f"knarr-bench-{os.getpid()}-floor-{work.name}")
        bases.pop("cpuset", None)
        arguments = [program, root, work / "floor.d", fifo.path, work / "filter", *bases.values()]
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def round(self, times: Times, suffix: str = "") -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("start\n")
        first, life = self._process.stdout.readline().split()
        times.add(f"C floor start to first instruction{suffix}", float(first) / 1000)
        times.add(f"C floor whole life of a container{suffix}", float(life) / 1000)

    def close(self) -> None:
        self._process.communicate()


class Warmth:
    """Keeps the kernel's cgroup lock warm: a process that moves itself to and fro."""

    _SCRIPT = """
import sys, time
files = [open(f"{path}/cgroup.procs", "w") for path in sys.argv[1:]]
while True:
    for file in files:
        file.write("0"); file.flush()
        time.sleep(0.001)
"""

    def __init__(self) -> None:
        base = next(iter(discover(f"knarr-bench-{os.getpid()}-warm").values()))
        self._paths = [Path(base) / name for name in ("a", "b")]
        for path in self._paths:
            path.mkdir(parents=True)
        arguments = [sys.executable, "-S", "-c", self._SCRIPT, *map(str, self._paths)]
        self._process = subprocess.Popen(arguments)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for path in (*self._paths, self._paths[0].parent):
            path.rmdir()


async def main(rounds: int, peers: list[list[str]]) -> None:
    own_mounts()
    work = Path(tempfile.mkdtemp(prefix="knarr-bench-"))
    syscalls.mount("tmpfs", str(work), "tmpfs", 0)
    root = work / "root"
    make_root(root)
    (root / "fifo").touch()
    fifo = Fifo(work / "fifo")
    times = Times()
    floor = Floor(work, root, fifo)
    cgroup = f"knarr-bench-{os.getpid()}-peers"
    launcher = Launcher(LauncherSettings(state_dir=work / "state", cgroup_root=f"knarr-bench-{os.getpid()}"))
    started = time.perf_counter()
    await launcher.start()
    times.add("knarr start zygote and log reader", time.perf_counter() - started)
    warmth = None
    try:
        await launcher.recover()
        for number in range(rounds * 3 // 2):
            suffix = WARM if number >= rounds else ""
            if suffix and warmth is None:
                warmth = Warmth()
            await knarr_round(launcher, root, work, number, fifo, times, suffix)
            await settle()
            floor.round(times, suffix)
            if number % 2 == 0:
                for peer in tuple(peers):
                    try:
                        await peer_round(peer, root, work, number, fifo, times, cgroup, suffix)
                    except (RuntimeError, AssertionError) as error:
                        print(f"{peer[0]} does not run here: {error}", file=sys.stderr)
                        peers.remove(peer)
        report(times, peers)
        print(memory(launcher))
    finally:
        if warmth is not None:
            warmth.close()
        floor.close()
        await launcher.destroy()
        syscalls.umount(str(work))
        work.rmdir()
        for directory, _, _ in os.walk("/sys/fs/cgroup", topdown=False):
            if cgroup in directory:
                with contextlib.suppress(OSError):
                    os.rmdir(directory)


def report(times: Times, peers: list[list[str]]) -> None:
    times.report()
    start, life = "start to first instruction", "whole life of a container"
    times.ratio(f"knarr {start}", f"C floor {start}", 2.5)
    for peer, aims in (("crun", (0.2, 0.5, 0.3, 0.25)), ("runc", (None, None, None, None))):
        times.ratio(f"knarr {start}", f"{peer} {start}", aims[0])
        times.ratio(f"knarr {start}{WARM}", f"{peer} {start}{WARM}", aims[1])
        times.ratio(f"knarr {life}", f"{peer} {life}", aims[2])
        times.ratio("knarr exec true", f"{peer} exec true", aims[3])
    for peer in peers:
        said = subprocess.run([peer[0], "--version"], capture_output=True, text=True, check=False).stdout
        print(said.splitlines()[0])


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
    found = [[name] for name in ("crun", "runc") if shutil.which(name)]
    found = [[*one, "--cgroup-manager=cgroupfs"] if one[0] == "crun" else one for one in found]
    asyncio.run(main(options.rounds, found))
