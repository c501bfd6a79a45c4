"""The scheduler's loop: informers fill the columns and the queue, decisions are taken one after the other in memory,
bindings go out many at a time.

A decided pod is counted on its node at once (assumed), before the API has confirmed it, so that the next decision
sees it. If its binding fails the assumption is taken back, once it is sure that it can't be done later.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from prometheus_client import Counter, Histogram

from knarr_api import errors
from knarr_api.labels import Selector
from knarr_api.types.core_v1 import Namespace, Node, Pod
from knarr_api.types.policy_v1 import PodDisruptionBudget
from knarr_client.client import Binding, Client, Key, T, title_of
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder, EventRecorder
from knarr_client.informer import Change, Informer, wait_synced
from knarr_controlplane import metrics
from knarr_controlplane.scheduler import preemption
from knarr_controlplane.scheduler.alike import Alike
from knarr_controlplane.scheduler.columns import Columns
from knarr_controlplane.scheduler.framework import (
    ClusterEvent,
    Judged,
    Placed,
    Plugin,
    PodToPlace,
    Unschedulable,
    decide,
)
from knarr_controlplane.scheduler.hints import Asked, Hints
from knarr_controlplane.scheduler.preemption import Budget, NoRoom, Preemption
from knarr_controlplane.scheduler.profile import DEFAULT_NAME, Profiles, default_profiles, scheduler_of
from knarr_controlplane.scheduler.queue import SchedulingQueue
from knarr_controlplane.scheduler.refusals import Refusals
from knarr_controlplane.scheduler.unconfirmed import UNSURE, Unconfirmed
from knarr_telemetry import tracing

SCHEDULER_NAME = DEFAULT_NAME
MANY_ATTEMPTS = 16
"""More are not told apart in metrics."""
FINISHED = ("Succeeded", "Failed")
AT_A_TIME = 128
"""Decisions between two looks at other work."""
MANY, GATHER_S, CALM_S = 100, 1.0, 0.05
"""So many pods that wait are the beginning of more: they are decided once fewer than that have come in ``CALM_S``, at
the latest after ``GATHER_S``. What then goes to a node goes in one commit and one message, a good part of the cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings:
    """batch: decisions that are taken before any is carried out. bindings: of them that go out together. binding: such
    parts under way at once. reporting: verdicts of pods that fit nowhere which are being written at once.

    profiles: pods that ask for a scheduler that is not among them are left alone.
    """

    profiles: Profiles = field(default_factory=default_profiles)
    batch: int = 8192
    bindings: int = 1024
    binding: int = 4
    reporting: int = 256


class Informers(Protocol):
    """Where informers come from that others use as well, and run."""

    def of(self, type_: type[T]) -> Informer[T]: ...


@dataclass(slots=True)
class Scheduler:
    """One instance per leadership: ``run`` once. informers: None for its own ones."""

    client: Client
    settings: SchedulerSettings
    clock: Clock
    informers: Informers | None = None
    columns: Columns = field(default_factory=Columns)
    queue: SchedulingQueue = field(default_factory=SchedulingQueue)
    events: EventRecorder | None = None
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _assumed: dict[Key, str] = field(default_factory=dict)
    _nominated: dict[Key, Pod] = field(default_factory=dict)
    """Pods for which others were asked to go, with the node in their status."""
    _budgets: dict[Key, Budget] = field(default_factory=dict)
    _gated: set[Key] = field(default_factory=set)
    _decisions: int = 0
    _alike: Alike | None = None
    _hints: Hints = field(init=False)
    _unconfirmed: Unconfirmed = field(init=False)

    def __post_init__(self) -> None:
        self._hints = Hints(self.columns)
        self._unconfirmed = Unconfirmed(self.client, self.clock, self._recorder, self._give_up)

    async def run(self) -> None:
        """Until cancelled."""
        own: list[Informer[Any]] = []

        def of(type_: type[T]) -> Informer[T]:
            if self.informers is not None:
                return self.informers.of(type_)
            own.append(informer := Informer(self.client, type_, clock=self.clock))
            return informer

        nodes, pods, namespaces, budgets = of(Node), of(Pod), of(Namespace), of(PodDisruptionBudget)
        nodes.add_handler(self.node_changed)
        pods.add_handler(self.pod_changed)
        namespaces.add_handler(self.namespace_changed)
        budgets.add_handler(self.budget_changed)
        log = structlog.get_logger("knarr.scheduler")
        self.events = EventRecorder(self.client, component=SCHEDULER_NAME, clock=self.clock)
        metrics.PENDING.labels("gated").set_function(self._gated.__len__)
        for state in ("active", "backoff", "unschedulable"):
            metrics.PENDING.labels(state).set_function(functools.partial(self.queue.count, state))
        async with asyncio.TaskGroup() as group:
            group.create_task(self.events.run(), name="scheduler/events")
            group.create_task(self._unconfirmed.run(), name="scheduler/unconfirmed")
            for informer in own:
                group.create_task(informer.run(), name=f"scheduler/{informer.type.__name__}")
            await wait_synced(nodes, pods, namespaces, budgets)
            named = {name: [plugin.name for plugin in chosen] for name, chosen in self.settings.profiles.items()}
            log.info("scheduling", nodes=len(nodes), profiles=named)
            binding = asyncio.Semaphore(self.settings.binding)
            reporting = asyncio.Semaphore(self.settings.reporting)

            def start(slots: asyncio.Semaphore, work: Coroutine[Any, Any, None], name: str) -> None:
                group.create_task(work, name=f"scheduler/{name}").add_done_callback(lambda _: slots.release())

            while True:
                placed: list[tuple[Pod, Placed]] = []
                self._wake_helped()
                for number, key in enumerate(self.queue.pop(self.clock.monotonic(), self.settings.batch), 1):
                    if number % AT_A_TIME == 0:
                        await asyncio.sleep(0)
                    if reporting.locked():
                        # Before the decision: while a verdict waits, nodes come that it knows nothing of, and pods go.
                        async with reporting:
                            pass
                    pod = pods.by_key(key)
                    if pod is None or not self._is_ours(pod):
                        self.queue.remove(key)
                        continue
                    verdict = self.place(pod)
                    if isinstance(verdict, Placed):
                        placed.append((pod, verdict))
                    else:
                        await reporting.acquire()
                        start(reporting, self._refuse(pod, verdict), str(key))
                # By node: one commit, and so one message to its agent, has all that is bound to it now.
                placed.sort(key=lambda each: each[1].node)
                for part in parts(placed, self.settings.bindings):
                    await binding.acquire()
                    start(binding, self._bind(part), f"{len(part)} bindings")
                await self._wait_for_work()
                await self._gather()

    def node_changed(self, change: Change[Node]) -> None:
        """Take a node's change into the columns and wake whom it could help."""
        if change.new is None:
            self.columns.remove_node(change.key.name)
            self._wake(ClusterEvent.NODE_REMOVED)
            for key, pod in self._nominated.items():
                if pod.status.nominated_node_name == change.key.name:
                    self._again(key)
            return
        self.columns.set_node(change.new)
        self._wake(_node_event(change.old, change.new), change.key.name)

    def namespace_changed(self, change: Change[Namespace]) -> None:
        """Its labels choose whom affinity is about."""
        labels = None if change.new is None else change.new.metadata.labels
        if self.columns.set_namespace(change.key.name, labels):
            self._wake(ClusterEvent.POD_ADDED | ClusterEvent.POD_REMOVED)

    def budget_changed(self, change: Change[PodDisruptionBudget]) -> None:
        budget = change.new
        if budget is None:
            self._budgets.pop(change.key, None)
            return
        self._budgets[change.key] = Budget(
            namespace=budget.metadata.namespace,
            selector=Selector.from_label_selector(budget.spec.selector),
            allowed=budget.status.disruptions_allowed or 0,
        )

    def pod_changed(self, change: Change[Pod]) -> None:
        """Take a pod's change into the columns and the queue."""
        key, pod = change.key, change.new
        if pod is not None and change.old is not None and change.old.metadata.uid != pod.metadata.uid:
            self.pod_changed(Change(key=key, old=change.old, new=None))
            self.pod_changed(Change(key=key, old=None, new=pod))
            return
        if pod is None or not pod.spec.scheduling_gates:
            self._gated.discard(key)
        elif pod.metadata.deletion_timestamp is None:
            self._gated.add(key)
        if pod is None or pod.spec.node_name or pod.status.phase in FINISHED or not pod.status.nominated_node_name:
            nominated = self._nominated.pop(key, None)
            if nominated is not None and pod is None:
                self._wake(ClusterEvent.POD_REMOVED, nominated.status.nominated_node_name)
        else:
            self._nominated[key] = pod
        if pod is None or pod.status.phase in FINISHED:
            self.queue.remove(key)
            self._assumed.pop(key, None)
            if node := self.columns.remove_pod(key.namespace, key.name):
                self._wake(ClusterEvent.POD_REMOVED, node)
            return
        if pod.spec.node_name:
            self.queue.remove(key)
            assumed = self._assumed.pop(key, None) == pod.spec.node_name
            if change.old is None or _placement(change.old) != _placement(pod):
                if not assumed or not self.columns.shows(pod):
                    self.columns.add_pod(pod, pod.spec.node_name)
                self._wake(ClusterEvent.POD_ADDED, pod.spec.node_name)
            return
        if not self._is_ours(pod):
            self.queue.remove(key)
            return
        if key in self._assumed:
            return
        self.queue.add(key, priority=pod.spec.priority or 0)
        old = change.old
        if old is not None and (old.spec != pod.spec or old.metadata.labels != pod.metadata.labels):
            self.queue.changed(key, self.clock.monotonic())
        self._work.set()

    def place(self, pod: Pod) -> Placed | Unschedulable:
        """Decide, and assume the decision."""
        key = Key(pod.metadata.namespace, pod.metadata.name)
        self._decisions += 1
        started = time.perf_counter()
        with _span("schedule", pod):
            verdict = self._place_alike(pod) or self._place_alone(pod)
        took_s = time.perf_counter() - started
        metrics.DECISION_DURATION.observe(took_s)
        if isinstance(verdict, Placed):
            self._assumed[key] = verdict.node
            self._nominated.pop(key, None)
        else:
            _attempted(pod, "unschedulable", took_s)
        return verdict

    def _place_alike(self, pod: Pod) -> Placed | None:
        """As ``_place_alone``, for one of many that are alike; None where it is to be decided alone."""
        if self._nominated:
            return None
        if self._alike is None or not self._alike.includes(pod):
            self._alike = Alike(pod, self.columns, self._plugins(pod))
        return self._alike.place(pod, tie_break=self._decisions)

    def _place_alone(self, pod: Pod) -> Placed | Unschedulable:
        plugins, to_place, others = self._plugins(pod), PodToPlace.of(pod), self._ahead(pod)
        alone = tuple(Judged.of(plugin, to_place, self.columns) for plugin in plugins) if others else ()
        with self._reserved(others):
            verdict = decide(
                to_place,
                self.columns,
                (*plugins, *alone),
                tie_break=self._decisions,
                first=pod.status.nominated_node_name,
            )
        if isinstance(verdict, Placed):
            self.columns.add_pod(pod, verdict.node)
        return verdict

    def preempt(self, pod: Pod, refused: Unschedulable) -> Preemption | NoRoom:
        """Who should go for a pod that fits nowhere; nobody while those who were asked before are still going."""
        if pod.spec.preemption_policy == "Never":
            return preemption.NEVER
        nominated = self.columns.rows.get(pod.status.nominated_node_name)
        priority = pod.spec.priority or 0
        freed = () if nominated is None or not refused.perhaps[nominated] else self.columns.on_row(nominated)
        if any(record.terminating and record.priority < priority for record in freed):
            return preemption.WAITING
        metrics.PREEMPTIONS.inc()
        with self._reserved(self._ahead(pod)):
            found = preemption.find(
                PodToPlace.of(pod),
                self.columns,
                self._plugins(pod),
                tuple(self._budgets.values()),
                refused=refused,
                tie_break=self._decisions,
            )
        if isinstance(found, Preemption):
            metrics.VICTIMS.observe(len(found.victims))
        return found

    def _ahead(self, pod: Pod) -> list[Pod]:
        """Those of no less priority for which nodes are being freed. They may come there or not: the pod must fit with
        them and without."""
        own = Key(pod.metadata.namespace, pod.metadata.name)
        priority = pod.spec.priority or 0
        return [
            other
            for key, other in self._nominated.items()
            if key != own and key not in self._assumed and (other.spec.priority or 0) >= priority
        ]

    @contextlib.contextmanager
    def _reserved(self, others: Sequence[Pod]) -> Iterator[None]:
        """Within, these pods count on the nodes that are being freed for them."""
        for other in others:
            self.columns.add_pod(other, other.status.nominated_node_name)
        try:
            yield
        finally:
            for other in others:
                self.columns.remove_pod(other.metadata.namespace, other.metadata.name)

    async def _bind(self, placed: Sequence[tuple[Pod, Placed]]) -> None:
        bindings = [
            Binding(pod.metadata.namespace, pod.metadata.name, pod.metadata.uid, verdict.node)
            for pod, verdict in placed
        ]
        started = time.perf_counter()
        with contextlib.ExitStack() as spans:
            for pod, verdict in placed if tracing.is_on() else ():
                spans.enter_context(_span("bind", pod, node=verdict.node))
            outcomes: Sequence[errors.KnarrError | None]
            try:
                outcomes = await self.client.bind_all(bindings)
            except errors.KnarrError as error:
                outcomes = [error] * len(bindings)
        took_s = time.perf_counter() - started
        for (pod, verdict), outcome in zip(placed, outcomes, strict=True):
            _attempted(pod, "scheduled" if outcome is None else "error", took_s)
            self._bound(pod, verdict.node, outcome)

    def _bound(self, pod: Pod, node: str, error: errors.KnarrError | None) -> None:
        metadata = pod.metadata
        key = Key(metadata.namespace, metadata.name)
        if error is not None:
            structlog.get_logger("knarr.scheduler").info("binding failed", object=f"Pod/{key}", error=str(error))
            if isinstance(error, UNSURE) and self._assumes(pod):
                self._unconfirmed.add(pod, node, error)
            else:
                self._give_up(pod, node)
            return
        since = metadata.creation_timestamp
        if since is not None:
            attempts = self.queue.attempts(key)
            metrics.POD_ATTEMPTS.observe(attempts)
            duration = metrics.POD_DURATION.labels(str(min(attempts, MANY_ATTEMPTS)))
            duration.observe(max((self.clock.now() - since).total_seconds(), 0.0))
        self._recorder(pod).normal(pod, "Scheduled", f"Successfully assigned {key} to {node}")

    def _give_up(self, pod: Pod, node: str) -> None:
        """It is not bound: its room is others', and it is tried again."""
        if self._assumes(pod):
            key = Key(pod.metadata.namespace, pod.metadata.name)
            del self._assumed[key]
            self.columns.remove_pod(*key)
            self.queue.failed(key, self.clock.monotonic())
            self._wake(ClusterEvent.POD_REMOVED, node)

    def _assumes(self, pod: Pod) -> bool:
        """Whether it is this pod that is counted where it may be bound, not a later one of its name."""
        key = Key(pod.metadata.namespace, pod.metadata.name)
        return key in self._assumed and self.columns.pods[key].uid == pod.metadata.uid

    def _refuse(self, pod: Pod, verdict: Unschedulable) -> Coroutine[Any, Any, None]:
        """Park it until something happens that one of those who refused it waits for; the rest is to be awaited."""
        room = self.preempt(pod, verdict)
        plugins = self._plugins(pod)
        wakes_on, near = ClusterEvent(0), ClusterEvent.NODE_ADDED
        for plugin in plugins:
            if plugin.name in verdict.plugins and plugin.by_node:
                near |= plugin.wakes_on
            elif plugin.name in verdict.plugins:
                wakes_on |= plugin.wakes_on
        key = Key(pod.metadata.namespace, pod.metadata.name)
        asked = Asked.of(PodToPlace.of(pod), plugins)
        self.queue.refused(key, wakes_on, self.clock.monotonic(), near=near, asked=asked)
        return Refusals(self.client, self.clock, self._recorder, self._nominated, self._again).tell(pod, verdict, room)

    def _again(self, key: Key) -> None:
        self.queue.changed(key, self.clock.monotonic())
        self._work.set()

    async def _wait_for_work(self) -> None:
        due_s = self.queue.next_due_s()
        if due_s == 0.0:
            await asyncio.sleep(0)
            return
        timeout_s = None if due_s is None else max(due_s - self.clock.monotonic(), 0.0)
        try:
            async with asyncio.timeout(timeout_s):
                await self._work.wait()
        except TimeoutError:
            pass
        self._work.clear()

    async def _gather(self) -> None:
        """While many pour in: until the rest has come."""
        waiting, until_s = self.queue.active, self.clock.monotonic() + GATHER_S
        while MANY <= waiting < self.settings.batch and self.clock.monotonic() < until_s:
            await self.clock.sleep(CALM_S)
            before, waiting = waiting, self.queue.active
            if waiting < before + MANY:
                return

    def _is_ours(self, pod: Pod) -> bool:
        return (
            not pod.spec.node_name
            and pod.metadata.deletion_timestamp is None
            and not pod.spec.scheduling_gates
            and scheduler_of(pod) in self.settings.profiles
        )

    def _plugins(self, pod: Pod) -> tuple[Plugin, ...]:
        return self.settings.profiles[scheduler_of(pod)]

    def _recorder(self, pod: Pod) -> ComponentRecorder:
        """What speaks for the scheduler the pod asks for."""
        assert self.events is not None, "run() makes it"
        return self.events.named(scheduler_of(pod))

    def _wake(self, event: ClusterEvent, node: str = "") -> None:
        """Something changed, on that node. Whom it helps is looked at before the next decisions, for all at once."""
        if event:
            self._hints.note(event, node)
            self._work.set()

    def _wake_helped(self) -> None:
        if self._hints.events:
            look = self._hints.take()
            self.queue.wake(look.events, self.clock.monotonic(), look.helps)


async def run(client: Client, *, settings: SchedulerSettings, clock: Clock, informers: Informers | None = None) -> None:
    """Schedule until cancelled."""
    await Scheduler(client=client, settings=settings, clock=clock, informers=informers).run()


def parts(placed: Sequence[tuple[Pod, Placed]], size: int) -> Iterator[Sequence[tuple[Pod, Placed]]]:
    """In the same order, no more than ``size`` each, where that does not part what goes to one node."""
    first = 0
    while first < len(placed):
        end = min(first + size, len(placed))
        while end < len(placed) and placed[end][1].node == placed[end - 1][1].node and end - first < 2 * size:
            end += 1
        yield placed[first:end]
        first = end


def _node_event(old: Node | None, new: Node) -> ClusterEvent:
    if old is None:
        return ClusterEvent.NODE_ADDED
    event = ClusterEvent(0)
    if old.status.allocatable != new.status.allocatable:
        event |= ClusterEvent.NODE_ALLOCATABLE
    if old.metadata.labels != new.metadata.labels:
        event |= ClusterEvent.NODE_LABELS
    if old.spec.taints != new.spec.taints or old.spec.unschedulable != new.spec.unschedulable:
        event |= ClusterEvent.NODE_TAINTS
    return event


def _span(name: str, pod: Pod, **attributes: str) -> tracing.Span:
    """In the trace of the call that made the pod."""
    if not tracing.is_on():
        return tracing.span(name, None)
    parent = tracing.of_annotations(pod.metadata.annotations)
    return tracing.span(name, parent, object=title_of(pod) if parent else "", **attributes)


def _attempted(pod: Pod, result: str, took_s: float) -> None:
    attempts, duration = _meters(result, scheduler_of(pod))
    attempts.inc()
    duration.observe(took_s)


@functools.cache
def _meters(result: str, profile: str) -> tuple[Counter, Histogram]:
    """Finding them takes longer than counting."""
    return metrics.ATTEMPTS.labels(result, profile), metrics.ATTEMPT_DURATION.labels(result, profile)


def _placement(pod: Pod) -> tuple[object, ...]:
    """What of a placed pod the columns hold."""
    return (pod.spec.node_name, pod.metadata.labels, pod.metadata.deletion_timestamp is None, pod.spec.containers)
