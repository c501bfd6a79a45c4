"""The verbs over the network: what only the server does."""

from __future__ import annotations

import asyncio
import json

import grpc
import msgspec
import pytest
from google.rpc import error_details_pb2, status_pb2

from knarr_api import errors, kinds
from knarr_api.types.core_v1 import ConfigMap, Pod
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import EventType, Outcome
from knarr_client.raw import Validation
from knarr_proto.v1 import objects_pb2, objects_pb2_grpc

DEADLINE_S = 30
replace = msgspec.structs.replace


@pytest.fixture
def stub(client):
    return objects_pb2_grpc.ObjectsStub(client.channel)


def pod(name, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "web:1"}], "schedulerName": "nobody", **spec},
    }


def request(document, **fields):
    return objects_pb2.CreateRequest(object=objects_pb2.Object(json=json.dumps(document).encode()), **fields)


async def details_of(call):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    raw = next(value for key, value in raised.value.trailing_metadata() if key == "grpc-status-details-bin")
    bad_request = error_details_pb2.BadRequest()
    for detail in status_pb2.Status.FromString(raw).details:
        detail.Unpack(bad_request)
    return raised.value, {violation.field: violation.description for violation in bad_request.field_violations}


async def test_every_wrong_field_is_in_the_details(stub):
    document = pod("bad", restartPolicy="Sometimes", containers=[{"name": "c"}])
    error, fields = await details_of(stub.Create(request(document)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith('Pod "bad" is invalid: [')
    assert fields["spec.containers[0].image"] == "Required value"
    assert fields["spec.restartPolicy"].startswith('Unsupported value: "Sometimes"')


async def test_an_unknown_field_is_refused_with_the_nearest_name(stub):
    document = pod("typo", containers=[{"name": "c", "image": "a", "imagePullPolice": "Always"}])
    error, fields = await details_of(stub.Create(request(document)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "did you mean imagePullPolicy" in fields["spec.containers[0].imagePullPolice"]


@pytest.mark.parametrize("validation", [objects_pb2.WARN, objects_pb2.IGNORE])
async def test_an_unknown_field_is_dropped_when_asked_to(stub, validation):
    document = {**pod(f"lenient-{validation}"), "colour": "red"}
    answer = await stub.Create(request(document, field_validation=validation))
    assert "colour" not in json.loads(answer.object.json)
    assert any("colour" in warning for warning in answer.warnings) == (validation == objects_pb2.WARN)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not JSON"),
        (b"[]", "expected"),
        (b'"x"', "expected"),
        (b'{"apiVersion": "v1", "kind": "Pood"}', 'no matches for kind "Pood"'),
        (b'{"apiVersion": "v2", "kind": "Pod"}', "Pod is in v1"),
        (b'{"apiVersion": "v1", "kind": "Pod", "metadata": "x"}', "metadata"),
        (b'{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": {}}}', "spec.containers"),
        (b'{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "name": "b"}}', "metadata.name"),
        (b'{"apiVersion": 5, "kind": []}', "kind"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
async def test_what_is_no_object_is_refused(stub, content, message):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Create(objects_pb2.CreateRequest(object=objects_pb2.Object(json=content)))
    assert raised.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    assert message in raised.value.details()


async def test_an_empty_request_is_refused(stub):
    for call in (stub.Create(objects_pb2.CreateRequest()), stub.Get(objects_pb2.GetRequest())):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_request_that_is_too_large_is_refused(stub):
    content = b'{"data": {"a": "' + b"x" * (5 << 20) + b'"}}'
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Create(objects_pb2.CreateRequest(object=objects_pb2.Object(json=content)))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_namespace_of_object_and_request_must_agree(stub):
    document = pod("elsewhere")
    document["metadata"]["namespace"] = "kube-public"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Create(request(document, namespace="default"))
    assert "does not match the namespace" in raised.value.details()


async def test_warnings_come_with_the_answer(client):
    metadata = {"name": "warned", "namespace": "default"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}]}}
    assert "not acted on yet" in (await client.raw.apply(service)).warnings[0]


async def test_kinds_by_every_name(stub):
    for name in ("pods", "pod", "Pod", "po"):
        answer = await stub.List(objects_pb2.ListRequest(type=objects_pb2.ResourceType(resource=name)))
        assert answer.resource_version
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.List(objects_pb2.ListRequest(type=objects_pb2.ResourceType(resource="deploymets")))
    assert "did you mean deployments" in raised.value.details()


async def test_the_kinds_are_listed(client):
    served = {(info.group, info.kind): info for info in await client.raw.kinds()}
    assert served["apps", "Deployment"].acting
    assert not served["networking.k8s.io", "Ingress"].acting
    assert not served["", "Node"].namespaced
    assert len(served) >= len({(kind.group, kind.kind) for kind in kinds.KINDS})


async def test_one_encoding_in_and_another_out(client, stub):
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "both"}, "data": {"a": "b"}}
    answer = await stub.Create(request(document, encoding=objects_pb2.PROTOBUF))
    assert answer.object.typed.type_url.endswith("k8s.io.api.core.v1.ConfigMap")
    asked = objects_pb2.GetRequest(
        type=objects_pb2.ResourceType(resource="configmaps"), namespace="default", name="both"
    )
    assert json.loads((await stub.Get(asked)).object.json)["data"] == {"a": "b"}


async def test_apply_says_what_it_did(client):
    document = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "applied", "namespace": "default"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "c", "image": "web:1"}]},
            },
        },
    }
    outcomes = [(await client.raw.apply(document)).outcome for _ in range(2)]
    document["spec"]["minReadySeconds"] = 1
    outcomes.append((await client.raw.apply(document)).outcome)
    assert outcomes == [Outcome.CREATED, Outcome.UNCHANGED, Outcome.CONFIGURED]


async def test_apply_may_drop_unknown_fields(client):
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "loose", "namespace": "default"}, "x": 1}
    with pytest.raises(errors.Invalid):
        await client.raw.apply(document)
    answer = await client.raw.apply(document, validation=Validation.WARN)
    assert answer.outcome is Outcome.CREATED
    assert answer.warnings


async def test_a_watch_goes_on_where_it_was_broken_off(client):
    made = await client.create(ConfigMap(metadata=ObjectMeta(name="resumed", namespace="default")))
    await client.update(replace(made, data={"a": "1"}))
    seen = []
    after = made.metadata.resource_version
    for _ in range(2):
        batches = client.watch(ConfigMap, "default", field_selector="metadata.name=resumed", resource_version=after)
        async with asyncio.timeout(DEADLINE_S):
            (event,) = [event for event in await anext(batches) if event.type is not EventType.BOOKMARK]
        await batches.aclose()
        seen.append(event.object.data)
        after = event.resource_version
        await client.patch(ConfigMap, "resumed", "default", patch={"data": {"b": "2"}})
    assert seen == [{"a": "1"}, {"a": "1", "b": "2"}]


async def test_many_writers_and_watchers_see_the_same(client):
    start = (await client.list(ConfigMap, "default")).resource_version

    async def watch():
        seen = []
        async for batch in client.watch(ConfigMap, "default", label_selector="many=yes", resource_version=start):
            seen += [
                (event.type, event.object.metadata.name, event.resource_version) for event in batch if event.object
            ]
            if len(seen) == 200:
                return seen
        return seen

    watching = [asyncio.create_task(watch()) for _ in range(5)]
    made = [
        ConfigMap(metadata=ObjectMeta(name=f"many-{n}", namespace="default", labels={"many": "yes"}))
        for n in range(100)
    ]
    async with asyncio.timeout(4 * DEADLINE_S):
        await asyncio.gather(*(client.create(each) for each in made))
        await asyncio.gather(*(client.delete(ConfigMap, each.metadata.name, "default") for each in made))
        results = await asyncio.gather(*watching)
    assert all(result == results[0] for result in results)
    revisions = [int(revision) for _, _, revision in results[0]]
    assert revisions == sorted(set(revisions))


async def test_binding_to_a_node(client):
    made = (await client.raw.create(pod("bound") | {"metadata": {"name": "bound", "namespace": "default"}})).object
    for node, said in (("", "Required value"), ("no name", "Invalid value")):
        with pytest.raises(errors.Invalid, match=rf"target\.name: {said}"):
            await client.bind(namespace="default", name="bound", uid=made["metadata"]["uid"], node=node)
    assert "conditions" not in (await client.raw.get(kinds.of(Pod), "bound", "default"))["status"]
    await client.bind(namespace="default", name="bound", uid=made["metadata"]["uid"], node="somewhere")
    assert (await client.get(Pod, "bound", "default")).spec.node_name == "somewhere"
    await client.delete(Pod, "bound", "default", grace_period_s=0)
