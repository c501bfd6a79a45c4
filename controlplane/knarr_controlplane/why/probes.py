"""What is known of a container's probes: what they ask, and what the last failure said. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from knarr_api.types.core_v1 import Container, ContainerStatus, Event, Probe
from knarr_controlplane.why.findings import Finding, when


def of_probes(
    subject: str, container: Container, status: ContainerStatus, events: tuple[Event, ...]
) -> Iterator[Finding]:
    """Each probe of a container that runs, or that is ended over and over; what fails, with its last words."""
    running = status.state is not None and status.state.running is not None
    if not running and not looping(status):
        return
    for kind, probe in (
        ("startup", container.startup_probe),
        ("liveness", container.liveness_probe),
        ("readiness", container.readiness_probe),
    ):
        if probe is None or (kind == "startup" and status.started):
            continue
        if not running and (kind == "readiness" or _latest(events, kind, container.name) is None):
            continue
        every = f"{asks(probe)}, every {probe.period_seconds or 10} s"
        failure = _latest(events, kind, container.name)
        failing = kind == "startup" or (kind == "readiness" and not status.ready)
        if failure is not None and (failing or (kind == "liveness" and not status.ready)):
            text = f"{failure.message} (x{failure.count or 1}; it asks {every})"
            yield Finding("error", subject, f"{kind.capitalize()}Probe", text, _remedy(kind))
        elif failing:
            yield Finding("info", subject, f"{kind.capitalize()}Probe", f"has not succeeded yet; it asks {every}")
        else:
            yield Finding("ok", subject, f"{kind.capitalize()}Probe", f"asks {every}")


def asks(probe: Probe) -> str:
    """``exec [cat /ready]``, ``http-get :8080/healthz``, ``tcp-socket :5432``, ``grpc :9000``."""
    if probe.exec_ is not None:
        return f"exec [{' '.join(probe.exec_.command)}]"
    if probe.http_get is not None:
        got = probe.http_get
        return f"http-get {got.host}:{got.port}{got.path or '/'}"
    if probe.tcp_socket is not None:
        return f"tcp-socket {probe.tcp_socket.host}:{probe.tcp_socket.port}"
    return f"grpc :{probe.grpc.port}" if probe.grpc is not None else "nothing"


def looping(status: ContainerStatus) -> bool:
    return (
        status.state is not None
        and status.state.waiting is not None
        and (status.state.waiting.reason == "CrashLoopBackOff")
    )


def _latest(events: tuple[Event, ...], kind: str, container: str) -> Event | None:
    return max((one for one in events if _is_of(one, kind, container)), key=when, default=None)


def _is_of(event: Event, kind: str, container: str) -> bool:
    path = event.involved_object.field_path if event.involved_object is not None else ""
    mine = not path or f"{{{container}}}" in path
    return mine and event.reason == "Unhealthy" and event.message.startswith(f"{kind.capitalize()} probe")


def _remedy(kind: str) -> str:
    if kind == "readiness":
        return "until it succeeds the pod is not Ready"
    return "the container is restarted after failureThreshold failures: look at the probe's path, port and timeouts"
