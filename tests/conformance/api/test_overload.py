"""One client that floods the server: it is told to wait, and everybody else is served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from knarr_api import grpc_status
from knarr_api.errors import ResourceExhausted
from knarr_api.types.core_v1 import ConfigMap
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import channel
from knarr_client.grpc import GrpcClient
from knarr_client.kubeconfig import Access
from knarr_proto.v1 import objects_pb2, objects_pb2_grpc

FLOOD, CROWD = 3000, 200
SPACE = "default"
REQUEST = objects_pb2.ListRequest(type=objects_pb2.ResourceType(version="v1", resource="configmaps"), namespace=SPACE)


@pytest.fixture
async def crowded(client: GrpcClient) -> AsyncIterator[str]:
    """So many objects that a list takes a moment; the name of one."""
    metadata = ObjectMeta(generate_name="crowd-", namespace=SPACE, labels={"crowd": "yes"})
    made = [await client.create(ConfigMap(metadata=metadata, data={"text": "x" * 2000})) for _ in range(CROWD)]
    yield made[0].metadata.name
    for one in made:
        await client.delete(ConfigMap, one.metadata.name, SPACE)


def connection_of_its_own(access: Access) -> grpc.aio.Channel:
    """Clients of one process share a connection, and would be held back together."""
    credentials = grpc.ssl_channel_credentials(access.ca_pem, access.key_pem, access.certificate_pem)
    options = (*channel.options(access), ("grpc.use_local_subchannel_pool", 1))
    return grpc.aio.secure_channel(channel.target(access), credentials, options=options)


async def test_who_floods_is_told_to_wait_and_others_are_served(
    control_plane: Any, client: GrpcClient, crowded: str
) -> None:
    async with connection_of_its_own(control_plane.access) as flooding:
        stub: Any = objects_pb2_grpc.ObjectsStub(flooding)

        async def call() -> Exception | None:
            try:
                await stub.List(REQUEST, timeout=60)
            except grpc.aio.AioRpcError as error:
                return grpc_status.from_rpc(error)
            return None

        await stub.List(REQUEST, timeout=60)
        started = time.monotonic()
        flood = [asyncio.create_task(call()) for _ in range(FLOOD)]
        waited: list[float] = []
        while not all(task.done() for task in flood):
            before = time.monotonic()
            await client.get(ConfigMap, crowded, SPACE)
            waited.append(time.monotonic() - before)
        lasted = time.monotonic() - started
        answers = [task.result() for task in flood]
    refused = [answer for answer in answers if answer is not None]
    assert refused, f"{FLOOD} calls at once are too many for one connection"
    others = [error for error in refused if not (isinstance(error, ResourceExhausted) and error.retry_after_s)]
    assert not others, others[:3]
    assert answers.count(None) >= 100, "it is served as well"
    assert len(waited) >= 5, f"others had {len(waited)} answers in {lasted:.1f} s: {waited}"


async def test_a_busy_client_is_served_whole(client: GrpcClient, crowded: str) -> None:
    """What was under way is counted off again, and who asks one thing after the other is never refused."""
    for _ in range(1000):
        await client.get(ConfigMap, crowded, SPACE)
