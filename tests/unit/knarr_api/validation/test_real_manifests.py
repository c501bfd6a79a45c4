"""Manifests as people write them are good: nothing is refused that Kubernetes takes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml

from knarr_api import defaults, errors, json, kinds, validation

ROOT = Path(__file__).parents[4]
replace = msgspec.structs.replace


def documents():
    found = []
    for directory in ("tests/conformance/manifests", "deploy/examples"):
        for path in sorted((ROOT / directory).rglob("*.yaml")):
            for document in yaml.load_all(path.read_text(), yaml.CSafeLoader):
                if document:
                    name = document.get("metadata", {}).get("name")
                    found.append(pytest.param(document, id=f"{path.stem}-{document['kind']}-{name}"))
    return found


@pytest.mark.parametrize("document", documents())
def test_it_is_accepted(document):
    try:
        kind = kinds.by_kind(document["apiVersion"], document["kind"])
    except errors.NotFound:
        pytest.skip("a question to the API, not an object")
    obj = json.decode_strict(document, kind.type)
    if kind.namespaced and not obj.metadata.namespace:
        obj = replace(obj, metadata=replace(obj.metadata, namespace="default"))
    obj = replace(obj, metadata=replace(obj.metadata, uid="u"))
    gated = kind.kind == "Pod" and obj.spec.scheduling_gates and obj.spec.node_name
    found = validation.validate(defaults.apply(obj))
    assert [problem.path for problem in found] == (["spec.nodeName"] if gated else [])
