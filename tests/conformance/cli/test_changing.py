"""apply on the server, prune, diff, patch, label, taint, edit, replace, set and autoscale, in kubectl's words."""

from __future__ import annotations

import json
import stat
from pathlib import Path

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {colour: blue}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: main, image: "shop:1"}
        - {name: log, image: "log:1"}
"""


def containers(knarr):
    return knarr.json("get", "deploy", "web")["spec"]["template"]["spec"]["containers"]


def managers(document):
    return {entry["manager"]: entry["operation"] for entry in document["metadata"]["managedFields"]}


def test_applying_on_the_server(knarr):
    apply = ("apply", "--server-side", "-f", "-")
    assert knarr.ok(*apply, stdin=CONFIG) == "configmap/settings serverside-applied\n"
    red = CONFIG.replace("blue", "red")
    refused = knarr.fails(*apply, "--field-manager", "ci", stdin=red)
    assert 'Apply failed with 1 conflict: conflict with "knarr": .data.colour' in refused
    assert "--force-conflicts" in refused
    taken = knarr.ok(*apply, "--field-manager", "ci", "--force-conflicts", "--dry-run=server", stdin=red)
    assert taken == "configmap/settings serverside-applied (server dry run)\n"
    knarr.ok(*apply, "--field-manager", "ci", "--force-conflicts", stdin=red)
    after = knarr.json("get", "cm", "settings", "--show-managed-fields")
    assert after["data"] == {"colour": "red"}
    assert managers(after)["ci"] == "Apply"
    assert "only works with --server-side" in knarr.fails("apply", "-f", "-", "--force-conflicts", stdin=CONFIG)
    assert "did you mean --dry-run=server" in knarr.fails(*apply, "--dry-run=client", stdin=CONFIG)


def test_a_client_side_apply_goes_on_on_the_server(knarr):
    knarr.ok("apply", "-f", "-", stdin=CONFIG.replace("blue}", "blue, size: l}"))
    knarr.ok("apply", "--server-side", "-f", "-", stdin=CONFIG.replace("blue", "green"))
    assert knarr.json("get", "cm", "settings")["data"] == {"colour": "green"}


def test_what_is_in_no_manifest_any_more_is_pruned(knarr):
    other = CONFIG.replace("settings", "old")
    by_hand = CONFIG.replace("settings", "by-hand")
    knarr.ok("create", "-f", "-", stdin=by_hand)
    knarr.ok(
        "apply", "-f", "-", stdin=f"{CONFIG}---{other}---{CONFIG.replace('settings', 'else').replace('web', 'db')}"
    )
    assert "without explicitly passing --all" in knarr.fails("apply", "--prune", "-f", "-", stdin=CONFIG)
    prune = ("apply", "--prune", "-l", "app=web", "-f", "-")
    shown = knarr.ok(*prune, "--dry-run=server", stdin=CONFIG).splitlines()
    assert shown == ["configmap/settings unchanged (server dry run)", "configmap/old pruned (server dry run)"]
    assert knarr.ok(*prune, stdin=CONFIG).splitlines() == ["configmap/settings unchanged", "configmap/old pruned"]
    left = {item["metadata"]["name"] for item in knarr.json("get", "cm")["items"]}
    assert left == {"settings", "by-hand", "else", "kube-root-ca.crt"}


def test_diff_says_by_its_status_whether_something_differs(knarr):
    knarr.ok("apply", "-f", "-", stdin=CONFIG)
    same = knarr.run("diff", "-f", "-", stdin=CONFIG)
    assert (same.returncode, same.stdout) == (0, "")
    other = knarr.run("diff", "-f", "-", stdin=CONFIG.replace("blue", "red"))
    assert other.returncode == 1
    assert "-  colour: blue" in other.stdout and "+  colour: red" in other.stdout
    assert knarr.json("get", "cm", "settings")["data"] == {"colour": "blue"}, "nothing was changed"
    new = knarr.run("diff", "-f", "-", stdin=CONFIG.replace("settings", "new"))
    assert new.returncode == 1 and "+  colour: blue" in new.stdout
    conflict = knarr.run("diff", "--server-side", "--field-manager", "ci", "-f", "-", stdin=CONFIG.replace("blue", "x"))
    assert (conflict.returncode, "conflict with" in conflict.stderr) == (2, True)
    assert knarr.run("diff", "-f", "missing.yaml").returncode == 2


def test_patches_of_every_type(knarr):
    knarr.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    strategic = '{"spec":{"template":{"spec":{"containers":[{"name":"log","image":"log:2"}]}}}}'
    assert knarr.ok("patch", "deploy", "web", "-p", strategic) == "deployment.apps/web patched\n"
    assert [each["image"] for each in containers(knarr)] == ["shop:1", "log:2"]
    assert knarr.ok("patch", "deploy", "web", "-p", strategic) == "deployment.apps/web patched (no change)\n"
    operations = '[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "shop:2"}]'
    shown = knarr.ok("patch", "deploy", "web", "--type", "json", "-p", operations, "--dry-run=server")
    assert shown == "deployment.apps/web patched (server dry run)\n"
    assert containers(knarr)[0]["image"] == "shop:1"
    knarr.ok("patch", "deploy", "web", "--type=json", "-p", operations)
    assert containers(knarr)[0]["image"] == "shop:2"
    (knarr.directory / "patch.yaml").write_text("metadata:\n  labels: {app: null, tier: front}\n")
    knarr.ok("patch", "deploy", "web", "--type", "merge", "--patch-file", "patch.yaml")
    assert knarr.json("get", "deploy", "web")["metadata"]["labels"] == {"tier": "front"}
    knarr.ok("patch", "deploy", "web", "--subresource", "scale", "--type", "merge", "-p", '{"spec":{"replicas":0}}')
    assert "must specify one of" in knarr.fails("patch", "deploy", "web")
    assert "list of operations" in knarr.fails("patch", "deploy", "web", "--type", "json", "-p", "{}")


def test_labels_are_set_listed_and_removed(knarr):
    knarr.ok("apply", "-f", "-", stdin=CONFIG)
    assert knarr.ok("label", "cm", "settings", "tier=front") == "configmap/settings labeled\n"
    assert knarr.ok("label", "cm", "settings", "tier=front") == "configmap/settings not labeled\n"
    refused = knarr.fails("label", "cm", "settings", "tier=back")
    assert "'tier' already has a value (front), and --overwrite is false" in refused
    assert knarr.ok("label", "cm", "settings", "--list").splitlines() == ["app=web", "tier=front"]
    assert knarr.ok("label", "cm", "settings", "tier-") == "configmap/settings unlabeled\n"
    assert 'label "tier" not found.' in knarr.ok("label", "cm", "settings", "tier-")
    dry = knarr.ok("label", "cm", "--all", "x=1", "--dry-run=client")
    assert dry == "configmap/kube-root-ca.crt labeled (dry run)\nconfigmap/settings labeled (dry run)\n"
    assert "the object has been modified" in knarr.fails("label", "cm", "settings", "y=1", "--resource-version", "1")
    assert knarr.ok("annotate", "cm", "settings", "note=a b") == "configmap/settings annotated\n"
    assert "can not both modify and remove" in knarr.fails("annotate", "cm", "settings", "a=1", "a-")


def test_taints(knarr):
    node = f"taint-{knarr.namespace}"
    knarr.ok("create", "-f", "-", stdin=f"apiVersion: v1\nkind: Node\nmetadata: {{name: {node}}}\n")
    try:
        assert knarr.ok("taint", "nodes", node, "gpu=yes:NoSchedule") == f"node/{node} tainted\n"
        refused = knarr.fails("taint", "node", node, "gpu=no:NoSchedule")
        assert "already has gpu taint(s) with same effect(s) and --overwrite is false" in refused
        assert knarr.ok("taint", f"node/{node}", "gpu-", "a:NoExecute") == f"node/{node} modified\n"
        taints = knarr.json("get", "node", node)["spec"]["taints"]
        assert [(each["key"], each["effect"]) for each in taints if each["key"] in ("gpu", "a")] == [("a", "NoExecute")]
        assert knarr.ok("taint", "node", node, "a-") == f"node/{node} untainted\n"
        assert 'taint "a" not found' in knarr.fails("taint", "node", node, "a-")
        assert "only nodes" in knarr.fails("taint", "pod", "x", "a:NoSchedule")
    finally:
        knarr.run("delete", "node", node)


def editor(directory: Path, program: str) -> str:
    """An editor that changes its file by a program of sed."""
    script = directory / "editor"
    script.write_text(f"#!/bin/sh\nexec sed -i '{program}' \"$1\"\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


def test_editing(knarr):
    knarr.ok("apply", "-f", "-", stdin=CONFIG)
    change = editor(knarr.directory, "s/colour: blue/colour: red/")
    done = knarr.run("edit", "cm", "settings", KUBE_EDITOR=change)
    assert (done.returncode, done.stdout) == (0, "configmap/settings edited\n")
    assert knarr.json("get", "cm", "settings")["data"] == {"colour": "red"}
    again = knarr.run("edit", "cm/settings", EDITOR=change)
    assert (again.returncode, again.stderr) == (0, "Edit cancelled, no changes made.\n")
    wrong = knarr.run("edit", "cm", "settings", KUBE_EDITOR=editor(knarr.directory, "s/^data:/datas:/"))
    assert wrong.returncode == 1
    assert "unknown field" in wrong.stderr and "no valid changes were saved" in wrong.stderr
    Path(wrong.stderr.strip().rpartition(" ")[2]).unlink()
    missing = knarr.run("edit", "cm", "settings", KUBE_EDITOR="/nonexistent/editor")
    assert missing.returncode == 1 and "/nonexistent/editor" in missing.stderr


def test_replacing(knarr):
    assert 'configmaps "settings" not found' in knarr.fails("replace", "-f", "-", stdin=CONFIG)
    knarr.ok("create", "-f", "-", stdin=CONFIG)
    assert knarr.ok("replace", "-f", "-", stdin=CONFIG.replace("blue", "red")) == "configmap/settings replaced\n"
    live = knarr.json("get", "cm", "settings")
    assert live["data"] == {"colour": "red"}
    live["metadata"]["resourceVersion"] = "1"
    assert "the object has been modified" in knarr.fails("replace", "-f", "-", stdin=json.dumps(live))
    assert knarr.ok("replace", "--force", "-f", "-", stdin=CONFIG).splitlines() == [
        f'configmap "settings" deleted from {knarr.namespace} namespace',
        "configmap/settings replaced",
    ]
    assert knarr.json("get", "cm", "settings")["metadata"]["uid"] != live["metadata"]["uid"]


def test_what_cannot_be_changed_is_made_anew_by_force(knarr):
    apply = ("apply", "--force", "-f", "-")
    assert knarr.ok(*apply, stdin=DEPLOYMENT) == "deployment.apps/web created\n"
    assert knarr.ok(*apply, stdin=DEPLOYMENT) == "deployment.apps/web unchanged\n"
    before = knarr.json("get", "deploy", "web")["metadata"]["uid"]
    other = DEPLOYMENT.replace("matchLabels: {app: web}", "matchLabels: {app: x}").replace(
        "    metadata: {labels: {app: web}}", "    metadata: {labels: {app: x}}"
    )
    assert "field is immutable" in knarr.fails("apply", "-f", "-", stdin=other)
    wrong = other.replace("name: log", "name: main")
    assert "Duplicate value" in knarr.fails(*apply, stdin=wrong)
    assert knarr.json("get", "deploy", "web")["metadata"]["uid"] == before, "nothing goes that could not come back"
    assert knarr.ok(*apply, stdin=other) == "deployment.apps/web configured\n"
    live = knarr.json("get", "deploy", "web")
    assert live["metadata"]["uid"] != before
    assert live["spec"]["selector"] == {"matchLabels": {"app": "x"}}
    assert knarr.ok("apply", "-f", "-", stdin=other) == "deployment.apps/web unchanged\n", (
        "what was applied is recorded"
    )
    stale = CONFIG.replace("name: settings", 'name: settings, resourceVersion: "1"')
    knarr.ok("apply", "-f", "-", stdin=CONFIG)
    assert "the object has been modified" in knarr.fails("apply", "-f", "-", stdin=stale)
    assert knarr.ok(*apply, stdin=stale) == "configmap/settings configured\n"
    assert "--server-side cannot be used with --force" in knarr.fails(*apply, "--server-side", stdin=CONFIG)
    assert "--dry-run=server cannot be used with --force" in knarr.fails(*apply, "--dry-run=server", stdin=CONFIG)


def test_setting_what_a_service_selects(knarr):
    knarr.ok("create", "service", "clusterip", "web", "--tcp", "80")
    assert knarr.ok("set", "selector", "service", "web", "app=web,tier=front") == "service/web selector updated\n"
    assert knarr.ok("set", "selector", "svc/web", "app=shop") == "service/web selector updated\n"
    live = knarr.json("get", "svc", "web")
    assert live["spec"]["selector"] == {"app": "shop"}
    assert knarr.ok("set", "selector", "svc/web", "app=shop") == ""
    stale = ("set", "selector", "svc/web", "app=b", "--resource-version", "1")
    assert "the object has been modified" in knarr.fails(*stale)
    knarr.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    assert "only supported for Services" in knarr.fails("set", "selector", "deploy/web", "app=shop")
    assert "KEY=VALUE" in knarr.fails("set", "selector", "svc/web", "app in (a)")


def test_setting_images_variables_and_resources(knarr):
    knarr.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    assert knarr.ok("set", "image", "deploy/web", "main=shop:2") == "deployment.apps/web image updated\n"
    assert knarr.ok("set", "image", "deploy/web", "main=shop:2") == ""
    assert 'unable to find container named "x"' in knarr.fails("set", "image", "deploy/web", "x=a")
    knarr.ok("set", "env", "deploy/web", "-c", "main", "A=1", "B=2")
    assert knarr.ok("set", "env", "deploy/web", "-c", "main", "A-") == "deployment.apps/web env updated\n"
    knarr.ok("apply", "-f", "-", stdin=CONFIG)
    knarr.ok("set", "env", "deploy/web", "-c", "log", "--from=configmap/settings", "--prefix=APP_")
    listed = knarr.ok("set", "env", "deploy/web", "--list").splitlines()
    assert listed == [
        "# deployment.apps/web, container main",
        "B=2",
        "# deployment.apps/web, container log",
        "# APP_COLOUR from configmap settings, key colour",
    ]
    out = knarr.ok("set", "resources", "deploy", "web", "-c", "main", "--limits", "cpu=200m,memory=64Mi")
    assert out == "deployment.apps/web resource requirements updated\n"
    main, log = containers(knarr)
    assert (main["image"], main["resources"]["limits"]) == ("shop:2", {"cpu": "200m", "memory": "64Mi"})
    assert not log.get("resources")


def test_autoscale(knarr):
    knarr.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    out = knarr.ok("autoscale", "deploy", "web", "--min", "2", "--max", "5", "--cpu-percent", "80")
    assert out == "horizontalpodautoscaler.autoscaling/web autoscaled\n"
    assert knarr.json("get", "hpa", "web")["spec"]["maxReplicas"] == 5
    assert "must be larger or equal" in knarr.fails("autoscale", "deploy", "web", "--min", "3", "--max", "2")
    assert 'deployments.apps "none" not found' in knarr.fails("autoscale", "deploy", "none", "--max", "2")


def test_who_changed_what_is_recorded(knarr):
    knarr.ok("create", "-f", "-", stdin=DEPLOYMENT)
    knarr.ok("scale", "deploy/web", "--replicas", "0")
    knarr.ok("label", "deploy", "web", "a=b")
    entries = knarr.json("get", "deploy", "web", "--show-managed-fields")["metadata"]["managedFields"]
    found = {(entry["manager"], entry.get("subresource", "")) for entry in entries}
    assert {("knarr-create", ""), ("knarr-label", "")} <= found


def test_unknown_fields_are_dropped_where_that_is_wanted(knarr):
    odd = CONFIG + "datas: {}\n"
    assert "unknown field" in knarr.fails("apply", "-f", "-", stdin=odd)
    done = knarr.run("apply", "--validate=warn", "-f", "-", stdin=odd)
    assert (done.returncode, done.stderr) == (0, 'Warning: unknown field "datas"\n')
    assert knarr.run("apply", "--validate=ignore", "-f", "-", stdin=odd).stderr == ""
