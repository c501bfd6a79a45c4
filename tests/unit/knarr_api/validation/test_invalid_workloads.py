"""DaemonSets, StatefulSets and their like with one thing wrong: which field is blamed, and in which words."""

from __future__ import annotations

import pytest

from knarr_api import defaults, json, kinds, validation
from knarr_api.merge_patch import merge_patch

TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "main", "image": "a:1"}]}}
DAEMON_SET = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "agent", "namespace": "default"},
    "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": TEMPLATE},
}
STATEFUL_SET = {**DAEMON_SET, "kind": "StatefulSet", "spec": {**DAEMON_SET["spec"], "serviceName": "db"}}
REVISION = {
    "apiVersion": "apps/v1",
    "kind": "ControllerRevision",
    "metadata": {"name": "agent-1", "namespace": "default"},
    "data": {"spec": {}},
    "revision": 1,
}
REPLICATION = {
    "apiVersion": "v1",
    "kind": "ReplicationController",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"template": TEMPLATE},
}
GOOD = {"replication": REPLICATION, "daemonset": DAEMON_SET, "statefulset": STATEFUL_SET, "revision": REVISION}
CLAIM = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}


def spec(**fields):
    return {"spec": fields}


def strategy(type_="RollingUpdate", **fields):
    return spec(updateStrategy={"type": type_, "rollingUpdate": fields})


def pod(**fields):
    return spec(template={"spec": fields})


STRATEGY, ROLLING = "spec.updateStrategy", "spec.updateStrategy.rollingUpdate"
BOTH = [
    (spec(minReadySeconds=-1), "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0"),
    (spec(revisionHistoryLimit=-1), "spec.revisionHistoryLimit: Invalid value: -1"),
    (spec(selector=None), "spec.selector: Required value"),
    (spec(selector={"matchLabels": None}), 'spec.selector: Invalid value: "{}": empty selector is invalid'),
    (
        spec(selector={"matchLabels": {"app": "b"}}),
        'spec.template.metadata.labels: Invalid value: "app=a": `selector` does not match template `labels`',
    ),
    (
        pod(restartPolicy="Never"),
        'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ),
    (
        pod(activeDeadlineSeconds=1),
        "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in templ",
    ),
    (pod(containers=None), "spec.template.spec.containers: Required value"),
]
ROWS = [
    ("replication", spec(replicas=-1), "spec.replicas: Invalid value: -1"),
    ("replication", spec(minReadySeconds=-1), "spec.minReadySeconds: Invalid value: -1"),
    ("replication", spec(template={"metadata": {"labels": None}}), "spec.selector: Required value"),
    ("replication", spec(selector={"app": "b"}), 'spec.template.metadata.labels: Invalid value: "app=a": `selector`'),
    ("replication", pod(restartPolicy="Never"), "spec.template.spec.restartPolicy: Unsupported value"),
    *(("daemonset", change, expected) for change, expected in BOTH),
    *(("statefulset", change, expected) for change, expected in BOTH),
    (
        "daemonset",
        spec(updateStrategy={"type": "Often"}),
        f'{STRATEGY}.type: Unsupported value: "Often": supported values',
    ),
    ("daemonset", strategy(maxUnavailable=-1), f"{ROLLING}.maxUnavailable: Invalid value: -1: must be greater than or"),
    (
        "daemonset",
        strategy(maxUnavailable="101%"),
        f'{ROLLING}.maxUnavailable: Invalid value: "101%": must not be great',
    ),
    ("daemonset", strategy(maxUnavailable="few"), f'{ROLLING}.maxUnavailable: Invalid value: "few": a valid percent'),
    (
        "daemonset",
        strategy(maxSurge="101%"),
        f'{ROLLING}.maxSurge: Invalid value: "101%": must not be greater than 100%',
    ),
    (
        "daemonset",
        strategy(maxUnavailable=0, maxSurge=0),
        f"{ROLLING}.maxUnavailable: Invalid value: 0: cannot be 0 when maxSurge is 0",
    ),
    (
        "daemonset",
        strategy(maxUnavailable=1, maxSurge="10%"),
        f'{ROLLING}.maxSurge: Invalid value: "10%": may not be set when maxUnavailable is non-zero',
    ),
    ("statefulset", spec(replicas=-1), "spec.replicas: Invalid value: -1"),
    ("statefulset", spec(ordinals={"start": -1}), "spec.ordinals.start: Invalid value: -1"),
    (
        "statefulset",
        spec(podManagementPolicy="Any"),
        "spec.podManagementPolicy: Invalid value: \"Any\": must be 'OrderedReady' or 'Parallel'",
    ),
    (
        "statefulset",
        spec(updateStrategy={"type": "Often"}),
        f"{STRATEGY}.type: Invalid value: \"Often\": must be 'RollingUpdate' or 'OnDelete'",
    ),
    (
        "statefulset",
        strategy("OnDelete", partition=1),
        f"{ROLLING}: Invalid value: only allowed for updateStrategy 'RollingUpdate'",
    ),
    ("statefulset", strategy(partition=-1), f"{ROLLING}.partition: Invalid value: -1"),
    ("statefulset", strategy(maxUnavailable=0), f"{ROLLING}.maxUnavailable: Invalid value: 0: cannot be 0"),
    (
        "statefulset",
        spec(persistentVolumeClaimRetentionPolicy={"whenScaled": "Keep"}),
        'spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Keep": supported values: ',
    ),
    (
        "statefulset",
        spec(persistentVolumeClaimRetentionPolicy={"whenDeleted": "Keep"}),
        'spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: "Keep"',
    ),
    (
        "statefulset",
        spec(volumeClaimTemplates=[{"spec": {}}]),
        "spec.volumeClaimTemplates[0].metadata.name: Required value",
    ),
    (
        "statefulset",
        spec(volumeClaimTemplates=[{"metadata": {"name": "data"}}]),
        "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required",
    ),
    ("revision", {"revision": -1}, "revision: Invalid value: -1"),
    ("revision", {"data": None}, "data: Required value: data is mandatory"),
]


def read(document):
    kind = kinds.by_kind(document["apiVersion"], document["kind"])
    return defaults.apply(json.decode_strict(document, kind.type))


@pytest.mark.parametrize("name", GOOD)
def test_the_good_object_is_good(name):
    assert validation.validate(read(GOOD[name])) == ()


@pytest.mark.parametrize(("name", "change", "expected"), ROWS, ids=[f"{i}-{row[2][:50]}" for i, row in enumerate(ROWS)])
def test_the_wrong_field_is_named(name, change, expected):
    found = [str(problem) for problem in validation.validate(read(merge_patch(GOOD[name], change)))]
    assert any(problem.startswith(expected) for problem in found), found


def test_containers_may_mount_claims():
    mounts = [{"name": "main", "image": "a:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]
    claimed = merge_patch(STATEFUL_SET, spec(volumeClaimTemplates=[CLAIM], template={"spec": {"containers": mounts}}))
    assert validation.validate(read(claimed)) == ()
    assert validation.validate(read(merge_patch(claimed, spec(volumeClaimTemplates=None)))) != ()


CHANGES = [
    (
        "daemonset",
        spec(selector={"matchLabels": {"app": "b"}}),
        'spec.selector: Invalid value: "app=b": field is immutable',
    ),
    ("daemonset", strategy(maxUnavailable=3), ""),
    (
        "statefulset",
        spec(serviceName="x"),
        "spec: Forbidden: updates to statefulset spec for fields other than 'replicas'",
    ),
    ("statefulset", spec(podManagementPolicy="Parallel"), "spec: Forbidden: updates to statefulset spec"),
    ("statefulset", spec(volumeClaimTemplates=[CLAIM]), "spec: Forbidden: updates to statefulset spec"),
    ("statefulset", spec(replicas=7, minReadySeconds=3, ordinals={"start": 2}, revisionHistoryLimit=1), ""),
    ("statefulset", strategy(partition=1), ""),
    ("revision", {"data": {"spec": {"a": 1}}}, 'data: Invalid value: "": field is immutable'),
    ("revision", {"revision": 7}, ""),
]


@pytest.mark.parametrize(("name", "change", "expected"), CHANGES)
def test_what_may_change(name, change, expected):
    found = validation.validate_update(read(GOOD[name]), read(merge_patch(GOOD[name], change)))
    assert [str(problem).startswith(expected) for problem in found] == ([True] if expected else [])
