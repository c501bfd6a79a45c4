"""One client that floods the server: it is told to wait, and everybody else is served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from knarr_api.types.core_v1 import ConfigMap
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.grpc import GrpcClient
from knarr_proto.v1 import objects_pb2
from tests.bench.scale_calls import Connection, Lost

FLOOD, CROWD = 3000, 200
SPACE = "default"
EXHAUSTED, DETAILS = r"grpc-status\x018", "grpc-status-details-bin"
"""Of a refusal's headers: its code, and that it says when to try again."""
REQUEST = objects_pb2.ListRequest(type=objects_pb2.ResourceType(version="v1", resource="configmaps"), namespace=SPACE)


@pytest.fixture
async def crowded(client: GrpcClient) -> AsyncIterator[str]:
    """So many objects that a list takes a moment; the name of one."""
    metadata = ObjectMeta(generate_name="crowd-", namespace=SPACE, labels={"crowd": "yes"})
    made = [await client.create(ConfigMap(metadata=metadata, data={"text": "x" * 2000})) for _ in range(CROWD)]
    yield made[0].metadata.name
    for one in made:
        await client.delete(ConfigMap, one.metadata.name, SPACE)


async def test_who_floods_is_told_to_wait_and_others_are_served(
    control_plane: Any, client: GrpcClient, crowded: str
) -> None:
    flooding = await Connection.open(control_plane.access)
    answers: list[Lost | None] = []
    done = asyncio.Event()

    def ended(error: Lost | None) -> None:
        answers.append(error)
        if len(answers) == FLOOD:
            done.set()

    started = time.monotonic()
    for _ in range(FLOOD):
        flooding.call("/knarr.v1.Objects/List", lambda _: None, ended).send(REQUEST.SerializeToString(), last=True)
    waited: list[float] = []
    while not done.is_set():
        before = time.monotonic()
        await client.get(ConfigMap, crowded, SPACE)
        waited.append(time.monotonic() - before)
    lasted = time.monotonic() - started
    flooding.close()
    refused = [str(answer) for answer in answers if answer is not None]
    assert refused, f"{FLOOD} calls at once are too many for one connection"
    others = [error for error in refused if EXHAUSTED not in error or DETAILS not in error]
    assert not others, others[:3]
    assert answers.count(None) >= 100, "it is served as well"
    assert len(waited) >= 5, f"others had {len(waited)} answers in {lasted:.1f} s: {waited}"


async def test_a_busy_client_is_served_whole(client: GrpcClient, crowded: str) -> None:
    """What was under way is counted off again, and who asks one thing after the other is never refused."""
    for _ in range(1000):
        await client.get(ConfigMap, crowded, SPACE)
