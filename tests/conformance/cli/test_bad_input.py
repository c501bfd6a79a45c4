"""Whatever is wrong: one screen that says what, where and what to do; a status that is not 0; nothing changed."""

from __future__ import annotations

import asyncio
import datetime
import re
import socket
from dataclasses import replace

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SCREEN_LINES = 24
GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n---\n"
DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: main
          image: shop:1
"""
MALFORMED = [
    (GOOD + "kind: [a\n", "<stdin>:6:1: not YAML"),
    (GOOD + "a:\n\t- b\n", "<stdin>:6:1: not YAML"),
    (GOOD + "a: 1\nb: 2\na: 3\n", '<stdin>:7:1: key "a" is there twice'),
    (GOOD + "kind: Pod\n", "<stdin>:5:1: apiVersion: Required value"),
    (GOOD + "- a\n", "<stdin>:5:1: expected an object"),
    ("\0", "not YAML"),
    ("", "no objects found"),
    (GOOD + "apiVersion: v1\nkind: Pood\nmetadata: {name: x}\n", "did you mean Pod"),
    (GOOD + "apiVersion: v1\nkind: Deployment\nmetadata: {name: x}\n", "Deployment is in apps/v1"),
    (GOOD + DEPLOYMENT.replace("image:", "imagee:"), "<stdin>:16:11: spec.template.spec.containers[0].imagee"),
    (GOOD + DEPLOYMENT.replace("replicas: 0", "replicas: none"), "<stdin>:9:3: spec.replicas: expected integer"),
    (GOOD + DEPLOYMENT + "          resources: {limits: {cpu: 1 core}}\n", "<stdin>:17:32: spec.template.spec"),
    (
        GOOD + DEPLOYMENT + "          resources: {limits: {cpu: 1 core}}\n",
        'limits[cpu]: Invalid value: quantity "1 core"',
    ),
    (GOOD + "b: " + "[" * 100_000, "nested deeper"),
]
REFUSED = [
    (DEPLOYMENT.replace("{name: web}", "{name: Web_1}"), "<stdin>:3:12: ", 'metadata.name: Invalid value: "Web_1"'),
    (DEPLOYMENT.replace("replicas: 0", "replicas: -1"), "<stdin>:5:3: ", "must be greater than or equal to 0"),
    (DEPLOYMENT.replace("labels: {app: web}", "labels: {app: other}"), "<stdin>:8:16: ", "does not match template"),
    (DEPLOYMENT.replace("labels: {app: web}", "labels: {app: web, a b: c}"), "<stdin>:8:16: ", "Invalid value"),
    (DEPLOYMENT + "          imagePullPolicy: Perhaps\n", "<stdin>:13:11: ", "supported values"),
    (DEPLOYMENT.replace("{name: web}", "{name: web, namespace: elsewhere}"), "<stdin>:1:1: ", "pass --namespace"),
]
WORDS = [
    (("get", "pood"), 1, "did you mean"),
    (("get", "pods", "-o", "jsonpaht={.x}"), 1, "jsonpath=…"),
    (("get", "pods", "-o", "jsonpath={.items[}"), 1, "jsonpath"),
    (("get", "pods", "-l", "app in"), 1, "label selector"),
    (("get", "pods", "--field-selector", "nonsense"), 1, "field selector"),
    (("get", "pod/a", "pods"), 1, "KIND/NAME throughout"),
    (("get",), 1, "You must specify the type of resource"),
    (("gett", "pods"), 2, "did you mean get"),
    (("get", "pods", "--all-namespace"), 2, "--all-namespaces"),
    (("delete", "pods"), 1, "give names, -l or --all"),
    (("delete", "cm", "missing"), 1, 'configmaps "missing" not found'),
    (("apply",), 2, "-f"),
    (("apply", "-f", "missing.yaml"), 1, "missing.yaml: the path does not exist"),
    (("scale", "deploy/web", "--replicas", "-1"), 2, "x>=0"),
    (("scale", "cm/x", "--replicas", "1"), 1, "only deployments"),
    (("wait", "pod/x", "--for", "Ready"), 1, "condition=NAME"),
    (("wait", "pod/x", "--for=delete", "--timeout", "soon"), 1, "like 10s"),
    (("patch", "cm", "x", "-p", "[1]"), 1, "must be an object"),
    (("patch", "cm", "x", "-p", "[" * 5000), 1, "nested deeper"),
    (("patch", "cm", "x"), 1, "must specify one of --patch and --patch-file"),
    (("patch", "cm", "x", "--type", "json", "-p", "{}"), 1, "must be a list of operations"),
    (("patch", "cm", "x", "--type", "odd", "-p", "{}"), 2, "'strategic'"),
    (("patch", "cm", "x", "--patch-file", "missing"), 1, "missing: cannot be read"),
    (("apply", "-f", "-", "--force-conflicts"), 1, "only works with --server-side"),
    (("apply", "-f", "-", "--prune"), 1, "pass --all, or a label selector"),
    (("apply", "-f", "-", "--prune", "--all", "--prune-allowlist", "Pod"), 1, "nothing was changed"),
    (("diff",), 2, "-f"),
    (("diff", "-f", "missing.yaml"), 2, "missing.yaml: the path does not exist"),
    (("replace", "-f", "missing.yaml"), 1, "missing.yaml: the path does not exist"),
    (("edit", "cm"), 1, "name the object"),
    (("edit", "cm", "none"), 1, 'configmaps "none" not found'),
    (("taint", "nodes", "x"), 1, "at least one taint update is required"),
    (("taint", "nodes", "x", "a=b:Sometimes"), 1, "invalid taint effect"),
    (("set", "image", "deploy/x"), 1, "at least one image update is required"),
    (("set", "env", "deploy/x", "--from", "pod/x"), 1, "must be configmap/NAME or secret/NAME"),
    (("set", "resources", "deploy/x"), 1, "--requests/--limits"),
    (("set", "image", "cm/x", "a=b"), 1, "not found"),
    (("autoscale", "deploy", "x"), 2, "--max"),
    (("autoscale", "cm", "x", "--max", "2"), 1, "have no scale"),
    (("label", "cm", "x"), 1, "KEY=VALUE"),
    (("rollout", "undo", "deploy/none"), 1, "not found"),
    (("rollout", "status", "cm/x"), 1, "only deployments"),
    (("logs", "none"), 1, "not found"),
    (("drain", "none"), 1, "not found"),
    (("image", "ls"), 1, "knarr up"),
    (("--context", "other", "get", "pods"), 1, 'has no "other"'),
    (("get", "pods", "--request-timeout", "x"), 1, "like 10s"),
    (("--kubeconfig", "missing", "get", "pods"), 1, "no such kubeconfig"),
]


def one_screen(done, said: str) -> None:
    assert said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= SCREEN_LINES


@pytest.mark.parametrize(("text", "said"), MALFORMED)
def test_nothing_is_sent_when_a_document_is_malformed(admin, text, said):
    done = admin.run("apply", "-f", "-", stdin=text)
    assert done.returncode == 1 and done.stdout == ""
    one_screen(done, said)
    assert "nothing was changed" in done.stderr


@pytest.mark.parametrize(("text", "place", "said"), REFUSED)
def test_what_the_api_refuses_is_named_with_its_place(admin, text, place, said):
    done = admin.run("apply", "-f", "-", stdin=text)
    assert done.returncode == 1 and done.stdout == ""
    one_screen(done, said)
    assert place in done.stderr


@pytest.mark.parametrize(("words", "status", "said"), WORDS)
def test_wrong_words(admin, words, status, said):
    done = admin.run(*words)
    assert done.returncode == status, done.stderr
    one_screen(done, said)


def test_the_others_are_done_and_the_summary_says_which(knarr):
    bad = DEPLOYMENT.replace("replicas: 0", "replicas: -1").replace("app: web}}\n  t", "app: w}}\n  t")
    other = GOOD.replace("good", "other").removesuffix("---\n")
    done = knarr.run("apply", "-f", "-", stdin=f"{GOOD}{bad}---\n{other}")
    assert done.returncode == 1
    assert done.stdout == "configmap/good created\nconfigmap/other created\n"
    assert re.search(r"^  <stdin>:9:3: spec\.replicas: Invalid value: -1", done.stderr, re.MULTILINE)
    assert done.stderr.endswith("2 of 3 objects done; failed: deployment.apps/web\n")


def test_immutable_fields_stay(knarr):
    knarr.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    done = knarr.run("apply", "-f", "-", stdin=DEPLOYMENT.replace("app: web", "app: other"))
    assert done.returncode == 1
    one_screen(done, "field is immutable")
    assert knarr.json("get", "deploy", "web")["spec"]["selector"] == {"matchLabels": {"app": "web"}}


def test_when_the_api_goes_away_the_rest_is_named(cluster, tmp_path):
    away = elsewhere(cluster, tmp_path, server="https://127.0.0.1:1")
    done = away.run("apply", "-f", "-", stdin=GOOD + DEPLOYMENT)
    assert done.returncode == 1
    one_screen(done, "0 of 2 objects done; failed: configmap/good; not tried: deployment.apps/web")
    assert "start a cluster with 'knarr up'" in done.stderr


def test_an_api_that_does_not_answer(cluster, tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        away = elsewhere(cluster, tmp_path, server=f"https://127.0.0.1:{silent.getsockname()[1]}")
        done = away.run("get", "pods", "--request-timeout", "1s")
    assert done.returncode == 1
    one_screen(done, "")
    assert "--request-timeout" in done.stderr or "knarr up" in done.stderr


def test_the_kubeconfig_of_another_cluster(cluster, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "other")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    other = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (tmp_path / "other.pem").write_bytes(other)
    done = elsewhere(cluster, tmp_path, ca=str(tmp_path / "other.pem")).run("get", "pods")
    assert done.returncode == 1
    one_screen(done, "of another cluster")


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "not YAML: line 2"), ("[]", "a kubeconfig is a mapping"), ("{}", "current-context")]
)
def test_a_broken_kubeconfig_is_named(cluster, tmp_path, text, said):
    (tmp_path / "broken").write_text(text)
    done = replace(cluster, kubeconfig=tmp_path / "broken").run("get", "pods")
    assert done.returncode == 1
    one_screen(done, said)
    assert str(tmp_path / "broken") in done.stderr


def test_no_kubeconfig_at_all(cluster, tmp_path):
    done = cluster.run("get", "pods", KUBECONFIG="", HOME=str(tmp_path))
    assert done.returncode == 1
    one_screen(done, "knarr up")


def elsewhere(cluster, tmp_path, *, server: str = "", ca: str = ""):
    """The command with a kubeconfig that differs in one thing."""
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    target = document["clusters"][0]["cluster"]
    if server:
        target["server"] = server
    if ca:
        target.pop("certificate-authority-data", None)
        target["certificate-authority"] = ca
    path = tmp_path / "elsewhere.kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return replace(cluster, kubeconfig=path)


@pytest.fixture(scope="module")
def admin(admin_kubeconfig, tmp_path_factory, runner):
    """One namespace for all that must change nothing; looked at when they are through."""
    runner(kubeconfig=admin_kubeconfig).make_namespace("untouched")
    own = runner(kubeconfig=admin_kubeconfig, namespace="untouched", directory=tmp_path_factory.mktemp("bad"))
    before = asyncio.run(own.state())
    assert "namespaces/untouched" in before
    yield own
    assert {name for name in asyncio.run(own.state()) if not name.startswith("namespaces/")} == {
        name for name in before if not name.startswith("namespaces/")
    }
