"""Requests that are too large, and large ones that are not: a clear answer, and the next call is served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from knarr_api import errors, kinds
from knarr_api.types.core_v1 import ConfigMap, Namespace
from knarr_client.client import PatchType
from knarr_client.grpc import GrpcClient
from knarr_proto.v1 import objects_pb2, objects_pb2_grpc

MAPS = kinds.of(ConfigMap)
MANY = {f"label-{number}": "value" for number in range(10_000)}
GET = objects_pb2.GetRequest(
    type=objects_pb2.ResourceType(version="v1", resource="configmaps"), namespace="default", name="kube-root-ca.crt"
)


def config_map(**metadata: Any) -> dict[str, Any]:
    names = {"name": "limits", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**names, **metadata}}


def deployment(bytes_: int) -> dict[str, Any]:
    container = {"name": "main", "image": "shop:1", "env": [{"name": "A", "value": "x" * bytes_}]}
    template = {"metadata": {"labels": {"app": "big"}}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "big", "namespace": "default"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "big"}}, "template": template},
    }


@pytest.fixture(autouse=True)
async def served_afterwards(client: GrpcClient) -> AsyncIterator[None]:
    yield
    assert await client.get(Namespace, "default")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (deployment(1_700_000), "Request entity too large: limit is 1572864 "),
        (deployment(3_500_000), "Request entity too large: limit is 3145728 "),
        (config_map() | {"data": {"a": "x" * 1_100_000}}, "data: Too long: may not be more than 1048576 bytes"),
        (
            config_map(annotations={"a": "x" * 300_000}),
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
    ],
    ids=["stored", "sent", "data", "annotations"],
)
async def test_an_object_that_is_too_large_is_refused(client: GrpcClient, document: Any, message: str) -> None:
    with pytest.raises(errors.Invalid, match=message):
        await client.raw.create(document)


async def test_ten_thousand_labels_are_many_but_not_too_many(client: GrpcClient) -> None:
    try:
        await client.raw.create(config_map(labels=MANY))
        changed = dict.fromkeys(MANY, "other")
        await client.raw.patch(MAPS, "limits", "default", patch={"metadata": {"labels": changed}})
        await client.raw.patch(
            MAPS, "limits", "default", patch=config_map(labels=changed), type_=PatchType.APPLY, field_manager="limits"
        )
        assert (await client.get(ConfigMap, "limits", "default")).metadata.labels == changed
    finally:
        await client.delete(ConfigMap, "limits", "default")


@pytest.mark.parametrize(
    ("selectors", "message"),
    [
        ({"label_selector": ",".join(f"{name}=value" for name in MANY)}, "longer than 16384 characters"),
        ({"label_selector": f"a in ({','.join(MANY)})"}, "longer than 16384 characters"),
        ({"field_selector": ",".join(f"metadata.name!={name}" for name in MANY)}, "more than 32 terms"),
    ],
    ids=["terms", "values", "fields"],
)
async def test_a_huge_selector_is_refused(client: GrpcClient, selectors: dict[str, str], message: str) -> None:
    with pytest.raises(errors.Invalid, match=message):
        await client.list(ConfigMap, "default", **selectors)


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ([{"op": "add", "path": "/data", "value": {}}] * 10_001, "more than the limit of 10000"),
        (
            [
                {"op": "add", "path": "/data", "value": {"a": "x" * 1000}},
                *({"op": "copy", "from": "/data", "path": f"/data/b{number}"} for number in range(40)),
            ],
            "copies make more than",
        ),
    ],
    ids=["operations", "copies"],
)
async def test_a_patch_that_grows_is_refused(client: GrpcClient, patch: Any, message: str) -> None:
    with pytest.raises(errors.Invalid, match=message):
        await client.raw.patch(MAPS, "kube-root-ca.crt", "default", patch=patch, type_=PatchType.JSON)


async def test_large_metadata_of_a_call_is_refused(client: GrpcClient) -> None:
    stub: Any = objects_pb2_grpc.ObjectsStub(client.channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Get(GET, metadata=(("x-large", "a" * 65_536),), timeout=30)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
