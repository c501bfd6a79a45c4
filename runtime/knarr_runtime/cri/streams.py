"""CRI's Exec, Attach and PortForward: checks a request and answers the URL where its client goes on."""

from __future__ import annotations

import socket
from typing import Any

from knarr_runtime.cri.pods import Pods
from knarr_runtime.errors import Invalid, WrongState
from knarr_runtime.launcher import ContainerState, Launcher
from knarr_runtime.streaming.remote_command import Process
from knarr_runtime.streaming.server import StreamingServer, StreamingSettings
from knarr_runtime.streaming.tokens import AttachRequest, ExecRequest, PortForwardRequest


class Streams:
    """start, then the verbs; close ends the clients' sessions, not the containers."""

    def __init__(self, pods: Pods, launcher: Launcher, settings: StreamingSettings) -> None:
        self._pods = pods
        self.server = StreamingServer(LauncherBackend(launcher), settings)

    def exec_url(self, request: Any) -> str:
        """Raises Invalid, NotFound, WrongState, Exhausted, as the others."""
        if not request.cmd or not request.cmd[0]:
            raise Invalid("cmd: required")
        return self.server.exec_url(
            ExecRequest(container_id=self._running(request), command=tuple(request.cmd), **_streams(request))
        )

    def attach_url(self, request: Any) -> str:
        return self.server.attach_url(AttachRequest(container_id=self._running(request), **_streams(request)))

    def port_forward_url(self, request: Any) -> str:
        record = self._pods.sandbox(request.pod_sandbox_id)
        if not self._pods.sandbox_ready(record):
            raise WrongState(f"sandbox {record.id} is not ready")
        for index, port in enumerate(request.port):
            if not 0 < port < 1 << 16:
                raise Invalid(f"port[{index}]: {port} is not a port (1 to 65535)")
        return self.server.port_forward_url(PortForwardRequest(sandbox_id=record.id, ports=tuple(request.port)))

    def _running(self, request: Any) -> str:
        record = self._pods.container(request.container_id)
        launched = self._pods.launched(record)
        if launched is None or launched.state is not ContainerState.RUNNING:
            raise WrongState(f"container {record.id} is not running")
        return str(record.id)


def _streams(request: Any) -> dict[str, bool]:
    if request.tty and request.stderr:
        raise Invalid("tty and stderr can't both be set: a terminal has one output")
    if not (request.stdin or request.stdout or request.stderr):
        raise Invalid("one of stdin, stdout and stderr must be set")
    return {name: bool(getattr(request, name)) for name in ("tty", "stdin", "stdout", "stderr")}


class LauncherBackend:
    """The launcher as streaming sees it."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    async def open_exec(
        self, container_id: str, args: tuple[str, ...], *, tty: bool = False, stdin: bool = False
    ) -> Process:
        return await self._launcher.open_exec(container_id, args, tty=tty, stdin=stdin)

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool) -> Process:
        return await self._launcher.attach(container_id, stdin=stdin, stdout=stdout, stderr=stderr)

    async def connect_port(self, sandbox_id: str, port: int) -> socket.socket:
        return await self._launcher.connect_port(sandbox_id, port)
