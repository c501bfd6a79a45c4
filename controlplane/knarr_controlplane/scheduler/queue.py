"""Pods waiting to be placed.

    active ── pop ──► (being placed) ── refused ──► parked ── an event that could help ──► back-off or active
      ▲                    │ failed (bind conflict)                                            │
      └──── time is over ── back-off ◄──────────────────────────────────────────────────────────┘

Active pods are served by priority, then age. A parked pod waits for a change that one of the plugins that refused it
named (``wakes_on``), or for one on a node that can take it now (``wakes_near``), or for ``PARK_LIMIT_S``. Back-off
doubles from 1 s to 10 s per failed attempt, as in Kubernetes.
Pure but for its own state: time is an argument, in seconds of any monotonic clock.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import msgspec

from knarr_client.client import Key
from knarr_controlplane.scheduler.framework import ClusterEvent
from knarr_controlplane.scheduler.hints import Asked

FIRST_BACKOFF_S, LONGEST_BACKOFF_S, PARK_LIMIT_S = 1.0, 10.0, 300.0
NOTHING = ClusterEvent(0)


class Waiting(msgspec.Struct, eq=False, gc=False):
    """One pod. ``ticket`` tells its valid heap entry from old ones; parked pods have ``wakes_on``."""

    key: Key
    priority: int
    order: int
    attempts: int = 0
    ticket: int = 0
    ready_at_s: float = 0.0
    wakes_on: ClusterEvent | None = None
    wakes_near: ClusterEvent = NOTHING
    asked: Asked | None = None
    """Who is asked whether an event of ``wakes_near`` helps."""
    parked_at_s: float = 0.0
    taken: int = 0
    """Being placed, since that event (counted from 1); what has happened since then it has missed."""
    missed: int = 0
    """Events of its own."""


class SchedulingQueue:
    def __init__(self) -> None:
        self._pods: dict[Key, Waiting] = {}
        self._parked: dict[Key, Waiting] = {}
        """Those of ``_pods`` that wait for an event."""
        self._active: list[tuple[int, int, int, Key]] = []
        self._backoff: list[tuple[float, int, Key]] = []
        self._events = 1
        self._happened: dict[int, int] = {}
        """When each kind of event was seen last: so that one costs the same however many pods are being placed."""
        self._orders = 0
        self._latest_s = 0.0
        """The time of the last ``pop``."""

    def __len__(self) -> int:
        return len(self._pods)

    @property
    def active(self) -> int:
        """How many may be placed now, about: some may have been placed or gone meanwhile."""
        return len(self._active)

    def count(self, state: str) -> int:
        """How many pods are ``active``, in ``backoff`` or ``unschedulable``. May be asked from another thread."""
        now_s = self._latest_s
        waiting = list(self._pods.values())
        parked = sum(one.wakes_on is not None for one in waiting)
        backing_off = sum(one.wakes_on is None and not one.taken and one.ready_at_s > now_s for one in waiting)
        return {"unschedulable": parked, "backoff": backing_off, "active": len(waiting) - parked - backing_off}[state]

    def add(self, key: Key, *, priority: int) -> None:
        """A pod to place; one that is known stays where it is."""
        if key in self._pods:
            return
        self._orders += 1
        waiting = self._pods[key] = Waiting(key=key, priority=priority, order=self._orders)
        self._activate(waiting)

    def attempts(self, key: Key) -> int:
        """How many were made for the pod; 1 for one that is not here any more."""
        waiting = self._pods.get(key)
        return max(waiting.attempts, 1) if waiting is not None else 1

    def remove(self, key: Key) -> None:
        """The pod is placed or gone."""
        self._pods.pop(key, None)
        self._parked.pop(key, None)

    def changed(self, key: Key, now_s: float) -> None:
        """The pod itself changed (its tolerations, its labels): try again."""
        waiting = self._pods.get(key)
        if waiting is not None:
            waiting.missed |= ClusterEvent.ANY.value
            if waiting.wakes_on is not None:
                self._rest_or_activate(waiting, now_s)

    def pop(self, now_s: float, limit: int) -> list[Key]:
        """Up to ``limit`` pods to place now, the most important first."""
        self._latest_s = now_s
        self._release(now_s)
        keys: list[Key] = []
        while self._active and len(keys) < limit:
            _, _, ticket, key = heapq.heappop(self._active)
            waiting = self._pods.get(key)
            if waiting is None or waiting.ticket != ticket:
                continue
            waiting.taken = self._events
            waiting.attempts += 1
            waiting.missed = 0
            keys.append(key)
        return keys

    def refused(
        self,
        key: Key,
        wakes_on: ClusterEvent,
        now_s: float,
        *,
        near: ClusterEvent = NOTHING,
        asked: Asked | None = None,
    ) -> None:
        """No node fits. Parked, unless what could help happened while it was being decided."""
        waiting = self._pods.get(key)
        if waiting is None:
            return
        missed = waiting.missed
        for event, at in self._happened.items():
            if at > waiting.taken:
                missed |= event
        waiting.taken = 0
        waiting.ready_at_s = now_s + backoff_s(waiting.attempts)
        if missed & (wakes_on | near).value:
            self._rest_or_activate(waiting, now_s)
            return
        self._parked[key] = waiting
        waiting.wakes_on, waiting.parked_at_s = wakes_on, now_s
        waiting.wakes_near, waiting.asked = near, asked

    def failed(self, key: Key, now_s: float) -> None:
        """It fitted but could not be bound: again after its back-off."""
        waiting = self._pods.get(key)
        if waiting is not None:
            waiting.taken = 0
            waiting.ready_at_s = now_s + backoff_s(waiting.attempts)
            self._rest_or_activate(waiting, now_s)

    def wake(
        self, event: ClusterEvent, now_s: float, helps: Callable[[Asked, ClusterEvent], bool] = lambda *_: True
    ) -> None:
        """Something changed in the cluster. helps: whether it was on a node that can take the pod now."""
        value = event.value
        self._events += 1
        self._happened[value] = self._events
        for waiting in tuple(self._parked.values()):
            if waiting.wakes_on is None:
                continue
            near, asked = waiting.wakes_near, waiting.asked
            if waiting.wakes_on.value & value or (near.value & value and (asked is None or helps(asked, near))):
                self._rest_or_activate(waiting, now_s)

    def next_due_s(self) -> float | None:
        """When ``pop`` may have something again without a further change; 0.0 for at once, None for never."""
        if any(self._pods.get(entry[3]) and self._pods[entry[3]].ticket == entry[2] for entry in self._active):
            return 0.0
        times = [self._backoff[0][0]] if self._backoff else []
        parked = [waiting.parked_at_s + PARK_LIMIT_S for waiting in self._parked.values()]
        return min(times + ([min(parked)] if parked else []), default=None)

    def _release(self, now_s: float) -> None:
        while self._backoff and self._backoff[0][0] <= now_s:
            _, ticket, key = heapq.heappop(self._backoff)
            waiting = self._pods.get(key)
            if waiting is not None and waiting.ticket == ticket:
                self._activate(waiting)
        for waiting in tuple(self._parked.values()):
            if waiting.parked_at_s + PARK_LIMIT_S <= now_s:
                self._activate(waiting)

    def _rest_or_activate(self, waiting: Waiting, now_s: float) -> None:
        self._parked.pop(waiting.key, None)
        waiting.wakes_on = waiting.asked = None
        if waiting.ready_at_s <= now_s:
            self._activate(waiting)
            return
        waiting.ticket += 1
        heapq.heappush(self._backoff, (waiting.ready_at_s, waiting.ticket, waiting.key))

    def _activate(self, waiting: Waiting) -> None:
        self._parked.pop(waiting.key, None)
        waiting.wakes_on = waiting.asked = None
        waiting.ticket += 1
        heapq.heappush(self._active, (-waiting.priority, waiting.order, waiting.ticket, waiting.key))


def backoff_s(attempts: int) -> float:
    """Pause after the given number of attempts, from 1."""
    return float(min(FIRST_BACKOFF_S * 2.0 ** min(attempts - 1, 30), LONGEST_BACKOFF_S))
