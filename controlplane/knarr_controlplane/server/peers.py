"""The cluster's other control planes: an agent has one stream, and what only it can tell is asked where that ends.

A call that was forwarded says so and is not forwarded again: two control planes that both look for an agent that has
gone would ask each other forever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

import grpc
import grpc.aio
import structlog

from knarr_api import grpc_status
from knarr_client.channel import SHARED_NAME, open_channel
from knarr_client.kubeconfig import Access
from knarr_controlplane.pki.authority import ADMIN_DAYS, Authority
from knarr_proto.v1 import cluster_pb2, cluster_pb2_grpc, pods_pb2_grpc

FORWARDED = "knarr-forwarded"
ANSWER_S = 2.0
USAGES_S, USAGES_ANSWER_S = 10.0, 10.0
RENEW_AFTER_S = ADMIN_DAYS * 24 * 3600 / 2


def is_forwarded(context: Any) -> bool:
    """Whether another control plane asks."""
    return any(key == FORWARDED for key, _ in context.invocation_metadata() or ())


class Peers:
    """addresses: ``host:port`` of their APIs.

    They are called as an administrator, for callers who were found to be administrators.
    """

    def __init__(self, addresses: Sequence[str], authority: Authority, now: Callable[[], datetime]) -> None:
        self._addresses = tuple(addresses)
        self._authority = authority
        self._now = now
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._opened_at: datetime | None = None

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close(None)
        self._channels.clear()

    async def with_agent(self, node: str) -> grpc.aio.Channel | None:
        """To whichever has the agent's stream; None when nobody answers that it has."""
        self._renew()
        asked = [asyncio.create_task(_has_agent(channel, node)) for channel in self._channels.values()]
        try:
            for answering in asyncio.as_completed(asked):
                found = await answering
                if found is not None:
                    return found
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return None

    async def logs(self, channel: grpc.aio.Channel, request: Any) -> AsyncIterator[Any]:
        """As the Pods service there answers. Raises what it refuses."""
        call = pods_pb2_grpc.PodsStub(channel).Logs(request, metadata=((FORWARDED, "1"),))
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise grpc_status.from_rpc(error) from error
        finally:
            call.cancel()

    async def follow_usages(self, report: Callable[[str, Any, float], None]) -> None:
        """Tell ``report`` (node, usage, age in seconds) what the others' agents say, until cancelled."""
        while self._addresses:
            self._renew()
            await asyncio.gather(*(_tell_usages(channel, report) for channel in self._channels.values()))
            await asyncio.sleep(USAGES_S)
        await asyncio.Event().wait()

    def _renew(self) -> None:
        """Channels with a certificate that is still good for long; calls on older ones are let end."""
        now = self._now()
        if self._opened_at is not None and (now - self._opened_at).total_seconds() < RENEW_AFTER_S:
            return
        self._opened_at = now
        pair = self._authority.admin(now)
        for address in self._addresses:
            access = Access(
                endpoints=(address,),
                ca_pem=self._authority.pem,
                certificate_pem=pair.certificate,
                key_pem=pair.key,
                server_name=SHARED_NAME,
            )
            self._channels[address] = open_channel(access)


async def _has_agent(channel: grpc.aio.Channel, node: str) -> grpc.aio.Channel | None:
    request = cluster_pb2.FindAgentRequest(node=node)
    try:
        answer = await cluster_pb2_grpc.ClusterStub(channel).FindAgent(request, timeout=ANSWER_S)
    except grpc.aio.AioRpcError:
        return None
    return channel if answer.connected else None


async def _tell_usages(channel: grpc.aio.Channel, report: Callable[[str, Any, float], None]) -> None:
    """Nothing of one that is not there: what it said before gets old."""
    try:
        call = cluster_pb2_grpc.ClusterStub(channel).Usages(cluster_pb2.UsagesRequest(), timeout=USAGES_ANSWER_S)
        async for each in call:
            report(each.node, each.usage, each.age_ms / 1000)
    except grpc.aio.AioRpcError as error:
        structlog.get_logger("knarr.peers").debug("another control plane does not answer", error=error.details())
