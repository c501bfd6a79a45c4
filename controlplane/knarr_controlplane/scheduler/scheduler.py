"""The scheduler's loop: informers fill the columns and the queue, decisions are taken one after the other in memory,
bindings go out many at a time.

A decided pod is counted on its node at once (assumed), before the API has confirmed it, so that the next decision
sees it. If its binding fails the assumption is taken back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec
import structlog

from knarr_api import errors
from knarr_api.types.core_v1 import Node, Pod, PodCondition
from knarr_client.client import Client, Key
from knarr_client.clock import Clock
from knarr_client.event_recorder import EventRecorder
from knarr_client.informer import Change, Informer, wait_synced
from knarr_controlplane.scheduler.columns import Columns
from knarr_controlplane.scheduler.framework import ClusterEvent, Placed, Plugin, PodToPlace, Unschedulable, decide
from knarr_controlplane.scheduler.profile import load_plugins
from knarr_controlplane.scheduler.queue import SchedulingQueue

SCHEDULER_NAME = "default-scheduler"
FINISHED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings:
    """batch: decisions between two looks at other work. bindings: how many are under way at once.

    scheduler_names: pods that ask for another scheduler are left alone.
    """

    scheduler_names: tuple[str, ...] = (SCHEDULER_NAME, "")
    batch: int = 128
    bindings: int = 256


@dataclass(slots=True)
class Scheduler:
    """One instance per leadership: ``run`` once."""

    client: Client
    settings: SchedulerSettings
    clock: Clock
    columns: Columns = field(default_factory=Columns)
    queue: SchedulingQueue = field(default_factory=SchedulingQueue)
    plugins: tuple[Plugin, ...] = field(default_factory=load_plugins)
    events: EventRecorder | None = None
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _assumed: dict[Key, str] = field(default_factory=dict)
    _decisions: int = 0

    async def run(self) -> None:
        """Until cancelled."""
        nodes = Informer(self.client, Node, clock=self.clock)
        pods = Informer(self.client, Pod, clock=self.clock)
        nodes.add_handler(self.node_changed)
        pods.add_handler(self.pod_changed)
        log = structlog.get_logger("knarr.scheduler")
        self.events = EventRecorder(self.client, component=SCHEDULER_NAME, clock=self.clock)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.events.run(), name="scheduler/events")
            group.create_task(nodes.run(), name="scheduler/nodes")
            group.create_task(pods.run(), name="scheduler/pods")
            await wait_synced(nodes, pods)
            log.info("scheduling", nodes=len(nodes), plugins=[plugin.name for plugin in self.plugins])
            slots = asyncio.Semaphore(self.settings.bindings)
            while True:
                for key in self.queue.pop(self.clock.monotonic(), self.settings.batch):
                    pod = pods.by_key(key)
                    if pod is None or not self._is_ours(pod):
                        self.queue.remove(key)
                        continue
                    verdict = self.place(pod)
                    await slots.acquire()
                    follow_up = self._bind(pod, verdict) if isinstance(verdict, Placed) else self._report(pod, verdict)
                    task = group.create_task(follow_up, name=f"scheduler/{key}")
                    task.add_done_callback(lambda _: slots.release())
                await self._wait_for_work()

    def node_changed(self, change: Change[Node]) -> None:
        """Take a node's change into the columns and wake whom it could help."""
        if change.new is None:
            self.columns.remove_node(change.key.name)
            return
        self.columns.set_node(change.new)
        self._wake(_node_event(change.old, change.new))

    def pod_changed(self, change: Change[Pod]) -> None:
        """Take a pod's change into the columns and the queue."""
        key, pod = change.key, change.new
        if pod is None or pod.status.phase in FINISHED:
            self.queue.remove(key)
            self._assumed.pop(key, None)
            if self.columns.remove_pod(key.namespace, key.name):
                self._wake(ClusterEvent.POD_REMOVED)
            return
        if pod.spec.node_name:
            self.queue.remove(key)
            self._assumed.pop(key, None)
            if change.old is None or _placement(change.old) != _placement(pod):
                self.columns.add_pod(pod, pod.spec.node_name)
                self._wake(ClusterEvent.POD_ADDED)
            return
        if not self._is_ours(pod):
            self.queue.remove(key)
            return
        if key in self._assumed:
            return
        self.queue.add(key, priority=pod.spec.priority or 0)
        if change.old is not None and change.old.spec != pod.spec:
            self.queue.changed(key, self.clock.monotonic())
        self._work.set()

    def place(self, pod: Pod) -> Placed | Unschedulable:
        """Decide, and assume the decision."""
        key = Key(pod.metadata.namespace, pod.metadata.name)
        self._decisions += 1
        verdict = decide(PodToPlace.of(pod), self.columns, self.plugins, tie_break=self._decisions)
        if isinstance(verdict, Placed):
            self._assumed[key] = verdict.node
            self.columns.add_pod(pod, verdict.node)
        return verdict

    async def _bind(self, pod: Pod, verdict: Placed) -> None:
        metadata = pod.metadata
        key = Key(metadata.namespace, metadata.name)
        try:
            await self.client.bind(
                namespace=metadata.namespace, name=metadata.name, uid=metadata.uid, node=verdict.node
            )
        except errors.KnarrError as error:
            if self._assumed.pop(key, None) is not None:
                self.columns.remove_pod(*key)
                self.queue.failed(key, self.clock.monotonic())
                self._wake(ClusterEvent.POD_REMOVED)
            structlog.get_logger("knarr.scheduler").info("binding failed", pod=str(key), error=str(error))
            return
        if self.events is not None:
            self.events.normal(pod, "Scheduled", f"Successfully assigned {key} to {verdict.node}")

    async def _report(self, pod: Pod, verdict: Unschedulable) -> None:
        """Write the verdict into the pod's condition when it says something new."""
        metadata = pod.metadata
        key = Key(metadata.namespace, metadata.name)
        wakes_on = ClusterEvent.NODE_ADDED
        for plugin in self.plugins:
            if plugin.name in verdict.plugins:
                wakes_on |= plugin.wakes_on
        self.queue.refused(key, wakes_on, self.clock.monotonic())
        present = next((c for c in pod.status.conditions if c.type == "PodScheduled"), None)
        if present is not None and (present.status, present.message) == ("False", verdict.message):
            return
        if self.events is not None:
            self.events.warning(pod, "FailedScheduling", verdict.message)
        since = self.clock.now().replace(microsecond=0)
        if present is not None and present.status == "False" and present.last_transition_time is not None:
            since = present.last_transition_time
        condition = PodCondition(
            type="PodScheduled",
            status="False",
            reason="Unschedulable",
            message=verdict.message,
            last_transition_time=since,
        )
        others = tuple(c for c in pod.status.conditions if c.type != "PodScheduled")
        status = msgspec.structs.replace(pod.status, phase="Pending", conditions=(*others, condition))
        try:
            await self.client.update_status(msgspec.structs.replace(pod, status=status), field_manager="scheduler")
        except (errors.Conflict, errors.NotFound):
            self.queue.changed(key, self.clock.monotonic())
            self._work.set()
        except errors.KnarrError as error:
            structlog.get_logger("knarr.scheduler").warning("cannot report", pod=str(key), error=str(error))

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

    def _is_ours(self, pod: Pod) -> bool:
        return (
            not pod.spec.node_name
            and pod.metadata.deletion_timestamp is None
            and not pod.spec.scheduling_gates
            and pod.spec.scheduler_name in self.settings.scheduler_names
        )

    def _wake(self, event: ClusterEvent) -> None:
        if event:
            self.queue.wake(event, self.clock.monotonic())
            self._work.set()


async def run(client: Client, *, settings: SchedulerSettings, clock: Clock) -> None:
    """Schedule until cancelled."""
    await Scheduler(client=client, settings=settings, clock=clock).run()


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


def _placement(pod: Pod) -> tuple[object, ...]:
    """What of a placed pod the columns hold."""
    return (pod.spec.node_name, pod.metadata.labels, pod.metadata.deletion_timestamp is None, pod.spec.containers)
