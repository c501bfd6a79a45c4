"""From apply to delete, with the words and exit statuses of kubectl."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
from typing import Any

import yaml

READ_WITHIN_S = 20

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {colour: blue}
"""
OWN = ("--field-selector", "metadata.name!=kube-root-ca.crt")
"""Every namespace has that one."""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: main, image: "shop:1"}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME, labels: {app: pod}}
spec:
  nodeName: NODE
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "shop:1"}]
"""


def line(process: Any) -> str:
    ready, _, _ = select.select([process.stdout], [], [], READ_WITHIN_S)
    assert ready, "no line came"
    return str(process.stdout.readline().decode())


def test_apply_says_what_it_did(knarr):
    both = f"{DEPLOYMENT}---{CONFIG}"
    assert knarr.ok("apply", "-f", "-", "--dry-run=server", stdin=both).count("(server dry run)") == 2
    assert knarr.ok("apply", "-f", "-", "--dry-run", "client", stdin=both).count("(dry run)") == 2
    assert knarr.json("get", "cm,deploy", *OWN)["items"] == []
    assert knarr.ok("apply", "-f", "-", stdin=both).splitlines() == [
        "configmap/settings created",
        "deployment.apps/web created",
    ]
    assert knarr.ok("apply", "-f", "-", stdin=both).count("unchanged") == 2
    assert knarr.ok("apply", "-f", "-", stdin=CONFIG.replace("blue", "red")) == "configmap/settings configured\n"
    assert knarr.json("get", "cm", "settings")["data"] == {"colour": "red"}
    assert 'configmaps "settings" already exists' in knarr.fails("create", "-f", "-", stdin=CONFIG)


def test_directories_are_read_and_namespaces_come_first(knarr):
    (knarr.directory / "m" / "deep").mkdir(parents=True)
    (knarr.directory / "m" / "a.yaml").write_text(CONFIG.replace("{name: settings", "{name: s, namespace: made-dir"))
    (knarr.directory / "m" / "z.json").write_text(
        '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"made-dir"}}'
    )
    (knarr.directory / "m" / "deep" / "b.yml").write_text(CONFIG)
    flat = type(knarr)(kubeconfig=knarr.kubeconfig, directory=knarr.directory)
    assert flat.ok("apply", "-f", "m").splitlines() == ["namespace/made-dir created", "configmap/s created"]
    assert "configmap/settings created" in flat.ok("apply", "-R", "-f", "m")
    assert "does not match the namespace" in knarr.fails("apply", "-f", "m/a.yaml")


def test_get_in_every_form(knarr):
    knarr.ok(
        "apply", "-f", "-", stdin=f"{CONFIG}---{CONFIG.replace('settings', 'more').replace('app: web', 'app: db')}"
    )
    assert knarr.ok("get", "cm", *OWN, "-o", "name") == "configmap/more\nconfigmap/settings\n"
    assert knarr.ok("get", "cm", *OWN, "-o", "jsonpath={.items[*].data.colour}") == "blue blue"
    assert knarr.ok("get", "cm/settings", "-o", "jsonpath={.metadata.labels.app}") == "web"
    assert yaml.safe_load(knarr.ok("get", "cm", "settings", "-o", "yaml"))["metadata"]["name"] == "settings"
    assert knarr.ok("get", "cm", *OWN, "-o", "custom-columns=N:.metadata.name,C:.data.colour") == (
        "N          C\nmore       blue\nsettings   blue\n"
    )
    assert re.fullmatch(
        r"NAME +DATA +AGE +LABELS\nsettings +1 +\d+s +app=web\n",
        knarr.ok("get", "cm", "-l", "app=web", "--show-labels"),
    )
    assert knarr.ok("get", "cm", "--no-headers", "--field-selector", "metadata.name=more").startswith("more ")
    assert knarr.ok("get", "cm", *OWN, "--sort-by", ".metadata.labels.app", "-o", "name").startswith("configmap/more")
    assert knarr.ok("get", "cm", "-A").startswith("NAMESPACE ")
    assert "configmap/settings" in knarr.ok("get", "cm,deploy")
    done = knarr.run("get", "cm", "settings", "missing")
    assert done.returncode == 1 and done.stdout.count("settings") == 1
    assert done.stderr == 'Error from server (NotFound): configmaps "missing" not found\n'
    assert knarr.ok("get", "cm", "missing", "--ignore-not-found") == ""
    done = knarr.run("get", "secrets")
    assert (done.returncode, done.stderr) == (0, f"No resources found in {knarr.namespace} namespace.\n")


def test_scale_and_rollouts(knarr):
    knarr.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    assert knarr.ok("rollout", "status", "deployment/web", "--timeout", "20s").endswith("successfully rolled out\n")
    knarr.ok("apply", "-f", "-", stdin=DEPLOYMENT.replace("shop:1", "shop:2"))
    knarr.ok("rollout", "status", "deploy", "web", "--timeout=20s")
    assert re.search(r"REVISION +CHANGE-CAUSE\n1 .*\n2 ", knarr.ok("rollout", "history", "deployment/web"))
    assert "shop:1" in knarr.ok("rollout", "history", "deploy/web", "--revision", "1")
    assert knarr.ok("rollout", "undo", "deployment/web") == "deployment.apps/web rolled back\n"
    assert knarr.json("get", "deploy", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"
    assert "unable to find" in knarr.fails("rollout", "undo", "deployment/web", "--to-revision", "9")
    knarr.ok("rollout", "pause", "deployment/web")
    assert "rollout resume" in knarr.fails("rollout", "undo", "deployment/web")
    knarr.ok("rollout", "resume", "deployment/web")
    knarr.ok("rollout", "restart", "deployment/web")
    assert "restartedAt" in str(knarr.json("get", "deploy", "web")["spec"]["template"]["metadata"]["annotations"])
    assert knarr.ok("scale", "deployment/web", "--replicas", "2") == "deployment.apps/web scaled\n"
    assert knarr.json("get", "deploy", "web")["spec"]["replicas"] == 2
    assert "Expected replicas to be 5" in knarr.fails("scale", "deploy/web", "--replicas=1", "--current-replicas=5")
    knarr.ok("wait", "--for=jsonpath={.status.replicas}=2", "deployment/web", "--timeout", "20s")
    assert "Waiting for deployment" in knarr.ok("rollout", "status", "deploy/web", "--watch=false")
    assert "timed out" in knarr.fails("rollout", "status", "deploy/web", "--timeout", "200ms")


def test_delete_waits_until_all_is_gone(knarr):
    knarr.ok("apply", "-f", "-", stdin=f"{DEPLOYMENT.replace('replicas: 0', 'replicas: 1')}---{CONFIG}")
    knarr.ok("wait", "--for=jsonpath={.status.replicas}=1", "deploy/web", "--timeout", "20s")
    assert knarr.ok("delete", "deploy", "web", "--dry-run=server").endswith(f"from {knarr.namespace} namespace\n")
    assert (
        knarr.ok("delete", "deployment", "web") == f'deployment.apps "web" deleted from {knarr.namespace} namespace\n'
    )
    assert knarr.ok("delete", "cm", "-l", "app=web", "--wait=false", "-o", "name") == "configmap/settings\n"
    assert "not found" in knarr.fails("delete", "-f", "-", stdin=CONFIG)
    assert knarr.ok("delete", "-f", "-", "--ignore-not-found", stdin=CONFIG) == ""
    assert "no name was specified" in knarr.fails("delete", "pods")
    assert 'namespace "' in knarr.ok("delete", "ns", knarr.namespace, "--timeout", "30s")
    assert "NotFound" in knarr.fails("get", "ns", knarr.namespace)


def test_wait(knarr):
    knarr.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    assert "condition met" in knarr.ok("wait", "--for=condition=Available", "deployment/web", "--timeout", "20s")
    assert "timed out" in knarr.fails("wait", "--for=condition=Nonsense", "deploy/web", "--timeout=0.2s")
    assert "NotFound" in knarr.fails("wait", "--for=condition=Ready", "pod/none", "--timeout=1s")
    with knarr.started("wait", "--for=create", "cm/settings", "--timeout", "20s") as waiting:
        knarr.ok("apply", "-f", "-", stdin=CONFIG)
        assert line(waiting) == "configmap/settings condition met\n" and waiting.wait(10) == 0


def test_watch_shows_changes_until_ctrl_c(knarr):
    knarr.ok("apply", "-f", "-", stdin=CONFIG)
    with knarr.started("get", "cm", *OWN, "-w") as watching:
        assert line(watching).startswith("NAME") and line(watching).startswith("settings ")
        knarr.ok("label", "cm", "settings", "seen=yes")
        assert line(watching).startswith("settings ")
        knarr.ok("create", "-f", "-", stdin=CONFIG.replace("settings", "more"))
        assert line(watching).startswith("more ")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 130 and watching.stderr.read().strip() == b""


def test_labels_annotations_and_patches(knarr):
    knarr.ok("apply", "-f", "-", stdin=CONFIG)
    assert knarr.ok("label", "cm", "settings", "tier=front", "app-") == "configmap/settings labeled\n"
    assert "--overwrite is false" in knarr.fails("label", "cm/settings", "tier=back")
    knarr.ok("label", "cm/settings", "tier=back", "--overwrite")
    assert knarr.ok("label", "cm", "-l", "tier=back", "side=left") == "configmap/settings labeled\n"
    assert "configmap/settings unlabeled" in knarr.ok("label", "cm", "--all", "side-").splitlines()
    assert "not both" in knarr.fails("label", "cm", "settings", "--all", "a=b")
    knarr.ok("annotate", "cm/settings", "why=because of it")
    knarr.ok("patch", "cm", "settings", "-p", '{"data":{"colour":"green"}}')
    assert knarr.ok("patch", "cm", "settings", "-p", "data: {colour: green}").endswith("(no change)\n")
    found = knarr.json("get", "cm", "settings")
    assert found["metadata"]["labels"] == {"tier": "back"} and found["data"] == {"colour": "green"}
    assert found["metadata"]["annotations"]["why"] == "because of it"


def test_a_drain_keeps_disruption_budgets(knarr):
    node = f"node-{knarr.namespace}"
    knarr.ok("create", "-f", "-", stdin=f"apiVersion: v1\nkind: Node\nmetadata: {{name: {node}}}\n")
    spec = "{minAvailable: 1, selector: {matchLabels: {app: pod}}}"
    budget = f"apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: b}}\nspec: {spec}\n"
    try:
        knarr.ok("create", "-f", "-", stdin=budget)
        knarr.ok("create", "-f", "-", stdin=POD.replace("NAME", "kept").replace("NODE", node))
        ready = '{"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}'
        knarr.ok("patch", "pod", "kept", "--type", "merge", "--subresource", "status", "-p", ready)
        knarr.ok("wait", "--for=jsonpath={.status.currentHealthy}=1", "pdb/b", "--timeout", "20s")
        drain = ("drain", node, "--force")
        refused = knarr.fails(*drain, "--timeout", "8s")
        assert "Cannot evict pod as it would violate the pod's disruption budget." in refused
        assert "timed out draining" in refused
        assert "deletionTimestamp" not in knarr.json("get", "pod", "kept")["metadata"]
        out = knarr.ok(*drain, "--disable-eviction", "--grace-period", "0")
        assert "pod/kept deleted" in out
    finally:
        knarr.run("delete", "node", node)


def test_cordon_and_drain(knarr):
    node = f"node-{knarr.namespace}"
    knarr.ok("create", "-f", "-", stdin=f"apiVersion: v1\nkind: Node\nmetadata: {{name: {node}}}\n")
    try:
        knarr.ok("create", "-f", "-", stdin=POD.replace("NAME", "bare").replace("NODE", node))
        assert "declare no controller" in knarr.fails("drain", node)
        assert "unschedulable" not in knarr.json("get", "node", node)["spec"], "nothing changes where it can't be done"
        out = knarr.ok("drain", node, "--force", "--grace-period", "0", "--timeout", "20s")
        assert out.splitlines() == [
            f"node/{node} cordoned",
            f"evicting pod {knarr.namespace}/bare",
            "pod/bare evicted",
            f"node/{node} drained",
        ]
        assert "SchedulingDisabled" in knarr.ok("get", "node", node)
        assert knarr.ok("uncordon", node) == f"node/{node} uncordoned\n"
        assert knarr.ok("uncordon", node) == f"node/{node} already uncordoned\n"
    finally:
        knarr.ok("delete", "node", node)


def test_why_describe_and_events(knarr):
    knarr.ok("create", "-f", "-", stdin=POD.replace("NAME", "lonely").replace("  nodeName: NODE\n", ""))
    knarr.ok("wait", "--for=condition=PodScheduled=False", "pod/lonely", "--timeout", "20s")
    assert "scheduling" in knarr.ok("why", "lonely")
    described = knarr.ok("describe", "pod", "lonely")
    assert "Name:             lonely\n" in knarr.ok("describe", "pods", "lone"), "by what its name begins with"
    assert "NotFound" in knarr.fails("describe", "pods", "lonelyy")
    assert "Name:             lonely\n" in knarr.ok("describe", "pods", "-A")
    assert re.search(r"^Name: +lonely$", described, re.MULTILINE) and "shop:1" in described
    assert "no node yet" in knarr.fails("logs", "lonely") and "NotFound" in knarr.fails("logs", "none")
    knarr.ok(
        "create", "-f", "-", stdin="apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: hidden}\n"
    )
    described = knarr.ok("describe", "secret/s")
    assert "key:  6 bytes" in described and "hidden" not in described and "aGlkZGVu" not in described
    knarr.ok("events", "--for", "pod/lonely")
    named = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: lonely}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
    )
    both = knarr.ok("describe", "-f", "-", stdin=named)
    assert re.findall(r"^Name: +(\S+)$", both, re.MULTILINE) == ["s", "lonely"] and "FailedScheduling" in both
    assert "names are not allowed" in knarr.fails("describe", "pod", "lonely", "-f", "-", stdin=named)
    assert "type of resource" in knarr.fails("describe")


def test_a_watch_goes_on_as_long_as_asked(knarr):
    knarr.ok("create", "configmap", "seen")
    done = knarr.run("get", "cm", "seen", "-w", "--request-timeout", "1s")
    assert done.returncode == 1 and "seen" in done.stdout
    assert done.stderr == "error: the watch was ended after 1 s, as --request-timeout says\n"


def test_why_says_what_stands_against_each_node(knarr):
    node = f"node-{knarr.namespace}"
    knarr.ok("create", "-f", "-", stdin=f"apiVersion: v1\nkind: Node\nmetadata: {{name: {node}}}\n")
    try:
        knarr.ok(
            "create", "-f", "-", stdin=POD.replace("NAME", "picky").replace("nodeName: NODE", "nodeSelector: {a: b}")
        )
        told = knarr.ok("why", "picky")
        assert re.search(rf"node {node} +DoesNotFit: .*didn't match Pod's node affinity/selector", told)
    finally:
        knarr.ok("delete", "node", node)


def test_simulate_touches_nothing(knarr):
    manifest = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: x, resources: {requests: {cpu: "1"}}}]}
"""
    (knarr.directory / "web.yaml").write_text(manifest)
    asked = ("simulate", "-f", "web.yaml", "--nodes", "3x2,4Gi")
    told = knarr.ok(*asked, "--scale", "web=4", "--kill-node", "n2")
    assert "4 pods placed on 3 nodes" in told and re.search(r"without n2: \d pods have to move", told)
    full = knarr.run(*asked, "--scale", "web=7")
    assert full.returncode == 1 and "3 Insufficient cpu" in full.stdout
    stages = json.loads(knarr.ok(*asked, "-o", "json"))["stages"]
    assert sum(stages[0]["placed"]["deployment/web"].values()) == 2
    unclear = knarr.run(*asked, "--kill-node", "n9")
    assert unclear.returncode == 2 and "no such node" in unclear.stderr
    assert "NotFound" in knarr.fails("get", "deployment", "web")
    (knarr.directory / "web.yaml").unlink()


def test_history_time_travel_and_undo(knarr):
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: travel}\ndata: {colour: COLOUR}\n"
    knarr.ok("apply", "-f", "-", stdin=manifest.replace("COLOUR", "red"))
    red = knarr.json("get", "cm", "travel")["metadata"]["resourceVersion"]
    knarr.ok("apply", "-f", "-", stdin=manifest.replace("COLOUR", "blue"))
    knarr.ok("patch", "cm", "travel", "-p", '{"data":{"size":"big"}}')
    told = knarr.ok("history", "cm/travel")
    assert re.search(r'data.colour: "red" → "blue"', told) and re.search(r'data.size: "big" \(new\)', told)
    assert told.splitlines()[-1].split()[3] == "Create", told
    assert knarr.json("get", "cm", "travel", "--at-revision", red)["data"] == {"colour": "red"}
    assert "travel" in knarr.ok("get", "cm", "--at-revision", red)
    assert "not kept" in knarr.fails("get", "cm", "--at", "24h")
    assert knarr.json("get", "cm", "travel", "--at", "0s")["data"] == {"colour": "blue", "size": "big"}
    assert "undone (dry run)" in knarr.ok("undo", "cm", "travel", "--revision", _revision(told, "blue"), "--dry-run")
    assert knarr.json("get", "cm", "travel")["data"]["colour"] == "blue"
    assert '"blue" → "red"' in knarr.ok("undo", "cm", "travel", "--revision", _revision(told, "blue"))
    assert knarr.json("get", "cm", "travel")["data"] == {"colour": "red", "size": "big"}
    assert "as it was before already" in knarr.fails("undo", "cm", "travel", "--revision", _revision(told, "blue"))
    knarr.ok("patch", "cm", "travel", "-p", '{"data":{"colour":"green"}}')
    refused = knarr.fails("undo", "cm", "travel", "--revision", _revision(told, "blue"))
    assert re.search(r'data.colour: "blue" → "green", by knarr-patch in revision \d+', refused), refused
    assert knarr.json("get", "cm", "travel")["data"]["colour"] == "green"
    forced = knarr.ok("undo", "cm", "travel", "--revision", _revision(told, "blue"), "--force", "-o", "json")
    assert json.loads(forced)["data"] == {"colour": "red", "size": "big"}
    assert "created by that write" in knarr.fails("undo", "cm", "travel", "--revision", red)
    assert "NotFound" in knarr.fails("history", "cm", "none")


def test_history_leaves_out_changes_of_the_status_alone(knarr):
    manifest = "apiVersion: v1\nkind: Service\nmetadata: {name: steady}\nspec: {ports: [{port: PORT}]}\n"
    knarr.ok("apply", "-f", "-", "--server-side", "--field-manager", "ci", stdin=manifest.replace("PORT", "80"))
    status = '{"status":{"loadBalancer":{"ingress":[{"ip":"10.0.0.1"}]}}}'
    knarr.ok("patch", "svc", "steady", "--subresource=status", "--type=merge", "-p", status)
    changed = ("--server-side", "--field-manager", "ci")
    knarr.ok("apply", "-f", "-", *changed, stdin=manifest.replace("PORT", "81"))
    told = knarr.ok("history", "svc", "steady")
    assert "status." not in told and "1 changes of the status alone are left out: --all" in told, told
    assert "status.loadBalancer" in knarr.ok("history", "svc", "steady", "--all")
    assert "80" in knarr.ok("undo", "svc", "steady"), "what anybody applied on the server counts as an apply"
    assert knarr.json("get", "svc", "steady")["spec"]["ports"][0]["port"] == 80


def test_a_deletion_is_told_of_and_taken_back(knarr):
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: lost, labels: {a: b}}\ndata: {colour: red}\n"
    knarr.ok("apply", "-f", "-", stdin=manifest)
    uid = knarr.json("get", "cm", "lost")["metadata"]["uid"]
    knarr.ok("delete", "cm", "lost")
    told = knarr.ok("history", "cm", "lost").splitlines()
    assert [line.split()[3] for line in told[1:]] == ["Delete", "Create"], told
    assert "created (dry run)" in knarr.ok("undo", "cm", "lost", "--dry-run")
    assert "NotFound" in knarr.fails("get", "cm", "lost")
    assert "take that back first" in knarr.fails("undo", "cm", "lost", "--revision", told[2].split()[0])
    assert knarr.ok("undo", "cm/lost") == "configmap/lost created\n"
    back = knarr.json("get", "cm", "lost")
    assert (back["data"], back["metadata"]["labels"]) == ({"colour": "red"}, {"a": "b"})
    assert back["metadata"]["uid"] != uid
    assert knarr.ok("apply", "-f", "-", stdin=manifest) == "configmap/lost unchanged\n"
    assert "NotFound" in knarr.fails("undo", "cm", "never-there")
    server_side = ("apply", "--server-side", "--field-manager", "ci", "-f", "-")
    owned = manifest.replace("lost", "owned")
    knarr.ok(*server_side, stdin=owned)
    knarr.ok("delete", "cm", "owned")
    knarr.ok("undo", "cm", "owned")
    (line,) = knarr.ok("history", "cm", "owned").splitlines()[1:2]
    assert line.split()[2:4] == ["knarr-undo", "Create"], line
    knarr.ok(*server_side, stdin=owned.replace("red", "blue"))
    assert knarr.json("get", "cm", "owned")["data"] == {"colour": "blue"}, "it is the manager's as before"


def _revision(history, text):
    (line,) = (line for line in history.splitlines() if f'→ "{text}"' in line)
    return line.split()[0]


def test_tokens(cluster):
    token = cluster.ok("token", "create", "--ttl", "1h", "--description", "rack 3").strip()
    identifier = token.split(".")[1]
    assert f"\n{identifier} " in (listed := cluster.ok("token", "list")) and token.split(".")[2] not in listed
    cluster.ok("token", "revoke", identifier)
    assert identifier not in cluster.ok("token", "list")


def test_about_the_cluster(cluster):
    assert "Server Version" in cluster.ok("version") and "Server" not in cluster.ok("version", "--client")
    assert "running at https://127.0.0.1:" in cluster.ok("cluster-info")
    assert cluster.ok("config", "current-context").strip() in cluster.ok("config", "view")
    assert re.search(r"^deployments +deploy +apps/v1 +true +Deployment", cluster.ok("api-resources"), re.MULTILINE)


def test_the_shell_completes_kinds_and_names(knarr):
    knarr.ok("apply", "-f", "-", stdin=CONFIG)

    def complete(words: str, position: int) -> list[str]:
        done = subprocess.run(
            [knarr.command()[0]],
            env={
                **knarr.environment,
                "_KNARR_COMPLETE": "bash_complete",
                "COMP_WORDS": words,
                "COMP_CWORD": str(position),
            },
            capture_output=True,
            text=True,
        )
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert "pods" in complete("knarr get po", 2)
    assert complete(f"knarr get -n {knarr.namespace} cm s", 5) == ["settings"]
    assert complete(f"knarr -n {knarr.namespace} describe cm/s", 4) == ["cm/settings"]
    assert complete("knarr roll", 1) == ["rollout"]


def test_a_reader_that_goes_away_is_no_error(knarr):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as closed:
        done = subprocess.run(
            knarr.command("api-resources"), env=knarr.environment, stdout=closed, stderr=subprocess.PIPE, timeout=20
        )
    assert done.returncode == 141 and done.stderr == b""
