"""Metrics and health over HTTP, from a process of their own."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import signal
import ssl
import time
import urllib.error
import urllib.request
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from knarr_api import errors
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import Container, Node, NodeStatus, Pod, PodSpec, Secret
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import join
from knarr_client.calls import CallSettings
from knarr_client.grpc import GrpcClient
from knarr_proto.v1 import nodes_pb2, nodes_pb2_grpc


def port_of(plane: Any) -> int:
    address = json.loads((plane.data_dir / "controlplane.ready").read_text())["metrics"]
    return int(address.rpartition(":")[2])


def fetch(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def samples(port: int) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    status, text = fetch(port, "/metrics")
    assert status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def observed(start: Any, free_port: Any, tmp_path: Any) -> Any:
    with start(tmp_path / "cp", free_port(), "--metrics-address", "127.0.0.1:0") as plane:
        yield plane


@pytest.mark.parametrize("exchange", [False, True], ids=["unary", "exchange"])
async def test_calls_and_decisions_are_counted(observed: Any, exchange: bool) -> None:
    port = port_of(observed)
    async with GrpcClient.connect(observed.access, settings=CallSettings(exchange=exchange)) as client:
        amounts = {"cpu": Quantity("1"), "memory": Quantity("1Gi"), "pods": Quantity("10")}
        await client.create(Node(metadata=ObjectMeta(name="n1"), status=NodeStatus(allocatable=amounts)))
        pod = Pod(
            metadata=ObjectMeta(name="p", namespace="default"),
            spec=PodSpec(containers=(Container(name="c", image="x"),)),
        )
        await client.create(pod)
        with pytest.raises(errors.AlreadyExists):
            await client.create(pod)

        async with asyncio.timeout(20):
            async for batch in client.watch(Pod, namespace="default", resource_version="0"):
                if any(event.object is not None and event.object.spec.node_name for event in batch):
                    break

    def value(name: str, /, **labels: str) -> float:
        return samples(port).get((name, frozenset(labels.items())), 0.0)

    of_pods = {"group": "", "version": "v1", "resource": "pods", "subresource": "", "scope": "resource"}
    posts = {**of_pods, "component": "apiserver", "verb": "POST", "dry_run": ""}
    assert value("apiserver_request_total", code="201", **posts) == 1
    assert value("apiserver_request_total", code="409", **posts) == 1
    assert value("apiserver_request_duration_seconds_count", **posts) == 2
    assert value("apiserver_current_inflight_requests", request_kind="mutating") == 0
    assert value("apiserver_storage_objects", resource="pods") == 1
    assert value("apiserver_resource_objects", group="coordination.k8s.io", resource="leases") >= 1
    scheduled = {"result": "scheduled", "profile": "default-scheduler"}
    assert value("scheduler_schedule_attempts_total", **scheduled) == 1
    assert value("scheduler_scheduling_attempt_duration_seconds_count", **scheduled) == 1
    assert value("scheduler_pod_scheduling_sli_duration_seconds_count", attempts="1") == 1
    assert value("scheduler_pending_pods", queue="gated") == 0
    assert value("etcd_request_duration_seconds_count", operation="commit") > 3
    assert value("leader_election_master_status", name="knarr-controller-manager") == 1
    assert value("workqueue_adds_total", name="node_lifecycle") >= 1
    assert value("process_resident_memory_bytes") > 1 << 20


def test_health_is_told_check_by_check(observed: Any) -> None:
    port = port_of(observed)
    assert fetch(port, "/livez") == (200, "ok")
    deadline = time.monotonic() + 20
    while (answer := fetch(port, "/readyz?verbose"))[0] != 200 and time.monotonic() < deadline:
        assert "[-]leader failed" in answer[1], "all else is ready when it says so"
    status, text = answer
    assert status == 200 and "[+]store ok" in text and text.endswith("readyz check passed\n")
    assert fetch(port, "/nothing")[0] == 404
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("DELETE", "/metrics")
    assert connection.getresponse().status == 405
    connection.close()


def test_a_process_that_hangs_is_not_live(observed: Any) -> None:
    """The kernel still accepts the connection of a stopped process; nothing answers."""
    port = port_of(observed)
    os.kill(observed.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=0.5)
    finally:
        os.kill(observed.process.pid, signal.SIGCONT)
    assert fetch(port, "/livez")[0] == 200


def test_only_holders_of_a_certificate_are_answered_off_loopback(start: Any, free_port: Any, tmp_path: Any) -> None:
    port = free_port()
    with start(tmp_path / "cp", free_port(), "--metrics-address", f"0.0.0.0:{port}") as plane:
        access = plane.access
        (tmp_path / "ca").write_bytes(access.ca_pem)
        (tmp_path / "pair").write_bytes(access.certificate_pem + access.key_pem)
        trusting = ssl.create_default_context(cafile=str(tmp_path / "ca"))
        with pytest.raises(OSError):
            urllib.request.urlopen(f"https://127.0.0.1:{port}/metrics", timeout=5, context=trusting).read()
        trusting.load_cert_chain(tmp_path / "pair")
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/metrics", timeout=10, context=trusting) as answer:
            assert b"apiserver_request_total" in answer.read()


async def test_no_secret_and_no_token_is_ever_logged(start: Any, free_port: Any, tmp_path: Any) -> None:
    """Not even with everything said, nor of calls that are refused."""
    hidden, port = b"n0b0dy-may-read-this", free_port()
    with start(tmp_path / "cp", port, "--log-level", "debug", "--log-format", "json") as plane:
        async with GrpcClient.connect(plane.access) as client:
            secret = Secret(metadata=ObjectMeta(name="s", namespace="default"), data={"key": hidden})
            await client.create(secret)
            with pytest.raises(errors.AlreadyExists):
                await client.create(secret)
            with pytest.raises(errors.Invalid):
                await client.create(msgspec.structs.replace(secret, data={"a bad key": hidden}))
            stub = nodes_pb2_grpc.NodesStub(client.channel)
            token = (await stub.CreateToken(nodes_pb2.CreateTokenRequest())).token
            await join.join(plane.server, token, "n1")
            with pytest.raises(errors.KnarrError):
                await join.join(plane.server, token[:20] + "x" + token[21:], "n2")
    said = (plane.data_dir / "log").read_text()
    assert [json.loads(line)["event"] for line in said.splitlines()].count("ready") == 1
    for text in (hidden.decode(), base64.b64encode(hidden).decode(), token.split(".")[2], "PRIVATE KEY"):
        assert text not in said
