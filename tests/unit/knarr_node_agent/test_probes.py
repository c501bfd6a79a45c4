"""Verdicts, and the checks over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api.types.core_v1 import Container, ContainerPort, ExecAction, HTTPGetAction, HTTPHeader, Pod, Probe
from knarr_client import virtual_time
from knarr_client.virtual_time import VirtualClock
from knarr_node_agent.podmachine.world import Health
from knarr_node_agent.probes import (
    Probes,
    Tally,
    Target,
    concluded,
    http_status,
    initial_health,
    port_number,
    tally,
)

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
    for path in ("/garbage", "/a b"):
        with pytest.raises(ValueError, match=r"malformed|white space"):
            await http_status(target, HTTPGetAction(path=path, port=port))


def test_port_by_name() -> None:
    container = Container(name="main", ports=(ContainerPort(name="http", container_port=80),))
    assert port_number(container, "http") == 80
    assert port_number(container, 81) == 81
    with pytest.raises(LookupError, match='no port named "other"'):
        port_number(container, "other")
