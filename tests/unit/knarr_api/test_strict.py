"""What people write is checked completely, and what is wrong is named."""

from __future__ import annotations

import json as plain_json
import time
from typing import Any

import pytest

from knarr_api import json, strict
from knarr_api.errors import Invalid
from knarr_api.types.apiextensions_v1 import CustomResourceDefinition
from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.core_v1 import ConfigMap, Pod, PodList, Secret
from tests.slowness import patient


def refusal(document: Any, type_: type[Any] = Deployment) -> list[str]:
    with pytest.raises(Invalid) as caught:
        json.decode_strict(document, type_)
    return [str(detail) for detail in caught.value.details] or [caught.value.message]


@pytest.mark.parametrize("document", [None, [], [1], "3", 7])
def test_what_is_no_object_is_refused_whether_read_before_or_not(document: Any) -> None:
    assert refusal(plain_json.dumps(document).encode())[0].startswith("expected object, got ")
    if not isinstance(document, str):
        assert refusal(document)[0].startswith("expected object, got ")


def test_every_mistake_is_reported_at_once() -> None:
    container = {"imagePullPolice": "Always", "ports": [{"containerPort": 5_000_000_000}], "resources": {"limit": {}}}
    document = {
        "spec": {"replicas": "3", "template": {"spec": {"containers": [container, 3]}}, "colour": "red"},
        "metadata": [],
    }
    assert refusal(document) == [
        'spec.replicas: expected integer, got string "3"',
        "spec.template.spec.containers[0].imagePullPolice: unknown field (did you mean imagePullPolicy?)",
        "spec.template.spec.containers[0].ports[0].containerPort: expected integer of 32 bits, got 5000000000",
        "spec.template.spec.containers[0].resources.limit: unknown field (did you mean limits?)",
        "spec.template.spec.containers[1]: expected object, got integer 3",
        "spec.colour: unknown field",
        "metadata: expected object, got array",
    ]
    assert refusal(plain_json.dumps(document).encode()) == refusal(document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"spec": {"paused": "yes"}}, 'spec.paused: expected boolean, got string "yes"'),
        ({"spec": {"replicas": 1.5}}, "spec.replicas: expected integer, got number 1.5"),
        ({"spec": {"replicas": True}}, "spec.replicas: expected integer, got boolean"),
        ({"metadata": {"name": 5}}, "metadata.name: expected string, got integer 5"),
        ({"metadata": {"labels": {"a": 1}}}, "metadata.labels[a]: expected string, got integer 1"),
        ({"metadata": {"labels": {1: "a"}}}, "metadata.labels[1]: expected a string as key, got integer"),
        ({"metadata": {"finalizers": [None]}}, ""),
        ({"metadata": {"finalizers": "a"}}, 'metadata.finalizers: expected array, got string "a"'),
        ({"METADATA": {}}, "METADATA: unknown field (did you mean metadata?)"),
        (
            {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0.5}}}},
            "spec.strategy.rollingUpdate.maxSurge: expected integer or string, got number 0.5",
        ),
        (
            {"metadata": {"creationTimestamp": "yesterday"}},
            'metadata.creationTimestamp: expected a time like 2026-01-31T08:00:00Z, got string "yesterday"',
        ),
        (
            {"metadata": {"creationTimestamp": "2026-01-31T08:00:00"}},
            'metadata.creationTimestamp: expected a time with its zone, got "2026-01-31T08:00:00"',
        ),
    ],
)
def test_wrong_types_are_named(document: dict[str, Any], message: str) -> None:
    if message:
        assert refusal(document) == [message]
    else:
        assert json.decode_strict(document, Deployment).metadata.finalizers == ("",)


def test_bad_quantities_and_base64_are_named() -> None:
    limits = {"spec": {"containers": [{"resources": {"limits": {"cpu": "a lot", "memory": False}}}]}}
    quantity, boolean = refusal(limits, Pod)
    assert quantity.startswith('spec.containers[0].resources.limits[cpu]: Invalid value: quantity "a lot": must be')
    assert boolean == "spec.containers[0].resources.limits[memory]: expected quantity, got boolean"
    assert refusal({"data": {"k": "%"}}, Secret) == ['data[k]: expected base64 string, got string "%"']


def test_doubled_names_are_refused() -> None:
    text = b'{"spec":{"replicas":1,"replicas":2,"template":{"metadata":{"labels":{"a":"b","a":"c"}}}}}'
    assert refusal(text) == [
        "spec.replicas: duplicate field",
        "spec.template.metadata.labels.a: duplicate field",
    ]
    value, warnings = json.decode_lenient(text, Deployment)
    assert value.spec.replicas == 2
    assert len(warnings) == 2


def test_lenient_decoding_drops_and_returns_what_is_unknown() -> None:
    value, warnings = json.decode_lenient({"spec": {"replicas": 2, "x": 1}, "y": None}, Deployment)
    assert value.spec.replicas == 2
    assert [str(warning) for warning in warnings] == ["spec.x: unknown field", "y: unknown field"]
    with pytest.raises(Invalid, match=r"spec\.replicas"):
        json.decode_lenient({"spec": {"replicas": "2"}}, Deployment)


def test_null_counts_as_absent() -> None:
    document = {"metadata": {"creationTimestamp": None, "labels": {"a": None}}, "spec": None, "status": None}
    value = json.decode_strict(document, Deployment)
    assert json.to_builtins(value) == {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"labels": {"a": ""}}}
    assert json.decode_strict({"data": {"k": None}}, ConfigMap).data == {"k": ""}


def test_data_without_schema_is_left_alone() -> None:
    schema = {"default": {"a": None, "b": [None, {"c": None}]}, "enum": ["a", None]}
    document = {"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}], "scope": None}}
    value = json.decode_strict(document, CustomResourceDefinition)
    assert json.to_builtins(value)["spec"] == {"versions": [{"schema": {"openAPIV3Schema": schema}}]}


def test_recursive_schemas_are_checked_at_any_depth() -> None:
    schema: dict[str, Any] = {"typ": "string"}
    for _ in range(10):
        schema = {"properties": {"a": schema}, "items": [schema]}
    problems = refusal({"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}}, CustomResourceDefinition)
    assert problems[0].endswith(".typ: unknown field (did you mean type?)")
    assert len(problems) == json.MAX_SHOWN


def test_depth_is_limited() -> None:
    nested: Any = 1
    for _ in range(500):
        nested = {"items": nested}
    document = {"spec": {"versions": [{"schema": {"openAPIV3Schema": nested}}]}}
    assert refusal(document, CustomResourceDefinition) == [f"nested deeper than {strict.MAX_DEPTH} levels"]
    text = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    assert "JSON" in refusal(text)[0] or "nested deeper" in refusal(text)[0]


def test_aliases_cannot_make_a_short_text_huge() -> None:
    bomb: Any = {"a": "b"}
    for _ in range(40):
        bomb = {"properties": {"x": bomb, "y": bomb}}
    document = {"spec": {"versions": [{"schema": {"openAPIV3Schema": bomb}}]}}
    assert refusal(document, CustomResourceDefinition) == [
        f"the object has more than {strict.MAX_NODES} fields and items"
    ]


def test_size_is_limited() -> None:
    assert "Request entity too large" in refusal(b'{"data":{"k":"' + b"x" * json.MAX_BYTES + b'"}}', ConfigMap)[0]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b'{"a":NaN}', b'{"a":\xff}', b'{"a":1}x', b'{"metadata":{"name":"\\ud800"}}']
)
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    (message,) = refusal(text)
    assert message.startswith(("not JSON: ", "expected object, got "))


def test_decoding_names_the_place_of_the_first_mistake() -> None:
    with pytest.raises(Invalid, match=r"^items\[0\]\.spec\.priority: expected integer, got string$"):
        json.decode(b'{"items":[{"spec":{"priority":"high"}}]}', PodList)
    with pytest.raises(Invalid, match='quantity "x"'):
        json.from_builtins({"spec": {"overhead": {"cpu": "x"}}}, Pod)


@pytest.mark.parametrize(
    "text",
    [
        '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"i"}]}}',
        '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","name":"b"}}',
        '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","colour":"red"}}',
        '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":null}}',
        '{"kind":"Pod","apiVersion":"v1"}',
    ],
)
def test_bytes_as_they_are_encoded_here_are_read_like_any_other_text(text: str) -> None:
    assert json.decode_lenient(text.encode(), Pod) == json.decode_lenient(text, Pod)


def test_one_doubled_name_among_many_is_found_at_once() -> None:
    names = ",".join(f'"a{number}":""' for number in range(50_000))
    started = time.process_time()
    assert refusal(f'{{"data":{{"a7":"",{names}}}}}'.encode(), ConfigMap) == ["data.a7: duplicate field"]
    assert time.process_time() - started < patient(2), "it took 30 s where each name was counted among all"
