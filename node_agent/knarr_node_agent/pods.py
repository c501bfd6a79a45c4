"""The loop that makes the node's pods what they should be: observe, decide, carry out, report.

One reconcile per pod at a time, many pods at once. Woken by the watch, by the runtime's events, by probes and by time;
a slow round over everything catches what any of them missed. What may take long (a pull, a stop with its grace) runs
beside the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

import structlog

from knarr_api import errors
from knarr_api.types.core_v1 import Pod, PodStatus
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import title_of
from knarr_client.clock import Clock
from knarr_client.event_recorder import EventRecorder
from knarr_client.reconcile import Again, run_reconciler
from knarr_client.workqueue import WorkQueue
from knarr_node_agent.acting import Actor
from knarr_node_agent.assignments import AssignmentStore, ObjectCache, same_wish
from knarr_node_agent.meter import Meter, NoMeter, StartClock
from knarr_node_agent.observing import Observer
from knarr_node_agent.pod_entry import Entry
from knarr_node_agent.podmachine.decide import (
    Plan,
    decide,
)
from knarr_node_agent.podmachine.status import status
from knarr_node_agent.podmachine.world import (
    Container,
    World,
)
from knarr_node_agent.probes import Probes, Target
from knarr_node_agent.runtime import PodState, Runtime
from knarr_node_agent.starting import Starter
from knarr_node_agent.stopping import Stopper
from knarr_node_agent.stream import PodReport
from knarr_telemetry import tracing

ROUND_S = 15.0
UNSYNCED_ROUND_S = 0.5
LISTEN_AGAIN_S = 0.2
SAVE_S = 1.0
SLOW_S = 0.3
"""After so long the status is reported although the steps are not all done."""
REPORT_AGAIN_S = 1.0
WORKERS = 24
STEPS_MAX = 8
DEADLINE_S = 180.0
ORPHAN_GRACE_S = 2


class PodManager:
    """What runs on the node. A uid that the runtime has and nobody assigned is ended once ``synced``."""

    def __init__(
        self,
        runtime: Runtime,
        store: AssignmentStore,
        objects: ObjectCache,
        starter: Starter,
        events: EventRecorder,
        clock: Clock,
        *,
        host_ip: str,
        report: Callable[[PodReport], None],
        meter: Meter | None = None,
    ) -> None:
        self._meter: Meter = meter or NoMeter()
        self.queue: WorkQueue[str] = WorkQueue(metrics=self._meter.queue)
        self.synced = False
        """Whether every pod of the node has been assigned: only then are unknown ones ended."""
        self._runtime = runtime
        self._store = store
        self._objects = objects
        self._starter = starter
        self._events = events
        self._clock = clock
        self._host_ip = host_ip
        self._report = report
        self._entries: dict[str, Entry] = {}
        self._probes = Probes(runtime, clock, changed=self.queue.add, unhealthy=self._unhealthy)
        stopper = Stopper(runtime, clock, changed=self.queue.add, failed=self._pre_stop_failed)
        self._observer = Observer(starter, stopper, self._probes, clock, host_ip=host_ip)
        self._actor = Actor(
            runtime, starter, stopper, self._probes, events, clock, host_ip=host_ip, again=self.queue.add_after
        )
        self._log = structlog.get_logger("knarr.pods")
        starter.images_changed = self.queue.add

    async def run(self) -> None:
        """Until cancelled; containers go on."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._listen(), name="runtime events")
                group.create_task(self._rounds(), name="rounds")
                group.create_task(self._keep_saved(), name="saving")
                looking = run_reconciler(
                    "pods",
                    self,
                    self.queue,
                    workers=WORKERS,
                    deadline_s=DEADLINE_S,
                    title=self._title,
                    trace=self._trace,
                )
                group.create_task(looking, name="pods")
        finally:
            self._probes.close()
            self._store.flush()

    # What should run

    @property
    def pods(self) -> Mapping[str, Pod]:
        """By uid, the pods that are this node's."""
        return {uid: entry.pod for uid, entry in self._entries.items() if not entry.withdrawn}

    def assign(self, pod: Pod) -> None:
        """A pod of this node appeared or changed."""
        uid = pod.metadata.uid
        self._store.save(pod)
        entry = self._entries.get(uid)
        if entry is None:
            self._entries[uid] = Entry(pod=pod, status=pod.status, starting=StartClock(self._meter))
        else:
            before, entry.pod = entry.pod, pod
            if same_wish(before, pod) and not entry.withdrawn and not pod.spec.readiness_gates:
                return  # the echo of a report
            entry.withdrawn = False
            entry.refreshed_at_s = 0.0
        self.queue.add(uid)

    def withdraw(self, uid: str) -> None:
        """A pod is not of this node any more: it is ended without a report."""
        entry = self._entries.get(uid)
        if entry is not None:
            entry.withdrawn = True
        self.queue.add(uid)

    def report_again(self, uid: str) -> None:
        """The server refused a report or has forgotten it."""
        entry = self._entries.get(uid)
        if entry is not None:
            entry.told = None
            self.queue.add_after(uid, REPORT_AGAIN_S)

    def resend(self) -> None:
        """Every pod's status once more: somebody has overwritten them all."""
        for uid, entry in self._entries.items():
            if not entry.withdrawn:
                entry.told = None
                self.queue.add(uid)

    def look(self, uid: str) -> tuple[World, PodStatus] | None:
        """A pod as it was seen last, and its status; None when it is not here or was not looked at yet."""
        entry = self._entries.get(uid)
        return (entry.seen, entry.status) if entry is not None and entry.seen is not None else None

    def running(self) -> Iterator[tuple[Pod, Container]]:
        """All containers that ran when they were seen last."""
        for entry in self._entries.values():
            if entry.seen is not None:
                yield from ((entry.pod, run) for run in entry.seen.running)

    def worlds(self) -> list[World]:
        """Every pod as it was seen last. May be asked from another thread."""
        return [entry.seen for entry in list(self._entries.values()) if entry.seen is not None]

    # The loop

    async def reconcile(self, key: str, /) -> Again | None:
        """One pod by uid."""
        began_s, entry = self._clock.monotonic(), self._entries.get(key)
        new = entry is not None and entry.seen is None
        try:
            return await self._reconcile(key)
        finally:
            entry = self._entries.get(key, entry)
            ending = entry is None or (entry.seen is not None and entry.seen.ending)
            what = "kill" if ending else "create" if new else "sync"
            self._meter.pod_worked_on(what, self._clock.monotonic() - began_s)

    async def _reconcile(self, key: str) -> Again | None:
        state = await self._runtime.pod(key)
        entry = self._entries.get(key)
        if entry is None:
            if not self.synced:
                return None
            entry = self._adopt_orphan(key, state)
        if entry.withdrawn and not self.synced:
            return Again(UNSYNCED_ROUND_S)
        slow = asyncio.get_running_loop().call_later(SLOW_S, self._tell_seen, entry)
        try:
            world, plan = await self._steps(entry, state)
        finally:
            slow.cancel()
        if plan.gone:
            await self._clean_up(key, entry)
        if entry.withdrawn:
            return self._again(plan)
        self._tell(entry, world, gone=plan.gone)
        await self._actor.refresh(entry)
        return self._again(plan, self._observer.until_deadline_s(entry))

    async def _steps(self, entry: Entry, state: PodState) -> tuple[World, Plan]:
        """Decide and act until nothing is left to do now; the last world and plan."""
        for _ in range(STEPS_MAX):
            world = await self._observer.look(entry, state)
            plan = decide(world, self._clock.now())
            if not plan.actions or not await self._actor.carry_out(entry, world, plan.actions, self._group):
                break
            state = await self._runtime.pod(entry.pod.metadata.uid)
        else:
            self.queue.add(entry.pod.metadata.uid)
        world = await self._observer.look(entry, state)
        return world, decide(world, self._clock.now())

    def _again(self, plan: Plan, deadline_s: float | None = None) -> Again | None:
        waits = [wait for wait in (plan.again_after_s, deadline_s) if wait is not None]
        return Again(min(waits)) if waits else None

    def _title(self, uid: str) -> str:
        entry = self._entries.get(uid)
        return title_of(entry.pod) if entry is not None else f"Pod/{uid}"

    def _trace(self, uid: str) -> str | None:
        """What made the pod, while it starts."""
        entry = self._entries.get(uid)
        if entry is None or entry.status.phase not in ("", "Pending"):
            return None
        return tracing.of_annotations(entry.pod.metadata.annotations)

    def _adopt_orphan(self, uid: str, state: PodState) -> Entry:
        """Of a pod that nobody assigned and that this agent never knew, only its name is known."""
        metadata = ObjectMeta(
            name=state.name, namespace=state.namespace, uid=uid, deletion_grace_period_seconds=ORPHAN_GRACE_S
        )
        if not state.empty:
            self._log.info(
                "ending a pod that is not of this node any more", object=f"Pod/{state.namespace}/{state.name}"
            )
        entry = self._entries[uid] = Entry(pod=Pod(metadata=metadata), status=PodStatus(), withdrawn=True)
        return entry

    async def _clean_up(self, uid: str, entry: Entry) -> None:
        """Nothing of the pod is left in the runtime; what the agent has of it goes when the pod does."""
        await self._actor.clean_up(entry)
        if entry.withdrawn:
            self._objects.forget(uid)
            self._store.forget(uid)
            if self._entries.get(uid) is entry:
                del self._entries[uid]

    # Report

    def _tell_seen(self, entry: Entry) -> None:
        if entry.seen is not None and not entry.withdrawn:
            self._tell(entry, entry.seen, gone=False)

    def _tell(self, entry: Entry, world: World, *, gone: bool) -> None:
        new = status(world, entry.status, self._clock.now(), host_ip=self._host_ip)
        entry.status = new
        if entry.told == (new, gone):
            return
        entry.told = (new, gone)
        metadata = entry.pod.metadata
        self._report(
            PodReport(namespace=metadata.namespace, name=metadata.name, uid=metadata.uid, status=new, terminated=gone)
        )

    def _compare(self, entry: Entry) -> None:
        """Say again what was told a round ago and is not what the API shows: somebody has overwritten it."""
        if entry.told is None or entry.told is not entry.told_before:
            entry.told_before = entry.told
        elif not _shows(entry.pod.status, entry.told[0]):
            self._log.info("telling a status again that was overwritten", object=title_of(entry.pod))
            entry.told = None

    def _unhealthy(self, target: Target, kind: str, why: str) -> None:
        self._events.warning(target.pod, "Unhealthy", f"{kind.capitalize()} probe failed: {why}")

    def _pre_stop_failed(self, target: Target, why: str) -> None:
        self._events.warning(target.pod, "FailedPreStopHook", f"container {target.container.name}: {why}")

    # Wake

    async def _listen(self) -> None:
        while True:
            try:
                async for uid in self._runtime.events():
                    self.queue.add(uid)
            except errors.KnarrError as error:
                self._log.info("the runtime's events broke off", error=str(error))
            await self._clock.sleep(LISTEN_AGAIN_S)
            for uid in self._entries:
                self.queue.add(uid)

    async def _rounds(self) -> None:
        """Everything now and then, and what the runtime or the disk has and nobody assigned."""
        last_s: float | None = None
        while True:
            began_s = self._clock.monotonic()
            try:
                for uid in await self._runtime.pods():
                    self.queue.add(uid)
                took_s = self._clock.monotonic() - began_s
                self._meter.looked_at_all(took_s, began_s - last_s if last_s is not None else None)
                last_s = began_s
            except errors.KnarrError as error:
                self._log.info("the runtime does not answer", error=str(error))
            for entry in self._entries.values():
                self._compare(entry)
            for uid in (*self._entries, *self._starter.known_pods()):
                self.queue.add(uid)
            await self._clock.sleep(ROUND_S if self.synced else UNSYNCED_ROUND_S)

    async def _keep_saved(self) -> None:
        """What the API says of the pods' statuses is where a successor of this agent begins."""
        while True:
            await self._clock.sleep(SAVE_S)
            self._store.flush()


def _shows(stored: PodStatus, told: PodStatus) -> bool:
    """Whether a status in the API is what was told of a pod, as far as that is the agent's to say."""
    conditions = {condition.type: condition.status for condition in stored.conditions}
    return (
        stored.phase == told.phase
        and stored.pod_ip == told.pod_ip
        and stored.container_statuses == told.container_statuses
        and stored.init_container_statuses == told.init_container_statuses
        and all(conditions.get(condition.type) == condition.status for condition in told.conditions)
    )
