"""Many pods at once are decided together, so that what goes to a node goes there in one message; few do not wait."""

from __future__ import annotations

import asyncio

from knarr_api.types.core_v1 import Container, Pod, PodSpec
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import EventType
from knarr_controlplane.scheduler.framework import Placed
from knarr_controlplane.scheduler.scheduler import CALM_S, MANY, parts

NODES = 5


def pods(first, count):
    spec = PodSpec(containers=(Container(name="main", image="x"),))
    return [
        Pod(metadata=ObjectMeta(name=f"p{number}", namespace="default"), spec=spec)
        for number in range(first, first + count)
    ]


def test_a_burst_reaches_each_node_in_one_message(play):
    async def scenario(world):
        told = {f"n{number}": 0 for number in range(NODES)}

        async def follow(node):
            async for batch in world.client.watch(Pod, field_selector=f"spec.nodeName={node}"):
                told[node] += any(event.type is not EventType.BOOKMARK for event in batch)

        for node in told:
            await world.add_node(node)
        async with asyncio.TaskGroup() as group:
            following = [group.create_task(follow(node)) for node in told]
            for first in range(0, 3 * MANY, MANY):
                await world.client.create_all(pods(first, MANY))
                await world.clock.sleep(CALM_S / 2)
            await world.until(lambda: all(pod.spec.node_name for pod in world.all(Pod)))
            await world.until(lambda: all(told.values()))
            assert told == dict.fromkeys(told, 1)
            for task in following:
                task.cancel()

    play(scenario)


def test_a_few_are_placed_at_once(play):
    async def scenario(world):
        await world.add_node("n0")
        await world.clock.sleep(1)
        before_s = world.clock.monotonic()
        await world.client.create_all(pods(0, MANY // 2))
        for _ in range(1000):  # turns of the event loop, in which no time passes
            if all(pod.spec.node_name for pod in world.all(Pod)):
                break
            await asyncio.sleep(0)
        assert all(pod.spec.node_name for pod in world.all(Pod))
        assert world.clock.monotonic() == before_s

    play(scenario)


def test_what_goes_to_one_node_is_not_parted():
    placed = [(pods(number, 1)[0], Placed(node=f"n{number // 3}", score=0.0, feasible=1)) for number in range(12)]
    assert [len(part) for part in parts(placed, 4)] == [6, 6]
    assert [each for part in parts(placed, 4) for each in part] == placed
    same = [(pod, Placed(node="n", score=0.0, feasible=1)) for pod, _ in placed]
    assert [len(part) for part in parts(same, 4)] == [8, 4]
