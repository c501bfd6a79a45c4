"""What an agent measures while it runs real containers."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

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
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=10) as answer:
    sys.stdout.write(answer.read().decode())
"""


def fetch(cluster: Any, path: str) -> str:
    """A page of the first node's agent, asked for in the node's network namespace."""
    netns = f"--net={cluster.state.nodes[0].netns}"
    url = f"http://127.0.0.1:{PORT}{path}"
    return subprocess.run(
        ["nsenter", netns, sys.executable, "-c", FETCH, url], capture_output=True, text=True, timeout=60, check=True
    ).stdout


def samples(cluster: Any, path: str = "/metrics") -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(fetch(cluster, path))
        for sample in family.samples
    }


def test_an_agent_measures_pods_and_runtime(cluster: Any, until_true: Any) -> None:
    cluster.up("--node-metrics-address", f"127.0.0.1:{PORT}")
    cluster.import_busybox()
    cluster.ok("apply", "-f", "-", stdin=POD)
    cluster.ok("wait", "--for=condition=Ready", "pod/busy", "--timeout", "30s")

    found = samples(cluster)

    def value(name: str, /, **labels: str) -> float:
        return found.get((name, frozenset(labels.items())), 0.0)

    assert value("kubelet_running_pods") == 1
    assert value("kubelet_running_containers", container_state="running") == 2
    for operation, times in {"run_podsandbox": 1, "create_container": 2, "start_container": 2}.items():
        assert value("kubelet_runtime_operations_total", operation_type=operation) == times
        assert value("kubelet_runtime_operations_duration_seconds_count", operation_type=operation) == times
        assert value("kubelet_runtime_operations_errors_total", operation_type=operation) == 0
    assert value("kubelet_pod_start_sli_duration_seconds_count") == 1
    sli_s = value("kubelet_pod_start_sli_duration_seconds_sum")
    assert 0 < sli_s <= value("kubelet_pod_start_total_duration_seconds_sum")
    assert value("kubelet_pod_worker_duration_seconds_count", operation_type="create") >= 1
    relists = ("kubelet_pleg_relist_duration_seconds_count", frozenset[tuple[str, str]]())
    until_true(lambda: samples(cluster)[relists] >= 1, "a look at everything")
    assert value("kubelet_evented_pleg_connection_latency_seconds_count") >= 1
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
    assert "[+]runtime ok" in fetch(cluster, "/readyz?verbose") and "[+]api ok" in fetch(cluster, "/readyz?verbose")
