"""Who is placed next, and what wakes a pod that could not be placed."""

from __future__ import annotations

from knarr_api.types.core_v1 import Pod
from knarr_client.client import Key
from knarr_controlplane.scheduler.framework import ClusterEvent, PodToPlace
from knarr_controlplane.scheduler.hints import Asked
from knarr_controlplane.scheduler.queue import PARK_LIMIT_S, SchedulingQueue, backoff_s

A, B, C = Key("d", "a"), Key("d", "b"), Key("d", "c")


def test_priority_then_age() -> None:
    queue = SchedulingQueue()
    queue.add(A, priority=0)
    queue.add(B, priority=5)
    queue.add(C, priority=0)
    assert queue.pop(0.0, 10) == [B, A, C]
    assert queue.pop(0.0, 10) == []


def test_a_refused_pod_waits_for_what_could_help() -> None:
    queue = SchedulingQueue()
    queue.add(A, priority=0)
    assert queue.pop(0.0, 1) == [A]
    queue.refused(A, ClusterEvent.NODE_TAINTS, 0.0)
    queue.wake(ClusterEvent.POD_REMOVED, 100.0)
    assert queue.pop(100.0, 1) == []
    queue.wake(ClusterEvent.NODE_TAINTS, 100.0)
    assert queue.pop(100.0, 1) == [A]


def test_what_happens_on_a_node_wakes_only_whom_it_helps() -> None:
    queue = SchedulingQueue()
    queue.add(A, priority=0)
    queue.pop(0.0, 1)
    asked = Asked.of(PodToPlace.of(Pod()), ())
    queue.refused(A, ClusterEvent.NODE_TAINTS, 0.0, near=ClusterEvent.POD_REMOVED, asked=asked)
    queue.wake(ClusterEvent.POD_REMOVED, 100.0, lambda *_: False)
    queue.wake(ClusterEvent.NODE_LABELS, 100.0, lambda *_: True)
    assert queue.pop(100.0, 1) == []
    queue.wake(ClusterEvent.POD_REMOVED, 100.0, lambda *_: True)
    assert queue.pop(100.0, 1) == [A]


def test_an_event_during_the_decision_is_not_missed() -> None:
    queue = SchedulingQueue()
    queue.add(A, priority=0)
    queue.pop(0.0, 1)
    queue.wake(ClusterEvent.NODE_ADDED, 0.0)
    queue.refused(A, ClusterEvent.NODE_ADDED, 0.0)
    assert queue.pop(backoff_s(1), 1) == [A]


def test_woken_early_it_still_rests_for_its_back_off() -> None:
    queue = SchedulingQueue()
    queue.add(A, priority=0)
    queue.pop(0.0, 1)
    queue.refused(A, ClusterEvent.NODE_ADDED, 0.0)
    queue.wake(ClusterEvent.NODE_ADDED, 0.2)
    assert queue.pop(0.3, 1) == []
    assert queue.next_due_s() == 1.0
    assert queue.pop(1.0, 1) == [A]


def test_a_parked_pod_is_tried_again_in_the_end() -> None:
    queue = SchedulingQueue()
    queue.add(A, priority=0)
    queue.pop(0.0, 1)
    queue.refused(A, ClusterEvent.NODE_ADDED, 0.0)
    assert queue.next_due_s() == PARK_LIMIT_S
    assert queue.pop(PARK_LIMIT_S, 1) == [A]


def test_back_off_doubles_up_to_ten_seconds() -> None:
    assert [backoff_s(n) for n in (1, 2, 3, 4, 5, 50)] == [1, 2, 4, 8, 10, 10]


def test_a_removed_pod_does_not_come_back() -> None:
    queue = SchedulingQueue()
    queue.add(A, priority=0)
    queue.pop(0.0, 1)
    queue.remove(A)
    queue.failed(A, 0.0)
    queue.wake(ClusterEvent.ANY, 1000.0)
    assert queue.pop(1000.0, 1) == []
    assert queue.next_due_s() is None
