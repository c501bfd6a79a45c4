"""A node whose runtime is containerd: what the first cluster shows, over the same interface."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knarr_proto.cri import api_pb2 as cri
from tests.conformance.cri import servers

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def containerd() -> Iterator[servers.Containerd]:
    """With its pause image and the examples' busybox."""
    base = Path(tempfile.mkdtemp(prefix="knarr-other-", dir="/dev/shm"))
    archive = base / "images.tar"
    subprocess.run(
        [sys.executable, ROOT / "tests/conformance/cri/make_images.py", archive, servers.REPOSITORY], check=True
    )
    server = servers.Containerd(base, archive)
    try:
        server.open()
        busybox = base / "busybox.tar"
        subprocess.run([sys.executable, ROOT / "deploy/images/build_busybox.py", busybox], check=True)
        command = ["ctr", "--address", str(server.socket), "--namespace", "k8s.io", "images", "import", str(busybox)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        yield server
    finally:
        server.close()
        subprocess.run(["rm", "-rf", str(base)], check=True)


def web_server(uid: str) -> int:
    """Pid of the web server of a pod; 0 while there is none."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes()
                if command.startswith(b"httpd") and uid in (entry / "cgroup").read_text():
                    return int(entry.name)
            except OSError:
                continue
    return 0


def test_a_cluster_runs_its_pods_in_containerd(containerd: servers.Containerd, cluster: Any, until_true: Any) -> None:
    cluster.inside(f"/run/netns/{containerd.name}")
    cluster.up("--runtime", f"unix://{containerd.socket}")
    cluster.ok("apply", "-f", "deploy/examples/web.yaml")
    cluster.ok("rollout", "status", "deployment/web", "--timeout=60s")
    [first, *_] = pods = cluster.pods("app=web")
    assert len(pods) == 3
    address = first["status"]["podIP"]
    assert b"Hello from Knarr" in containerd.get(address, 8080, "/index.html")
    assert "response:200" in cluster.ok("logs", first["metadata"]["name"])  # the probes'
    assert cluster.get("node", "n1")["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://1.")

    uid = first["metadata"]["uid"]
    before = until_true(lambda: web_server(uid), "the web server")
    os.kill(before, signal.SIGKILL)
    until_true(lambda: web_server(uid) not in (0, before), "the container to be started again")
    name = first["metadata"]["name"]
    cluster.ok("wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", f"pod/{name}", "--timeout=30s")

    before = web_server(uid)
    cluster.kill("n1-agent")
    cluster.ok("scale", "deployment/web", "--replicas=1")
    until_true(lambda: len(cluster.pods("app=web")) == 1, "the others to be gone")
    assert len(containerd.runtime.ListPodSandbox(cri.ListPodSandboxRequest()).items) == 1

    assert cluster.down().returncode == 0
    assert not containerd.runtime.ListPodSandbox(cri.ListPodSandboxRequest()).items


def test_what_is_no_runtime_is_refused(cluster: Any, tmp_path: Path) -> None:
    for given, said in (
        ("containerd.sock", "expected unix:///PATH"),
        (f"unix://{tmp_path}/none.sock", "is no socket"),
    ):
        done = cluster.run("up", "--data-dir", str(cluster.data_dir), "--runtime", given, "--detach")
        assert done.returncode == 1
        assert said in done.stderr
        assert not cluster.data_dir.exists()
