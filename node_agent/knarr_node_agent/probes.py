"""Probing containers: one task per probe, verdicts by counting. Source: Kubernetes "Configure Probes".

``tally`` is pure; the tasks run the check and tell when a verdict changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import grpc.aio

from knarr_api import grpc_status
from knarr_api.errors import DeadlineExceeded, KnarrError
from knarr_api.types.core_v1 import Container, HTTPGetAction, Pod, Probe
from knarr_client.clock import Clock
from knarr_node_agent.podmachine.world import Health
from knarr_node_agent.runtime import Runtime

MAX_HEAD_BYTES = 16 * 1024
TLS_END_S = 0.1
"""For a server to say goodbye: one that hangs never does, and the next check is not to wait for it."""
SERVING = 1
UNKNOWN_RETRY_S = 1.0
FIRST_EAGER_S = 0.05
"""What has just started is asked more often than its period says, at doubling distances, until it answers once: only
success counts of that."""
LIVENESS_WAIT_S = 1.0
"""A container is not asked whether it lives before it could begin to."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Results in a row. verdict: None before the first one counts."""

    verdict: bool | None = None
    successes: int = 0
    failures: int = 0


def tally(before: Tally, success: bool, probe: Probe) -> Tally:
    """One more result."""
    if success:
        count = before.successes + 1
        verdict = True if count >= (probe.success_threshold or 1) else before.verdict
        return Tally(verdict, count, 0)
    count = before.failures + 1
    verdict = False if count >= (probe.failure_threshold or 3) else before.verdict
    return Tally(verdict, 0, count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A running container to probe."""

    pod: Pod
    container: Container
    container_id: str
    ip: str
    started_at: datetime.datetime | None = None


@dataclass(slots=True)
class Probed:
    """The tasks and the state of one container."""

    target: Target
    health: Health
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)


Told = Callable[[Target, str, str], None]
"""Called with the kind of probe and why it failed, for the event."""


def initial_health(container: Container, before: Health | None) -> Health:
    """Before the first verdict: nothing is known to be well that a probe could tell, unless it was known before.

    before: what was reported of the very same container, by this agent's predecessor. Pure.
    """
    started = container.startup_probe is None or (before is not None and before.started)
    ready = started and (container.readiness_probe is None or (before is not None and before.ready))
    return Health(started=started, ready=ready)


def concluded(before: Health, container: Container, kind: str, verdict: bool) -> Health:
    """The health after a probe's verdict. Pure."""
    if kind == "readiness":
        return replace(before, ready=verdict)
    if kind == "startup" and verdict:
        return replace(before, started=True, ready=before.ready or container.readiness_probe is None)
    if verdict:
        return before
    probe = container.startup_probe if kind == "startup" else container.liveness_probe
    grace_s = probe.termination_grace_period_seconds if probe is not None else None
    return replace(before, ready=False, failed=f"failed {kind} probe", grace_s=grace_s)


class Probes:
    """changed: called with the pod's uid when the health of one of its containers has changed."""

    def __init__(self, runtime: Runtime, clock: Clock, *, changed: Callable[[str], None], unhealthy: Told) -> None:
        self._runtime = runtime
        self._clock = clock
        self._changed = changed
        self._unhealthy = unhealthy
        self._probed: dict[str, Probed] = {}

    def watch(self, target: Target, before: Health | None = None) -> Health:
        """Probe from now on; again for the same container changes nothing. before: as for ``initial_health``."""
        probed = self._probed.get(target.container_id)
        if probed is not None:
            return probed.health
        container = target.container
        probed = self._probed[target.container_id] = Probed(target, initial_health(container, before))
        if probed.health.started:
            probed.started.set()
        for kind, probe in (
            ("startup", container.startup_probe if not probed.health.started else None),
            ("readiness", container.readiness_probe),
            ("liveness", container.liveness_probe),
        ):
            if probe is not None:
                name = f"probe/{kind}/{target.container_id[:12]}"
                probed.tasks.append(asyncio.create_task(self._loop(probed, kind, probe), name=name))
        return probed.health

    def forget(self, container_id: str) -> None:
        probed = self._probed.pop(container_id, None)
        for task in probed.tasks if probed is not None else ():
            task.cancel()

    def forget_pod(self, uid: str) -> None:
        for container_id, probed in tuple(self._probed.items()):
            if probed.target.pod.metadata.uid == uid:
                self.forget(container_id)

    def known(self) -> frozenset[str]:
        return frozenset(self._probed)

    def close(self) -> None:
        for container_id in tuple(self._probed):
            self.forget(container_id)

    async def _loop(self, probed: Probed, kind: str, probe: Probe) -> None:
        if kind != "startup":
            await probed.started.wait()
        period_s = float(probe.period_seconds or 10)
        await self._clock.sleep(self._first_wait_s(probed.target, kind, probe, period_s))
        counted, next_s, eager_s = Tally(), self._clock.monotonic(), FIRST_EAGER_S
        while True:
            success, why = await self._check(probed.target, probe)
            if success is None:
                await self._clock.sleep(UNKNOWN_RETRY_S)
                continue
            now_s = self._clock.monotonic()
            if not success and now_s + 0.01 < next_s:
                # Between the times: a container that just was not up yet. It counts for nothing.
                await self._clock.sleep(min(eager_s, next_s - now_s))
                eager_s *= 2
                continue
            next_s = now_s + period_s
            counted = tally(counted, success, probe)
            if not success:
                self._unhealthy(probed.target, kind, why)
            if counted.verdict is not None:
                self._conclude(probed, kind, counted.verdict)
            if counted.verdict is not None and (kind == "startup" or (kind == "liveness" and not counted.verdict)):
                return
            if kind != "liveness" and counted.verdict is not True and not success and eager_s < period_s:
                await self._clock.sleep(min(eager_s, period_s))
                eager_s *= 2
            else:
                await self._clock.sleep(period_s)

    def _first_wait_s(self, target: Target, kind: str, probe: Probe, period_s: float) -> float:
        began, delay_s = target.started_at, float(probe.initial_delay_seconds or 0)
        if kind == "liveness" and not delay_s:
            return min(period_s, LIVENESS_WAIT_S)
        running_s = (self._clock.now() - began).total_seconds() if began is not None else 0.0
        return max(delay_s - max(running_s, 0.0), 0.0)

    def _conclude(self, probed: Probed, kind: str, verdict: bool) -> None:
        before = probed.health
        probed.health = concluded(before, probed.target.container, kind, verdict)
        if probed.health.started:
            probed.started.set()
        if probed.health != before:
            self._changed(probed.target.pod.metadata.uid)

    async def _check(self, target: Target, probe: Probe) -> tuple[bool | None, str]:
        """None: it could not be found out (the runtime is away), which counts neither way."""
        timeout_s = float(probe.timeout_seconds or 1)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask(target, probe, timeout_s)
        except (TimeoutError, DeadlineExceeded):
            return False, f"timed out after {timeout_s:g}s"
        except KnarrError as error:
            return (False if probe.grpc is not None else None), error.message
        except (OSError, ValueError, LookupError) as error:
            return False, str(error) or type(error).__name__

    async def _ask(self, target: Target, probe: Probe, timeout_s: float) -> tuple[bool, str]:
        if probe.exec_ is not None:
            code, output = await self._runtime.exec(target.container_id, probe.exec_.command, timeout_s)
            return code == 0, output.decode(errors="replace").strip()[:512] or f"exit code {code}"
        if probe.http_get is not None:
            status = await http_status(target, probe.http_get)
            return 200 <= status < 400, f"HTTP probe failed with statuscode: {status}"
        if probe.tcp_socket is not None:
            port = port_number(target.container, probe.tcp_socket.port)
            _, writer = await asyncio.open_connection(probe.tcp_socket.host or target.ip, port)
            writer.close()
            return True, ""
        if probe.grpc is not None:
            status = await grpc_status_of(f"{target.ip}:{probe.grpc.port}", probe.grpc.service, timeout_s)
            return status == SERVING, f"service unhealthy (responded with status {status})"
        return False, "the probe names no action"


async def http_status(target: Target, action: HTTPGetAction) -> int:
    """One GET, its status. Redirects count as success and are not followed; certificates are not verified."""
    host, port = action.host or target.ip, port_number(target.container, action.port)
    tls: dict[str, Any] = {}
    if action.scheme == "HTTPS":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        tls = {"ssl": context, "ssl_shutdown_timeout": TLS_END_S}
    headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.37", "Accept": "*/*", "Connection": "close"}
    for header in action.http_headers:
        if "\r" in header.name + header.value or "\n" in header.name + header.value:
            raise ValueError(f"header {header.name!r} contains a line break")
        headers = {name: value for name, value in headers.items() if name.lower() != header.name.lower()}
        headers[header.name] = header.value
    path = action.path if action.path.startswith("/") else f"/{action.path}"
    if any(character.isspace() for character in path):
        raise ValueError(f"path {path!r} contains white space")
    reader, writer = await asyncio.open_connection(host, port, limit=MAX_HEAD_BYTES, **tls)
    try:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
        await writer.drain()
        words = (await _first_line(reader)).split()
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            raise ValueError("malformed HTTP response")
        return int(words[1])
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _first_line(reader: asyncio.StreamReader) -> bytes:
    """Raises ConnectionError, and ValueError for a line without an end."""
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        raise ConnectionError("the connection was closed before there was an answer") from error
    except asyncio.LimitOverrunError as error:
        raise ValueError(f"malformed HTTP response: {error}") from error


async def grpc_status_of(address: str, service: str, timeout_s: float) -> int:
    """What ``grpc.health.v1`` says of a service, without TLS. Raises KnarrError."""
    from grpc_health.v1 import health_pb2

    async with grpc.aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = await check(health_pb2.HealthCheckRequest(service=service), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise grpc_status.from_rpc(error) from error
    return int(answer.status)


def port_number(container: Container, port: int | str | None) -> int:
    """A number, or the name of one of the container's ports. Raises LookupError."""
    if isinstance(port, int):
        return port
    for known in container.ports:
        if known.name == port and known.container_port is not None:
            return known.container_port
    raise LookupError(f'container {container.name} has no port named "{port}"')
