"""The stream of events, as a kubelet's evented PLEG follows it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri
from tests.slowness import patient

pytestmark = pytest.mark.containerd_lacks("events came with containerd 1.7")
PATIENCE_S = patient(15.0)


class Follower:
    """Reads one stream on a thread."""

    def __init__(self, runtime: Any) -> None:
        self._call = runtime.runtime.GetContainerEvents(cri.GetEventsRequest())
        self._events: queue.Queue[Any] = queue.Queue()
        self._thread = threading.Thread(target=self._follow)
        self._call.initial_metadata()  # from here on nothing is missed
        self._thread.start()

    def _follow(self) -> None:
        try:
            for event in self._call:
                self._events.put(event)
        except grpc.RpcError as error:
            self._events.put(error)

    def next(self) -> Any:
        return self._events.get(timeout=PATIENCE_S)

    def close(self) -> None:
        self._call.cancel()
        self._thread.join(PATIENCE_S)


@pytest.fixture
def follower(runtime: Any) -> Iterator[Follower]:
    own = Follower(runtime)
    yield own
    own.close()


def kinds(follower: Follower, count: int) -> list[tuple[str, int]]:
    return [(event.container_id, event.container_event_type) for event in (follower.next() for _ in range(count))]


CREATED, STARTED = cri.CONTAINER_CREATED_EVENT, cri.CONTAINER_STARTED_EVENT
STOPPED, DELETED = cri.CONTAINER_STOPPED_EVENT, cri.CONTAINER_DELETED_EVENT


def test_each_step_is_told_once_and_in_order(runtime: Any, follower: Follower) -> None:
    pod = runtime.pod()
    container = runtime.sleeper(pod)
    assert kinds(follower, 4) == [(pod.id, CREATED), (pod.id, STARTED), (container, CREATED), (container, STARTED)]
    runtime.stop(container)
    assert kinds(follower, 1) == [(container, STOPPED)]
    runtime.remove(container)
    assert kinds(follower, 1) == [(container, DELETED)]
    runtime.stop_pod(pod)
    assert kinds(follower, 1) == [(pod.id, STOPPED)]
    runtime.remove_pod(pod)
    assert kinds(follower, 1) == [(pod.id, DELETED)]


def test_an_event_carries_the_pod_as_it_was(runtime: Any, follower: Follower) -> None:
    before_ns = time.time_ns()
    pod = runtime.pod()
    other = runtime.create(pod, "true", name="other")
    container = runtime.started(pod, "sh", "-c", "exit 3", name="main")
    runtime.ended(container)
    told: dict[tuple[str, int], Any] = {}
    while (container, STOPPED) not in told:
        event = follower.next()
        told[event.container_id, event.container_event_type] = event
    for event in told.values():
        assert event.pod_sandbox_status.id == pod.id
        assert event.pod_sandbox_status.metadata == pod.config.metadata
        assert before_ns <= event.created_at <= time.time_ns()
    last = {status.id: status for status in told[container, STOPPED].containers_statuses}
    assert (last[container].state, last[container].exit_code) == (cri.CONTAINER_EXITED, 3)
    assert last[other].state == cri.CONTAINER_CREATED
    first = {status.id: status.state for status in told[other, CREATED].containers_statuses}
    assert first == {other: cri.CONTAINER_CREATED}


def test_stopping_a_sandbox_tells_of_its_containers_first(runtime: Any, follower: Follower) -> None:
    pod = runtime.pod()
    container = runtime.sleeper(pod)
    kinds(follower, 4)
    runtime.stop_pod(pod)
    assert set(kinds(follower, 2)) == {(container, STOPPED), (pod.id, STOPPED)}
    runtime.stop_pod(pod)
    runtime.remove_pod(pod)
    assert kinds(follower, 2) == [(container, DELETED), (pod.id, DELETED)], "nothing is told twice"


def test_what_was_before_is_not_told(runtime: Any) -> None:
    runtime.sleeper(runtime.pod())
    follower = Follower(runtime)
    try:
        pod = runtime.pod()
        assert kinds(follower, 1) == [(pod.id, CREATED)]
    finally:
        follower.close()


def test_several_follow_at_once(runtime: Any, follower: Follower) -> None:
    second = Follower(runtime)
    try:
        pod = runtime.pod()
        assert kinds(follower, 2) == kinds(second, 2) == [(pod.id, CREATED), (pod.id, STARTED)]
    finally:
        second.close()
    runtime.stop_pod(pod)
    assert kinds(follower, 1) == [(pod.id, STOPPED)], "one that has left disturbs nobody"
