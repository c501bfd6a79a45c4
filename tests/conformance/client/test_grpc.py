"""What only the client over gRPC has: dicts with warnings, outages, deadlines, the face without await."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import sys
from pathlib import Path

import msgspec
import pytest

from knarr_api import errors, kinds
from knarr_api.types.core_v1 import ConfigMap, Container, Pod, PodSpec
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.calls import CallSettings
from knarr_client.client import EventType, Outcome
from knarr_client.grpc import GrpcClient
from knarr_client.informer import Informer
from knarr_client.raw import Validation
from knarr_client.sync import SyncClient

replace = msgspec.structs.replace
CONFIG_MAP = kinds.of(ConfigMap)
DEADLINE_S = 30


def config(name="a", **data):
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


def document(name="a", **more):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"},
        "data": {"k": "v"},
        **more,
    }


async def test_raw_verbs(over_grpc):
    raw = over_grpc.client.raw
    made = await raw.create(document())
    assert made.object["metadata"]["uid"]
    assert (await raw.get(CONFIG_MAP, "a", "default"))["data"] == {"k": "v"}
    patched = await raw.patch(CONFIG_MAP, "a", "default", patch={"data": {"k": None, "l": "w"}})
    assert patched.object["data"] == {"l": "w"}
    updated = await raw.update(document(data={"k": "x"}))
    assert updated.object["data"] == {"k": "x"}
    applied = await raw.apply(document("b"))
    assert applied.outcome is Outcome.CREATED
    page = await raw.list(CONFIG_MAP, "default")
    assert [each["metadata"]["name"] for each in page.items] == ["a", "b"]
    await raw.delete(CONFIG_MAP, "a", "default")
    with pytest.raises(errors.NotFound):
        await raw.get(CONFIG_MAP, "a", "default")
    assert any(each.kind == "Pod" and "po" in each.short_names for each in await raw.kinds())


async def test_raw_watch(over_grpc):
    raw = over_grpc.client.raw
    batches = raw.watch(CONFIG_MAP, "default", resource_version=(await raw.list(CONFIG_MAP)).resource_version)
    await raw.create(document())
    async with asyncio.timeout(DEADLINE_S):
        (event,) = await anext(batches)
    await batches.aclose()
    assert event.type is EventType.ADDED
    assert event.object["data"] == {"k": "v"}


async def test_unknown_fields_are_refused_with_their_path_or_dropped_with_a_warning(over_grpc):
    raw = over_grpc.client.raw
    with pytest.raises(errors.Invalid) as raised:
        await raw.create(document(dta={"x": "y"}))
    assert [detail.path for detail in raised.value.details] == ["dta"]
    answer = await raw.create(document(dta={"x": "y"}), validation=Validation.WARN)
    assert any("dta" in warning for warning in answer.warnings)
    assert "dta" not in answer.object


async def test_dry_run_leaves_nothing(over_grpc):
    raw = over_grpc.client.raw
    assert (await raw.create(document(), dry_run=True)).object["metadata"]["name"] == "a"
    with pytest.raises(errors.NotFound):
        await raw.get(CONFIG_MAP, "a", "default")


async def test_document_without_kind_is_refused_before_it_is_sent(over_grpc):
    with pytest.raises(errors.Invalid, match="kind: Required value"):
        await over_grpc.client.raw.create({"apiVersion": "v1"})


async def test_nobody_at_the_address_is_unavailable(over_grpc):
    access = dataclasses.replace(over_grpc.access, endpoints=("127.0.0.1:1",))
    settings = CallSettings(deadline_s=3, attempts_max=2)
    async with GrpcClient.connect(access, settings=settings) as client:
        for call in (client.get(ConfigMap, "a", "default"), client.create(config())):
            with pytest.raises(errors.Unavailable):
                await call


async def test_a_server_that_is_slow_to_shake_hands_is_reached(over_grpc):
    """Each way of the handshake takes as long as to the other side of the world, and the server is busy, too."""
    host, _, port = over_grpc.access.endpoints[0].rpartition(":")
    delay_s = 0.1

    async def forward(reader, writer):
        while data := await reader.read(1 << 16):
            await asyncio.sleep(delay_s)  # the distance
            writer.write(data)
        writer.close()

    async def accept(reader, writer):
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(forward(reader, inner_writer), forward(inner_reader, writer))

    async with await asyncio.start_server(accept, "127.0.0.1") as relay:
        endpoint = f"127.0.0.1:{relay.sockets[0].getsockname()[1]}"
        access = dataclasses.replace(over_grpc.access, endpoints=(endpoint,))
        async with GrpcClient.connect(access) as far:
            assert (await far.list(ConfigMap, "default")).items == ()


async def test_a_server_that_is_down_is_skipped(over_grpc):
    access = dataclasses.replace(over_grpc.access, endpoints=("127.0.0.1:1", *over_grpc.access.endpoints))
    async with GrpcClient.connect(access) as client:
        assert (await client.create(config(k="v"))).data == {"k": "v"}


async def test_a_call_to_a_server_that_says_nothing_ends_with_its_deadline(over_grpc):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        access = dataclasses.replace(over_grpc.access, endpoints=(f"127.0.0.1:{silent.getsockname()[1]}",))
        async with GrpcClient.connect(access, settings=CallSettings(deadline_s=0.3)) as client:
            async with asyncio.timeout(DEADLINE_S):
                with pytest.raises((errors.DeadlineExceeded, errors.Unavailable)):
                    await client.list(ConfigMap)


async def test_closing_the_client_ends_its_watches(over_grpc):
    client = GrpcClient.connect(over_grpc.access)
    batches = client.watch(ConfigMap, "default")
    async with asyncio.timeout(DEADLINE_S):
        await anext(batches)
        waiting = asyncio.ensure_future(anext(batches))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(errors.Unavailable):
            while True:
                await waiting
                waiting = asyncio.ensure_future(anext(batches))


async def test_cancelling_a_watch_is_a_cancellation(over_grpc):
    async def follow():
        async for _ in over_grpc.client.watch(ConfigMap, "default"):
            pass

    following = asyncio.ensure_future(follow())
    await over_grpc.client.list(ConfigMap)
    following.cancel()
    await asyncio.wait({following})
    assert following.cancelled()


async def test_an_informer_over_grpc(over_grpc):
    informer = Informer(over_grpc.client, ConfigMap, "default")
    seen = asyncio.Event()
    informer.add_handler(lambda change: seen.set())
    running = asyncio.ensure_future(informer.run())
    async with asyncio.timeout(DEADLINE_S):
        await informer.synced.wait()
        made = await over_grpc.client.create(config())
        await seen.wait()
    assert informer.get("a", "default") == made
    running.cancel()
    await asyncio.wait({running})


async def test_without_await(over_grpc):
    def script():
        with SyncClient.connect(over_grpc.access) as client:
            start = client.list(ConfigMap, "default").resource_version
            made = client.create(config(k="1"))
            client.update(replace(made, data={"k": "2"}))
            events = []
            for batch in client.watch(ConfigMap, "default", resource_version=start):
                events += [event for event in batch if event.object is not None]
                if len(events) >= 2:
                    break
            client.delete(ConfigMap, "a", "default")
            try:
                client.get(ConfigMap, "a", "default")
            except errors.NotFound:
                pass
            else:
                raise AssertionError("it is still there")
            return [event.object.data["k"] for event in events]

    assert await asyncio.to_thread(script) == ["1", "2"]


async def test_the_example_program(over_grpc, tmp_path):
    program = Path(__file__).parents[3] / "deploy" / "examples" / "client_example.py"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        "--seconds",
        "1",
        env={**os.environ, "KUBECONFIG": str(tmp_path / "admin.kubeconfig")},
        stdout=asyncio.subprocess.PIPE,
    )
    spec = PodSpec(containers=(Container(name="c", image="i"),))
    await over_grpc.client.create(Pod(metadata=ObjectMeta(name="p", namespace="default"), spec=spec))
    async with asyncio.timeout(20):
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert "configmap greeting is at revision" in output.decode()
    assert "pod p appeared: Pending on no node yet" in output.decode()
    assert (await over_grpc.client.get(ConfigMap, "greeting", "default")).data
