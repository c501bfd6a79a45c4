"""Whatever is sent to whichever method: an answer or a clear refusal in time, never INTERNAL or UNKNOWN.

Requests are made from the services' own descriptions, field by field: sometimes what belongs there, sometimes anything.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knarr_api import errors, kinds
from knarr_client import channel
from knarr_client.kubeconfig import Access
from knarr_proto.v1 import (
    accounts_pb2,
    agent_pb2,
    cluster_pb2,
    history_pb2,
    nodes_pb2,
    objects_pb2,
    pods_pb2,
)
from tests.slowness import patient

EXAMPLES = int(os.environ.get("KNARR_FUZZ_EXAMPLES", "60"))
"""Of each method."""
ANSWERS_WITHIN_S, LISTENS_S, LISTENED_TO = 20.0, 1.0, 5
MANIFESTS = Path(__file__).parents[1] / "manifests"
PARSED = [
    document
    for path in sorted(MANIFESTS.glob("*.yaml"))
    for document in yaml.load_all(path.read_text(), yaml.CSafeLoader)
]
DOCUMENTS = [json.dumps(document, default=str).encode() for document in PARSED]
SERVICES = (objects_pb2, pods_pb2, nodes_pb2, agent_pb2, cluster_pb2, history_pb2, accounts_pb2)
METHODS = [
    method
    for module in SERVICES
    for service in module.DESCRIPTOR.services_by_name.values()
    if service.name != "Join"  # on a port of its own
    for method in service.methods
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=60)
NAMES = st.sampled_from(["x", "web", "default", "node-1", "n" * 300, "../x", "a/b", "", "Ünlaut", "%00"])
TYPED: dict[str, st.SearchStrategy[Any]] = {
    "namespace": st.sampled_from(["", "default", "default", "kube-system", "nope", "a/b"]),
    "name": NAMES,
    "pod": NAMES,
    "subresource": st.sampled_from(["", "", "status", "scale", "eviction", "log", "x"]),
    "label_selector": st.sampled_from(["", "a=b", "a in (b,c)", "!a", "a in (", "=", "a=b," * 20_000, "a" * 300]),
    "field_selector": st.sampled_from(
        ["", "metadata.name=x", "spec.nodeName=", "status.phase!=Running", "x=y", "=", "metadata.name=x," * 20_000]
    ),
    "resource_version": st.sampled_from(["", "0", "1", "300", "-1", "x", str(2**62), "9" * 30]),
    "resource_version_match": st.sampled_from(["", "Exact", "NotOlderThan", "x"]),
    "continue": st.sampled_from(["", "x", "MSAvcmVnaXN0cnkv", "LTEgL3JlZ2lzdHJ5Lw==", "%%%"]),
    "json": st.one_of(
        st.sampled_from(DOCUMENTS),
        JSON.map(lambda value: json.dumps(value).encode()),
        st.sampled_from([b"", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"null", b'{"metadata": []}']),
    ),
    "dry_run": st.booleans(),
}
TYPED["patch"] = TYPED["json"] | st.sampled_from(
    [
        b'[{"op": "add", "path": "/metadata/labels/a", "value": "b"}]',
        b'[{"op": "move", "from": "/metadata", "path": "/metadata/x"}]',
        b'[{"op": "copy", "from": "", "path": "/x"}]',
        b'{"spec": {"template": {"spec": {"containers": [{"$patch": "delete", "name": "x"}]}}}}',
        b'{"metadata": {"labels": {' + b",".join(b'"l%d": "v"' % n for n in range(10_000)) + b"}}}",
    ]
)


@pytest.fixture(scope="module")
def open_channel(tmp_path_factory: pytest.TempPathFactory, start: Any, free_port: Any) -> Iterator[tuple[Any, Any]]:
    """To a control plane of its own: who sends anything also deletes anything."""
    with start(tmp_path_factory.mktemp("fuzzed"), free_port()) as started:
        access: Access = started.access
        credentials = grpc.ssl_channel_credentials(access.ca_pem, access.key_pem, access.certificate_pem)
        with grpc.secure_channel(channel.target(access), credentials, options=channel.options(access)) as opened:
            yield started, opened


def of_field(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.name in TYPED and field.message_type is None:
        return TYPED[field.name]
    if field.message_type is not None:
        return message(field.message_type)
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_ENUM:
            return st.sampled_from([*(value.number for value in field.enum_type.values), 99])
        case FieldDescriptor.CPPTYPE_INT32:
            return st.sampled_from([0, 1, 7, -1, 2**31 - 1, -(2**31)])
        case FieldDescriptor.CPPTYPE_INT64:
            return st.sampled_from([0, 1, 30, -1, 10**12, 2**63 - 1, -(2**63)])
        case FieldDescriptor.CPPTYPE_UINT32 | FieldDescriptor.CPPTYPE_UINT64:
            return st.sampled_from([0, 1, 2**32 - 1])
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return st.floats()
    return TEXT if field.type == FieldDescriptor.TYPE_STRING else st.binary(max_size=100)


@st.composite
def message(draw: st.DrawFn, of: Any) -> Any:
    made = GetMessageClass(of)()
    if of is objects_pb2.ResourceType.DESCRIPTOR and draw(st.integers(0, 9)):
        kind = draw(st.sampled_from([*kinds.KINDS, *kinds.COMPUTED]))
        made.group, made.version, made.resource = kind.group, kind.version, kind.resource
        return made
    chosen = {draw(st.sampled_from(list(oneof.fields))) for oneof in of.oneofs}
    for field in of.fields:
        if field.containing_oneof is not None and field not in chosen:
            continue
        if draw(st.integers(0, 3)) == 0 and field.name not in ("type", "object"):
            continue
        if field.message_type is not None and field.message_type.full_name == "google.protobuf.Any":
            getattr(made, field.name).value = draw(st.binary(max_size=50))
            continue
        if field.is_repeated:
            if field.message_type is None:
                getattr(made, field.name).extend(draw(st.lists(of_field(field), max_size=3)))
            elif not field.message_type.GetOptions().map_entry:
                getattr(made, field.name).extend(draw(st.lists(of_field(field), max_size=2)))
        elif field.message_type is not None:
            getattr(made, field.name).CopyFrom(draw(of_field(field)))
        else:
            setattr(made, field.name, draw(of_field(field)))
    names = set(of.fields_by_name.keys())
    if "type" in names and names & {"object", "name"}:
        draw(fitting(made))
    return made


@st.composite
def fitting(draw: st.DrawFn, request: Any) -> None:
    """Often what is asked for and what is sent are of one kind, and of an object that is there."""
    if not draw(st.integers(0, 3)):
        return
    document = draw(st.sampled_from(PARSED))
    try:
        kind = kinds.by_kind(document["apiVersion"], document["kind"])
    except errors.NotFound:
        return
    request.type.group, request.type.version, request.type.resource = kind.group, kind.version, kind.resource
    fields = set(request.DESCRIPTOR.fields_by_name.keys())
    if "namespace" in fields:
        request.namespace = "default" if kind.namespaced else ""
    if "name" in fields:
        request.name = document["metadata"].get("name", "x")
    if draw(st.integers(0, 2)):
        for field in sorted(fields & {"subresource", "resource_version", "field_validation", "patch_type"}):
            request.ClearField(field)
    changed = copy.deepcopy(document)
    changed["metadata"].pop("namespace", None)
    for _ in range(draw(st.integers(0, 2))):
        node: Any = changed
        while isinstance(node, dict) and node:
            key = draw(st.sampled_from(sorted(node, key=str)))
            if not isinstance(node[key], dict) or not draw(st.integers(0, 2)):
                node[key] = draw(JSON)
                break
            node = node[key]
    if "object" in fields:
        request.object.json = json.dumps(changed, default=str).encode()
    elif "patch" in fields and draw(st.booleans()):
        request.patch = json.dumps(changed, default=str).encode()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: f"{method.containing_service.name}.{method.name}")
def test_every_call_is_answered_or_refused(open_channel: tuple[Any, Any], method: MethodDescriptor) -> None:
    started, opened = open_channel
    call = caller(opened, method)
    log: Path = started.data_dir / "log"

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(message(method.input_type))
    def send(request: Any) -> None:
        try:
            call(request)
        except grpc.RpcError as error:
            assert error.code() not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), (
                f"{method.full_name}: {error.details()}\n{request}"[:2000] + log.read_text()[-3000:]
            )
        assert started.process.poll() is None, log.read_text()[-3000:]

    send()


def caller(opened: Any, method: MethodDescriptor) -> Any:
    """Calls it as its description says, and reads the beginning of a stream."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    coding = {
        "request_serializer": GetMessageClass(method.input_type).SerializeToString,
        "response_deserializer": GetMessageClass(method.output_type).FromString,
    }
    if not method.server_streaming:
        unary = opened.unary_unary(path, **coding)
        return lambda request: unary(request, timeout=patient(ANSWERS_WITHIN_S))
    one = opened.stream_stream(path, **coding) if method.client_streaming else opened.unary_stream(path, **coding)

    def listen(request: Any) -> None:
        answers = one(iter([request]) if method.client_streaming else request, timeout=LISTENS_S)
        try:
            for _, answer in zip(range(LISTENED_TO), answers, strict=False):
                if isinstance(answer, objects_pb2.ExchangeResponse):
                    codes = {each.error.code for each in answer.answers}
                    assert not codes & {code_pb2.INTERNAL, code_pb2.UNKNOWN}, f"{request}{answer}"[:4000]
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:  # ours: a stream may go on
                raise
        finally:
            answers.cancel()

    return listen
