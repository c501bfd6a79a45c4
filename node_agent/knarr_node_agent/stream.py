"""The agent's one connection upwards: status and heartbeats out, acknowledgements and sessions in.

Pod statuses are kept until they are acknowledged; a newer one replaces an older one of the same pod that was not sent
yet. After a reconnect those are sent again that were not acknowledged, and no others: the rest is stored, and what was
overwritten meanwhile the watch shows (``PodManager``). So a control plane that comes back is not told of every pod.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import structlog

from knarr_api import grpc_status, json
from knarr_api.errors import Internal, KnarrError
from knarr_api.types.core_v1 import Node, NodeStatus, PodStatus
from knarr_client.clock import Clock
from knarr_node_agent.machine import VERSION
from knarr_proto.v1 import agent_pb2, agent_pb2_grpc

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 3.0
BATCH, BATCH_BYTES = 256, 1 << 20
"""Statuses in one message, and their size: the server takes messages of 4 MiB."""
SESSIONS_MAX = 256
GONE = (grpc.StatusCode.NOT_FOUND.value[0], grpc.StatusCode.PERMISSION_DENIED.value[0])
"""The pod is not there or not this node's any more: to say it again can't help, the watch will tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodReport:
    """A pod's status to be stored. terminated: nothing of it is left on the node."""

    namespace: str
    name: str
    uid: str
    status: PodStatus
    terminated: bool = False


Serve = Callable[[Any], AsyncIterator[bytes]]
"""Answers an announced session's request; raises KnarrError."""


class Stream:
    """node: the Node as it should be registered, asked for at every connect."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        node_name: str,
        clock: Clock,
        *,
        node: Callable[[], Node],
        serve: Serve,
        refused: Callable[[str, str], None],
    ) -> None:
        self._stub: Any = agent_pb2_grpc.AgentStub(channel)
        self._node_name = node_name
        self._clock = clock
        self._node = node
        self._serve = serve
        self._refused = refused
        self._wake = asyncio.Event()
        self._reports: dict[str, PodReport] = {}
        """By uid: not yet acknowledged, the newest of each pod."""
        self._sent: dict[str, tuple[int, PodReport]] = {}
        self._node_status: NodeStatus | None = None
        self._say_again = False
        self._usage: Any = None
        self._sequence = 0
        self._heartbeat_s = 2.0
        self._welcomed = False
        self.connected = False
        self._sessions: dict[str, asyncio.Task[None]] = {}

    def report(self, report: PodReport) -> None:
        self._reports[report.uid] = report
        self._wake.set()

    def node_status(self, status: NodeStatus) -> None:
        self._node_status = status
        self._wake.set()

    def node_status_again(self) -> None:
        """The server has another one, or could not store it: once more after the next heartbeat. Not at once: to a
        server that does not hear the heartbeats, or can't store them, it would be said over and over."""
        self._say_again = True

    def usage(self, usage: Any) -> None:
        """A ``knarr.v1.Usage``; the newest is sent, an older one that was not sent yet is not missed."""
        self._usage = usage
        self._wake.set()

    async def run(self) -> None:
        """Connect, and again, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await self._keep_connected()
        finally:
            self._sessions.clear()

    async def _keep_connected(self) -> None:
        log = structlog.get_logger("knarr.stream")
        pause_s, said = FIRST_PAUSE_S, ""
        while True:
            self._welcomed = False
            why = "the server has ended the stream"
            try:
                await self._converse()
            except grpc.aio.AioRpcError as error:
                why = str(grpc_status.from_rpc(error))
            if self._welcomed:
                pause_s, said = FIRST_PAUSE_S, ""
            if why != said:
                said = why
                log.warning("not connected to the control plane, trying again", error=why)
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 1.7, LONGEST_PAUSE_S)

    async def _converse(self) -> None:
        """One connection from hello to its end. Raises AioRpcError."""
        call = self._stub.Connect()
        try:
            hello = agent_pb2.Hello(
                node_name=self._node_name, agent_version=VERSION, node_json=json.encode(self._node())
            )
            self._node_status = None
            await call.write(self._message(hello=hello))
            for _, report in self._sent.values():
                self._reports.setdefault(report.uid, report)
            self._sent.clear()
            speaking = asyncio.create_task(self._speak(call), name="stream speaking")
            listening = asyncio.create_task(self._listen(call), name="stream listening")
            try:
                await asyncio.wait({speaking, listening}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                speaking.cancel()
                listening.cancel()
                ended = await asyncio.gather(listening, speaking, return_exceptions=True)
            for failure in ended:
                # The call itself tells best why it has ended; whoever wrote last finds it closed.
                if isinstance(failure, Exception) and not isinstance(failure, asyncio.InvalidStateError):
                    raise failure
        except asyncio.InvalidStateError:
            return
        finally:
            self.connected = False
            call.cancel()

    async def _speak(self, call: Any) -> None:
        next_beat_s = 0.0
        while True:
            self._wake.clear()
            if self._node_status is not None:
                status, self._node_status = self._node_status, None
                await call.write(self._message(node_status=agent_pb2.NodeStatus(status_json=json.encode(status))))
            if self._usage is not None:
                usage, self._usage = self._usage, None
                await call.write(self._message(usage=usage))
            while self._reports:
                await call.write(self._batch())
            now_s = self._clock.monotonic()
            if now_s >= next_beat_s:
                await call.write(self._message(heartbeat=agent_pb2.Heartbeat()))
                next_beat_s = now_s + self._heartbeat_s
                if self._say_again:
                    self._say_again = False
                    self.node_status(self._node_status or self._node().status)
            try:
                async with asyncio.timeout(max(next_beat_s - self._clock.monotonic(), 0.01)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _batch(self) -> Any:
        """A message of as many reports as it may hold, one at least, which count as sent."""
        updates: list[Any] = []
        size = 0
        for report in itertools.islice(self._reports.values(), BATCH):
            update = _update(report)
            size += update.ByteSize()
            if updates and size > BATCH_BYTES:
                break
            updates.append(update)
        message = self._message(pod_statuses=agent_pb2.PodStatuses(updates=updates))
        self._sent.update({each.uid: (message.sequence, self._reports.pop(each.uid)) for each in updates})
        return message

    async def _listen(self, call: Any) -> None:
        log = structlog.get_logger("knarr.stream")
        while isinstance(message := await call.read(), agent_pb2.ServerMessage):
            match message.WhichOneof("content"):
                case "welcome":
                    self._heartbeat_s = max(message.welcome.heartbeat_interval_ms, 50) / 1000
                    self._welcomed = self.connected = True
                    log.info("connected", server_version=message.welcome.server_version)
                case "ack":
                    self._acknowledged(message.ack)
                case "open_session":
                    self._open(message.open_session)
                case "close_session":
                    session = self._sessions.get(message.close_session.session_id)
                    if session is not None:
                        session.cancel()

    def _open(self, opened: Any) -> None:
        if len(self._sessions) >= SESSIONS_MAX or opened.session_id in self._sessions:
            return
        task = self._group.create_task(self._session(opened), name=f"session {opened.session_id}")
        self._sessions[opened.session_id] = task
        task.add_done_callback(lambda _: self._sessions.pop(opened.session_id, None))

    def _acknowledged(self, ack: Any) -> None:
        for refused in ack.refused:
            if not refused.uid:
                structlog.get_logger("knarr.stream").warning("the node's status was refused", error=refused.message)
                self.node_status_again()
                continue
            structlog.get_logger("knarr.stream").info(
                "status refused", object=f"Pod/{refused.namespace}/{refused.name}", error=refused.message
            )
            if refused.code not in GONE:
                self._refused(refused.uid, refused.message)
        for uid in [uid for uid, (sequence, _) in self._sent.items() if sequence <= ack.sequence]:
            del self._sent[uid]

    async def _session(self, opened: Any) -> None:
        """Until all is said, or nobody hears it any more: a log that is followed may have nothing more to say."""
        call, session = self._stub.Session(), asyncio.current_task()
        assert session is not None
        call.add_done_callback(lambda _: session.cancel())
        try:
            await call.write(agent_pb2.SessionFrame(session_id=opened.session_id))
            end = agent_pb2.End()
            try:
                async for data in self._serve(opened):
                    await call.write(agent_pb2.SessionFrame(data=data))
            except (KnarrError, OSError) as error:
                failure = error if isinstance(error, KnarrError) else Internal(f"the log can't be read: {error}")
                number: int = grpc_status.code_of(failure).value[0]
                end = agent_pb2.End(code=number, message=failure.message)
            await call.write(agent_pb2.SessionFrame(end=end))
            await call.done_writing()
            await call.read()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # whoever asked has gone
        finally:
            call.cancel()

    def _message(self, **content: Any) -> Any:
        self._sequence += 1
        return agent_pb2.AgentMessage(sequence=self._sequence, **content)


def _update(report: PodReport) -> Any:
    return agent_pb2.PodStatusUpdate(
        namespace=report.namespace,
        name=report.name,
        uid=report.uid,
        status_json=json.encode(report.status),
        terminated=report.terminated,
    )
