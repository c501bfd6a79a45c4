"""What the programs of a real cluster log: one shape everywhere, and no secrets."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

VALUE = "n0b0dy-may-read-this"
MANIFESTS = f"""
apiVersion: v1
kind: Secret
metadata: {{name: hidden}}
stringData: {{password: {VALUE}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: reader}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: knarr/busybox:1
      command: ["sleep", "1000"]
      env: [{{name: PASSWORD, valueFrom: {{secretKeyRef: {{name: hidden, key: password}}}}}}]
      volumeMounts: [{{name: hidden, mountPath: /hidden}}]
    - name: broken
      image: knarr/busybox:1
      command: ["/no/such/program"]
      env: [{{name: PASSWORD, valueFrom: {{secretKeyRef: {{name: hidden, key: password}}}}}}]
  volumes: [{{name: hidden, secret: {{secretName: hidden}}}}]
"""
INVALID = f"""
apiVersion: v1
kind: Secret
metadata: {{name: invalid}}
data: {{"bad key": {VALUE}}}
"""


def test_lines_are_json_and_hold_no_secrets(cluster: Any, until_true: Any) -> None:
    cluster.up("--log-format", "json")
    cluster.import_busybox()
    cluster.ok("apply", "-f", "-", stdin=MANIFESTS)
    assert cluster.run("apply", "-f", "-", stdin=INVALID).returncode == 1
    token = cluster.ok("token", "create").split()[0]
    until_true(lambda: "StartError" in str(cluster.get("pod", "reader")), "the broken container's state")
    cluster.ok("wait", "--for=jsonpath={.status.phase}=Running", "pod/reader", "--timeout", "60s")
    for program in ("controlplane", "n1-agent", "n1-runtime"):  # each reads its state and says so
        cluster.kill(program)
    until_true(lambda: cluster.run("get", "secret", "hidden").returncode == 0, "the API")

    files = sorted(Path(cluster.state.log_dir).glob("*.log"))
    said = {path.name: path.read_text() for path in files}
    programs = ("controlplane", "n1-agent", "n1-runtime")
    for name in programs:
        lines = [json.loads(line) for line in said[f"{name}.log"].splitlines()]
        assert lines and all({"timestamp", "level", "event", "component"} <= line.keys() for line in lines), name
    everything = "\n".join(said.values())
    for secret in (VALUE, base64.b64encode(VALUE.encode()).decode(), token.split(".")[2], "PRIVATE KEY"):
        assert secret not in everything
