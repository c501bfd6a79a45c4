"""Pods of one name, one after the other, and what is kept for pods that are gone."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from knarr_api import errors
from knarr_api.types.core_v1 import Pod
from knarr_client.client import Key
from knarr_client.event_recorder import ComponentRecorder, EventRecorder
from knarr_client.informer import Change
from knarr_client.memory import MemoryApi, MemoryClient
from knarr_client.virtual_time import VirtualClock
from knarr_controlplane.scheduler.framework import Placed, Unschedulable
from knarr_controlplane.scheduler.preemption import Preemption
from knarr_controlplane.scheduler.refusals import Refusals
from knarr_controlplane.scheduler.scheduler import Scheduler, SchedulerSettings

replace = msgspec.structs.replace
KEY = Key("default", "web-0")


@pytest.fixture
async def scheduler(make: Any) -> Scheduler:
    clock = VirtualClock()
    made = Scheduler(client=MemoryClient(MemoryApi(clock=clock)), settings=SchedulerSettings(), clock=clock)
    made.columns.set_node(make.node("n1", cpu="2"))
    return made


@pytest.fixture
def first(make: Any) -> Pod:
    pod: Pod = make.pod("web-0", cpu="2")
    return pod


@pytest.fixture
def second(first: Pod) -> Pod:
    return replace(first, metadata=replace(first.metadata, uid="uid-second"))


async def test_a_pod_that_was_replaced_unseen_leaves_its_room(scheduler: Scheduler, first: Pod, second: Pod) -> None:
    bound = replace(first, spec=replace(first.spec, node_name="n1"))
    scheduler.pod_changed(Change(key=KEY, old=None, new=bound))
    scheduler.pod_changed(Change(key=KEY, old=bound, new=second))
    assert isinstance(scheduler.place(second), Placed)


async def test_a_pod_that_was_replaced_while_being_bound_is_placed(
    scheduler: Scheduler, first: Pod, second: Pod
) -> None:
    scheduler.pod_changed(Change(key=KEY, old=None, new=first))
    assert scheduler.queue.pop(0.0, 1) == [KEY]
    assert isinstance(scheduler.place(first), Placed)
    scheduler.pod_changed(Change(key=KEY, old=first, new=second))
    assert scheduler.queue.pop(0.0, 1) == [KEY]
    assert isinstance(scheduler.place(second), Placed)


@pytest.mark.parametrize("error", [errors.NotFound("gone"), errors.DeadlineExceeded("who knows")])
async def test_a_binding_that_failed_leaves_the_next_pod_of_that_name_its_room(
    scheduler: Scheduler, make: Any, first: Pod, second: Pod, error: errors.KnarrError
) -> None:
    assert isinstance(scheduler.place(first), Placed)
    scheduler.pod_changed(Change(key=KEY, old=first, new=None))
    assert isinstance(scheduler.place(second), Placed)
    scheduler._bound(first, "n1", error)
    assert isinstance(scheduler.place(make.pod("other", cpu="1")), Unschedulable)


async def test_nothing_is_kept_free_for_a_pod_that_was_gone_before_it_was_told(
    scheduler: Scheduler, first: Pod
) -> None:
    tried_anew: list[Key] = []
    events = EventRecorder(scheduler.client, component="default-scheduler", clock=scheduler.clock)
    nominated: dict[Key, Pod] = {}
    refusals = Refusals(
        scheduler.client,
        scheduler.clock,
        lambda _: ComponentRecorder(events, "default-scheduler"),
        nominated,
        tried_anew.append,
    )
    verdict = Unschedulable(1, (("Insufficient cpu", 1),), frozenset({"NodeResourcesFit"}), np.ones(16, dtype=np.bool_))
    await refusals.tell(first, verdict, Preemption("n1", (), 0))
    assert nominated == {}
