"""Options and sentences that users of kubectl know, one command at a time."""

from __future__ import annotations

import json

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web, tier: front}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: main, image: "shop:1"}]
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"


def made(knarr):
    knarr.ok("create", "-f", "-", stdin=DEPLOYMENT)


def test_rollouts_are_paused_once(knarr):
    made(knarr)
    assert knarr.ok("rollout", "pause", "deploy/web") == "deployment.apps/web paused\n"
    assert knarr.fails("rollout", "pause", "deploy/web") == 'error: deployments.apps "web" is already paused\n'
    refused = knarr.fails("rollout", "restart", "deploy", "-l", "app=web")
    assert refused == ('error: deployments.apps "web" can\'t restart paused deployment (run rollout resume first)\n')
    assert knarr.ok("rollout", "resume", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web resumed\n"
    assert knarr.fails("rollout", "resume", "deploy/web") == 'error: deployments.apps "web" is not paused\n'
    assert knarr.ok("rollout", "restart", "deploy") == "deployment.apps/web restarted\n"


def test_scale(knarr):
    made(knarr)
    before = knarr.json("get", "deploy", "web")["metadata"]["resourceVersion"]
    for how, said in (("client", " (dry run)"), ("server", " (server dry run)")):
        out = knarr.ok("scale", "deploy", "--all", "--replicas=0", f"--dry-run={how}")
        assert out == f"deployment.apps/web scaled{said}\n"
    assert knarr.json("get", "deploy", "web")["metadata"]["resourceVersion"] == before
    assert "object has been modified" in knarr.fails("scale", "deploy/web", "--replicas=0", "--resource-version=1")
    assert knarr.ok("scale", "-f", "-", "--replicas=0", "--timeout=5s", stdin=DEPLOYMENT) == (
        "deployment.apps/web scaled\n"
    )
    wrong = knarr.fails("scale", "deploy/web", "--current-replicas=3", "--replicas=1")
    assert wrong == "error: Expected replicas to be 3, was 0\n"


def test_wait(knarr):
    made(knarr)
    said = "error: timed out waiting for the condition on deployments/web\n"
    assert knarr.fails("wait", "--for=condition=Never", "deploy", "--all", "--timeout=0.5s") == said
    assert knarr.ok("wait", "--for=jsonpath={.spec.replicas}=0", "-f", "-", stdin=DEPLOYMENT) == (
        "deployment.apps/web condition met\n"
    )
    knarr.ok("wait", "--for=delete", "deploy", "-l", "app=none")


def test_labels_and_annotations(knarr):
    made(knarr)
    assert knarr.ok("label", "deploy/web", "none-") == 'label "none" not found.\ndeployment.apps/web not labeled\n'
    assert knarr.ok("label", "-f", "-", "a=b", stdin=DEPLOYMENT) == "deployment.apps/web labeled\n"
    knarr.ok("annotate", "deploy/web", "a=b", "kubernetes.io/change-cause=first")
    assert knarr.fails("annotate", "deploy/web", "a=c") == (
        "error: --overwrite is false but found the following declared annotation(s): 'a' already has a value (b)\n"
    )
    knarr.ok("annotate", "deploy/web", "kubernetes.io/change-cause=second")
    assert json.loads(knarr.ok("annotate", "deploy", "--field-selector=metadata.name=web", "x=y", "-o", "json"))


def test_columns_of_labels(knarr):
    made(knarr)
    header, row = knarr.ok("get", "deploy", "-L", "tier,none").splitlines()
    assert header.split()[-2:] == ["TIER", "NONE"]
    assert row.split()[-1] == "front"
    assert knarr.ok("get", "-f", "-", "-o", "name", stdin=DEPLOYMENT) == "deployment.apps/web\n"
    for number in range(5):
        knarr.ok("create", "cm", f"c{number}")
    assert len(knarr.ok("get", "cm", "--chunk-size=2", "--no-headers").splitlines()) == 6


def test_nodes_are_chosen_by_label(cluster):
    node = "kubectl-words"
    labels = f"{{name: {node}, labels: {{spare: {node}}}}}"
    cluster.ok("create", "-f", "-", stdin=f"apiVersion: v1\nkind: Node\nmetadata: {labels}\n")
    assert cluster.ok("cordon", "-l", f"spare={node}", "--dry-run=server") == f"node/{node} cordoned (server dry run)\n"
    assert cluster.ok("drain", node, "--dry-run") == f"node/{node} cordoned (dry run)\nnode/{node} drained (dry run)\n"
    assert "unschedulable" not in cluster.json("get", "node", node)["spec"]
    assert cluster.ok("taint", "nodes", node, "a=b:NoSchedule", "--overwrite") == f"node/{node} modified\n"
    cluster.ok("delete", "node", node)


def test_what_the_api_knows(cluster):
    rows = cluster.ok("api-resources", "--api-group=autoscaling", "--no-headers").split()
    assert rows == ["horizontalpodautoscalers", "hpa", "autoscaling/v2", "true", "HorizontalPodAutoscaler"]
    assert "deployments.apps" in cluster.ok("api-resources", "-o", "name", "--namespaced=true").splitlines()
    assert "autoscaling/v1" in cluster.ok("api-versions").splitlines()
    explained = cluster.ok("explain", "deploy.spec.strategy", "--recursive")
    assert "FIELD: strategy <DeploymentStrategy>" in explained
    assert "    maxSurge\t<IntOrString>" in explained
    assert cluster.fails("explain", "pod.spec.nope") == 'error: field "nope" does not exist\n'
    assert "knarr-admin" in cluster.ok("auth", "whoami")
    assert cluster.ok("auth", "can-i", "delete", "deploy/web") == "yes\n"
    assert cluster.ok("auth", "can-i", "create", "pods", "-q") == ""
    asked = ("--as", "system:node:n1", "--as-group", "system:nodes")
    refused = cluster.run("auth", "can-i", "create", "secrets", *asked)
    assert (refused.returncode, refused.stdout.startswith("no - ")) == (1, True), refused.stdout
    assert cluster.ok("auth", "can-i", "list", "nodes", *asked) == "yes\n"
    assert cluster.ok("auth", "can-i", "list", "pods", "--field-selector", "spec.nodeName=n1", *asked) == "yes\n"
    assert cluster.run("auth", "can-i", "get", "pods/status", "--as", "somebody").returncode == 1
    assert cluster.run("auth", "can-i", "get", "/healthz", "--as", "somebody").stdout == "no\n"
    assert "doesn't have a resource type" in cluster.run("auth", "can-i", "get", "wigits").stderr
    everything = cluster.run("auth", "can-i", "*", "*")
    assert (everything.stdout, everything.stderr) == ("yes\n", "")


def test_an_autoscaler_of_v1_is_applied(knarr):
    target = "{apiVersion: apps/v1, kind: Deployment, name: web}"
    manifest = (
        "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\n"
        f"spec: {{scaleTargetRef: {target}, maxReplicas: 4, targetCPUUtilizationPercentage: 60}}\n"
    )
    assert knarr.ok("apply", "-f", "-", stdin=manifest).endswith("web created\n")
    assert knarr.ok("apply", "-f", "-", stdin=manifest).endswith("web unchanged\n")
    assert knarr.run("diff", "-f", "-", stdin=manifest).returncode == 0
    assert knarr.ok("apply", "-f", "-", stdin=manifest.replace("60", "70")).endswith("web configured\n")
    assert knarr.ok("apply", "--server-side", "-f", "-", stdin=manifest.replace("60", "80")).endswith("applied\n")
    metrics = knarr.json("get", "hpa", "web")["spec"]["metrics"]
    assert [metric["resource"]["target"]["averageUtilization"] for metric in metrics] == [80]


def test_what_was_applied_last(knarr):
    knarr.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    shown = knarr.ok("apply", "view-last-applied", "deploy/web", "-o", "json")
    assert json.loads(shown)["spec"]["replicas"] == 0
    more = DEPLOYMENT.replace("replicas: 0", "replicas: 1")
    assert knarr.ok("apply", "set-last-applied", "-f", "-", stdin=more) == "deployment.apps/web configured\n"
    assert json.loads(knarr.ok("apply", "view-last-applied", "deploy", "web", "-o", "json"))["spec"]["replicas"] == 1
    assert knarr.json("get", "deploy", "web")["spec"]["replicas"] == 0, "only the record changes"
    knarr.ok("create", "-f", "-", stdin=CONFIG)
    said = "no last-applied-configuration annotation found on resource: settings"
    assert said in knarr.fails("apply", "view-last-applied", "cm/settings")
    assert said in knarr.fails("apply", "set-last-applied", "-f", "-", stdin=CONFIG)


def test_columns_of_ones_own(knarr, tmp_path):
    made(knarr)
    assert knarr.ok("get", "deploy", "-o", "custom-columns=N:.metadata.name", "--no-headers") == "web\n"
    (tmp_path / "columns").write_text("NAME TIER\n.metadata.name .metadata.labels.tier\n")
    assert knarr.ok("get", "deploy", "-o", "custom-columns-file=columns").split() == ["NAME", "TIER", "web", "front"]
    assert json.loads(knarr.ok("get", "deploy", "-o", "jsonpath-as-json={.items[*].metadata.name}")) == ["web"]


def test_autoscalers_by_amounts(knarr):
    made(knarr)
    knarr.ok("autoscale", "deploy/web", "--max=5", "--cpu=500m", "--memory=60%")
    metrics = knarr.json("get", "hpa", "web")["spec"]["metrics"]
    assert [each["resource"] for each in metrics] == [
        {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "500m"}},
        {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 60}},
    ]
    assert "must be like 80%" in knarr.fails("autoscale", "deploy/web", "--max=5", "--cpu=x%")


def test_names_beside_a_selector_are_refused(knarr):
    knarr.ok("create", "-f", "-", stdin=CONFIG)
    for words in (("-l", "app=other"), ("--field-selector=metadata.name=other",), ("--all",)):
        refused = knarr.fails("delete", "cm", "settings", *words)
        assert refused == "error: name cannot be provided when a selector is specified\n"
    assert "name cannot be provided" in knarr.fails("describe", "cm", "settings", "-l", "app=other")
    for words in (("get",), ("describe",), ("delete",)):
        refused = knarr.fails(*words, "cm", "settings", "-A")
        assert refused == "error: a resource cannot be retrieved by name across all namespaces\n"
    assert knarr.ok("get", "cm", "settings", "-o", "name") == "configmap/settings\n"
    assert knarr.ok("get", "ns", "default", "-A", "-o", "name") == "namespace/default\n"


def test_several_kinds_of_the_same_name(knarr):
    made(knarr)
    knarr.ok("create", "configmap", "web")
    assert knarr.ok("get", "deploy,cm", "web", "-o", "name") == "deployment.apps/web\nconfigmap/web\n"
    assert knarr.ok("delete", "deploy,cm", "web", "-o", "name") == "deployment.apps/web\nconfigmap/web\n"


def test_what_is_about_one_object_refuses_several(knarr):
    made(knarr)
    said = "error: name one object: KIND NAME or KIND/NAME\n"
    for verb in ("status", "history", "undo"):
        assert knarr.fails("rollout", verb, "deploy", "web", "other") == said
        assert knarr.fails("rollout", verb, "deploy,sts", "web") == said
    for about in ("pods,deploy", "pod"):
        assert knarr.fails("events", f"--for={about}") == said
    assert knarr.ok("get", "deploy,deploy", "web", "-o", "name") == "deployment.apps/web\n"


def test_empty_words_name_nothing(knarr):
    knarr.ok("create", "-f", "-", stdin=CONFIG)
    for verb in ("get", "describe", "delete"):
        assert knarr.fails(verb, "cm", "") == "error: resource name may not be empty\n"
        assert "You must specify the type of resource" in knarr.fails(verb, "")
    assert knarr.ok("get", "cm", "settings", "-o", "name") == "configmap/settings\n"


def test_values_of_short_options_after_an_equals_sign(knarr):
    made(knarr)
    assert knarr.ok("get", "deploy", "-o=name", "-l=app=web") == "deployment.apps/web\n"
    assert knarr.ok("get", "ns", f"-o=jsonpath={{.items[?(@.metadata.name=='{knarr.namespace}')].kind}}") == "Namespace"
    assert knarr.run("-n=none", "get", "deploy").stderr == "No resources found in none namespace.\n"


def test_templates_in_an_option_of_their_own(knarr):
    made(knarr)
    assert knarr.ok("get", "deploy", "web", "--template={{.metadata.name}}") == "web"
    assert knarr.ok("get", "deploy", "web", "-o", "go-template", "--template={{.kind}}") == "Deployment"
    assert knarr.ok("get", "deploy", "web", "-o=jsonpath", "--template={.kind}") == "Deployment"
    assert "unable to match a printer" in knarr.fails("get", "deploy", "web", "-o=json", "--template={.kind}")


def test_questions_about_what_is_not_known(knarr):
    done = knarr.run("auth", "can-i", "frob", "pods")
    assert (done.stdout, done.stderr) == ("yes\n", "Warning: verb 'frob' is not a known verb\n")
    assert not knarr.run("auth", "can-i", "deletecollection", "pods").stderr
    assert "give --as as well" in knarr.fails("auth", "can-i", "get", "pods", "--as-group=some")


def test_nothing_found_is_said_once_or_not_at_all(knarr):
    done = knarr.run("delete", "deploy,cronjobs,jobs", "--all")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "No resources found\n")
    done = knarr.run("get", "pod", "none", "--ignore-not-found")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert knarr.ok("get", "pod", "none", "--ignore-not-found", "-o", "json") == ""
    assert knarr.fails("apply", "-f", "-", "-l", "app=none", stdin=CONFIG) == "error: no objects passed to apply\n"


def test_a_wait_of_no_time_looks_once(knarr):
    made(knarr)
    waiting = ("wait", "deploy/web", "--timeout=0")
    assert knarr.ok(*waiting, "--for=jsonpath={.spec.replicas}=0") == "deployment.apps/web condition met\n"
    assert knarr.fails(*waiting, "--for=condition=Never") == "error: condition not met for deployments/web\n"


def test_types_of_events(knarr):
    assert knarr.fails("events", "--types=Strange") == "error: valid --types are Normal or Warning\n"
    assert knarr.run("events", "--types=Normal,warning").returncode == 0


def test_sorting_by_what_no_object_has(knarr):
    knarr.ok("create", "-f", "-", stdin=CONFIG)
    refused = knarr.fails("get", "cm", "--sort-by={.none}")
    assert refused == 'error: couldn\'t find any field with path "{.none}" in the list of objects\n'
    assert "settings" in knarr.ok("get", "cm", "--sort-by={.data}")


def test_yes_and_no_are_described_as_in_manifests(knarr):
    pod = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  schedulerName: none\n  containers:\n"
        "  - {name: c, image: a, env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}]}\n"
    )
    knarr.ok("create", "-f", "-", stdin=pod)
    described = knarr.ok("describe", "pod", "p")
    assert "A: <secretKeyRef=name=s key=k optional=true>\n" in described and "True" not in described
    spec = "{ports: [{port: 1}], publishNotReadyAddresses: true}"
    knarr.ok("create", "-f", "-", stdin=f"{{apiVersion: v1, kind: Service, metadata: {{name: s}}, spec: {spec}}}")
    described = knarr.ok("describe", "service", "s")
    assert "publishNotReadyAddresses: true\n" in described and "True" not in described


def test_why_leaves_out_what_happened_to_an_earlier_object_of_the_name(knarr):
    pod = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
        "spec: {containers: [{name: c, image: a}], nodeSelector: {a: b}}\n"
    )
    knarr.ok("create", "-f", "-", stdin=pod)
    knarr.ok("wait", "--for=condition=PodScheduled=False", "pod/p", "--timeout=20s")
    event = (
        "apiVersion: v1\nkind: Event\nmetadata: {name: e}\nreason: Told\nmessage: of the first\ntype: Warning\n"
        f"involvedObject: {{apiVersion: v1, kind: Pod, name: p, namespace: {knarr.namespace}, uid: UID}}\n"
    )
    uid = knarr.json("get", "pod", "p")["metadata"]["uid"]
    knarr.ok("create", "-f", "-", stdin=event.replace("UID", uid))
    assert "of the first" in knarr.ok("why", "p")
    knarr.ok("delete", "pod", "p", "--force")
    knarr.ok("create", "-f", "-", stdin=pod)
    assert "of the first" not in knarr.ok("why", "p")
