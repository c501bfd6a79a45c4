"""What is stored is acknowledged soon, together with what is stored meanwhile; what is refused, at once.

Sessions with an agent that takes no more are not begun.
"""

from __future__ import annotations

from typing import Any

import pytest

from knarr_api.errors import Unavailable
from knarr_client import virtual_time
from knarr_client.virtual_time import VirtualClock
from knarr_controlplane.server.hub import ACKNOWLEDGE_S, MAX_OUTGOING, AgentHub, Connection
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


async def test_of_an_agent_that_does_not_read_no_session_is_kept() -> None:
    hub = AgentHub()
    connection = hub.connect("a")
    for _ in range(MAX_OUTGOING):
        connection.send(agent_pb2.ServerMessage())
    with pytest.raises(Unavailable, match="does not read"):
        await anext(hub.stream("a", agent_pb2.PodLogs()))
    assert not hub.sessions
