"""The loop is woken once for all that has come, and misses nothing."""

from __future__ import annotations

import asyncio
import socket

import grpc
import grpc.aio
import pytest

from knarr_controlplane.event_loop import ControlPlaneLoop, leave_one

CALLS = 200


@pytest.mark.parametrize(("rung", "left"), [(1, 1), (2, 1), (1000, 1)])
def test_one_ring_is_left_of_many(rung: int, left: int) -> None:
    here, there = socket.socketpair()
    here.setblocking(False)
    with here, there:
        there.send(b"1" * rung)
        leave_one(here)
        assert len(here.recv(4096)) == left


def test_all_calls_are_answered() -> None:
    """Many at a time, so that several events are waiting when the loop looks."""

    async def echo(request: bytes, context: object) -> bytes:
        await asyncio.sleep(0)
        return request

    async def scenario() -> list[bytes]:
        server = grpc.aio.server()
        handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with asyncio.timeout(30), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                call = channel.unary_unary("/test/Echo")
                return list(await asyncio.gather(*(call(str(number).encode()) for number in range(CALLS))))
        finally:
            await server.stop(None)

    with asyncio.Runner(loop_factory=ControlPlaneLoop) as runner:
        assert runner.run(scenario()) == [str(number).encode() for number in range(CALLS)]
