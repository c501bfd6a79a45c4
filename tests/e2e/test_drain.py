"""A node is drained while a budget holds: pods move one after the other, and enough of them serve all the time."""

from __future__ import annotations

import re
from typing import Any

from tests.processes import running

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {matchLabels: {app: web}}
      containers: [{name: main, image: "knarr/busybox:1", command: [sleep, "100000"]}]
"""
BUDGET = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
"""


def test_a_drain_moves_pods_as_their_budget_allows(cluster: Any, until_true: Any) -> None:
    cluster.up(nodes=2)
    cluster.import_busybox()
    applied = cluster.ok("apply", "--server-side", "-f", "-", stdin=WEB)
    assert applied == "deployment.apps/web serverside-applied\n"
    cluster.ok("rollout", "status", "deployment/web", "--timeout", "60s")
    cluster.ok("apply", "-f", "-", stdin=BUDGET)
    until_true(lambda: cluster.get("pdb", "web").get("status", {}).get("disruptionsAllowed") == 1, "the budget")
    watch = [*cluster.knarr, "get", "pdb", "web", "-w", "-o", "jsonpath={.status.currentHealthy} "]
    seen = cluster.data_dir.parent / "healthy"
    with open(seen, "wb") as file, running(watch, env=cluster.environment, stdout=file):
        until_true(lambda: seen.stat().st_size, "the watch to begin")
        out = cluster.ok("drain", "n1", "--delete-emptydir-data", "--timeout", "60s")
    healthy = [int(number) for number in re.findall(r"\d+", seen.read_text())]
    assert out.endswith("node/n1 drained\n") and len(re.findall(r"pod/\S+ evicted", out)) == 2
    assert min(healthy) >= 3, healthy
    assert {pod["spec"]["nodeName"] for pod in cluster.pods("app=web")} == {"n2"}
    cluster.ok("scale", "deployment/web", "--replicas", "2")
    refused = cluster.run("apply", "--server-side", "-f", "-", stdin=WEB)
    assert refused.returncode == 1
    conflict = 'conflict with "knarr-scale" with subresource "scale" using apps/v1: .spec.replicas'
    assert f"Apply failed with 1 conflict: {conflict}" in refused.stderr
    cluster.ok("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=WEB)
    assert cluster.get("deployment", "web")["spec"]["replicas"] == 4
