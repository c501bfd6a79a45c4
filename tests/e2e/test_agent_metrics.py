"""What an agent measures while it runs real containers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from knarr_client import kubeconfig

PORT = 10255
POD = """
apiVersion: v1
kind: Pod
metadata: {name: busy}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - {name: main, image: "knarr/busybox:1", command: ["sh", "-c", "while true; do :; done"]}
    - {name: idle, image: "knarr/busybox:1", command: ["sleep", "1000"]}
"""
FETCH = """
import ssl, sys, urllib.request
url, *pair = sys.argv[1:]
context = ssl._create_unverified_context()  # the agent's certificate is one for clients
if pair:
    context.load_cert_chain(*pair)
with urllib.request.urlopen(url, timeout=10, context=context) as answer:
    sys.stdout.write(answer.read().decode())
"""


def ask(cluster: Any, path: str, *pair: Path) -> subprocess.CompletedProcess[str]:
    """For a page of the first node's agent, in the node's network namespace."""
    netns = f"--net={cluster.state.nodes[0].netns}"
    command = ["nsenter", netns, sys.executable, "-c", FETCH, f"https://127.0.0.1:{PORT}{path}", *pair]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def fetch(cluster: Any, path: str) -> str:
    """A page, with the administrator's certificate."""
    access = kubeconfig.load(cluster.data_dir / "admin.kubeconfig")
    certificate, key = cluster.data_dir.parent / "admin.crt", cluster.data_dir.parent / "admin.key"
    certificate.write_bytes(access.certificate_pem)
    key.write_bytes(access.key_pem)
    done = ask(cluster, path, certificate, key)
    assert done.returncode == 0, done.stderr
    return done.stdout


def samples(cluster: Any, path: str = "/metrics") -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(fetch(cluster, path))
        for sample in family.samples
    }


def test_an_agent_measures_pods_and_runtime(cluster: Any, until_true: Any) -> None:
    cluster.up("--node-metrics-address", f"0.0.0.0:{PORT}")
    cluster.import_busybox()
    cluster.ok("apply", "-f", "-", stdin=POD)
    cluster.ok("wait", "--for=condition=Ready", "pod/busy", "--timeout", "60s")

    found = samples(cluster)

    def value(name: str, /, **labels: str) -> float:
        return found.get((name, frozenset(labels.items())), 0.0)

    assert value("kubelet_running_pods") == 1
    assert value("kubelet_running_containers", container_state="running") == 2
    for operation, times in {"run_podsandbox": 1, "create_container": 2, "start_container": 2}.items():
        assert value("kubelet_runtime_operations_total", operation_type=operation) == times
        assert value("kubelet_runtime_operations_duration_seconds_count", operation_type=operation) == times
        assert value("kubelet_runtime_operations_errors_total", operation_type=operation) == 0
    started = ("kubelet_pod_start_sli_duration_seconds_count", frozenset[tuple[str, str]]())
    until_true(lambda: samples(cluster)[started] == 1, "the start to be measured")
    found = samples(cluster)
    sli_s = value("kubelet_pod_start_sli_duration_seconds_sum")
    assert 0 < sli_s <= value("kubelet_pod_start_total_duration_seconds_sum")
    assert value("kubelet_pod_worker_duration_seconds_count", operation_type="create") >= 1
    for name in ("kubelet_pleg_relist_duration_seconds", "kubelet_evented_pleg_connection_latency_seconds"):
        once = (f"{name}_count", frozenset[tuple[str, str]]())
        until_true(lambda once=once: samples(cluster).get(once, 0) >= 1, name)
    assert value("workqueue_adds_total", name="pods") >= 1

    pod = {"namespace": "default", "pod": "busy"}
    main, idle = (frozenset({**pod, "container": name}.items()) for name in ("main", "idle"))

    def used() -> bool:
        now = samples(cluster, "/metrics/resource")
        busy = now.get(("container_cpu_usage_seconds_total", main), 0.0)
        return busy > 0.2 and busy > 5 * now["container_cpu_usage_seconds_total", idle]

    until_true(used, "the busy container's processor time")
    found = samples(cluster, "/metrics/resource")
    both = found["container_memory_working_set_bytes", main] + found["container_memory_working_set_bytes", idle]
    assert 0 < both <= value("pod_memory_working_set_bytes", **pod) < value("node_memory_working_set_bytes")
    assert value("node_cpu_usage_seconds_total") > value("pod_cpu_usage_seconds_total", **pod) > 0.2
    unknown = ask(cluster, "/metrics")  # is told so, or cut off before it has read that
    assert unknown.returncode and not unknown.stdout, "who shows no certificate is not answered"
    assert re.search(r"ssl\.SSL\w*Error|Connection\w*Error|RemoteDisconnected", unknown.stderr), unknown.stderr
    assert "[+]runtime ok" in fetch(cluster, "/readyz?verbose") and "[+]api ok" in fetch(cluster, "/readyz?verbose")
