"""Two control planes on one etcd: what one has acknowledged the other shows, and one of them leads."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import shutil
import signal
import socket

import msgspec
import pytest

from knarr_api.types.coordination_v1 import Lease
from knarr_api.types.core_v1 import ConfigMap, Secret
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.calls import CallSettings
from knarr_client.grpc import GrpcClient

pytestmark = pytest.mark.etcd
DEADLINE_S = 30
WRITERS = 16
LEASE = "knarr-controller-manager"


@pytest.fixture
async def both(tmp_path, etcd, start, two_ports):
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", etcd), timeout=1):
                break
            await asyncio.sleep(0.05)
    store = ("--store", f"etcd://127.0.0.1:{etcd}")
    with start(tmp_path / "a", two_ports(), *store) as one:
        shutil.copytree(tmp_path / "a" / "pki", tmp_path / "b" / "pki")
        with start(tmp_path / "b", two_ports(), *store) as other:
            async with GrpcClient.connect(one.access) as at_one, GrpcClient.connect(other.access) as at_other:
                yield one, at_one, other, at_other


async def test_what_one_acknowledged_the_other_shows(both):
    _, at_one, _, at_other = both
    replace = msgspec.structs.replace
    made = await at_one.create(ConfigMap(metadata=ObjectMeta(name="shared", namespace="default")))
    for number in range(25):
        seen = await at_other.get(ConfigMap, "shared", "default")
        assert seen.data == made.data
        made = await at_other.update(replace(seen, data={"n": str(number)}))
        (listed,) = (await at_one.list(ConfigMap, "default", field_selector="metadata.name=shared")).items
        assert listed.data == made.data
        made = await at_one.update(replace(listed, data={"m": str(number)}))
    await at_one.create(Secret(metadata=ObjectMeta(name="s", namespace="default"), data={"a": b"b"}))
    assert (await at_other.get(Secret, "s", "default")).data == {"a": b"b"}


async def test_the_other_leads_when_the_leader_is_killed(both):
    one, _, _, at_other = both

    async def holder():
        return (await at_other.get(Lease, LEASE, "kube-system")).spec.holder_identity

    first = await holder()
    assert first.endswith(f"-{one.process.pid}")
    one.process.kill()
    one.process.wait()
    async with asyncio.timeout(DEADLINE_S):
        async for _ in at_other.watch(Lease, "kube-system"):
            if await holder() not in ("", first):
                break


@pytest.mark.parametrize("exchange", [False, True], ids=["unary", "exchange"])
async def test_a_client_goes_on_at_the_other(both, exchange):
    one, _, other, _ = both
    access = dataclasses.replace(one.access, endpoints=(*one.access.endpoints, *other.access.endpoints))
    async with GrpcClient.connect(access, settings=CallSettings(exchange=exchange)) as client:
        made = await client.create(ConfigMap(metadata=ObjectMeta(name="moved", namespace="default")))
        one.process.kill()
        one.process.wait()
        assert (await client.get(ConfigMap, "moved", "default")).metadata.uid == made.metadata.uid
        assert (await client.update(msgspec.structs.replace(made, data={"a": "b"}))).data == {"a": "b"}


@pytest.mark.parametrize("exchange", [False, True], ids=["unary", "exchange"])
async def test_no_write_fails_when_a_control_plane_is_stopped(both, exchange):
    """As in a rolling upgrade: it answers what is under way, and has clients make their next call elsewhere."""
    one, _, other, _ = both
    access = dataclasses.replace(one.access, endpoints=(*one.access.endpoints, *other.access.endpoints))
    stopped = asyncio.Event()
    async with GrpcClient.connect(access, settings=CallSettings(exchange=exchange)) as client:

        async def write(writer):
            for number in itertools.count():
                await client.create(ConfigMap(metadata=ObjectMeta(name=f"w{writer}-{number}", namespace="default")))
                if stopped.is_set():
                    break

        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
            for writer in range(WRITERS):
                tasks.create_task(write(writer))
            await client.create(ConfigMap(metadata=ObjectMeta(name="first", namespace="default")))
            one.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(one.process.wait)
            stopped.set()
