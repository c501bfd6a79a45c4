"""The process: readiness, health, reflection, restarts, and what it says when it can't start."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from knarr_api import errors
from knarr_api.types.core_v1 import ConfigMap, Secret
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.grpc import GrpcClient
from knarr_proto.v1 import cluster_pb2, cluster_pb2_grpc

DEADLINE_S = 30
GONE = "metadata.name=gone"
"""Not the namespace's own ConfigMap, which comes a moment after the start."""
SERVICES = {"knarr.v1.Objects", "knarr.v1.Pods", "knarr.v1.Nodes", "knarr.v1.Agent", "knarr.v1.Cluster"}


@pytest.fixture
def cluster(client):
    return cluster_pb2_grpc.ClusterStub(client.channel)


async def test_all_parts_are_healthy(client, cluster):
    await client.create(ConfigMap(metadata=ObjectMeta(generate_name="health-", namespace="default")))
    answer = await cluster.Health(cluster_pb2.HealthRequest())
    assert answer.healthy
    assert {check.name for check in answer.checks} >= {"store", "cache", "agents", "leader"}


def test_it_runs_as_a_batch_that_pushes_nobody_aside(control_plane):
    assert os.sched_getscheduler(control_plane.process.pid) == os.SCHED_BATCH


async def test_the_version_is_told(cluster):
    answer = await cluster.Version(cluster_pb2.VersionRequest())
    assert answer.kubernetes_version == "v1.37"
    assert len(answer.cluster_id) == 12


async def test_standard_health_checks(client):
    stub = health_pb2_grpc.HealthStub(client.channel)
    for service in ("", "knarr.v1.Objects"):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_is_enough_to_call_without_our_files(client):
    stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)

    async def ask(**request):
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**request)]))
        return await call.read()

    listed = await ask(list_services="")
    names = {service.name for service in listed.list_services_response.service}
    assert names >= SERVICES | {"grpc.health.v1.Health"}
    found = await ask(file_containing_symbol="knarr.v1.Objects")
    files = [FileDescriptorProto.FromString(data) for data in found.file_descriptor_response.file_descriptor_proto]
    methods = {method.name for file in files for service in file.service for method in service.method}
    assert methods >= {"Get", "List", "Watch", "Apply"}


async def test_why_a_pod_is_as_it_is(client, cluster):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "why", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "a"}], "schedulerName": "nobody"},
    }
    await client.raw.create(pod)
    answer = await cluster.Why(cluster_pb2.WhyRequest(pod="why"))
    assert "pod why is Pending" in answer.summary
    assert answer.findings[0].subject == "scheduling"


async def test_a_second_process_says_who_has_the_directory(control_plane):
    command = [sys.executable, "-m", "knarr_controlplane", "--data-dir", str(control_plane.data_dir)]
    second = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=30, check=False)
    assert second.returncode == 1
    expected = f"data directory {control_plane.data_dir} is in use by process {control_plane.process.pid}"
    assert expected in second.stderr.decode()
    assert len(second.stderr.decode().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--store", "paper"], '--store "paper": must be sqlite, etcd or etcd://'),
        (["--store", "etcd://nowhere"], "expected etcd://HOST:PORT"),
        (["--listen", "here"], '--listen "here": expected HOST:PORT'),
        (["--listen", "127.0.0.1:70000"], "expected HOST:PORT"),
        (["--listen", "netns:/no/such,127.0.0.1:7000"], "network namespace /no/such: No such file"),
        (["--node-grace", "1", "--heartbeat", "3"], "must be at least twice the heartbeat"),
    ],
)
async def test_what_can_not_work_is_said_in_one_line(tmp_path, arguments, message):
    command = [sys.executable, "-m", "knarr_controlplane", "--data-dir", str(tmp_path / "d"), *arguments]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=30, check=False)
    assert done.returncode in (1, 2)
    assert message in done.stderr.decode().splitlines()[-1]
    assert "Traceback" not in done.stderr.decode()


async def test_a_port_that_is_taken_is_named(tmp_path, control_plane):
    command = [
        sys.executable,
        "-m",
        "knarr_controlplane",
        "--data-dir",
        str(tmp_path),
        "--listen",
        control_plane.server,
    ]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=30, check=False)
    assert done.returncode == 1
    assert f"cannot listen on {control_plane.server}" in done.stderr.decode()


async def test_acknowledged_writes_survive_a_kill(tmp_path, start, two_ports):
    port = two_ports()
    with start(tmp_path / "d", port) as first:
        async with GrpcClient.connect(first.access) as client:
            secret = await client.create(
                Secret(metadata=ObjectMeta(name="kept", namespace="default"), data={"a": b"b"})
            )
            start_at = (await client.list(Secret)).resource_version
            gone = await client.create(ConfigMap(metadata=ObjectMeta(name="gone", namespace="default")))
            await client.delete(ConfigMap, "gone", "default")
        first.process.kill()
        first.process.wait()
    with start(tmp_path / "d", port) as second:
        async with GrpcClient.connect(second.access) as client:
            assert await client.get(Secret, "kept", "default") == secret
            with pytest.raises(errors.NotFound):
                await client.get(ConfigMap, "gone", "default")
            changes = await anext(client.watch(ConfigMap, "default", resource_version=start_at, field_selector=GONE))
            assert [(event.type.value, event.object.metadata.uid) for event in changes] == [
                ("ADDED", gone.metadata.uid),
                ("DELETED", gone.metadata.uid),
            ]
            again = await anext(
                client.watch(ConfigMap, "default", resource_version=changes[0].resource_version, field_selector=GONE)
            )
            assert again[:1] == changes[1:]
            began = time.monotonic()
            newest = (await client.list(Secret)).resource_version
            watching = asyncio.ensure_future(anext(client.watch(Secret, resource_version=newest)))
            await asyncio.sleep(0)
            second.process.terminate()
            assert await asyncio.to_thread(second.process.wait, DEADLINE_S) == 0
            assert time.monotonic() - began < 10
            with pytest.raises(errors.KnarrError):
                await watching


async def test_a_lost_key_is_said_at_the_start(tmp_path, start, two_ports):
    port = two_ports()
    with start(tmp_path / "d", port) as first:
        async with GrpcClient.connect(first.access) as client:
            await client.create(Secret(metadata=ObjectMeta(name="s", namespace="default"), data={"a": b"b"}))
    (tmp_path / "d" / "pki" / "secrets.key").write_bytes(b"0" * 32)
    command = [sys.executable, "-m", "knarr_controlplane", "--data-dir", str(tmp_path / "d")]
    done = await asyncio.to_thread(
        subprocess.run, [*command, "--listen", f"127.0.0.1:{port}"], capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert "can't be decrypted" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


async def test_old_history_is_forgotten_in_time(tmp_path, start, two_ports):
    with start(tmp_path / "d", two_ports(), "--retention", "0.5") as running:
        async with GrpcClient.connect(running.access) as client:
            old = (await client.list(ConfigMap)).resource_version
            await client.create(ConfigMap(metadata=ObjectMeta(name="a", namespace="default")))
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    try:
                        batches = client.watch(ConfigMap, resource_version=old)
                        await anext(batches)
                        await batches.aclose()
                    except errors.Expired:
                        break
                    await client.patch(ConfigMap, "a", "default", patch={"data": {"t": str(time.monotonic())}})
            page = await client.list(ConfigMap, field_selector="metadata.name!=kube-root-ca.crt")
            assert len(page.items) == 1


def test_a_scheduler_configuration_that_can_not_be_used_is_named(tmp_path):
    (tmp_path / "config.yaml").write_text("apiVersion: kubescheduler.config.k8s.io/v1\nkind: Other\n")
    command = [sys.executable, "-m", "knarr_controlplane", "--data-dir", str(tmp_path / "d")]
    done = subprocess.run(
        [*command, "--scheduler-config", str(tmp_path / "config.yaml")],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 1
    assert f"--scheduler-config {tmp_path}/config.yaml: apiVersion, kind" in done.stderr
