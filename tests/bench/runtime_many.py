"""Many containers: how many a second, what 500 running ones cost, and how a loud one disturbs its neighbours.

    python tests/bench/runtime_many.py [--pods 500] [--seconds 5]

Throughput is of whole lives (create, start /bin/true, see its end, remove) in eight sandboxes at once; crun and the C
floor run the same eight at a time. The 500 pods are made through CRI by a daemon of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from runtime_common import SUITE, Fifo, Times, load_suite, make_root, own_mounts
from runtime_start import Floor, _call, knarr_round, peer_config

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.kernel import syscalls
from knarr_runtime.launcher import ContainerExited, Launcher, LauncherSettings
from knarr_runtime.spec import ContainerSpec, Resources, Rootfs, SandboxSpec

WORKERS = 8
IDLE_MEASURED_S = 10.0
OWN = cri.NamespaceOption(pid=cri.CONTAINER)
"""As the kubelet asks for it: containers do not see each other's processes."""
STARTS = 60
LOUD = "while :; do yes 012345678901234567890123456789012345678901234567 | head -c 10000000; usleep 80000; done"


async def throughput(launcher: Launcher, root: Path, work: Path, seconds: float) -> float:
    ended: dict[str, asyncio.Event] = {}

    async def follow() -> None:
        async for event in launcher.events():
            if isinstance(event, ContainerExited):
                ended[event.id].set()

    async def lives(worker: int, until_s: float) -> int:
        pod, count = f"many{worker}", 0
        await launcher.create_sandbox(SandboxSpec(id=pod, hostname=pod, cgroup_parent=f"kubepods/{pod}"))
        while time.perf_counter() < until_s:
            name = f"{pod}-{count}"
            layer = work / name
            ended[name] = asyncio.Event()
            spec = ContainerSpec(
                id=name,
                sandbox_id=pod,
                args=("/bin/true",),
                rootfs=Rootfs(lower=(str(root),), upper=f"{layer}.u", work=f"{layer}.w"),
                cgroup=f"kubepods/{pod}/{name}",
                resources=Resources(memory_limit_bytes=64 << 20, pids_limit=100, cpu_shares=512),
                log_path=str(work / "logs" / f"{name}.log"),
            )
            await launcher.create_container(spec)
            await launcher.start_container(name)
            await ended[name].wait()
            await launcher.remove_container(name)
            count += 1
        await launcher.remove_sandbox(pod)
        return count

    following = asyncio.create_task(follow())
    began = time.perf_counter()
    counts = await asyncio.gather(*(lives(worker, began + seconds) for worker in range(WORKERS)))
    took = time.perf_counter() - began
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    print(f"knarr, {WORKERS} at a time: {sum(counts) / took:.0f} containers/s (aim 300)")
    return sum(counts) / took


async def crun_throughput(root: Path, work: Path, seconds: float) -> None:
    if shutil.which("crun") is None or shutil.which("runc") is None:
        return
    fifo = Fifo(work / "crun.fifo")

    async def lives(worker: int, until_s: float) -> int:
        count = 0
        while time.perf_counter() < until_s:
            name = f"knarr-many-{os.getpid()}-{worker}-{count}"
            bundle = work / name
            bundle.mkdir()
            peer_config(root, fifo.path, f"knarr-many-{os.getpid()}/{name}", bundle, ["/bin/true"])
            await _call(
                "crun", "--cgroup-manager=cgroupfs", "--root", str(work / "crun"), "run", "-b", str(bundle), name
            )
            count += 1
        return count

    began = time.perf_counter()
    counts = await asyncio.gather(*(lives(worker, began + seconds) for worker in range(WORKERS)))
    print(f"crun, {WORKERS} at a time: {sum(counts) / (time.perf_counter() - began):.0f} containers/s")


async def floor_throughput(root: Path, work: Path, seconds: float) -> float:
    """As many C programs as we have workers: what the kernel alone makes possible here."""

    def lives(floor: Floor, until_s: float) -> int:
        count = 0
        while time.perf_counter() < until_s:
            floor.round(Times())
            count += 1
        return count

    floors = []
    try:
        for worker in range(WORKERS):
            directory = work / f"floor{worker}"
            directory.mkdir()
            floors.append(Floor(directory, root, Fifo(directory / "fifo")))
        began = time.perf_counter()
        counts = await asyncio.gather(*(asyncio.to_thread(lives, floor, began + seconds) for floor in floors))
        took = time.perf_counter() - began
    finally:
        for floor in floors:
            floor.close()
    print(f"C floor, {WORKERS} at a time: {sum(counts) / took:.0f} containers/s")
    return sum(counts) / took


async def beside_a_logger(launcher: Launcher, root: Path, work: Path) -> None:
    """Starts of others while one container writes 100 MB/s."""
    times = Times()
    fifo = Fifo(work / "fifo")
    for number in range(STARTS):
        await knarr_round(launcher, root, work, number, fifo, times, ", alone")
    log = work / "logs/loud.log"
    await launcher.create_sandbox(SandboxSpec(id="loud", hostname="loud", cgroup_parent="kubepods/loud"))
    spec = ContainerSpec(
        id="loud",
        sandbox_id="loud",
        args=("/bin/sh", "-c", LOUD),
        rootfs=Rootfs(lower=(str(root),), upper=str(work / "loud.u"), work=str(work / "loud.w")),
        cgroup="kubepods/loud/loud",
        log_path=str(log),
    )
    await launcher.create_container(spec)
    await launcher.start_container("loud")
    written, began = 0, time.perf_counter()
    for number in range(STARTS, 2 * STARTS):
        await knarr_round(launcher, root, work, number, fifo, times, ", beside a logger")
        size = log.stat().st_size
        if size > 100 << 20:
            log.unlink()
            await launcher.reopen_log("loud")
            written += size
    rate = (written + log.stat().st_size) / (time.perf_counter() - began) / 1e6
    await launcher.remove_sandbox("loud")
    what = "knarr start to first instruction"
    for percent in (50, 99):
        alone, beside = (times.at(f"{what}{suffix}", percent) or 0 for suffix in (", alone", ", beside a logger"))
        print(
            f"start p{percent}: {alone:.2f} ms alone, {beside:.2f} ms beside a logger: {beside / alone:.2f} x (aim 2)"
        )
    print(f"the logger's log grew by {rate:.0f} MB/s")


def crowd(base: Path, pods: int) -> None:
    """Through CRI: memory and idle CPU of everything that is ours."""
    servers = load_suite("servers")
    servers.POD_CIDR = "10.244.0.0/20"  # the suite's own has room for 253
    archive = base / "images.tar"
    subprocess.run([sys.executable, SUITE / "make_images.py", archive, servers.REPOSITORY], check=True)
    (base / "knarr").mkdir()
    server = servers.Knarr(base / "knarr", archive)
    try:
        server.open()
        began = time.perf_counter()
        for number in range(pods):
            _pod(server.runtime, number, f"{servers.REPOSITORY}/busybox:1", base)
        print(f"{pods} pods through CRI, one after the other: {pods / (time.perf_counter() - began):.0f}/s")
        ours = _ours(base / "knarr/root")
        before = sum(_cpu_s(pid) for pid in ours)
        time.sleep(IDLE_MEASURED_S)
        busy = (sum(_cpu_s(pid) for pid in ours) - before) / IDLE_MEASURED_S
        sizes: dict[str, list[float]] = {}
        for pid, name in ours.items():
            sizes.setdefault(name, []).append(_pss_kb(pid))
        for name, each in sorted(sizes.items()):
            each.sort()
            median = each[len(each) // 2]
            print(f"{name}: {len(each)} processes, PSS median {median:.0f} kB, sum {sum(each) / 1024:.1f} MB")
        print(f"idle CPU of all together: {busy:.2%} of one (aims: shim 1 MB, daemon 80 MB, CPU 1 %)")
    finally:
        server.close()


def _pod(runtime: Any, number: int, image: str, base: Path) -> None:
    sandbox = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name=f"crowd-{number}", namespace="bench", uid=str(number)),
        hostname=f"crowd-{number}",
        log_directory=str(base / "logs"),
        linux=cri.LinuxPodSandboxConfig(
            cgroup_parent=f"kubepods/crowd{number}",
            security_context=cri.LinuxSandboxSecurityContext(namespace_options=OWN),
        ),
    )
    config = cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name="main"),
        image=cri.ImageSpec(image=image),
        command=["sleep", "100000"],
        log_path=f"{number}.log",
        linux=cri.LinuxContainerConfig(security_context=cri.LinuxContainerSecurityContext(namespace_options=OWN)),
    )
    identifier = runtime.RunPodSandbox(cri.RunPodSandboxRequest(config=sandbox), timeout=60).pod_sandbox_id
    create = cri.CreateContainerRequest(pod_sandbox_id=identifier, config=config, sandbox_config=sandbox)
    container = runtime.CreateContainer(create, timeout=60).container_id
    runtime.StartContainer(cri.StartContainerRequest(container_id=container), timeout=60)


def _ours(root: Path) -> dict[int, str]:
    """{pid: what it is} of the processes that have ``root`` in their command line."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if str(root).encode() in Path(f"/proc/{entry}/cmdline").read_bytes():
                    name = Path(f"/proc/{entry}/comm").read_text().strip()
                    kinds = {"knarr-zygote": "zygote", "knarr-logs": "log reader", "pause": "pause"}
                    found[int(entry)] = kinds.get(name, "shim" if name.startswith("knarr-") else "daemon")
    return found


def _pss_kb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("Pss:")))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def with_launcher(work: Path, seconds: float) -> None:
    root = work / "root"
    make_root(root)
    (root / "fifo").touch()
    launcher = Launcher(LauncherSettings(state_dir=work / "state", cgroup_root=f"knarr-many-{os.getpid()}"))
    await launcher.start()
    try:
        await launcher.recover()
        ours = await throughput(launcher, root, work, seconds)
        await crun_throughput(root, work, seconds)
        print(f"knarr makes {ours / await floor_throughput(root, work, seconds):.2f} x as many as the C floor")
        await beside_a_logger(launcher, root, work)
    finally:
        await launcher.destroy()


def main(pods: int, seconds: float) -> None:
    own_mounts()
    base = Path(tempfile.mkdtemp(prefix="knarr-many-"))
    syscalls.mount("tmpfs", str(base), "tmpfs", 0)
    try:
        (base / "launcher").mkdir()
        asyncio.run(with_launcher(base / "launcher", seconds))
        if pods:
            crowd(base, pods)
    finally:
        syscalls.umount(str(base))
        base.rmdir()
        for directory, _, _ in os.walk("/sys/fs/cgroup", topdown=False):
            if f"knarr-many-{os.getpid()}" in directory:
                with contextlib.suppress(OSError):
                    os.rmdir(directory)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pods", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    main(options.pods, options.seconds)
