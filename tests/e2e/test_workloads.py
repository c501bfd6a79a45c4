"""Jobs, DaemonSets and StatefulSets on real nodes: what depends on how agents end pods."""

from __future__ import annotations

from typing import Any

JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: NAME}
spec:
  completions: 2
  parallelism: 2
  MORE
  template:
    metadata: {labels: {job: NAME}}
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: knarr/busybox:1
          command: ["sh", "-c", "COMMAND"]
"""
SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: knarr/busybox:1
          command: ["sleep", "1000000"]
"""


def job(name: str, command: str, more: str = "") -> str:
    return JOB.replace("NAME", name).replace("COMMAND", command).replace("MORE", more)


def running(cluster: Any, selector: str) -> list[Any]:
    return [pod for pod in cluster.pods(selector) if pod["status"].get("phase") == "Running"]


def test_jobs_end_as_they_should_on_real_nodes(cluster: Any, until_true: Any) -> None:
    cluster.up(nodes=2)
    cluster.import_busybox()
    # Suspended: its pods are stopped and count for nothing. Resumed: they are made anew.
    cluster.ok("apply", "-f", "-", stdin=job("sleeper", "sleep 1000000"))
    until_true(lambda: len(running(cluster, "job=sleeper")) == 2, "two sleepers")
    cluster.ok("patch", "job", "sleeper", "-p", '{"spec":{"suspend":true}}')
    until_true(lambda: cluster.pods("job=sleeper") == [], "the sleepers to go")
    assert "failed" not in cluster.get("job", "sleeper")["status"]
    cluster.ok("patch", "job", "sleeper", "-p", '{"spec":{"suspend":false}}')
    until_true(lambda: len(running(cluster, "job=sleeper")) == 2, "two sleepers again")
    # Deleted: nothing of it is left, though its pods have a finalizer.
    cluster.ok("delete", "job", "sleeper")
    until_true(lambda: cluster.pods("job=sleeper") == [], "the sleepers to go with their job")
    # Too long: its pods are stopped, and counted as failed.
    cluster.ok("apply", "-f", "-", stdin=job("late", "sleep 1000000", "activeDeadlineSeconds: 3"))
    cluster.ok("wait", "--for=condition=Failed", "job/late", "--timeout", "60s")
    status = cluster.get("job", "late")["status"]
    assert status["conditions"][-1]["reason"] == "DeadlineExceeded" and status["failed"] == 2
    assert cluster.pods("job=late") == []
    # An exit code that means something.
    rule = "podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [42]}}]}"
    cluster.ok("apply", "-f", "-", stdin=job("broken", "exit 42", rule))
    cluster.ok("wait", "--for=condition=Failed", "job/broken", "--timeout", "60s")
    assert "exit code 42" in cluster.get("job", "broken")["status"]["conditions"][-1]["message"]
    # The control plane dies in the middle: every end is counted once all the same.
    more = "ttlSecondsAfterFinished: 1000"
    cluster.ok("apply", "-f", "-", stdin=job("brief", "sleep 1", more).replace("completions: 2", "completions: 8"))
    until_true(lambda: cluster.pods("job=brief"), "the first brief pods")
    cluster.kill("controlplane")
    until_true(lambda: cluster.run("get", "nodes").returncode == 0, "the control plane to be back")
    cluster.ok("wait", "--for=condition=Complete", "job/brief", "--timeout", "60s")
    status = cluster.get("job", "brief")["status"]
    assert status["succeeded"] == 8 and "failed" not in status
    assert len(cluster.pods("job=brief")) == 8


def test_a_stateful_pod_comes_back_under_its_name(cluster: Any, until_true: Any) -> None:
    cluster.up(nodes=2)
    cluster.import_busybox()
    cluster.ok("apply", "-f", "-", stdin=SET)
    cluster.ok("rollout", "status", "statefulset", "db", "--timeout", "60s")
    before = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in cluster.pods("app=db")}
    assert sorted(before) == ["db-0", "db-1"]
    cluster.ok("delete", "pod", "db-0")
    until_true(lambda: len(running(cluster, "app=db")) == 2, "db-0 to be back")
    after = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in cluster.pods("app=db")}
    assert after["db-0"] != before["db-0"] and after["db-1"] == before["db-1"]
    cluster.ok("scale", "statefulset", "db", "--replicas", "0")
    until_true(lambda: cluster.pods("app=db") == [], "both to go")
