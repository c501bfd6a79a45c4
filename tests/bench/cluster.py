"""A one-node cluster on SQLite: how long it takes to be there, what it costs, how fast pods come and come back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import Container, Pod, PodSpec, ResourceRequirements
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_cli.cluster.state import LocalCluster, read_pid_file
from knarr_client.client import EventType
from knarr_client.grpc import GrpcClient
from knarr_client.kubeconfig import load

ROOT = Path(__file__).resolve().parents[2]
KNARR = str(Path(sys.executable).parent / "knarr")
ONE_BY_ONE, AT_ONCE, RESTARTS = 40, 30, 15
PEER = {"ready_s": "3.3-5.6", "idle_mb": "497", "p50_ms": "1000", "thirty_s": "5.3"}
"""Kubernetes 1.20 on an equal machine."""


def main() -> int:
    base = Path(tempfile.mkdtemp(prefix="knarr-bench-"))
    data_dir = base / "c"
    try:
        started = time.monotonic()
        subprocess.run([KNARR, "up", "--data-dir", data_dir, "--detach"], check=True, stderr=subprocess.DEVNULL)
        print(
            f"knarr up to node Ready        {time.monotonic() - started:6.2f} s     (Kubernetes: {PEER['ready_s']} s)"
        )
        archive = base / "busybox.tar"
        subprocess.run([sys.executable, ROOT / "deploy/images/build_busybox.py", archive], check=True)
        subprocess.run(
            [KNARR, "image", "import", archive, "--data-dir", data_dir],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        memory(data_dir, "idle")
        asyncio.run(pods(data_dir))
        memory(data_dir, "after")
    finally:
        subprocess.run([KNARR, "down", "--data-dir", data_dir], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(base, ignore_errors=True)
    return 0


def memory(data_dir: Path, when: str) -> None:
    """Resident and proportional set of each process, in MB."""
    cluster = LocalCluster.load(data_dir)
    for name in ("controlplane", "n1-agent", "n1-runtime", "supervisor"):
        pid = read_pid_file(cluster.run_dir / f"{name}.pid")
        if pid is not None:
            rss = field(f"/proc/{pid}/status", "VmRSS:") / 1024
            pss = field(f"/proc/{pid}/smaps_rollup", "Pss:") / 1024
            print(f"memory {when:6}{name:16}{rss:7.0f} MB RSS {pss:5.0f} MB PSS")


def field(path: str, name: str) -> int:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


def pod(name: str) -> Pod:
    requests = {"cpu": Quantity("1m"), "memory": Quantity("1Mi")}
    container = Container(
        name="main",
        image="knarr/busybox:1",
        command=("sleep", "100000"),
        resources=ResourceRequirements(requests=requests),
    )
    spec = PodSpec(containers=(container,), termination_grace_period_seconds=0)
    return Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


class Ready:
    """When each pod became Ready, by a watch."""

    def __init__(self, client: GrpcClient) -> None:
        self._client = client
        self.at: dict[str, float] = {}
        self.restarts: dict[str, int] = {}
        self.changed = asyncio.Event()

    async def follow(self) -> None:
        async for batch in self._client.watch(Pod, "default"):
            for event in batch:
                seen = event.object
                if seen is None:
                    continue
                name = seen.metadata.name
                if event.type is EventType.DELETED:
                    self.at.pop(name, None)
                elif any(c.type == "Ready" and c.status == "True" for c in seen.status.conditions):
                    self.at.setdefault(name, time.monotonic())
                for status in seen.status.container_statuses:
                    self.restarts[name] = status.restart_count or 0
            self.changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.at) < count:
                self.changed.clear()
                await self.changed.wait()


async def pods(data_dir: Path) -> None:
    async with GrpcClient.connect(load(data_dir / "admin.kubeconfig")) as client:
        ready = Ready(client)
        following = asyncio.create_task(ready.follow())
        times: list[float] = []
        for number in range(ONE_BY_ONE):
            began = time.monotonic()
            await client.create(pod(f"one-{number}"))
            await ready.until(number + 1)
            times.append(1000 * (ready.at[f"one-{number}"] - began))
        times.sort()
        print(
            f"pod create to Ready           {statistics.median(times):6.0f} ms p50 "
            f"{times[int(len(times) * 0.99) - 1]:6.0f} ms p99 (Kubernetes: 1000 ms p50)"
        )
        began = time.monotonic()
        await asyncio.gather(*(client.create(pod(f"many-{number}")) for number in range(AT_ONCE)))
        await ready.until(ONE_BY_ONE + AT_ONCE)
        took = time.monotonic() - began
        print(f"{AT_ONCE} pods at once, all Ready     {took:6.2f} s     (Kubernetes: {PEER['thirty_s']} s)")
        await restarts(client)
        following.cancel()


async def restarts(client: GrpcClient) -> None:
    """SIGKILL to a container's process; until another one is there."""
    times: list[float] = []
    for number in range(RESTARTS):
        seen = await client.get(Pod, f"one-{number}", "default")
        pid = process_of(seen.metadata.uid)
        if not pid:
            raise SystemExit(f"the process of {seen.metadata.name} was not found")
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(wait_for_another, seen.metadata.uid, pid)
        times.append(1000 * (time.monotonic() - began))
    times.sort()
    print(f"killed container runs again   {statistics.median(times):6.0f} ms p50 {times[-1]:6.0f} ms max")


def wait_for_another(uid: str, pid: int) -> None:
    """Until the pod runs in another process."""
    while process_of(uid) in (0, pid):
        time.sleep(0.001)


def process_of(uid: str) -> int:
    """The sleeping process of a pod, 0 when there is none."""
    for root in Path("/sys/fs/cgroup").glob("*/knarr-*") or [Path("/sys/fs/cgroup")]:
        for path in root.glob(f"**/pod{uid}/*/cgroup.procs"):
            for line in path.read_text().split():
                try:
                    if Path(f"/proc/{line}/cmdline").read_bytes().startswith(b"sleep\x00100000"):
                        return int(line)
                except OSError:
                    continue
    return 0


if __name__ == "__main__":
    sys.exit(main())
