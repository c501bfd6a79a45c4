"""CRI's Exec, Attach and PortForward: checks a request and answers the URL where its client goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from knarr_runtime.cri import security
from knarr_runtime.cri.pods import Pods
from knarr_runtime.errors import Invalid, WrongState
from knarr_runtime.launcher import ContainerState, Launcher
from knarr_runtime.streaming.server import StreamingServer, StreamingSettings
from knarr_runtime.streaming.tokens import AttachRequest, ExecRequest, PortForwardRequest


class Streams:
    """start, then the verbs; close ends the clients' sessions, not the containers."""

    def __init__(self, pods: Pods, launcher: Launcher, settings: StreamingSettings) -> None:
        self._pods = pods
        self._launcher = launcher
        self.server = StreamingServer(launcher, settings)

    def exec_url(self, request: Any) -> str:
        """Raises Invalid, NotFound, WrongState, Exhausted, as the others."""
        identifier, command = self._command(request, request.cmd)
        _check_streams(request)
        return self.server.exec_url(
            ExecRequest(
                container_id=identifier,
                command=command,
                tty=request.tty,
                stdin=request.stdin,
                stdout=request.stdout,
                stderr=request.stderr,
            )
        )

    def own_exec_url(self, request: Any) -> str:
        """For the request of Knarr's Containers service."""
        identifier, command = self._command(request, request.command)
        user = None
        if request.user:
            rootfs = self._launcher.containers()[identifier].spec.rootfs
            user = security.user_of(request.user, (rootfs.upper, *rootfs.lower) if rootfs.upper else rootfs.lower)
        return self.server.exec_url(
            ExecRequest(
                container_id=identifier,
                command=command,
                tty=request.tty,
                stdin=request.stdin,
                stdout=True,
                stderr=not request.tty,
                env=tuple(request.env),
                cwd=request.cwd,
                user=user,
            )
        )

    def attach_url(self, request: Any) -> str:
        identifier = self._alive(request, ContainerState.RUNNING, ContainerState.CREATED)
        _check_streams(request)
        return self.server.attach_url(
            AttachRequest(
                container_id=identifier,
                tty=request.tty,
                stdin=request.stdin,
                stdout=request.stdout,
                stderr=request.stderr,
            )
        )

    def port_forward_url(self, request: Any) -> str:
        record = self._pods.sandbox(request.pod_sandbox_id)
        if not self._pods.sandbox_ready(record):
            raise WrongState(f"sandbox {record.id} is not ready")
        for index, port in enumerate(request.port):
            if not 0 < port < 1 << 16:
                raise Invalid(f"port[{index}]: {port} is not a port (1 to 65535)")
        return self.server.port_forward_url(PortForwardRequest(sandbox_id=record.id, ports=tuple(request.port)))

    def _command(self, request: Any, command: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        if not command or not command[0]:
            raise Invalid("cmd: required")
        return self._alive(request, ContainerState.RUNNING), tuple(command)

    def _alive(self, request: Any, *states: ContainerState) -> str:
        record = self._pods.container(request.container_id)
        launched = self._pods.launched(record)
        if launched is None or launched.state not in states:
            raise WrongState(f"container {record.id} is not running")
        return str(record.id)


def _check_streams(request: Any) -> None:
    if request.tty and request.stderr:
        raise Invalid("tty and stderr can't both be set: a terminal has one output")
    if not (request.stdin or request.stdout or request.stderr):
        raise Invalid("one of stdin, stdout and stderr must be set")
