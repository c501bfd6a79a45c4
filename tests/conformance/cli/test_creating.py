"""``create`` from options, ``run`` and ``expose``: the objects that kubectl makes, in its words."""

from __future__ import annotations

import base64
import json

import pytest
import yaml


def test_objects_of_options(knarr, tmp_path):
    (tmp_path / "conf").write_text("a\nb\n")
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    (tmp_path / "env").write_text("# none\nONE=1\nTWO=two words\n")
    for words, said in (
        (("deployment", "web", "--image", "r.example/shop:1", "--replicas", "2"), "deployment.apps/web"),
        (("job", "once", "--image", "shop:1", "--", "report", "--all"), "job.batch/once"),
        (("cronjob", "nightly", "--image", "shop:1", "--schedule", "0 3 * * *"), "cronjob.batch/nightly"),
        (("job", "now", "--from=cronjob/nightly"), "job.batch/now"),
        (("cm", "files", "--from-literal=c=d", "--from-file", "conf", "--from-file=b=binary"), "configmap/files"),
        (("configmap", "env", "--from-env-file", "env"), "configmap/env"),
        (("secret", "generic", "s", "--from-literal=key=hidden"), "secret/s"),
        (("serviceaccount", "robot"), "serviceaccount/robot"),
        (("quota", "small", "--hard=pods=10,cpu=2"), "resourcequota/small"),
        (("pdb", "web", "--selector=app=web", "--min-available=50%"), "poddisruptionbudget.policy/web"),
    ):
        assert knarr.ok("create", *words) == f"{said} created\n"
    deployment = knarr.json("get", "deploy", "web")
    assert deployment["metadata"]["labels"] == deployment["spec"]["selector"]["matchLabels"] == {"app": "web"}
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert (container["name"], container["image"]) == ("shop", "r.example/shop:1")
    job = knarr.json("get", "job", "once")["spec"]["template"]["spec"]
    assert job["restartPolicy"] == "Never"
    assert job["containers"][0]["command"] == ["report", "--all"]
    assert knarr.json("get", "job", "now")["metadata"]["ownerReferences"][0]["name"] == "nightly"
    files = knarr.json("get", "cm", "files")
    assert files["data"] == {"c": "d", "conf": "a\nb\n"}
    assert files["binaryData"] == {"b": base64.b64encode(b"\xff\x00").decode()}
    assert knarr.json("get", "cm", "env")["data"] == {"ONE": "1", "TWO": "two words"}
    assert knarr.json("get", "pdb", "web")["spec"]["minAvailable"] == "50%"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("job", "x"), "either --image or --from must be specified"),
        (("pdb", "x", "--selector=a=b"), "one of min-available or max-unavailable must be specified"),
        (("cm", "x", "--from-literal=a"), "invalid literal source a, expected key=value"),
        (("cm", "x", "--from-literal=a=1", "--from-literal=a=2"), "another key by that name already exists"),
        (("token", "nobody"), 'serviceaccounts "nobody" not found'),
        (("token", "default", "--duration", "1s"), "may not specify a duration less than 10 minutes"),
        (("token", "default", "--bound-object-kind", "Pod"), "--bound-object-name is required"),
    ],
)
def test_what_is_refused(knarr, words, said):
    assert said in knarr.fails("create", *words)


def test_a_token(knarr):
    token = knarr.ok("create", "token", "default", "--duration", "2h", "--audience", "vault").strip()
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["aud"] == ["vault"]
    assert claims["exp"] - claims["iat"] == 7200
    assert claims["sub"] == f"system:serviceaccount:{knarr.namespace}:default"


def test_run(knarr):
    words = ("run", "web", "--image", "shop:1", "--env", "A=b", "--port", "80", "--labels", "app=web")
    made = yaml.safe_load(knarr.ok(*words, "--dry-run=client", "-o", "yaml", "--", "serve"))
    (container,) = made["spec"]["containers"]
    assert container["args"] == ["serve"]
    assert knarr.ok(*words, "--dry-run=server") == "pod/web created (server dry run)\n"
    assert knarr.ok(*words, "--command", "--overrides", '{"spec":{"schedulerName":"none"}}', "--", "serve") == (
        "pod/web created\n"
    )
    pod = knarr.json("get", "pod", "web")
    assert pod["metadata"]["labels"] == {"app": "web"}
    assert pod["spec"]["schedulerName"] == "none"
    assert pod["spec"]["containers"][0]["command"] == ["serve"]
    assert knarr.ok("expose", "pod", "web", "--name", "front", "--target-port", "http") == "service/front exposed\n"
    service = knarr.json("get", "svc", "front")["spec"]
    assert service["selector"] == {"app": "web"}
    assert service["ports"] == [{"protocol": "TCP", "port": 80, "targetPort": "http"}]


def test_texts_of_several_lines_are_blocks(knarr):
    knarr.ok("create", "cm", "text", "--from-literal", "page=one\ntwo\n")
    out = knarr.ok("get", "cm", "text", "-o", "yaml")
    assert "  page: |\n    one\n    two\n" in out
    assert yaml.safe_load(out)["data"] == {"page": "one\ntwo\n"}
    assert 'resourceVersion: "' in out
