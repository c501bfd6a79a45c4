"""Verdicts, and the checks over real sockets."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from knarr_api.types.core_v1 import (
    Container,
    ContainerPort,
    ExecAction,
    HTTPGetAction,
    HTTPHeader,
    LifecycleHandler,
    Pod,
    Probe,
)
from knarr_client import virtual_time
from knarr_client.clock import SystemClock
from knarr_client.virtual_time import VirtualClock
from knarr_node_agent.hooks import run_hook
from knarr_node_agent.podmachine.world import Health
from knarr_node_agent.probes import (
    MAX_HEAD_BYTES,
    Probes,
    Tally,
    Target,
    concluded,
    http_status,
    initial_health,
    port_number,
    tally,
)
from knarr_node_agent.runtime import Runtime

MakePod = Callable[..., Pod]


@given(st.lists(st.booleans()), st.integers(1, 4), st.integers(1, 4))
def test_verdict_changes_after_so_many_in_a_row(results: list[bool], successes: int, failures: int) -> None:
    probe = Probe(success_threshold=successes, failure_threshold=failures)
    counted, expected = Tally(), None
    for index, result in enumerate(results):
        counted = tally(counted, result, probe)
        wanted = successes if result else failures
        tail = results[max(index + 1 - wanted, 0) : index + 1]
        if len(tail) == wanted and set(tail) == {result}:
            expected = result
        assert counted.verdict is expected


def test_nothing_is_known_to_be_well_before_the_first_verdict() -> None:
    probe = Probe(exec_=ExecAction(command=("x",)))
    assert initial_health(Container(name="a"), None) == Health(started=True, ready=True)
    assert initial_health(Container(name="a", readiness_probe=probe), None) == Health(started=True, ready=False)
    assert initial_health(Container(name="a", startup_probe=probe), None) == Health(started=False, ready=False)
    known = Health(started=True, ready=True)
    assert initial_health(Container(name="a", readiness_probe=probe, startup_probe=probe), known) == known


def test_verdicts_become_health() -> None:
    probe = Probe(termination_grace_period_seconds=4)
    container = Container(name="a", startup_probe=probe, liveness_probe=probe)
    begun = concluded(Health(started=False, ready=False), container, "startup", True)
    assert begun == Health(started=True, ready=True)
    assert concluded(begun, container, "liveness", True) == begun
    dead = concluded(begun, container, "liveness", False)
    assert (dead.failed, dead.grace_s, dead.ready) == ("failed liveness probe", 4, False)


class Answers:
    """Stands for the runtime: answers commands with what ``code`` says at the time."""

    def __init__(self, clock: VirtualClock, code: Callable[[float], int]) -> None:
        self._clock = clock
        self._code = code
        self.asked_s: list[float] = []

    async def exec(self, identifier: str, command: tuple[str, ...], timeout_s: float) -> tuple[int, bytes]:
        self.asked_s.append(round(self._clock.monotonic(), 3))
        return self._code(self._clock.monotonic()), b""


def test_what_has_just_started_is_asked_often_until_it_answers(a_pod: MakePod) -> None:
    async def scenario(clock: VirtualClock) -> None:
        probe = Probe(exec_=ExecAction(command=("x",)), period_seconds=10)
        container = Container(name="main", readiness_probe=probe)
        runtime = Answers(clock, lambda now_s: 0 if now_s >= 0.3 else 1)
        unhealthy: list[str] = []
        probes = Probes(
            runtime,  # type: ignore[arg-type]
            clock,
            changed=lambda uid: None,
            unhealthy=lambda target, kind, why: unhealthy.append(kind),
        )
        target = Target(pod=a_pod(container), container=container, container_id="c", ip="10.0.0.2")
        probes.watch(target)
        await clock.sleep(25)
        assert runtime.asked_s == [0.0, 0.05, 0.15, 0.35, 10.35, 20.35]
        assert probes.watch(target).ready
        assert unhealthy == ["readiness"], "only what counts is told"
        probes.close()

    virtual_time.run(scenario)


def test_slow_starter_keeps_its_failure_threshold(a_pod: MakePod) -> None:
    async def scenario(clock: VirtualClock) -> None:
        probe = Probe(exec_=ExecAction(command=("x",)), period_seconds=10, failure_threshold=3)
        container = Container(name="main", startup_probe=probe)
        runtime = Answers(clock, lambda now_s: 1)
        probes = Probes(
            runtime,  # type: ignore[arg-type]
            clock,
            changed=lambda uid: None,
            unhealthy=lambda target, kind, why: None,
        )
        target = Target(pod=a_pod(container), container=container, container_id="c", ip="10.0.0.2")
        probes.watch(target)
        await clock.sleep(19)
        assert not probes.watch(target).failed
        await clock.sleep(2)
        assert probes.watch(target).failed == "failed startup probe"
        probes.close()

    virtual_time.run(scenario)


@pytest.fixture
async def server() -> Any:
    """Answers every request with 204, or by its path; remembers heads."""
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        path = head.split()[1]
        if path == "/garbage":
            writer.write(b"hello\r\n")
        elif path == "/endless":
            writer.write(b"HTTP/1.1 200 " + b"O" * 3 * MAX_HEAD_BYTES)
        elif path != "/silent":
            code = path.strip("/") if path.strip("/").isdigit() else "204"
            writer.write(f"HTTP/1.1 {code} X\r\nLocation: http://192.0.2.9/\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield listening.sockets[0].getsockname()[1], heads
    listening.close()
    await listening.wait_closed()


async def test_http_status_is_read_and_redirects_are_not_followed(server: Any, a_pod: MakePod) -> None:
    port, heads = server
    container = Container(name="main", ports=(ContainerPort(name="http", container_port=port),))
    target = Target(pod=a_pod(container), container=container, container_id="c", ip="127.0.0.1")
    header = HTTPHeader(name="host", value="example.org")
    assert await http_status(target, HTTPGetAction(path="ok", port="http", http_headers=(header,))) == 204
    assert "host: example.org" in heads[0]
    assert heads[0].lower().count("host:") == 1
    assert await http_status(target, HTTPGetAction(path="/302", port=port)) == 302
    assert len(heads) == 2
    for path in ("/garbage", "/a b", "/endless"):
        with pytest.raises(ValueError, match=r"malformed|white space"):
            await http_status(target, HTTPGetAction(path=path, port=port))
    with pytest.raises(OSError, match="closed before there was an answer"):
        await http_status(target, HTTPGetAction(path="/silent", port=port))


@pytest.fixture
def hanging_https(tmp_path: Path) -> Iterator[int]:
    """The port of a server that shakes hands and then does nothing."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(certificate + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    over = threading.Event()

    def serve() -> None:
        with context.wrap_socket(listening.accept()[0], server_side=True):
            over.wait()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve)
        serving.start()
        yield listening.getsockname()[1]
        over.set()
        serving.join()


async def test_a_check_of_a_server_that_hangs_ends_in_time_with_tls_too(hanging_https: int, a_pod: MakePod) -> None:
    container = Container(name="main")
    target = Target(pod=a_pod(container), container=container, container_id="c", ip="127.0.0.1")
    hook = LifecycleHandler(http_get=HTTPGetAction(path="/", port=hanging_https, scheme="HTTPS"))
    async with asyncio.timeout(20):
        why = await run_hook(Runtime(None, None), SystemClock(), target, hook, timeout_s=2.0)
    assert why == "timed out after 2s"


@pytest.mark.parametrize(("path", "why"), [("/silent", "closed before"), ("/endless", "malformed"), ("/500", "500")])
async def test_a_hook_says_why_it_failed_however_the_server_answers(
    server: Any, a_pod: MakePod, path: str, why: str
) -> None:
    port, _ = server
    container = Container(name="main")
    target = Target(pod=a_pod(container), container=container, container_id="c", ip="127.0.0.1")
    hook = LifecycleHandler(http_get=HTTPGetAction(path=path, port=port))
    assert why in await run_hook(Runtime(None, None), SystemClock(), target, hook, timeout_s=30.0)


def test_port_by_name() -> None:
    container = Container(name="main", ports=(ContainerPort(name="http", container_port=80),))
    assert port_number(container, "http") == 80
    assert port_number(container, 81) == 81
    with pytest.raises(LookupError, match='no port named "other"'):
        port_number(container, "other")
