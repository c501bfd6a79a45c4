"""What is stored is acknowledged soon, together with what is stored meanwhile; what is refused, at once."""

from __future__ import annotations

from typing import Any

from knarr_client import virtual_time
from knarr_client.virtual_time import VirtualClock
from knarr_controlplane.server.hub import ACKNOWLEDGE_S, Connection
from knarr_proto.v1 import agent_pb2


def sent(connection: Connection) -> list[Any]:
    return [connection.outgoing.get_nowait().ack for _ in range(connection.outgoing.qsize())]


def test_what_is_stored_within_a_moment_shares_an_acknowledgement() -> None:
    async def scenario(clock: VirtualClock) -> None:
        connection = Connection("a")
        for sequence in (2, 3, 7):
            connection.stored(sequence)
            await clock.sleep(ACKNOWLEDGE_S / 4)
        assert not sent(connection)
        await clock.sleep(ACKNOWLEDGE_S / 2)
        assert [ack.sequence for ack in sent(connection)] == [7]
        await clock.sleep(10 * ACKNOWLEDGE_S)
        assert not sent(connection)
        connection.stored(8)
        await clock.sleep(2 * ACKNOWLEDGE_S)
        assert [ack.sequence for ack in sent(connection)] == [8]

    virtual_time.run(scenario)


def test_a_refusal_goes_at_once_and_acknowledges_what_came_before() -> None:
    async def scenario(clock: VirtualClock) -> None:
        connection = Connection("a")
        connection.stored(2)
        connection.acknowledge(3, [agent_pb2.Refused(sequence=3, name="web")])
        (ack,) = sent(connection)
        assert ack.sequence == 3
        assert [refused.name for refused in ack.refused] == ["web"]
        await clock.sleep(2 * ACKNOWLEDGE_S)
        assert not sent(connection)

    virtual_time.run(scenario)


def test_nothing_follows_the_end_of_a_stream() -> None:
    async def scenario(clock: VirtualClock) -> None:
        connection = Connection("a")
        connection.stored(2)
        connection.end()
        assert await connection.outgoing.get() is None
        await clock.sleep(2 * ACKNOWLEDGE_S)
        assert connection.outgoing.empty()

    virtual_time.run(scenario)
