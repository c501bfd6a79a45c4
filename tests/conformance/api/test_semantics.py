"""Patches, server-side apply, scale, eviction, collections and initial events, over the network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from knarr_api import errors, kinds
from knarr_client.client import EventType, PatchType
from knarr_client.grpc import GrpcClient
from knarr_client.raw import Validation
from knarr_proto.v1 import objects_pb2, objects_pb2_grpc

CONFIG, POD, REPLICA_SET = (
    kinds.by_kind("v1", "ConfigMap"),
    kinds.by_kind("v1", "Pod"),
    kinds.by_kind("apps/v1", "ReplicaSet"),
)
BUDGET = kinds.by_kind("policy/v1", "PodDisruptionBudget")
NUMBERS = iter(range(10**6))


@pytest.fixture
def name() -> Iterator[str]:
    yield f"s{next(NUMBERS)}"


def config(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str, **labels: str) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "web:1"}], "schedulerName": "nobody"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def replica_set(name: str) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": pod(name)["spec"]}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name}, "spec": spec}


def managers(document: dict[str, Any]) -> dict[str, str]:
    return {entry["manager"]: entry["operation"] for entry in document["metadata"].get("managedFields", [])}


async def test_a_json_patch(client: GrpcClient, name: str) -> None:
    await client.raw.create(config(name, a="1"), namespace="default")
    patch = [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "add", "path": "/data/b", "value": "2"}]
    answer = await client.raw.patch(CONFIG, name, "default", patch=patch, type_=PatchType.JSON)
    assert answer.object["data"] == {"a": "1", "b": "2"}
    with pytest.raises(errors.Invalid, match="testing value /data/a failed"):
        wrong = [{"op": "test", "path": "/data/a", "value": "2"}]
        await client.raw.patch(CONFIG, name, "default", patch=wrong, type_=PatchType.JSON)


async def test_a_strategic_patch(client: GrpcClient, name: str) -> None:
    await client.raw.create(replica_set(name), namespace="default")
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "d", "image": "x"}]}}}}
    answer = await client.raw.patch(REPLICA_SET, name, "default", patch=patch, type_=PatchType.STRATEGIC)
    containers = answer.object["spec"]["template"]["spec"]["containers"]
    assert [container["name"] for container in containers] == ["d", "c"]


async def test_applying_on_the_server(client: GrpcClient, name: str) -> None:
    async def apply(manager: str, *, force: bool = False, **data: str) -> dict[str, Any]:
        answer = await client.raw.patch(
            CONFIG,
            name,
            "default",
            patch=config(name, **data),
            type_=PatchType.APPLY,
            field_manager=manager,
            force=force,
        )
        return answer.object

    made = await apply("alice", a="1")
    assert managers(made) == {"alice": "Apply"}
    assert await apply("alice", a="1") == made
    with pytest.raises(errors.Conflict) as refused:
        await apply("bob", a="2")
    assert str(refused.value) == 'Apply failed with 1 conflict: conflict with "alice": .data.a'
    assert refused.value.details[0].path == ".data.a"
    taken = await apply("bob", a="2", force=True)
    assert (taken["data"], managers(taken)) == ({"a": "2"}, {"bob": "Apply"})
    with pytest.raises(errors.Invalid, match="fieldManager: Required value"):
        await apply("", a="1")


async def test_the_program_that_writes_is_named_where_it_names_nobody(client: GrpcClient, name: str) -> None:
    made = await client.raw.create(config(name), namespace="default")
    assert list(managers(made.object).values()) in ([], ["Update"])
    patched = await client.raw.patch(CONFIG, name, "default", patch={"data": {"a": "1"}})
    (manager,) = managers(patched.object)
    assert manager.startswith("grpc-python")


async def test_force_is_for_applies_only(client: GrpcClient, name: str) -> None:
    await client.raw.create(config(name), namespace="default")
    with pytest.raises(errors.Invalid, match="force: Forbidden: may not be specified for non-apply patch"):
        await client.raw.patch(CONFIG, name, "default", patch={}, force=True)


async def test_scale(client: GrpcClient, name: str) -> None:
    await client.raw.create(replica_set(name), namespace="default")
    scale = await client.raw.get(REPLICA_SET, name, "default", subresource="scale")
    assert (scale["kind"], scale["status"]["selector"]) == ("Scale", f"app={name}")
    patch = {"spec": {"replicas": 0}}
    answer = await client.raw.patch(REPLICA_SET, name, "default", patch=patch, subresource="scale", dry_run=True)
    assert answer.object["kind"] == "Scale"
    with pytest.raises(errors.NotFound, match="have no scale"):
        await client.raw.get(CONFIG, name, "default", subresource="scale")


async def test_an_eviction_against_the_budget(client: GrpcClient, name: str) -> None:
    await client.raw.create(pod(name, app=name), namespace="default")
    spec = {"selector": {"matchLabels": {"app": name}}, "minAvailable": 1}
    document = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec}
    await client.raw.create(document, namespace="default")
    await client.raw.patch(
        POD,
        name,
        "default",
        patch={"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}},
        subresource="status",
    )
    async for batch in client.raw.watch(BUDGET, "default", field_selector=f"metadata.name={name}"):
        if any(event.object and event.object.get("status", {}).get("currentHealthy") for event in batch):
            break
    with pytest.raises(errors.ResourceExhausted) as refused:
        await client.raw.evict(name, "default")
    assert str(refused.value) == "Cannot evict pod as it would violate the pod's disruption budget."
    assert refused.value.details[0].message.endswith(f"{name} needs 1 healthy pods and has 1 currently")
    await client.raw.delete(BUDGET, name, "default")
    await client.raw.evict(name, "default", dry_run=True)
    await client.raw.evict(name, "default")


async def test_a_collection_is_deleted(client: GrpcClient, name: str) -> None:
    for number in range(3):
        labeled = config(f"{name}-{number}")
        labeled["metadata"]["labels"] = {"of": name if number else "nobody"}
        await client.raw.create(labeled, namespace="default")
    gone = await client.raw.delete_collection(CONFIG, "default", label_selector=f"of={name}")
    assert [item["metadata"]["name"] for item in gone] == [f"{name}-1", f"{name}-2"]
    left = await client.raw.list(CONFIG, "default", label_selector=f"of={name}")
    assert left.items == ()


async def test_initial_events_end_with_a_bookmark_that_says_so(client: GrpcClient, name: str) -> None:
    made = await client.raw.create(config(name), namespace="default")
    stub: Any = objects_pb2_grpc.ObjectsStub(client.channel)
    request = objects_pb2.WatchRequest(
        type=objects_pb2.ResourceType(resource="configmaps"),
        namespace="default",
        field_selector=f"metadata.name={name}",
        resource_version=made.object["metadata"]["resourceVersion"],
        send_initial_events=True,
        resource_version_match="NotOlderThan",
    )
    call = stub.Watch(request, timeout=10)
    batch = (await call.read()).events
    assert [event.type for event in batch] == [objects_pb2.WatchEvent.ADDED, objects_pb2.WatchEvent.BOOKMARK]
    bookmark = json.loads(batch[1].object.json)
    assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert bookmark["metadata"]["resourceVersion"] == batch[1].resource_version
    assert bookmark["kind"] == "ConfigMap"
    call.cancel()


async def test_a_list_at_a_revision(client: GrpcClient, name: str) -> None:
    made = await client.raw.create(config(name), namespace="default")
    at = made.object["metadata"]["resourceVersion"]
    await client.raw.delete(CONFIG, name, "default")
    then = await client.raw.list(
        CONFIG,
        "default",
        field_selector=f"metadata.name={name}",
        resource_version=at,
        resource_version_match="Exact",
    )
    assert len(then.items) == 1
    with pytest.raises(errors.DeadlineExceeded, match="Too large resource version"):
        await client.raw.list(CONFIG, "default", resource_version=str(int(at) + 10**12))


async def test_unknown_fields_are_warned_of_in_kubernetes_words(client: GrpcClient, name: str) -> None:
    odd = {**config(name), "datas": {}}
    answer = await client.raw.create(odd, namespace="default", validation=Validation.WARN)
    assert answer.warnings == ('unknown field "datas"',)
    with pytest.raises(errors.Invalid) as refused:
        await client.raw.patch(CONFIG, name, "default", patch={"dat": {}, "metadata": {"x": 1}})
    assert str(refused.value) == 'strict decoding error: unknown field "metadata.x", unknown field "dat"'
    assert [detail.path for detail in refused.value.details] == ["metadata.x", "dat"]


async def test_preconditions_of_a_deletion(client: GrpcClient, name: str) -> None:
    made = await client.raw.create(config(name), namespace="default")
    with pytest.raises(errors.Conflict, match="does not match the ResourceVersion in record"):
        await client.raw.delete(CONFIG, name, "default", resource_version="1")
    with pytest.raises(errors.Conflict, match="UID in precondition: x"):
        await client.raw.delete(CONFIG, name, "default", uid="x")
    metadata = made.object["metadata"]
    await client.raw.delete(CONFIG, name, "default", uid=metadata["uid"], resource_version=metadata["resourceVersion"])


async def test_watching_over_the_client_sees_the_same(client: GrpcClient, name: str) -> None:
    await client.raw.create(config(name), namespace="default")
    async for batch in client.raw.watch(CONFIG, "default", field_selector=f"metadata.name={name}"):
        assert [event.type for event in batch] == [EventType.ADDED, EventType.BOOKMARK]
        break


async def test_an_autoscaler_of_autoscaling_v1(client: GrpcClient, name: str) -> None:
    old, new = (kinds.by_kind(f"autoscaling/{version}", "HorizontalPodAutoscaler") for version in ("v1", "v2"))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    document: dict[str, Any] = {"apiVersion": "autoscaling/v1", "kind": old.kind, "metadata": {"name": name}}
    document["spec"] = {"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 60}
    made = await client.raw.create(document, namespace="default")
    assert (made.object["apiVersion"], made.object["spec"]["targetCPUUtilizationPercentage"]) == ("autoscaling/v1", 60)
    stored = await client.raw.get(new, name, "default")
    assert stored["spec"]["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 60}
    change = {"spec": {"targetCPUUtilizationPercentage": 70}}
    patched = await client.raw.patch(old, name, "default", patch=change)
    assert patched.object["spec"]["targetCPUUtilizationPercentage"] == 70
    spec = {**document["spec"], "targetCPUUtilizationPercentage": 80}
    applied = await client.raw.patch(
        old, name, "default", patch={**document, "spec": spec}, type_=PatchType.APPLY, field_manager="a", force=True
    )
    assert applied.object["spec"]["targetCPUUtilizationPercentage"] == 80
    document["spec"]["targetCPUUtilizationPercentage"] = 50
    assert (await client.raw.apply(document, namespace="default")).object["apiVersion"] == "autoscaling/v1"
    page = await client.raw.list(old, "default", field_selector=f"metadata.name={name}")
    assert [item["spec"]["targetCPUUtilizationPercentage"] for item in page.items] == [50]
    watched = client.raw.watch(old, "default", field_selector=f"metadata.name={name}")
    first = (await anext(watched))[0].object
    assert first is not None and first["apiVersion"] == "autoscaling/v1"
    with pytest.raises(errors.Invalid, match="expected integer"):
        await client.raw.patch(old, name, "default", patch={"spec": {"targetCPUUtilizationPercentage": "x"}})
    await client.raw.delete(old, name, "default")
    with pytest.raises(errors.NotFound):
        await client.raw.get(new, name, "default")


async def test_a_scale_is_applied_and_owned(client: GrpcClient, name: str) -> None:
    await client.raw.patch(
        REPLICA_SET, name, "default", patch=replica_set(name), type_=PatchType.APPLY, field_manager="owner"
    )

    async def apply(replicas: int, *, force: bool = False) -> Any:
        scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": name}}
        return await client.raw.patch(
            REPLICA_SET,
            name,
            "default",
            patch={**scale, "spec": {"replicas": replicas}},
            type_=PatchType.APPLY,
            subresource="scale",
            field_manager="scaler",
            force=force,
        )

    with pytest.raises(errors.Conflict, match=r'conflict with "owner": \.spec\.replicas'):
        await apply(1)
    with pytest.raises(errors.Invalid, match=r"spec\.replicas: Invalid value: -1"):
        await apply(-1, force=True)
    answer = await apply(1, force=True)
    assert (answer.object["kind"], answer.object["spec"]) == ("Scale", {"replicas": 1})
    present = await client.raw.get(REPLICA_SET, name, "default")
    entries = {entry["manager"]: entry for entry in present["metadata"]["managedFields"]}
    assert entries["scaler"]["subresource"] == "scale"
    assert entries["scaler"]["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in entries["owner"]["fieldsV1"]["f:spec"]
    assert present["spec"]["template"]["spec"]["containers"], "what the scale does not say stays"
    await client.raw.delete(REPLICA_SET, name, "default", grace_period_s=0)


async def test_subresources_that_are_not_there(client: GrpcClient, name: str) -> None:
    await client.raw.create(config(name), namespace="default")
    for subresource in ("status", "bogus"):
        with pytest.raises(errors.NotFound, match="could not find the requested resource"):
            await client.raw.get(CONFIG, name, "default", subresource=subresource)
        with pytest.raises(errors.NotFound, match="could not find the requested resource"):
            await client.raw.patch(CONFIG, name, "default", patch={}, subresource=subresource)
    with pytest.raises(errors.Invalid, match=r'metadata\.uid: Invalid value: "other": field is immutable'):
        await client.raw.patch(CONFIG, name, "default", patch={"metadata": {"uid": "other"}})
    with pytest.raises(errors.Invalid, match=r'metadata\.namespace: Invalid value: "other": field is immutable'):
        await client.raw.patch(CONFIG, name, "default", patch={"metadata": {"namespace": "other"}})


async def test_patches_in_which_fields_stand_twice(client: GrpcClient, name: str) -> None:
    await client.raw.create(config(name), namespace="default")
    stub: Any = objects_pb2_grpc.ObjectsStub(client.channel)

    async def patch(type_: int, text: str, validation: int) -> Any:
        kind = objects_pb2.ResourceType(version="v1", resource="configmaps")
        names = {"type": kind, "namespace": "default", "name": name, "field_manager": "alice"}
        return await stub.Patch(
            objects_pb2.PatchRequest(
                patch_type=type_, patch=text.encode(), field_validation=validation, force=type_ == applied, **names
            )
        )

    merged, listed, applied = objects_pb2.MERGE, objects_pb2.JSON_PATCH, objects_pb2.APPLY
    twice = '{"data": {"a": "1", "a": "2"}}'
    operation = '[{"op": "add", "path": "/data", "path": "/data", "value": {"a": "2"}}]'
    for type_, text, place in ((merged, twice, "data.a"), (applied, twice, "data.a"), (listed, operation, "[0].path")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await patch(type_, text, objects_pb2.STRICT)
        assert refused.value.details() == f'strict decoding error: duplicate field "{place}"'
        answer = await patch(type_, text, objects_pb2.WARN)
        assert list(answer.warnings) == [f'duplicate field "{place}"']
        assert json.loads(answer.object.json)["data"] == {"a": "2"}
        assert not (await patch(type_, text, objects_pb2.IGNORE)).warnings


async def test_an_apply_that_is_meant_for_one_object_makes_no_other(client: GrpcClient, name: str) -> None:
    wanted = config(name)
    wanted["metadata"] = {**wanted["metadata"], "uid": "gone"}
    with pytest.raises(errors.Conflict, match="specified uid gone, and no existing object was found"):
        await client.raw.patch(CONFIG, name, "default", patch=wanted, type_=PatchType.APPLY, field_manager="alice")
    with pytest.raises(errors.NotFound):
        await client.raw.get(CONFIG, name, "default")
