"""Manifests as people write them come out as the same JSON, through values and through the wire."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from knarr_api import json, kinds, wire
from knarr_api.errors import Invalid, NotFound
from knarr_api.quantity import Quantity
from knarr_api.types import (
    admission_v1,
    authentication_v1,
    authorization_v1,
    autoscaling_v1,
    core_v1,
    meta_v1,
    policy_v1,
)

UNSTORED = (
    core_v1.Binding,
    core_v1.List,
    meta_v1.Status,
    policy_v1.Eviction,
    autoscaling_v1.Scale,
    authorization_v1.SubjectAccessReview,
    authentication_v1.TokenReview,
    admission_v1.AdmissionReview,
)
FILES = sorted((Path(__file__).parent / "manifests").glob("*.yaml"))
DOCUMENTS = [
    pytest.param(document, id=f"{path.stem}-{index}-{document['kind']}")
    for path in FILES
    for index, document in enumerate(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader))
]


def type_of(document: dict[str, Any]) -> type[msgspec.Struct]:
    try:
        return kinds.by_kind(document["apiVersion"], document["kind"]).type
    except NotFound:
        return next(type_ for type_ in UNSTORED if type_.__name__ == document["kind"])


def differences(given: Any, got: Any, path: str = "") -> list[str]:
    """Where ``got`` isn't what was given, up to canonical quantities and what is empty and so absent.

    A stateful set's claim templates get their kind written, as in Kubernetes.
    """
    if isinstance(given, dict) and isinstance(got, dict):
        added = [key for key in got if key not in given and "volumeClaimTemplates" not in path]
        found = [f"{path}.{key}: added" for key in added]
        for key, item in given.items():
            if key in got:
                found += differences(item, got[key], f"{path}.{key}")
            elif item not in (None, "", [], {}):
                found.append(f"{path}.{key}: lost")
        return found
    if isinstance(given, list) and isinstance(got, list) and len(given) == len(got):
        return [d for index, item in enumerate(given) for d in differences(item, got[index], f"{path}[{index}]")]
    if type(given) is type(got) and given == got:
        return []
    if isinstance(given, int | float | str) and not isinstance(given, bool) and isinstance(got, str):
        try:
            return [] if str(Quantity(given)) == got else [f"{path}: {given!r} became {got!r}"]
        except Invalid:
            pass
    return [f"{path}: {given!r} became {got!r}"]


def test_the_corpus_is_broad() -> None:
    seen = {document.values[0]["kind"] for document in DOCUMENTS}
    assert len(DOCUMENTS) >= 60
    assert {kind.kind for kind in kinds.KINDS} - seen == {"MutatingAdmissionPolicyBinding"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_json_is_what_the_manifest_says(document: dict[str, Any]) -> None:
    value = json.decode_strict(document, type_of(document))
    got = msgspec.json.decode(json.encode(value))
    assert differences(document, got) == []
    assert json.decode_strict(msgspec.json.encode(document), type_of(document)) == value


@pytest.mark.parametrize("document", DOCUMENTS)
def test_nothing_is_lost_on_the_wire(document: dict[str, Any]) -> None:
    value = json.decode_strict(document, type_of(document))
    again = wire.from_bytes(wire.to_message(value).SerializeToString(), type(value))
    assert again == value
    assert json.to_builtins(again) == json.to_builtins(value)


def test_unquoted_yaml_timestamps_are_times() -> None:
    document = yaml.load("metadata: {creationTimestamp: 2026-02-01T01:00:00+01:00}", Loader=yaml.CSafeLoader)
    pod = json.decode_strict(document, core_v1.Pod)
    assert pod.metadata.creation_timestamp == datetime.datetime(2026, 2, 1, tzinfo=datetime.UTC)


def test_empty_objects_that_mean_something_stay() -> None:
    spec = {"volumes": [{"name": "tmp", "emptyDir": {}}], "securityContext": {}}
    pod = json.decode_strict({"spec": spec}, core_v1.Pod)
    assert json.to_builtins(pod)["spec"] == spec
    assert pod.spec.volumes[0].empty_dir == core_v1.EmptyDirVolumeSource()
    assert pod.spec.volumes[0].config_map is None


def test_empty_storage_class_is_not_an_absent_one() -> None:
    claim = json.decode_strict({"spec": {"storageClassName": ""}}, core_v1.PersistentVolumeClaim)
    assert claim.spec.storage_class_name == ""
    assert wire.from_message(wire.to_message(claim), type(claim)).spec.storage_class_name == ""
    assert core_v1.PersistentVolumeClaim().spec.storage_class_name is None
