"""From a Dockerfile to pods on every node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BUSYBOX = Path("/bin/busybox")
EXAMPLE = Path(__file__).resolve().parents[2] / "deploy/examples/build"
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: built}
spec:
  replicas: 2
  selector: {matchLabels: {app: built}}
  template:
    metadata: {labels: {app: built}}
    spec:
      containers: [{name: web, image: "example/web:1"}]
"""


def test_an_image_that_was_built_runs_on_every_node(cluster: Any, tmp_path: Path) -> None:
    cluster.up(nodes=2)
    context = tmp_path / "web"
    context.mkdir()
    for name in ("Dockerfile", ".dockerignore"):
        (context / name).write_bytes((EXAMPLE / name).read_bytes())
    (context / "busybox").write_bytes(BUSYBOX.read_bytes())
    (context / "busybox").chmod(0o755)
    identifier = cluster.ok(
        "build", "-q", "-t", "example/web:1", "--iidfile", str(tmp_path / "id"), str(context)
    ).strip()
    assert (tmp_path / "id").read_text() == identifier
    rows = [line.split() for line in cluster.ok("image", "ls").splitlines()[1:]]
    assert {(row[0], row[2]) for row in rows} == {
        (node, identifier.removeprefix("sha256:")[:12]) for node in ("n1", "n2")
    }
    cluster.ok("apply", "-f", "-", stdin=WEB)
    cluster.ok("rollout", "status", "deployment/built", "--timeout", "60s")
    assert {pod["spec"]["nodeName"] for pod in cluster.pods("app=built")} == {"n1", "n2"}


def test_what_a_user_gets_wrong(cluster: Any, tmp_path: Path) -> None:
    cluster.up(nodes=1)
    failed = cluster.run("build", "-t", "x", "-", stdin="FROM scratch\nCOPY a /b\n")
    assert failed.returncode == 1 and 'Dockerfile:2: "/a": not found' in failed.stderr
    failed = cluster.run("build", "-t", "x", str(tmp_path))
    assert failed.returncode == 1 and f"unable to read the Dockerfile {tmp_path}/Dockerfile" in failed.stderr
    failed = cluster.run("build", "-t", "Upper", "-", stdin="FROM scratch\n")
    assert failed.returncode == 1 and "must be lowercase" in failed.stderr
