"""A user's first hour, on real processes: apply, heal, upgrade, take away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import Any

import pytest

from tests.slowness import patient

COUNTER = """
apiVersion: v1
kind: Pod
metadata: {name: counter, labels: {app: counter}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: knarr/busybox:1
      command: ["sh", "-c", "i=0; while true; do echo line $i; i=$((i+1)); usleep 5000; done"]
"""
ENDING = """
apiVersion: v1
kind: Pod
metadata: {name: ending, labels: {app: ending}}
spec:
  restartPolicy: Never
  containers:
    - name: main
      image: knarr/busybox:1
      command: ["sh", "-c", "until test -e /stop/now; do usleep 20000; done; exit 42"]
      volumeMounts: [{name: stop, mountPath: /stop}]
  volumes: [{name: stop, hostPath: {path: STOP}}]
"""


OWN_USERS = """\
trust nobody
0 here, somebody else on the node
the file belongs to 1000
/work 0
/cache 0
/config/text 0
/etc/hosts 0
"""


def test_manifests_of_the_examples_run(cluster: Any, until_true: Any) -> None:
    cluster.up(nodes=3)
    cluster.import_busybox()
    out = cluster.ok("apply", "-f", "deploy/examples")
    assert "deployment.apps/web created" in out and "pod/once created" in out
    assert "unchanged" in cluster.ok("apply", "-f", "deploy/examples/web.yaml")
    assert 'deployment "web" successfully rolled out' in cluster.ok(
        "rollout", "status", "deployment/web", "--timeout", "60s"
    )
    assert {pod["spec"]["nodeName"] for pod in cluster.pods("app=web")} == {"n1", "n2", "n3"}
    cluster.ok("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/once", "--timeout", "60s")
    assert cluster.ok("logs", "once") == "prepared\nhello from once\n"
    assert "exit code 0" in cluster.ok("why", "once")
    cluster.ok("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/own-users", "--timeout", "60s")
    assert cluster.ok("logs", "own-users") == OWN_USERS
    cluster.ok("wait", "--for=condition=Complete", "job/pieces", "--timeout", "60s")
    assert "3/3" in cluster.ok("get", "job", "pieces")
    assert cluster.ok("logs", "-l", "batch.kubernetes.io/job-completion-index=2") == "piece 2 on pieces-2\n"
    until_true(lambda: len(cluster.pods("app=greeter")) == 3, "a greeter on every node")
    assert {pod["spec"]["nodeName"] for pod in cluster.pods("app=greeter")} == {"n1", "n2", "n3"}
    cluster.ok("wait", "--for=jsonpath={.status.readyReplicas}=2", "statefulset/voter", "--timeout", "60s")
    until_true(lambda: cluster.ok("logs", "voter-1") == "I am voter-1\n", "what it says first")
    cluster.ok("create", "job", "now", "--from=cronjob/clock")
    cluster.ok("wait", "--for=condition=Complete", "job/now", "--timeout", "60s")
    for kind, name in (("daemonset", "greeter"), ("statefulset", "voter")):
        cluster.ok("rollout", "status", kind, name, "--timeout", "60s")
        cluster.ok("rollout", "restart", kind, name)
        cluster.ok("rollout", "status", kind, name, "--timeout", "60s")
        assert "2" in cluster.ok("rollout", "history", kind, name)
        assert "rolled back" in cluster.ok("rollout", "undo", kind, name)
        cluster.ok("rollout", "status", kind, name, "--timeout", "60s")
        assert "3" in cluster.ok("rollout", "history", kind, name)
    assert cluster.ok("scale", "statefulset", "voter", "--replicas", "1") == "statefulset.apps/voter scaled\n"
    until_true(lambda: len(cluster.pods("app=veteran")) == 2, "two veterans")
    # Pods reach each other across nodes.
    one, other = cluster.pods("app=web")[:2]
    pod = f"""
apiVersion: v1
kind: Pod
metadata: {{name: caller}}
spec:
  restartPolicy: Never
  nodeName: {one["spec"]["nodeName"]}
  containers:
    - name: main
      image: knarr/busybox:1
      command: ["sh", "-c", "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {other["status"]["podIP"]} 8080 | tail -n 1"]
"""
    cluster.ok("apply", "-f", "-", stdin=pod)
    cluster.ok("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/caller", "--timeout", "60s")
    assert cluster.ok("logs", "caller") == "<h1>Hello from Knarr</h1>\n"
    # A new template rolls out, and back.
    cluster.ok("patch", "deployment", "web", "-p", '{"spec":{"template":{"metadata":{"labels":{"v":"2"}}}}}')
    cluster.ok("rollout", "status", "deployment/web", "--timeout", "60s")
    assert len(until_true(lambda: (p := cluster.pods("app=web,v=2")) and len(p) == 3 and p, "three new pods")) == 3
    cluster.ok("rollout", "undo", "deployment/web")
    cluster.ok("rollout", "status", "deployment/web", "--timeout", "60s")
    assert "3" in cluster.ok("rollout", "history", "deployment/web")
    cluster.ok("scale", "deployment", "web", "--replicas", "1")
    until_true(lambda: len(cluster.pods("app=web")) == 1, "two pods to go")

    def struck() -> list[Any]:
        return [pod for pod in cluster.pods("app=clock") if pod["status"]["phase"] == "Succeeded"]

    ended = until_true(struck, "the clock to strike", timeout_s=90)[0]
    assert "it is " in cluster.ok("logs", ended["metadata"]["name"])
    cluster.ok("delete", "-f", "deploy/examples")
    until_true(lambda: cluster.pods("app=web") == [], "what the deployment owned to go")


def test_kill_9_of_anything_leaves_containers_as_they_are(
    cluster: Any, until_true: Any, processes: Any, tmp_path: Any
) -> None:
    cluster.up(nodes=2)
    cluster.import_busybox()
    (tmp_path / "stop").mkdir()
    cluster.ok("apply", "-f", "-", stdin=COUNTER)
    cluster.ok("apply", "-f", "-", stdin=ENDING.replace("STOP", str(tmp_path / "stop")))
    cluster.ok("wait", "--for=condition=Ready", "pod/counter", "pod/ending", "--timeout", "60s")
    pods = {pod["metadata"]["name"]: pod for pod in cluster.get("pods")["items"]}
    before = {name: processes(pod["metadata"]["uid"]) for name, pod in pods.items()}
    assert all(before.values())
    runtimes = [f"{node.name}-runtime" for node in cluster.state.nodes]
    agents = [f"{node.name}-agent" for node in cluster.state.nodes]
    for victim in ("controlplane", *agents, *runtimes, "controlplane", *runtimes, *agents):
        cluster.kill(victim)
    # An exit while agent and runtime are being restarted is not lost.
    where = pods["ending"]["spec"]["nodeName"]
    for process in (f"{where}-agent", f"{where}-runtime"):
        os.kill(cluster.pid(process), signal.SIGKILL)
    (tmp_path / "stop" / "now").touch()
    ended_command = ("wait", "--for=jsonpath={.status.phase}=Failed", "pod/ending", "--timeout", "10s")
    until_true(lambda: cluster.run(*ended_command).returncode == 0, "the exit to be reported")
    ended = cluster.get("pod", "ending")["status"]["containerStatuses"][0]
    assert ended["state"]["terminated"]["exitCode"] == 42 and ended["restartCount"] == 0
    until_true(
        lambda: cluster.run("wait", "--for=condition=Ready", "pod/counter", "--timeout", "5s").returncode == 0,
        "counter",
    )
    after = processes(pods["counter"]["metadata"]["uid"])
    # The shell itself: its children, one per turn, have its command line until they execute their own.
    shells = [(pid, facts) for pid, facts in before["counter"].items() if "line" in facts[1]]
    pid, facts = min(shells, key=lambda shell: shell[1][0])
    assert after.get(pid) == facts, "the container is the same process"
    assert cluster.get("pod", "counter")["status"]["containerStatuses"][0]["restartCount"] == 0
    assert len(cluster.get("pods")["items"]) == 2
    lines = cluster.ok("logs", "counter").splitlines()
    assert lines == [f"line {i}" for i in range(len(lines))], "no line lost or doubled"
    assert len(lines) > 100


def test_a_killed_node_is_replaced_and_comes_back(cluster: Any, until_true: Any) -> None:
    cluster.up("--node-grace", "2", "--eviction-grace", "1", nodes=2)
    cluster.import_busybox()
    cluster.ok("apply", "-f", "deploy/examples/web.yaml")
    cluster.ok("rollout", "status", "deployment/web", "--timeout", "60s")
    lost = cluster.pods("app=web")[0]["spec"]["nodeName"]
    cluster.ok("node", "kill", lost, "--data-dir", str(cluster.data_dir))

    def healed() -> bool:
        ready = [
            pod
            for pod in cluster.pods("app=web")
            if pod["spec"].get("nodeName") != lost
            and "deletionTimestamp" not in pod["metadata"]
            and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
        ]
        return len(ready) == 3

    until_true(healed, "three ready pods elsewhere")
    cluster.ok("node", "start", lost, "--data-dir", str(cluster.data_dir))
    cluster.ok("wait", "--for=condition=Ready", f"node/{lost}", "--timeout", "60s")
    until_true(lambda: len(cluster.get("pods")["items"]) == 3, "what was replaced to go")


def test_nothing_is_left_over(cluster: Any, left_over: Any) -> None:
    cluster.up(nodes=2)
    cluster.import_busybox()
    cluster.ok("apply", "-f", "deploy/examples/web.yaml")
    cluster.ok("rollout", "status", "deployment/web", "--timeout", "60s")
    state = cluster.state
    assert left_over(state)
    for process in ("n1-runtime", "controlplane", "n2-agent"):
        os.kill(cluster.pid(process), signal.SIGKILL)
    os.kill(cluster.pid("supervisor"), signal.SIGKILL)
    done = cluster.down()
    assert done.returncode == 0, done.stderr
    assert left_over(state) == []
    assert not cluster.data_dir.exists()
    again = cluster.down()
    assert again.returncode == 1 and "no cluster in" in again.stderr


def test_desired_state_in_etcd_is_readable_and_survives(cluster: Any, until_true: Any) -> None:
    cluster.up("--store", "etcd")
    cluster.ok("create", "namespace", "shop")
    pki = cluster.data_dir / "pki"
    port = (cluster.data_dir / "etcd" / "ports").read_text().split()[0]
    command = ["etcdctl", f"--endpoints=https://127.0.0.1:{port}", f"--cacert={pki}/ca.crt", f"--cert={pki}/etcd.crt"]
    done = subprocess.run(
        [*command, f"--key={pki}/etcd.key", "get", "--prefix", "/registry/core/namespaces/shop", "--print-value-only"],
        env={**os.environ, "ETCDCTL_API": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["metadata"]["name"] == "shop"
    assert cluster.get("namespace", "shop")["status"]["phase"] == "Active"
    # Killed, the control plane takes its etcd along and starts it again with all there was.
    cluster.kill("controlplane")
    until_true(lambda: cluster.run("get", "namespace", "shop").returncode == 0, "the control plane to be back")


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("a: [1\n", ":2:1: not YAML"),
        ("apiVersion: v1\nkind: Pood\nmetadata: {name: a}\n", 'no matches for kind "Pood"'),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndate: {}\n",
            "4:1: date: unknown field (did you mean data?)",
        ),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: three}\n", "spec.replicas"),
    ],
)
def test_bad_manifests_are_refused_with_their_place(cluster: Any, tmp_path: Any, manifest: str, said: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n---\n"
        if "4:1" not in said and ":2:1" not in said
        else ""
    )
    with file.open("a") as opened:
        opened.write(manifest)
    done = cluster.run("apply", "-f", str(file))
    assert done.returncode == 1 and said in done.stderr, done.stderr
    assert "nothing was changed" in done.stderr and len(done.stderr.splitlines()) < 10


def test_mistakes_of_up_are_said_and_change_nothing(cluster: Any, tmp_path: Any) -> None:
    cluster.up()
    again = cluster.run("up", "--data-dir", str(cluster.data_dir), "--detach")
    assert again.returncode == 1 and "is in use by process" in again.stderr
    assert cluster.get("nodes")["items"], "the running cluster goes on"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    other = cluster.run("up", "--data-dir", str(tmp_path / "full"), "--detach")
    assert other.returncode == 1 and "is not empty" in other.stderr
    new = tmp_path / "new"
    far = cluster.run("up", "--data-dir", str(new), "--store", "etcd://127.0.0.1:1", "--detach")
    assert far.returncode == 1 and "127.0.0.1:1" in far.stderr and "Traceback" not in far.stderr
    assert not new.exists()
    away = cluster.run("--kubeconfig", str(tmp_path / "none"), "get", "pods")
    assert away.returncode == 1 and "kubeconfig" in away.stderr


def test_another_machine_joins_with_a_token(cluster: Any, tmp_path: Any) -> None:
    """The other machine is the fabric's own namespace: it reaches the API over the network only."""
    cluster.up()
    state = cluster.state
    token = cluster.ok("token", "create", "--ttl", "5m").strip()
    port = state.server.rpartition(":")[2]
    knarr = [f"--net=/run/netns/{state.name}", *cluster.knarr]
    server = ("--server", f"10.240.0.1:{port}")
    joined = tmp_path / "joined"
    try:
        words = [
            "nsenter",
            *knarr,
            "node",
            "join",
            *server,
            "--token",
            "-",
            "--name",
            "other",
            "--timeout",
            f"{patient(60):g}",
            "--data-dir",
            str(joined),
        ]
        done = subprocess.run(words, input=token, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        cluster.ok("wait", "--for=condition=Ready", "node/other", "--timeout", "60s")
        wrong = token.replace(token.split(".")[2], "guess")
        words = ["nsenter", *knarr, "node", "join", *server, "--token", wrong, "--name", "bad"]
        words += ["--timeout", f"{patient(10):g}"]
        refused = subprocess.run([*words, "--data-dir", str(tmp_path / "bad")], capture_output=True, text=True)
        assert refused.returncode == 1 and "token" in refused.stderr
        assert not (tmp_path / "bad").exists()
    finally:
        subprocess.run(["nsenter", *knarr, "down", "--data-dir", str(joined)], check=False, capture_output=True)
    assert not joined.exists()
