"""A store that does not say whether it wrote a binding, and writes it later or never."""

from __future__ import annotations

import pytest

from knarr_api import errors
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_api.types.scheduling_v1 import PriorityClass

PODS = "/registry/core/pods/"


async def a_binding_is_unconfirmed(world):
    """Of the pod "first", which asks for all of the only node there is."""
    world.store.silent = PODS
    await world.add_node("n1", cpu="2")
    await world.until(lambda: bool(world.store.late))


async def a_pod_waits(world):
    await world.add_pod("first", cpu="2")
    await world.until(lambda: world.condition("first", "PodScheduled") is not None)


@pytest.mark.parametrize(
    "error",
    [
        errors.DeadlineExceeded("etcd did not answer in time; the write may have happened"),
        errors.Unavailable("etcd is unreachable; the write may have happened"),
        errors.Internal("etcd: INTERNAL: Received RST_STREAM with error code 2"),
    ],
)
def test_its_room_is_nobody_elses_until_it_can_no_longer_be_done(play, error):
    async def scenario(world):
        world.store.says = error
        await a_pod_waits(world)
        await a_binding_is_unconfirmed(world)
        binding = world.store.late[0]
        world.store.silent = f"{PODS}default/first"
        await world.add_pod("second", cpu="2")
        await world.until(lambda: world.condition("second", "PodScheduled") is not None)
        assert not world.node_of("second")
        world.store.silent, world.store.late = "", [binding]
        await world.until(lambda: bool(world.node_of("first") or world.node_of("second")))
        assert await world.store.do_late() == 0
        assert not (world.node_of("first") and world.node_of("second"))

    play(scenario)


def test_one_that_is_done_later_counts(play):
    async def scenario(world):
        await a_pod_waits(world)
        await a_binding_is_unconfirmed(world)
        binding = world.store.late[0]
        world.store.silent, world.store.late = "", [binding]
        assert await world.store.do_late() == 1
        await world.until(lambda: world.node_of("first") == "n1")
        await world.add_pod("second", cpu="2")
        await world.until(lambda: world.condition("second", "PodScheduled") is not None)
        await world.clock.sleep(60)
        assert not world.node_of("second")
        assert world.condition("first", "PodScheduled").status == "True"

    play(scenario)


def test_the_pod_is_told_and_tried_again(play):
    async def scenario(world):
        await a_pod_waits(world)
        await a_binding_is_unconfirmed(world)
        world.store.silent = ""
        await world.until(lambda: world.condition("first", "PodScheduled").reason == "SchedulerError")
        told = world.condition("first", "PodScheduled")
        assert (told.status, "binding rejected" in told.message) == ("False", True)
        await world.until(lambda: world.node_of("first") == "n1")
        await world.until(
            lambda: any("binding rejected" in event.message for event in world.events("FailedScheduling"))
        )

    play(scenario)


def test_a_pod_that_goes_meanwhile_leaves_its_room(play):
    async def scenario(world):
        await a_pod_waits(world)
        await a_binding_is_unconfirmed(world)
        world.store.silent = ""
        await world.client.delete(type(world.pod("first")), "first", "default")
        await world.add_pod("second", cpu="2")
        await world.until(lambda: world.node_of("second") == "n1")
        assert await world.store.do_late() == 0

    play(scenario)


def test_a_pod_that_may_never_arrive_is_not_asked_to_make_room(play):
    async def scenario(world):
        await world.client.create(PriorityClass(metadata=ObjectMeta(name="high"), value=1000))
        await a_pod_waits(world)
        await a_binding_is_unconfirmed(world)
        world.store.silent = ""  # and before it is looked at again
        await world.add_pod("important", cpu="2", priority_class_name="high")
        await world.until(lambda: world.node_of("important") == "n1")
        assert world.pod("first").metadata.deletion_timestamp is None and not world.node_of("first")

    play(scenario)
