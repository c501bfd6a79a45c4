"""Patches of containers: what `set` makes of its words."""

from __future__ import annotations

from typing import Any

import pytest

from knarr_api import kinds, shapes
from knarr_api.errors import Invalid
from knarr_api.types.apps_v1 import Deployment
from knarr_cli import podtemplates
from knarr_cli.commands.applying import was_applied
from knarr_cli.commands.autoscaling import autoscaler, usage
from knarr_cli.commands.diffing import difference, masked
from knarr_cli.commands.editing import difference as edited
from knarr_cli.selecting import Target
from knarr_cli.taints import TaintChange, tainted
from knarr_controlplane.registry import strategic_patch

DEPLOYMENT, POD, CRON_JOB = kinds.lookup("deployments"), kinds.lookup("pods"), kinds.lookup("cronjobs")
CONFIG, SECRET = kinds.lookup("configmaps"), kinds.lookup("secrets")


def document(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web"}, "spec": {"template": {"spec": {"containers": list(containers), **spec}}}}


def patched(before: dict[str, Any], patch: dict[str, Any]) -> list[Any]:
    result = strategic_patch.patched(before, patch, shapes.of(Deployment))
    containers: list[Any] = result["spec"]["template"]["spec"]["containers"]
    return containers


WEB = document({"name": "main", "image": "a:1", "env": [{"name": "A", "value": "1"}]}, {"name": "log", "image": "b:1"})


def test_an_image_of_one_container() -> None:
    patch = podtemplates.images(DEPLOYMENT, WEB, {"log": "b:2"})
    assert patch == {"spec": {"template": {"spec": {"containers": [{"name": "log", "image": "b:2"}]}}}}
    assert [container["image"] for container in patched(WEB, patch)] == ["a:1", "b:2"]


def test_the_same_image_is_no_change() -> None:
    assert podtemplates.images(DEPLOYMENT, WEB, {"main": "a:1"}) == {}


def test_all_images_and_those_of_init_containers() -> None:
    init = document({"name": "main", "image": "a"}, initContainers=[{"name": "first", "image": "a"}])
    inner = podtemplates.images(DEPLOYMENT, init, {"*": "c"})["spec"]["template"]["spec"]
    assert {name: items[0]["image"] for name, items in inner.items()} == {"containers": "c", "initContainers": "c"}


def test_a_container_that_is_not_there() -> None:
    with pytest.raises(Invalid, match='unable to find container named "x"'):
        podtemplates.images(DEPLOYMENT, WEB, {"x": "a"})
    with pytest.raises(Invalid, match="have no containers"):
        podtemplates.path_of(CONFIG)


def test_where_pods_are_made() -> None:
    assert podtemplates.path_of(POD) == "spec"
    assert podtemplates.path_of(CRON_JOB) == "spec.jobTemplate.spec.template.spec"


def test_variables_are_set_changed_and_removed() -> None:
    given, removed = podtemplates.variables(["B=2", "EMPTY=", "A-"])
    entries = [{"name": name, "value": value} for name, value in given.items()]
    chosen = podtemplates.matching("main", DEPLOYMENT, WEB)
    patch = podtemplates.environment(DEPLOYMENT, WEB, chosen, entries, removed)
    main, log = patched(WEB, patch)
    assert main["env"] == [{"name": "B", "value": "2"}, {"name": "EMPTY", "value": ""}]
    assert "env" not in log


def test_a_variable_from_elsewhere_loses_its_value() -> None:
    entries = podtemplates.from_keys("ConfigMap", "c", ["a.b-c"], "P_")
    assert entries == [{"name": "P_A_B_C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "a.b-c"}}}]
    taken = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "a"}}}]
    patch = podtemplates.environment(DEPLOYMENT, WEB, lambda name: name == "main", taken, ())
    assert patched(WEB, patch)[0]["env"] == taken


def test_what_is_set_already_stays_where_it_must() -> None:
    entries = [{"name": "A", "value": "2"}]
    with pytest.raises(Invalid, match=r"'A' already has a value \(1\)"):
        podtemplates.environment(DEPLOYMENT, WEB, lambda _: True, entries, (), overwrite=False)


@pytest.mark.parametrize("words", [["A"], ["=x"], ["-"], ["A=1", "A-"]])
def test_words_that_are_no_variables(words: list[str]) -> None:
    with pytest.raises(Invalid):
        podtemplates.variables(words)


def test_resources_that_are_not_named_stay() -> None:
    before = document({"name": "main", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}})
    wanted = podtemplates.quantities("cpu=2", "--limits")
    patch = podtemplates.resources(DEPLOYMENT, before, lambda _: True, wanted, {})
    assert patched(before, patch)[0]["resources"] == {"limits": {"cpu": "2", "memory": "1Gi"}}
    for text in ("cpu", "cpu=", "=1", "cpu=1,cpu=2"):
        with pytest.raises(Invalid):
            podtemplates.quantities(text, "--limits")


# Taints


def test_taints_are_added_changed_and_removed() -> None:
    present = [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoExecute"}]
    added, word = tainted("n1", present, TaintChange.parse(["b=1:NoSchedule"]), False)
    assert (added[-1], word) == ({"key": "b", "value": "1", "effect": "NoSchedule"}, "tainted")
    assert tainted("n1", present, TaintChange.parse(["a-"]), False) == ([], "untainted")
    assert tainted("n1", present, TaintChange.parse(["a:NoExecute-"]), False)[0] == present[:1]
    assert tainted("n1", present, TaintChange.parse(["a:NoExecute-", "b:NoExecute"]), False)[1] == "modified"
    changed, _ = tainted("n1", present, TaintChange.parse(["a=2:NoSchedule"]), True)
    assert {"key": "a", "value": "2", "effect": "NoSchedule"} in changed and len(changed) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a=1:NoSchedule"], r"node n1 already has a taint\(s\) with same effect\(s\) and --overwrite is false"),
        (["x-"], 'taint "x" not found'),
        (["x:NoExecute-"], 'taint "x:NoExecute" not found'),
        (["a=1"], "expected KEY"),
        (["a:Sometimes"], "invalid taint effect: Sometimes"),
        (["-a:NoSchedule"], "invalid taint spec"),
        (["a:NoSchedule", "a=1:NoSchedule"], "duplicated taints"),
        (["a:NoSchedule", "a-"], "can not both modify and remove"),
        ([], "at least one taint update is required"),
    ],
)
def test_taints_that_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        tainted("n1", [{"key": "a", "effect": "NoSchedule"}], TaintChange.parse(words), False)


# Differences


def config(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "d"}, "data": data}


def test_a_difference_is_shown_in_yaml() -> None:
    lines = list(difference(CONFIG, config(a="1"), config(a="2")))
    assert lines[0] == "diff -u -N LIVE/v1.ConfigMap.d.c MERGED/v1.ConfigMap.d.c"
    assert '-  a: "1"' in lines and '+  a: "2"' in lines
    assert list(difference(CONFIG, config(a="1"), config(a="1"))) == []
    assert '+  a: "1"' in list(difference(CONFIG, None, config(a="1")))


def test_revisions_records_and_owners_are_no_difference() -> None:
    live = config(a="1")
    live["metadata"] = {**live["metadata"], "resourceVersion": "7", "managedFields": [{"manager": "x"}]}
    assert list(difference(CONFIG, live, config(a="1"))) == []
    assert list(difference(CONFIG, live, config(a="1"), managed=True)) != []


def test_secrets_show_that_they_change_but_not_what_to() -> None:
    live, merged = config(a="c2VjcmV0", b="same"), config(a="bmV3", b="same")
    lines = list(difference(SECRET, live, merged))
    assert "-  a: '*** (before)'" in lines and "+  a: '*** (after)'" in lines
    assert not any("c2VjcmV0" in line or "bmV3" in line or "same" in line for line in lines)
    assert masked(None, merged)[1]["data"] == {"a": "***", "b": "***"}


def test_an_edit_becomes_the_smallest_patch() -> None:
    before = {"a": {"b": 1, "c": 2, "l": [1]}, "x": 1}
    assert edited(before, {"a": {"b": 1, "c": 3, "l": [1, 2]}}) == {"x": None, "a": {"c": 3, "l": [1, 2]}}
    assert edited(before, before) == {}


def test_only_what_was_applied_is_pruned() -> None:
    record = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    applied = [{"manager": "knarr", "operation": "Apply"}]
    assert was_applied({"metadata": {"annotations": record}}, "x")
    assert was_applied({"metadata": {"managedFields": applied}}, "knarr")
    assert not was_applied({"metadata": {"managedFields": applied}}, "other")
    assert not was_applied({"metadata": {"annotations": record, "deletionTimestamp": "t"}}, "x")


def test_an_autoscaler_names_what_it_scales() -> None:
    made = autoscaler(Target(kind=DEPLOYMENT, name="web", namespace="d"), "busy", 2, 5, [usage("cpu", "80%")])
    assert made["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    assert made["spec"]["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}
