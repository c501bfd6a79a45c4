"""Verdicts that can't be written at once, and what becomes of them."""

from __future__ import annotations

import msgspec

from knarr_api.types.core_v1 import Node
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_api.types.scheduling_v1 import PriorityClass

PODS = "/registry/core/pods/default/"
MORE_THAN_ARE_WRITTEN_AT_ONCE = 300
replace = msgspec.structs.replace


async def a_full_node(world):
    await world.client.create(PriorityClass(metadata=ObjectMeta(name="high"), value=1000))
    await world.add_node("n1", cpu="2")
    await world.add_pod("victim", cpu="2")
    await world.until(lambda: bool(world.node_of("victim")))


async def label(world, name):
    node = await world.client.get(Node, name)
    labelled = replace(node, metadata=replace(node.metadata, labels={"chosen": "yes"}))
    await world.client.update(labelled)


def test_nodes_join_while_verdicts_wait_to_be_written(play):
    async def scenario(world):
        await world.add_node("n0", cpu="2")
        for number in range(MORE_THAN_ARE_WRITTEN_AT_ONCE):
            await world.add_pod(f"many-{number}", cpu="2", node_selector={"chosen": "yes"})
        await world.clock.sleep(20)
        world.store.held = PODS
        await label(world, "n0")
        await world.clock.sleep(1)
        for number in range(1, 40):
            await world.add_node(f"n{number}", cpu="2")
        await world.clock.sleep(1)
        world.store.go_on()
        await world.until(lambda: bool(world.events("Scheduled")))

    play(scenario)


def test_who_should_make_room_is_asked_again_soon_where_that_was_not_possible(play):
    async def scenario(world):
        await a_full_node(world)
        world.store.silent = f"{PODS}victim"
        await world.add_pod("important", cpu="2", priority_class_name="high")
        await world.until(lambda: bool(world.pod("important").status.nominated_node_name))
        world.store.silent = ""
        await world.until(lambda: world.node_of("important") == "n1", within_s=30)

    play(scenario)


def test_a_pod_for_which_a_node_was_being_freed_that_is_gone_looks_for_another(play):
    async def scenario(world):
        await a_full_node(world)
        await world.add_node("n2", cpu="2")
        await world.add_pod("other-victim", cpu="2")
        await world.until(lambda: bool(world.node_of("other-victim")))
        await world.add_pod("important", cpu="2", priority_class_name="high")
        await world.until(lambda: bool(world.pod("important").status.nominated_node_name))
        await world.client.delete(Node, world.pod("important").status.nominated_node_name)
        await world.until(lambda: bool(world.node_of("important")), within_s=30)

    play(scenario)


def test_a_verdict_that_could_not_be_written_is_given_again_soon(play):
    async def scenario(world):
        await a_full_node(world)
        await world.add_pod("important", cpu="2", priority_class_name="high", node_selector={"chosen": "yes"})
        await world.until(lambda: world.condition("important", "PodScheduled") is not None)
        world.store.silent = f"{PODS}important"
        await label(world, "n1")
        await world.until(lambda: bool(world.store.late))
        world.store.silent = ""
        await world.until(lambda: world.node_of("important") == "n1", within_s=30)

    play(scenario)
