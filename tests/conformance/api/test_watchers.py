"""Many who watch and do not read, and more than goes into one message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import msgspec
import pytest

from knarr_api import grpc_status, kinds
from knarr_api.errors import ResourceExhausted
from knarr_api.types.core_v1 import ConfigMap
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import channel
from knarr_client.grpc import GrpcClient
from knarr_client.kubeconfig import Access
from knarr_proto.v1 import objects_pb2, objects_pb2_grpc
from tests.slowness import patient

IDLE, IDLE_ON_ONE_CONNECTION, SLOW = 1000, 50, 50
CHANGES, TEXT = 150, "x" * 100_000
BIG, BIG_COUNT = "x" * 1_000_000, 70
GROWS_AT_MOST_MIB = 500
SLOW_CHANGES, SHARED_GROWS_AT_MOST_MIB = 20, 200
WAITS_AT_MOST_S = 2.0
MAPS = objects_pb2.ResourceType(version="v1", resource="configmaps")


@pytest.fixture
async def apart(tmp_path: Path, start: Any, free_port: Any) -> AsyncIterator[tuple[Any, GrpcClient]]:
    """A control plane of the test's own, and a client."""
    with start(tmp_path / "d", free_port()) as running:
        async with GrpcClient.connect(running.access) as client:
            yield running, client


def connection_of_its_own(access: Access) -> Any:
    """With windows that are full soon: nothing but what one has not read keeps the server waiting."""
    credentials = grpc.ssl_channel_credentials(access.ca_pem, access.key_pem, access.certificate_pem)
    own = (("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0))
    return grpc.aio.secure_channel(channel.target(access), credentials, options=(*channel.options(access), *own))


def watching(connection: Any) -> Any:
    return objects_pb2_grpc.ObjectsStub(connection).Watch(objects_pb2.WatchRequest(type=MAPS, namespace="default"))


def mib_resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / (1 << 20)


def config_map(name: str, text: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data={"text": text})


async def status_of(call: Any) -> tuple[Exception, int]:
    """How a watch ended, and how many changes it had told before."""
    told = 0
    try:
        async with asyncio.timeout(patient(30)):
            while (answer := await call.read()) is not grpc.aio.EOF:
                told += len(answer.events)
    except grpc.aio.AioRpcError as error:
        return grpc_status.from_rpc(error), told
    raise AssertionError("the watch ended as if all were well")


async def test_who_does_not_read_is_cut_off_and_nobody_else_waits(apart: tuple[Any, GrpcClient]) -> None:
    running, client = apart
    idle = [connection_of_its_own(running.access) for _ in range(IDLE // IDLE_ON_ONE_CONNECTION)]
    slow = [connection_of_its_own(running.access) for _ in range(SLOW)]
    calls = [
        objects_pb2_grpc.ObjectsStub(idle[number % len(idle)]).Watch(
            objects_pb2.WatchRequest(type=MAPS, namespace=f"nothing-{number}")
        )
        for number in range(IDLE)
    ]
    for call in calls:
        await call.read()
    not_read = [watching(each) for each in slow]
    for call in not_read:
        await call.read()
    before_mib = mib_resident(running.process.pid)
    changed = await client.create(config_map("changed", TEXT))
    seen: list[int] = []

    async def follow() -> None:
        async for batch in client.watch(ConfigMap, "default", resource_version=changed.metadata.resource_version):
            seen.extend(len(event.object.data["text"]) for event in batch if event.object is not None)
            if len(seen) >= CHANGES:
                return

    following = asyncio.create_task(follow())
    waited: list[float] = []
    for number in range(1, CHANGES + 1):
        text = TEXT + "x" * number
        changed = await client.update(msgspec.structs.replace(changed, data={"text": text}))
        before = time.monotonic()
        await client.get(ConfigMap, "changed", "default")
        waited.append(time.monotonic() - before)
    await asyncio.wait_for(following, patient(20))
    grown_mib = mib_resident(running.process.pid) - before_mib
    print(f"waited at most {max(waited):.3f} s, grew by {grown_mib:.0f} MiB")
    assert seen == [len(TEXT) + number for number in range(1, CHANGES + 1)]
    assert sorted(waited)[len(waited) * 9 // 10] < patient(WAITS_AT_MOST_S)
    assert grown_mib < GROWS_AT_MOST_MIB
    await asyncio.sleep(patient(16))  # longer than a client may leave unread what it was sent
    ends = [await status_of(call) for call in not_read]
    for error, told in ends:
        assert isinstance(error, ResourceExhausted) and "not read within" in str(error), error
        assert told < CHANGES
    assert not any(call.done() for call in calls), "who has nothing to read is left alone"
    for connection in (*idle, *slow):
        await connection.close(None)


async def test_a_list_that_no_message_holds_comes_in_parts(apart: tuple[Any, GrpcClient]) -> None:
    running, client = apart
    for number in range(BIG_COUNT):
        await client.create(config_map(f"big-{number:03}", BIG))
    names = [f"big-{number:03}" for number in range(BIG_COUNT)]
    page = await client.list(ConfigMap, "default", field_selector="metadata.name!=kube-root-ca.crt")
    assert [item.metadata.name for item in page.items] == names
    assert not page.continue_
    few = await client.list(ConfigMap, "default", limit=50)
    assert 0 < len(few.items) < 50 and few.continue_, "fewer than asked for, as so many are too much"

    stub: Any = objects_pb2_grpc.ObjectsStub(client.channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.List(objects_pb2.ListRequest(type=MAPS, namespace="default"), timeout=60)
    error = grpc_status.from_rpc(refused.value)
    assert isinstance(error, ResourceExhausted) and "ask for it in pages, with a limit" in str(error)

    async with connection_of_its_own(running.access) as own:
        call = watching(own)
        told: list[str] = []
        largest = 0
        async with asyncio.timeout(patient(30)):
            while len(told) < BIG_COUNT:
                answer = await call.read()
                largest = max(largest, answer.ByteSize())
                told += [str(event.resource_version) for event in answer.events if b'"big-' in event.object.json[:300]]
        assert largest < 4 * len(BIG)
        call.cancel()

    gone = await client.raw.delete_collection(kinds.of(ConfigMap), "default")
    assert len(gone) <= BIG_COUNT
    assert not (await client.list(ConfigMap, "default", field_selector="metadata.name!=kube-root-ca.crt")).items


async def test_slow_watchers_of_large_objects_share_what_they_are_sent(apart: tuple[Any, GrpcClient]) -> None:
    """Each change of 1 MB is kept for all of them, not for each."""
    running, client = apart
    slow = [connection_of_its_own(running.access) for _ in range(SLOW)]
    changed = await client.create(config_map("changed", BIG))
    for number in range(SLOW_CHANGES):  # what the store and the cache keep of the past anyway is there before
        changed = await client.update(msgspec.structs.replace(changed, data={"text": BIG + str(number)}))
    before_mib = mib_resident(running.process.pid)
    not_read = [watching(each) for each in slow]
    for call in not_read:
        await call.read()
    most_mib = before_mib
    for number in range(SLOW_CHANGES):
        changed = await client.update(msgspec.structs.replace(changed, data={"text": BIG + f"again {number}"}))
        await asyncio.sleep(0.05)
        most_mib = max(most_mib, mib_resident(running.process.pid))
    print(f"{before_mib:.0f} MiB before, {most_mib:.0f} MiB at most")
    assert most_mib - before_mib < SHARED_GROWS_AT_MOST_MIB
    for connection in slow:
        await connection.close(None)
