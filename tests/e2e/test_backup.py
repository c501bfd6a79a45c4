"""The control plane and its store are lost and come back from a backup, while pods run."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from knarr_cli.cluster import up as local

SLEEPER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "knarr/busybox:1", command: [sleep, "100000"]}]
"""
NOISE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: noise}
data: {hardly-compressed: NOISE}
"""


def sleeper(name: str) -> str:
    return SLEEPER.replace("NAME", name)


@pytest.mark.parametrize("store", ["sqlite", "etcd"])
def test_pods_go_on_over_loss_and_restore_of_the_store(
    cluster: Any, until_true: Any, processes: Any, store: str
) -> None:
    cluster.up("--store", store, nodes=2)
    cluster.import_busybox()
    cluster.ok("apply", "-f", "-", stdin=sleeper("kept"))
    cluster.ok("rollout", "status", "deployment/kept", "--timeout", "60s")
    kept = {pod["metadata"]["uid"]: processes(pod["metadata"]["uid"]) for pod in cluster.pods("app=kept")}
    assert all(kept.values())
    file = cluster.data_dir.parent / "backup"
    assert "written" in cluster.ok("backup", "-o", str(file))
    cluster.ok("apply", "-f", "-", stdin=sleeper("newer"))
    cluster.ok("rollout", "status", "deployment/newer", "--timeout", "60s")
    newer = [pod["metadata"]["uid"] for pod in cluster.pods("app=newer")]

    state = cluster.state
    supervisor = local.supervisor_pid(state)
    assert supervisor is not None
    control_plane = cluster.pid("controlplane")
    os.kill(supervisor, signal.SIGKILL)
    until_true(lambda: local.supervisor_pid(state) is None, "the supervisor to be gone")
    os.kill(control_plane, signal.SIGKILL)
    until_true(lambda: not Path(f"/proc/{control_plane}").exists(), "the control plane to be gone")
    for path in cluster.data_dir.glob("store.*"):
        path.unlink()
    if store == "etcd":
        until_true(lambda: _remove_etcd(cluster.data_dir), "etcd to be gone")
    cluster.ok("restore", str(file), "--data-dir", str(cluster.data_dir), "--store", store)
    cluster.up("--store", store, nodes=2)

    until_true(lambda: len(cluster.pods("app=kept")) == 2, "the pods to be known again")
    assert not cluster.pods("app=newer")
    until_true(lambda: not any(processes(uid) for uid in newer), "what nobody knows to be stopped")
    cluster.ok("apply", "-f", "-", stdin=sleeper("newest"))
    cluster.ok("rollout", "status", "deployment/newest", "--timeout", "60s")
    cluster.ok("rollout", "status", "deployment/kept", "--timeout", "60s")
    assert {pod["metadata"]["uid"]: processes(pod["metadata"]["uid"]) for pod in cluster.pods("app=kept")} == kept


def _remove_etcd(data_dir: Path) -> bool:
    """Whether no etcd runs there any more; its data is removed then."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if f"{data_dir}/etcd/data".encode() in (entry / "cmdline").read_bytes():
                    return False
            except OSError:
                continue
    subprocess.run(["rm", "-r", str(data_dir / "etcd")], check=True)
    return True


def test_a_full_disk_leaves_nothing_of_a_backup(cluster: Any) -> None:
    cluster.up()
    cluster.ok("create", "-f", "-", stdin=NOISE.replace("NOISE", secrets.token_hex(20_000)))
    small = cluster.data_dir.parent / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", small], check=True)
    try:
        done = cluster.run("backup", "-o", str(small / "backup"))
        assert done.returncode == 1
        assert f"the disk of {small / 'backup'} is full" in done.stderr
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)
